"""SML: the made-up meters' files, the coding of values, and what a telegram's messages must be.

`fixtures/telegrams.py` wrote the files, with code of its own; recorded telegrams of other people's meters, where they
are at hand, show that it writes what meters send.
"""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_telegrams import DAMAGED, EXPECTED, FIXTURES, FOLDER, RECORDED, readings, stored, telegrams, write

from doitrust.errors import BadData
from doitrust.meters.reading import Reading, read_reading, reading_json
from doitrust.pi.sml import read_list
from doitrust.pi.tlv import MAX_DEPTH, Number, Value, read_values
from doitrust.pi.transport import CHECKSUMS, Checksum, Telegram

#: The made-up meter that has the shape of each recorded one; None: nothing whole was recorded.
SHAPES = {
    "DZG_DVS-7412.2_jmberg": "dzg-dvs74-sign",
    "DZG_DVS-7420.2V.G2_mtr1": "dzg-tariffs",
    "DZG_DVS-7420.2V.G2_mtr1_error": None,
    "DZG_DVS-7420.2V.G2_mtr2": "dzg-importing",
    "DZG_DVS-7420.2V.G2_mtr2_neg": "dzg-exporting",
    "EMH_eHZ-GW8E2A500AK2": "emh-ehz-gw-text",
    "EMH_eHZ-HW8E2A5L0EK2P": "emh-ehz-hw",
    "EMH_eHZ-HW8E2A5L0EK2P_2": "emh-ehz-hw",
    "EMH_eHZ-HW8E2AWL0EK2P": "emh-ehz-hw-mbus",
    "EMH_eHZ-IW8E2A5L0EK2P_with_error": "emh-ehz-iw",
    "EMH_eHZ361L5R": "emh-ehz361-text",
    "EMH_eHZ361L5R_1": "emh-ehz361-text",
    "EMH_mME40-AE6AKF0K0": "emh-mme40",
    "EasyMeter_Q3A_A1064V1009": "easymeter-q3a",
    "HOLLEY_DTZ541-ZDBA": "holley-dtz541",
    "ISKRA_MT175_D1A52-V22-K0t": "iskra-mt175",
    "ISKRA_MT631-D2A51-V22-K0z_with_PIN": "iskra-mt631-pin",
    "ISKRA_MT631-D2A51-V22-K0z_without_PIN": "iskra-mt631-no-pin",
    "ISKRA_MT691_eHZ-MS2020": "iskra-mt691",
    "ITRON_OpenWay-3.HZ_with_PIN": "itron-openway-pin",
    "ITRON_OpenWay-3.HZ_without_PIN": "itron-openway-no-pin",
    "eBZ_DD3_DD32R06DTA-SMZ1": "ebz-dd3",
}


def as_json(reading: Reading) -> dict[str, Any]:
    return {name: field for name, field in reading_json(reading).items() if name != "taken"}


# ---- the files


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_says_what_it_was_written_to_say(name: str) -> None:
    found = readings(stored(name))
    assert len(found) == EXPECTED[name]["readings"]
    assert [as_json(reading) for reading in found[-1:]] == [EXPECTED[name]["last"]][: len(found)]


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_telegram_hides_none_behind_it(name: str) -> None:
    whole = stored("iskra-mt175.bin")
    damaged = stored(name)
    # What was cut or longer than allowed may reach into the next one, but not into the one after that.
    found = readings(damaged + whole + damaged + whole)
    assert found == readings(whole) * 2


