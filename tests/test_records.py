"""Records of meters: every clause of formats.md «Certificate record» and «Revocation record», and the pairing."""

import json
from typing import Any

import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDED, attempt, damaged, key_of, recorded, refusal

from doitrust.chain.address import address_of, hash160, sha256
from doitrust.chain.networks import NETWORKS, REGTEST, Network
from doitrust.chain.scripts import multisig_script, p2sh, p2wsh
from doitrust.meters.multisig import is_pairing_address, pairing_outputs, pairing_script
from doitrust.meters.record import Certificate, Revocation, read_record

NODE, CLIENT = key_of("node"), key_of("client")
CID = "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy"
CERTIFICATE: dict[str, Any] = {
    "v": 1,
    "org": "Gilde",
    "node": NODE.hex(),
    "client": CLIENT.hex(),
    "ms": "ncrt1qsomething",
}
REVOCATION: dict[str, Any] = {"v": 1, "org": "Gilde", "revoked": "stolen"}
#: No value at all.
GONE = object()


def with_fields(base: dict[str, Any], **changes: object) -> bytes:
    fields = {name: value for name, value in {**base, **changes}.items() if value is not GONE}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_certificate_s_fields() -> None:
    assert read_record(with_fields(CERTIFICATE)) == Certificate("Gilde", NODE, CLIENT, "ncrt1qsomething")
    whole = with_fields(CERTIFICATE, seal=["A-1001", "ü"], doc=CID, after="0123456789abcdef")
    expected = Certificate("Gilde", NODE, CLIENT, "ncrt1qsomething", ("A-1001", "ü"), CID, "0123456789abcdef")
    assert read_record(whole) == expected


def test_a_revocation_s_fields() -> None:
    assert read_record(with_fields(REVOCATION)) == Revocation("Gilde", "stolen")


@pytest.mark.parametrize(
    "changes",
    [
        {"org": ""},
        {"org": " any \u202e text is compared "},
        {"ms": ""},
        {"seal": []},
        {"seal": [""]},
        {"after": "0" * 16},
        {"after": "f" * 64},
        {"doc": CID},
        {"doc": "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"},
        {"unknown": 1},
        {"Revoked": "no"},
        {"": None},
        {"x": [{"y": [[[[{}]]]]}]},
    ],
)
def test_what_a_certificate_may_hold(changes: dict[str, object]) -> None:
    """Unknown fields are ignored; they are read as strictly as the rest."""
    record = read_record(with_fields(CERTIFICATE, **changes))
    assert isinstance(record, Certificate)
    for name in ("org", "ms", "doc", "after"):
        if name in changes:
            assert getattr(record, name) == changes[name]


