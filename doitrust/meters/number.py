"""Meter numbers (formats.md «Names», rule C1)."""

import re

from doitrust.errors import Usage
from doitrust.text import visible

#: Records of meters live under this prefix (rule C1).
RECORD_PREFIX = b"bp/"
_NUMBER = re.compile(r"[A-Z0-9]{4,32}")
#: DIN 43863-5: division, maker, block, number; and in its draft of 2010 the year before the block.
_DIN = re.compile(r"[0-9A-F][A-Z]{3}[0-9A-F]{2}[0-9]{8}|[0-9][A-Z]{3}[0-9]{12}")


def meter_number(text: str) -> str:
    """Return the meter number that a person typed: spaces, dots and dashes removed, upper case.

    Raises `Usage` unless 4 to 32 of `A-Z0-9` remain. ASCII is asked for first: upper-casing other letters can
    make ASCII of them.
    """
    if text.isascii():
        number = re.sub(r"[ .-]", "", text).upper()
        if _NUMBER.fullmatch(number):
            return number
    raise Usage(
        f"{visible(text, 60)!r} is no meter number",
        hint="it has 4 to 32 letters and digits, as in 1EMH0012345678",
    )


def is_din_number(number: str) -> bool:
    """Whether a meter number has a form of DIN 43863-5, so that nobody else has it."""
    return _DIN.fullmatch(number) is not None


def record_name(number: str) -> bytes:
    """Return the Doichain name that holds the record of meter `number`."""
    return RECORD_PREFIX + number.encode("ascii")


def number_of_record(record: bytes) -> str | None:
    """Return the meter number that a Doichain name belongs to, or None if it is no well-formed one."""
    if not record.startswith(RECORD_PREFIX):
        return None
    text = record[len(RECORD_PREFIX) :].decode("latin-1")
    return text if _NUMBER.fullmatch(text) else None
