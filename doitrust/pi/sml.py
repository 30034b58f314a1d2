"""SML messages: what a meter's telegram says (SML 1.04, BSI TR-03109-1 annex IV). Pure and strict.

A telegram holds three messages: PublicOpen.Res, the meter's list (GetList.Res), PublicClose.Res. Fields are read in
the standard's order and types and every byte is accounted for, or the telegram is refused with `BadData`. What
meters do beside the standard and is taken nevertheless:

- a message's checksum without its leading zero byte, as if it were any number (Iskra MT691);
- a time that is a bare number, no choice (Holley DTZ541);
- positive power sent as if negative (DZG DVS74), which the reading corrects.

Why our own (November 2026): smllib (1.7) is GPL-3, smlpy's last release of 2021. pysml (0.1.9, MIT) gives floats, by
which a register's resolution is lost, knows no CRC-16/Kermit, takes half of our damaged fixtures for whole, lets
`KeyError` and the like out of others, and brings aiohttp.
"""

from collections.abc import Iterator
from typing import NamedTuple

from doitrust.errors import BadData
from doitrust.meters.reading import Reading, Register, maker_of_server_id
from doitrust.pi.tlv import Number, Value, read_values
from doitrust.pi.transport import Telegram

#: Entries of a meter's list.
MAX_ENTRIES = 256
_MAX_SERVER_ID = 64

_OPEN, _LIST, _CLOSE = 0x0101, 0x0701, 0x0201

#: Units of an electricity meter's registers, by their number in IEC 62056-6-2.
_UNITS = {
    6: "min",
    7: "s",
    8: "deg",
    9: "degC",
    27: "W",
    28: "VA",
    29: "var",
    30: "Wh",
    31: "VAh",
    32: "varh",
    33: "A",
    35: "V",
    44: "Hz",
    56: "%",
    57: "Ah",
}
#: How «none» is written: absent, DZG's 0, the standard's 255.
_NO_UNIT = frozenset({None, 0, 255})

#: Where meters send their maker's name: 129-129:199.130.3*255, and the newer ones 1-0:96.50.1*1.
_MAKER = frozenset({bytes.fromhex("8181c78203ff"), bytes.fromhex("010060320101")})
#: 1-0:16.7.0*255, the power of all phases, negative while it flows out.
_POWER = bytes.fromhex("0100100700ff")
#: Bit of FNN's status word that is set while power flows out.
_FLOWS_OUT = 11


class Entry(NamedTuple):
    """One entry of a meter's list: OBIS code (6 bytes), status word, number of the unit, scaler, value."""

    code: bytes
    status: int | None
    unit: int | None
    scaler: int
    value: Value

    @property
    def obis(self) -> str:
        """The OBIS code as text (IEC 62056-61): `1-0:1.8.0*255`."""
        a, b, c, d, e, f = self.code
        return f"{a}-{b}:{c}.{d}.{e}*{f}"


class MeterList(NamedTuple):
    """What a telegram says: the meter's server id and the entries of its list."""

    server_id: bytes
    entries: tuple[Entry, ...]


def read_telegram(telegram: Telegram, taken: int) -> Reading:
    """Return the reading that a telegram of Unix time `taken` holds; raises `BadData` if it holds none."""
    server_id, entries = read_list(telegram)
    maker = maker_of_server_id(server_id)
    unsigned_power = maker == "DZG" and _flows_in(entries)
    values: dict[str, Register] = {}
    for entry in entries:
        register = _register(entry, unsigned=unsigned_power and entry.code == _POWER)
        if register is not None and values.setdefault(entry.obis, register) != register:
            raise BadData(f"the telegram gives {entry.obis} two values")
    return Reading(server_id, taken, values, _maker(entries) or maker)


def _register(entry: Entry, *, unsigned: bool) -> Register | None:
    """The number of an entry; None for text, for times, and for what the meter left empty.

    `unsigned`: a negative number stands for the one that its bytes are without a sign. DZG's DVS74 sends positive
    power so, in as few bytes as it takes without one (one telegram of this is known; four bytes never need it).
    """
    if not isinstance(entry.value, Number):
        return None
    number, size, _ = entry.value
    unit = None if entry.unit in _NO_UNIT else _UNITS.get(entry.unit or 0, f"unit {entry.unit}")
    if unsigned and number < 0 and size < 4:
        return Register(number + (1 << 8 * size), entry.scaler, unit, transmitted=number)
    return Register(number, entry.scaler, unit)


def _flows_in(entries: tuple[Entry, ...]) -> bool:
    """Whether the meter's status word is one of FNN's basic meters (lowest byte 4) and says that power flows in."""
    status = next((entry.status for entry in entries if entry.status is not None), 0)
    return status & 0xFF == 0x04 and not status >> _FLOWS_OUT & 1


def _maker(entries: tuple[Entry, ...]) -> str | None:
    """The maker's name as the meter sends it, if it is a short text."""
    for entry in entries:
        if entry.code in _MAKER and isinstance(entry.value, bytes) and len(entry.value) <= 32:
            text = entry.value.decode("latin-1").strip()
            if text and text.isascii() and text.isprintable():
                return text
    return None


