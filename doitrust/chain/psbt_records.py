"""The wire form of a PSBT: maps of key-value records (BIP 174, «Specification»).

A key begins with its type. Every record is kept as it came and in the order in which it came, unknown ones too.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from io import BytesIO
from typing import NamedTuple

from btclib import var_int
from btclib.exceptions import BTClibException

from doitrust.chain.bip32 import KeyOrigin
from doitrust.chain.keys import is_compressed_key
from doitrust.errors import BadData

Records = Mapping[bytes, bytes]


class Global(IntEnum):
    """Types of records for the whole."""

    UNSIGNED_TX = 0x00
    XPUB = 0x01
    VERSION = 0xFB


class In(IntEnum):
    """Types of records for an input."""

    PREVIOUS_TX = 0x00
    WITNESS_UTXO = 0x01
    PARTIAL_SIGNATURE = 0x02
    SIGHASH_TYPE = 0x03
    REDEEM_SCRIPT = 0x04
    WITNESS_SCRIPT = 0x05
    DERIVATION = 0x06
    FINAL_SCRIPT_SIG = 0x07
    FINAL_WITNESS = 0x08


class Out(IntEnum):
    """Types of records for an output."""

    REDEEM_SCRIPT = 0x00
    WITNESS_SCRIPT = 0x01
    DERIVATION = 0x02


class Kinds(NamedTuple):
    """What a map may hold.

    `sizes` of keys by type, the type's byte included; `points`, the types whose key is a public key; `origins`, those
    of them whose value is a key's origin; `excluded`, the types that only version 2 has (BIP 370).
    """

    sizes: Mapping[int, int]
    points: frozenset[int]
    origins: frozenset[int]
    excluded: range


# BIP 174's tables. Of public keys only the compressed form is taken (rule S4).
GLOBAL_KINDS = Kinds(
    {Global.UNSIGNED_TX: 1, Global.XPUB: 79, Global.VERSION: 1}, frozenset(), frozenset(), range(0x02, 0x07)
)
INPUT_KINDS = Kinds(
    dict.fromkeys(map(int, In), 1) | {In.PARTIAL_SIGNATURE: 34, In.DERIVATION: 34},
    frozenset({In.PARTIAL_SIGNATURE, In.DERIVATION}),
    frozenset({In.DERIVATION}),
    range(0x0E, 0x13),
)
OUTPUT_KINDS = Kinds(
    {Out.REDEEM_SCRIPT: 1, Out.WITNESS_SCRIPT: 1, Out.DERIVATION: 34},
    frozenset({Out.DERIVATION}),
    frozenset({Out.DERIVATION}),
    range(0x03, 0x05),
)


def check(records: Records, kinds: Kinds) -> None:
    """Check the keys of a map, and the origins in it; raises `BadData`."""
    for key, value in records.items():
        kind = _number(BytesIO(key))
        if kind in kinds.excluded:
            raise BadData(f"a record of type {kind:#04x}, which PSBT version 0 doesn't have")
        if len(key) != kinds.sizes.get(kind, len(key)):
            raise BadData(f"a record of type {kind:#04x} whose key has a wrong length")
        if kind in kinds.points and not is_compressed_key(key[1:]):
            raise BadData("a public key that is no point of the curve")
        if kind in kinds.origins:
            KeyOrigin.from_bytes(value)


def read_map(stream: BytesIO) -> dict[bytes, bytes]:
    """Read the next map of `stream`; raises `BadData` where it is cut or a key comes twice."""
    records: dict[bytes, bytes] = {}
    while key := take_counted(stream):
        if key in records:
            raise BadData("a PSBT in which a key comes twice")
        records[key] = take_counted(stream)
    return records


def map_bytes(records: Records) -> bytes:
    """Write a map with its end mark."""
    return b"".join(counted(key) + counted(value) for key, value in records.items()) + b"\0"


def united(maps: Sequence[Records], where: str) -> Records:
    """Return the union of maps, in the order of the keys; raises `BadData` where they contradict each other."""
    union: dict[bytes, bytes] = {}
    for records in maps:
        for key, value in records.items():
            if union.setdefault(key, value) != value:
                raise BadData(f"{where}: two records of the same key contradict each other")
    return dict(sorted(union.items()))


def of_kind(records: Records, kind: int) -> dict[bytes, bytes]:
    """Return the values of the records of one type, by what follows the type in their keys."""
    return {key[1:]: value for key, value in records.items() if key[0] == kind}


def origins_of(records: Records, kind: int) -> dict[bytes, KeyOrigin]:
    """Return the key origins of a checked map, by public key."""
    return {key: KeyOrigin.from_bytes(value) for key, value in of_kind(records, kind).items()}


def counted(data: bytes) -> bytes:
    """Write `data` behind its length."""
    return var_int.serialize(len(data)) + data


def take_counted(stream: BytesIO) -> bytes:
    """Read what `counted` wrote; raises `BadData`."""
    return take(stream, _number(stream))


def take_stack(stream: BytesIO) -> tuple[bytes, ...]:
    """Read a witness stack; raises `BadData`."""
    return tuple(take_counted(stream) for _ in range(_number(stream)))


def stack_bytes(stack: Sequence[bytes]) -> bytes:
    """Write what `take_stack` reads."""
    return var_int.serialize(len(stack)) + b"".join(map(counted, stack))


def take(stream: BytesIO, size: int) -> bytes:
    """Read `size` bytes; raises `BadData` if there are fewer."""
    data = stream.read(size)
    if len(data) != size:
        raise BadData("a PSBT that ends early")
    return data


def at_end(stream: BytesIO) -> None:
    """Check that nothing is left; raises `BadData`."""
    if stream.read(1):
        raise BadData("a PSBT with trailing bytes")


def _number(stream: BytesIO) -> int:
    try:
        return var_int.parse(stream)
    except BTClibException:
        raise BadData("a PSBT that ends early or has a bad length") from None