COMPRESSED = "02" + "11" * 32
WRONG: dict[str, list[object]] = {
    "v": [GONE, None, 0, 2, -1, 1.0, 1.5, True, False, "1", [1], {}, 10**30],
    "org": [GONE, None, 1, True, ["Gilde"], {}],
    "node": [
        *(GONE, None, 1, True, [NODE.hex()], {}, ""),
        *(NODE.hex().upper(), "0x" + NODE.hex()[2:], " " + NODE.hex(), NODE.hex() + "\n"),
        *(NODE.hex()[:-1], NODE.hex()[:-2], NODE.hex() + "00", "04" + NODE.hex()[2:], "05" + NODE.hex()[2:]),
        *("00" * 33, "02" + "00" * 32, "02" + "ff" * 32, "g" * 66, "\uff10" + NODE.hex()[1:]),
    ],
    "client": [
        GONE,
        None,
        1,
        True,
        [],
        {},
        "",
        CLIENT.hex().upper(),
        CLIENT.hex()[:-2],
        "02" + "00" * 32,
        NODE.hex(),
    ],
    "ms": [GONE, None, 1, True, [], {}],
    "seal": [None, 1, True, "A-1001", {}, {"A-1001": 1}, [1], ["A", None], [["A"]]],
    "doc": [
        None,
        1,
        True,
        [],
        {},
        "",
        "bafkrei",
        CID[:9] + CID[9:].upper(),
        CID + "a",
        " " + CID,
        "Qm" + "1" * 44,
    ],
    "after": [
        *(None, 1, True, [], {}, "", "0" * 15, "0" * 65, "0" * 15 + "A", "A" * 16, "g" * 16),
        *(" " + "0" * 16, "0" * 16 + "\n", "\uff10" * 16),
    ],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_a_wrong_field_makes_a_certificate_malformed_and_is_named(field: str, value: object) -> None:
    assert f"'{field}'" in refusal(lambda: read_record(with_fields(CERTIFICATE, **{field: value})))


NO_TEXTS: list[object] = [None, 1, True, False, [], {}, ["stolen"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((field, value) for field in ("v", "org") for value in WRONG[field]),
        *(("revoked", value) for value in NO_TEXTS),
    ],
)
def test_a_wrong_field_makes_a_revocation_malformed_and_is_named(field: str, value: object) -> None:
    assert f"'{field}'" in refusal(lambda: read_record(with_fields(REVOCATION, **{field: value})))


@pytest.mark.parametrize("field", ["node", "client", "ms", "seal", "doc", "after", "x"])
@pytest.mark.parametrize("value", [None, 1, "", [], {}, "nonsense"])
def test_revoked_makes_it_a_revocation_whatever_else_it_holds(field: str, value: object) -> None:
    assert read_record(with_fields(REVOCATION, **{field: value})) == Revocation("Gilde", "stolen")
    whole = with_fields(CERTIFICATE, revoked="", **{field: value})
    assert read_record(whole) == Revocation("Gilde", "")


def test_a_malformed_revocation_is_not_read_as_the_certificate_it_also_holds() -> None:
    values: list[object] = [None, False, 0, []]
    for value in values:
        assert "'revoked'" in refusal(read_record, with_fields(CERTIFICATE, revoked=value))


def test_the_keys_differ_and_may_stand_in_either_order() -> None:
    record = read_record(with_fields(CERTIFICATE, node=CLIENT.hex(), client=NODE.hex()))
    assert record == Certificate("Gilde", CLIENT, NODE, "ncrt1qsomething")


@pytest.mark.parametrize("base", [CERTIFICATE, REVOCATION])
def test_a_record_has_at_most_520_bytes(base: dict[str, Any]) -> None:
    room = 520 - len(with_fields(base, x=""))
    read_record(with_fields(base, x="." * room))
    assert "521" in refusal(lambda: read_record(with_fields(base, x="." * (room + 1))))
    read_record(with_fields(base) + b" " * (520 - len(with_fields(base))))


STRICTNESS = {
    "nothing": b"",
    "no object": b"[1]",
    "a key twice": with_fields(REVOCATION)[:-1] + b',"org":"Gilde"}',
    "an unknown key twice": with_fields(REVOCATION)[:-1] + b',"x":1,"x":1}',
    "NaN": with_fields(REVOCATION)[:-1] + b',"x":NaN}',
    "a lone surrogate": with_fields(REVOCATION)[:-1] + b',"x":"\\ud800"}',
    "a lone surrogate in the text": b'{"v":1,"org":"Gilde","revoked":"\\udc00"}',
    "a byte order mark": b"\xef\xbb\xbf" + with_fields(REVOCATION),
    "nesting of 9": with_fields(REVOCATION)[:-1] + b',"x":[[[[[[[[]]]]]]]]}',
    "Latin-1": b'{"v":1,"org":"M\xfcller","revoked":""}',
    "UTF-16": with_fields(REVOCATION).decode().encode("utf-16"),
    "text": b"02" + b"11" * 32,
    "v as 1.0": with_fields(REVOCATION).replace(b'"v":1', b'"v":1.0'),
    "v as 1e0": with_fields(REVOCATION).replace(b'"v":1', b'"v":1e0'),
    "v as 01": with_fields(REVOCATION).replace(b'"v":1', b'"v":01'),
    "two records": with_fields(REVOCATION) * 2,
}


@pytest.mark.parametrize("case", STRICTNESS)
def test_a_record_that_is_not_strict_json_is_malformed(case: str) -> None:
    refusal(lambda: read_record(STRICTNESS[case]))


def test_escapes_are_another_spelling_of_the_same_text() -> None:
    escaped = b'{"\\u0076":1,"org":"\\u0047ilde","revoked":"\\u0073tolen"}'
    assert read_record(escaped) == Revocation("Gilde", "stolen")


def test_organisations_are_told_apart_by_code_points() -> None:
    """Not by what they look like: a name in another normal form is another name, which nobody can have accepted."""
    composed, decomposed = "Müller", "Mu\u0308ller"
    found = {read_record(with_fields(REVOCATION, org=org)).org for org in (composed, decomposed)}
    assert found == {composed, decomposed}


@pytest.mark.parametrize("number", RECORDED)
def test_every_recorded_value_is_read_as_the_oracle_reads_it(number: int) -> None:
    kinds = set()
    for tx in recorded(number).payments:
        for _, write in tx.writes:
            if write.name.startswith(b"bp/"):
                kinds.add(agreed(write.value))
    assert kinds == {"Certificate", "Revocation", "malformed"}


def agreed(value: bytes) -> str:
    """What `value` is; our reader and the oracle's must say the same."""
    try:
        expected: oracle.Record | None = oracle.parse_record(value)
    except oracle.Malformed:
        expected = None
    record = attempt(read_record, value)
    found: oracle.Record | None = None
    if isinstance(record, Certificate):
        keys = record.node.hex(), record.client.hex()
        found = oracle.Certificate(record.org, *keys, record.ms, record.after)
    elif record is not None:
        found = oracle.Revocation(record.org)
    assert found == expected
    return "malformed" if record is None else type(record).__name__


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([1.0, "", "1", [], {}, [""]]),
    st.text(max_size=8),
)
FIELDS: dict[str, st.SearchStrategy[object]] = {
    "v": st.one_of(st.just(1), junk),
    "org": st.one_of(st.just("Gilde"), junk),
    "node": st.one_of(st.sampled_from([NODE.hex(), CLIENT.hex(), NODE.hex().upper(), NODE.hex()[:-2]]), junk),
    "client": st.one_of(st.sampled_from([CLIENT.hex(), NODE.hex(), "04" + CLIENT.hex()[2:]]), junk),
    "ms": st.one_of(st.just("ncrt1q"), junk),
    "seal": st.one_of(st.lists(st.text(max_size=3), max_size=2), st.lists(junk, max_size=2), junk),
    "doc": st.one_of(st.sampled_from([CID, CID[:-1], CID.upper()]), junk),
    "after": st.one_of(
        st.text("0af", min_size=14, max_size=18), st.text("0aAg", min_size=16, max_size=16), junk
    ),
    "revoked": junk,
    "x": junk,
}


