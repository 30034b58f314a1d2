"""What an audit has written: a file of lines, each a meter, that a later run goes on with.

The home remembers what each file is an audit of. One of anything else is begun anew.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from doitrust.adapters.database import changing
from doitrust.errors import Unavailable
from doitrust.text import visible

_SCHEMA = "CREATE TABLE IF NOT EXISTS audits (path TEXT PRIMARY KEY, basis TEXT NOT NULL) STRICT"
#: Longer lines are none of ours.
_MAX_LINE = 65536


class AuditFile:
    """The file `path`: CSV if its name ends so, otherwise JSON Lines. `columns` are the fields of a row.

    `basis` stands for all that the verdicts depend on; `memory` is where the home keeps it. All methods raise
    `Unavailable` if the disk refuses.
    """

    def __init__(self, path: Path, columns: Sequence[str], memory: Path) -> None:
        self._path = path
        self._columns = list(columns)
        self._memory = memory
        self._csv = path.suffix.lower() == ".csv"
        self._file: IO[bytes] | None = None
        #: Bytes of whole lines that were read, which stay.
        self._kept = 0

    def rows(self, basis: str) -> Iterator[Mapping[str, Any]]:
        """The whole rows that are there and belong to `basis`, up to the first that can't be read."""
        self._kept = 0
        try:
            if not self._path.is_file() or self._remembered() != basis:
                return
            with self._path.open("rb") as file:
                if self._csv:
                    head = file.readline(_MAX_LINE)
                    if head != self._line(self._columns):
                        return
                    self._kept = len(head)
                while (line := file.readline(_MAX_LINE)).endswith(b"\n"):
                    row = self._read(line)
                    if row is None:
                        return
                    yield row
                    self._kept += len(line)
        except OSError as error:
            raise self._cannot("read", error) from None

    def go_on(self, basis: str, *, anew: bool) -> None:
        """Open the file for rows to come, behind those that were read, or `anew`."""
        kept = 0 if anew else self._kept
        self.close()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if kept == 0:
                self._remember("")  # until the file is empty it is an audit of nothing
            self._file = self._path.open("r+b" if kept else "wb")
            self._file.seek(kept)
            self._file.truncate()
            if not kept and self._csv:
                self._file.write(self._line(self._columns))
            self._file.flush()
        except OSError as error:
            raise self._cannot("write", error) from None
        self._remember(basis)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows, so that they are there if the process is killed now."""
        if self._file is None:
            raise AssertionError("it is opened first")
        try:
            for row in rows:
                self._file.write(self._encoded(row))
            self._file.flush()
        except OSError as error:
            raise self._cannot("write", error) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _encoded(self, row: Mapping[str, Any]) -> bytes:
        if self._csv:
            return self._line([_cell(row[column]) for column in self._columns])
        return json.dumps(row).encode() + b"\n"

    def _line(self, cells: Sequence[Any]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        return text.getvalue().encode()

    def _read(self, line: bytes) -> Mapping[str, Any] | None:
        try:
            if self._csv:
                (cells,) = csv.reader([line.decode()])
                return dict(zip(self._columns, cells, strict=True))
            row = json.loads(line)
        except (ValueError, csv.Error):
            return None
        return row if isinstance(row, dict) else None

    def _remembered(self) -> str | None:
        with changing(self._memory, _SCHEMA) as database:
            found = database.execute("SELECT basis FROM audits WHERE path = ?", (self._key,)).fetchone()
        return None if found is None else found[0]

    def _remember(self, basis: str) -> None:
        with changing(self._memory, _SCHEMA) as database:
            database.execute("INSERT OR REPLACE INTO audits VALUES (?, ?)", (self._key, basis))

    @property
    def _key(self) -> str:
        return str(self._path.resolve())

    def _cannot(self, do: str, error: OSError) -> Unavailable:
        return Unavailable(
            f"can't {do} {visible(str(self._path))}: {error.strerror or error}",
            hint="check that the folder exists, may be written to, and has room",
        )


def _cell(value: Any) -> Any:
    """Null is an empty cell; true and false are as in JSON."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
