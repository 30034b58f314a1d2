"""The user's pins, kept in the home: which organisations are accepted, in which order (rule O2).

SQLite, so that several processes may accept at once and a full disk leaves what was there.
"""

import json
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

from doitrust.adapters.database import changing
from doitrust.adapters.files import exists
from doitrust.chain.networks import Network
from doitrust.errors import BadData
from doitrust.orgs.pins import Pin, Segment
from doitrust.text import visible

SCHEMA = """
CREATE TABLE IF NOT EXISTS pins (
    network TEXT NOT NULL, rank INTEGER NOT NULL, name TEXT NOT NULL, segments TEXT NOT NULL,
    PRIMARY KEY (network, name)
) STRICT
"""


class PinStore:
    """The pins of one network in the file `path`; made at the first acceptance."""

    def __init__(self, path: Path, network: Network) -> None:
        self._path = path
        self._network = network

    def all(self) -> tuple[Pin, ...]:
        """The pins in order of acceptance."""
        if not exists(self._path):
            return ()
        query = "SELECT name, segments FROM pins WHERE network = ? ORDER BY rank"
        with self._open() as database:
            rows = database.execute(query, (self._network.name,)).fetchall()
        return tuple(self._pin(name, segments) for name, segments in rows)

    def get(self, name: str) -> Pin | None:
        """The pin of one organisation, if it is accepted."""
        return next((pin for pin in self.all() if pin.name == name), None)

    def accept(self, *pins: Pin, anew: bool = False) -> None:
        """Accept organisations; one that was accepted before keeps its rank and loses its old pin (O2).

        With `anew` it loses its rank too. All are accepted or none.
        """
        network = self._network.name
        with self._open() as database:
            if anew:
                names = [(network, pin.name) for pin in pins]
                database.executemany("DELETE FROM pins WHERE network = ? AND name = ?", names)
            for pin in pins:
                segments = json.dumps([[segment.root, segment.until] for segment in pin.segments])
                database.execute(
                    "INSERT INTO pins SELECT ?1, 1 + COALESCE(MAX(rank), 0), ?2, ?3 FROM pins WHERE network = ?1"
                    " ON CONFLICT (network, name) DO UPDATE SET segments = excluded.segments",
                    (network, pin.name, segments),
                )

    def reject(self, name: str) -> bool:
        """Forget an organisation's pin; False if there was none."""
        if not exists(self._path):
            return False
        with self._open() as database:
            query = "DELETE FROM pins WHERE network = ? AND name = ?"
            return database.execute(query, (self._network.name, name)).rowcount > 0

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return changing(self._path, SCHEMA)

    def _pin(self, name: str, segments: str) -> Pin:
        try:
            return Pin(name, tuple(Segment(root, until) for root, until in json.loads(segments)))
        except (BadData, TypeError, ValueError) as error:
            raise BadData(
                f"the pin of {visible(name)!r} in {visible(str(self._path))} is damaged: {error}"
            ) from None
