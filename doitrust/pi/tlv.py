"""SML's binary coding: type, length, value (SML 1.04, BSI TR-03109-1 annex IV). Pure, strict and bounded.

A first byte `MTTTLLLL` gives the type (0 octets, 4 boolean, 5 integer, 6 unsigned, 7 list) and the length; while M
is set, another byte `M000LLLL` adds four bits to the length. The length of a list counts its elements, that of
anything else its bytes, with those of type and length.

Integers may come without their leading zero bytes, as the standard allows, down to one byte and in any size
up to eight.
"""

from collections.abc import Iterator
from typing import NamedTuple

from doitrust.errors import BadData

#: Lists in lists. A message is 1; a local time as an entry's value, the deepest that a meter's list can hold, is 8.
MAX_DEPTH = 8
#: Bytes that type and length may take: four give 65,535.
_MAX_HEAD = 4

_OCTETS, _BOOLEAN, _INTEGER, _UNSIGNED, _LIST = 0, 4, 5, 6, 7


class Number(NamedTuple):
    """An integer, and what its coding says of it: how many bytes it took and whether it may be negative."""

    value: int
    size: int
    signed: bool


#: A value. `b""` is also how an optional field that is absent is written; None ends a message (a byte 00).
Value = bytes | bool | Number | list["Value"] | None


def read_values(data: bytes) -> Iterator[tuple[Value, int]]:
    """Read one value after the other to the end of `data`; yields each with the place behind it.

    Raises `BadData` where `data` is malformed.
    """
    at = 0
    while at < len(data):
        value, at = _value(data, at, 1)
        yield value, at


def _value(data: bytes, at: int, depth: int) -> tuple[Value, int]:
    """Return the value that begins at `at`, and the place behind it."""
    kind, length, content = _head(data, at)
    if kind == _LIST:
        return _list(data, content, length, depth)
    if data[at] == 0x00:
        return None, content
    end = at + length
    if not content <= end <= len(data):
        raise _malformed("a length is wrong", at)
    size = end - content
    if kind == _OCTETS:
        return data[content:end], end
    if kind in (_INTEGER, _UNSIGNED) and 1 <= size <= 8:
        signed = kind == _INTEGER
        return Number(int.from_bytes(data[content:end], "big", signed=signed), size, signed), end
    if kind == _BOOLEAN and size == 1:
        return data[content] != 0, end
    raise _malformed("a type is none of the standard's, or of a wrong size", at)


def _head(data: bytes, start: int) -> tuple[int, int, int]:
    """Read type and length; returns both and where the content begins."""
    at = start
    kind, length = data[at] >> 4 & 7, data[at] & 0x0F
    while data[at] & 0x80:
        at += 1
        if at == len(data) or at == start + _MAX_HEAD or data[at] & 0x70:
            raise _malformed("a length is damaged", start)
        length = length << 4 | data[at] & 0x0F
    return kind, length, at + 1


def _list(data: bytes, at: int, length: int, depth: int) -> tuple[Value, int]:
    if depth > MAX_DEPTH:
        raise _malformed(f"lists are nested deeper than {MAX_DEPTH}", at)
    elements: list[Value] = []
    for _ in range(length):
        if at >= len(data):
            raise _malformed("a list has more elements than there are", at)
        element, at = _value(data, at, depth + 1)
        elements.append(element)
    return elements, at


def _malformed(problem: str, at: int) -> BadData:
    return BadData(f"the telegram is malformed at byte {at}: {problem}")
