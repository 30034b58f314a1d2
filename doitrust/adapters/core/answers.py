"""What a node's answers are read as: whatever is something else is a lie, and said to be one."""

import re
from collections.abc import Mapping
from typing import Any

from doitrust.errors import Unavailable

_HASH = re.compile("[0-9a-f]{64}")
_MOST = 2**32


class Answers:
    """Reads the answers of the node `name`; all methods raise `Unavailable`, as of a source that lies."""

    name: str

    def _fields(self, value: Any) -> Mapping[str, Any]:
        """An object."""
        if not isinstance(value, dict):
            raise self._lies("an answer that is no object")
        return value

    def _rows(self, rows: Any) -> list[dict[str, Any]]:
        """A list of objects."""
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise self._lies("an answer that is no list")
        return rows

    def _number(self, value: Any) -> int:
        """A number of 32 bits."""
        if type(value) is not int or not 0 <= value < _MOST:
            raise self._lies("an answer without its numbers")
        return value

    def _text(self, value: Any) -> str:
        """A hash."""
        if not isinstance(value, str) or not _HASH.fullmatch(value):
            raise self._lies("an answer that is no hash")
        return value

    def _bytes(self, value: Any) -> bytes:
        """Bytes sent as hex."""
        try:
            return bytes.fromhex(value)
        except (TypeError, ValueError):
            raise self._lies("an answer that is no hex") from None

    def _lies(self, what: str) -> Unavailable:
        return Unavailable(
            f"the node {self.name} gives wrong answers: {what}",
            hint="ask another source",
            code="lying_source",
        )
