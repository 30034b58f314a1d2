"""The devnet's database: one SQLite file that any number of processes share.

Every change is one transaction under SQLite's write lock: it happens as a whole or not at all, also when the
process is killed or the disk is full. Readers see the last finished change and wait for nobody (WAL).
"""

import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from doitrust.adapters.devnet.pool import Pool
from doitrust.adapters.devnet.tables import SCHEMA, Tables
from doitrust.errors import BadData, DoitrustError, Unavailable
from doitrust.text import visible

#: Written into the file: that it is ours ("doit"), and the schema's number.
APPLICATION_ID = 0x646F6974
SCHEMA_VERSION = 1
#: Seconds that a process waits for another one's change. The longest is an import.
BUSY_SECONDS = 30.0
#: Files that SQLite keeps beside the database.
_COMPANIONS = ("-wal", "-shm", "-journal")
# SQLite's primary result codes (sqlite.org/rescode.html), by what a user can do about them.
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_REFUSED_BY_DISK = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOLFS})
_NO_ACCESS = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL}
)
_RESET = "to begin anew: doitrust devnet reset"

T = TypeVar("T")


class Session(NamedTuple):
    """One transaction of the database: the chain and what waits."""

    chain: Tables
    pool: Pool


class Store:
    """The database file at `path`, opened at first use, made if it isn't there; for one thread."""

    def __init__(self, path: Path, fill: Callable[[Session], None]) -> None:
        self.path = path
        self._fill = fill
        self._connection: sqlite3.Connection | None = None
        self._close: Callable[[], object] = lambda: None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a view of one moment. Raises `BadData` for a damaged file, `Unavailable` for a disk that refuses."""
        with self._transaction("BEGIN") as session:
            yield session

    @contextmanager
    def changing(self) -> Iterator[Session]:
        """Give the chain to be changed: all of it, when the block ends, or nothing, if it raises."""
        with self._transaction("BEGIN IMMEDIATE") as session:
            yield session

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._connection = None
        self._close()

    def set_aside(self) -> None:
        """Rename a file that can't be used, so that the next use makes a new one."""
        self.close()
        try:
            self.path.replace(self.path.with_name(self.path.name + ".damaged"))
            for ending in _COMPANIONS:
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"can't rename {self._shown}: {error.strerror or error}") from None

    @property
    def _shown(self) -> str:
        return visible(str(self.path))

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Session]:
        with self._translated():
            connection = self._connection or self._open()
        try:
            with self._translated():
                connection.execute(begin)
                yield _session(connection)
                connection.execute("COMMIT")
        except BaseException:  # Ctrl-C too changes nothing
            self._roll_back(connection)
            raise

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:  # SQLite itself has rolled back after some errors
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()  # the next to open the file rolls back

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            shown = visible(str(self.path.parent))
            raise Unavailable(
                f"can't make the devnet's folder {shown}: {error.strerror or error}",
                hint="name another with --devnet",
            ) from None
        # One thread uses it; another may be the one that throws it away.
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._close = weakref.finalize(self, connection.close)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # NORMAL: with WAL a power cut may undo the last changes, never a part of one.
        connection.execute("PRAGMA synchronous = NORMAL")
        if _when_free(lambda: self._is_ready(connection)):
            return
        _when_free(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone())
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_ready(connection):  # another process may have been first
                for statement in SCHEMA:
                    connection.execute(statement)
                self._fill(_session(connection))
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise

    def _is_ready(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is a devnet's; False for an empty one. Raises `BadData` for any other."""
        # One statement, so one moment: another process may be making it.
        application, version, tables = connection.execute(
            """SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
               FROM pragma_application_id, pragma_user_version"""
        ).fetchone()
        if application == version == tables == 0:
            return False
        if application != APPLICATION_ID:
            raise BadData(f"{self._shown} is not a devnet's database", hint=_RESET)
        if version != SCHEMA_VERSION:
            raise BadData(
                f"the devnet {self._shown} has format {version}, this doitrust reads {SCHEMA_VERSION}",
                hint=f"use the doitrust that made it, or {_RESET}",
            )
        return True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            trouble = self._trouble(error)
            if trouble is None:  # a bug of ours
                raise
            raise trouble from error

    def _trouble(self, error: sqlite3.DatabaseError) -> DoitrustError | None:
        """Return our error for one of SQLite's that a user can meet, or None."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED or str(error).startswith("no such "):
            return BadData(f"the devnet's database {self._shown} is damaged: {error}", hint=_RESET)
        if code in _REFUSED_BY_DISK:
            return Unavailable(
                f"the devnet {self._shown} can't be written: {error}",
                hint="nothing was changed; free some space on its disk, or lift the limit on file sizes",
            )
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Unavailable(
                f"another process has kept the devnet {self._shown} busy for {BUSY_SECONDS:.0f} seconds",
                hint="wait until it is done, then try again",
            )
        if code in _NO_ACCESS:
            return Unavailable(
                f"the devnet {self._shown} can't be opened or written: {error}",
                hint="check the access rights of its folder, or name another with --devnet",
            )
        return None


def _session(connection: sqlite3.Connection) -> Session:
    return Session(Tables(connection), Pool(connection))


def _when_free(action: Callable[[], T]) -> T:
    """Do `action`, again while SQLite says that the file is busy: for the one statement that doesn't wait."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.02)
