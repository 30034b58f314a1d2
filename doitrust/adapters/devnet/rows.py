"""The database's rows, below `Tables` and `Pool`."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from doitrust.adapters.devnet.view import Outpoint


class Rows:
    """Statements in one transaction of the database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _one(self, statement: str, *values: Any) -> Any:
        """Return the first row, or None."""
        return self._connection.execute(statement, values).fetchone()

    def _all(self, statement: str, *values: Any) -> list[Any]:
        return self._connection.execute(statement, values).fetchall()

    def _each(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Return rows to be read while the transaction lasts."""
        return self._connection.execute(statement, values)

    def _do(self, statement: str, *values: Any) -> None:
        self._connection.execute(statement, values)

    def _do_all(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self._connection.executemany(statement, rows)


def key(outpoint: Outpoint) -> tuple[bytes, int]:
    """Return an outpoint as its columns: hashes are kept as bytes, in the order in which they are displayed."""
    return bytes.fromhex(outpoint[0]), outpoint[1]
