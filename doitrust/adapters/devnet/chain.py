"""The embedded chain: a `ChainView` and `Broadcaster` with a miner inside.

It is regtest as Doichain Core keeps it, AuxPoW blocks and unsafe names included, in one folder that any number of
processes share. Nothing of the chain is held in memory: every call sees what the others did.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypedDict

from doitrust.adapters.blocks import LocalBlocks
from doitrust.adapters.devnet import branches, params
from doitrust.adapters.devnet.branches import append, append_recorded
from doitrust.adapters.devnet.files import forget_contents, size_of
from doitrust.adapters.devnet.fund import Funded, fund
from doitrust.adapters.devnet.miner import Chosen, build, choose
from doitrust.adapters.devnet.names import names_written
from doitrust.adapters.devnet.policy import MAX_FEE_RATE, MIN_FEE_RATE
from doitrust.adapters.devnet.recorded import Recorded
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.store import Session, Store
from doitrust.adapters.devnet.view import Overlay
from doitrust.chain.address import script_of
from doitrust.chain.block import Block
from doitrust.chain.networks import DEVNET, Network
from doitrust.chain.tx import Transaction
from doitrust.content.cid import RAW
from doitrust.errors import BadData, Refused, Usage
from doitrust.ports import Progress, UnspentCoin
from doitrust.trust.evidence import Located, Source, Tip

#: Files in the devnet's folder: the database, and the folder of the content store.
DATABASE = "chain.sqlite"
CONTENTS = "ipfs"

_NOTHING = Chosen((), 0)


class Status(TypedDict):
    """What `devnet status` tells: `imported` is the recorded chain's file name, `size` the bytes on disk."""

    directory: str
    blocks: int
    tip: str
    time: int
    mempool: int
    automine: bool
    imported: str | None
    size: int


