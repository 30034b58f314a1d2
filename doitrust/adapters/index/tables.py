"""The index's file: SQLite, shared by any number of processes, and made anew whenever it can't be used.

Nothing is in it that the chain doesn't have. A change is one transaction: killed anywhere, the file is as before it.
Hashes are kept as bytes in the order in which they are displayed.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from doitrust.chain.block import block_work
from doitrust.errors import Unavailable
from doitrust.text import visible
from doitrust.trust.evidence import Place, Tip

#: Written into the file: that it is ours ("doix"), and the schema's number.
_APPLICATION_ID, _VERSION = 0x646F6978, 1
_BUSY_SECONDS = 30.0
#: Rows that one question brings at a time; between two of them others may write.
_PAGE = 1000
#: Txids in one question; SQLite takes 999 values at least.
_MOST_ASKED = 500
_COMPANIONS = ("-wal", "-shm", "-journal")
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})

_SCHEMA = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # `below` is the work of the chain below the block, as 32 bytes.
    """CREATE TABLE blocks (height INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, time INTEGER NOT NULL,
        bits INTEGER NOT NULL, below BLOB NOT NULL)""",
    # Transactions that write one of our names, where they occur first.
    """CREATE TABLE transactions (txid BLOB PRIMARY KEY, height INTEGER NOT NULL, position INTEGER NOT NULL,
        raw BLOB NOT NULL) WITHOUT ROWID""",
    # `organisation` is the one that a well-formed record names, `pair` stands for the node and client of a certificate.
    """CREATE TABLE writes (name BLOB, height INTEGER, position INTEGER, txid BLOB NOT NULL, organisation TEXT,
        pair BLOB, PRIMARY KEY (name, height, position)) WITHOUT ROWID""",
    # Transactions that others spend, wherever they stand: found by hash, so a reorganisation changes nothing of them.
    "CREATE TABLE spent (txid BLOB PRIMARY KEY, raw BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX writes_by_height ON writes (height)",
    "CREATE INDEX writes_by_organisation ON writes (organisation, name) WHERE organisation IS NOT NULL",
)


class Damaged(Exception):
    """The file can't be used any more: it has to be made anew."""


class Block(NamedTuple):
    """A block of the chain, its hash as displayed; `below` is the work of the chain below it."""

    height: int
    hash: str
    time: int
    bits: int
    below: int

    @property
    def tip(self) -> Tip:
        """The chain that ends with it."""
        return Tip(self.height, self.hash, self.time, self.below + block_work(self.bits))


class Write(NamedTuple):
    """A name written by a transaction, and what its record says."""

    name: bytes
    organisation: str | None
    pair: bytes | None


class Entry(NamedTuple):
    """A transaction that writes names of ours."""

    txid: str
    height: int
    position: int
    raw: bytes
    writes: Sequence[Write]


