"""CARs: what is read is what was written, however it was cut, and anything else ends in one line, soon and small."""

import random
import tracemalloc
from collections.abc import Iterable, Iterator
from hashlib import sha256, sha512
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import attempt, damaged, refusal

from doitrust.content.car import MAX_HEADER, CarCutShort, NoCar, read_car, write_car
from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of, varint
from doitrust.content.unixfs import MAX_BLOCK_SIZE, blocks_of_file

MIB = 1024 * 1024
BLOCK = b"a block"
CID = cid_of(BLOCK, RAW)
#: By hand: {"roots": [CID], "version": 1}.
ROOT = b"\xd8\x2a\x58\x25\x00\x01\x55\x12\x20" + sha256(BLOCK).digest()
HEADER = b"\xa2\x65roots\x81" + ROOT + b"\x67version\x01"
SECTION = b"\x01\x55\x12\x20" + sha256(BLOCK).digest() + BLOCK


def framed(*parts: bytes) -> bytes:
    return b"".join(varint(len(part)) + part for part in parts)


def read(
    data: bytes | Iterable[bytes], *, max_size: int = MIB, max_blocks: int = 100
) -> list[tuple[Cid, bytes]]:
    chunks = [data] if isinstance(data, bytes) else data
    return list(read_car(chunks, max_size=max_size, max_blocks=max_blocks))


def test_a_car_by_hand() -> None:
    """58 bytes of header, as the specification counts them for one root, and what our writer makes of it."""
    assert len(HEADER) == 58
    data = framed(HEADER, SECTION)
    assert read(data) == [(CID, BLOCK)]
    assert b"".join(write_car(CID, [(CID, BLOCK)])) == data


def test_what_a_gateway_without_a_root_sends() -> None:
    """Roots are nobody's business: none, several, CIDs of other kinds (`bafkqaaa`, the empty identity one)."""
    identity = b"\xd8\x2a\x45\x00\x01\x55\x00\x00"
    blake = b"\xd8\x2a\x58\x27\x00\x01\x71\xa0\xe4\x02\x20" + bytes(32)
    for roots in (b"\x80", b"\x81" + identity, b"\x83" + ROOT + identity + blake):
        assert read(framed(b"\xa2\x65roots" + roots + b"\x67version\x01", SECTION)) == [(CID, BLOCK)]


def test_blocks_of_every_kind() -> None:
    v0 = Cid(DAG_PB, sha256(BLOCK).digest(), version=0)
    strange = Cid(2**62, sha256(b"").digest())
    sections = [b"\x12\x20" + v0.digest + BLOCK, strange.binary, SECTION, SECTION]
    assert read(framed(HEADER, *sections)) == [(v0, BLOCK), (strange, b""), (CID, BLOCK), (CID, BLOCK)]
    assert read(framed(HEADER)) == []


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 200))
def test_what_was_written_is_read_however_it_is_cut(contents: list[bytes], size: int) -> None:
    blocks = [(cid_of(content, RAW), content) for content in contents]
    data = b"".join(write_car(CID, blocks))
    assert read(data[at : at + size] for at in range(0, len(data), size)) == blocks
    assert read(part for at in range(len(data)) for part in (b"", data[at : at + 1])) == blocks


