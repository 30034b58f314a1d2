"""The chain's end: a block more, blocks that are given up, and blocks that come back.

A node keeps every block it has seen, and its operator can forbid it one (`invalidateblock`) and allow it again
(`reconsiderblock`). Then it goes where most work is, of equally much to the block it saw first (src/validation.cpp:
InvalidateBlock, ResetBlockFailureFlags, CBlockIndexWorkComparator). Here only those are kept that were forbidden, or
left for another branch in this way; a block that `devnet reorg` replaces is forgotten.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from doitrust.adapters.devnet.connect import connect
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.rows import Rows
from doitrust.adapters.devnet.rules import Next
from doitrust.adapters.devnet.store import Session
from doitrust.adapters.devnet.tables import Tables
from doitrust.chain.block import Block, block_work
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Usage

#: What was in so many blocks goes back to the mempool; what was in deeper ones is forgotten (InvalidateBlock).
_REMEMBERED = 10
# Made when it is first needed: a devnet of an older doitrust has none, and needs none. A row stays when its block is in
# the chain again, for it says which was seen first: a chain that was left was there before the one that replaced it.
_TABLE = """CREATE TABLE IF NOT EXISTS aside (serial INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE,
    prev BLOB NOT NULL, work INTEGER NOT NULL, forbidden INTEGER NOT NULL, raw BLOB NOT NULL)"""


def append(session: Session, block: Block, at: Next) -> None:
    """Add a block to the chain, and take out of the mempool what it settles. Raises `Rejected`."""
    changes = connect(block, at, session.chain)
    session.chain.append(block, at.height, changes)
    gone = [outpoint for outpoint, coin in changes.coins.items() if coin is None]
    session.pool.confirm(block.transactions, gone)


def append_recorded(session: Session, raw: bytes, height: int) -> None:
    """Add the raw block that a recorded chain has at `height`. Raises `BadData` with the node's reason."""
    try:
        append(session, Block.parse(raw), session.chain.next())
    except (BadData, Rejected) as error:
        raise BadData(f"block {height} doesn't connect: {error.message}", code=error.code) from None


def forbid(session: Session, block_hash: str) -> bool:
    """Give a block up with all above it, until it is allowed again; False if there is no such block.

    Raises `Usage` for the genesis block.
    """
    aside, height = _Aside(session), session.chain.height_of(block_hash)
    if height is None:
        return aside.mark(block_hash)
    if height == 0:
        raise Usage("the genesis block can't be given up")
    waiting = session.pool.transactions()
    back = aside.leave(height, forbidden=True)[-_REMEMBERED:]
    session.pool.readmit([*_held(back), *aside.follow(), *waiting])
    return True


def allow(session: Session, block_hash: str) -> bool:
    """Allow a block again, those below it and those above it; False if there is no such block."""
    aside = _Aside(session)
    if session.chain.height_of(block_hash) is None and not aside.knows(block_hash):
        return False
    aside.clear(block_hash)
    waiting = session.pool.transactions()
    session.pool.readmit([*aside.follow(), *waiting])
    return True


def _held(blocks: Iterable[Block]) -> list[Transaction]:
    return [tx for block in blocks for tx in block.transactions[1:]]


class _Known(NamedTuple):
    """A block that is kept, and allowed. The lower `serial`, the earlier it was seen."""

    serial: int
    hash: bytes
    prev: bytes
    work: int


class _Aside(Rows):
    """The blocks that are kept aside, in one transaction of the database."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.chain._connection)  # noqa: SLF001  # a part of the same database
        self._session = session
        self._do(_TABLE)

    @property
    def _chain(self) -> Tables:
        return self._session.chain

    def knows(self, block_hash: str) -> bool:
        """Whether the block is kept."""
        return self._one("SELECT 1 FROM aside WHERE hash = ?", bytes.fromhex(block_hash)) is not None

    def mark(self, block_hash: str) -> bool:
        """Forbid a block that is not in the chain; False if it isn't kept."""
        self._do("UPDATE aside SET forbidden = 1 WHERE hash = ?", bytes.fromhex(block_hash))
        return self.knows(block_hash)

    def clear(self, block_hash: str) -> None:
        """Allow a block, its ancestors and its descendants, as far as they are kept."""
        wanted = bytes.fromhex(block_hash)
        self._do(
            """WITH RECURSIVE below(hash) AS (VALUES (?)
                UNION SELECT prev FROM aside JOIN below USING (hash))
               UPDATE aside SET forbidden = 0 WHERE hash IN below""",
            wanted,
        )
        # What stands in the chain above it may have descendants of its own.
        self._do(
            """WITH RECURSIVE above(hash) AS (VALUES (?1)
                UNION SELECT hash FROM blocks WHERE height > (SELECT height FROM blocks WHERE hash = ?1)
                UNION SELECT aside.hash FROM aside JOIN above ON aside.prev = above.hash)
               UPDATE aside SET forbidden = 0 WHERE hash IN above""",
            wanted,
        )

    def leave(self, height: int, *, forbidden: bool) -> list[Block]:
        """Take the blocks from `height` on out of the chain and keep them; returns them, the lowest first."""
        left = [self._chain.remove_last() for _ in range(self._chain.tip().height - height + 1)][::-1]
        for block in left:
            head = block.header
            row = (bytes.fromhex(head.hash), bytes.fromhex(head.prev), block_work(head.bits))
            self._do(
                """INSERT INTO aside (hash, prev, work, forbidden, raw) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (hash) DO UPDATE SET forbidden = excluded.forbidden""",
                *(*row, forbidden, block.serialize()),
            )
        return left

    def follow(self) -> list[Transaction]:
        """Go where most work is; returns what the blocks held that are left for that."""
        way = self._best()
        if not way:
            return []
        (fork,) = self._one("SELECT height FROM blocks WHERE hash = ?", way[0].prev)
        left = self.leave(fork + 1, forbidden=False)
        for known in way:
            (raw,) = self._one("SELECT raw FROM aside WHERE hash = ?", known.hash)
            append(self._session, Block.parse(raw), self._chain.next())
        return _held(left)

    def _best(self) -> Sequence[_Known]:
        """The blocks that lead from the chain to a better end, or none."""
        tip = self._chain.tip()
        row = self._one("SELECT serial FROM aside WHERE hash = ?", bytes.fromhex(tip.hash))
        # A tip that was never left is the last that was seen.
        best = (tip.work, float("-inf") if row is None else float(-row[0]))
        end: _Known | None = None
        above: dict[bytes, list[_Known]] = {}
        for row in self._all(
            """SELECT serial, hash, prev, work FROM aside
               WHERE NOT forbidden AND hash NOT IN (SELECT hash FROM blocks)"""
        ):
            above.setdefault(row[2], []).append(_Known(*row))
        known = {block.hash: block for blocks in above.values() for block in blocks}
        forks = self._all(
            """SELECT parent.hash, coalesce(child.below, ?) FROM blocks AS parent
               LEFT JOIN blocks AS child ON child.height = parent.height + 1
               WHERE parent.hash IN (SELECT prev FROM aside)""",
            tip.work,
        )
        open_ends = [(work, block) for prev, work in forks for block in above.get(prev, ())]
        while open_ends:
            below, block = open_ends.pop()
            work = below + block.work
            if (work, -block.serial) > best:
                best, end = (work, float(-block.serial)), block
            open_ends += [(work, child) for child in above.get(block.hash, ())]
        way: list[_Known] = []
        while end is not None:
            way.append(end)
            end = known.get(end.prev)
        return way[::-1]
