"""Partially signed transactions (BIP 174, version 0): read strictly, written back to the byte. Signing: `psbt_sign`.

Of each input the whole previous transaction is wanted (`Psbt.spent`): a legacy signature covers no amount, a segwit
one only that of its own input, so nothing but the transaction itself proves what is paid.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from types import MappingProxyType
from typing import TypeVar

from doitrust.chain.amounts import MAX_MONEY as MAX_MONEY
from doitrust.chain.bip32 import ExtendedKey, KeyOrigin
from doitrust.chain.descriptors import OwnScript
from doitrust.chain.engine import is_witness_program
from doitrust.chain.names import strip_name
from doitrust.chain.psbt_records import (
    GLOBAL_KINDS,
    INPUT_KINDS,
    OUTPUT_KINDS,
    Global,
    In,
    Out,
    Records,
    at_end,
    check,
    counted,
    map_bytes,
    of_kind,
    origins_of,
    read_map,
    take,
    take_counted,
    take_stack,
    united,
)
from doitrust.chain.signers import Lookup
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import BadData, Unavailable

T = TypeVar("T")

MAGIC = b"psbt\xff"
#: More bytes are refused unread; the previous transactions make the most of them.
MAX_SIZE = 4_000_000
#: No node relays a larger transaction (src/policy/policy.h, MAX_STANDARD_TX_WEIGHT).
MAX_UNSIGNED_SIZE = 100_000
#: More inputs are refused: a legacy signature hashes the whole transaction anew for each.
MAX_INPUTS = 500


@dataclass(frozen=True, slots=True, eq=False)
class PsbtInput:
    """What is known of an input. `previous` is the transaction it spends from: it hashes to the outpoint's txid."""

    records: Records
    previous: Transaction | None

    @classmethod
    def of(cls, records: Records, spends: Input) -> "PsbtInput":
        """Check an input's records against the outpoint that it spends; raises `BadData`."""
        check(records, INPUT_KINDS)
        raw = records.get(bytes([In.PREVIOUS_TX]))
        previous = None if raw is None else Transaction.parse(raw)
        if previous is not None and previous.txid != spends.txid:
            raise BadData("the previous transaction is not the one that the input spends from")
        if previous is not None and spends.vout >= len(previous.outputs):
            raise BadData(f"the previous transaction has no output {spends.vout}")
        if len(records.get(bytes([In.SIGHASH_TYPE]), bytes(4))) != 4:
            raise BadData("a sighash type is 4 bytes")
        found = cls(MappingProxyType(dict(records)), previous)
        witness_utxo, _ = found.witness_utxo, found.final_witness
        if (
            witness_utxo is not None
            and previous is not None
            and witness_utxo != previous.outputs[spends.vout]
        ):
            raise BadData("the witness UTXO is not the previous transaction's output")
        return found

    def one(self, kind: In) -> bytes | None:
        """The value of the record of a type that has no more than one, or None."""
        return self.records.get(bytes([kind]))

    @property
    def witness_utxo(self) -> Output | None:
        """The spent output as the PSBT repeats it. Without `previous` it proves nothing."""
        raw = self.one(In.WITNESS_UTXO)
        if raw is None:
            return None
        stream = BytesIO(raw)
        value = int.from_bytes(take(stream, 8), "little", signed=True)
        output = Output(value, take_counted(stream))
        at_end(stream)
        return output

    @property
    def partial_signatures(self) -> dict[bytes, bytes]:
        """The signatures by public key, each with its sighash byte; not verified here."""
        return of_kind(self.records, In.PARTIAL_SIGNATURE)

    @property
    def sighash_type(self) -> int | None:
        """The sighash type that is asked for, or None."""
        raw = self.one(In.SIGHASH_TYPE)
        return None if raw is None else int.from_bytes(raw, "little")

    @property
    def origins(self) -> dict[bytes, KeyOrigin]:
        """Where the keys come from, by public key; nobody vouches for it."""
        return origins_of(self.records, In.DERIVATION)

    @property
    def final_witness(self) -> tuple[bytes, ...] | None:
        """The finished witness stack, or None."""
        raw = self.one(In.FINAL_WITNESS)
        if raw is None:
            return None
        stream = BytesIO(raw)
        stack = take_stack(stream)
        at_end(stream)
        return stack

    @property
    def is_final(self) -> bool:
        """Whether it has its finished scriptSig or witness."""
        return self.one(In.FINAL_SCRIPT_SIG) is not None or self.one(In.FINAL_WITNESS) is not None


