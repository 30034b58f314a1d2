"""Reading recorded chains: each way in which a file can be bad is one line."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from devnet_world import recorded_file, recorded_json

from doitrust.adapters.devnet import load
from doitrust.adapters.devnet.params import GENESIS
from doitrust.adapters.devnet.recorded import MAX_FILE_SIZE, Content, Organization, parse
from doitrust.content.cid import RAW, cid_of
from doitrust.content.unixfs import CHUNK_SIZE, cid_of_file
from doitrust.errors import BadData

GOOD: dict[str, Any] = {"network": "regtest", "blocks": [GENESIS.hex()]}
TXID = "ab" * 32


def read(value: Any, **changes: Any) -> Any:
    return parse(json.dumps({**value, **changes}).encode(), "file.json")


@pytest.mark.parametrize("number", [1, 2])
def test_the_recorded_files(number: int) -> None:
    recorded, value = load(recorded_file(number)), recorded_json(number)
    assert recorded.source == f"doichain-regtest-{number}.json"
    assert [raw.hex() for raw in recorded.blocks] == value["blocks"]
    assert [(content.cid.text, content.data.decode()) for content in recorded.contents] == list(
        value["ipfs"].items()
    )
    assert list(recorded.organizations) == [
        (name, entry["root"], entry["accepted"]) for name, entry in value["organizations"].items()
    ]


def test_only_network_and_blocks_must_be_there() -> None:
    recorded = read(GOOD, tip="nonsense", meters=[[1]])
    assert recorded.blocks == (GENESIS,)
    assert (recorded.contents, recorded.organizations) == ((), ())
    assert read(GOOD, network="devnet").digest == recorded.digest


def test_two_chains_have_two_digests() -> None:
    assert load(recorded_file(1)).digest != load(recorded_file(2)).digest


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON"),
        (b"\xff{}", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"[]", "not an object"),
        (b"{", "not JSON"),
        (json.dumps(GOOD).encode()[:-20], "not JSON"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"network":"regtest","x":' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper than 32"),
        (b"{}", "network is 'NoneType'"),
    ],
)
def test_bytes_that_are_no_recorded_chain(data: bytes, why: str) -> None:
    with pytest.raises(BadData, match=why) as caught:
        parse(data, "file.json")
    assert caught.value.message.startswith("file.json is not a recorded chain: ")
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"network": "mainnet"}, "network is 'mainnet', only regtest and devnet"),
        ({"network": 1}, "network is 'int'"),
        ({"network": "\x1b[31m"}, r"network is '.*x1b"),
        ({"blocks": None}, "no list of blocks"),
        ({"blocks": []}, "no list of blocks"),
        ({"blocks": {"0": GENESIS.hex()}}, "no list of blocks"),
        ({"blocks": ["00" * 80]}, "not regtest's genesis"),
        ({"blocks": [GENESIS.hex()[:-2]]}, "not regtest's genesis"),
        ({"blocks": [GENESIS.hex(), 5]}, "block 1 is not a text"),
        ({"blocks": [GENESIS.hex(), "0g"]}, "block 1 is not hex"),
        ({"blocks": [GENESIS.hex(), "0"]}, "block 1 is not hex"),
        ({"blocks": [GENESIS.hex(), "00 00"]}, "block 1 is not hex"),
        ({"blocks": [GENESIS.hex(), "\u0660\u0660"]}, "block 1 is not hex"),
        ({"blocks": [GENESIS.hex(), "0" * 8_000_002]}, "block 1 is not a text"),
        ({"ipfs": []}, "'ipfs' is not an object"),
        ({"ipfs": {"Qm": "x"}}, "not a CID"),
        ({"ipfs": {cid_of(b"x", RAW).text: 5}}, "is not a text"),
        ({"ipfs": {cid_of(b"x", RAW).text: "y"}}, "makes another CID"),
        ({"ipfs": {cid_of(b"x", 0x70).text: "x"}}, "makes another CID"),
        ({"ipfs": {cid_of(b"x", 0x71).text: "x"}}, "not the CID of a file"),
        ({"ipfs": {cid_of(b"x", RAW).text: "\ud800"}}, "can't be written as bytes"),
        ({"organizations": []}, "'organizations' is not an object"),
        ({"organizations": {"A": []}}, "organisation 'A' is not an object"),
        ({"organizations": {"A": {"root": TXID, "accepted": 1}}}, "organisation 'A' is not an object"),
        ({"organizations": {"A": {"root": "ab", "accepted": True}}}, "accepted organisation 'A': a txid"),
        ({"organizations": {"A": {"accepted": True}}}, "accepted organisation 'A': its root"),
        ({"organizations": {" A": {"root": TXID, "accepted": True}}}, "leading, trailing"),
        ({"organizations": {"\ud800": {"root": TXID, "accepted": True}}}, "is no text"),
    ],
)
def test_fields_that_are_wrong(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadData, match=why) as caught:
        read(GOOD, **changes)
    assert "\n" not in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400


def test_an_organisation_that_nobody_accepts_may_be_malformed() -> None:
    recorded = read(
        GOOD,
        organizations={
            "  ": {"root": TXID, "accepted": False},
            "B": {"root": "nonsense"},
            "Müller & Söhne": {"root": TXID.upper(), "accepted": True, "owner": "x"},
            "C": {"root": TXID},
        },
    )
    assert recorded.organizations == (
        Organization("Müller & Söhne", TXID, True),
        Organization("C", TXID, False),
    )


def test_contents_of_every_kind() -> None:
    large = "ä" * CHUNK_SIZE  # two chunks, so a tree
    raw_block = "x" * (CHUNK_SIZE + 1)  # one raw block, larger than we make them
    damaged = b'{"name":"\xff\xfe"}'
    tree = cid_of_file(large.encode())
    version_1 = tree.text
    contents = {
        version_1: large,
        cid_of(raw_block.encode(), RAW).text: raw_block,
        cid_of(b"", RAW).text: "",
        cid_of(damaged, RAW).text: damaged.decode("utf-8", "surrogateescape"),
    }
    recorded = read(GOOD, ipfs=contents)
    assert [content.data for content in recorded.contents] == [
        large.encode(),
        raw_block.encode(),
        b"",
        damaged,
    ]
    assert recorded.contents[0] == Content(tree, large.encode())


def test_a_cid_of_version_0_names_the_same_tree() -> None:
    text = "y" * (2 * CHUNK_SIZE)
    tree = cid_of_file(text.encode())
    version_0 = _base58(b"\x12\x20" + tree.digest)
    assert read(GOOD, ipfs={version_0: text}).contents[0].cid == tree


def _base58(data: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return text


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"can't read the recorded chain none\.json: No such file"):
        load(tmp_path / "none.json")
    with pytest.raises(BadData, match="can't read the recorded chain"):
        load(tmp_path)
    (tmp_path / "a\nb.json").write_bytes(b"")
    with pytest.raises(BadData, match=r"a\\x0ab\.json is not a recorded chain"):
        load(tmp_path / "a\nb.json")


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FILE_SIZE == 256 * 1024 * 1024
    size = recorded_file(1).stat().st_size
    monkeypatch.setattr("doitrust.adapters.devnet.recorded.MAX_FILE_SIZE", size)
    load(recorded_file(1))
    monkeypatch.setattr("doitrust.adapters.devnet.recorded.MAX_FILE_SIZE", size - 1)
    with pytest.raises(BadData, match=f"more than {size - 1} bytes"):
        load(recorded_file(1))


def test_the_digest_is_that_of_the_blocks() -> None:
    assert read(GOOD).digest == hashlib.sha256(GENESIS).hexdigest()
