"""Member lists: every clause of formats.md «Member list» and of rule M2 about entries, in JSON and as text."""

import json
import time
from functools import cache
from typing import Any

import oracle
import pytest
from coincurve import PublicKey
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDED, damaged, key_of, recorded

from doitrust.chain.keys import is_compressed_key
from doitrust.orgs.members import MAX_LIST_BYTES, MAX_MEMBERS, Member, MemberList, Withdrawal, read_members

A, B, C = (key_of(who) for who in "ABC")
FORMAT = "doitrust-members/1"
#: 66 hex digits each, and no compressed keys: a point that is none, other first bytes.
NO_KEYS = ["02" + "00" * 32, "02" + "ff" * 32, "04" + A.hex()[2:], "00" * 33, "05" + A.hex()[2:]]


def document(members: object, **fields: object) -> bytes:
    return json.dumps({"format": FORMAT, "members": members, **fields}).encode()


def of_entries(*entries: object) -> MemberList:
    return read_members(document(list(entries)))


def of_entry(**fields: object) -> Member:
    """A's entry with these fields; the list must have it and nothing to complain about."""
    found = of_entries({"key": A.hex(), **fields})
    assert found.problems == ()
    assert list(found.members) == [A]
    return found.members[A]


def assert_empty(data: bytes) -> str:
    """The list is empty and says why, in one line that is safe to show."""
    found = read_members(data)
    assert (found.members, found.marked) == ({}, {})
    assert (found.organization, found.sequence, found.previous) == (None, None, None)
    (problem,) = found.problems
    assert problem.isprintable()
    return problem


# ---- JSON


def test_a_list_as_formats_md_writes_it() -> None:
    data = json.dumps(
        {
            "format": FORMAT,
            "members": [
                {
                    "key": A.hex(),
                    "name": "E. Eins",
                    "licence": "HWK 17",
                    "revoked": {"height": 480, "reason": "key-compromise", "voids_revocations": True},
                }
            ],
            "organization": "Gilde",
            "previous": "bafkrei",
            "sequence": 1,
        }
    ).encode()
    withdrawal = Withdrawal(480, "key-compromise", voids_revocations=True)
    member = Member(A, "E. Eins", "HWK 17", withdrawal)
    assert read_members(data) == MemberList({A: member}, "Gilde", 1, "bafkrei")
    assert read_members(data).marked == {A: member}


@pytest.mark.parametrize("number", RECORDED)
def test_every_recorded_list_is_read_as_the_oracle_reads_it(number: int) -> None:
    for data in recorded(number).evidence.content.values():
        agreed(data)


def test_only_the_key_is_needed() -> None:
    assert of_entry() == Member(A)
    assert of_entries().members == {}
    assert of_entries().problems == ()


@pytest.mark.parametrize("field", ["name", "licence"])
@pytest.mark.parametrize("value", [None, 1, True, [], {}, ["x"]])
def test_personal_data_of_another_type_is_no_data_and_no_error(field: str, value: object) -> None:
    assert of_entry(**{field: value}) == Member(A)


def test_unknown_fields_are_ignored() -> None:
    assert of_entry(x=1, Revoked={"height": 1}, REINSTATED=True, key2=B.hex()) == Member(A)
    assert read_members(document([{"key": A.hex()}], x=[[1]], v=2)).members == {A: Member(A)}


@pytest.mark.parametrize(
    ("field", "value"),
    [("organization", "X"), ("sequence", 7), ("sequence", -1), ("previous", "bafkrei"), ("organization", "")],
)
def test_what_a_list_says_of_itself_is_told_and_decides_nothing(field: str, value: object) -> None:
    found = read_members(document([{"key": A.hex()}], **{field: value}))
    assert getattr(found, field) == value
    assert found.members == {A: Member(A)}


@pytest.mark.parametrize("field", ["organization", "sequence", "previous"])
@pytest.mark.parametrize("value", [None, True, 1.0, [], {}])
def test_what_a_list_says_of_itself_in_another_type_is_nothing(field: str, value: object) -> None:
    found = read_members(document([{"key": A.hex()}], **{field: value}))
    assert getattr(found, field) is None
    assert found.members == {A: Member(A)}


