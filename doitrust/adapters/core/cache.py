"""What nodes said of transactions, kept between runs (rule L3): SQLite in the home, for any number of processes.

An entry belongs to a source, a block and a txid. Nothing that is a node's bare word is in it: whether the block is in
the chain, its height and the work below it are asked for each time, and `transactions.py` says whose signatures are
kept. What comes out is hashed to its txid again, and the header to its block. That the transaction stands there, which
a proof said when it came, needs no proof once more: who can write to the home can write the pins as well. A digest
finds what a disk or a fault changed.

Nothing here ever fails: what can't be read isn't there, a file that can't be used is made anew or left aside, and that
is told once. Everything in the file is on the chain too; it is in no backup.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeVar

from doitrust.chain.block import HEADER_SIZE, Header
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData
from doitrust.text import visible

T = TypeVar("T")

#: Written into the file: that it is ours ("doic"), and the schema's number.
_APPLICATION_ID, _VERSION = 0x646F6963, 1
#: Bytes that the file may fill with entries; what was longest not used makes room.
MOST_BYTES = 64 * 1024 * 1024
#: A transaction of more bytes is asked for each time anew. L1's limit for a write, when nobody padded it.
MOST_KEPT = 20_000
#: Bytes that one call may add: a flood shall not push out everything else at once.
_MOST_ADDED = 8 * 1024 * 1024
#: A source is asked rather than another process waited for.
_BUSY_SECONDS = 2.0
#: When an entry was used is known to the hour, so that reading seldom writes.
_HOUR = 3600
_DIGEST = 16
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_SCHEMA = (
    # `data` is a digest, the block's header, the position in it (4 bytes) and the transaction, if that is kept.
    """CREATE TABLE entries (source TEXT NOT NULL, txid BLOB NOT NULL, block BLOB NOT NULL, used INTEGER NOT NULL,
        data BLOB NOT NULL, PRIMARY KEY (source, txid, block))""",
    "CREATE INDEX entries_by_use ON entries (used)",
)


class Entry(NamedTuple):
    """A transaction at a position of the block with this header; without bytes, they have to be asked for."""

    txid: str
    header: Header
    position: int
    tx: Transaction | None


class _Unusable(Exception):
    """The file isn't a cache of this version."""


