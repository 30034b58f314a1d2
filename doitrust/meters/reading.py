"""What a meter says at one moment, its JSON form (formats.md, «Reading»), and the meter number of a server id. Pure.

The server ids of meters that speak SML, by their first byte (numbers are big-endian unless told otherwise):

- `0a` and `09`, 10 bytes: DIN 43863-5:2012 and its draft of July 2010. Division, maker (3 letters), block, number
  (4 bytes): `1EMH0012345678`.
- `06`, 10 bytes: the draft of February 2010. Maker, then division, year, block and number as one decimal number
  (6 bytes): `1EMH110012345678`.
- `01`, 9 bytes: an M-Bus address (EN 13757-3). Maker (15 bits, little-endian), number (8 digits BCD,
  little-endian), version, medium: `EMH12345678`.
- anything else: text, the maker's or the grid operator's own number, as it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from doitrust.errors import BadData, Usage
from doitrust.meters.number import meter_number

#: Registers of a reading read from JSON; no meter sends half as many.
_MAX_VALUES = 256
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,159})(?:\.[0-9]{1,128})?")
_RESOLUTION = re.compile(r"1(0{0,127})|0\.(0{0,127})1")
_OBIS = re.compile(r"[0-9]{1,3}-[0-9]{1,3}:[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\*[0-9]{1,3}")
_SERVER_ID = re.compile(r"(?:[0-9a-f]{2}){1,64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
#: A maker's name or a unit: short, printable ASCII.
_WORD = re.compile(r"[!-~](?:[ -~]{0,30}[!-~])?")


@dataclass(frozen=True, slots=True)
class Register:
    """One number of a meter: `raw` × 10^`scaler` of `unit` (None where the meter gives none).

    `transmitted` is the raw number as it was sent, where the meter is known to send another than it means.
    """

    raw: int
    scaler: int
    unit: str | None = None
    transmitted: int | None = None

    @property
    def value(self) -> str:
        """The number as an exact decimal, with the decimals that the resolution has: `0.0`, `16786000`."""
        return _decimal(self.raw, self.scaler)

    @property
    def resolution(self) -> str:
        """The smallest step of the number: `0.1`, `1000`."""
        return _decimal(1, self.scaler)

    @property
    def value_as_transmitted(self) -> str | None:
        """The number as it was sent, where that is another one."""
        return None if self.transmitted is None else _decimal(self.transmitted, self.scaler)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading.

    `taken` is Unix time by `clock`: `host` is the computer that read the meter (German meters count seconds of
    their own, not the time of day). `values` holds the numbers by OBIS code (IEC 62056-61, `1-0:1.8.0*255`) in
    the meter's order; what the meter didn't send is absent.
    """

    server_id: bytes
    taken: int
    values: Mapping[str, Register]
    maker: str | None = None
    clock: str = "host"

    @property
    def meter(self) -> str | None:
        """The meter number, or None if the server id stands for none."""
        return meter_of_server_id(self.server_id)


def meter_of_server_id(server_id: bytes) -> str | None:
    """Return the meter number that a server id stands for, or None."""
    match server_id[:1]:
        case b"\x0a" | b"\x09":
            return _din_2012(server_id)
        case b"\x06":
            return _din_2010(server_id)
        case b"\x01":
            return _mbus(server_id)
        case _:
            return _text(server_id)


def maker_of_server_id(server_id: bytes) -> str | None:
    """Return the three letters of the maker (FLAG) in a server id, or None."""
    meter = meter_of_server_id(server_id)
    if meter is None or server_id[0] not in b"\x0a\x09\x06\x01":
        return None
    return meter[:3] if server_id[0] == 0x01 else meter[1:4]


def _din_2012(server_id: bytes) -> str | None:
    if len(server_id) != 10:
        return None
    division, flag, block = server_id[1], _flag(server_id[2:5]), server_id[5]
    number = int.from_bytes(server_id[6:], "big")
    if flag is None or not 0 < division < 16 or number > 99_999_999:
        return None
    return f"{division:X}{flag}{block:02X}{number:08d}"


def _din_2010(server_id: bytes) -> str | None:
    if len(server_id) != 10:
        return None
    flag, digits = _flag(server_id[1:4]), str(int.from_bytes(server_id[4:], "big"))
    # A division that isn't 0, two digits of year, two of block, eight of number.
    return f"{digits[0]}{flag}{digits[1:]}" if flag is not None and len(digits) == 13 else None


