"""What the devnet's database holds, inside one transaction.

Hashes are kept as bytes in the order in which they are displayed. `blocks` are those of the active chain; what a
reorganisation removes is forgotten, but for its transactions. `undo_*` hold, for each block, what every coin and
record that it touched was before, so that undoing is exact whatever the block did: a coinbase that was mined
twice replaces coins, and gives them back.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from doitrust.adapters.devnet.names import names_written
from doitrust.adapters.devnet.rows import Rows, key
from doitrust.adapters.devnet.rules import Next
from doitrust.adapters.devnet.view import Coin, Outpoint, Overlay, Record
from doitrust.chain.block import Block, block_work
from doitrust.errors import BadData
from doitrust.trust.evidence import Place, Tip

SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    # `below` is the work of the chain below the block.
    """CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, time INTEGER NOT NULL,
        below INTEGER NOT NULL, raw BLOB NOT NULL)""",
    # Every occurrence of a transaction in the chain: where it stands, and which bytes of the block it is.
    """CREATE TABLE places (txid BLOB, height INTEGER, position INTEGER, start INTEGER NOT NULL,
        size INTEGER NOT NULL, PRIMARY KEY (txid, height, position)) WITHOUT ROWID""",
    # Everything that the node lists in name_history.
    """CREATE TABLE names (name BLOB, height INTEGER, position INTEGER, txid BLOB NOT NULL,
        PRIMARY KEY (name, height, position)) WITHOUT ROWID""",
    """CREATE TABLE coins (txid BLOB, vout INTEGER, value INTEGER NOT NULL, script BLOB NOT NULL,
        height INTEGER NOT NULL, coinbase INTEGER NOT NULL, PRIMARY KEY (txid, vout)) WITHOUT ROWID""",
    "CREATE INDEX coins_by_script ON coins (script)",
    # The node's name database: the last write of each name.
    """CREATE TABLE records (name BLOB PRIMARY KEY, height INTEGER NOT NULL, txid BLOB NOT NULL,
        vout INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX records_by_height ON records (height)",
    # As coins and records; a height of NULL says that there was none.
    """CREATE TABLE undo_coins (block INTEGER, txid BLOB, vout INTEGER, value INTEGER, script BLOB,
        height INTEGER, coinbase INTEGER, PRIMARY KEY (block, txid, vout)) WITHOUT ROWID""",
    """CREATE TABLE undo_records (block INTEGER, name BLOB, height INTEGER, txid BLOB, vout INTEGER,
        PRIMARY KEY (block, name)) WITHOUT ROWID""",
    # `serial` is the order of arrival.
    """CREATE TABLE waiting (serial INTEGER PRIMARY KEY AUTOINCREMENT, txid BLOB NOT NULL UNIQUE,
        raw BLOB NOT NULL)""",
    "CREATE TABLE waiting_names (name BLOB, serial INTEGER, PRIMARY KEY (name, serial)) WITHOUT ROWID",
    "CREATE INDEX waiting_names_by_serial ON waiting_names (serial)",
    """CREATE TABLE waiting_spends (txid BLOB, vout INTEGER, serial INTEGER NOT NULL,
        PRIMARY KEY (txid, vout)) WITHOUT ROWID""",
    "CREATE INDEX waiting_spends_by_serial ON waiting_spends (serial)",
)


