"""CIDs: the same block has one key however it is written, and nothing that isn't exactly a CID is one."""

import base64
import hashlib
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of, parse_binary_cid, parse_cid, varint
from doitrust.errors import BadData

# One CID in every base, as Kubo 0.42 writes it (`ipfs cid format -b …`), and its version 0.
KUBO = {
    "base32": "bafybeia77apju3sitoit4ds2p7xmaj2qbrgmprn3teac2enh7imcnzm5b4",
    "base32upper": "BAFYBEIA77APJU3SITOIT4DS2P7XMAJ2QBRGMPRN3TEAC2ENH7IMCNZM5B4",
    "base16": "f017012201ff81e9a6e489b913e0e5a7feec027500c4cc7c5bb99002d11a7fa1826e59d0f",
    "base16upper": "F017012201FF81E9A6E489B913E0E5A7FEEC027500C4CC7C5BB99002D11A7FA1826E59D0F",
    "base36": "k2jmtxs5smow7bauczqo895rq7452nm7v43ordbqmbflpjxn333388pb",
    "base36upper": "K2JMTXS5SMOW7BAUCZQO895RQ7452NM7V43ORDBQMBFLPJXN333388PB",
    "base58btc": "zdj7WXah9zbzfzACNhYv5dBt9htMruJK4jcaHSNMpchMUznzz",
    "base64url": "uAXASIB_4HppuSJuRPg5af-7AJ1AMTMfFu5kALRGn-hgm5Z0P",
}
DIGEST = bytes.fromhex(KUBO["base16"][-64:])
V0 = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"
V0_AS_V1 = "bafybeicg2rebjoofv4kbyovkw7af3rpiitvnl6i7ckcywaq6xjcxnc2mby"
EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

digests = st.binary(min_size=32, max_size=32)
codecs = st.one_of(st.sampled_from([RAW, DAG_PB, 0, 0x71, 2**63 - 1]), st.integers(0, 2**63 - 1))


