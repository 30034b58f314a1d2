"""Pairings: written, read back, and refused wherever one byte of them isn't what the node signed."""

import base64
import copy
import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
import segno
from devnet_world import ROOT, Key
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from support import attempt, refusal
from test_schemas import SCHEMAS, closed

from doitrust.chain.address import address_of
from doitrust.chain.messages import sign_message
from doitrust.chain.networks import DEVNET, MAINNET, NETWORKS, TESTNET, Network
from doitrust.chain.scripts import multisig_script, p2wsh
from doitrust.errors import BadData, Refused
from doitrust.meters.multisig import pairing_outputs
from doitrust.meters.pairing import (
    MAX_BYTES,
    TYPES,
    Pairing,
    age,
    read_pairing,
    short_fingerprint,
    sign_pairing,
    write_pairing,
)
from doitrust.meters.reading import Reading, Register

NODE, CLIENT, OTHER = (Key.named(name) for name in ("node", "client", "other"))
CREATED = 1_795_255_200  # 2026-11-21T10:00:00Z
SERVER_ID = bytes.fromhex("0a01454d480000bc614e")
READING = Reading(
    SERVER_ID,
    CREATED - 3,
    {"1-0:1.8.0*255": Register(23_536_569, -1, "Wh"), "1-0:16.7.0*255": Register(-299, 0, "W")},
    "EMH",
)


def node_signs(text: str) -> str:
    return sign_message(NODE.secret, text)


def unsigned(**changes: Any) -> Pairing:
    pairing = Pairing(DEVNET, "1EMH0012345678", NODE.public, CLIENT.public, READING, CREATED)
    return replace(pairing, **changes)


def signed(**changes: Any) -> Pairing:
    return sign_pairing(unsigned(**changes), node_signs)


PAIRING = signed(origin="https://zaehler.local:8443")
TEXT = write_pairing(PAIRING)
DOCUMENT: dict[str, Any] = json.loads(TEXT)


def signed_again(document: dict[str, Any], key: Key = NODE) -> bytes:
    """The document as if its node had said this."""
    rest = {name: value for name, value in document.items() if name != "signature"}
    text = rfc8785.dumps(rest).decode()
    return json.dumps({**rest, "signature": sign_message(key.secret, text)}).encode()


def refused(data: bytes) -> str:
    return refusal(read_pairing, data)


# ---- what is written


def test_the_fields_are_those_of_the_format() -> None:
    assert {
        "format": "doitrust-pairing/1",
        "network": "devnet",
        "meter": "1EMH0012345678",
        "server_id": "0a01454d480000bc614e",
        "node": NODE.public.hex(),
        "client": CLIENT.public.hex(),
        "ms": address_of(p2wsh_of(NODE, CLIENT), DEVNET),
        "type": "p2wsh",
        "reading": {
            "meter": "1EMH0012345678",
            "server_id": "0a01454d480000bc614e",
            "maker": "EMH",
            "taken": "2026-11-21T09:59:57Z",
            "clock": "host",
            "values": {
                "1-0:1.8.0*255": {"value": "2353656.9", "unit": "Wh", "resolution": "0.1"},
                "1-0:16.7.0*255": {"value": "-299", "unit": "W", "resolution": "1"},
            },
        },
        "created": "2026-11-21T10:00:00Z",
        "origin": "https://zaehler.local:8443",
        "signature": DOCUMENT["signature"],
    } == DOCUMENT


def p2wsh_of(*keys: Key) -> bytes:
    script = multisig_script(1, sorted(key.public for key in keys))
    return p2wsh(hashlib.sha256(script).digest())


def test_it_is_canonical_json_and_what_is_read_is_what_was_written() -> None:
    assert rfc8785.dumps(DOCUMENT).decode() == TEXT
    read = read_pairing(TEXT.encode())
    assert read == PAIRING
    assert read.document == DOCUMENT
    assert write_pairing(read) == TEXT
    assert (read.server_id, read.ms) == (SERVER_ID, DOCUMENT["ms"])
    assert read_pairing(json.dumps(DOCUMENT, indent=2).encode() + b"\n") == PAIRING


def test_without_an_origin_there_is_no_such_field() -> None:
    assert "origin" not in json.loads(write_pairing(signed()))
    assert signed().origin is None


