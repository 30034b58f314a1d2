"""A world on the devnet, and the same in Doichain Core."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from core_node import Twins, twins
from devnet_world import World
from questions import Question
from rpc_node import JSONRPCException

from doitrust.adapters.devnet.miner import Chosen, build
from doitrust.adapters.devnet.reject import Rejected
from doitrust.chain.block import Block
from doitrust.chain.tx import Transaction

_NO_COINBASE = "Block does not start with a coinbase"
_SCRIPTS = ("mandatory-script", "non-mandatory-script")
#: Of a block made here, which has to differ from those of the devnet's miner.
_SERIAL = 7 * 10**9


class Arena(NamedTuple):
    """Both, with verbs that do the same to each."""

    world: World
    twins: Twins

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
        try:
            theirs = self.twins.core("submitblock", raw.hex()) or ""
        except JSONRPCException as error:
            # The method itself sees to that one rule.
            theirs = "bad-cb-missing" if error.message == _NO_COINBASE else str(error.message)
        try:
            self.world.devnet.submit(raw)
        except Rejected as why:
            words = f" ({why.detail.partition(': ')[2]})" if why.code.startswith(_SCRIPTS) else ""
            return theirs, why.code + words
        return theirs, ""

    def raw_blocks(self) -> list[bytes]:
        """The devnet's blocks."""
        devnet = self.world.devnet
        return [devnet.block(height) or b"" for height in range(devnet.tip().height + 1)]


@contextmanager
def arena_in(folder: Path) -> Iterator[Arena]:
    """A world of 110 blocks that mines only when it is told to, and a core with these blocks."""
    world = World(folder / "devnet")
    world.devnet.automine(False)
    try:
        with twins(folder / "core", folder / "devnet", [], now=world.clock.now + 3600) as both:
            found = Arena(world, both)
            found.sync()
            yield found
    finally:
        world.devnet.close()