def big_number(binary: bytes, alphabet: str) -> str:
    """The reference for base36 and base58 of bytes that don't begin with zero."""
    number = int.from_bytes(binary, "big")
    places = range(len(binary) * 2, -1, -1)
    digits = [alphabet[number // len(alphabet) ** place % len(alphabet)] for place in places]
    return "".join(digits).lstrip(alphabet[0])


def base32(binary: bytes) -> str:
    return base64.b32encode(binary).decode().rstrip("=").lower()


WRITERS: dict[str, Callable[[bytes], str]] = {
    "b": base32,
    "B": lambda binary: base32(binary).upper(),
    "f": lambda binary: binary.hex(),
    "F": lambda binary: binary.hex().upper(),
    "k": lambda binary: big_number(binary, BASE36),
    "K": lambda binary: big_number(binary, BASE36).upper(),
    "u": lambda binary: base64.urlsafe_b64encode(binary).decode().rstrip("="),
    "z": lambda binary: big_number(binary, BASE58),
}


def in_base32(hex_bytes: str) -> str:
    return "b" + base32(bytes.fromhex(hex_bytes))


@pytest.mark.parametrize("base", KUBO)
def test_every_base_names_the_same_block(base: str) -> None:
    cid = parse_cid(KUBO[base])
    assert (cid.version, cid.codec, cid.digest) == (1, DAG_PB, DIGEST)
    assert cid.text == str(cid) == KUBO["base32"]


def test_version_0_and_its_version_1_are_one_key() -> None:
    old, new = parse_cid(V0), parse_cid(V0_AS_V1)
    assert (old.version, new.version) == (0, 1)
    assert old == new
    assert {old: "block"}[new] == "block"
    assert old.text == V0_AS_V1
    assert old.binary == new.binary


def test_the_same_bytes_under_another_codec_are_another_key() -> None:
    assert cid_of(b"", RAW) != cid_of(b"", DAG_PB)


def test_known_cid_of_the_empty_block() -> None:
    assert cid_of(b"", RAW).text == EMPTY


def test_a_cid_matches_its_block_alone() -> None:
    cid = cid_of(b"block", RAW)
    assert cid.matches(b"block")
    assert not cid.matches(b"blocK")
    assert not cid.matches(b"")


def test_only_raw_and_dag_pb_can_be_files() -> None:
    kinds = {codec: Cid(codec, DIGEST).is_file_kind for codec in (RAW, DAG_PB, 0x71, 0x0129, 0x72, 0)}
    assert kinds == {RAW: True, DAG_PB: True, 0x71: False, 0x0129: False, 0x72: False, 0: False}


@given(codecs, digests, st.sampled_from(sorted(WRITERS)))
def test_whatever_a_base_writes_is_read_back(codec: int, digest: bytes, base: str) -> None:
    binary = b"\x01" + varint(codec) + b"\x12\x20" + digest
    cid = parse_cid(base + WRITERS[base](binary))
    assert (cid.version, cid.codec, cid.digest) == (1, codec, digest)
    assert cid.text == "b" + base32(binary)
    assert parse_binary_cid(cid.binary) == parse_cid(cid.text) == cid


@given(digests)
def test_whatever_version_0_writes_is_read_back(digest: bytes) -> None:
    cid = parse_cid(big_number(b"\x12\x20" + digest, BASE58))
    assert (cid.version, cid.codec, cid.digest) == (0, DAG_PB, digest)


HEX = DIGEST.hex()
NOT_CIDS = {
    "nothing": "",
    "only a base": "b",
    "another alphabet's letters": "b" + KUBO["base32"][1:-1] + "1",
    "mixed case in base32": KUBO["base32"][:-1] + "B",
    "mixed case in base16": KUBO["base16"][:-1] + "F",
    "mixed case in base36": KUBO["base36"][:-1] + "B",
    "mixed case in upper base36": KUBO["base36upper"][:-1] + "b",
    "lower case after the upper prefix": "B" + KUBO["base32"][1:],
    "padding bits set in base32": KUBO["base32"][:-1] + "5",
    "base64url with the other letters of base64": KUBO["base64url"].replace("_", "/"),
    "padding characters": KUBO["base32"] + "======",
    "padding characters in base64url": KUBO["base64url"] + "=",
    "a space behind": KUBO["base32"] + " ",
    "a line feed behind": V0 + "\n",
    "a space inside base16": KUBO["base16"][:9] + " " + KUBO["base16"][9:],
    "a leading zero in base36": "k0" + KUBO["base36"][1:],
    "a leading zero in base58": "z1" + KUBO["base58btc"][1:],
    "a leading zero in version 0": "1" + V0,
    "version 0 with a base": "z" + V0,
    "version 0 in base32": in_base32("1220" + HEX),
    "version 0 cut short": V0[:-1],
    "version 0 with a letter too many": V0 + "1",
    "version 0 of another hash": big_number(bytes.fromhex("1120" + HEX), BASE58),
    "version 0 spelt out": in_base32("00701220" + HEX),
    "version 2": in_base32("02701220" + HEX),
    "a padded version": in_base32("8100701220" + HEX),
    "a padded codec": in_base32("01f0001220" + HEX),
    "an endless codec": in_base32("01" + "ff" * 12),
    "a codec of ten bytes": in_base32("01" + "ff" * 9 + "01" + "1220" + HEX),
    "a padded hash number": in_base32("0170920020" + HEX),
    "a padded digest length": in_base32("017012a000" + HEX),
    "a digest cut short": in_base32("01701220" + HEX[:-2]),
    "a digest one byte too long": in_base32("01701220" + HEX + "00"),
    "a shorter digest, said so": in_base32("0170121f" + HEX[:-2]),
    "sha1": in_base32("01701114" + HEX[:40]),
    "sha2-512": in_base32("01701340" + HEX * 2),
    "identity": in_base32("01550005" + "68656c6c6f"),
    "blake2b-256": in_base32("0170a0e40220" + HEX),
    "base10": "9" + str(int("01701220" + HEX, 16)),
    "a path": "/ipfs/" + KUBO["base32"],
    "digits of another script": KUBO["base32"].replace("7", "\u0667"),
    "a long s, which upper() makes an S": KUBO["base32"].replace("s", "\u017f"),
    "a lone surrogate": "\ud800" + KUBO["base32"],
}


@pytest.mark.parametrize("defect", NOT_CIDS)
def test_is_no_cid(defect: str) -> None:
    with pytest.raises(BadData) as caught:
        parse_cid(NOT_CIDS[defect])
    assert caught.value.message.isascii()
    assert caught.value.hint


def test_a_longer_text_is_refused_without_being_read() -> None:
    longest = "f01" + "ff" * 8 + "7f" + "1220" + HEX
    assert len(longest) == 89
    assert parse_cid(longest).codec == 2**63 - 1
    hostile = "z" + "z" * 20_000_000  # base58 of this would take hours
    start = time.perf_counter()
    with pytest.raises(BadData) as caught:
        parse_cid(hostile)
    assert time.perf_counter() - start < 1
    assert len(caught.value.message) < 400


def test_what_it_says_about_a_text_is_safe_to_show() -> None:
    with pytest.raises(BadData) as caught:
        parse_cid("\x1b[2J\u202eevil")
    assert caught.value.message.isprintable()
    assert caught.value.message.isascii()


@given(st.one_of(st.text(), st.text(alphabet=BASE58, max_size=50).map(lambda rest: "Qm" + rest)))
@example("b")
@example("f0")
def test_any_text_is_a_cid_or_bad_data(text: str) -> None:
    try:
        cid = parse_cid(text)
    except BadData:
        return
    assert parse_cid(cid.text) == cid


@given(st.sampled_from([*KUBO.values(), V0]), st.data())
def test_any_changed_character_is_refused_or_names_another_block(text: str, data: st.DataObject) -> None:
    """Also proves that a base has one text for a CID: no change can give the same one."""
    at = data.draw(st.integers(1, len(text) - 1))
    char = data.draw(st.characters(max_codepoint=0x17F).filter(lambda char: char != text[at]))
    changed = text[:at] + char + text[at + 1 :]
    try:
        cid = parse_cid(changed)
    except BadData:
        return
    assert cid != parse_cid(text)


binary_cids = st.builds(lambda codec, digest: Cid(codec, digest).binary, codecs, digests)
headers = st.sampled_from([b"", *map(bytes.fromhex, ("1220", "01551220", "01701220", "01f0001220"))])
near_cids = st.tuples(headers, st.binary(max_size=40)).map(b"".join)


@given(st.one_of(st.binary(max_size=80), near_cids, binary_cids))
def test_any_bytes_are_a_cid_or_bad_data(binary: bytes) -> None:
    try:
        cid = parse_binary_cid(binary)
    except BadData:
        return
    assert binary == (cid.binary if cid.version == 1 else b"\x12\x20" + cid.digest)


@given(binary_cids, st.binary(min_size=1, max_size=4))
def test_bytes_before_or_behind_are_refused(binary: bytes, more: bytes) -> None:
    with pytest.raises(BadData):
        parse_binary_cid(binary + more)
    with pytest.raises(BadData):
        parse_binary_cid(binary[:-1])


@given(st.integers(0, 2**64))
def test_a_varint_is_minimal_and_complete(number: int) -> None:
    written = varint(number)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(written)) == number
    assert [byte >= 0x80 for byte in written] == [True] * (len(written) - 1) + [False]
    assert len(written) == max(1, -(-number.bit_length() // 7))


@pytest.mark.parametrize(
    ("codec", "digest", "version"),
    [(RAW, b"short", 1), (-1, DIGEST, 1), (2**63, DIGEST, 1), (RAW, DIGEST, 0), (RAW, DIGEST, 2)],
)
def test_a_cid_that_cannot_be_is_a_bug(codec: int, digest: bytes, version: int) -> None:
    with pytest.raises(ValueError, match="a CID has"):
        Cid(codec, digest, version)


def test_a_cid_cannot_be_changed() -> None:
    cid = cid_of(b"", RAW)
    with pytest.raises(AttributeError):
        cid.codec = DAG_PB  # type: ignore[misc]
    assert not hasattr(cid, "__dict__")
    assert cid.digest == hashlib.sha256(b"").digest()
