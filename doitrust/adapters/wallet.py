"""What a home remembers of what it signs: the journal of transactions, owners' descriptors, pairings.

SQLite, so that a process that is killed leaves the state before or after a step and nothing between, and several
processes don't spend one coin twice. Nothing here is secret.
"""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from doitrust.adapters.database import changing
from doitrust.adapters.files import exists
from doitrust.chain.networks import Network
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Refused
from doitrust.ports import REFUSED, REPLACED, SENT, SIGNED, Entry, versions
from doitrust.text import visible

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, network TEXT NOT NULL, txid TEXT NOT NULL, raw BLOB NOT NULL, state TEXT NOT NULL,
    command TEXT NOT NULL, subject TEXT NOT NULL, fee INTEGER NOT NULL, created INTEGER NOT NULL,
    note TEXT NOT NULL, details TEXT NOT NULL, UNIQUE (network, txid)
) STRICT;
CREATE TABLE IF NOT EXISTS spends (
    network TEXT NOT NULL, txid TEXT NOT NULL, vout INTEGER NOT NULL, entry INTEGER NOT NULL REFERENCES entries,
    PRIMARY KEY (network, txid, vout)
) STRICT;
CREATE TABLE IF NOT EXISTS descriptors (
    network TEXT NOT NULL, script BLOB NOT NULL, descriptor TEXT NOT NULL, PRIMARY KEY (network, script)
) STRICT;
CREATE TABLE IF NOT EXISTS roots (
    network TEXT NOT NULL, name TEXT NOT NULL, root TEXT NOT NULL, PRIMARY KEY (network, name)
) STRICT;
CREATE TABLE IF NOT EXISTS pairings (
    network TEXT NOT NULL, node BLOB NOT NULL, client BLOB NOT NULL, PRIMARY KEY (network, node, client)
) STRICT;
"""

_OPEN = (SIGNED, SENT)


class Wallet:
    """The file `path` for one network, made at the first use. All methods raise `Unavailable` if the disk refuses."""

    def __init__(self, path: Path, network: Network) -> None:
        self._path = path
        self._network = network.name

    # ---- the journal

    def record(
        self, tx: Transaction, command: str, subject: str, fee: int, now: int, details: Mapping[str, Any]
    ) -> None:
        """Keep a signed transaction before anybody else sees it.

        Raises `Refused` if an open entry spends one of its coins: another process was faster.
        """
        with self._open() as database:
            self._record(database, tx, (command, subject, fee, now, json.dumps(details)))

    def replace(self, old: str, tx: Transaction, fee: int, now: int) -> None:
        """Keep a signed transaction that does the same as the open entry `old` for more, in its place.

        An organisation's root that `old` made is now what `tx` makes. Raises `Refused` if `old` is open no more, or
        another open entry spends one of its coins, or one that `old` makes.
        """
        with self._open() as database:
            row = database.execute(
                "SELECT state, command, subject, details FROM entries WHERE network = ? AND txid = ?",
                (self._network, old),
            ).fetchone()
            if row is None or row[0] not in _OPEN:
                raise Refused(f"{old} is no longer under way", hint="doitrust tx list", code="not_under_way")
            child = database.execute(
                "SELECT 1 FROM spends WHERE (network, txid) = (?, ?)", (self._network, old)
            ).fetchone()
            if child is not None:
                raise Refused(
                    f"another transaction spends the change of {old} meanwhile",
                    hint="run the command again",
                    code="coin_in_use",
                )
            self._mark(database, old, REPLACED, tx.txid)
            self._record(database, tx, (row[1], row[2], fee, now, row[3]))
            self._move_roots(database, old, tx.txid)

    def choose(self, txid: str) -> None:
        """Let this version of a transaction be the one that counts, in the place of all others."""
        with self._open() as database:
            for entry in versions(self._entries(database), txid):
                if entry.tx.txid != txid:
                    self._mark(database, entry.tx.txid, REPLACED, txid)
                    self._move_roots(database, entry.tx.txid, txid)
            self._reopen(database, txid)

    def refuse(self, txid: str, why: str) -> None:
        """Give up a version that nobody takes: the one that it should have replaced, if any, counts again."""
        with self._open() as database:
            others = [e for e in versions(self._entries(database), txid) if e.tx.txid != txid]
            self._mark(database, txid, REFUSED, why)
            if others:
                last = others[-1].tx.txid
                for entry in others[:-1]:
                    self._mark(database, entry.tx.txid, REPLACED, last)
                self._move_roots(database, txid, last)
                self._reopen(database, last)

    def _reopen(self, database: sqlite3.Connection, txid: str) -> None:
        """It is under way again, and its coins are its own."""
        self._mark(database, txid, SENT, "")
        entry, raw = database.execute(
            "SELECT id, raw FROM entries WHERE network = ? AND txid = ?", (self._network, txid)
        ).fetchone()
        spent = [(self._network, i.txid, i.vout, entry) for i in Transaction.parse(raw).inputs]
        database.executemany("INSERT OR IGNORE INTO spends VALUES (?, ?, ?, ?)", spent)

    def _record(self, database: sqlite3.Connection, tx: Transaction, what: tuple[object, ...]) -> None:
        spent = [(self._network, i.txid, i.vout) for i in tx.inputs]
        taken = (
            "SELECT e.txid FROM spends s JOIN entries e ON e.id = s.entry"
            " WHERE (s.network, s.txid, s.vout) = (?, ?, ?)"
        )
        for outpoint in spent:
            other = database.execute(taken, outpoint).fetchone()
            if other is not None and other[0] != tx.txid:
                raise Refused(
                    f"the transaction {other[0]}, which is still under way, spends the same coin",
                    hint="doitrust tx resume",
                    code="coin_in_use",
                )
        entry = database.execute(
            "INSERT INTO entries (network, txid, raw, state, command, subject, fee, created, note, details)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', ?) ON CONFLICT DO UPDATE SET raw = excluded.raw,"
            " state = excluded.state, note = '' RETURNING id",
            (self._network, tx.txid, tx.raw, SIGNED, *what),
        ).fetchone()[0]
        database.executemany("INSERT OR IGNORE INTO spends VALUES (?, ?, ?, ?)", [(*o, entry) for o in spent])

    def _move_roots(self, database: sqlite3.Connection, old: str, new: str) -> None:
        """A replaced transaction's organisation begins with the other."""
        database.execute(
            "UPDATE roots SET root = ? WHERE network = ? AND root = ?", (new, self._network, old)
        )

    def mark(self, txid: str, state: str, note: str = "") -> None:
        """Say what became of a transaction; one that is no longer open gives its coins free.

        Of one that another version took the place of nothing is said: another process may have replaced it.
        """
        with self._open() as database:
            found = database.execute(
                "SELECT state FROM entries WHERE network = ? AND txid = ?", (self._network, txid)
            ).fetchone()
            if found is None or found[0] != REPLACED:
                self._mark(database, txid, state, note)

    def _mark(self, database: sqlite3.Connection, txid: str, state: str, note: str) -> None:
        where = (self._network, txid)
        database.execute(
            "UPDATE entries SET state = ?, note = ? WHERE network = ? AND txid = ?", (state, note, *where)
        )
        if state not in _OPEN:
            database.execute(
                "DELETE FROM spends WHERE entry = (SELECT id FROM entries WHERE network = ? AND txid = ?)",
                where,
            )

    def entries(self) -> list[Entry]:
        """All of the journal, oldest first."""
        if not exists(self._path):
            return []
        with self._open() as database:
            return self._entries(database)

    def _entries(self, database: sqlite3.Connection) -> list[Entry]:
        columns = "raw, state, command, subject, fee, created, note, details"
        query = f"SELECT {columns} FROM entries WHERE network = ? ORDER BY id"  # noqa: S608  # from the line above
        return [self._entry(row) for row in database.execute(query, (self._network,)).fetchall()]

    def pending(self, command: str, subject: str) -> Entry | None:
        """The open entry that was made for this, or None."""
        found = [e for e in self.entries() if e.is_open and (e.command, e.subject) == (command, subject)]
        return found[-1] if found else None

    def in_use(self) -> set[tuple[str, int]]:
        """The outpoints that open entries spend."""
        return set(self._rows("SELECT txid, vout FROM spends WHERE network = ?", self._network))

    # ---- what else is remembered

    def keep_descriptor(self, script: bytes, descriptor: str) -> None:
        """Remember the descriptor of an owner's script."""
        with self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO descriptors VALUES (?, ?, ?)", (self._network, script, descriptor)
            )

    def descriptor(self, script: bytes) -> str | None:
        """The descriptor whose script this is, if it is remembered."""
        query = "SELECT descriptor FROM descriptors WHERE network = ? AND script = ?"
        return next((text for (text,) in self._rows(query, self._network, script)), None)

    def keep_root(self, name: str, root: str) -> None:
        """Remember the root of an organisation that was made here."""
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO roots VALUES (?, ?, ?)", (self._network, name, root))

    def root(self, name: str) -> str | None:
        """The root of an organisation that was made here."""
        query = "SELECT root FROM roots WHERE network = ? AND name = ?"
        return next((root for (root,) in self._rows(query, self._network, name)), None)

    def keep_pairing(self, node: bytes, client: bytes) -> None:
        """Remember a pairing's keys."""
        with self._open() as database:
            database.execute("INSERT OR IGNORE INTO pairings VALUES (?, ?, ?)", (self._network, node, client))

    def pairings(self) -> list[tuple[bytes, bytes]]:
        """The (node, client) keys that are remembered."""
        return list(self._rows("SELECT node, client FROM pairings WHERE network = ?", self._network))

    def _rows(self, query: str, *values: object) -> list[Any]:
        if not exists(self._path):
            return []
        with self._open() as database:
            return database.execute(query, values).fetchall()

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        raw, state, command, subject, fee, created, note, details = row
        try:
            tx, found = Transaction.parse(raw), json.loads(details)
            if not isinstance(found, dict):
                raise ValueError("no object")
        except (BadData, ValueError):
            raise BadData(f"the journal in {visible(str(self._path))} is damaged") from None
        return Entry(tx, state, command, subject, fee, created, note, found)

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return changing(self._path, SCHEMA)