def _mbus(server_id: bytes) -> str | None:
    if len(server_id) != 9:
        return None
    letters = int.from_bytes(server_id[1:3], "little")
    flag = _flag(bytes(64 + (letters >> shift & 31) for shift in (10, 5, 0)))
    digits = server_id[6:2:-1].hex()
    return f"{flag}{digits}" if flag is not None and letters < 0x8000 and digits.isdecimal() else None


def _text(server_id: bytes) -> str | None:
    try:
        return meter_number(server_id.decode("ascii"))
    except (UnicodeDecodeError, Usage):
        return None


def _flag(letters: bytes) -> str | None:
    """The maker's letters (FLAG association), if they are three of A to Z."""
    return letters.decode("ascii") if re.fullmatch(rb"[A-Z]{3}", letters) else None


def _decimal(raw: int, scaler: int) -> str:
    """Return `raw` × 10^`scaler` without exponent, with as many decimals as the scaler asks for."""
    if scaler >= 0:
        return str(raw * 10**scaler)
    digits = str(abs(raw)).zfill(1 - scaler)
    return f"{'-' if raw < 0 else ''}{digits[:scaler]}.{digits[scaler:]}"


def reading_json(reading: Reading) -> dict[str, Any]:
    """Return the JSON form of a reading; what isn't known is absent."""
    fields = {
        "meter": reading.meter,
        "server_id": reading.server_id.hex(),
        "maker": reading.maker,
        "taken": datetime.fromtimestamp(reading.taken, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "clock": reading.clock,
        "values": {obis: _register_json(register) for obis, register in reading.values.items()},
    }
    return {name: field for name, field in fields.items() if field is not None}


def _register_json(register: Register) -> dict[str, str]:
    fields = {
        "value": register.value,
        "unit": register.unit,
        "resolution": register.resolution,
        "transmitted": register.value_as_transmitted,
    }
    return {name: field for name, field in fields.items() if field is not None}


def read_reading(fields: Mapping[str, Any]) -> Reading:
    """Read the JSON form back; unknown fields are ignored. Raises `BadData` naming the field that is wrong."""
    values = fields.get("values")
    if not isinstance(values, dict) or len(values) > _MAX_VALUES:
        _wrong("values", f"is no object of at most {_MAX_VALUES} registers")
    reading = Reading(
        bytes.fromhex(_matching(fields, "server_id", _SERVER_ID)),
        _read_time(_matching(fields, "taken", _TIME)),
        {_read_obis(obis): _read_register(register) for obis, register in values.items()},
        _matching(fields, "maker", _WORD) if "maker" in fields else None,
        _matching(fields, "clock", _WORD),
    )
    if fields.get("meter") != reading.meter:
        _wrong("meter", "is not the number that the server id stands for")
    return reading


def _read_obis(obis: str) -> str:
    if not _OBIS.fullmatch(obis):
        _wrong("values", "names a register by something else than an OBIS code")
    return obis


def _read_register(fields: Any) -> Register:
    if not isinstance(fields, dict):
        _wrong("values", "holds a register that is no object")
    resolution = _matching(fields, "resolution", _RESOLUTION)
    scaler = resolution.count("0") * (1 if resolution[0] == "1" else -1)
    return Register(
        _read_decimal(fields, "value", scaler),
        scaler,
        _matching(fields, "unit", _WORD) if "unit" in fields else None,
        _read_decimal(fields, "transmitted", scaler) if "transmitted" in fields else None,
    )


def _read_decimal(fields: Mapping[str, Any], name: str, scaler: int) -> int:
    text = _matching(fields, name, _DECIMAL)
    raw: int = int(text.replace(".", "")) // 10 ** max(scaler, 0)
    if _decimal(raw, scaler) != text:
        _wrong(name, "has other decimals than the resolution")
    return raw


def _read_time(text: str) -> int:
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        _wrong("taken", "is no time")
    return round(moment.timestamp())


def _matching(fields: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        _wrong(name, "is missing or malformed")
    return value


def _wrong(field: str, problem: str) -> NoReturn:
    raise BadData(f"the reading's field {field!r} {problem}")
