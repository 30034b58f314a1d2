"""The mempool: transactions that wait for a block, in the order in which they came."""

import contextlib
import sqlite3
from collections.abc import Iterable

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.family import Family
from doitrust.adapters.devnet.names import names_written
from doitrust.adapters.devnet.policy import MAX_FEE_RATE, check_relay, check_standard
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.replacement import check_replacement, is_replaceable
from doitrust.adapters.devnet.rows import Rows, key
from doitrust.adapters.devnet.rules import (
    Checked,
    check_form,
    check_scripts,
    check_transaction,
    is_final,
)
from doitrust.adapters.devnet.tables import Tables
from doitrust.adapters.devnet.view import MEMPOOL_HEIGHT, Coin, Outpoint, Overlay, Record, View
from doitrust.chain.engine import STANDARD_FLAGS
from doitrust.chain.tx import Transaction


class Pool(Rows):
    """The waiting transactions in one transaction of the database.

    It is a `View` too: of the chain's coins without those that waiting transactions spend, and with those that
    they make. Names are the chain's alone.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._chain = Tables(connection)

    # ---- as a view

    def coin(self, outpoint: Outpoint) -> Coin | None:
        """The coin, or None if it doesn't exist, or is or will be spent."""
        return None if self.spender(outpoint) is not None else self._made(outpoint)

    def _made(self, outpoint: Outpoint) -> Coin | None:
        """The coin, whether or not a waiting transaction spends it."""
        found = self._chain.coin(outpoint)
        if found is not None:
            return found
        tx = self.transaction(outpoint[0])
        if tx is None or outpoint[1] >= len(tx.outputs):
            return None
        # Also one that can never be spent (src/txmempool.cpp, CCoinsViewMemPool::GetCoin).
        return Coin(*tx.outputs[outpoint[1]], MEMPOOL_HEIGHT, False)

    def record(self, name: bytes) -> Record | None:
        """What the chain's name database holds for `name`."""
        return self._chain.record(name)

    def written_at(self, height: int) -> set[bytes]:
        """The names whose last write is at `height`."""
        return self._chain.written_at(height)

    def median_time(self, height: int) -> int:
        """The median time past of block `height`."""
        return self._chain.median_time(height)

    # ---- what waits

    def transaction(self, txid: str) -> Transaction | None:
        """The waiting transaction, or None."""
        row = self._one("SELECT raw FROM waiting WHERE txid = ?", bytes.fromhex(txid))
        return None if row is None else Transaction.parse(row[0])

    def transactions(self) -> list[Transaction]:
        """All that wait, in the order in which they came."""
        return [Transaction.parse(raw) for (raw,) in self._all("SELECT raw FROM waiting ORDER BY serial")]

    def writing(self, name: bytes) -> list[str]:
        """The txids of those that write `name`, in the order in which they came."""
        rows = self._all(
            "SELECT txid FROM waiting_names JOIN waiting USING (serial) WHERE name = ? ORDER BY serial", name
        )
        return [txid.hex() for (txid,) in rows]

    def spender(self, outpoint: Outpoint) -> str | None:
        """The txid of the one that spends `outpoint`, or None."""
        row = self._one(
            """SELECT waiting.txid FROM waiting_spends AS spends JOIN waiting USING (serial)
               WHERE spends.txid = ? AND vout = ?""",
            *key(outpoint),
        )
        return None if row is None else row[0].hex()

    def __len__(self) -> int:
        """How many wait."""
        return int(self._one("SELECT count(*) FROM waiting")[0])

    # ---- coming and going

    def admit(self, tx: Transaction, *, relay: bool, max_fee_rate: int = MAX_FEE_RATE) -> None:
        """Take a transaction in, after all checks, in the place of what it replaces. Raises `Rejected`."""
        self.check(tx, relay=relay, max_fee_rate=max_fee_rate)
        for spent in tx.inputs:
            self._drop_spender((spent.txid, spent.vout))
        self._insert(tx)

    def check(self, tx: Transaction, *, relay: bool, max_fee_rate: int = MAX_FEE_RATE) -> Checked:
        """Check a transaction that wants in (MemPoolAccept). Raises `Rejected`.

        `relay`: whether it must also be what nodes relay (`policy.py`), or only what a block may hold, as when it
        comes back from a block that was removed. `max_fee_rate`: schwartz a 1000 virtual bytes, 0 for no limit.
        """
        at = self._chain.next()
        check_form(tx)
        if tx.is_coinbase:
            raise Rejected("coinbase", "a coinbase can't be sent")
        if relay:
            check_standard(tx)
        if not is_final(tx, at.height, at.median_time):
            raise Rejected("non-final", f"locked until {tx.lock_time}")
        conflicts, view = self._conflicts(tx, replaces=relay)
        checked = check_transaction(tx, view, at, waiting=True)
        if relay:
            check_relay(checked, max_fee_rate=max_fee_rate)
            if conflicts:
                check_replacement(checked, conflicts, Family(self.transactions(), self._chain.coin))
            check_scripts(checked, STANDARD_FLAGS)
        check_scripts(checked, params.block_flags(at.height))
        return checked

    def _conflicts(self, tx: Transaction, *, replaces: bool) -> tuple[set[str], View]:
        """The waiting transactions that spend what `tx` spends, and the view in which they don't. Raises `Rejected`."""
        found: set[str] = set()
        view = Overlay(self)
        for spent in tx.inputs:
            outpoint = (spent.txid, spent.vout)
            txid = self.spender(outpoint)
            other = None if txid is None else self.transaction(txid)
            if other is not None:
                if not replaces or not is_replaceable(other):
                    raise Rejected("txn-mempool-conflict", f"{spent.txid}:{spent.vout} is being spent")
                found.add(other.txid)
                view.coins[outpoint] = self._made(outpoint)
        return found, view

    def readmit(self, transactions: Iterable[Transaction]) -> None:
        """Make the mempool anew of those of `transactions` that can still stand in a block."""
        for table in ("waiting", "waiting_names", "waiting_spends"):
            self._do(f"DELETE FROM {table}")  # noqa: S608  # names from the line above
        for tx in transactions:
            if self.transaction(tx.txid) is None:
                with contextlib.suppress(Rejected):
                    self.admit(tx, relay=False)

    def confirm(self, transactions: Iterable[Transaction], gone: Iterable[Outpoint]) -> None:
        """Drop what a new block holds, and whatever spends the outpoints that are `gone` with it."""
        for tx in transactions:
            self._delete(tx.txid)
        for outpoint in gone:
            self._drop_spender(outpoint)

    def _drop_spender(self, outpoint: Outpoint) -> None:
        """Drop the transaction that spends `outpoint`, and all that depend on it."""
        doomed = [self.spender(outpoint)]
        while doomed:
            txid = doomed.pop()
            tx = None if txid is None else self.transaction(txid)
            if tx is not None:
                doomed += [self.spender((tx.txid, vout)) for vout in range(len(tx.outputs))]
                self._delete(tx.txid)

    def _insert(self, tx: Transaction) -> None:
        self._do("INSERT INTO waiting (txid, raw) VALUES (?, ?)", bytes.fromhex(tx.txid), tx.raw)
        (serial,) = self._one("SELECT last_insert_rowid()")
        names = {name for name, _ in names_written(tx)}
        self._do_all("INSERT INTO waiting_names VALUES (?, ?)", [(name, serial) for name in names])
        spends = [(*key((spent.txid, spent.vout)), serial) for spent in tx.inputs]
        self._do_all("INSERT INTO waiting_spends VALUES (?, ?, ?)", spends)

    def _delete(self, txid: str) -> None:
        row = self._one("SELECT serial FROM waiting WHERE txid = ?", bytes.fromhex(txid))
        if row is not None:
            self._do("DELETE FROM waiting WHERE serial = ?", *row)
            self._do("DELETE FROM waiting_names WHERE serial = ?", *row)
            self._do("DELETE FROM waiting_spends WHERE serial = ?", *row)