@pytest.mark.parametrize("key", [A.hex(), A.hex().upper(), A.hex()[:30].upper() + A.hex()[30:]])
def test_keys_are_lower_cased(key: str) -> None:
    assert list(of_entries({"key": key}).members) == [A]
    assert list(read_members(key.encode()).members) == [A]


ODD_KEYS: list[object] = [
    *(None, 1, True, [], {}, "", "x", A.hex()[:-1], A.hex()[:-2], A.hex() + "00"),
    *(" " + A.hex(), A.hex() + "\n", "0x" + A.hex()[2:], "\uff10" + A.hex()[1:]),
    *(*NO_KEYS, PublicKey(A).format(compressed=False).hex()),
]
ODD_ENTRIES: list[object] = [None, 1, True, "x", A.hex(), [], [A.hex()], {}, {"Key": A.hex()}]


@pytest.mark.parametrize("entry", [*ODD_ENTRIES, *({"key": key} for key in ODD_KEYS)])
def test_an_entry_without_a_valid_key_is_ignored_and_reported(entry: object) -> None:
    found = of_entries({"key": B.hex()}, entry, {"key": C.hex()})
    assert list(found.members) == [B, C]
    (problem,) = found.problems
    assert "entry 2" in problem


INVALID = {
    "no format": {"members": []},
    "another format": {"format": "doitrust-members/2", "members": []},
    "the format in capitals": {"format": "Doitrust-Members/1", "members": []},
    "the format in another type": {"format": [FORMAT], "members": []},
    "no members": {"format": FORMAT},
    "members null": {"format": FORMAT, "members": None},
    "members an object": {"format": FORMAT, "members": {"key": A.hex()}},
    "members a text": {"format": FORMAT, "members": A.hex()},
    "members a number": {"format": FORMAT, "members": 1},
}


@pytest.mark.parametrize("case", INVALID)
def test_another_format_or_members_that_are_no_array_make_an_empty_list(case: str) -> None:
    assert_empty(json.dumps(INVALID[case]).encode())


ENTRY = json.dumps({"key": A.hex()}).encode()
START = b'{"format":"doitrust-members/1","members":['
NOT_STRICT = {
    "a key twice": START + b'],"sequence":1,"sequence":1}',
    "members twice": START + b'],"members":[' + ENTRY + b"]}",
    "a key twice in an entry": START
    + b'{"key":"'
    + A.hex().encode()
    + b'","key":"'
    + A.hex().encode()
    + b'"}]}',
    "a key twice in revoked": START
    + b'{"key":"'
    + A.hex().encode()
    + b'","revoked":{"height":1,"height":1}}]}',
    "a key twice where nobody looks": START + ENTRY + b'],"x":{"y":[{"z":1,"z":1}]}}',
    "NaN": START + ENTRY + b'],"x":NaN}',
    "-Infinity": START + ENTRY + b'],"x":[-Infinity]}',
    "a lone surrogate": START + ENTRY + b'],"x":"\\ud800"}',
    "a lone surrogate in a name": START + b'{"key":"' + A.hex().encode() + b'","name":"\\udfff"}]}',
    "nesting of 9": START + ENTRY + b'],"x":' + b"[" * 8 + b"]" * 8 + b"}",
    "nesting of 9 in an entry": START + b'{"x":' + b"[" * 6 + b"]" * 6 + b"}]}",
    "a byte order mark": b"\xef\xbb\xbf" + START + ENTRY + b"]}",
    "UTF-16": (START + ENTRY + b"]}").decode().encode("utf-16"),
    "UTF-16, little-endian": (START + ENTRY + b"]}").decode().encode("utf-16-le"),
    "UTF-16, big-endian": (START + ENTRY + b"]}").decode().encode("utf-16-be"),
    "Latin-1": START + ENTRY + b'],"x":"\xe9"}',
    "a comma too many": START + ENTRY + b",]}",
    "cut": START + ENTRY,
    "bytes behind": START + ENTRY + b"]}x",
    "two lists": (START + ENTRY + b"]}") * 2,
    "an array": b"[" + ENTRY + b"]",
    "a comment": START + ENTRY + b"]} // x",
    "white space that JSON lacks": b"\x0c" + START + ENTRY + b"]}",
    "a no-break space before": b"\xc2\xa0" + START + ENTRY + b"]}",
    "a null before": b"\0" + START + ENTRY + b"]}",
}