def read_list(telegram: Telegram) -> MeterList:
    """Read a telegram's messages; raises `BadData` unless they are one meter's list, opened and closed."""
    messages = list(_messages(telegram))
    if [kind for kind, _ in messages] != [_OPEN, _LIST, _CLOSE]:
        raise BadData("the telegram is not one list between an opening and a closing message")
    (_, opening), (_, body), (_, closing) = messages
    found = _get_list(body)
    if _opened_by(opening) != found.server_id:
        raise BadData("the telegram is opened by one meter and holds the list of another")
    _octets(closing, 1, 0)
    return found


def _messages(telegram: Telegram) -> Iterator[tuple[int, Value]]:
    """Yield each message's kind and body, once its checksum and everything around the body are right."""
    data, start = telegram.messages, 0
    for message, end in read_values(data):
        fields = _fields(message, 6, "a message")
        _, group, on_error, choice, checksum, last = fields
        kind, body = _fields(choice, 2, "a message's body")
        number = _unsigned(kind)
        _octets(fields, 6, 0)
        if number is None or _unsigned(group) is None or _unsigned(on_error) is None or last is not None:
            raise BadData("the telegram has a malformed message")
        if not isinstance(checksum, Number) or checksum.signed:
            raise BadData("the telegram has a message without a checksum")
        # It covers what is before it; its own bytes, one before them, and the last of the message are not.
        covered = data[start : end - 1 - (1 + checksum.size)]
        if checksum.value != int.from_bytes(telegram.checksum(covered), "big"):
            raise BadData("the telegram has a message with a wrong checksum")
        yield number, body
        start = end


def _opened_by(body: Value) -> bytes:
    """Read a PublicOpen.Res (code page, client, request, server, time, version) and return the server."""
    fields = _octets(body, 6, 0, 1, 2, 3)
    if not _is_time(fields[4]) or not _is_optional_unsigned(fields[5]):
        raise BadData("the telegram's opening message is malformed")
    return _server_id(fields[3])


def _get_list(body: Value) -> MeterList:
    """Read a GetList.Res: client, server, name of the list, time, entries, signature, gateway's time."""
    fields = _octets(body, 7, 0, 1, 2, 5)
    entries = fields[4]
    if not _is_time(fields[3]) or not _is_time(fields[6]):
        raise BadData("the meter's list has a malformed time")
    if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
        raise BadData(f"the meter's list has no entries, or more than {MAX_ENTRIES}")
    return MeterList(_server_id(fields[1]), tuple(_entry(entry) for entry in entries))


def _entry(body: Value) -> Entry:
    """Read a ListEntry: code, status, time, unit, scaler, value, signature."""
    fields = _octets(body, 7, 0, 6)
    code, status, time, unit, scaler, value, _ = fields
    if not isinstance(code, bytes) or len(code) != 6:
        raise BadData("the meter's list has an entry without an OBIS code")
    if not _is_time(time) or not _is_optional_unsigned(status) or not _is_optional_unsigned(unit):
        raise BadData(f"the meter's entry {code.hex()} has a malformed status, time or unit")
    if scaler != b"" and not (isinstance(scaler, Number) and scaler.signed and scaler.size == 1):
        raise BadData(f"the meter's entry {code.hex()} has a malformed scaler")
    if value is None:
        raise BadData(f"the meter's entry {code.hex()} has no value")
    power_of_ten = scaler.value if isinstance(scaler, Number) else 0
    return Entry(code, _unsigned(status), _unsigned(unit), power_of_ten, value)


def _server_id(field: Value) -> bytes:
    if not isinstance(field, bytes) or not 1 <= len(field) <= _MAX_SERVER_ID:
        raise BadData("the telegram has no server id")
    return field


def _fields(value: Value, count: int, what: str) -> list[Value]:
    if not isinstance(value, list) or len(value) != count:
        raise BadData(f"the telegram has {what} that has not {count} fields")
    return value


def _octets(value: Value, count: int, *places: int) -> list[Value]:
    """Return a message's or entry's fields, once those at `places` are octet strings."""
    fields = _fields(value, count, "a message or an entry")
    if not all(isinstance(fields[place], bytes) for place in places):
        raise BadData("the telegram has text that is none")
    return fields


def _is_time(value: Value) -> bool:
    """Whether it is a time: absent, a choice of seconds or a local time (three numbers), or bare seconds."""
    if not isinstance(value, list):
        return _is_optional_unsigned(value)
    if len(value) != 2 or _unsigned(value[0]) is None:
        return False
    if isinstance(value[1], list):
        return len(value[1]) == 3 and all(isinstance(part, Number) for part in value[1])
    return _unsigned(value[1]) is not None


def _is_optional_unsigned(value: Value) -> bool:
    return value == b"" or _unsigned(value) is not None


def _unsigned(value: Value) -> int | None:
    return value.value if isinstance(value, Number) and not value.signed else None