class Tables:
    """The file at `path` about the chain that `source` shows; what another source said is forgotten.

    All methods raise `Damaged`, or `Unavailable` where the disk refuses.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        self._source = source
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def discard(self) -> None:
        """Remove the file."""
        self.close()
        try:
            for ending in ("", *_COMPANIONS):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"can't remove {self._shown}: {error.strerror or error}") from None

    # ---- what is there

    def top(self) -> Block | None:
        """The last block."""
        return self._block("ORDER BY height DESC LIMIT 1")

    def block(self, height: int) -> Block | None:
        """The block at `height`."""
        return self._block("WHERE height = ?", height)

    def height_of(self, block_hash: str) -> int | None:
        """The height of a block, or None if it isn't there."""
        rows = self._all("SELECT height FROM blocks WHERE hash = ?", bytes.fromhex(block_hash))
        return rows[0][0] if rows else None

    def history(self, name: bytes, limit: int, below: int) -> list[str]:
        """Txids that write `name` up to a height, in chain order, each once; `limit` of them."""
        rows = self._all(
            "SELECT txid FROM writes WHERE name = ? AND height <= ? ORDER BY height, position LIMIT ?",
            name,
            below,
            limit,
        )
        return [txid.hex() for (txid,) in rows]

    def located(self, txids: Sequence[str], below: int) -> dict[str, tuple[bytes, Place]]:
        """Transactions' bytes and their first places up to a height; those that are there."""
        rows = self._each_of(
            """SELECT txid, raw, hash, height, position, time, below FROM transactions JOIN blocks USING (height)
               WHERE height <= ?""",
            txids,
            below,
        )
        return {
            txid.hex(): (raw, Place(block.hex(), height, position, moment, int.from_bytes(work)))
            for txid, raw, block, height, position, moment, work in rows
        }

    def names(self, prefix: bytes, below: int) -> Iterator[bytes]:
        """The names that begin with `prefix` and have more, written up to a height, sorted."""
        query = """SELECT DISTINCT name FROM writes WHERE name > ?1 AND height <= ?2 AND name < ?3
            ORDER BY name LIMIT ?4"""
        return self._pages(query, prefix, below, _behind(prefix))

    def naming(self, organisation: str, below: int) -> Iterator[bytes]:
        """The names with a record that names `organisation`, sorted."""
        query = """SELECT DISTINCT name FROM writes WHERE name > ?1 AND height <= ?2 AND organisation = ?3
            ORDER BY name LIMIT ?4"""
        return self._pages(query, b"", below, organisation)

    def replaced(self, prefix: bytes, organisations: Sequence[str], below: int) -> Iterator[bytes]:
        """The names with certificates for several pairs by these organisations, sorted."""
        named = ", ".join(f"?{number}" for number in range(5, 5 + len(organisations)))
        # The plus keeps SQLite from sorting all rows for each page.
        query = f"""SELECT name FROM writes WHERE name > ?1 AND height <= ?2 AND name < ?3 AND pair IS NOT NULL
            AND +organisation IN ({named}) GROUP BY name HAVING count(DISTINCT pair) > 1
            ORDER BY name LIMIT ?4"""  # noqa: S608  # numbers of parameters
        return self._pages(query, prefix, below, _behind(prefix), *organisations)

    def count(self, prefix: bytes, organisation: str | None, below: int) -> int:
        """How many names with `prefix` there are, or how many that name `organisation`."""
        also = "" if organisation is None else " AND organisation = ?4"
        rows = self._all(
            f"SELECT count(DISTINCT name) FROM writes WHERE name > ?1 AND name < ?3 AND height <= ?2{also}",  # noqa: S608
            prefix,
            below,
            _behind(prefix),
            *([] if organisation is None else [organisation]),
        )
        return int(rows[0][0])

    def written(self, above: int, below: int) -> set[bytes]:
        """The names written above one height and up to another."""
        rows = self._all("SELECT DISTINCT name FROM writes WHERE height BETWEEN ? AND ?", above + 1, below)
        return {name for (name,) in rows}

    def spent(self, txids: Sequence[str]) -> dict[str, bytes]:
        """Those of the transactions that were kept because they are spent."""
        return {
            txid.hex(): raw for txid, raw in self._each_of("SELECT txid, raw FROM spent WHERE TRUE", txids)
        }

    def keep_spent(self, transactions: Iterable[tuple[str, bytes]]) -> None:
        """Keep transactions that are spent, by txid."""
        with self._changing() as database:
            database.executemany(
                "INSERT OR IGNORE INTO spent VALUES (?, ?)",
                [(bytes.fromhex(txid), raw) for txid, raw in transactions],
            )

    def append(self, on: Block | None, blocks: Sequence[Block], entries: Iterable[Entry]) -> bool:
        """Add blocks on top of `on`; False, and nothing is changed, if that isn't the last one any more."""
        with self._changing() as database:
            if self.top() != on:
                return False
            database.executemany(
                "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)",
                [(b.height, bytes.fromhex(b.hash), b.time, b.bits, b.below.to_bytes(32)) for b in blocks],
            )
            for entry in entries:
                txid = bytes.fromhex(entry.txid)
                added = database.execute(
                    "INSERT OR IGNORE INTO transactions VALUES (?, ?, ?, ?)",
                    (txid, entry.height, entry.position, entry.raw),
                )
                if added.rowcount:  # otherwise it was mined before (BIP30 is off): the first time counts
                    database.executemany(
                        "INSERT INTO writes VALUES (?, ?, ?, ?, ?, ?)",
                        [(name, entry.height, entry.position, txid, *more) for name, *more in entry.writes],
                    )
        return True

    def cut(self, height: int) -> None:
        """Forget all above `height`."""
        with self._changing() as database:
            for table in ("writes", "transactions", "blocks"):
                database.execute(f"DELETE FROM {table} WHERE height > ?", (height,))  # noqa: S608  # our own names

    # ---- underneath

    @property
    def _shown(self) -> str:
        return visible(str(self._path))

    def _block(self, which: str, *values: Any) -> Block | None:
        rows = self._all(f"SELECT height, hash, time, bits, below FROM blocks {which}", *values)  # noqa: S608
        if not rows:
            return None
        height, block_hash, moment, bits, below = rows[0]
        return Block(height, block_hash.hex(), moment, bits, int.from_bytes(below))

    def _pages(self, query: str, start: bytes, below: int, bound: bytes | str, *more: str) -> Iterator[bytes]:
        """One column, a page at a time, each from behind the last row of the one before."""
        while True:
            rows = self._all(query, start, below, bound, _PAGE, *more)
            yield from (value for (value,) in rows)
            if len(rows) < _PAGE:
                return
            start = rows[-1][0]

    def _each_of(self, query: str, txids: Sequence[str], *values: Any) -> Iterator[Any]:
        """The rows of `query` for these txids, some hundred in a question."""
        for start in range(0, len(txids), _MOST_ASKED):
            part = [bytes.fromhex(txid) for txid in txids[start : start + _MOST_ASKED]]
            yield from self._all(f"{query} AND txid IN ({', '.join('?' * len(part))})", *values, *part)

    def _all(self, query: str, *values: Any) -> list[Any]:
        with self._translated():
            return self._opened().execute(query, values).fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            database = self._opened()
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                with suppress(sqlite3.Error):  # it may be closed already
                    database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._prepare(self._connection)
        return self._connection

    def _prepare(self, database: sqlite3.Connection) -> None:
        # With WAL a power cut may undo the last changes, never a part of one.
        database.execute("PRAGMA synchronous = NORMAL")
        _when_free(database, "PRAGMA journal_mode = WAL")
        database.execute("BEGIN IMMEDIATE")
        application, version, tables = database.execute(
            """SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
               FROM pragma_application_id, pragma_user_version"""
        ).fetchone()
        if not application and not tables:
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute("INSERT INTO meta VALUES ('source', ?)", (self._source,))
            database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
        elif (application, version) != (_APPLICATION_ID, _VERSION):
            raise Damaged("it is of another version, or no index")
        elif database.execute("SELECT value FROM meta WHERE key = 'source'").fetchone() != (self._source,):
            for table in ("meta", "writes", "transactions", "spent", "blocks"):
                database.execute(f"DELETE FROM {table}")  # noqa: S608  # our own names
            database.execute("INSERT INTO meta VALUES ('source', ?)", (self._source,))
        elif database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise Damaged("its pages are damaged")
        database.execute("COMMIT")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Damaged:
            self.close()
            raise
        except sqlite3.DatabaseError as error:
            self.close()
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGED or str(error).startswith("no such "):
                raise Damaged(str(error)) from None
            raise Unavailable(
                f"can't use the index {self._shown}: {error}", hint="is the home writable, and the disk full?"
            ) from None
        except OSError as error:
            raise Unavailable(
                f"can't open the index {self._shown}: {error.strerror or error}", hint="is the home writable?"
            ) from None


def _when_free(database: sqlite3.Connection, statement: str) -> None:
    """The one statement that doesn't wait for other processes."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            database.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _behind(prefix: bytes) -> bytes:
    """The first name behind all that begin with `prefix`."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