@pytest.mark.parametrize("case", NOT_STRICT)
def test_a_list_that_is_not_strict_json_is_empty(case: str) -> None:
    assert_empty(NOT_STRICT[case])


@pytest.mark.parametrize("before", [b"", b" ", b"\n\n", b"\t", b"\r\n \t"])
def test_white_space_of_json_before_the_brace_does_not_matter(before: bytes) -> None:
    assert list(read_members(before + START + ENTRY + b"]}\n").members) == [A]


def test_nesting_of_8_is_read() -> None:
    assert list(read_members(START + ENTRY + b'],"x":' + b"[" * 7 + b"]" * 7 + b"}").members) == [A]


@pytest.mark.parametrize(
    "data", [b"[" * 10**6, START + b"[" * 10**6, b'{"a":' * 700_000, START + b"[" * 10**6 + b"]" * 10**6]
)
def test_a_million_levels_are_an_empty_list_quickly(data: bytes) -> None:
    before = time.perf_counter()
    assert_empty(data)
    assert time.perf_counter() - before < 2


# ---- withdrawals (rule M2)


def withdrawn(height: int = 0, reason: str | None = None, *, voids: bool = False) -> Withdrawal:
    return Withdrawal(height, reason, voids)


REASONS = ["key-compromise", "left", "licence-withdrawn", "error", "anything else", ""]
NO_REASONS: list[object] = [None, 1, [], {}]
NO_HEIGHTS: list[object] = [None, -1, -(2**70), True, False, 480.0, 4.8e2, "480", [480], {}]
NOT_TRUE: list[object] = [None, False, 0, 1, 1.0, "true", "", [], {}, [True]]
OTHER_FORMS: list[object] = [False, True, 0, 480, 1.5, "", "no", [], [{}]]
REVOKED: list[tuple[object, Withdrawal]] = [
    *(({"height": height}, withdrawn(height)) for height in (0, 480, 2**70)),
    *(({"height": 7, "reason": reason}, withdrawn(7, reason)) for reason in REASONS),
    *(({"height": 7, "reason": reason}, withdrawn(7)) for reason in NO_REASONS),
    *(({"height": height}, withdrawn(0)) for height in NO_HEIGHTS),
    *(({}, withdrawn(0)), ({"Height": 480}, withdrawn(0))),
    ({"height": 7, "voids_revocations": True}, withdrawn(7, voids=True)),
    *(({"height": 7, "voids_revocations": value}, withdrawn(7)) for value in NOT_TRUE),
    *((form, withdrawn(0)) for form in OTHER_FORMS),
]


@pytest.mark.parametrize(("revoked", "expected"), REVOKED)
def test_revoked_withdraws_whatever_its_form(revoked: object, expected: Withdrawal) -> None:
    assert of_entry(revoked=revoked) == Member(A, withdrawal=expected)
    assert of_entries({"key": A.hex(), "revoked": revoked}).marked == {A: Member(A, withdrawal=expected)}


@pytest.mark.parametrize("digits", [4000, 5000, 100_000])
def test_a_height_of_any_length_is_a_height(digits: int) -> None:
    """M2: from such a height on the key is withdrawn, that is, never; the list is as valid as any (formats.md)."""
    data = START + b'{"key":"' + A.hex().encode() + b'","revoked":{"height":' + b"9" * digits + b"}}]}"
    withdrawal = read_members(data).members[A].withdrawal
    assert withdrawal is not None
    assert withdrawal.height > 2**63
    agreed(START + ENTRY + b'],"x":-' + b"9" * digits + b"}")


def test_revoked_null_is_no_withdrawal() -> None:
    assert of_entry(revoked=None) == Member(A)
    assert of_entries({"key": A.hex(), "revoked": None}).marked == {}


@pytest.mark.parametrize(("value", "reinstated"), [(True, True), *((value, False) for value in NOT_TRUE)])
def test_only_true_reinstates(value: object, reinstated: bool) -> None:
    assert of_entry(reinstated=value) == Member(A, reinstated=reinstated)
    assert of_entry(reinstated=value, revoked=None) == Member(A, reinstated=reinstated)
    assert bool(of_entries({"key": A.hex(), "reinstated": value}).marked) == reinstated


