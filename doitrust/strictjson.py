"""Reading JSON that verdicts depend on: strictly, or not at all.

Two honest readers must never read different things from the same bytes. So (formats.md, «Strict where verdicts
depend on it»): UTF-8 without byte order mark, one object, no duplicate keys at any level, no NaN or Infinity,
no lone surrogates, no nesting deeper than asked for (the object itself is level 1).
"""

import json
from typing import Any, NoReturn

from doitrust.errors import BadData
from doitrust.text import visible

#: Nesting allowed in records and member lists; the outermost object is 1.
MAX_DEPTH = 8
# Python reads up to 4,300 digits, in time that grows with their square; 64 bits hold all that means anything.
_MAX_DIGITS = 40
_HUGE: int = 10**40


def read_object(data: bytes, *, what: str, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    """Parse `data` as one strict JSON object; `what` names it in the error.

    Integers and floats come as Python's `int` and `float`, so `1` and `1.0` can be told apart.
    Raises `BadData` for anything else than one strict object.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{what} is not UTF-8 (byte {error.start})") from None
    try:
        value = _DECODER.decode(text)
    except _Duplicate as error:
        raise BadData(f"{what} names the key {visible(str(error), 60)!r} twice") from None
    except RecursionError:
        raise BadData(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise BadData(f"{what} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadData(f"{what} is not a JSON object")
    if "\\u" in text:  # only an escape can bring a surrogate in: the UTF-8 decoder refuses them
        _refuse_surrogates(value, what)
    _refuse_depth(value, max_depth, what)
    return value


class _Duplicate(Exception):
    """An object names a key twice; the argument is the key."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Duplicate(key)
            seen.add(key)
    return result


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _integer(digits: str) -> int:
    """An integer of any length is one; of those that no height and no version can have only the sign is kept."""
    if len(digits) <= _MAX_DIGITS:
        return int(digits)
    return -_HUGE if digits.startswith("-") else _HUGE


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)


def _refuse_surrogates(value: dict[str, Any], what: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise BadData(f"{what} holds a lone surrogate") from None
    except RecursionError:
        raise BadData(f"{what} is nested too deeply") from None


def _refuse_depth(value: Any, max_depth: int, what: str) -> None:
    level: list[Any] = [value]
    for _ in range(max_depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise BadData(f"{what} is nested deeper than {max_depth}")