class Devnet:
    """The embedded world below `directory`, made at first use; for one thread.

    All methods raise `Unavailable` if the disk refuses or another process is busy too long, and `BadData` if the
    database is damaged. `clock` tells Unix time.
    """

    name = "devnet"
    own = True
    network: Network = DEVNET

    def __init__(self, directory: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.directory = directory
        self._clock = clock
        self._store = Store(directory / DATABASE, _begin)

    @property
    def contents(self) -> LocalBlocks:
        """The devnet's IPFS: blocks that all processes with this devnet share."""
        return LocalBlocks(self.directory / CONTENTS)

    def close(self) -> None:
        """Close the database; the next call opens it again."""
        self._store.close()

    # ---- ChainView

    def tip(self) -> Tip:
        """The last block."""
        with self._store.reading() as session:
            return session.chain.tip()

    def standing(self, blocks: Iterable[str]) -> set[str]:
        """Those of the blocks that are in the chain now."""
        with self._store.reading() as session:
            return {block for block in blocks if session.chain.contains(block)}

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that write `name` in the chain, in its order, each once; None if there are more than `limit`."""
        found: dict[str, None] = {}
        with self._store.reading() as session:
            for txid in session.chain.history(name):
                found[txid] = None
                if len(found) > limit:
                    return None
        return list(found)

    def transaction(self, txid: str) -> Located | None:
        """The transaction at its first occurrence in the chain, or from the mempool without a place, or None."""
        with self._store.reading() as session:
            located = session.chain.located(txid)
            if located is None:
                waiting = session.pool.transaction(txid)
                return None if waiting is None else Located(waiting, None)
        tx = Transaction.parse(located[0])
        if tx.txid != txid:  # N1
            raise BadData(f"the devnet's database is damaged: other bytes for {txid}")
        return Located(tx, located[1])

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        """Several of them, by txid."""
        return {txid: self.transaction(txid) for txid in txids}

    def sources(self) -> tuple[Source, ...]:
        """The embedded chain is an own node (N2)."""
        return (Source(self.name, self.own),)

    def mempool(self, name: bytes) -> list[str]:
        """Txids of waiting transactions that write `name`, in the order in which they came."""
        with self._store.reading() as session:
            return session.pool.writing(name)

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """Every name in the chain that starts with `prefix`, sorted, each once."""
        with self._store.reading() as session:
            found = list(session.chain.names(prefix))
        return iter(found)

    # ---- BlockSource

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at `height` now, or None above the tip."""
        with self._store.reading() as session:
            return session.chain.hash_at(height)

    def blocks(self, start: int, end: int) -> Iterator[tuple[str, bytes]]:
        """Hash and raw bytes of the blocks from `start` to `end`, in order, as far as there are."""
        for height in range(start, end + 1):
            with self._store.reading() as session:
                block_hash, raw = session.chain.hash_at(height), session.chain.block(height)
            if block_hash is None or raw is None:
                return
            yield block_hash, raw

    def raw_transactions(self, txids: Sequence[str]) -> dict[str, Transaction | None]:
        """Several by txid, wherever they stand, or None."""
        return {txid: found and found.tx for txid, found in self.transactions(txids).items()}

    def pending(self) -> dict[bytes, list[str]]:
        """The txids of waiting transactions by the names they write."""
        with self._store.reading() as session:
            names = {name for tx in session.pool.transactions() for name, _ in names_written(tx)}
            return {name: session.pool.writing(name) for name in names}

    # ---- more to read

    def block(self, height: int) -> bytes | None:
        """The raw block at `height`, or None."""
        with self._store.reading() as session:
            return session.chain.block(height)

    def waiting(self) -> list[str]:
        """The txids of all that wait, in the order in which they came."""
        with self._store.reading() as session:
            return [tx.txid for tx in session.pool.transactions()]

    def coins(self, script: bytes) -> list[UnspentCoin]:
        """The coins on exactly `script`, oldest first, so never a name's (as `scantxoutset`)."""
        with self._store.reading() as session:
            at = session.chain.next()
            return [
                UnspentCoin(
                    *outpoint,
                    coin.value,
                    coin.height,
                    at.height - coin.height,
                    not coin.coinbase or at.height - coin.height >= params.COINBASE_MATURITY,
                )
                for outpoint, coin in session.chain.coins_of(script)
                if session.pool.spender(outpoint) is None
            ]

    def is_unspent(self, txid: str, vout: int) -> bool:
        """Whether the output, a name's too, is in the chain and nothing spends it, in the mempool neither."""
        with self._store.reading() as session:
            return session.chain.coin((txid, vout)) is not None and session.pool.spender((txid, vout)) is None

    def status(self) -> Status:
        """What there is."""
        with self._store.reading() as session:
            tip = session.chain.tip()
            return Status(
                directory=str(self.directory),
                blocks=tip.height,
                tip=tip.hash,
                time=tip.time,
                mempool=len(session.pool),
                automine=bool(session.chain.setting("automine")),
                imported=session.chain.setting("source"),
                size=size_of(self.directory),
            )

    def session(self) -> AbstractContextManager[Session]:
        """A view of one moment, not to be written to: for whoever needs more of the chain than the ports offer."""
        return self._store.reading()

    # ---- Broadcaster

    def broadcast(self, raw: bytes, *, max_fee_rate: int = MAX_FEE_RATE) -> str:
        """Take a transaction into the mempool, mine a block if automine is on, and return the txid.

        Sending again what waits already is no error. `max_fee_rate`: schwartz a 1000 virtual bytes, 0 for no limit.
        Raises `Refused` with the node's reason as `code`, and `BadData` for bytes that are no transaction.
        """
        tx = Transaction.parse(raw)
        with self._store.changing() as session:
            if session.pool.transaction(tx.txid) is None:
                if any(session.chain.coin((tx.txid, vout)) for vout in range(len(tx.outputs))):
                    raise Rejected("txn-already-known", "the transaction is in the chain already")
                session.pool.admit(tx, relay=True, max_fee_rate=max_fee_rate)
            if session.chain.setting("automine"):
                self._mine(session)
        return tx.txid

    def fee_rate(self) -> int:
        """The least: there is no competition here."""
        return MIN_FEE_RATE

    def advance(self) -> bool:
        """Make a block if automine is on."""
        with self._store.changing() as session:
            if not session.chain.setting("automine"):
                return False
            self._mine(session)
        return True

    # ---- the miner

    def mine(self, count: int, script: bytes | None = None) -> list[str]:
        """Mine blocks of what waits, and return their hashes. Raises `Usage` for a count below 0.

        They pay to `script`, or to the miner's own.
        """
        if count < 0:
            raise Usage(f"{count} blocks can't be mined")
        with self._store.changing() as session:
            return [self._mine(session, script=script) for _ in range(count)]

    def mine_with(self, transactions: Iterable[bytes]) -> str:
        """Mine one block of exactly these transactions, as any miner may: only the rules of blocks hold.

        The coinbase leaves their fees. Returns the block's hash; raises `Refused` with the node's reason.
        """
        chosen = Chosen(tuple(Transaction.parse(raw) for raw in transactions), 0)
        with self._store.changing() as session:
            return self._mine(session, chosen)

    def submit(self, raw: bytes) -> str:
        """Take a block that somebody else made, on top of the tip, and return its hash.

        Raises `Refused` with the node's reason, `BadData` for bytes that are no block.
        """
        block = Block.parse(raw)
        with self._store.changing() as session:
            append(session, block, session.chain.next())
        return block.header.hash

    def fund(self, address: str, amount: int) -> Funded:
        """Pay `amount` schwartz of the miner's to `address` in a block of its own, so that it can be spent at once.

        Mines what it takes to have mature coins first, whether automine is on or off. Raises `BadData` for what is
        no address of the devnet's, `Usage` for dust, `Refused` for more than the miner can ever pay.
        """
        script = script_of(address, self.network)
        with self._store.changing() as session:
            return fund(session, lambda chosen: self._mine(session, chosen), script, amount)

    def automine(self, on: bool) -> None:
        """Say whether each broadcast mines a block."""
        with self._store.changing() as session:
            session.chain.keep("automine", int(on))

    def reorg(self, count: int, *, drop: bool = False) -> list[str]:
        """Replace the last `count` blocks by one more, all empty, and return the new ones' hashes.

        What the old ones held goes back to the mempool, before what waits there, as far as it can still stand in
        a block; with `drop` it is forgotten, and what depends on it. Raises `Usage` if there are fewer blocks
        above the genesis block.
        """
        with self._store.changing() as session:
            height = session.chain.tip().height
            if not 1 <= count <= height:
                raise Usage(f"of {height} blocks above the genesis block {count} can't be replaced")
            old = [session.chain.remove_last() for _ in range(count)]
            hashes = [self._mine(session, _NOTHING) for _ in range(count + 1)]
            waiting = session.pool.transactions()
            back = [] if drop else [tx for block in reversed(old) for tx in block.transactions[1:]]
            session.pool.readmit([*back, *waiting])
        return hashes

    def forbid(self, block_hash: str) -> bool:
        """Give a block up with all above it (`branches.py`); False if there is none. Raises `Usage` for the first."""
        with self._store.changing() as session:
            return branches.forbid(session, block_hash)

    def allow(self, block_hash: str) -> bool:
        """Allow a block again that was given up; False if there is none."""
        with self._store.changing() as session:
            return branches.allow(session, block_hash)

    # ---- recorded chains

    def import_chain(self, recorded: Recorded, progress: Progress | None = None) -> bool:
        """Load a recorded chain and its contents; False if this very chain is there already.

        Every block is checked as any other. All of it is loaded or nothing. Raises `BadData` naming the height
        of a block that doesn't connect, and `Refused` if there is another chain.
        """
        with self._store.changing() as session:
            digest = session.chain.setting("digest")
            if digest not in (None, recorded.digest) or (digest is None and session.chain.tip().height > 0):
                raise Refused(
                    "the devnet has another chain already",
                    hint="to give it up: doitrust devnet reset; or use another folder with --devnet",
                    code="other_chain",
                )
            if digest is not None:
                self._put_contents(recorded)
                return False
            for height, raw in enumerate(recorded.blocks[1:], 1):
                append_recorded(session, raw, height)
                if progress is not None:
                    progress(height, len(recorded.blocks) - 1)
            self._put_contents(recorded)  # before the chain is there for others, after it has proved good
            session.chain.keep("digest", recorded.digest)
            session.chain.keep("source", recorded.source)
        return True

    def reset(self) -> None:
        """Go back to the genesis block and forget all contents; a damaged database is renamed and made anew."""
        try:
            with self._store.changing() as session:
                session.chain.clear()
                _begin(session)
        except BadData:
            self._store.set_aside()
            with self._store.changing():
                pass  # opening it made it
        forget_contents(self.directory / CONTENTS)

    # ---- inside

    def _mine(self, session: Session, chosen: Chosen | None = None, script: bytes | None = None) -> str:
        """Mine one block, of what waits unless something is `chosen`, and return its hash."""
        at = session.chain.next()
        if chosen is None:
            chosen = choose(session.pool.transactions(), session.chain, at)
        serial = (session.chain.setting("serial") or 0) + 1
        session.chain.keep("serial", serial)
        # As UpdateTime (src/miner.cpp); the field has 32 bits.
        moment = max(at.median_time + 1, min(int(self._clock()), 0xFFFFFFFF))
        block = build(at, chosen, moment, serial, script)
        append(session, block, at)
        return block.header.hash

    def _put_contents(self, recorded: Recorded) -> None:
        contents = self.contents
        for cid, data in recorded.contents:
            if cid.codec == RAW:
                contents.put(data, RAW)
            else:
                contents.put_file(data)


def _begin(session: Session) -> None:
    """Fill an empty database."""
    genesis = Block.parse(params.GENESIS)
    session.chain.append(genesis, 0, Overlay(session.chain))
    session.chain.keep("network", DEVNET.name)
    session.chain.keep("automine", 1)
