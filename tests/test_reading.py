"""Readings: exact decimals, the numbers that server ids stand for, a JSON form that is read strictly."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doitrust.errors import BadData
from doitrust.meters.reading import (
    Reading,
    Register,
    maker_of_server_id,
    meter_of_server_id,
    read_reading,
    reading_json,
)
from doitrust.pi.sml import read_list, read_telegram
from doitrust.pi.tlv import Number
from doitrust.pi.transport import Splitter

#: Recorded telegrams of other people's meters and what they say; they are no part of the project.
RECORDED = Path(__file__).parents[2] / "shared" / "telegrams"
IMPORT, EXPORT, POWER = "1-0:1.8.0*255", "1-0:2.8.0*255", "1-0:16.7.0*255"


def recorded() -> dict[str, Any]:
    """What each recorded file says, or nothing where they are not at hand."""
    path = RECORDED / "expected.json"
    files: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return files


SAID = recorded()
_ABSENT = "cannot be had here: the recorded telegrams, which are other people's"
NAMES: list[Any] = list(SAID) or [pytest.param("", marks=pytest.mark.skip(_ABSENT))]


# ---- recorded meters


def test_every_recorded_meter_is_known() -> None:
    if not SAID:
        pytest.skip(_ABSENT)
    assert {path.name for path in RECORDED.glob("*.bin")} == SAID.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_meter_says_what_is_known_of_it(name: str) -> None:
    said = SAID[name]
    telegrams = list(Splitter().feed((RECORDED / name).read_bytes()))
    assert len(telegrams) == said["telegrams"]["crc_valid"] == len(said["series"])
    for telegram, known in zip(telegrams, said["series"], strict=True):
        values = reading_json(read_telegram(telegram, 0))["values"]
        for obis in (IMPORT, EXPORT, POWER):
            assert values.get(obis, {}).get("value") == known.get(obis)
        assert values.get(POWER, {}).get("transmitted") == known.get(f"{POWER} as transmitted")
    if not telegrams:
        return
    last = read_telegram(telegrams[-1], 0)
    assert last.server_id.hex().upper() == said["server_id"]
    assert last.meter == said["meter_number"].replace(" ", "")
    assert last.maker == said["manufacturer"]["text"]
    assert (last.values[POWER].value if POWER in last.values else None) == said["power_w"]
    numbers = {obis: known for obis, known in said["registers"].items() if known.get("value") is not None}
    assert list(last.values) == list(numbers)
    for obis, known in numbers.items():
        register = last.values[obis]
        assert (register.value, register.unit) == (known["value"], known.get("unit"))
        assert (str(register.raw), register.scaler) == (known["raw"], known["scaler"] or 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_meter_s_entries_are_all_there(name: str) -> None:
    """Also those that are no numbers, with their status words."""
    for telegram in list(Splitter().feed((RECORDED / name).read_bytes()))[-1:]:
        entries = {entry.obis: entry for entry in read_list(telegram).entries}
        assert list(entries) == list(SAID[name]["registers"])
        for obis, known in SAID[name]["registers"].items():
            entry = entries[obis]
            assert entry.status == (int(known["status"], 16) if "status" in known else None)
            assert isinstance(entry.value, Number) == (known.get("value") is not None)
            assert isinstance(entry.value, Number) or entry.value == bytes.fromhex(known.get("hex", ""))


# ---- decimals


@pytest.mark.parametrize(
    ("raw", "scaler", "value", "resolution"),
    [
        (23536569, -1, "2353656.9", "0.1"),
        (0, -1, "0.0", "0.1"),
        (16786, 3, "16786000", "1000"),
        (0, 3, "0", "1000"),
        (0, 0, "0", "1"),
        (-29912, -2, "-299.12", "0.01"),
        (-5, -2, "-0.05", "0.01"),
        (-1, 0, "-1", "1"),
        (29416471626, -4, "2941647.1626", "0.0001"),
        (1, -9, "0.000000001", "0.000000001"),
        (2**64 - 1, 0, "18446744073709551615", "1"),
    ],
)
def test_a_number_has_the_decimals_of_its_resolution(
    raw: int, scaler: int, value: str, resolution: str
) -> None:
    assert (Register(raw, scaler).value, Register(raw, scaler).resolution) == (value, resolution)


registers = st.builds(
    Register,
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-128, 127),
    st.sampled_from([None, "Wh", "W", "deg", "unit 13"]),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)


@given(registers)
def test_a_number_is_exact_and_has_no_exponent(register: Register) -> None:
    value, resolution = Decimal(register.value), Decimal(register.resolution)
    assert not set(register.value + register.resolution) - set("-.0123456789")
    assert resolution == Decimal(f"1e{register.scaler}")
    assert value == Decimal(f"{register.raw}e{register.scaler}")
    if register.scaler <= 0:
        assert value.as_tuple().exponent == register.scaler


# ---- server ids


@pytest.mark.parametrize(
    ("server_id", "meter", "maker"),
    [
        ("0a01454d480000bc614e", "1EMH0012345678", "EMH"),
        ("0a01484c590200bc614e", "1HLY0212345678", "HLY"),
        ("09014553591100bc614e", "1ESY1112345678", "ESY"),
        ("0901455359ff05f5e0ff", "1ESYFF99999999", "ESY"),
        ("0a07454d480000000001", "7EMH0000000001", "EMH"),
        ("06454d48010271e43d4e", "1EMH110012345678", "EMH"),
        ("06454d4801cf6129fdff", "1EMH990199999999", "EMH"),
        ("01a815785634120102", "EMH12345678", "EMH"),
        ("01a815000000000102", "EMH00000000", "EMH"),
        (b"02280816".hex(), "02280816", None),
        (b"1EMH0012345678".hex(), "1EMH0012345678", None),
        (b"1 emh00 1234-5678".hex(), "1EMH0012345678", None),
    ],
)
def test_a_server_id_stands_for_a_meter_number(server_id: str, meter: str | None, maker: str | None) -> None:
    assert meter_of_server_id(bytes.fromhex(server_id)) == meter
    assert maker_of_server_id(bytes.fromhex(server_id)) == maker


@pytest.mark.parametrize(
    ("server_id", "wrong"),
    [
        ("", "nothing"),
        ("0a01454d480000bc61", "too short"),
        ("0a01454d480000bc614e00", "too long"),
        ("0a00454d480000bc614e", "division 0"),
        ("0a10454d480000bc614e", "division of two digits"),
        ("0a01456d480000bc614e", "a small letter as maker"),
        ("0a01454d480005f5e100", "a number of nine digits"),
        ("06454d48000000000001", "no division"),
        ("06454d48091bbdd8b7ff", "fourteen digits"),
        ("06454d4801027153c8", "too short"),
        ("01a8157856341201", "too short"),
        ("01a815785634ab0102", "no BCD"),
        ("01a895785634120102", "a bit above the maker's letters"),
        ("010014785634120102", "a maker's letter 0"),
        ("0f454d48", "an unknown kind"),
        (b"123".hex(), "too short a text"),
        (b"1EMH/0012".hex(), "a text with other characters"),
        ("c4e4", "no ASCII"),
    ],
)
def test_other_server_ids_stand_for_none(server_id: str, wrong: str) -> None:
    assert meter_of_server_id(bytes.fromhex(server_id)) is None, wrong
    assert maker_of_server_id(bytes.fromhex(server_id)) is None, wrong


@given(st.binary(max_size=40))
def test_any_server_id_stands_for_a_number_or_none(server_id: bytes) -> None:
    meter = meter_of_server_id(server_id)
    assert meter is None or (4 <= len(meter) <= 32 and meter.isalnum() and meter.isascii())


# ---- JSON

SERVER_ID = bytes.fromhex("0a01454d480000bc614e")
READING = Reading(
    SERVER_ID,
    1_795_255_200,
    {
        IMPORT: Register(23536569, -1, "Wh"),
        POWER: Register(35624, -2, "W", -29912),
        "1-0:96.5.0*255": Register(7, 0),
    },
    "EMH",
)
AS_JSON: dict[str, Any] = {
    "meter": "1EMH0012345678",
    "server_id": "0a01454d480000bc614e",
    "maker": "EMH",
    "taken": "2026-11-21T10:00:00Z",
    "clock": "host",
    "values": {
        "1-0:1.8.0*255": {"value": "2353656.9", "unit": "Wh", "resolution": "0.1"},
        "1-0:16.7.0*255": {"value": "356.24", "unit": "W", "resolution": "0.01", "transmitted": "-299.12"},
        "1-0:96.5.0*255": {"value": "7", "resolution": "1"},
    },
}


def test_the_json_form() -> None:
    assert json.dumps(reading_json(READING)) == json.dumps(AS_JSON)
    assert read_reading(AS_JSON) == READING
    assert read_reading({**AS_JSON, "later": 1}) == READING


def test_what_is_not_known_is_absent() -> None:
    reading = Reading(b"\x0f", 0, {})
    assert reading_json(reading) == {
        "server_id": "0f",
        "taken": "1970-01-01T00:00:00Z",
        "clock": "host",
        "values": {},
    }
    assert read_reading(reading_json(reading)) == reading


@given(
    st.binary(min_size=1, max_size=64) | st.just(SERVER_ID),
    st.integers(0, 2**32),
    st.dictionaries(st.just(IMPORT) | st.just(POWER), registers),
    st.none() | st.just("EMH"),
)
def test_the_json_form_reads_back_as_the_same(
    server_id: bytes, taken: int, values: dict[str, Register], maker: str | None
) -> None:
    reading = Reading(server_id, taken, values, maker)
    assert read_reading(json.loads(json.dumps(reading_json(reading)))) == reading


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("meter", None),
        ("meter", "1EMH0012345679"),
        ("meter", 1),
        ("server_id", None),
        ("server_id", ""),
        ("server_id", "0A01454D480000BC614E"),
        ("server_id", "0a01454d480000bc614"),
        ("maker", None),
        ("maker", ""),
        ("maker", "EMH\x1b[1m"),
        ("maker", 7),
        ("taken", None),
        ("taken", 1_795_255_200),
        ("taken", "2026-11-21T10:00:00+01:00"),
        ("taken", "2026-02-30T10:00:00Z"),
        ("clock", None),
        ("clock", ["host"]),
        ("values", None),
        ("values", []),
        ("values", {"1.8.0": {"value": "1", "resolution": "1"}}),
        ("values", {IMPORT: "1"}),
        ("values", {f"1-0:1.8.0*{n}": {"value": "1", "resolution": "1"} for n in range(257)}),
    ],
)
def test_a_wrong_field_is_named(field: str, value: Any) -> None:
    with pytest.raises(BadData, match=f"the reading's field '{field}' "):
        read_reading({**AS_JSON, field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", None),
        ("value", 1.5),
        ("value", "1"),
        ("value", "1.50"),
        ("value", "01.5"),
        ("value", "1.5e1"),
        ("value", "+1.5"),
        ("value", "-0.0"),
        ("value", "NaN"),
        ("value", "1" * 200 + ".5"),
        ("value", "\u0661.\u0665"),
        ("resolution", None),
        ("resolution", "0.2"),
        ("resolution", "0.10"),
        ("resolution", "1e-1"),
        ("resolution", "10"),
        ("unit", None),
        ("unit", ""),
        ("unit", "W\n"),
        ("transmitted", None),
        ("transmitted", "15"),
    ],
)
def test_a_wrong_field_of_a_register_is_named(field: str, value: Any) -> None:
    register = {"value": "1.5", "unit": "Wh", "resolution": "0.1", field: value}
    wrong = "value" if (field, value) == ("resolution", "10") else field
    with pytest.raises(BadData, match=f"the reading's field '{wrong}' "):
        read_reading({**AS_JSON, "values": {IMPORT: register}})


anything = (
    st.none() | st.booleans() | st.integers() | st.sampled_from(["1", "0.1", "Wh"]) | st.text(max_size=9)
)
anything_about_registers = st.dictionaries(
    st.sampled_from([IMPORT, POWER, "1.8.0"]),
    st.dictionaries(st.sampled_from(["value", "unit", "resolution", "transmitted"]), anything),
)


@given(anything | anything_about_registers)
def test_arbitrary_values_are_a_reading_or_bad_data(values: Any) -> None:
    try:
        reading = read_reading({**AS_JSON, "values": values})
    except BadData:
        return
    assert reading_json(reading)["values"] == values
