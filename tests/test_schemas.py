"""The JSON Schemas: valid, true of everything recorded and printed, and as strict as a schema can be."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from cli import home, load, run, temporary_folder
from devnet_world import ROOT, recorded_blocks, recorded_json
from jsonschema import Draft202012Validator

from doitrust.adapters.devnet import recorded as recorded_chains
from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.secret import Secret
from doitrust.chain.block import Block
from doitrust.chain.networks import DEVNET
from doitrust.errors import BadData, Refused
from doitrust.meters.document import write_document
from doitrust.meters.pairing import read_pairing
from doitrust.meters.record import Certificate, Record, Revocation, read_record
from doitrust.orgs.acceptance import check_acceptances, read_acceptance
from doitrust.orgs.members import read_members
from doitrust.trust.evidence_file import read_evidence

SCHEMAS = ROOT / "doitrust" / "schemas"
NAMES = (
    *("certificate-document", "certificate", "evidence", "members", "ownership", "pairing"),
    *("recorded-chain", "revocation", "verdict"),
)
#: Those that we only write.
UNREAD = ("certificate-document", "verdict")
NODE = "03c6f12f9e1917ebf34f2bb9c85dda7f1f43d168096a75307fa1ff2f04f394a715"
CLIENT = "036bf1767b7aed4b3cbab7909ea51e9b6ab5d83e45bbb150f871d73c0bf2b6e918"
CID = "bafkreidtfyt3ua2qacbpk6gtkg3gxg2hvs5wqleklovg6742fdxqlxyile"
CERTIFICATE = {
    "v": 1,
    "org": "Elektro-Innung Passau",
    "node": NODE,
    "client": CLIENT,
    "ms": "ncrt1qmark0hv5qemf0g53nscfyuvajjx8x28yrzvk93hcg7tz44qkc0rsdjx82s",
    "seal": ["A-1002"],
    "doc": CID,
    "after": "80feec7fd7806713",
}
REVOCATION = {"v": 1, "org": "Elektro-Innung Passau", "revoked": "seal broken"}
MEMBERS = {
    "format": "doitrust-members/1",
    "members": [
        {"key": NODE, "name": "E. Eins", "licence": "PA-117"},
        {"key": CLIENT, "revoked": {"height": 484, "reason": "left", "voids_revocations": True}},
    ],
    "organization": "Elektro-Innung Passau",
    "previous": CID,
    "sequence": 2,
}


@cache
def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    return found


def closed(value: Any) -> Any:
    """The schema without room for fields that it doesn't name: what *we* write has no others."""
    if isinstance(value, list):
        return [closed(each) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: each if key in ("if", "then") else closed(each) for key, each in value.items()}
    if "properties" in inner and "type" in inner:
        inner.setdefault("additionalProperties", False)
    return inner


@cache
def validator(name: str, *, strictly: bool = False) -> Draft202012Validator:
    return Draft202012Validator(closed(schema(name)) if strictly else schema(name))


def problems(name: str, value: Any, *, strictly: bool = False) -> list[str]:
    found = validator(name, strictly=strictly).iter_errors(value)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


