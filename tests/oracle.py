"""An independent oracle of the trust rules: plain, slow, and meant to be read beside the rules' text.

Written from ``doichain.md``, ``trust-model.md`` and ``formats.md`` alone, for differential testing of
``doitrust``; it shares no code with it.  The numbers (S1, O3, M2, C4 ...) are those of ``trust-model.md``.
Where the text allows more than one reading the place is marked ``AMBIGUOUS:`` with the reading taken and the
others.

What is not known (a missing list, a previous transaction that is absent, a damaged witness) is handled by
trying every possible world: each world is judged as if everything were known, and only what all worlds agree
on is said.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import coincurve
from btclib import var_int
from btclib.hashes import hash160
from btclib.script.engine import ScriptFlag, verify_input
from btclib.script.sig_hash import legacy, segwit_v0
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut

NAME_VERSION = 0x7100
MAX_VALUE = 520
MAX_LIST_BYTES = 4 * 1024 * 1024
MAX_LIST_MEMBERS = 20_000
MAX_NESTING = 8
MAX_TX_SIZE, MAX_TX_INPUTS, MAX_TX_OUTPUTS = 20_000, 16, 32
REPLACEMENT_FACTOR = 24
MAX_WORLDS = 200_000
SIGHASH_ALL = 1
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CONSENSUS = (
    ScriptFlag.P2SH
    | ScriptFlag.DERSIG
    | ScriptFlag.NULLDUMMY
    | ScriptFlag.CHECKLOCKTIMEVERIFY
    | ScriptFlag.CHECKSEQUENCEVERIFY
    | ScriptFlag.WITNESS
)


@dataclass(frozen=True)
class Network:
    """What differs between the networks, as far as a verdict depends on it."""

    hrp: str
    p2sh_version: int
    segwit_height: int


REGTEST = Network("ncrt", 196, 0)


@dataclass
class Pin:
    """An accepted organisation (O2): its name and its segments (root txid, last txid or None)."""

    name: str
    segments: list[tuple[str, str | None]]


@dataclass
class OracleVerdict:
    """What ``judge_chain`` says of one meter.

    ``organization`` and ``txid`` are those of the certificate or revocation that decides (or of the
    certificate that waits, for ``unconfirmed``).  ``organizations`` gives the state of each accepted
    organisation: ``trusted``, ``revoked``, ``unconfirmed``, ``none`` or ``undetermined``.
    """

    status: str
    reason: str | None = None
    organization: str | None = None
    txid: str | None = None
    contested: bool = False
    foreign_writes: int = 0
    replacement_pending: bool = False
    organizations: dict[str, str] = field(default_factory=dict)


class Malformed(ValueError):
    """A record or list that breaks the strict rules of formats.md."""


# --------------------------------------------------------------------------------------------------
# Strict JSON, records, member lists (formats.md)
# --------------------------------------------------------------------------------------------------


def strict_json(data: bytes) -> dict[str, Any]:
    """Read one JSON object strictly, as formats.md says."""

    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise Malformed("duplicate key")
        return dict(pairs)

    def no_constant(token: str) -> Any:
        raise Malformed(f"{token} is no JSON")

    def integer(digits: str) -> int:
        # Python refuses more than 4300 digits; such a number is still an integer, only its size matters to us
        if len(digits) > 4000:
            return -(10**4000) if digits.startswith("-") else 10**4000
        return int(digits)

    try:
        text = data.decode("utf-8")
        if text.startswith("\ufeff"):
            raise Malformed("byte order mark")
        # AMBIGUOUS: JSON white space around the object is taken as part of JSON (alternative: refused).
        # AMBIGUOUS: a number like 1e999, which Python reads as infinite, is a number (alternative: Infinity,
        # refused).
        value = json.loads(
            text, object_pairs_hook=no_duplicates, parse_constant=no_constant, parse_int=integer
        )
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error
    if not isinstance(value, dict):
        raise Malformed("not an object")
    _check_json(value, 1)
    return value


def _check_json(value: Any, depth: int) -> None:
    """Refuse lone surrogates and containers nested deeper than 8; a scalar has no depth of its own."""
    if isinstance(value, str):
        if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
            raise Malformed("lone surrogate")
    elif isinstance(value, (dict, list)):
        if depth > MAX_NESTING:
            raise Malformed("nested too deep")
        if isinstance(value, dict):
            for key in value:
                _check_json(key, depth)
            value = list(value.values())
        for item in value:
            _check_json(item, depth + 1)


@dataclass(frozen=True)
class Certificate:
    """A well-formed certificate record."""

    org: str
    node: str
    client: str
    ms: str
    after: str | None


@dataclass(frozen=True)
class Revocation:
    """A well-formed revocation record."""

    org: str


Record = Certificate | Revocation

# AMBIGUOUS: the text says «66 lower-case hex» of node and client. Taken: 66 lower-case hex digits that begin
# with 02 or 03 (the form of a compressed key), not tested against the curve. Alternatives: any 66 hex digits;
# on the curve.
CERTIFIED_KEY = re.compile(r"0[23][0-9a-f]{64}")
# AMBIGUOUS: «valid key» of a member: 02 or 03 and 64 hex digits, not tested against the curve (a key off the
# curve can't sign, so the alternative changes no verdict).
MEMBER_KEY = re.compile(r"0[23][0-9a-fA-F]{64}")


def parse_record(value: bytes) -> Record:
    """Read the value of bp/<meter> (C1); Malformed unless it is a well-formed certificate or revocation."""
    # AMBIGUOUS: «at most 520 bytes» stands at the certificate record as «value of bp/<meter>»; taken for
    # revocations too.
    if len(value) > MAX_VALUE:
        raise Malformed("over 520 bytes")
    fields = strict_json(value)

    def text(name: str) -> str:
        if not isinstance(fields.get(name), str):
            raise Malformed(f"{name}: not a string")
        return str(fields[name])

    if type(fields.get("v")) is not int or fields["v"] != 1:
        raise Malformed("v: not the integer 1")
    org = text("org")
    if "revoked" in fields:
        # «`revoked` makes it a revocation, whatever else it holds»: the other fields are not looked at.
        # AMBIGUOUS: `revoked` that is no string (null too) is a malformed revocation (alternatives: any form
        # revokes, as in member lists; null counts as absent).
        text("revoked")
        return Revocation(org)
    node, client, ms = text("node"), text("client"), text("ms")
    if not CERTIFIED_KEY.fullmatch(node) or not CERTIFIED_KEY.fullmatch(client):
        raise Malformed("node or client: no key")
    if node == client:
        raise Malformed("node and client are equal")
    return Certificate(org, node, client, ms, _optional_fields(fields))


def _optional_fields(fields: dict[str, Any]) -> str | None:
    """Check seal, doc and after where they are there; gives `after`.

    AMBIGUOUS: an optional field that is null is «there in another type», so malformed (alternative: absent).
    """
    if "seal" in fields:
        # AMBIGUOUS: an array of any number of strings, the empty array included.
        seal = fields["seal"]
        if not isinstance(seal, list) or not all(isinstance(item, str) for item in seal):
            raise Malformed("seal: not an array of strings")
    if "doc" in fields:
        # AMBIGUOUS: «form» of doc: a CID of a kind we read (alternatives: any CID; any string).
        doc = fields["doc"]
        if not isinstance(doc, str) or parse_cid(doc) is None:
            raise Malformed("doc: no CID")
    if "after" in fields:
        after = fields["after"]
        if not isinstance(after, str) or not re.fullmatch(r"[0-9a-f]{16,64}", after):
            raise Malformed("after: no txid prefix")
        return after
    return None


@dataclass(frozen=True)
class Entry:
    """What a list says of a key it has: withdrawals as (height, voids_revocations), or a reinstatement."""

    withdrawals: tuple[tuple[int, bool], ...] = ()
    reinstated: bool = False


@functools.lru_cache
def parse_member_list(data: bytes) -> dict[str, Entry]:
    """Read a member list that was had; an invalid one is an empty list."""
    try:
        return _parse_member_list(data)
    except Malformed:
        return {}


def _parse_member_list(data: bytes) -> dict[str, Entry]:
    if len(data) > MAX_LIST_BYTES:
        raise Malformed("over 4 MiB")
    # AMBIGUOUS: white space before the first byte: JSON's (space, tab, CR, LF); with others (VT, FF) both
    # readings end in an invalid list.
    if data.lstrip(b" \t\r\n").startswith(b"{"):
        return _parse_json_list(data)
    return _parse_text_list(data)


def _parse_text_list(data: bytes) -> dict[str, Entry]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
    entries: dict[str, Entry] = {}
    keys = 0
    # AMBIGUOUS: lines end in LF or CR LF, and nothing is stripped (alternatives: LF alone, so that a CR LF
    # list is invalid; any line end of Unicode; white space around a line ignored).
    for line in re.split("\r?\n", text):
        # AMBIGUOUS: «# …»: a line that begins with # (alternative: # and a space).
        if line == "" or line.startswith("#"):
            continue
        if not re.fullmatch("[0-9a-fA-F]{66}", line):
            raise Malformed("a line that is no key")
        keys += 1
        # 66 hex digits that are no valid key: the entry is ignored, the list is valid
        if MEMBER_KEY.fullmatch(line):
            entries[line.lower()] = Entry()
    if keys > MAX_LIST_MEMBERS:
        raise Malformed("over 20,000 members")
    return entries


def _parse_json_list(data: bytes) -> dict[str, Entry]:
    fields = strict_json(data)
    if fields.get("format") != "doitrust-members/1":
        raise Malformed("another format")
    members = fields.get("members")
    if not isinstance(members, list):
        raise Malformed("members: not an array")
    # AMBIGUOUS: «over 20,000 members» counts the entries of the array, invalid and repeated ones too
    # (alternative: distinct valid keys).
    if len(members) > MAX_LIST_MEMBERS:
        raise Malformed("over 20,000 members")
    entries: dict[str, Entry] = {}
    for member in members:
        if not isinstance(member, dict):
            continue
        key = member.get("key")
        if not isinstance(key, str) or not MEMBER_KEY.fullmatch(key):
            continue
        key = key.lower()
        before = entries.get(key, Entry())
        # AMBIGUOUS: a key listed twice: all its `revoked` entries hold together, and one `reinstated` is
        # enough where none is revoked (alternatives: the first or the last `revoked` entry only).
        withdrawals = before.withdrawals
        if member.get("revoked") is not None:
            withdrawals = (*withdrawals, _withdrawal(member["revoked"]))
        reinstated = (before.reinstated or member.get("reinstated") is True) and not withdrawals
        entries[key] = Entry(withdrawals, reinstated)
    return entries


def _withdrawal(revoked: Any) -> tuple[int, bool]:
    """M2: present and not null withdraws, whatever its form; the height is 0 unless it is an integer >= 0."""
    if not isinstance(revoked, dict):
        return 0, False
    height = revoked.get("height")
    # AMBIGUOUS: 480.0 and 4.8e2 are not integers here, as with `v` (alternative: their value is one). true is
    # none.
    if type(height) is not int or height < 0:
        height = 0
    return height, revoked.get("voids_revocations") is True


# --------------------------------------------------------------------------------------------------
# CIDs and addresses
# --------------------------------------------------------------------------------------------------

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# AMBIGUOUS: «any CIDv1»: in any usual multibase, spelled canonically (alternatives: base32 only; base32 and
# base58).
MULTIBASES = {
    "b": BASE32,
    "B": BASE32.upper(),
    "z": BASE58,
    "f": "0123456789abcdef",
    "F": "0123456789ABCDEF",
    "k": BASE36,
    "K": BASE36.upper(),
    "m": BASE64,
    "u": BASE64[:62] + "-_",
}
RAW, DAG_PB = 0x55, 0x70


def _decode_base(text: str, alphabet: str) -> bytes | None:
    if not text or any(character not in alphabet for character in text):
        return None
    number = 0
    for character in text:
        number = number * len(alphabet) + alphabet.index(character)
    if len(alphabet) in (16, 32, 64):
        bits = len(text) * {16: 4, 32: 5, 64: 6}[len(alphabet)]
        spare = bits % 8
        if spare >= {16: 4, 32: 5, 64: 6}[len(alphabet)] or number & ((1 << spare) - 1):
            return None
        return (number >> spare).to_bytes(bits // 8, "big")
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _encode_base32(data: bytes) -> str:
    bits = len(data) * 8
    number = int.from_bytes(data, "big") << (-bits % 5)
    length = (bits + 4) // 5
    return "".join(BASE32[number >> 5 * (length - 1 - i) & 31] for i in range(length))


def parse_cid(text: str) -> str | None:
    """Give the canonical text (CIDv1, base32) of a CID of a kind we read, or None (O5)."""
    if len(text) == 46 and text.startswith("Qm"):
        binary = _decode_base(text, BASE58)
        if binary is None or len(binary) != 34 or binary[:2] != b"\x12\x20":
            return None
        binary = bytes([1, DAG_PB]) + binary
    else:
        alphabet = MULTIBASES.get(text[:1])
        binary = _decode_base(text[1:], alphabet) if alphabet else None
        # AMBIGUOUS: codecs other than raw and dag-pb can never be a file, so they are read as «no CID of a
        # kind we read», an empty list (alternative: missing where the block can't be had).
        if binary is None or len(binary) != 36 or binary[0] != 1 or binary[1] not in (RAW, DAG_PB):
            return None
        if binary[2:4] != b"\x12\x20":
            return None
    return "b" + _encode_base32(binary)


def _cid_of_value(value: bytes) -> str | None:
    try:
        return parse_cid(value.decode("ascii"))
    except UnicodeDecodeError:
        return None


def _bech32(hrp: str, program: bytes) -> str:
    """BIP173 address of a version 0 witness program."""
    number, groups = int.from_bytes(program, "big"), (len(program) * 8 + 4) // 5
    number <<= -len(program) * 8 % 5
    data = [0] + [number >> 5 * (groups - 1 - i) & 31 for i in range(groups)]
    checksum = 1
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    for value in [*expanded, *data, 0, 0, 0, 0, 0, 0]:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> i & 1:
                checksum ^= generator
    checksum ^= 1
    data += [checksum >> 5 * (5 - i) & 31 for i in range(6)]
    return hrp + "1" + "".join("qpzry9x8gf2tvdw0s3jn54khce6mua7l"[value] for value in data)


def _base58check(version: int, payload: bytes) -> str:
    data = bytes([version]) + payload
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def multisig_addresses(node: str, client: str, network: Network) -> set[str]:
    """The three spellings of the 1-of-2 of two keys, sorted (BIP67): P2WSH, P2SH, P2SH-P2WSH."""
    first, second = sorted([bytes.fromhex(node), bytes.fromhex(client)])
    script = b"\x51\x21" + first + b"\x21" + second + b"\x52\xae"
    program = hashlib.sha256(script).digest()
    return {
        _bech32(network.hrp, program),
        _base58check(network.p2sh_version, hash160(script)),
        _base58check(network.p2sh_version, hash160(b"\x00\x20" + program)),
    }


# --------------------------------------------------------------------------------------------------
# Scripts and blocks
# --------------------------------------------------------------------------------------------------


def split_name_output(script: bytes) -> tuple[bytes, bytes, bytes] | None:
    """(name, value, address script) of an output in canonical form, else None."""
    if script[:1] != b"\x5a":
        return None
    position, pushed = 1, []
    for _ in range(2):
        push = _shortest_push(script, position)
        if push is None:
            return None
        data, position = push
        pushed.append(data)
    if script[position : position + 2] != b"\x6d\x75":
        return None
    # AMBIGUOUS: whatever follows 6d 75 is the address script, of any form (O3 knows owner scripts of other
    # forms): also an empty one, or one that begins with the OP_NOP/OP_DROP that the node would skip
    # (alternatives: such a write, or any whose address script is not one of the four ordinary types, is
    # foreign).
    return pushed[0], pushed[1], script[position + 2 :]


def _shortest_push(script: bytes, position: int) -> tuple[bytes, int] | None:
    """Read a push of n bytes in the one form that doichain.md gives for n.

    AMBIGUOUS: one byte of 1 to 16 is pushed as 01 xx, as doichain.md says (alternative: OP_1 .. OP_16,
    BIP62's shortest, which the node doesn't take for a name's argument).
    """
    opcode = script[position : position + 1]
    if not opcode:
        return None
    if opcode[0] <= 75:
        start, length, least = position + 1, opcode[0], 0
    elif opcode[0] == 0x4C:
        start, length, least = position + 2, int.from_bytes(script[position + 1 : position + 2], "little"), 76
    elif opcode[0] == 0x4D:
        start, length, least = (
            position + 3,
            int.from_bytes(script[position + 1 : position + 3], "little"),
            256,
        )
    else:
        return None
    if length < least or start + length > len(script):
        return None
    return script[start : start + length], start + length


def script_type(script: bytes) -> str | None:
    """The ordinary type of an address script."""
    if len(script) == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return "p2pkh"
    if len(script) == 23 and script[:2] == b"\xa9\x14" and script[22:] == b"\x87":
        return "p2sh"
    if len(script) == 22 and script[:2] == b"\x00\x14":
        return "p2wpkh"
    if len(script) == 34 and script[:2] == b"\x00\x20":
        return "p2wsh"
    return None


def _run_pushes(script: bytes) -> list[bytes] | None:
    """The stack a scriptSig leaves (S3): OP_NOP skipped, any other non-push or a cut push gives None."""
    stack: list[bytes] = []
    position = 0
    while position < len(script):
        opcode = script[position]
        position += 1
        if opcode == 0x61:
            continue
        if 0x51 <= opcode <= 0x60:
            stack.append(bytes([opcode - 0x50]))
            continue
        if opcode == 0x4F:
            stack.append(b"\x81")
            continue
        if opcode <= 75:
            length = opcode
        elif opcode in (0x4C, 0x4D, 0x4E):
            width = {0x4C: 1, 0x4D: 2, 0x4E: 4}[opcode]
            if position + width > len(script):
                return None
            length = int.from_bytes(script[position : position + width], "little")
            position += width
        else:
            return None
        if position + length > len(script):
            return None
        stack.append(script[position : position + length])
        position += length
    return stack


def _multisig_template(script: bytes, most: int) -> tuple[int, list[bytes]] | None:
    """S2: m and the keys of exactly OP_m (33-byte compressed key)×n OP_n OP_CHECKMULTISIG, else None."""
    count = (len(script) - 3) // 34
    if not 1 <= count <= most or len(script) != 3 + 34 * count:
        return None
    m = script[0] - 0x50
    if not 1 <= m <= count or script[-2] != 0x50 + count or script[-1] != 0xAE:
        return None
    keys = []
    for i in range(count):
        push = script[1 + 34 * i : 35 + 34 * i]
        # AMBIGUOUS: «compressed key»: first byte 02 or 03, not tested against the curve (alternative: on the
        # curve).
        if push[0] != 33 or push[1] not in (2, 3):
            return None
        keys.append(push[1:])
    return (m, keys) if len(set(keys)) == count else None


@dataclass(frozen=True, eq=False)
class Write:
    """One write of a name."""

    value: bytes
    owner: bytes
    txid: str
    tx: Tx
    height: int
    order: tuple[int, int, int]


class Chain:
    """The blocks parsed once: every transaction at its first occurrence, and the writes of every name."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self.tip = len(blocks) - 1
        self.transactions: dict[str, Tx] = {}
        self.writes: dict[bytes, list[Write]] = {}
        self.signers: dict[tuple[str, Network], list[Input]] = {}
        for height, block in enumerate(blocks):
            for position, tx in enumerate(_parse_block(block)):
                txid = tx.id.hex()
                if txid in self.transactions:
                    continue
                self.transactions[txid] = tx
                for name, write in _writes_of(tx, txid, height, position):
                    self.writes.setdefault(name, []).append(write)


def _parse_block(block: bytes) -> list[Tx]:
    stream = io.BytesIO(block)
    header = stream.read(80)
    if int.from_bytes(header[:4], "little") & 0x100:
        Tx.parse_without_witness(stream, check_validity=False)
        stream.read(32)
        for _ in range(2):
            stream.read(32 * var_int.parse(stream))
            stream.read(4)
        stream.read(80)
    transactions = [Tx.parse(stream, check_validity=False) for _ in range(var_int.parse(stream))]
    if stream.read():
        raise ValueError("bytes after the block")
    return transactions


def _writes_of(tx: Tx, txid: str, height: int, position: int) -> list[tuple[bytes, Write]]:
    """The canonical writes of a transaction that is within L1."""
    if tx.is_coinbase or tx.version != NAME_VERSION or not _within_limits(tx):
        return []
    writes = []
    for i, output in enumerate(tx.vout):
        parts = split_name_output(output.script_pub_key.script)
        if parts is not None:
            name, value, owner = parts
            writes.append((name, Write(value, owner, txid, tx, height, (height, position, i))))
    return writes


def _within_limits(tx: Tx) -> bool:
    """L1, for records and organisations alike ('larger is as if absent').

    AMBIGUOUS: «counted without scriptSigs and witnesses»: the txid's serialisation with every scriptSig
    empty, its length byte 00 still counted (alternative: the length byte not counted either).
    """
    counts = len(var_int.serialize(len(tx.vin))) + len(var_int.serialize(len(tx.vout)))
    size = 4 + counts + 41 * len(tx.vin) + 4
    size += sum(len(output.serialize(check_validity=False)) for output in tx.vout)
    return size <= MAX_TX_SIZE and len(tx.vin) <= MAX_TX_INPUTS and len(tx.vout) <= MAX_TX_OUTPUTS


# --------------------------------------------------------------------------------------------------
# Signers (S1 to S5)
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signed:
    """Who signed an input: the address script (if every signature is ALL), and the key where one signs."""

    script: bytes | None = None
    key: str | None = None
    sighash_all: bool = False


NOBODY = Signed()


@dataclass(frozen=True)
class Unknown:
    """An input whose signer can't be known: `kind` is a reason of undetermined.

    ``script`` is the address script that was spent where that is known, and ``keys`` the only keys that could
    have signed; None where any key could.  ``single`` is false where more than one signature is needed.
    """

    kind: str
    script: bytes | None = None
    key_hash: bytes | None = None
    keys: tuple[str, ...] | None = None
    single: bool = True


Input = Signed | Unknown
SighashOf = Callable[[int], bytes]


def input_signer(tx: Tx, index: int, previous: Tx | None, height: int, network: Network) -> Input:
    """Judge one input by S1 to S5."""
    if previous is None:
        return Unknown("transaction_missing")
    number = tx.vin[index].prev_out.vout
    if number >= len(previous.vout):
        return NOBODY
    spend = Spend(tx, index, previous.vout[number], height >= network.segwit_height)
    try:
        return _signer_of_spend(spend)
    except Exception:  # noqa: BLE001 «A failure while judging one write makes that write malformed or nobody's»
        return NOBODY


@dataclass(frozen=True, eq=False)
class Spend:
    """One input and the output it spends."""

    tx: Tx
    index: int
    output: TxOut
    segwit: bool

    @property
    def whole(self) -> bytes:
        """The whole script of the output."""
        return self.output.script_pub_key.script

    @property
    def script(self) -> bytes:
        """Its address script.

        AMBIGUOUS: the prefix is stripped whatever the version of the previous transaction (a coinbase may
        write names in any version; alternative: only where that transaction has version 0x7100).
        """
        name = split_name_output(self.whole)
        return name[2] if name else self.whole

    @property
    def witness(self) -> list[bytes]:
        return list(self.tx.vin[self.index].script_witness.stack)

    def pushes(self) -> list[bytes] | None:
        return _run_pushes(self.tx.vin[self.index].script_sig)

    def legacy_hash(self, script_code: bytes) -> SighashOf:
        return lambda sighash: legacy(script_code, self.tx, self.index, sighash)

    def segwit_hash(self, script_code: bytes) -> SighashOf:
        return lambda sighash: segwit_v0(script_code, self.tx, self.index, sighash, self.output.value)

    def is_valid(self) -> bool:
        """S5: whether consensus accepts this segwit spend, by btclib's engine; a name's prefix aside."""
        output = TxOut(self.output.value, self.script, check_validity=False)
        try:
            verify_input([output] * len(self.tx.vin), self.tx, self.index, CONSENSUS)
        except ValueError:
            return False
        return True


def _signer_of_spend(spend: Spend) -> Input:
    """S2: which of the supported types is it?"""
    kind = script_type(spend.script)
    if kind == "p2pkh":
        return _signer_of_p2pkh(spend)
    if kind == "p2wpkh":
        return _signer_of_p2wpkh(spend, spend.script[2:])
    if kind == "p2wsh":
        return _signer_of_p2wsh(spend, spend.script[2:])
    if kind == "p2sh":
        stack = spend.pushes()
        if not stack or hash160(stack[-1]) != spend.script[2:22]:
            return NOBODY
        redeem = stack[-1]
        if script_type(redeem) == "p2wpkh":
            return _signer_of_p2wpkh(spend, redeem[2:])
        if script_type(redeem) == "p2wsh":
            return _signer_of_p2wsh(spend, redeem[2:])
        template = _multisig_template(redeem, 15)
        return _multisig(spend.script, template, stack[:-1], spend.legacy_hash(redeem))
    return NOBODY


def _signer_of_p2pkh(spend: Spend) -> Input:
    stack = spend.pushes()
    if stack is None or len(stack) < 2 or hash160(stack[-1]) != spend.script[3:23]:
        return NOBODY
    # the script code of a legacy P2PKH name output is the whole script, prefix included
    return _one_signature(spend.script, stack[-2], stack[-1], spend.legacy_hash(spend.whole))


def _signer_of_p2wpkh(spend: Spend, key_hash: bytes) -> Input:
    if not spend.is_valid():
        return Unknown("bad_data", spend.script, key_hash) if spend.segwit else NOBODY
    signature, key = spend.witness
    script_code = b"\x76\xa9\x14" + key_hash + b"\x88\xac"
    return _one_signature(spend.script, signature, key, spend.segwit_hash(script_code))


def _signer_of_p2wsh(spend: Spend, script_hash: bytes) -> Input:
    witness = spend.witness
    # AMBIGUOUS: a witness script that doesn't hash to the program can't be in the chain, whatever it is: bad
    # data (alternative: not «exactly OP_m ...», so no supported type, so nobody).
    if not witness or hashlib.sha256(witness[-1]).digest() != script_hash:
        return Unknown("bad_data", spend.script) if spend.segwit else NOBODY
    template = _multisig_template(witness[-1], 16)
    if template is None:
        return NOBODY
    if not spend.is_valid():
        m, keys = template
        known = tuple(key.hex() for key in keys)
        return Unknown("bad_data", spend.script, None, known, m == 1) if spend.segwit else NOBODY
    return _multisig(spend.script, template, witness[:-1], spend.segwit_hash(witness[-1]))


def _one_signature(script: bytes, signature: bytes, key: bytes, sighash: SighashOf) -> Signed:
    if not _verifies(signature, key, sighash):
        return NOBODY
    sighash_all = signature[-1] == SIGHASH_ALL
    return Signed(script if sighash_all else None, key.hex(), sighash_all)


def _multisig(
    script: bytes,
    template: tuple[int, list[bytes]] | None,
    elements: list[bytes],
    sighash: SighashOf,
) -> Signed:
    """OP_CHECKMULTISIG: signatures in the order of their keys, matched from the last to the first."""
    if template is None or len(elements) < template[0]:
        return NOBODY
    m, keys = template
    signatures = elements[-m:]
    left = list(keys)
    signed_by: list[bytes] = []
    for signature in reversed(signatures):
        while left:
            key = left.pop()
            if _verifies(signature, key, sighash):
                signed_by.append(key)
                break
        else:
            return NOBODY
    sighash_all = all(signature[-1] == SIGHASH_ALL for signature in signatures)
    return Signed(script if sighash_all else None, signed_by[0].hex() if m == 1 else None, sighash_all)


def _verifies(signature: bytes, key: bytes, sighash: SighashOf) -> bool:
    """S4: strict DER, high S accepted, a key of 33 bytes."""
    if len(key) != 33 or key[0] not in (2, 3):
        return False
    numbers = parse_strict_der(signature)
    if numbers is None:
        return False
    r, s = numbers
    if not 0 < r < CURVE_ORDER or not 0 < s < CURVE_ORDER:
        return False
    s = min(s, CURVE_ORDER - s)
    try:
        return coincurve.PublicKey(key).verify(_der(r, s), sighash(signature[-1]), hasher=None)
    except ValueError:
        return False


def parse_strict_der(signature: bytes) -> tuple[int, int] | None:
    """(r, s) of a signature with its sighash byte in the encoding of BIP66, else None."""
    if not 9 <= len(signature) <= 73 or signature[0] != 0x30 or signature[1] != len(signature) - 3:
        return None
    numbers, position = [], 2
    for _ in range(2):
        if signature[position : position + 1] != b"\x02" or position + 1 >= len(signature) - 1:
            return None
        length = signature[position + 1]
        start, end = position + 2, position + 2 + length
        if length == 0 or end > len(signature) - 1 or signature[start] & 0x80:
            return None
        if length > 1 and signature[start] == 0 and not signature[start + 1] & 0x80:
            return None
        numbers.append(int.from_bytes(signature[start:end], "big"))
        position = end
    return (numbers[0], numbers[1]) if position == len(signature) - 1 else None


def _der(r: int, s: int) -> bytes:
    body = b""
    for number in (r, s):
        data = number.to_bytes(number.bit_length() // 8 + 1, "big")
        body += bytes([2, len(data)]) + data
    return bytes([0x30, len(body)]) + body


# --------------------------------------------------------------------------------------------------
# Possible worlds
# --------------------------------------------------------------------------------------------------


class World:
    """One way the unknown could be: the answers to the questions asked, in the order of asking.

    The first option of every question is what an empty list or nobody's signature would give; a world in
    which every answer is the first option is the base world.
    """

    def __init__(self, path: Sequence[int], only: str | None) -> None:
        self.path = path
        self.only = only
        self.trail: list[tuple[int, int]] = []
        self.answers: dict[Any, Any] = {}
        self.kinds: set[str] = set()

    def choose(self, kind: str, question: Any, options: Sequence[Any]) -> Any:
        """Answer a question; the same one always in the same way."""
        if self.only is not None and kind != self.only:
            return options[0]
        if question not in self.answers:
            number = len(self.trail)
            pick = self.path[number] if number < len(self.path) else 0
            self.trail.append((pick, len(options)))
            self.answers[question] = options[pick]
            self.kinds.add(kind)
        return self.answers[question]


def _every_world(run: Callable[[World], OrgState], only: str | None) -> Iterator[tuple[World, OrgState]]:
    """Run once for each combination of answers, the base world first."""
    path: list[int] = []
    for _ in range(MAX_WORLDS):
        world = World(path, only)
        yield world, run(world)
        trail = world.trail
        while trail and trail[-1][0] + 1 == trail[-1][1]:
            trail.pop()
        if not trail:
            return
        path = [pick for pick, _ in trail]
        path[-1] += 1
    raise RuntimeError("too many possible worlds for the oracle")


# --------------------------------------------------------------------------------------------------
# The judge
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A write of an organisation's timeline: its list's CID (None: an empty list) and the owner after it."""

    write: Write
    cid: str | None
    owner: bytes | None


@dataclass(frozen=True)
class Standing:
    """A certificate or revocation that counts."""

    write: Write
    record: Record
    key: str | None
    by_owner: bool

    @property
    def pair(self) -> tuple[str, str]:
        """The node and client a certificate names."""
        return (self.record.node, self.record.client) if isinstance(self.record, Certificate) else ("", "")


@dataclass
class OrgState:
    """What one organisation says of the meter, in one world."""

    kind: str = "none"
    deciding: Standing | None = None
    pending: bool = False
    settled: set[Write] = field(default_factory=set)
    reasons: dict[Write, str] = field(default_factory=dict)

    def outcome(self) -> tuple[str, str, str]:
        """What must agree between worlds.

        AMBIGUOUS: «only what could change the verdict»: the kind, and for a certificate the node and client
        it names, but not its txid (alternatives: the status alone; the deciding txid too).
        """
        if self.kind == "trusted" and self.deciding is not None:
            return (self.kind, *self.deciding.pair)
        return self.kind, "", ""


class _Judge:
    """One meter of one chain, under one policy."""

    def __init__(
        self,
        chain: Chain,
        lists: Mapping[str, bytes],
        pins: Sequence[Pin],
        meter: str,
        *,
        network: Network,
        min_confirmations: int,
        mempool: Sequence[bytes],
    ) -> None:
        self.chain = chain
        self.network = network
        self.min_confirmations = min_confirmations
        self.lists = {parse_cid(cid) or cid: parse_member_list(data) for cid, data in lists.items()}
        # accepting again replaces the pin and keeps its rank (O2); a dict does just that
        self.pins = {pin.name: pin for pin in pins}
        self.waiting = self._read_mempool(mempool)
        name = b"bp/" + meter.encode()
        self.writes = list(chain.writes.get(name, []))
        for number, (txid, tx) in enumerate(self.waiting.items()):
            # AMBIGUOUS: a mempool transaction is a write only if its value is a well-formed revocation; then
            # it is one for C5, foreign_writes and the last reason too. The mempool's order is the one given
            # (alternatives: only revocations that count are writes; any value with `revoked`).
            for written, write in _writes_of(tx, txid, chain.tip + 1, number):
                if written == name and _is_revocation(write.value):
                    self.writes.append(write)

    def _read_mempool(self, mempool: Sequence[bytes]) -> dict[str, Tx]:
        transactions = {}
        for raw in mempool:
            tx = Tx.parse(raw, check_validity=False)
            txid = tx.id.hex()
            if txid not in self.chain.transactions:
                transactions[txid] = tx
        return transactions

    # -- signers --

    def inputs(self, write: Write) -> list[Input]:
        """Who signed each input, or that it can't be known."""
        cache = self.chain.signers
        if (write.txid, self.network) in cache and write.txid in self.chain.transactions:
            return cache[write.txid, self.network]
        signers = []
        for index, tx_in in enumerate(write.tx.vin):
            txid = tx_in.prev_out.tx_id.hex()
            previous = self.chain.transactions.get(txid) or self.waiting.get(txid)
            signers.append(input_signer(write.tx, index, previous, write.height, self.network))
        if write.txid in self.chain.transactions:
            cache[write.txid, self.network] = signers
        return signers

    def signers(self, write: Write, pin: Pin, world: World) -> list[Signed]:
        """The same in one world."""
        signers = []
        for index, signer in enumerate(self.inputs(write)):
            if isinstance(signer, Signed):
                signers.append(signer)
            else:
                options = self._possible_signers(signer, pin)
                signers.append(world.choose(signer.kind, (write.txid, index), options))
        return signers

    def _possible_signers(self, unknown: Unknown, pin: Pin) -> list[Signed]:
        """Nobody; an owner in one of the organisation's writes; a key of one of its lists, or of none."""
        writes = self.organization_writes(pin)
        scripts = sorted({write.owner for write in writes if script_type(write.owner)})
        cids = [_cid_of_value(write.value) for write in writes]
        keys = sorted({key for cid in cids if cid in self.lists for key in self.lists[cid]})
        if any(cid is not None and cid not in self.lists for cid in cids):
            keys.append("02" + "??" * 32)  # a key that only a missing list names
        if unknown.script is not None:
            scripts = [unknown.script]
        if unknown.key_hash is not None:
            keys = [key for key in keys if "?" in key or hash160(bytes.fromhex(key)) == unknown.key_hash]
        if unknown.keys is not None:
            keys = list(unknown.keys)
        if not unknown.single:
            keys = []
        possible = [NOBODY]
        possible += [Signed(script, None, True) for script in scripts]
        possible += [Signed(unknown.script, key, True) for key in keys]
        return possible

    # -- organisations (O1 to O5) --

    def organization_writes(self, pin: Pin) -> list[Write]:
        return self.chain.writes.get(b"bp_organization/" + pin.name.encode(), [])

    def accepted(self, pin: Pin) -> bool:
        return any(self._root(pin, root) is not None for root, _ in pin.segments)

    def _root(self, pin: Pin, root: str) -> Write | None:
        """The write a segment starts at.

        AMBIGUOUS: a root that is no canonical write of the name, isn't in the chain, or has too few
        confirmations (C6) is no root; a pin with no root left accepts nothing, so records naming it are
        organization_not_accepted (alternatives: C6's «can't be pinned» is no matter of the judge; an
        organisation without members).
        """
        for write in self.organization_writes(pin):
            if write.txid == root and self.confirmations(write) >= self.min_confirmations:
                return write
        return None

    def timeline(self, pin: Pin, world: World) -> list[Step]:
        """All writes of the organisation (O3, O4), of all segments.

        AMBIGUOUS: segments that overlap in the chain are merged in the order of the chain (alternative: in
        the order of the segments).
        """
        steps: list[Step] = []
        for root, until in pin.segments:
            steps += self._segment(pin, root, until, world)
        unique = {step.write.order: step for step in steps}
        return [unique[order] for order in sorted(unique)]

    def _segment(self, pin: Pin, root: str, until: str | None, world: World) -> list[Step]:
        first = self._root(pin, root)
        if first is None:
            return []
        owner: bytes | None = None
        steps: list[Step] = []
        for write in self.organization_writes(pin):
            if write.order < first.order:
                continue
            if write is first or owner in {s.script for s in self.signers(write, pin, world) if s.script}:
                # AMBIGUOUS: a root whose owner script is of no ordinary type leaves the timeline without an
                # owner
                if script_type(write.owner):
                    owner = write.owner
                steps.append(Step(write, _cid_of_value(write.value), owner))
            # AMBIGUOUS: the end is met at its place in the chain, whether or not it belongs to the segment;
            # an end that is never met (not in the chain, or before the root) ends nothing (alternative: such
            # a pin is void).
            if write.txid == until:
                break
        return steps

    # -- members (M1, M2) --

    def entry(self, cid: str | None, key: str, world: World) -> Entry | None:
        """What a list says of a key; of a missing list, what it says in this world."""
        if cid is None:
            return None
        if cid in self.lists:
            return self.lists[cid].get(key)
        heights = sorted({0} | {write.height + 1 for write in self.writes[:-1]})
        options: list[Entry | None] = [None, Entry(), Entry((), True)]
        options += [Entry(((height, voids),)) for height in heights for voids in (False, True)]
        chosen: Entry | None = world.choose("list_missing", (cid, key), options)
        return chosen

    def is_member(self, key: str, height: int, timeline: list[Step], world: World) -> bool:
        """M1, by the list in force at that height: whole heights, so in the same block too (O5)."""
        in_force = [step for step in timeline if step.write.height <= height]
        return bool(in_force) and self.entry(in_force[-1].cid, key, world) is not None

    def withdrawals(self, key: str, steps: list[Step], world: World) -> list[tuple[int, bool]]:
        """M2: every `revoked` entry, but those that a later list of these lifts."""
        active: list[tuple[int, bool]] = []
        for step in steps:
            entry = self.entry(step.cid, key, world)
            if entry is None:
                continue
            if entry.reinstated:
                active = []
            active += entry.withdrawals
        return active

    def certifier_withdrawn(self, key: str, height: int, timeline: list[Step], world: World) -> bool:
        """M2: in any list, earlier or later than the write."""
        return any(start <= height for start, _ in self.withdrawals(key, timeline, world))

    def revoker_withdrawn(self, key: str, height: int, timeline: list[Step], world: World) -> bool:
        """C3: by the lists up to that height alone; later ones only where they say voids_revocations.

        AMBIGUOUS: a later `reinstated` doesn't make the revocations of a then withdrawn member count
        («alone»; alternative: M2's «for all heights»). voids_revocations undoes from the entry's height on
        (alternative: all).
        """
        before = [step for step in timeline if step.write.height <= height]
        later = [step for step in timeline if step.write.height > height]
        if any(start <= height for start, _ in self.withdrawals(key, before, world)):
            return True
        return any(voids and start <= height for start, voids in self.withdrawals(key, later, world))

    # -- writes of the meter (C1 to C6) --

    def confirmations(self, write: Write) -> int:
        return self.chain.tip - write.height + 1

    def judge_write(
        self, write: Write, record: Record, pin: Pin, timeline: list[Step], world: World
    ) -> Standing | str:
        """C2 and C3 without `after`: what counts, or the reason why not."""
        signers = self.signers(write, pin, world)
        if isinstance(record, Revocation):
            # AMBIGUOUS: «the organisation's owner script at that height»: after all its writes up to and in
            # that block
            owners = [step.owner for step in timeline if step.write.height <= write.height]
            if owners and owners[-1] is not None and owners[-1] in {signer.script for signer in signers}:
                return Standing(write, record, None, True)
        keys = {signer.key for signer in signers}
        key = keys.pop() if len(keys) == 1 else None
        if key is None or not self.is_member(key, write.height, timeline, world):
            return "not_a_member"
        withdrawn = self.revoker_withdrawn if isinstance(record, Revocation) else self.certifier_withdrawn
        if withdrawn(key, write.height, timeline, world):
            return "member_revoked"
        if not all(signer.sighash_all for signer in signers):
            return "sighash_not_all"
        if isinstance(record, Certificate) and not self.address_is_right(record):
            return "multisig_mismatch"
        return Standing(write, record, key, False)

    def address_is_right(self, record: Certificate) -> bool:
        return record.ms in multisig_addresses(record.node, record.client, self.network)

    def judge_organization(self, pin: Pin, world: World) -> OrgState:
        """C4 and C6: the state of one organisation, over its own writes."""
        state = OrgState()
        standing: Standing | None = None  # the last certificate that took over, revoked or not
        revocation: Standing | None = None  # the last revocation
        decided = "none"
        waiting: Standing | None = None
        replacements: list[Standing] = []  # those that wait for the long time
        timeline = self.timeline(pin, world)
        for write in self.writes:
            record = _record(write.value)
            if record is None or record.org != pin.name:
                continue
            result = self.judge_write(write, record, pin, timeline, world)
            if isinstance(result, str):
                state.reasons[write] = result
                continue
            if isinstance(result.record, Revocation):
                state.settled.add(write)
                revocation, waiting, replacements = result, None, []
                decided, state.deciding = "revoked", result
                continue
            # AMBIGUOUS: «After a revocation only a certificate that names it counts»: any later one, also a
            # renewal of a certificate that lifted the revocation (alternative: only while the state is the
            # revocation).
            if revocation is not None and not _names(result.record, revocation):
                state.reasons[write] = "revoked"
                continue
            state.settled.add(write)
            # AMBIGUOUS: «last standing certificate» is, seen from the tip, the one before this in the chain
            # that has taken over by now (alternative: the one that stood when this was written, so that a
            # renewal by the old signer ends another's pending replacement at once).
            replaces = standing is not None and self.needs_long_wait(result, standing, revocation)
            needed = self.min_confirmations * (REPLACEMENT_FACTOR if replaces else 1)
            if self.confirmations(write) < needed:
                waiting = result
                replacements += [result] if replaces else []
                continue
            standing, waiting = result, None
            # one that would make this wait, once its own wait is over, is pending still
            replacements = [
                other for other in replacements if self.needs_long_wait(result, other, revocation)
            ]
            decided, state.deciding = "trusted", result
        state.kind = decided
        state.pending = bool(replacements)
        if decided == "none" and waiting is not None:
            # AMBIGUOUS: of several that wait the last is named
            state.kind, state.deciding = "unconfirmed", waiting
        return state

    def states(self, pin: Pin, only: str | None = None) -> Iterator[tuple[World, OrgState]]:
        """Its state in every world, the base world first; with `only`, unknown is no more than that."""
        return _every_world(lambda world: self.judge_organization(pin, world), only)

    def needs_long_wait(self, new: Standing, standing: Standing, revocation: Standing | None) -> bool:
        """C6: another node or client, another signer, and no revocation by the old signer or the owner."""
        if new.pair == standing.pair or new.key == standing.key:
            return False
        # AMBIGUOUS: the revocation named is the last that counts (a certificate that doesn't name it doesn't
        # count). One that was named and has since been undone by voids_revocations excepts nothing
        # (alternative: it does).
        if revocation is None:
            return True
        return not (revocation.by_owner or revocation.key == standing.key)

    # -- the verdict --

    def verdict(self, own_source: bool, max_writes: int) -> OracleVerdict:
        if len(self.writes) > max_writes:
            return OracleVerdict("undetermined", "flooded")
        pins = [pin for pin in self.pins.values() if self.accepted(pin)]
        base: dict[str, OrgState] = {}
        possible: dict[str, set[tuple[str, str, str]]] = {}
        for pin in pins:
            outcomes = set()
            for _, state in self.states(pin):
                base.setdefault(pin.name, state)
                outcomes.add(state.outcome())
            possible[pin.name] = outcomes

        verdict = self._decide(pins, base, possible)
        verdict.organizations = dict.fromkeys(self.pins, "none")
        for name, outcomes in possible.items():
            verdict.organizations[name] = base[name].kind if len(outcomes) == 1 else "undetermined"
        # AMBIGUOUS: a replacement that waits with any accepted organisation (alternative: with the deciding
        # one)
        verdict.replacement_pending = any(state.pending for state in base.values())
        self._count_others(verdict, pins, base)
        if verdict.status == "trusted" and not own_source:
            # AMBIGUOUS: single_source takes the place of trusted only (alternatives: of every verdict; or the
            # next verdict of the order that holds, revoked, where another organisation revoked)
            verdict.status, verdict.reason = "undetermined", "single_source"
            verdict.organization = verdict.txid = None
        return verdict

    def _decide(
        self, pins: list[Pin], base: dict[str, OrgState], possible: dict[str, set[tuple[str, str, str]]]
    ) -> OracleVerdict:
        """The verdicts in their order; an organisation decides only if all worlds agree on its state."""

        def decided_by(kind: str, names: Sequence[str]) -> OracleVerdict | None:
            for name in names:
                deciding = base[name].deciding
                if base[name].kind == kind and deciding is not None:
                    return OracleVerdict(kind, None, name, deciding.write.txid)
            return None

        names = [pin.name for pin in pins]
        known = [name for name in names if len(possible[name]) == 1]
        for kind in ("trusted", "revoked"):
            verdict = decided_by(kind, known)
            if verdict is not None:
                return verdict
        # Now no organisation is known to certify or to revoke. Do those that are not known change the
        # verdict?
        combinations = itertools.product(*(sorted(possible[name]) for name in names))
        if len({_first_that_holds(combination) for combination in combinations}) > 1:
            return OracleVerdict("undetermined", self._why_undetermined(pins, possible))
        for kind in ("trusted", "revoked", "unconfirmed"):
            verdict = decided_by(kind, names)
            if verdict is not None:
                return verdict
        if not self.writes:
            return OracleVerdict("unknown")
        return OracleVerdict("untrusted", self._reason(self.writes[-1], pins, base))

    def _why_undetermined(self, pins: list[Pin], possible: dict[str, set[tuple[str, str, str]]]) -> str:
        """The reason of undetermined.

        AMBIGUOUS: of several the first, in the text's order, that is enough by itself, else the first asked
        about.
        """
        kinds = ("list_missing", "transaction_missing", "bad_data")
        asked: set[str] = set()
        for pin in [pin for pin in pins if len(possible[pin.name]) > 1]:
            for kind in kinds:
                outcomes = set()
                for world, state in self.states(pin, kind):
                    outcomes.add(state.outcome())
                    asked |= world.kinds
                if len(outcomes) > 1:
                    return kind
        return next(kind for kind in kinds if kind in asked)

    def _reason(self, write: Write, pins: list[Pin], base: dict[str, OrgState]) -> str:
        """Why a write did not count, in the base world."""
        record = _record(write.value)
        if record is None:
            return "malformed_record"
        if record.org not in {pin.name for pin in pins}:
            return "organization_not_accepted"
        return base[record.org].reasons[write]

    def _count_others(self, verdict: OracleVerdict, pins: list[Pin], base: dict[str, OrgState]) -> None:
        """C5, in the base world: contested and foreign_writes.

        AMBIGUOUS: what is not known counts here as an empty list and as nobody's signature; it never makes
        the verdict undetermined, because these two are no part of its status.
        """
        ever: set[str] = set()
        for pin in pins:
            for step in self.timeline(pin, World([], "")):
                if step.cid is not None:
                    ever |= set(self.lists.get(step.cid, {}))
        settled = {write for state in base.values() for write in state.settled}
        for write in self.writes:
            if write in settled:
                continue
            # any input that names such a key is enough, with any sighash, also beside others
            named = {signer.key for signer in self.inputs(write) if isinstance(signer, Signed) and signer.key}
            if named & ever:
                verdict.contested = True
            else:
                verdict.foreign_writes += 1


def _names(record: Certificate, revocation: Standing) -> bool:
    return record.after is not None and revocation.write.txid.startswith(record.after)


def _first_that_holds(combination: Sequence[tuple[str, str, str]]) -> tuple[str, str, str]:
    """The verdict of organisations whose states are all known: the first accepted of the best kind."""
    for kind in ("trusted", "revoked", "unconfirmed"):
        for outcome in combination:
            if outcome[0] == kind:
                return outcome
    return "untrusted or unknown", "", ""


def _record(value: bytes) -> Record | None:
    try:
        return parse_record(value)
    except Malformed:
        return None


def _is_revocation(value: bytes) -> bool:
    return isinstance(_record(value), Revocation)


def judge_chain(
    blocks: Sequence[bytes] | Chain,
    lists: Mapping[str, bytes],
    pins: Sequence[Pin],
    meter: str,
    *,
    network: Network = REGTEST,
    min_confirmations: int = 6,
    mempool: Sequence[bytes] = (),
    own_source: bool = True,
    max_writes: int = 100_000,
) -> OracleVerdict:
    """Judge one meter of a whole chain (raw blocks from genesis, or a ``Chain`` of them to parse only once).

    ``lists`` maps CIDs to a list's bytes; a CID of a readable kind that is not in it is missing.  ``meter``
    is the number in its canonical form.  The mempool is looked at only with ``own_source``.
    """
    chain = blocks if isinstance(blocks, Chain) else Chain(blocks)
    judge = _Judge(
        chain,
        lists,
        pins,
        meter,
        network=network,
        min_confirmations=min_confirmations,
        mempool=mempool if own_source else (),
    )
    return judge.verdict(own_source, max_writes)