def test_a_file_goes_through() -> None:
    blocks = list(blocks_of_file(random.Random(1).randbytes(MIB)))
    data = write_car(blocks[-1][0], reversed(blocks))
    assert read(data, max_size=2 * MIB) == blocks[::-1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        framed(b""),
        b"<!DOCTYPE html><html>",
        framed(HEADER[:-1] + b"\x02", SECTION),  # another version
        framed(b"\xa2\x67version\x01\x65roots\x81" + ROOT, SECTION),  # the keys the other way round
        framed(b"\xa3\x61a\x01" + HEADER[1:]),
        framed(HEADER + b"\x00"),
        framed(HEADER.replace(b"\x81\xd8\x2a", b"\x82\xd8\x2a")),  # fewer roots than it says
        framed(HEADER.replace(b"\x81\xd8\x2a", b"\x98\x01\xd8\x2a")),  # a number in a longer form
        framed(HEADER.replace(b"\x81\xd8\x2a", b"\x9f\xd8\x2a")),  # without a length
        framed(HEADER.replace(b"\xd8\x2a", b"\xd8\x2b")),  # another tag
        framed(HEADER.replace(b"\x58\x25\x00", b"\x58\x25\x01")),  # no zero before the CID
        framed(HEADER.replace(b"\x58\x25\x00", b"\x78\x25\x00")),  # a text
        framed(HEADER.replace(b"\x58\x25\x00", b"\x58\xff\x00")),  # longer than the header
        framed(b"\xa2\x65roots\x81\xd8\x2a\x41\x00\x67version\x01"),  # an empty CID
        framed(b"\xa2\x65roots\x81\xd8\x2a\x67version\x01"),
        framed(b"\xa2\x65roots\x99\xff\xff" + ROOT + b"\x67version\x01"),
        varint(MAX_HEADER + 1) + bytes(MAX_HEADER + 1),
        b"\xba\x00" + HEADER,  # a padded size
        b"\xff\xff\xff\xff\xff\x7f" + HEADER,
        framed(HEADER, b""),
        framed(HEADER, SECTION, b""),
        framed(HEADER, SECTION[:-1]),  # other bytes
        framed(HEADER, SECTION + b"!"),
        framed(HEADER, b"\x01\x55\x00\x07" + BLOCK),  # the identity of a block
        framed(HEADER, b"\x01\x55\x13\x40" + sha512(BLOCK).digest() + BLOCK),
        framed(HEADER, b"\x01\x55\x12\x14" + sha256(BLOCK).digest()[:20] + BLOCK),  # a shortened digest
        framed(HEADER, b"\x01\xd5\x00\x12\x20" + sha256(BLOCK).digest() + BLOCK),  # a padded codec
        framed(HEADER, b"\x01" + b"\xff" * 12 + b"\x12\x20" + sha256(BLOCK).digest() + BLOCK),
        framed(HEADER, b"\x02" + SECTION[1:]),
        framed(HEADER, b"\x01"),
        framed(HEADER, SECTION[:20]),
        framed(HEADER) + varint(MAX_BLOCK_SIZE + 45) + bytes(10),
        framed(HEADER) + b"\xff\xff\xff\xff\x7f",
    ],
)
def test_what_is_no_car(data: bytes) -> None:
    refusal(read, data, kind=NoCar)


def test_blocks_before_the_damage_are_given() -> None:
    """Each is true by itself; that the CAR goes on badly changes nothing about it."""
    car = read_car([framed(HEADER, SECTION, SECTION[:-1])], max_size=MIB, max_blocks=9)
    assert next(car) == (CID, BLOCK)
    refusal(next, car, kind=NoCar)


@pytest.mark.parametrize("cut", range(1, len(framed(HEADER, SECTION))))
def test_one_that_is_cut_short(cut: int) -> None:
    data = framed(HEADER, SECTION)[:cut]
    if cut == len(framed(HEADER)):
        assert read(data) == []
    else:
        refusal(read, data, kind=CarCutShort)


def test_the_limits_are_exact() -> None:
    large = bytes(MAX_BLOCK_SIZE)
    data = b"".join(write_car(CID, [(cid_of(large, RAW), large), (CID, BLOCK)]))
    assert len(read(data, max_size=len(data), max_blocks=2)) == 2
    refusal(lambda: read(data, max_size=len(data) - 1))
    refusal(lambda: read(data, max_size=len(data), max_blocks=1))
    larger = bytes(MAX_BLOCK_SIZE + 1)
    refusal(lambda: read(write_car(CID, [(cid_of(larger, RAW), larger)]), max_size=4 * MIB))


def test_an_endless_one_ends_and_takes_no_room() -> None:
    """What doesn't end is read up to the limit; nothing is held but the block that is due."""
    taken = 0

    def endless(chunk: bytes) -> Iterator[bytes]:
        nonlocal taken
        yield framed(HEADER)
        for part in repeat(chunk):
            taken += len(part)
            yield part

    section = cid_of(bytes(MIB), RAW).binary + bytes(MIB)
    for chunk in (varint(len(section)) + section, framed(b"\x01\x55\x12\x20"), b"\xff", b"\x00"):
        taken = 0
        tracemalloc.start()
        try:
            refusal(
                lambda chunk=chunk: [None for _ in read_car(endless(chunk), max_size=40 * MIB, max_blocks=99)]
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4 * MIB
        assert taken <= 41 * MIB


def test_nothing_is_taken_that_is_not_asked_for() -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for part in (framed(HEADER), framed(SECTION), framed(SECTION)):
            taken.append(part)
            yield part

    car = read_car(chunks(), max_size=MIB, max_blocks=9)
    assert taken == []
    assert next(car) == (CID, BLOCK)
    assert len(taken) == 2


WHOLE = framed(HEADER, SECTION, b"\x12\x20" + sha256(b"x" * 200).digest() + b"x" * 200, SECTION)


@given(damaged(WHOLE))
def test_damage(data: bytes) -> None:
    """Whatever comes out is what its CID says, and was in the bytes."""
    found = attempt(read, data, kind=NoCar)
    for cid, block in found or ():
        assert cid.digest == sha256(block).digest()
        assert block in data


@given(st.binary(max_size=200))
def test_anything(data: bytes) -> None:
    attempt(read, data, kind=NoCar)
    attempt(read, framed(HEADER) + data, kind=NoCar)
    attempt(read, framed(b"\xa2\x65roots" + data + b"\x67version\x01"), kind=NoCar)