@pytest.mark.parametrize("network", NETWORKS.values(), ids=str)
@pytest.mark.parametrize("kind", TYPES)
def test_each_network_and_type(network: Network, kind: str) -> None:
    pairing = signed(network=network, type=kind)
    assert pairing.ms == address_of(pairing_outputs(NODE.public, CLIENT.public)[kind], network)
    assert read_pairing(write_pairing(pairing).encode()) == pairing


def test_what_no_reader_would_take_is_not_signed() -> None:
    def never(text: str) -> str:
        raise AssertionError(text)

    unknown = replace(READING, server_id=bytes.fromhex("0f010203"))
    with pytest.raises(Refused, match="the node's own"):
        sign_pairing(unsigned(client=NODE.public), never)
    with pytest.raises(Refused, match="0f010203 stands for no meter number") as caught:
        sign_pairing(unsigned(reading=unknown), never)
    assert caught.value.code == "no_meter_number"
    with pytest.raises(BadData, match="'meter'"):
        sign_pairing(unsigned(meter="1EMH0012345679"), node_signs)
    with pytest.raises(BadData, match="'signature'"):
        sign_pairing(unsigned(), lambda text: sign_message(OTHER.secret, text))
    with pytest.raises(ValueError, match="signed"):
        write_pairing(unsigned())


# ---- fields that aren't known


def test_fields_that_are_not_known_are_covered_and_kept() -> None:
    more = {**DOCUMENT, "zukunft": {"höhe": 1.5, "𐀀": 1, "\ufb33": [None, True, -0.0, 1e21]}}
    data = signed_again(more)
    assert read_pairing(data) == PAIRING
    assert read_pairing(write_pairing(read_pairing(data)).encode()) == PAIRING
    assert "'signature'" in refused(json.dumps({**DOCUMENT, "zukunft": 1}).encode())
    without = {name: value for name, value in json.loads(data).items() if name != "zukunft"}
    assert "'signature'" in refused(json.dumps(without).encode())


@pytest.mark.parametrize("number", ["1e400", "9007199254740993", "1" + "0" * 60, "-" + "9" * 5000])
def test_numbers_without_a_canonical_form_are_refused(number: str) -> None:
    data = TEXT.replace('{"client"', f'{{"a":{number},"client"').encode()
    assert "number" in refused(data)


# ---- what is refused, though it was signed

_ABSENT: Any = object()
_NO_TEXT: list[Any] = [None, 1, True, [], {}]
MS = DOCUMENT["ms"]
HOSTILE: dict[str, list[Any]] = {
    "format": [_ABSENT, *_NO_TEXT, "doitrust-pairing/2", "doitrust-pairing/1 "],
    "network": [_ABSENT, *_NO_TEXT, "", "bitcoin", "Devnet"],
    "meter": [
        _ABSENT,
        *_NO_TEXT,
        "",
        "1emh0012345678",
        "1EMH 0012345678",
        "1EMH0012345678\n",
        "1EM",
        "Ä" * 4,
    ],
    "server_id": [_ABSENT, *_NO_TEXT, "", SERVER_ID.hex().upper(), SERVER_ID.hex() + "0", "0x0a"],
    "node": [_ABSENT, *_NO_TEXT, "", NODE.public.hex().upper(), NODE.public.hex() + "\n", "04" + "11" * 32],
    "client": [_ABSENT, *_NO_TEXT, "", CLIENT.public.hex()[:-2], "0x" + CLIENT.public.hex()[2:]],
    "ms": [_ABSENT, *_NO_TEXT, ""],
    "type": [_ABSENT, *_NO_TEXT, "", "P2WSH", "p2pkh"],
    "reading": [_ABSENT, None, 1, "", [], {}],
    "created": [
        *(_ABSENT, *_NO_TEXT, "", "2026-11-21", "2026-11-21T10:00:00+00:00", "2026-11-21T10:00:00.0Z"),
        *("2026-11-21T10:00:00Z\n", "2026-02-30T10:00:00Z", "2026-1-1T1:0:0Z", "0000-01-01T00:00:00Z"),
        *("\uff12026-11-21T10:00:00Z", "2026-11-21T10:00:60Z"),
    ],
    "origin": [
        *(*_NO_TEXT, "", "zaehler.local", "ftp://a", "https://", "https://a/", "https://a?b", "https://a#b"),
        *("https://u@a", "https://a:", "https://a:0", "https://a:65536", "https://a b", "https://ä.de"),
        *("https://a\n", "https://[::1", "javascript:alert(1)", "https://" + "a" * 300),
    ],
}
#: What a schema can't know.
ONLY_READER: dict[str, list[Any]] = {
    "network": ["testnet", "mainnet"],
    "meter": ["1EMH0012345679"],
    "server_id": ["0a01454d480000bc614f", "0a", SERVER_ID.hex() + "00"],
    "node": ["02" + "f" * 64, CLIENT.public.hex(), OTHER.public.hex()],
    "client": ["02" + "f" * 64, NODE.public.hex(), OTHER.public.hex()],
    "ms": [
        MS.upper(),
        address_of(p2wsh_of(NODE, OTHER), DEVNET),
        address_of(p2wsh_of(NODE, CLIENT), MAINNET),
    ],
    "type": ["p2sh", "p2sh-p2wsh"],
    "signature": [DOCUMENT["signature"][:-1] + "A", DOCUMENT["signature"] + "\n"],
}