def test_the_schemas_are_those_that_are_documented() -> None:
    assert sorted(path.name for path in SCHEMAS.iterdir()) == [f"{name}.json" for name in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_valid(name: str) -> None:
    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"].startswith(f"urn:doitrust:schema:{name}")
    assert schema(name)["title"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_schema_demands_it_also_describes(name: str) -> None:
    for part in _objects(schema(name)):
        assert set(part.get("required", ())) <= part["properties"].keys()


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "properties" in value and "type" in value:
            yield value
        for inner in value.values():
            yield from _objects(inner)


# ---- what was recorded, written and printed


@pytest.mark.parametrize("number", [1, 2])
def test_recorded_chains_are_valid(number: int) -> None:
    assert problems("recorded-chain", recorded_json(number)) == []


@pytest.mark.parametrize("number", [1, 2])
def test_recorded_lists_are_valid(number: int) -> None:
    for text in recorded_json(number)["ipfs"].values():
        assert problems("members", json.loads(text), strictly=True) == []
        assert read_members(text.encode()).problems == ()


def _values(number: int) -> Iterator[bytes]:
    """The value of each write about a meter."""
    for raw in recorded_blocks(number):
        for tx in Block.parse(raw).transactions:
            yield from (write.output.value for write in tx.writes if write.output.name.startswith(b"bp/"))


def _record(value: bytes) -> Record | None:
    try:
        return read_record(value)
    except BadData:
        return None


@pytest.mark.parametrize("number", [1, 2])
def test_recorded_records_are_valid_as_what_they_are(number: int) -> None:
    read = set()
    for value in _values(number):
        record = _record(value)
        if record is None:
            continue
        read.add(type(record))
        names = ("certificate", "revocation")
        mine, other = names if isinstance(record, Certificate) else names[::-1]
        assert problems(mine, json.loads(value), strictly=True) == []
        assert problems(other, json.loads(value))
    assert read == {Certificate, Revocation}


@pytest.mark.parametrize("number", [1, 2])
def test_printed_verdicts_and_saved_evidence_are_valid(number: int) -> None:
    load(number)
    file = home() / "evidence.json"
    meters = recorded_json(number)["meters"]
    verdicts = run("verify", "--json", "--save-evidence", file, *meters).value
    verdicts += run("verify", "--json", "--evidence", file, "--min-confirmations", 50, *meters).value
    assert len(verdicts) == 2 * len(meters)
    for verdict in verdicts:
        assert problems("verdict", verdict, strictly=True) == []
    assert problems("evidence", json.loads(file.read_bytes()), strictly=True) == []


def test_evidence_with_gaps_and_a_mempool_is_valid() -> None:
    load(2)
    file = home() / "evidence.json"
    for block in (home() / "devnet" / "ipfs").glob("*/*"):
        block.unlink()
    run("devnet", "reorg", 1)  # the last block's revocation waits again
    verdict = run("verify", "--json", "1REV0000099021", "--save-evidence", file).value
    evidence = json.loads(file.read_bytes())
    assert evidence["missing"]
    assert any(entry["block"] is None for entry in evidence["transactions"].values())
    assert any(write["height"] is None for write in verdict["writes"])
    assert problems("verdict", verdict, strictly=True) == []
    assert problems("evidence", evidence, strictly=True) == []


def test_a_certificates_document_is_valid() -> None:
    pairing = read_pairing(json.dumps(_sample("pairing")).encode())
    document = json.loads(write_document(pairing, ["A-1"], [CID]))
    assert problems("certificate-document", document, strictly=True) == []
    assert problems("pairing", document["pairing"], strictly=True) == []
    for field in ("format", "pairing", "seals", "photos"):
        for value in (None, 1, "A-1", {"": 1}, [1]):
            fits = field == "pairing" and isinstance(value, dict)
            assert (problems("certificate-document", {**document, field: value}) == []) == fits


@pytest.mark.parametrize(
    ("name", "value"), [("certificate", CERTIFICATE), ("revocation", REVOCATION), ("members", MEMBERS)]
)
def test_the_examples_below_are_right(name: str, value: dict[str, Any]) -> None:
    assert problems(name, value, strictly=True) == []
    assert _reads(name, value)


# ---- what must be refused

#: By schema and field (dotted; `*` is an object's first key): what must not stand there. `_ABSENT`: it is left out.
_ABSENT: Any = object()
_NO_OBJECT: list[Any] = [None, True, 1, "", [], [{}]]
_NO_TEXT: list[Any] = [None, 1, True, [], {}]
HOSTILE: dict[str, dict[str, list[Any]]] = {
    "certificate": {
        "": _NO_OBJECT,
        "v": [_ABSENT, 0, 2, "1", True, None, 1.5, [1]],
        "org": [_ABSENT, *_NO_TEXT],
        "ms": [_ABSENT, *_NO_TEXT],
        "node": [_ABSENT, *_NO_TEXT, "", NODE.upper(), NODE[:-2], NODE + "00", NODE + "\n", " " + NODE],
        "client": [_ABSENT, *_NO_TEXT, "", "04" + CLIENT[2:], "0x" + CLIENT[2:], CLIENT[:-1] + "g"],
        "seal": [None, "A-1", [1], [None], {"A": 1}, [["A"]]],
        "doc": [*_NO_TEXT, "", "nonsense", CID[:-1] + "!", "/ipfs/" + CID],
        "after": [*_NO_TEXT, "", "8" * 15, "8" * 65, "A" * 16, "g" * 16, "8" * 16 + "\n"],
        "revoked": [None, False, 1, {}, []],
    },
    "revocation": {
        "": _NO_OBJECT,
        "v": [_ABSENT, 0, 2, "1", True, None],
        "org": [_ABSENT, *_NO_TEXT],
        "revoked": [_ABSENT, *_NO_TEXT],
    },
    "members": {
        "": _NO_OBJECT,
        "format": [_ABSENT, *_NO_TEXT, "doitrust-members/2", "doitrust-members/1 "],
        "members": [_ABSENT, None, {}, "", 1, [{"key": NODE}] * 20_001],
        "members.0": [None, 1, NODE, [], {}],
        "members.0.key": [_ABSENT, *_NO_TEXT, "", NODE[:-1], NODE + "0", NODE + "\n", "04" + NODE[2:]],
    },
    "ownership": {
        "": _NO_OBJECT,
        "format": [_ABSENT, *_NO_TEXT, "doitrust-ownership/2"],
        "text": [_ABSENT, *_NO_TEXT, "", "doitrust ownership/1", "doitrust ownership/1\ndevnet\nA\nB"],
        "descriptor": [1, True, [], {}],
        "signatures": [_ABSENT, None, [], "", {"": ""}, {NODE.upper(): ""}, {NODE + "\n": ""}],
        "signatures.*": [None, 1, [], {}],
    },
    "evidence": {
        "": _NO_OBJECT,
        "format": [_ABSENT, *_NO_TEXT, "doitrust-evidence/2"],
        "network": [_ABSENT, None, 1, "", "bitcoin"],
        "tip": [_ABSENT, None, [], "543", 543],
        "tip.height": [_ABSENT, None, -1, "543", True, 0.5, 2**31],
        "tip.hash": [_ABSENT, *_NO_TEXT, "", "G" * 64, "a" * 63, "A" * 64, "a" * 64 + "\n"],
        "tip.time": [1, "", "yesterday", "2026-11-21T03:17:03+01:00", "2026-11-21"],
        "tip.work": [1, "", "440", "A" * 64],
        "transactions": [_ABSENT, None, [], ""],
        "transactions.nonsense": [{"hex": "00", "block": None, "height": None, "position": None}],
        "transactions.*": [None, [], "00"],
        "transactions.*.hex": [_ABSENT, *_NO_TEXT, "", "0", "zz"],
        "transactions.*.block": [_ABSENT, None, 1, "", "a" * 63, "A" * 64],
        "transactions.*.height": [_ABSENT, None, -1, "1", True, 1.5],
        "transactions.*.position": [_ABSENT, None, -1, "1", False],
        "transactions.*.time": [1, "now"],
        "transactions.*.below": [1, "440"],
        "lists": [_ABSENT, None, [], ""],
        "lists.nonsense": [""],
        "lists.*": [*_NO_TEXT, "{}", "Zm9v=", "Zm9", "Zm9v\n", "Zm-_"],
        "missing": [_ABSENT, None, {}, "", [None], ["list"], [{}]],
        "missing.0": [
            {"kind": "wallet", "id": "x", "why": "list_missing"},
            {"kind": "list", "id": "x", "why": "lost"},
            {"kind": "list", "id": 1, "why": "list_missing"},
        ],
    },
    "recorded-chain": {
        "": _NO_OBJECT,
        "network": [_ABSENT, None, 1, "mainnet", "testnet"],
        "blocks": [_ABSENT, None, {}, [], "00", ["00" * 81]],
        "blocks.1": [None, 1, [], "zz" * 81, "0" * 163],
        "ipfs": [None, [], "", {"nonsense": ""}, {CID: None}, {CID: 1}],
        "organizations": [None, [], "", {"A": None}, {"A": "b"}, {"A": []}],
        "organizations.*.accepted": [None, 1, "yes"],
        "organizations.*.root": [_ABSENT, *_NO_TEXT, "", "ab" * 31],
    },
}


@cache
def _sample(name: str) -> Any:
    if name == "evidence":
        folder = load(1, temporary_folder())
        file = folder / "evidence.json"
        run("verify", "1EMH0012345002", "--save-evidence", file, env={"DOITRUST_HOME": str(folder)})
        evidence = json.loads(file.read_bytes())
        evidence["missing"] = [{"kind": "list", "id": CID, "why": "list_missing"}]
        return evidence
    if name == "pairing":
        env = {"DOITRUST_HOME": str(temporary_folder())}
        run("pi", "init", env=env)
        telegram = ROOT / "fixtures" / "telegrams" / "dzg-importing.bin"
        return run("pi", "pair", "--client", CLIENT, "--source", telegram, "--json", env=env).value
    if name == "ownership":
        return _acceptance()
    if name == "recorded-chain":
        return {**recorded_json(1), "blocks": recorded_json(1)["blocks"][:2]}
    return {"certificate": CERTIFICATE, "revocation": REVOCATION, "members": MEMBERS}[name]


def _acceptance() -> Any:
    """What the owner key of a home signs for somebody else's organisation."""
    folder = temporary_folder()
    passphrase = "words that nobody puts together"
    with patch.dict(Keystore.__init__.__kwdefaults__ or {}, kdf=Kdf(16, 1, 1)):
        Keystore(folder / "keys").add("new", Secret(bytes(32)), Secret(passphrase.encode()))
        env = {"DOITRUST_HOME": str(folder), "DOITRUST_PASSPHRASE": passphrase}
        run("org", "accept-ownership", "Elektro-Innung Passau", "--out", folder / "accepted.json", env=env)
    return json.loads((folder / "accepted.json").read_bytes())


def _spoiled(name: str, field: str, value: Any) -> Any:
    """The sample with another value at one place; `*` is an object's first key."""
    if not field:
        return value
    sample = at = copy.deepcopy(_sample(name))
    *path, last = field.split(".")
    for part in path:
        at = at[_key(at, part)]
    if value is _ABSENT:
        del at[_key(at, last)]
    else:
        at[_key(at, last)] = value
    return sample


def _key(at: Any, part: str) -> Any:
    if isinstance(at, list):
        return int(part)
    return next(iter(at)) if part == "*" else part


def _reads(name: str, value: Any) -> bool:
    """Whether the strict reader takes `value`, with nothing to complain about."""
    data = json.dumps(value).encode()
    if name == "members":
        return read_members(data).problems == ()
    if name in ("certificate", "revocation"):
        return isinstance(_record(data), Certificate if name == "certificate" else Revocation)
    try:
        if name == "evidence":
            read_evidence(data, source="file")
        elif name == "pairing":
            read_pairing(data)
        elif name == "ownership":
            address = _sample("ownership")["text"].split("\n")[3]
            check_acceptances([read_acceptance(data)], DEVNET, "Elektro-Innung Passau", address)
        else:
            recorded_chains.parse(data, "file")
    except (BadData, Refused):
        return False
    return True


@pytest.mark.parametrize("name", [name for name in NAMES if name not in UNREAD])
def test_samples_are_right_before_they_are_spoiled(name: str) -> None:
    assert problems(name, _sample(name)) == []
    assert _reads(name, _sample(name))


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in HOSTILE for field in HOSTILE[name]])
def test_reader_and_schema_refuse(name: str, field: str) -> None:
    for value in HOSTILE[name][field]:
        spoiled = _spoiled(name, field, value)
        assert not _reads(name, spoiled), value
        assert not validator(name).is_valid(spoiled), value