class Tables(Rows):
    """The chain in one transaction of the database; it is a `View`."""

    # ---- meta

    def setting(self, key: str) -> Any:
        """Return a setting, or None."""
        row = self._one("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else row[0]

    def keep(self, key: str, value: str | int) -> None:
        """Keep a setting."""
        self._do("INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)

    def clear(self) -> None:
        """Empty every table."""
        for (name,) in self._all(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'sqlite_sequence'"
        ):
            self._do(f"DELETE FROM {name}")  # noqa: S608  # the names of our own tables

    # ---- the chain as a view

    def coin(self, outpoint: Outpoint) -> Coin | None:
        """The coin, or None if it doesn't exist or is spent."""
        row = self._one(
            "SELECT value, script, height, coinbase FROM coins WHERE txid = ? AND vout = ?", *key(outpoint)
        )
        return None if row is None else _coin(row)

    def record(self, name: bytes) -> Record | None:
        """What the name database holds for `name`."""
        row = self._one("SELECT height, txid, vout FROM records WHERE name = ?", name)
        return None if row is None else Record(row[0], row[1].hex(), row[2])

    def written_at(self, height: int) -> set[bytes]:
        """The names whose last write is at `height`."""
        return {name for (name,) in self._all("SELECT name FROM records WHERE height = ?", height)}

    def median_time(self, height: int) -> int:
        """The median of the times of block `height` and the ten before it."""
        rows = self._all("SELECT time FROM blocks WHERE height BETWEEN ? AND ?", height - 10, height)
        times = sorted(time for (time,) in rows)
        return int(times[len(times) // 2])

    # ---- the chain

    def tip(self) -> Tip:
        """The last block."""
        # The header's bytes 72 to 75 are its bits.
        row = self._one(
            "SELECT height, hash, time, below, substr(raw, 73, 4) FROM blocks ORDER BY height DESC LIMIT 1"
        )
        if row is None:
            raise BadData("the devnet's database has no blocks", hint="to begin anew: doitrust devnet reset")
        work = row[3] + block_work(int.from_bytes(row[4], "little"))
        return Tip(row[0], row[1].hex(), row[2], work)

    def next(self) -> Next:
        """The place of the block to come."""
        tip = self.tip()
        return Next(tip.height + 1, tip.hash, self.median_time(tip.height))

    def contains(self, block_hash: str) -> bool:
        """Whether the block is in the chain."""
        return self._one("SELECT 1 FROM blocks WHERE hash = ?", bytes.fromhex(block_hash)) is not None

    def height_of(self, block_hash: str) -> int | None:
        """The height of the block, or None if it is not in the chain."""
        row = self._one("SELECT height FROM blocks WHERE hash = ?", bytes.fromhex(block_hash))
        return None if row is None else row[0]

    def hash_at(self, height: int) -> str | None:
        """The hash of the block at `height`, or None."""
        row = self._one("SELECT hash FROM blocks WHERE height = ?", height)
        return None if row is None else row[0].hex()

    def work_below(self, height: int) -> int:
        """The work of the chain below block `height`, which is there."""
        return int(self._one("SELECT below FROM blocks WHERE height = ?", height)[0])

    def block(self, height: int) -> bytes | None:
        """The raw block at `height`, or None."""
        row = self._one("SELECT raw FROM blocks WHERE height = ?", height)
        return None if row is None else bytes(row[0])

    def size_of_blocks(self) -> int:
        """The bytes of all blocks."""
        return int(self._one("SELECT sum(length(raw)) FROM blocks")[0])

    def append(self, block: Block, height: int, changes: Overlay) -> None:
        """Add the next block with what it changes, keeping what is needed to undo it."""
        raw, block_hash = block.serialize(), bytes.fromhex(block.header.hash)
        below = self.tip().work if height else 0
        self._do(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", height, block_hash, block.header.time, below, raw
        )
        start = len(raw) - sum(len(tx.raw) for tx in block.transactions)
        for position, tx in enumerate(block.transactions):
            txid = bytes.fromhex(tx.txid)
            self._do("INSERT INTO places VALUES (?, ?, ?, ?, ?)", txid, height, position, start, len(tx.raw))
            start += len(tx.raw)
            for name in {name for name, _ in names_written(tx)}:
                self._do("INSERT INTO names VALUES (?, ?, ?, ?)", name, height, position, txid)
        for outpoint, coin in changes.coins.items():
            self._undo_later(height, outpoint)
            self._put_coin(outpoint, coin)
        for name, record in changes.records.items():
            old = self.record(name)
            row = (None, None, None) if old is None else (old.height, bytes.fromhex(old.txid), old.vout)
            self._do("INSERT INTO undo_records VALUES (?, ?, ?, ?, ?)", height, name, *row)
            self._put_record(name, record)

    def remove_last(self) -> Block:
        """Take the last block away, and give back what it changed; returns it."""
        height = self.tip().height
        block = Block.parse(self.block(height) or b"")
        for tx in block.transactions:
            self._do("DELETE FROM places WHERE txid = ? AND height = ?", bytes.fromhex(tx.txid), height)
            for name, _ in names_written(tx):
                self._do("DELETE FROM names WHERE name = ? AND height = ?", name, height)
        for txid, vout, *coin in self._all(
            "SELECT txid, vout, value, script, height, coinbase FROM undo_coins WHERE block = ?", height
        ):
            self._put_coin((txid.hex(), vout), None if coin[2] is None else _coin(coin))
        for name, at, txid, vout in self._all(
            "SELECT name, height, txid, vout FROM undo_records WHERE block = ?", height
        ):
            self._put_record(name, None if at is None else Record(at, txid.hex(), vout))
        self._do("DELETE FROM undo_coins WHERE block = ?", height)
        self._do("DELETE FROM undo_records WHERE block = ?", height)
        self._do("DELETE FROM blocks WHERE height = ?", height)
        return block

    def located(self, txid: str) -> tuple[bytes, Place] | None:
        """A transaction's bytes and place at its first occurrence in the chain."""
        row = self._one(
            """SELECT substr(raw, start + 1, size), hash, height, position, time, below
               FROM places JOIN blocks USING (height) WHERE txid = ? ORDER BY height, position LIMIT 1""",
            bytes.fromhex(txid),
        )
        return None if row is None else (row[0], Place(row[1].hex(), *row[2:]))

    def history(self, name: bytes) -> Iterator[str]:
        """The txids at every write of `name`, in chain order; one that was mined again comes again."""
        for (txid,) in self._each("SELECT txid FROM names WHERE name = ? ORDER BY height, position", name):
            yield txid.hex()

    def writes(self, name: bytes) -> list[tuple[int, str]]:
        """The height and txid of every write of `name`, in chain order; one that was mined again comes again."""
        rows = self._all("SELECT height, txid FROM names WHERE name = ? ORDER BY height, position", name)
        return [(height, txid.hex()) for height, txid in rows]

    def records(self, start: bytes) -> Iterator[tuple[bytes, Record]]:
        """What the name database holds from `start` on, in the node's order: shorter names first.

        Source: src/names/common.h, NameComparator.
        """
        for name, height, txid, vout in self._each(
            """SELECT name, height, txid, vout FROM records WHERE (length(name), name) >= (length(?1), ?1)
               ORDER BY length(name), name""",
            start,
        ):
            yield name, Record(height, txid.hex(), vout)

    def heights(self, txid: str) -> list[int]:
        """The heights at which a transaction stands in the chain."""
        rows = self._all("SELECT height FROM places WHERE txid = ? ORDER BY height", bytes.fromhex(txid))
        return [height for (height,) in rows]

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """Every name that was ever written and starts with `prefix`, sorted."""
        for (name,) in self._each("SELECT DISTINCT name FROM names WHERE name >= ? ORDER BY name", prefix):
            if not name.startswith(prefix):
                return
            yield name

    def coins_of(self, script: bytes) -> list[tuple[Outpoint, Coin]]:
        """The coins that lie on exactly this script, oldest first."""
        rows = self._all(
            """SELECT txid, vout, value, script, height, coinbase FROM coins
               WHERE script = ? ORDER BY height, txid, vout""",
            script,
        )
        return [((txid.hex(), vout), _coin(coin)) for txid, vout, *coin in rows]

    def count_coins(self) -> int:
        """How many coins there are."""
        return int(self._one("SELECT count(*) FROM coins")[0])

    def made_by(self, txid: str) -> list[int]:
        """The heights at which the transaction made the coins that are still unspent."""
        rows = self._all("SELECT height FROM coins WHERE txid = ? ORDER BY vout", bytes.fromhex(txid))
        return [height for (height,) in rows]

    # ---- underneath

    def _undo_later(self, block: int, outpoint: Outpoint) -> None:
        coin = self.coin(outpoint)
        row = (None,) * 4 if coin is None else tuple(coin)
        self._do("INSERT INTO undo_coins VALUES (?, ?, ?, ?, ?, ?, ?)", block, *key(outpoint), *row)

    def _put_coin(self, outpoint: Outpoint, coin: Coin | None) -> None:
        if coin is None:
            self._do("DELETE FROM coins WHERE txid = ? AND vout = ?", *key(outpoint))
        else:
            self._do("INSERT OR REPLACE INTO coins VALUES (?, ?, ?, ?, ?, ?)", *key(outpoint), *coin)

    def _put_record(self, name: bytes, record: Record | None) -> None:
        if record is None:
            self._do("DELETE FROM records WHERE name = ?", name)
        else:
            row = (name, record.height, bytes.fromhex(record.txid), record.vout)
            self._do("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", *row)


def _coin(row: Sequence[Any]) -> Coin:
    value, script, height, coinbase = row
    return Coin(value, script, height, bool(coinbase))