def test_regenerating_gives_the_same_files(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-B", FIXTURES / "telegrams.py", tmp_path], check=True, timeout=60)
    again = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert again == {path.name: path.read_bytes() for path in FOLDER.iterdir()}


def shape(value: Value) -> Any:
    """Types and order of a value; of octets the length too, and an OBIS code as it is."""
    if isinstance(value, list):
        return [shape(element) for element in value]
    if isinstance(value, Number):
        return "integer" if value.signed else "unsigned"
    if isinstance(value, bytes):
        return value.hex() if len(value) == 6 and value[4:] in (b"\xff", b"\x00\xff") else len(value)
    return value


def shapes(stream: bytes) -> list[Any]:
    """The shape of each telegram's messages."""
    return [[shape(value) for value, _ in read_values(found.messages)] for found in telegrams(stream)]


@pytest.mark.parametrize("recorded", SHAPES)
def test_made_up_telegrams_have_the_shape_of_recorded_ones(recorded: str) -> None:
    if not RECORDED.is_dir():
        pytest.skip("cannot be had here: the recorded telegrams, which are other people's")
    made_up = SHAPES[recorded]
    found = shapes((RECORDED / f"{recorded}.bin").read_bytes())
    expected = [] if made_up is None else shapes(stored(f"{made_up}.bin"))
    assert all(each == expected[0] for each in found)
    assert bool(found) == bool(expected)


def test_every_recorded_meter_has_a_made_up_one() -> None:
    if not RECORDED.is_dir():
        pytest.skip("cannot be had here: the recorded telegrams, which are other people's")
    assert {path.stem for path in RECORDED.glob("*.bin")} == SHAPES.keys()


# ---- the coding and the messages


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_values_or_bad_data(data: bytes) -> None:
    places = [0]
    with suppress(BadData):
        places += [place for _, place in read_values(data)]
        assert places[-1] == len(data)
    assert places == sorted(set(places))


single = st.one_of(
    st.just(write.ABSENT),
    st.binary(max_size=40).map(write.octets),
    st.integers(0, 2**64 - 1).map(write.unsigned),
    st.integers(-(2**63), 2**63 - 1).map(write.integer),
    st.sampled_from([b"\x42\x00", b"\x42\x01", write.END]),
)


def _lists_of(inner: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(inner, max_size=20).map(lambda elements: bytes(write.listed(*elements)))


coded = st.one_of(single, _lists_of(single), _lists_of(_lists_of(single) | single))


@given(coded)
def test_what_is_written_is_read(data: bytes) -> None:
    ((value, end),) = read_values(data)
    assert end == len(data)
    assert _again(value) == data


def _again(value: Value) -> bytes:
    match value:
        case list():
            return bytes(write.listed(*map(_again, value)))
        case Number():
            return bytes((write.integer if value.signed else write.unsigned)(value.value, value.size))
        case bytes():
            return bytes(write.octets(value))
        case bool():
            return b"\x42\x01" if value else b"\x42\x00"
        case _:
            return bytes(write.END)


@pytest.mark.parametrize("length", [0, 1, 14, 15, 16, 253, 254, 255, 256, 4096])
def test_a_length_takes_as_many_bytes_as_it_needs(length: int) -> None:
    ((value, _),) = read_values(write.listed(*[write.unsigned(0)] * length))
    assert value == [Number(0, 1, signed=False)] * length
    ((value, _),) = read_values(write.octets(bytes(length)))
    assert value == bytes(length)


@pytest.mark.parametrize(
    ("coded", "value"),
    [
        ("01", b""),
        ("00", None),
        ("4200", False),
        ("4201", True),
        ("42ff", True),
        ("62ff", Number(255, 1, signed=False)),
        ("52ff", Number(-1, 1, signed=True)),
        ("6400ffff", Number(0xFFFF, 3, signed=False)),
        ("54ff0000", Number(-0x10000, 3, signed=True)),
        ("8006aabbccdd", b"\xaa\xbb\xcc\xdd"),
        ("70", []),
        ("f00162ff", [Number(255, 1, signed=False)]),
    ],
)
def test_a_value(coded: str, value: Value) -> None:
    assert list(read_values(bytes.fromhex(coded))) == [(value, len(coded) // 2)]


@pytest.mark.parametrize(
    "coded",
    [
        *("02", "80", "8000", "8001", "8071", "60", "61", "50", "51", "40", "41", "71", "f1"),
        *("7201", "1201", "2201", "3201", "430101", "e06301", "f181808001", "e08080800601"),
        *("6a" + "00" * 9, "7f" + "01" * 14),
    ],
)
def test_what_is_no_value(coded: str) -> None:
    with pytest.raises(BadData, match="the telegram is malformed at byte "):
        list(read_values(bytes.fromhex(coded)))


def test_lists_in_lists_are_bounded() -> None:
    def nested(depth: int) -> bytes:
        return bytes([0x71]) * depth + b"\x01"

    assert len(list(read_values(nested(MAX_DEPTH)))) == 1
    with pytest.raises(BadData, match="nested deeper than 8"):
        list(read_values(nested(MAX_DEPTH + 1)))
    with pytest.raises(BadData, match="nested deeper than 8"):
        list(read_values(bytes([0x71]) * 8000))


@given(st.binary(max_size=200), st.sampled_from(CHECKSUMS))
def test_arbitrary_messages_are_bad_data(data: bytes, checksum: Checksum) -> None:
    with pytest.raises(BadData):
        read_list(Telegram(data, checksum))


def _entry(fields: tuple[bytes, ...]) -> bytes:
    return bytes(write.listed(*fields))


numbers = st.integers(0, 255).map(write.unsigned)
fields = st.tuples(
    st.sampled_from(["1-0:1.8.0*255", "1-0:16.7.0*255"]).map(lambda obis: write.octets(write.code(obis))),
    st.just(write.ABSENT) | numbers | coded,
    st.just(write.ABSENT) | numbers.map(lambda number: write.listed(write.unsigned(1), number)) | coded,
    st.just(write.ABSENT) | numbers | coded,
    st.just(write.ABSENT) | st.integers(-128, 127).map(lambda scaler: write.integer(scaler, 1)) | coded,
    coded,
    st.just(write.ABSENT) | coded,
)


@given(st.lists(fields.map(_entry) | coded, max_size=3), coded, st.booleans())
@settings(max_examples=300)
def test_telegrams_of_arbitrary_parts_are_read_or_bad_data(
    entries: list[bytes], part: bytes, replaced: bool
) -> None:
    """Right checksums around anything: what is read has a JSON form, and that reads back as the same."""
    meter = write.Meter(b"12345678", "12345678", None, opened=part if replaced else write.ABSENT)
    sent = write.telegram(meter.opening() + meter.listing(write.listed(*entries)) + meter.closing())
    for reading in readings(sent):
        assert read_reading(json.loads(json.dumps(reading_json(reading)))) == reading


# ---- every field in every type

CANDIDATES: dict[str, bytes] = {
    "absent": write.ABSENT,
    "octets": write.text("x"),
    "unsigned": write.unsigned(1),
    "integer": write.integer(1, 1),
    "wide integer": write.integer(1, 2),
    "boolean": b"\x42\x01",
    "seconds": write.seconds(1),
    "local time": write.listed(write.unsigned(3), write.listed(write.unsigned(1), *[write.integer(60)] * 2)),
    "local time of 2": write.listed(write.unsigned(3), write.listed(write.unsigned(1), write.integer(60))),
    "local time of text": write.listed(write.unsigned(3), write.listed(*[write.text("x")] * 3)),
    "seconds without choice": write.listed(write.integer(1), write.unsigned(1)),
    "seconds as text": write.listed(write.unsigned(1), write.text("x")),
    "empty list": write.listed(),
    "list of 3": write.listed(*[write.unsigned(1)] * 3),
    "end": write.END,
}
OCTETS = {"absent", "octets"}
TIME = {"absent", "unsigned", "seconds", "local time"}
UNSIGNED = {"absent", "unsigned"}
#: What each field may be; of names and structures, which have tests of their own, nothing but themselves.
MAY_BE: dict[str, list[set[str]]] = {
    "message": [OCTETS, {"unsigned"}, {"unsigned"}, set(), set()],
    "opening": [OCTETS, OCTETS, OCTETS, set(), TIME, UNSIGNED],
    "list": [OCTETS, set(), OCTETS, TIME, {"empty list"}, OCTETS, TIME],
    "entry": [set(), UNSIGNED, TIME, UNSIGNED, {"absent", "integer"}, CANDIDATES.keys() - {"end"}, OCTETS],
    "closing": [OCTETS],
}


def built(where: str, place: int, instead: bytes) -> bytes:
    """A telegram with right checksums, in which one field is replaced."""

    def fields(name: str, *values: bytes) -> list[bytes]:
        return [instead if (name, index) == (where, place) else value for index, value in enumerate(values)]

    def message(kind: int, body: list[bytes]) -> bytes:
        content = write.listed(write.unsigned(kind, 2), write.listed(*body))
        head = fields("message", write.ABSENT, write.unsigned(0), write.unsigned(0), content)
        covered = write.head(7, 6) + b"".join(head)
        number = write.unsigned(int.from_bytes(write.x25(covered), "big"), 2)
        return bytes(covered + fields("message", *[b""] * 4, number)[4] + write.END)

    server, nothing = write.text("12345678"), write.ABSENT
    entry = fields("entry", write.octets(bytes(6)), *[nothing] * 4, write.unsigned(1), nothing)
    entries = write.listed(write.listed(*entry))
    opening = fields("opening", nothing, nothing, nothing, server, nothing, nothing)
    listing = fields("list", nothing, server, nothing, nothing, entries, nothing, nothing)
    closing = fields("closing", nothing)
    return bytes(
        write.telegram(
            message(write.OPEN, opening) + message(write.LIST, listing) + message(write.CLOSE, closing)
        )
    )


@pytest.mark.parametrize("candidate", CANDIDATES)
@pytest.mark.parametrize(
    ("where", "place"), [(where, place) for where, may in MAY_BE.items() for place in range(len(may))]
)
def test_a_field_has_its_type_or_the_telegram_is_refused(where: str, place: int, candidate: str) -> None:
    assert len(readings(built("", 0, b""))) == 1
    found = readings(built(where, place, CANDIDATES[candidate]))
    assert len(found) == (candidate in MAY_BE[where][place])


# ---- single findings


def test_a_telegram_has_checksums_of_one_kind() -> None:
    meter = write.Meter(b"12345678", "12345678", None)
    content = meter.opening() + meter.listing() + meter.closing()
    assert len(readings(write.telegram(content))) == 1
    assert readings(write.telegram(content, write.kermit)) == []


@pytest.mark.parametrize(
    ("status", "size", "meant"),
    [
        (0x1C0104, 2, "356.24"),
        (0x1C0104, 3, "167473.04"),
        (0x1C0104, 4, None),  # no positive power needs four bytes
        (0x1C0904, 2, None),  # bit 11: power flows out
        (0x1C0105, 2, None),  # not the form of FNN's basic meters
        (None, 2, None),
    ],
)
def test_negative_power_is_corrected_only_where_it_contradicts(
    status: int | None, size: int, meant: str | None
) -> None:
    def read(maker: bytes) -> dict[str, dict[str, str]]:
        meter = write.Meter(b"\x0a\x01" + maker + bytes(5), None, None)
        word = write.ABSENT if status is None else write.unsigned(status)
        meter.counts("1-0:1.8.0*255", "1", "Wh", status=word)
        for obis in ("1-0:16.7.0*255", "1-0:36.7.0*255"):
            meter.counts(obis, "-299.12", "W", f"i{size}", resolution="0.01")
        values: dict[str, dict[str, str]] = reading_json(*readings(meter.telegram()))["values"]
        return values

    sent = {"value": "-299.12", "unit": "W", "resolution": "0.01"}
    corrected = {**sent, "value": meant, "transmitted": "-299.12"} if meant else sent
    assert read(b"DZG")["1-0:16.7.0*255"] == corrected
    assert read(b"DZG")["1-0:36.7.0*255"] == sent
    assert read(b"EMH")["1-0:16.7.0*255"] == sent


@pytest.mark.parametrize(
    ("number", "unit"), [(30, "Wh"), (8, "deg"), (44, "Hz"), (0, None), (255, None), (13, "unit 13")]
)
def test_a_unit(number: int, unit: str | None) -> None:
    meter = write.Meter(b"12345678", "12345678", None)
    meter.entries.append(write.entry("1-0:1.8.0*255", write.unsigned(1), unit=write.unsigned(number)))
    (reading,) = readings(meter.telegram())
    assert reading.values["1-0:1.8.0*255"].unit == unit


@pytest.mark.parametrize(
    ("sent", "maker"),
    [
        (b"EMH", "EMH"),
        (b"Landis+Gyr AG ", "Landis+Gyr AG"),
        (b"M" * 32, "M" * 32),
        (b"M" * 33, None),
        (b"", None),
        (b" ", None),
        (b"\x1b[1m", None),
        (b"\xc4", None),
    ],
)
def test_a_maker_is_a_short_printable_text(sent: bytes, maker: str | None) -> None:
    meter = write.Meter(b"12345678", "12345678", None)
    meter.says("1-0:96.50.1*1", write.octets(sent))
    (reading,) = readings(meter.telegram())
    assert reading.maker == maker
