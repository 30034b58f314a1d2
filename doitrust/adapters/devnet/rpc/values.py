"""JSON as Doichain Core reads and writes it: numbers are texts, amounts have eight decimals, types are named.

Source: src/univalue, src/rpc/util.cpp, src/rpc/protocol.h.
"""

import json
import re
from typing import Any, NoReturn

from doitrust.chain.amounts import MAX_MONEY, doi

#: Levels of arrays and objects in a request (src/univalue/lib/univalue_read.cpp, MAX_JSON_DEPTH).
MAX_DEPTH = 512

# src/rpc/protocol.h
MISC_ERROR = -1
TYPE_ERROR = -3
WALLET_ERROR = -4
INVALID_ADDRESS_OR_KEY = -5
INVALID_PARAMETER = -8
WALLET_NOT_FOUND = -18
DATABASE_ERROR = -20
DESERIALIZATION_ERROR = -22
VERIFY_ERROR = -25
VERIFY_REJECTED = -26
ALREADY_IN_CHAIN = -27
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
PARSE_ERROR = -32700
NAME_INVALID_ENCODING = -1000

_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_FIXED = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_HEX = re.compile(r"([0-9a-fA-F]{2})+", re.ASCII)
# Python's own digit limit for int(); no parameter has more.
_MAX_DIGITS = 18


class RpcError(Exception):
    """What a method answers instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


class Amount(int):
    """Schwartz, written as DOI (src/core_write.cpp, ValueFromAmount)."""

    __slots__ = ()


def read(data: bytes) -> Any:
    """Parse a request's body; raises `RpcError`."""
    try:
        text = data.decode("utf-8")
        value = _DECODER.decode(text)
        if "\\u" in text:
            write(value).encode("utf-8")  # refuses lone surrogates
    except (ValueError, RecursionError):
        raise RpcError(PARSE_ERROR, "Parse error") from None
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        insides = (
            outer.values() if isinstance(outer, dict) else outer for outer in level if is_nested(outer)
        )
        level = [inner for inside in insides for inner in inside if is_nested(inner)]
        if not level:
            return value
    raise RpcError(PARSE_ERROR, "Parse error")


def is_nested(value: Any) -> bool:
    """Whether it is an array or object."""
    return isinstance(value, dict | list)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that comes twice the first counts (find_value)."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=_constant
)


def write(value: Any) -> str:
    """Return `value` as JSON."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write(value: Any, parts: list[str]) -> None:
    # One frame a level: a request's id comes back however deep it is.
    if isinstance(value, Number):
        parts.append(value)
    elif isinstance(value, Amount):
        parts.append(doi(value))
    elif isinstance(value, dict):
        for at, (key, inner) in enumerate(value.items()):
            parts += ["," if at else "{", json.dumps(key, ensure_ascii=False), ":"]
            _write(inner, parts)
        parts.append("}" if value else "{}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            parts.append("," if at else "[")
            _write(inner, parts)
        parts.append("]" if value else "[]")
    else:
        parts.append(json.dumps(value, ensure_ascii=False))


def type_name(value: Any) -> str:
    """How error messages call a value's type (uvTypeName)."""
    if value is None:
        return "null"
    kinds = ((bool, "bool"), (dict, "object"), (list, "array"), (Number, "number"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "string")


def check_object(value: dict[str, Any], fields: dict[str, str], *, allow_missing: bool) -> None:
    """Check the types of an object's known fields, in their order (RPCTypeCheckObj). Raises `RpcError`."""
    for key, wanted in sorted(fields.items()):
        found = value.get(key)
        if found is None:
            if allow_missing:
                continue
            raise RpcError(TYPE_ERROR, f"Missing {key}")
        if type_name(found) != wanted:
            raise RpcError(TYPE_ERROR, f"Expected type {wanted} for {key}, got {type_name(found)}")


def as_text(value: Any) -> str:
    """Return a string (get_str); raises `RpcError`."""
    if not isinstance(value, str) or isinstance(value, Number):
        raise RpcError(MISC_ERROR, "JSON value is not a string as expected")
    return value


def as_int(value: Any) -> int:
    """Return a number of 32 bits (get_int); raises `RpcError`."""
    if not isinstance(value, Number):
        raise RpcError(MISC_ERROR, "JSON value is not an integer as expected")
    if _INTEGER.fullmatch(value) and len(value) <= _MAX_DIGITS and -(2**31) <= int(value) < 2**31:
        return int(value)
    raise RpcError(MISC_ERROR, "JSON integer out of range")


def as_bool(value: Any) -> bool:
    """Return a boolean (get_bool); raises `RpcError`."""
    if not isinstance(value, bool):
        raise RpcError(MISC_ERROR, "JSON value is not a boolean as expected")
    return value


def as_array(value: Any) -> list[Any]:
    """Return an array (get_array); raises `RpcError`."""
    if not isinstance(value, list):
        raise RpcError(MISC_ERROR, "JSON value is not an array as expected")
    return value


def as_object(value: Any) -> dict[str, Any]:
    """Return an object (get_obj); raises `RpcError`."""
    if not isinstance(value, dict):
        raise RpcError(MISC_ERROR, "JSON value is not an object as expected")
    return value


def is_hex(text: str) -> bool:
    """Whether it is whole bytes in hex, at least one (src/util/strencodings.cpp, IsHex)."""
    return _HEX.fullmatch(text) is not None


def as_hash(value: Any, name: str) -> str:
    """Return a hash as displayed, in small letters (ParseHashV); `name` is for the message. Raises `RpcError`."""
    text = as_text(value)
    if len(text) != 64:
        raise RpcError(INVALID_PARAMETER, f"{name} must be of length 64 (not {len(text)}, for '{text}')")
    if not is_hex(text):
        raise RpcError(INVALID_PARAMETER, f"{name} must be hexadecimal string (not '{text}')")
    return text.lower()


def as_amount(value: Any) -> int:
    """Return an amount in schwartz, from a number or a text (AmountFromValue); raises `RpcError`."""
    if not isinstance(value, str):
        raise RpcError(TYPE_ERROR, "Amount is not a number or string")
    match = _FIXED.fullmatch(value) if len(value) <= 60 else None
    if match is None:
        raise RpcError(TYPE_ERROR, "Invalid amount")
    mantissa, _, exponent = value.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    digits, shift = (whole + decimals).lstrip("-"), 8 - len(decimals) + int(exponent or 0)
    # ParseFixedPoint takes up to 18 digits, and no decimals below a schwartz but zeros.
    kept = digits.rstrip("0")
    shift += len(digits) - len(kept)
    if kept and not (0 <= shift <= _MAX_DIGITS and len(kept.lstrip("0")) + shift <= _MAX_DIGITS):
        raise RpcError(TYPE_ERROR, "Invalid amount")
    amount = int(kept + "0" * shift) if kept else 0
    if (value.startswith("-") and amount) or amount > MAX_MONEY:
        raise RpcError(TYPE_ERROR, "Amount out of range")
    return amount