def spoiled(field: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    if value is _ABSENT:
        del document[field]
    else:
        document[field] = value
    return document


@pytest.mark.parametrize("field", HOSTILE)
def test_a_malformed_field_is_refused_by_name_and_by_the_schema(field: str) -> None:
    for value in HOSTILE[field]:
        document = spoiled(field, value)
        assert field in refused(signed_again(document)), value
        assert not SCHEMA.is_valid(document), value


@pytest.mark.parametrize("field", ONLY_READER)
def test_what_contradicts_the_rest_is_refused(field: str) -> None:
    for value in ONLY_READER[field]:
        document = spoiled(field, value)
        data = json.dumps(document).encode() if field == "signature" else signed_again(document)
        refused(data)


@pytest.mark.parametrize("value", [_ABSENT, *_NO_TEXT, "", "nonsense"])
def test_a_signature_that_is_none_is_refused(value: Any) -> None:
    document = spoiled("signature", value)
    assert "'signature'" in refused(json.dumps(document).encode())
    assert not SCHEMA.is_valid(document)


def test_another_key_can_not_sign_for_the_node() -> None:
    for key in (CLIENT, OTHER):
        assert "'signature'" in refused(signed_again(DOCUMENT, key))


def test_the_reading_is_read_as_strictly() -> None:
    for change in ({"meter": "1EMH0012345679"}, {"server_id": "0a01454d480000bc614f"}, {"taken": "now"}):
        document = copy.deepcopy(DOCUMENT)
        document["reading"] |= change
        refused(signed_again(document))


def test_json_is_read_strictly() -> None:
    twice = TEXT.replace('{"client"', f'{{"client":"{OTHER.public.hex()}","client"')
    deep = TEXT.replace('{"client"', '{"a":[[[[[[[[]]]]]]]],"client"')
    for text in (
        twice,
        deep,
        "\ufeff" + TEXT,
        TEXT + TEXT,
        f"[{TEXT}]",
        TEXT[:-1],
        "",
        "null",
        TEXT.replace("1", "NaN", 1),
    ):
        refused(text.encode())
    refused(TEXT.encode("utf-16"))
    refused(TEXT.encode() + b"\xff")
    assert str(MAX_BYTES) in refused(TEXT.encode() + b" " * MAX_BYTES)


# ---- meters whose server id says less


def number_of(server_id: str, meter: str | None) -> dict[str, Any]:
    """A document with another server id, whose reading has the number `meter` (None: none)."""
    document = copy.deepcopy(DOCUMENT)
    document["server_id"] = document["reading"]["server_id"] = server_id
    document["reading"]["meter"] = meter
    if meter is None:
        del document["reading"]["meter"]
    else:
        document["meter"] = meter
    return document


@pytest.mark.parametrize(
    ("server_id", "meter", "legacy"),
    [
        ("0a01454d480000bc614e", "1EMH0012345678", False),
        ("0901454d480000bc614e", "1EMH0012345678", False),
        (f"06454d48{1_110_012_345_678:012x}", "1EMH110012345678", False),
        ("01a815785634120002", "EMH12345678", True),
        (b"02280816".hex(), "02280816", True),
        ("0f010203", None, True),
    ],
)
def test_a_number_is_legacy_unless_din_gives_it(server_id: str, meter: str | None, legacy: bool) -> None:
    pairing = read_pairing(signed_again(number_of(server_id, meter)))
    assert pairing.is_legacy is legacy
    assert pairing.meter == (meter or "1EMH0012345678")


def test_a_number_that_the_server_id_does_not_give_must_still_be_one() -> None:
    document = number_of("0f010203", None)
    assert read_pairing(signed_again(document)).meter == "1EMH0012345678"
    assert "'meter'" in refused(signed_again({**document, "meter": "1emh"}))
    document["reading"]["meter"] = "1EMH0012345678"
    assert "'meter'" in refused(signed_again(document))


# ---- what people compare, and the time


def test_the_fingerprint_to_compare() -> None:
    text = f"doitrust pairing\n{NODE.public.hex()}\n{CLIENT.public.hex()}"
    bits = base64.b32encode(hashlib.sha256(text.encode()).digest())[:16].decode().lower()
    assert short_fingerprint(NODE.public, CLIENT.public).split("-") == [
        bits[at : at + 4] for at in (0, 4, 8, 12)
    ]
    assert short_fingerprint(NODE.public, CLIENT.public) != short_fingerprint(CLIENT.public, NODE.public)
    assert short_fingerprint(NODE.public, CLIENT.public) != short_fingerprint(NODE.public, OTHER.public)


def test_its_age() -> None:
    assert PAIRING.created == CREATED
    assert age(PAIRING, CREATED + 86_401) == 86_401
    assert age(PAIRING, CREATED - 5) == -5


def test_a_qr_code_holds_it() -> None:
    values = {f"1-0:{n}.8.0*255": Register(23_536_569, -1, "Wh") for n in range(1, 16)}
    text = write_pairing(signed(reading=replace(READING, values=values)))
    assert text.isascii()
    version = segno.make_qr(text, error="l").version
    assert isinstance(version, int)
    assert version <= 30
    assert read_pairing(text.encode()).reading.values == values


# ---- damage


@given(st.integers(0, len(TEXT) - 1), st.integers(1, 255))
def test_a_damaged_byte_is_refused_or_changes_nothing(place: int, change: int) -> None:
    data = bytearray(TEXT.encode())
    data[place] ^= change
    same(bytes(data))


@given(st.integers(0, len(TEXT)), st.integers(0, 40), st.binary(max_size=4))
def test_what_is_cut_out_or_put_in_is_refused_or_changes_nothing(place: int, cut: int, put: bytes) -> None:
    data = TEXT.encode()
    same(data[:place] + put + data[place + cut :])


@given(st.binary(max_size=200))
def test_noise_is_refused(data: bytes) -> None:
    refused(data)


def same(data: bytes) -> None:
    assert attempt(read_pairing, data) in (None, PAIRING)


# ---- the schema

SCHEMA = Draft202012Validator(json.loads((SCHEMAS / "pairing.json").read_text("utf-8")))
STRICT = Draft202012Validator(closed(json.loads((SCHEMAS / "pairing.json").read_text("utf-8"))))


@pytest.mark.parametrize("kind", TYPES)
def test_what_is_written_fits_the_schema(kind: str) -> None:
    sent = replace(READING, values={**READING.values, "1-0:0.0.0*0": Register(5, 3, None, -3)}, maker=None)
    for pairing in (PAIRING, signed(type=kind, network=TESTNET), signed(reading=sent)):
        assert [error.message for error in STRICT.iter_errors(dict(pairing.document))] == []


def test_readers_and_schema_agree_on_fields_left_out() -> None:
    for name in DOCUMENT:
        document = spoiled(name, _ABSENT)
        data = json.dumps(document).encode() if name == "signature" else signed_again(document)
        assert SCHEMA.is_valid(document) is (name == "origin") is (attempt(read_pairing, data) is not None)


# ---- the documentation


def test_the_example_of_the_documentation_is_read() -> None:
    text = (ROOT / "docs" / "formats.md").read_text("utf-8").split("\n## Pairing\n")[1].split("\n## ")[0]
    example = json.loads(text.split("```json\n")[1].split("```")[0])
    read = read_pairing(json.dumps(example).encode())
    assert example.keys() == DOCUMENT.keys()
    assert f"`{short_fingerprint(read.node, read.client)}`" in text
