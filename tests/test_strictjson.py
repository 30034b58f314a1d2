"""JSON that verdicts depend on: what a strict reader takes, what it refuses, and what it says of it."""

import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import attempt, damaged, refusal

from doitrust.strictjson import MAX_DEPTH, read_object


def read(data: bytes, max_depth: int = MAX_DEPTH) -> dict[str, Any]:
    return read_object(data, what="the list", max_depth=max_depth)


def refused(data: bytes) -> str:
    message = refusal(lambda: read(data))
    assert message.startswith("the list ")
    return message


VALUES: dict[bytes, object] = {
    b"1": 1,
    b"-0": 0,
    b"1.0": 1.0,
    b"1e2": 100.0,
    b"-1.5E-1": -0.15,
    b"true": True,
    b"null": None,
    b'""': "",
    b'"\\u00e9\\n\\/"': "é\n/",
    b'"\\ud83d\\ude00"': "😀",
    b'"\\u0000"': "\0",
    b'"\x7f"': "\x7f",
    "“ \u2028".encode().join([b'"', b'"']): "“ \u2028",
    b"[]": [],
    b"[1, [2]]": [1, [2]],
    b'{"x": {}}': {"x": {}},
}


@pytest.mark.parametrize("text", VALUES)
def test_json_is_read_with_the_types_it_was_written_in(text: bytes) -> None:
    value = read(b'{"a":' + text + b"}")["a"]
    assert value == VALUES[text]
    assert type(value) is type(VALUES[text])


@pytest.mark.parametrize("around", [b" ", b"\t", b"\n", b"\r\n", b" \r\n\t "])
def test_white_space_of_json_may_stand_anywhere_between(around: bytes) -> None:
    tokens = [b"{", b'"a"', b":", b"[", b"1", b",", b"2", b"]", b"}"]
    assert read(around + around.join(tokens) + around) == {"a": [1, 2]}


REFUSED = {
    "nothing": b"",
    "white space": b" \n",
    "an array": b"[]",
    "a text": b'"a"',
    "a number": b"1",
    "null": b"null",
    "two objects": b"{}{}",
    "bytes behind": b"{} x",
    "a null byte behind": b"{}\0",
    "a cut object": b'{"a":1',
    "a cut text": b'{"a":"b',
    "a comma behind": b'{"a":1,}',
    "a comma in an array": b'{"a":[1,]}',
    "no quotes": b"{a:1}",
    "single quotes": b"{'a':1}",
    "a comment": b'{"a":1/**/}',
    "NaN": b'{"a":NaN}',
    "NaN within": b'{"a":[{"b":NaN}]}',
    "Infinity": b'{"a":Infinity}',
    "-Infinity": b'{"a":-Infinity}',
    "a leading zero": b'{"a":01}',
    "a leading plus": b'{"a":+1}',
    "no digit before the point": b'{"a":.5}',
    "no digit behind the point": b'{"a":1.}',
    "hexadecimal": b'{"a":0x1}',
    "an underscore": b'{"a":1_0}',
    "an Arabic digit": '{"a":\u0661}'.encode(),
    "an Arabic digit behind another": '{"a":1٢}'.encode(),
    "an Arabic fraction": '{"a":1.٢}'.encode(),
    "True": b'{"a":True}',
    "a control character": b'{"a":"\t"}',
    "a null in a text": b'{"a":"\0"}',
    "a line end in a text": b'{"a":"\n"}',
    "an unknown escape": b'{"a":"\\x41"}',
    "a short escape": b'{"a":"\\u41"}',
    "an underscore in an escape": b'{"a":"\\u00_1"}',
    "a sign in an escape": b'{"a":"\\u+041"}',
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "a byte order mark within": b'{\xef\xbb\xbf"a":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-16 without a mark": '{"a":1}'.encode("utf-16-le"),
    "UTF-32": '{"a":1}'.encode("utf-32-be"),
    "Latin-1": b'{"a":"\xe9"}',
    "an overlong encoding": b'{"a":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"a":"\xed\xa0\x80"}',
    "a pair of surrogates in UTF-8": b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}',
    "beyond Unicode": b'{"a":"\xf4\x90\x80\x80"}',
    "no-break space": '{"a":\u00a01}'.encode(),
    "an em space before": "\u2003{}".encode(),
    "a vertical tab before": b"\x0b{}",
    "a form feed behind": b"{}\x0c",
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_than_one_object_of_json_in_utf_8_is_refused(case: str) -> None:
    refused(REFUSED[case])


@pytest.mark.parametrize(
    "text",
    [
        b'"\\ud800"',
        b'"\\udfff"',
        b'"\\ude00\\ud83d"',
        b'"\\ud83d"',
        b'"x\\ud83dx\\ude00"',
        b'["\\uD800"]',
        b'{"\\udbff":1}',
        b'[[[{"x":[{"\\udbff":1}]}]]]',
    ],
)
def test_a_lone_surrogate_anywhere_is_refused(text: bytes) -> None:
    assert "surrogate" in refused(b'{"a":' + text + b"}")
    assert "surrogate" in refused(b'{"\\ud800":1}')


DUPLICATES = {
    "at the top": b'{"a":1,"a":1}',
    "with another between": b'{"a":1,"b":2,"a":3}',
    "empty": b'{"":1,"":2}',
    "escaped": b'{"a":1,"\\u0061":2}',
    "escaped in two ways": b'{"\\/":1,"/":2}',
    "in an object": b'{"x":{"a":1,"a":1}}',
    "in an array": b'{"x":[1,{"a":1,"a":1}]}',
    "in the value of one that comes again": b'{"a":{"b":1,"b":2},"a":1}',
    "eight deep": b'{"1":{"2":{"3":{"4":{"5":{"6":{"7":{"a":1,"a":1}}}}}}}}',
}