@given(
    needed=st.fixed_dictionaries({name: FIELDS[name] for name in ("v", "org")}),
    certificate=st.fixed_dictionaries({}, optional={name: FIELDS[name] for name in ("node", "client", "ms")}),
    optional=st.fixed_dictionaries(
        {}, optional={name: FIELDS[name] for name in ("seal", "doc", "after", "x")}
    ),
    revoked=st.fixed_dictionaries({}, optional={"revoked": FIELDS["revoked"]}),
)
def test_any_fields_are_read_as_the_oracle_reads_them(**parts: dict[str, object]) -> None:
    agreed(json.dumps({name: value for part in parts.values() for name, value in part.items()}).encode())


@given(
    optional=st.fixed_dictionaries(
        {}, optional={name: FIELDS[name] for name in ("seal", "doc", "after", "revoked")}
    )
)
def test_optional_fields_of_a_good_record_are_read_as_the_oracle_reads_them(
    optional: dict[str, object],
) -> None:
    agreed(with_fields(CERTIFICATE, **optional))


WHOLE = with_fields(CERTIFICATE, seal=["A"], doc=CID, after="0123456789abcdef")


@given(st.one_of(damaged(WHOLE), damaged(with_fields(REVOCATION)), st.binary(max_size=100)))
def test_any_bytes_are_a_record_or_malformed(value: bytes) -> None:
    record = attempt(read_record, value)
    assert record is None or record.org == json.loads(value)["org"]