def test_with_revoked_and_reinstated_revoked_holds() -> None:
    for form in ({"height": 480}, False, ""):
        member = of_entry(revoked=form, reinstated=True)
        assert member.withdrawal is not None
        assert not member.reinstated


PLAIN: dict[str, object] = {}
BACK: dict[str, object] = {"reinstated": True}
GONE: dict[str, object] = {"revoked": {"height": 480, "reason": "left"}}


@pytest.mark.parametrize(
    ("first", "second", "height", "reinstated"),
    [
        (PLAIN, PLAIN, None, False),
        (PLAIN, GONE, 480, False),
        (GONE, PLAIN, 480, False),
        (BACK, GONE, 480, False),
        (GONE, BACK, 480, False),
        (PLAIN, BACK, None, True),
        (BACK, PLAIN, None, True),
        (GONE, {"revoked": {"height": 300}}, 300, False),
        ({"revoked": {"height": 300}}, GONE, 300, False),
        (GONE, {"revoked": None}, 480, False),
        (GONE, {"revoked": False}, 0, False),
    ],
)
def test_of_a_key_listed_twice_a_revoked_entry_holds(
    first: dict[str, object], second: dict[str, object], height: int | None, reinstated: bool
) -> None:
    found = of_entries({"key": A.hex(), **first}, {"key": B.hex()}, {"key": A.hex().upper(), **second})
    member = found.members[A]
    assert (None if member.withdrawal is None else member.withdrawal.height) == height
    assert member.reinstated == reinstated
    assert found.members[B] == Member(B)
    (problem,) = found.problems
    assert "entry 3" in problem


def test_a_withdrawal_survives_any_number_of_repetitions() -> None:
    found = of_entries(*({"key": A.hex(), **entry} for entry in (BACK, PLAIN, GONE, BACK, PLAIN, BACK)))
    withdrawal = found.members[A].withdrawal
    assert withdrawal is not None
    assert withdrawal.height == 480


# ---- text


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        ("\n\n", []),
        ("# nobody yet", []),
        ("#", []),
        (A.hex(), [A]),
        (A.hex() + "\n", [A]),
        (f"{A.hex()}\n{B.hex()}", [A, B]),
        (f"# Gilde\n\n{A.hex()}\n# Müller ⚡\n{B.hex().upper()}\n\n", [A, B]),
        (f"{A.hex()}\r\n\r\n# x\r\n{B.hex()}\r\n", [A, B]),
        (f"{A.hex()}\n{A.hex()}\n{A.hex().upper()}", [A]),
        (f"# {{\n{A.hex()}", [A]),
        (f'#{{"format":"{FORMAT}","members":[]}}\n{A.hex()}', [A]),
    ],
)
def test_a_list_as_text(text: str, keys: list[bytes]) -> None:
    assert read_members(text.encode()) == MemberList({key: Member(key) for key in keys})