# ---- what only the reader can refuse: the reason why passing a schema proves nothing


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("certificate", _text(CERTIFICATE).replace(b'"v": 1', b'"v": 1.0')),
        ("certificate", _text(CERTIFICATE).replace(b'"v": 1', b'"v": 2, "v": 1')),
        ("certificate", _text({**CERTIFICATE, "client": NODE})),
        ("certificate", _text({**CERTIFICATE, "node": "02" + "f" * 64})),
        ("certificate", _text({**CERTIFICATE, "doc": CID[:-1] + "f"})),
        ("certificate", _text({**CERTIFICATE, "x": "y" * 520})),
        ("certificate", _text({**CERTIFICATE, "org": "\ud800"})),
        ("revocation", _text({**REVOCATION, "x": [[[[[[[[]]]]]]]]})),
        ("members", _text({**MEMBERS, "members": [{"key": NODE}, {"key": NODE}]})),
        ("members", _text({**MEMBERS, "members": [{"key": "02" + "f" * 64}]})),
        ("members", _text(MEMBERS).replace(b'"format"', b'"format": 1, "format"')),
    ],
)
def test_only_the_reader_refuses(name: str, data: bytes) -> None:
    assert problems(name, json.loads(data)) == []
    if name == "members":
        assert read_members(data).problems
    else:
        assert _record(data) is None