class Cache:
    """The file at `path`, made when something is first kept. `tell` is told, once, if it can't be used."""

    def __init__(
        self, path: Path, tell: Callable[[str], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._tell = tell
        self._clock = clock
        self._off = False
        self._told = False

    def entries(self, source: str, txids: Sequence[str]) -> dict[str, list[Entry]]:
        """What is kept of these transactions as `source` gave them, one entry for each block, by txid."""
        return self._with(lambda database: self._entries(database, source, txids), to_write=False) or {}

    def keep(self, source: str, entries: Iterable[tuple[Entry, bytes | None]]) -> None:
        """Keep entries that `source` gave, with the bytes to keep of each."""
        rows, added = [], 0
        for entry, raw in entries:
            row = _row(source, entry, None if raw is None or len(raw) > MOST_KEPT else raw, self._hour())
            added += len(row[-1])
            if added > _MOST_ADDED:
                break
            rows.append(row)
        if rows:
            self._with(lambda database: _add(database, rows), to_write=True)

    def _entries(
        self, database: sqlite3.Connection, source: str, txids: Sequence[str]
    ) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        hour = self._hour()
        stale = []
        for txid in txids:
            key = bytes.fromhex(txid)
            rows = database.execute(
                "SELECT block, used, data FROM entries WHERE source = ? AND txid = ? AND length(data) <= ?",
                (source, key, _DIGEST + HEADER_SIZE + 4 + MOST_KEPT),
            ).fetchall()
            entries = [_read(source, txid, block, data) for block, _, data in rows]
            if any(entries):
                found[txid] = [entry for entry in entries if entry is not None]
                if any(used != hour for _, used, _ in rows):
                    stale.append((hour, source, key))
        if stale:
            with suppress(sqlite3.OperationalError):  # it may be read-only, or another process writing
                database.execute("BEGIN IMMEDIATE")
                database.executemany("UPDATE entries SET used = ? WHERE source = ? AND txid = ?", stale)
                database.execute("COMMIT")
        return found

    # ---- underneath

    def _hour(self) -> int:
        return int(self._clock() // _HOUR)

    def _with(self, work: Callable[[sqlite3.Connection], T], *, to_write: bool) -> T | None:
        """Do it, within a transaction if it writes; None if there is nothing to read, or the file can't be used."""
        try:
            if self._off or not (to_write or self._path.is_file()):
                return None
            if to_write:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(
                sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            ) as database:
                return work(database) if _prepare(database, to_write=to_write) else None
        except _Unusable as error:
            self._discard(f"it is {error}")
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGED or str(error).startswith("no such "):
                self._discard("it is damaged")
            else:
                self._leave(str(error), quietly=code in _BUSY)
        except OSError as error:
            self._leave(error.strerror or str(error))
        return None

    def _discard(self, why: str) -> None:
        """Remove the file; what comes next makes it anew."""
        try:
            for ending in ("", "-journal"):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        except OSError as error:
            self._leave(f"{why}, and can't be removed: {error.strerror or error}")
        else:
            self._say(f"The cache {self._path} is made anew: {why}.")

    def _leave(self, why: str, *, quietly: bool = False) -> None:
        """Do without for the rest of this run."""
        self._off = True
        if not quietly:
            self._say(f"The cache {self._path} is not used: {why}.")

    def _say(self, text: str) -> None:
        if not self._told:
            self._told = True
            self._tell(visible(text, 500))


def _prepare(database: sqlite3.Connection, *, to_write: bool) -> bool:
    """See that it is ours, and make the tables if nothing is in it; False if nothing is to be had."""
    # Nothing is lost with it: after a power cut it may have to be made anew.
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA trusted_schema = OFF")
    if to_write:
        database.execute("BEGIN IMMEDIATE")
    application, version, tables = database.execute(
        """SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
           FROM pragma_application_id, pragma_user_version"""
    ).fetchone()
    if (application, version, tables) == (0, 0, 0):
        if to_write:
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
        return to_write
    if (application, version) != (_APPLICATION_ID, _VERSION):
        raise _Unusable("of another version, or no cache")
    return True


def _add(database: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
    database.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", rows)
    _make_room(database)
    database.execute("COMMIT")


def _make_room(database: sqlite3.Connection) -> None:
    while True:
        pages, free, size = database.execute(
            "SELECT page_count, freelist_count, page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        ).fetchone()
        if (pages - free) * size <= MOST_BYTES:
            return
        database.execute(
            """DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries ORDER BY used, rowid
               LIMIT (SELECT 1 + count(*) / 8 FROM entries))"""
        )


def _row(source: str, entry: Entry, raw: bytes | None, hour: int) -> tuple[str, bytes, bytes, int, bytes]:
    txid, block = bytes.fromhex(entry.txid), bytes.fromhex(entry.header.hash)
    body = entry.header.raw + entry.position.to_bytes(4) + (raw or b"")
    return source, txid, block, hour, _digest(source, txid, block, body) + body


def _read(source: str, txid: str, block: object, data: object) -> Entry | None:
    """The entry of a row; None if a fault has changed it."""
    if not isinstance(block, bytes) or not isinstance(data, bytes):
        return None
    body = data[_DIGEST:]
    if data[:_DIGEST] != _digest(source, bytes.fromhex(txid), block, body):
        return None
    raw = body[HEADER_SIZE + 4 :]
    try:
        header = Header.parse(body[:HEADER_SIZE])
        tx = Transaction.parse(raw) if raw else None
    except BadData:
        return None
    if header.hash != block.hex() or (tx is not None and tx.txid != txid):  # N1
        return None
    return Entry(txid, header, int.from_bytes(body[HEADER_SIZE : HEADER_SIZE + 4]), tx)


def _digest(source: str, txid: bytes, block: bytes, body: bytes) -> bytes:
    return sha256(source.encode() + txid + block + body).digest()[:_DIGEST]