BAD_TEXT = {
    "a word": "x",
    "65 digits": A.hex()[:-1],
    "67 digits": A.hex() + "0",
    "two keys in a line": A.hex() + " " + B.hex(),
    "a space before": " " + A.hex(),
    "a space behind": A.hex() + " ",
    "a tab behind": A.hex() + "\t",
    "only a space": f"{A.hex()}\n \n",
    "a comment behind a key": A.hex() + " # A",
    "a comment after a space": " # A",
    "0x": "0x" + A.hex()[2:],
    "full-width digits": A.hex()[:-1] + "\uff10",
    "a form feed for a line end": f"{A.hex()}\x0c{B.hex()}",
    "a line separator for a line end": f"{A.hex()}\u2028{B.hex()}",
    "a next line for a line end": f"{A.hex()}\u0085{B.hex()}",
    "a carriage return for a line end": f"{A.hex()}\r{B.hex()}",
    "two carriage returns": f"{A.hex()}\r\r\n",
    "a carriage return that no line feed follows": f"{A.hex()}\r\n{B.hex()}\r",
    "only a carriage return": "\r",
    "a null": A.hex() + "\0",
    "a byte order mark": "\ufeff" + A.hex(),
    "one bad line among good ones": f"{A.hex()}\n{B.hex()}\nx\n{C.hex()}",
    "a bad last line": f"{A.hex()}\n{B.hex()[:-1]}",
    "JSON behind a key": A.hex() + "\n" + START.decode() + "]}",
    "JSON in quotes": '"' + A.hex() + '"',
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_one_line_that_is_neither_makes_the_whole_list_invalid(case: str) -> None:
    assert_empty(BAD_TEXT[case].encode())


@pytest.mark.parametrize(
    "data",
    [
        b"# \xff\n" + A.hex().encode(),
        A.hex().encode("utf-16"),
        A.hex().encode("utf-16-le"),
        b"\xff\xfe",
        b"\x80",
    ],
)
def test_text_that_is_not_utf_8_is_invalid(data: bytes) -> None:
    assert_empty(data)


@pytest.mark.parametrize("key", NO_KEYS)
def test_66_digits_that_are_no_key_are_ignored_and_reported(key: str) -> None:
    found = read_members(f"{A.hex()}\n{key}\n{B.hex()}".encode())
    assert list(found.members) == [A, B]
    (problem,) = found.problems
    assert "line 2" in problem


@pytest.mark.parametrize("separator", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_nothing_but_a_line_feed_ends_a_comment(separator: str) -> None:
    """Otherwise one reader would see a member where another sees a remark."""
    assert read_members(f"# x{separator}{A.hex()}\n{B.hex()}".encode()).members == {B: Member(B)}


# ---- polyglots: bytes that could pass for both

POLYGLOTS = {
    "a brace first": b"{\n" + A.hex().encode(),
    "white space and a brace": b"\n \t{" + A.hex().encode(),
    "a brace in the second line": A.hex().encode() + b"\n{}",
    "JSON whose every line is a key or a comment": b"# " + START + ENTRY + b"]}\n" + B.hex().encode(),
    "JSON over many lines": b"\n\n" + START + b"\n" + ENTRY + b"\n" + b"]}\n",
    "JSON with a comment behind": START + ENTRY + b"]}\n# x\n",
    "JSON with a key behind": START + ENTRY + b"]}\n" + B.hex().encode(),
}


@pytest.mark.parametrize("case", POLYGLOTS)
def test_the_first_byte_that_is_not_white_space_decides(case: str) -> None:
    keys = {
        "JSON whose every line is a key or a comment": [B],
        "JSON over many lines": [A],
    }.get(case)
    if keys is None:
        assert_empty(POLYGLOTS[case])
    else:
        assert list(read_members(POLYGLOTS[case]).members) == keys
    agreed(POLYGLOTS[case])


# ---- limits


def padded(core: bytes, size: int) -> bytes:
    """A list in text of exactly `size` bytes."""
    return b"#" + b"x" * (size - len(core) - 2) + b"\n" + core


@pytest.mark.parametrize("of", ["text", "json"])
def test_a_list_has_at_most_4_mib(of: str) -> None:
    assert MAX_LIST_BYTES == 4 * 1024 * 1024
    core = A.hex().encode() if of == "text" else START + ENTRY + b"]}"
    for over in (0, 1):
        size = MAX_LIST_BYTES + over
        data = padded(core, size) if of == "text" else b" " * (size - len(core)) + core
        assert len(data) == size
        if over:
            assert_empty(data)
        else:
            assert list(read_members(data).members) == [A]


@cache
def many_keys() -> list[bytes]:
    """20,001 different keys: the multiples of A."""
    found, point, step = [], PublicKey(A), PublicKey(A)
    for _ in range(MAX_MEMBERS + 1):
        found.append(point.format())
        point = PublicKey.combine_keys([point, step])
    return found


def listed(keys: list[bytes], of: str) -> bytes:
    if of == "text":
        return b"\n".join(key.hex().encode() for key in keys)
    return document([{"key": key.hex()} for key in keys])


@pytest.mark.parametrize("of", ["text", "json"])
def test_a_list_has_at_most_20_000_members(of: str) -> None:
    assert MAX_MEMBERS == 20_000
    found = read_members(listed(many_keys()[:-1], of))
    assert len(found.members) == 20_000
    assert found.problems == ()
    assert_empty(listed(many_keys(), of))


@pytest.mark.parametrize("of", ["text", "json"])
def test_entries_that_repeat_or_are_no_keys_count_too(of: str) -> None:
    """A list is bounded by what has to be read, not by what is left of it."""
    for filler in (A, bytes.fromhex(NO_KEYS[0])):
        assert len(read_members(listed([*[filler] * 19_999, B], of)).members) <= 2
        assert_empty(listed([*[filler] * 20_000, B], of))


def test_comments_and_empty_lines_do_not_count() -> None:
    data = b"# x\n\n" * 30_000 + listed(many_keys()[:-1], "text")
    assert len(read_members(data).members) == 20_000


def test_problems_are_told_up_to_a_bearable_number() -> None:
    found = of_entries(*[None] * 1000, {"key": A.hex()})
    assert list(found.members) == [A]
    assert len(found.problems) < 30
    assert "980 more" in found.problems[-1]
    assert all(problem.isprintable() and len(problem) < 200 for problem in found.problems)


# ---- anything at all


def agreed(data: bytes) -> None:
    """Our reader and the oracle's must find the same keys, withdrawn from the same height, or reinstated.

    The oracle looks only at a key's first byte, we at the point too; no other key can sign.
    """
    found = read_members(data)
    expected = {
        key: entry
        for key, entry in oracle.parse_member_list(data).items()
        if is_compressed_key(bytes.fromhex(key))
    }
    assert {key.hex() for key in found.members} == set(expected)
    for key, member in found.members.items():
        entry = expected[key.hex()]
        assert member.reinstated == entry.reinstated
        heights = [height for height, _ in entry.withdrawals]
        assert (None if member.withdrawal is None else member.withdrawal.height) == min(heights, default=None)
        if member.withdrawal is not None and len(entry.withdrawals) == 1:
            assert member.withdrawal.voids_revocations == entry.withdrawals[0][1]
        assert (key in found.marked) == (entry.reinstated or bool(heights))
    assert all(problem.isprintable() for problem in found.problems)


junk = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 600), st.sampled_from([1.0, "", [], {}, "x", [1], {"a": {}}])
)
heights = st.one_of(st.integers(-1, 600), junk)
withdrawals = st.fixed_dictionaries(
    {}, optional={"height": heights, "reason": junk, "voids_revocations": junk}
)
entries = st.one_of(
    st.fixed_dictionaries(
        {"key": st.sampled_from([A.hex(), B.hex(), C.hex().upper(), A.hex()[2:], "04" + A.hex()[2:]])},
        optional={"revoked": st.one_of(withdrawals, junk), "reinstated": junk, "name": junk, "licence": junk},
    ),
    junk,
)


