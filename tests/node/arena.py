"""A world on the devnet, and the same in Doichain Core."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from core_node import Core, Twins, needs_core, twins
from devnet_world import World
from questions import Question
from rpc_node import JSONRPCException, served

from doitrust.adapters.devnet.miner import Chosen, build
from doitrust.adapters.devnet.reject import Rejected
from doitrust.chain.block import Block
from doitrust.chain.tx import Transaction

_NO_COINBASE = "Block does not start with a coinbase"
_SCRIPTS = ("mandatory-script", "non-mandatory-script")
#: Of a block made here, which has to differ from those of the devnet's miner.
_SERIAL = 7 * 10**9


#: For what has its own truth: with a core where there is one, and always with the devnet alone.
WITH_AND_WITHOUT_CORE = pytest.mark.parametrize(
    "alone", [pytest.param(False, marks=needs_core, id="core"), pytest.param(True, id="devnet")]
)


class Arena(NamedTuple):
    """Both, with verbs that do the same to each. `alone`: the core is the devnet, too."""

    world: World
    twins: Twins
    alone: bool

    def sync(self) -> None:
        """Give the core the blocks that the devnet has made since; it must accept them all."""
        core, devnet = self.twins.core, self.world.devnet
        heights = range(core("getblockcount") + 1, devnet.tip().height + 1)
        core.take(devnet.block(height) or b"" for height in heights)
        assert core("getbestblockhash") == devnet.tip().hash

    def compare(self, *questions: Question) -> list[str]:
        """Ask both; returns what differs."""
        found = (self.twins.differ(*question) for question in questions)
        return [difference for difference in found if difference is not None]

    def pools(self) -> list[str]:
        """Compare what waits, which a core has in another order; returns what differs."""
        questions = (("getrawmempool", True), ("getrawmempool",), ("name_pending",))
        found = [self.twins.differ(*question, ordered=False) for question in questions]
        found += [self.twins.differ("getmempoolinfo")]
        return [difference for difference in found if difference is not None]

    def waiting(self, raw: bytes, tx: Transaction | None) -> tuple[list[str], str]:
        """Send a transaction to both; returns what differs, and the core's reason if it refuses."""
        text = raw.hex()
        differences = self.compare(("testmempoolaccept", [text]), ("sendrawtransaction", text))
        try:
            self.twins.core("sendrawtransaction", text)
        except JSONRPCException as error:
            return differences, str(error.message)
        assert tx is not None
        differences += self.compare(
            ("getmempoolentry", tx.txid),
            ("getrawtransaction", tx.txid, True),
            ("decoderawtransaction", text),
            ("testmempoolaccept", [text]),
            ("gettxout", tx.txid, 0),
            *(("gettxout", spent.txid, spent.vout) for spent in tx.inputs),
            *(("gettxout", spent.txid, spent.vout, False) for spent in tx.inputs),
        )
        return differences + self.pools(), ""

    def block(self, transactions: Sequence[Transaction]) -> Block:
        """A block of these transactions, as the devnet's miner would make it, unchecked."""
        with self.world.devnet.session() as session:
            at = session.chain.next()
        time = max(at.median_time + 1, self.world.clock.now)
        return build(at, Chosen(tuple(transactions), 0), time, _SERIAL)

    def mined(self, block: Block) -> tuple[str, str]:
        """Submit a block to both; returns the core's reason and the devnet's, empty if it is accepted."""
        raw = block.serialize()
        theirs = "" if self.alone else self._mined_by_core(raw)
        try:
            self.world.devnet.submit(raw)
        except Rejected as why:
            words = f" ({why.detail.partition(': ')[2]})" if why.code.startswith(_SCRIPTS) else ""
            ours = why.code + words
        else:
            ours = ""
        return ours if self.alone else theirs, ours

    def _mined_by_core(self, raw: bytes) -> str:
        try:
            return self.twins.core("submitblock", raw.hex()) or ""
        except JSONRPCException as error:
            # The method itself sees to that one rule.
            return "bad-cb-missing" if error.message == _NO_COINBASE else str(error.message)

    def raw_blocks(self) -> list[bytes]:
        """The devnet's blocks."""
        devnet = self.world.devnet
        return [devnet.block(height) or b"" for height in range(devnet.tip().height + 1)]


@contextmanager
def arena_in(folder: Path, *, alone: bool = False) -> Iterator[Arena]:
    """A world of 110 blocks that mines only when it is told to, and a core with these blocks.

    `alone`: without a core, in whose place the same devnet answers.
    """
    world = World(folder / "devnet")
    world.devnet.automine(False)
    try:
        with (_alone if alone else _with_core)(folder, world.clock.now) as both:
            found = Arena(world, both, alone)
            found.sync()
            yield found
    finally:
        world.devnet.close()


def _with_core(folder: Path, now: int) -> AbstractContextManager[Twins]:
    return twins(folder / "core", folder / "devnet", [], now=now + 3600)


@contextmanager
def _alone(folder: Path, _now: int) -> Iterator[Twins]:
    with served(folder / "devnet") as (client, _):
        yield Twins(Core(client.port, client.secret), client)