@dataclass(frozen=True, slots=True, eq=False)
class PsbtOutput:
    """What is known of an output: the scripts behind its hash, where its keys come from. Nobody vouches for it."""

    records: Records

    @classmethod
    def of(cls, records: Records) -> "PsbtOutput":
        """Check an output's records; raises `BadData`."""
        check(records, OUTPUT_KINDS)
        return cls(MappingProxyType(dict(records)))

    @property
    def redeem_script(self) -> bytes | None:
        """The script whose hash P2SH has, or None."""
        return self.records.get(bytes([Out.REDEEM_SCRIPT]))

    @property
    def witness_script(self) -> bytes | None:
        """The script whose hash P2WSH has, or None."""
        return self.records.get(bytes([Out.WITNESS_SCRIPT]))

    @property
    def origins(self) -> dict[bytes, KeyOrigin]:
        """Where the keys come from, by public key."""
        return origins_of(self.records, Out.DERIVATION)


@dataclass(frozen=True, slots=True, eq=False)
class Psbt:
    """A partially signed transaction. `tx` is the unsigned one: no step changes it."""

    tx: Transaction
    records: Records
    inputs: tuple[PsbtInput, ...]
    outputs: tuple[PsbtOutput, ...]

    @classmethod
    def read(cls, data: bytes) -> "Psbt":
        """Read a file: the binary form, or base64 with white space around it; raises `BadData`."""
        if data.startswith(MAGIC):
            return cls.parse(data)
        text = data.strip()
        if len(text) > (MAX_SIZE + 2) // 3 * 4:
            raise BadData(f"a PSBT of {len(text)} characters (the most is {MAX_SIZE} bytes)")
        try:
            raw = binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            raise BadData("not a PSBT: neither its bytes nor base64") from None
        if base64.b64encode(raw) != text:
            raise BadData("a PSBT in base64 that is not in its canonical form")
        return cls.parse(raw)

    @classmethod
    def parse(cls, raw: bytes) -> "Psbt":
        """Read the binary form, to its last byte; raises `BadData`."""
        if len(raw) > MAX_SIZE:
            raise BadData(f"a PSBT of {len(raw)} bytes (the most is {MAX_SIZE})")
        if not raw.startswith(MAGIC):
            raise BadData("not a PSBT")
        stream = BytesIO(raw)
        stream.seek(len(MAGIC))
        records = read_map(stream)
        tx = _read_globals(records)
        inputs = [read_map(stream) for _ in tx.inputs]
        outputs = [read_map(stream) for _ in tx.outputs]
        at_end(stream)
        return cls._of(tx, records, inputs, outputs)

    @classmethod
    def of(cls, records: Records, inputs: Sequence[Records], outputs: Sequence[Records]) -> "Psbt":
        """Make one from its maps, one for each input and output of the unsigned transaction; raises `BadData`."""
        return cls._of(_read_globals(records), records, inputs, outputs)

    @classmethod
    def unsigned(cls, tx: Transaction) -> "Psbt":
        """The PSBT of an unsigned transaction of which nothing else is known (BIP 174's creator)."""
        return cls.of({bytes([Global.UNSIGNED_TX]): tx.raw}, [{}] * len(tx.inputs), [{}] * len(tx.outputs))

    @classmethod
    def _of(
        cls, tx: Transaction, records: Records, inputs: Sequence[Records], outputs: Sequence[Records]
    ) -> "Psbt":
        pairs = zip(inputs, tx.inputs, strict=True)
        return cls(
            tx,
            MappingProxyType(dict(records)),
            tuple(_in(f"input {i}", PsbtInput.of, *pair) for i, pair in enumerate(pairs)),
            tuple(_in(f"output {i}", PsbtOutput.of, part) for i, part in enumerate(outputs)),
        )

    def serialize(self) -> bytes:
        """The binary form: the very bytes that were read, unless something was changed."""
        parts = [self.records, *(i.records for i in self.inputs), *(o.records for o in self.outputs)]
        return MAGIC + b"".join(map(map_bytes, parts))

    @property
    def text(self) -> str:
        """The text form, base64."""
        return base64.b64encode(self.serialize()).decode()

    def spent(self, index: int) -> Output:
        """The output that an input spends; raises `BadData` where the previous transaction is not there."""
        previous = self.inputs[index].previous
        if previous is None:
            raise BadData(
                f"input {index}: the PSBT lacks the transaction that it spends from",
                hint="let the wallet that made it put in whole previous transactions (non-witness UTXO)",
            )
        return previous.outputs[self.tx.inputs[index].vout]

    @property
    def fee(self) -> int:
        """Schwartz that the inputs hold and the outputs don't; raises `BadData` where that can't be or isn't proven."""
        paid = [self.spent(index).value for index in range(len(self.inputs))]
        if not all(0 <= value <= MAX_MONEY for value in paid):
            raise BadData("an input of an impossible amount")
        fee = sum(paid) - sum(output.value for output in self.tx.outputs)
        if fee < 0:
            raise BadData("the outputs hold more than the inputs")
        return fee

    def with_input(self, index: int, records: Records) -> "Psbt":
        """The same with other records for an input, in the order of the keys; raises `BadData`."""
        changed = PsbtInput.of(dict(sorted(records.items())), self.tx.inputs[index])
        return replace(self, inputs=(*self.inputs[:index], changed, *self.inputs[index + 1 :]))

    def updated(self, lookup: Lookup, known: Iterable[OwnScript] = ()) -> "Psbt":
        """Add previous transactions, and where `known` scripts are spent or paid what it takes to sign for them.

        Raises `Unavailable` if a previous transaction can't be had, `BadData` for one that isn't the one asked for,
        and where a record contradicts what was there.
        """
        scripts = {own.script: own for own in known}
        inputs = []
        for index, (part, spends) in enumerate(zip(self.inputs, self.tx.inputs, strict=True)):
            previous = part.previous or lookup(spends.txid)
            if previous is None:
                raise Unavailable(f"input {index}: its transaction {spends.txid} can't be had")
            if previous.txid != spends.txid or spends.vout >= len(previous.outputs):
                raise BadData(f"input {index}: no output {spends.vout} of {spends.txid} was found")
            added = _input_records(part, previous, previous.outputs[spends.vout], scripts)
            inputs.append(united([part.records, added], f"input {index}"))
        outputs = []
        for index, (other, output) in enumerate(zip(self.outputs, self.tx.outputs, strict=True)):
            own = scripts.get(strip_name(output.script))
            added = {} if own is None else _script_records(own, Out)
            outputs.append(united([other.records, added], f"output {index}"))
        return Psbt.of(self.records, inputs, outputs)


