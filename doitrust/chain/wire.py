"""The structure of a transaction on the wire, read strictly: what stands where, and nothing of what it means.

Ours because a whole chain goes through it; btclib takes five times as long. It refuses exactly what btclib's parser
does (src/primitives/transaction.h, UnserializeTransaction; src/serialize.h, ReadCompactSize), to which the tests hold
it. Scripts, signature hashes and consensus stay with btclib.
"""

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from doitrust.errors import BadData

#: The largest count or length that is read at all, and the most elements of a witness (a block's weight).
MAX_SIZE, MAX_WITNESS_ITEMS = 0x02000000, 4_000_000

_WORD = struct.Struct("<I")
_OUTPOINT = struct.Struct("<32sI")
_VALUE = struct.Struct("<q")
#: The least number that needs the longer forms of a compact size, by their first byte.
_LEAST = {0xFD: 0xFD, 0xFE: 0x1_0000, 0xFF: 0x1_0000_0000}


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


class Parts(NamedTuple):
    """A transaction's parts; `stripped` are its bytes without witnesses, `end` is where it ends."""

    version: int
    inputs: tuple[Input, ...]
    sequences: tuple[int, ...]
    outputs: tuple[Output, ...]
    lock_time: int
    stripped: bytes
    end: int


def hash256(data: bytes) -> bytes:
    """sha256 twice, as transactions and blocks are hashed; in wire order."""
    return sha256(sha256(data).digest()).digest()


def read_parts(data: bytes, start: int, *, witness: bool) -> Parts:
    """Read the transaction at `start`; raises `BadData`. Without `witness` only the old form is one."""
    try:
        return _parts(data, start, witness)
    except (IndexError, struct.error):
        raise BadData("not a transaction: it ends early") from None


def _parts(data: bytes, start: int, witness: bool) -> Parts:
    (version,) = _WORD.unpack_from(data, start)
    at = body = start + 4
    marked = witness and data[at] == 0 and data[at + 1] != 0
    if marked:
        if data[at + 1] != 1:
            raise BadData("not a transaction: its flag is unknown")
        at = body = at + 2
    count, at = _size(data, at)
    spent: list[tuple[str, int, bytes]] = []
    sequences: list[int] = []
    for _ in range(count):  # each takes bytes, so a count that lies ends with them
        txid, vout = _OUTPOINT.unpack_from(data, at)
        script_sig, at = _sized(data, at + 36)
        spent.append((txid[::-1].hex(), vout, script_sig))
        sequences += _WORD.unpack_from(data, at)
        at += 4
    count, at = _size(data, at)
    outputs = []
    for _ in range(count):
        (value,) = _VALUE.unpack_from(data, at)
        script, at = _sized(data, at + 8)
        outputs.append(Output(value, script))
    bare = at
    stacks: list[Sequence[bytes]] = [()] * len(spent)
    if marked:
        for index in range(len(spent)):
            stacks[index], at = _stack(data, at)
        if not any(stacks):
            raise BadData("not a transaction: it is marked for a witness and has none")
    (lock_time,) = _WORD.unpack_from(data, at)
    end = at + 4
    stripped = data[start : start + 4] + data[body:bare] + data[at:end] if marked else data[start:end]
    inputs = tuple(Input(*one, stack) for one, stack in zip(spent, stacks, strict=True))
    return Parts(version, inputs, tuple(sequences), tuple(outputs), lock_time, stripped, end)


def _stack(data: bytes, at: int) -> tuple[tuple[bytes, ...], int]:
    count, at = _size(data, at)
    if count > MAX_WITNESS_ITEMS:
        raise BadData("not a transaction: a witness of too many elements")
    elements = []
    for _ in range(count):
        element, at = _sized(data, at)
        elements.append(element)
    return tuple(elements), at


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes behind their length, and where they end."""
    length, at = _size(data, at)
    end = at + length
    if end > len(data):
        raise IndexError
    return data[at:end], end


def _size(data: bytes, at: int) -> tuple[int, int]:
    """A compact size in its shortest form, and where it ends."""
    first = data[at]
    at += 1
    if first < 0xFD:
        return first, at
    end = at + (2 << (first - 0xFD))
    if end > len(data):
        raise IndexError
    number = int.from_bytes(data[at:end], "little")
    if number < _LEAST[first]:
        raise BadData("not a transaction: a count takes more bytes than it needs")
    if number > MAX_SIZE:
        raise BadData("not a transaction: a count is beyond all limits")
    return number, end
