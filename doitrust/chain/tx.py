"""Transactions: strict parsing and serialising, txids, signature hashes. btclib underneath.

A `Transaction` is read-only: nothing may change the btclib object inside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

from btclib.exceptions import BTClibException
from btclib.hashes import hash256
from btclib.script.script_pub_key import ScriptPubKey
from btclib.script.sig_hash import legacy, segwit_v0
from btclib.script.witness import Witness
from btclib.tx import Tx
from btclib.tx.out_point import OutPoint
from btclib.tx.tx_in import TxIn
from btclib.tx.tx_out import TxOut

from doitrust.chain.names import NAME_TX_VERSION, NameOutput, read_canonical
from doitrust.errors import BadData

SIGHASH_ALL = 0x01
_NULL_TXID = bytes(32)


class Input(NamedTuple):
    """What an input spends and how: txid as displayed (hex), output index, scriptSig, witness stack."""

    txid: str
    vout: int
    script_sig: bytes
    witness: Sequence[bytes]


class Output(NamedTuple):
    """An output: value in schwartz and script."""

    value: int
    script: bytes


class Write(NamedTuple):
    """A canonical name output of a transaction, with its index."""

    vout: int
    output: NameOutput


@dataclass(frozen=True, slots=True, eq=False)
class Transaction:
    """A transaction whose bytes were read to the last one.

    `txid` is as displayed (hex, reversed); `inputs` and `outputs` are plain tuples.
    """

    raw: bytes
    txid: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    _tx: Tx

    @classmethod
    def parse(cls, raw: bytes) -> "Transaction":
        """Parse exactly one transaction; raises `BadData` for anything but its canonical bytes."""
        stream = BytesIO(raw)
        transaction = cls.read_from(stream)
        if stream.tell() != len(raw):
            raise BadData("a transaction with trailing bytes")
        return transaction

    @classmethod
    def read_from(cls, stream: BytesIO, *, witness: bool = True) -> "Transaction":
        """Parse the next transaction of `stream`; `witness=False` for an AuxPoW's parent coinbase."""
        start = stream.tell()
        try:
            parse = Tx.parse if witness else Tx.parse_without_witness
            tx = parse(stream, check_validity=False)
            raw = stream.getbuffer()[start : stream.tell()].tobytes()
            if tx.serialize(True, check_validity=False) != raw:
                raise BadData("a transaction that is not in its canonical form")
            stripped = tx.serialize(False, check_validity=False) if tx.is_segwit else raw
        except BTClibException as error:
            raise BadData(f"not a transaction: {error}") from None
        inputs = tuple(
            Input(i.prev_out.tx_id.hex(), i.prev_out.vout, i.script_sig, i.script_witness.stack)
            for i in tx.vin
        )
        outputs = tuple(Output(o.value, o.script_pub_key.script) for o in tx.vout)
        return cls(raw, hash256(stripped)[::-1].hex(), inputs, outputs, tx)

    @classmethod
    def build(
        cls, version: int, lock_time: int, inputs: Sequence[tuple[Input, int]], outputs: Sequence[Output]
    ) -> "Transaction":
        """Make a transaction from (input, sequence) pairs and outputs."""
        vin = [
            TxIn(OutPoint(i.txid, i.vout, check_validity=False), i.script_sig, sequence,
                 Witness(list(i.witness)), check_validity=False)
            for i, sequence in inputs
        ]  # fmt: skip
        vout = [
            TxOut(o.value, ScriptPubKey(o.script, "mainnet", check_validity=False), check_validity=False)
            for o in outputs
        ]
        tx = Tx(version, lock_time, vin, vout, check_validity=False)
        return cls.parse(tx.serialize(True, check_validity=False))

    @property
    def version(self) -> int:
        """The version field, unsigned."""
        return self._tx.version

    @property
    def wtxid(self) -> bytes:
        """Hash with witnesses, in wire order (BIP 141)."""
        return hash256(self.raw)

    @property
    def stripped(self) -> bytes:
        """The bytes without witnesses: those that the txid holds."""
        return self._tx.serialize(False, check_validity=False) if self.has_witness else self.raw

    @property
    def has_witness(self) -> bool:
        """Whether any input carries a witness."""
        return self._tx.is_segwit

    @property
    def is_coinbase(self) -> bool:
        """Whether this creates coins: one input, spending the null outpoint."""
        return self._tx.is_coinbase

    @property
    def unpadded_size(self) -> int:
        """Bytes without scriptSigs and witnesses: what a miner can't pad (rule L1)."""
        size = 8 + _compact_size(len(self.inputs)) + _compact_size(len(self.outputs)) + 41 * len(self.inputs)
        return size + sum(8 + _compact_size(len(o.script)) + len(o.script) for o in self.outputs)

    @property
    def writes(self) -> list[Write]:
        """The canonical name_doi outputs, empty unless version 0x7100 and no coinbase."""
        if self._tx.version != NAME_TX_VERSION or self._tx.is_coinbase:
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