def _read_globals(records: Records) -> Transaction:
    """Check the records for the whole and return the unsigned transaction."""
    check(records, GLOBAL_KINDS)
    if records.get(bytes([Global.VERSION]), bytes(4)) != bytes(4):
        raise BadData("a PSBT of another version than 0", hint="let the wallet export version 0 (BIP 174)")
    for raw, origin in origins_of(records, Global.XPUB).items():
        if ExtendedKey.from_bytes(raw).depth != len(origin.path):
            raise BadData("an extended key whose path is not as long as its depth")
    unsigned = records.get(bytes([Global.UNSIGNED_TX]))
    if unsigned is None:
        raise BadData("a PSBT without its unsigned transaction")
    return _read_unsigned(unsigned)


def _read_unsigned(raw: bytes) -> Transaction:
    if len(raw) > MAX_UNSIGNED_SIZE:
        raise BadData(f"an unsigned transaction of {len(raw)} bytes (the most is {MAX_UNSIGNED_SIZE})")
    stream = BytesIO(raw)
    tx = Transaction.read_from(stream, witness=False)
    at_end(stream)
    if len(tx.inputs) > MAX_INPUTS:
        raise BadData(f"a PSBT of {len(tx.inputs)} inputs (the most is {MAX_INPUTS})")
    if any(spent.script_sig for spent in tx.inputs):
        raise BadData("a PSBT whose unsigned transaction has a scriptSig")
    if len({(spent.txid, spent.vout) for spent in tx.inputs}) != len(tx.inputs):
        raise BadData("a transaction that spends an output twice")
    if any(not 0 <= output.value <= MAX_MONEY for output in tx.outputs):
        raise BadData("an output of an impossible amount")
    return tx


def _in(where: str, of: Callable[..., T], *arguments: object) -> T:
    """Call `of`, and say in its refusal where."""
    try:
        return of(*arguments)
    except BadData as error:
        raise BadData(f"{where}: {error.message}", hint=error.hint) from None


def _input_records(
    part: PsbtInput, previous: Transaction, spent: Output, scripts: Mapping[bytes, OwnScript]
) -> Records:
    added = {}
    if part.previous is None:
        added[bytes([In.PREVIOUS_TX])] = _without_witness(previous)
    address = strip_name(spent.script)
    bare = OwnScript(address)
    own = bare if part.is_final else scripts.get(address, bare)
    added |= _script_records(own, In)
    if is_witness_program(address) or is_witness_program(own.redeem_script or b""):
        value = spent.value.to_bytes(8, "little", signed=True)
        added[bytes([In.WITNESS_UTXO])] = value + counted(spent.script)
    return added


def _script_records(own: OwnScript, kinds: type[In] | type[Out]) -> dict[bytes, bytes]:
    added = {bytes([kinds.DERIVATION]) + key: origin.serialize() for key, origin in own.origins.items()}
    if own.redeem_script is not None:
        added[bytes([kinds.REDEEM_SCRIPT])] = own.redeem_script
    if own.witness_script is not None:
        added[bytes([kinds.WITNESS_SCRIPT])] = own.witness_script
    return added


def _without_witness(tx: Transaction) -> bytes:
    """The bytes that hash to the txid: the same whoever delivered them, and all that a signer needs."""
    return tx.stripped
