"""One way to use an SQLite file in the home: a transaction, wholly or not at all, between any number of processes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from doitrust.errors import Unavailable
from doitrust.text import visible

_BUSY_SECONDS = 30
#: The form of the home's databases, as SQLite's `user_version`; 0, a file of before there were several, is the first.
VERSION = 1


@contextmanager
def changing(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """A connection inside one transaction, committed at the end or not at all; `schema` makes what isn't there.

    Raises `Unavailable` if the disk refuses, the file is damaged, another process is busy too long, or a newer
    doitrust has given the file another form.
    """
    shown = visible(str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"can't open {shown}: {error}", hint="is the home writable?") from None
    try:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found > VERSION:
            raise Unavailable(
                f"{shown} was changed by a newer doitrust (form {found})",
                hint="use that one",
                code="newer_home",
            )
        for statement in schema.split(";"):
            database.execute(statement)
        if found != VERSION:
            database.execute(f"PRAGMA user_version = {VERSION}")
        yield database
        database.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise Unavailable(
            f"can't use {shown}: {error}", hint="is the disk full, or the file damaged?"
        ) from None
    finally:
        database.close()