# ---- the pairing of node and client (rule C2)

networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))


def test_the_pairing_is_a_1_of_2_of_the_sorted_keys() -> None:
    first, second = sorted((NODE, CLIENT))
    assert pairing_script(NODE, CLIENT) == pairing_script(CLIENT, NODE) == multisig_script(1, [first, second])
    script = b"\x51\x21" + first + b"\x21" + second + b"\x52\xae"
    assert pairing_outputs(NODE, CLIENT) == pairing_outputs(CLIENT, NODE)
    assert pairing_outputs(NODE, CLIENT) == {
        "p2wsh": p2wsh(sha256(script)),
        "p2sh": p2sh(hash160(script)),
        "p2sh-p2wsh": p2sh(hash160(p2wsh(sha256(script)))),
    }
    assert next(iter(pairing_outputs(NODE, CLIENT))) == "p2wsh"


@networks
def test_each_of_the_three_addresses_is_the_pairing_s_and_no_other(network: Network) -> None:
    for output in pairing_outputs(NODE, CLIENT).values():
        address = address_of(output, network)
        assert address is not None
        assert is_pairing_address(address, NODE, CLIENT, network)
        assert is_pairing_address(address, CLIENT, NODE, network)
        assert not is_pairing_address(address, NODE, key_of("another"), network)
        assert not is_pairing_address(address, NODE, NODE, network)
        for other in NETWORKS.values():
            same = address_of(output, other) == address
            assert is_pairing_address(address, NODE, CLIENT, other) == same
        for text in (address + " ", address[:-1], address.swapcase(), "", address + "\n"):
            assert not is_pairing_address(text, NODE, CLIENT, network)


def test_a_pairing_address_is_compared_as_it_is_written() -> None:
    """formats.md: «strings are compared code point for code point»; in capitals it is the same address for a wallet."""
    address = address_of(pairing_outputs(NODE, CLIENT)["p2wsh"], REGTEST)
    assert address is not None
    assert not is_pairing_address(address.upper(), NODE, CLIENT, REGTEST)


def test_a_1_of_2_in_the_other_order_is_not_the_pairing() -> None:
    """BIP 67 leaves one order."""
    second, first = sorted((NODE, CLIENT))
    for output in (
        p2wsh(sha256(multisig_script(1, [first, second]))),
        p2wsh(sha256(multisig_script(2, [second, first]))),
    ):
        address = address_of(output, REGTEST)
        assert address is not None
        assert not is_pairing_address(address, NODE, CLIENT, REGTEST)


@pytest.mark.parametrize(("number", "wrong"), [(1, 1), (2, 0)])
def test_the_recorded_certificates_name_their_pairing_but_for_one(number: int, wrong: int) -> None:
    values = [write.value for tx in recorded(number).payments for _, write in tx.writes]
    records = [attempt(read_record, value) for value in values]
    answers = []
    for record in records:
        if isinstance(record, Certificate):
            answers.append(is_pairing_address(record.ms, record.node, record.client, REGTEST))
            known = oracle.multisig_addresses(record.node.hex(), record.client.hex(), oracle.REGTEST)
            assert answers[-1] == (record.ms in known)
    assert answers.count(False) == wrong
    assert answers.count(True) > 15
