"""Transactions: strict parsing, txids, signature hashes.

The structure is read by `wire`, signature hashes are btclib's. A `Transaction` is read-only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import NamedTuple

from btclib.script.script_pub_key import ScriptPubKey
from btclib.script.sig_hash import legacy, segwit_v0
from btclib.script.witness import Witness
from btclib.tx import Tx
from btclib.tx.out_point import OutPoint
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from doitrust.chain.names import NAME_TX_VERSION, NameOutput, read_canonical
from doitrust.chain.wire import Input as Input
from doitrust.chain.wire import Output as Output
from doitrust.chain.wire import hash256, read_parts
from doitrust.errors import BadData

SIGHASH_ALL = 0x01
_NULL_OUTPOINT = ("00" * 32, 0xFFFFFFFF)


class Write(NamedTuple):
    """A canonical name output of a transaction, with its index."""

    vout: int
    output: NameOutput


@dataclass(frozen=True, eq=False)
class Transaction:
    """A transaction whose bytes were read to the last one.

    `txid` is as displayed (hex, reversed), `version` unsigned; a sequence for each of `inputs`.
    """

    raw: bytes
    txid: str
    version: int
    inputs: tuple[Input, ...]
    sequences: tuple[int, ...]
    outputs: tuple[Output, ...]
    lock_time: int

    @classmethod
    def parse(cls, raw: bytes) -> "Transaction":
        """Parse exactly one transaction; raises `BadData` for anything but its canonical bytes."""
        transaction, end = cls._read(raw, 0, witness=True)
        if end != len(raw):
            raise BadData("a transaction with trailing bytes")
        return transaction

    @classmethod
    def read_from(cls, stream: BytesIO, *, witness: bool = True) -> "Transaction":
        """Parse the next transaction of `stream`; `witness=False` for an AuxPoW's parent coinbase."""
        transaction, end = cls._read(stream.getvalue(), stream.tell(), witness=witness)
        stream.seek(end)
        return transaction

    @classmethod
    def _read(cls, data: bytes, start: int, *, witness: bool) -> "tuple[Transaction, int]":
        version, inputs, sequences, outputs, lock_time, stripped, end = read_parts(
            data, start, witness=witness
        )
        txid = hash256(stripped)[::-1].hex()
        return cls(data[start:end], txid, version, inputs, sequences, outputs, lock_time), end

    @classmethod
    def build(
        cls, version: int, lock_time: int, inputs: Sequence[tuple[Input, int]], outputs: Sequence[Output]
    ) -> "Transaction":
        """Make a transaction from (input, sequence) pairs and outputs."""
        return cls.parse(_btclib(version, lock_time, inputs, outputs).serialize(True, check_validity=False))

    @cached_property
    def _tx(self) -> Tx:
        """The same for btclib; nothing may change it."""
        return _btclib(
            self.version, self.lock_time, zip(self.inputs, self.sequences, strict=True), self.outputs
        )

    @property
    def wtxid(self) -> bytes:
        """Hash with witnesses, in wire order (BIP 141)."""
        return hash256(self.raw)

    @property
    def stripped(self) -> bytes:
        """The bytes without witnesses: those that the txid holds."""
        return read_parts(self.raw, 0, witness=True).stripped if self.has_witness else self.raw

    @property
    def has_witness(self) -> bool:
        """Whether any input carries a witness."""
        return any(spent.witness for spent in self.inputs)

    @property
    def is_coinbase(self) -> bool:
        """Whether this creates coins: one input, spending the null outpoint."""
        return len(self.inputs) == 1 and self.inputs[0][:2] == _NULL_OUTPOINT

    @property
    def unpadded_size(self) -> int:
        """Bytes without scriptSigs and witnesses: what a miner can't pad (rule L1)."""
        size = 8 + _compact_size(len(self.inputs)) + _compact_size(len(self.outputs)) + 41 * len(self.inputs)
        return size + sum(8 + _compact_size(len(o.script)) + len(o.script) for o in self.outputs)

    @property
    def stripped_size(self) -> int:
        """Bytes without witnesses."""
        # `unpadded_size` counts each scriptSig as an empty one, of one byte.
        sigs = [len(spent.script_sig) for spent in self.inputs]
        return self.unpadded_size + sum(_compact_size(size) + size - 1 for size in sigs)

    @property
    def weight(self) -> int:
        """Three times the bytes without witnesses, and the bytes (BIP 141)."""
        return 3 * self.stripped_size + len(self.raw)

    @property
    def vsize(self) -> int:
        """Virtual bytes: a quarter of the weight, rounded up (BIP 141)."""
        return (self.weight + 3) // 4

    @cached_property
    def writes(self) -> Sequence[Write]:
        """The canonical name_doi outputs, empty unless version 0x7100 and no coinbase."""
        if self.version != NAME_TX_VERSION or self.is_coinbase:
            return []
        found = []
        for vout, output in enumerate(self.outputs):
            name = read_canonical(output.script)
            if name is not None:
                found.append(Write(vout, name))
        return found

    def signature_hash(self, index: int, script_code: bytes, amount: int | None, hash_type: int) -> bytes:
        """Return the 32 bytes that input `index`'s signature signs.

        With an `amount` (schwartz) it is BIP 143's, without it the legacy one. Any `hash_type` byte is hashed,
        as consensus does.
        """
        if amount is None:
            return legacy(script_code, self._tx, index, hash_type)
        return segwit_v0(script_code, self._tx, index, hash_type, amount)


def _compact_size(count: int) -> int:
    return 1 if count < 0xFD else 3 if count <= 0xFFFF else 5


def _btclib(
    version: int, lock_time: int, inputs: Iterable[tuple[Input, int]], outputs: Iterable[Output]
) -> Tx:
    """A btclib transaction of these parts."""
    vin = [
        TxIn(OutPoint(i.txid, i.vout, check_validity=False), i.script_sig, sequence,
             Witness(list(i.witness)), check_validity=False)
        for i, sequence in inputs
    ]  # fmt: skip
    vout = [
        TxOut(o.value, ScriptPubKey(o.script, "mainnet", check_validity=False), check_validity=False)
        for o in outputs
    ]
    return Tx(version, lock_time, vin, vout, check_validity=False)
