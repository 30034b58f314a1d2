"""Organisation names, and the record names they stand for (formats.md «Names», rule O1)."""

import unicodedata
from functools import lru_cache

from doitrust.errors import BadData
from doitrust.text import visible

#: Records of organisations live under this prefix (rule O1).
RECORD_PREFIX = b"bp_organization/"
MAX_NAME_BYTES = 64
_PUNCTUATION = frozenset(" &.,-'()+")


def check_name(name: str) -> str:
    """Return `name` if an organisation may be called so; raises `BadData` saying what is wrong.

    NFC; 1 to 64 bytes of UTF-8; Latin letters, marks, digits, space and `& . , - ' ( ) +`; no leading, trailing
    or doubled space.
    """
    shown = visible(name)
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        raise BadData(f"the organisation's name {shown!r} is no text") from None
    if not 1 <= size <= MAX_NAME_BYTES:
        raise BadData(f"an organisation's name has 1 to {MAX_NAME_BYTES} bytes, {shown!r} has {size}")
    if not unicodedata.is_normalized("NFC", name):
        raise BadData(f"the organisation's name {shown!r} is not in Unicode's normal form C")
    for char in name:
        if not _allowed(char):
            raise BadData(f"the organisation's name {shown!r} holds {visible(char)!r}, which is not allowed")
    if name != name.strip(" ") or "  " in name:
        raise BadData(f"the organisation's name {shown!r} has a leading, trailing or doubled space")
    return name


def _allowed(char: str) -> bool:
    if char in _PUNCTUATION or char.isascii():
        return char in _PUNCTUATION or char.isalnum()
    category = unicodedata.category(char)
    if category.startswith("M"):
        return True
    return category.startswith("L") and unicodedata.name(char, "").startswith("LATIN ")


@lru_cache(maxsize=1024)
def record_name(name: str) -> bytes:
    """Return the Doichain name that holds organisation `name`'s record."""
    return RECORD_PREFIX + check_name(name).encode("utf-8")


def name_of_record(record: bytes) -> str | None:
    """Return the organisation that a Doichain name belongs to, or None if it is no well-formed one."""
    if not record.startswith(RECORD_PREFIX):
        return None
    try:
        return check_name(record[len(RECORD_PREFIX) :].decode("utf-8"))
    except (UnicodeDecodeError, BadData):
        return None