@given(
    st.fixed_dictionaries(
        {"format": st.one_of(st.just(FORMAT), st.just(FORMAT), st.just(FORMAT), junk)},
        optional={
            "members": st.one_of(st.lists(entries, max_size=5), junk),
            "sequence": junk,
            "organization": junk,
        },
    )
)
def test_any_json_is_read_as_the_oracle_reads_it(fields: dict[str, Any]) -> None:
    agreed(json.dumps(fields).encode())


@given(st.lists(entries, max_size=6))
def test_any_entries_are_read_as_the_oracle_reads_them(members: list[object]) -> None:
    agreed(document(members))


LINES = [A.hex(), B.hex().upper(), "", "# x", "#", "x", A.hex()[:-1], " ", "04" + A.hex()[2:], "{", "\ufeff"]


@given(
    st.lists(st.one_of(st.sampled_from(LINES[:5]), st.sampled_from(LINES)), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_lines_are_read_as_the_oracle_reads_them(lines: list[str], end: str) -> None:
    agreed(end.join(lines).encode())


WHOLE = document(
    [{"key": A.hex(), "revoked": {"height": 480, "voids_revocations": True}}, {"key": B.hex(), "name": "é"}]
)


@given(st.one_of(damaged(WHOLE), damaged(f"# x\n{A.hex()}\r\n{B.hex()}\n".encode()), st.binary(max_size=80)))
def test_any_bytes_are_read_as_the_oracle_reads_them(data: bytes) -> None:
    agreed(data)
