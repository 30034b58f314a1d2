"""SML's transport: telegrams are found in any stream, in whatever pieces it comes, and damage says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meter_telegrams import EXPECTED, WHOLE, readings, stored, telegrams, write

from doitrust.pi.transport import MAX_SIZE, Splitter, kermit, x25


def test_the_checksums_are_those_of_the_catalogues() -> None:
    """The check values of CRC-16/IBM-SDLC (X-25) and CRC-16/KERMIT."""
    assert x25(b"123456789") == bytes.fromhex("6e90")
    assert kermit(b"123456789") == bytes.fromhex("2189")


@given(st.binary(max_size=300))
def test_the_checksums_are_those_counted_bit_by_bit(data: bytes) -> None:
    assert (x25(data), kermit(data)) == (write.x25(data), write.kermit(data))


@given(st.data())
def test_pieces_of_any_size_give_what_the_whole_gives(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(EXPECTED)), min_size=1, max_size=4))
    stream = b"".join(stored(name) for name in names)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    assert telegrams(stream, *cuts) == telegrams(stream)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 64, 4096])
def test_pieces_of_one_size_give_what_the_whole_gives(size: int) -> None:
    stream = b"".join(stored(name) for name in EXPECTED)
    assert telegrams(stream, *range(0, len(stream), size)) == telegrams(stream)


@pytest.mark.parametrize("name", WHOLE)
def test_a_telegram_cut_anywhere_says_nothing(name: str) -> None:
    sent = stored(name)
    for place in range(1, len(sent)):
        assert telegrams(sent[:place]) == telegrams(sent[place:]) == []


@pytest.mark.parametrize("name", WHOLE)
def test_a_telegram_with_any_bit_flipped_says_nothing(name: str) -> None:
    sent = stored(name)
    for bit in range(8 * len(sent)):
        damaged = bytearray(sent)
        damaged[bit // 8] ^= 1 << bit % 8
        assert readings(bytes(damaged)) == [], f"bit {bit}"


@given(st.sampled_from(WHOLE), st.data())
def test_a_telegram_with_a_burst_of_errors_says_nothing(name: str, data: st.DataObject) -> None:
    """Both checksums find every error that lies within 16 bits."""
    sent = stored(name)
    wrong = data.draw(st.integers(1, 0xFFFF)) << data.draw(st.integers(0, 8 * len(sent) - 16))
    number = int.from_bytes(sent, "little") ^ wrong
    assert readings(number.to_bytes(len(sent), "little")) == []


@given(st.sampled_from(WHOLE), st.data())
def test_damage_of_any_kind_says_nothing_or_the_same(name: str, data: st.DataObject) -> None:
    """Longer errors pass one time in 65,536, or if they are made to: see the next test."""
    sent = stored(name)
    a, b = (data.draw(st.integers(0, len(sent))) for _ in range(2))
    instead = data.draw(st.binary(max_size=40) | st.sampled_from([sent[b : b + 50], sent]))
    found = readings(sent[: min(a, b)] + instead + sent[max(a, b) :])
    assert all(reading == readings(sent)[0] for reading in found)


def test_checksums_are_no_seal() -> None:
    """Who flips the bits of the checksums' polynomial changes a value and no checksum: nothing here is signed."""
    sent = bytearray(stored("emh-mme40.bin"))
    place = sent.index(write.code("1-0:16.7.0*255")) + 20
    for step in (0, 4, 11, 16):  # x¹⁶, x¹², x⁵ and 1, in the order of sending: each byte's lowest bit first
        sent[place + step // 8] ^= 1 << step % 8
    (changed,), (whole,) = readings(bytes(sent)), readings(stored("emh-mme40.bin"))
    assert changed.values["1-0:16.7.0*255"] != whole.values["1-0:16.7.0*255"]


@given(st.lists(st.binary(max_size=60) | st.sampled_from([write.START, write.ESCAPE, b"\x1b", b"\x1a"])))
def test_arbitrary_bytes_are_no_telegram(pieces: list[bytes]) -> None:
    assert readings(b"".join(pieces)) == []


def test_memory_is_bounded() -> None:
    splitter = Splitter()
    for piece in (bytes(5000), write.START, bytes(5000), write.ESCAPE * 2000, write.START * 1000) * 3:
        assert list(splitter.feed(piece)) == []
        assert len(splitter._held) < MAX_SIZE


def test_the_longest_telegram() -> None:
    def of(size: int) -> bytes:
        return bytes(write.telegram(bytes(size - 16)))

    assert len(telegrams(of(MAX_SIZE))) == 1
    assert telegrams(of(MAX_SIZE + 4)) == []


def test_starts_inside_what_is_none_are_found_in_bearable_time() -> None:
    """Each start in it has to be tried; there are at most 682 in a telegram's length."""
    hidden = (write.ESCAPE + write.START) * 683
    whole = stored("ebz-dd3.bin")
    assert len(readings(hidden[: MAX_SIZE - 100] + write.ESCAPE + b"\x1a\x00\x00\x00" + whole)) == 1