@pytest.mark.parametrize("case", DUPLICATES)
def test_a_key_twice_in_one_object_is_refused_at_any_level(case: str) -> None:
    key = {"empty": "", "escaped in two ways": "/", "in the value of one that comes again": "b"}.get(
        case, "a"
    )
    assert f"{key!r} twice" in refused(DUPLICATES[case])


def test_the_same_key_in_different_objects_is_no_duplicate() -> None:
    """Nor are keys that only look the same: code points are compared, nothing is normalised."""
    assert read(b'{"a":{"a":[{"a":1},{"a":2}]}}') == {"a": {"a": [{"a": 1}, {"a": 2}]}}
    assert len(read('{"é":1,"e\u0301":2,"É":3}'.encode())) == 3


@pytest.mark.parametrize("key", ["a\n", "\u202e", "\x1b[31m", "\u200b", "é"])
def test_a_duplicate_is_named_safely(key: str) -> None:
    text = json.dumps(key)
    refused(f"{{{text}:1,{text}:2}}".encode())


def test_a_duplicate_of_a_million_characters_is_named_briefly() -> None:
    key = b'"' + b"a" * 10**6 + b'"'
    assert "twice" in refused(b"{" + key + b":1," + key + b":2}")


def nested(depth: int, start: bytes, end: bytes, core: bytes = b"") -> bytes:
    """An object of this depth, itself counted."""
    return b'{"a":' + start * (depth - 1) + core + end * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("start", "end", "core"), [(b"[", b"]", b""), (b'{"a":', b"}", b"1"), (b'{"":[', b"]}", b"1")]
)
def test_nesting_is_allowed_to_8_the_object_itself_being_1(start: bytes, end: bytes, core: bytes) -> None:
    levels = start.count(b"[") + start.count(b"{")
    deepest = 1 + 7 // levels
    read(nested(deepest, start, end, core))
    assert "deep" in refused(nested(deepest + 1, start, end, core))
    assert MAX_DEPTH == 8


def test_only_the_deepest_branch_counts() -> None:
    seven = b"[" * 7 + b"]" * 7
    assert len(read(b'{"a":' + seven + b',"b":' + seven + b"}")) == 2
    assert "deep" in refused(b'{"a":1,"b":[],"c":[[],[' + seven + b"]]}")
    assert "deep" in refused(b'{"\\u0061":[' + seven + b"]}")


@pytest.mark.parametrize("depth", range(1, 10))
def test_another_limit_can_be_asked_for(depth: int) -> None:
    read(nested(depth, b"[", b"]", b"1"), max_depth=depth)
    refusal(lambda: read(nested(depth + 1, b"[", b"]", b"1"), max_depth=depth))


@pytest.mark.parametrize("depth", [100, 990, 1000, 1010, 10**5, 10**6])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("start", [b"[", b'{"a":', b'{"\\u0061":['])
def test_any_depth_is_refused_quickly(start: bytes, closed: bool, depth: int) -> None:
    end = {b"[": b"]", b'{"a":': b"}"}.get(start, b"]}") if closed else b""
    data = nested(depth, start, end, b"1")
    before = time.perf_counter()
    refused(data)
    assert time.perf_counter() - before < 2


@pytest.mark.parametrize("digits", [19, 20, 40, 4300, 4301, 10_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_of_any_length_is_an_integer(sign: str, digits: int) -> None:
    """JSON sets no limit, formats.md neither: nothing but what it names makes a list invalid, whatever Python's
    limit on digits is set to. Its exact value matters to nobody then, only that it is one, and its sign."""
    value = read(f'{{"a":{sign}{"9" * digits}}}'.encode())["a"]
    assert type(value) is int
    assert (value < 0) == (sign == "-")
    assert abs(value) >= 10**18


@pytest.mark.parametrize("text", [b"9" * 4_000_000, b"-" + b"9" * 4_000_000, b"9" * 4_000_000 + b".5"])
def test_a_number_as_long_as_a_list_may_be_is_read_or_refused_quickly(text: bytes) -> None:
    before = time.perf_counter()
    attempt(read, b'{"a":' + text + b"}")
    assert time.perf_counter() - before < 2


def test_what_it_is_called_stands_in_the_message() -> None:
    assert refusal(lambda: read_object(b"[]", what="the record")) == "the record is not a JSON object"


trees = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), trees, max_size=4),
    st.booleans(),
)
def test_every_object_within_the_depth_goes_round(value: dict[str, Any], ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    if re.search(r"[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)):
        refused(data)
    elif depth_of(value) > MAX_DEPTH:
        assert "deep" in refused(data)
    else:
        assert read(data) == value


VALID = json.dumps(
    {"v": 1, "a": [1.5, None, {"é": "😀", "x": [True]}], "b": "\\"}, ensure_ascii=False
).encode()


@given(
    st.one_of(
        damaged(VALID),
        st.binary(max_size=40),
        st.text(max_size=40).map(lambda t: t.encode("utf-8", "replace")),
    )
)
def test_any_bytes_are_one_object_or_refused_and_never_read_otherwise_than_by_everybody(data: bytes) -> None:
    value = attempt(read, data)
    assert value is None or value == json.loads(data.decode("utf-8"))
