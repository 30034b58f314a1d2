"""A block's transactions by where they stand, without reading them: for whoever walks a whole chain.

Only lengths are followed, so it costs a fraction of `Block.parse`. The header's merkle root commits to every byte
that was stepped over except witnesses, so that nothing else can pass for the block.
"""

from io import BytesIO
from typing import NamedTuple

from doitrust.chain.block import (
    HEADER_SIZE,
    MAX_BLOCK_SIZE,
    VERSION_AUXPOW,
    Header,
    merkle_root,
    read_auxpow,
)
from doitrust.chain.wire import hash256
from doitrust.errors import BadData


class Span(NamedTuple):
    """A transaction: its txid as displayed, and which bytes of the block it is."""

    txid: str
    start: int
    end: int


def scan_block(raw: bytes) -> list[Span]:
    """Return the block's transactions in order; raises `BadData` unless its header commits to exactly these."""
    if len(raw) > MAX_BLOCK_SIZE:
        raise BadData(f"a block of {len(raw)} bytes (the most is {MAX_BLOCK_SIZE})")
    header = Header.parse(raw[:HEADER_SIZE])
    try:
        hashes, spans = _transactions(raw, _behind_auxpow(raw, header))
    except IndexError:
        raise BadData("the block ends early") from None
    root, mutated = merkle_root(hashes)
    if root != header.merkle_root or mutated:
        raise BadData("the block's header commits to other transactions")
    return spans


def _behind_auxpow(raw: bytes, header: Header) -> int:
    if not header.version & VERSION_AUXPOW:
        return HEADER_SIZE
    stream = BytesIO(raw)
    stream.seek(HEADER_SIZE)
    read_auxpow(stream)
    return stream.tell()


def _transactions(raw: bytes, at: int) -> tuple[list[bytes], list[Span]]:
    count, at = _size(raw, at)
    hashes, spans = [], []
    for _ in range(count):
        start = at
        at, hashed = _transaction(raw, at)
        hashes.append(hashed)
        spans.append(Span(hashed[::-1].hex(), start, at))
    if at != len(raw):
        raise BadData("a block with trailing bytes, or one that ends early")
    return hashes, spans


def _transaction(raw: bytes, start: int) -> tuple[int, bytes]:
    """Where the transaction at `start` ends, and its txid in wire order."""
    at = body = start + 4
    segwit = raw[at] == 0 and raw[at + 1] == 1
    if segwit:
        at = body = at + 2
    inputs, at = _size(raw, at)
    for _ in range(inputs):
        length, at = _size(raw, at + 36)
        at += length + 4
    outputs, at = _size(raw, at)
    for _ in range(outputs):
        length, at = _size(raw, at + 8)
        at += length
    bare = at
    for _ in range(inputs if segwit else 0):
        items, at = _size(raw, at)
        for _ in range(items):
            length, at = _size(raw, at)
            at += length
    at += 4
    stripped = raw[start : start + 4] + raw[body:bare] + raw[at - 4 : at]
    return at, hash256(stripped)


def _size(raw: bytes, at: int) -> tuple[int, int]:
    """A compact size, and where it ends; `IndexError` behind the last byte."""
    first = raw[at]
    if first < 0xFD:
        return first, at + 1
    end = at + 1 + (2 << (first - 0xFD))
    raw[end - 1]
    return int.from_bytes(raw[at + 1 : end], "little"), end
