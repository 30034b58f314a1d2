"""Scripts as byte strings: pushes, the address scripts we know, and the multisig template of rule S2."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from doitrust.errors import BadData

OP_0 = 0x00
OP_PUSHDATA1 = 0x4C
OP_PUSHDATA2 = 0x4D
OP_PUSHDATA4 = 0x4E
OP_1NEGATE = 0x4F
OP_1 = 0x51
OP_16 = 0x60
OP_NOP = 0x61
OP_CHECKMULTISIG = 0xAE

COMPRESSED_KEY_SIZE = 33
#: The most keys OP_CHECKMULTISIG's template may name: OP_16, and 15 in P2SH, whose script element is at most
#: 520 bytes (rule S2; src/script/script.h, MAX_SCRIPT_ELEMENT_SIZE).
MAX_MULTISIG_KEYS = 16
MAX_P2SH_MULTISIG_KEYS = 15


#: What OP_PUSHDATA2, the longest push that anybody writes, can hold.
MAX_PUSH = 0xFFFF


def push(data: bytes) -> bytes:
    """Return the shortest push of `data`, at most 65,535 bytes.

    Direct to 75 bytes, OP_PUSHDATA1 to 255, OP_PUSHDATA2 beyond, as CScript's `<<` writes a vector
    (src/script/script.h). Numbers get no opcode of their own: b"\\x05" is `01 05`.
    """
    size = len(data)
    if size < OP_PUSHDATA1:
        return bytes([size]) + data
    if size <= 0xFF:
        return bytes([OP_PUSHDATA1, size]) + data
    if size <= MAX_PUSH:
        return bytes([OP_PUSHDATA2]) + size.to_bytes(2, "little") + data
    raise ValueError("a push of more than 65,535 bytes")


class Op(NamedTuple):
    """One step of a script: its opcode, what it pushes (None if it is no data push) and where it ends."""

    code: int
    data: bytes | None
    end: int


def read_op(script: bytes, start: int) -> Op:
    """Read the step at `start`; raises `BadData` at the end of the script or in a cut push."""
    if start >= len(script):
        raise BadData("the script ends early")
    code = script[start]
    if code > OP_PUSHDATA4:
        return Op(code, None, start + 1)
    begin = start + 1
    size = code
    if code >= OP_PUSHDATA1:
        width = 1 << (code - OP_PUSHDATA1)
        size = int.from_bytes(script[begin : begin + width], "little")
        begin += width
    end = begin + size
    if end > len(script):
        raise BadData("the script has a cut push")
    return Op(code, script[begin:end], end)


def script_sig_pushes(script_sig: bytes) -> list[bytes] | None:
    """Return what a scriptSig leaves on the stack, or None if it does anything but push (rule S3).

    OP_NOP is skipped: a miner can add it without changing who signed. Small numbers push their encoding.
    """
    stack: list[bytes] = []
    at = 0
    while at < len(script_sig):
        try:
            op = read_op(script_sig, at)
        except BadData:
            return None
        at = op.end
        if op.data is not None:
            stack.append(op.data)
        elif op.code == OP_1NEGATE:
            stack.append(b"\x81")
        elif OP_1 <= op.code <= OP_16:
            stack.append(bytes([op.code - OP_1 + 1]))
        elif op.code != OP_NOP:
            return None
    return stack


class ScriptType(Enum):
    """The four address scripts, and everything else."""

    P2PKH = "p2pkh"
    P2SH = "p2sh"
    P2WPKH = "p2wpkh"
    P2WSH = "p2wsh"
    OTHER = "other"


def script_type(script: bytes) -> tuple[ScriptType, bytes]:
    """Return the type of an address script and the hash in it (20 or 32 bytes; empty for `OTHER`)."""
    size = len(script)
    if size == 22 and script[:2] == b"\x00\x14":
        return ScriptType.P2WPKH, script[2:]
    if size == 34 and script[:2] == b"\x00\x20":
        return ScriptType.P2WSH, script[2:]
    if size == 25 and script[:3] == b"\x76\xa9\x14" and script[23:] == b"\x88\xac":
        return ScriptType.P2PKH, script[3:23]
    if size == 23 and script[:2] == b"\xa9\x14" and script[22] == 0x87:
        return ScriptType.P2SH, script[2:22]
    return ScriptType.OTHER, b""


def p2pkh(key_hash: bytes) -> bytes:
    """Return `OP_DUP OP_HASH160 <20 bytes> OP_EQUALVERIFY OP_CHECKSIG`."""
    return b"\x76\xa9\x14" + key_hash + b"\x88\xac"


def p2sh(script_hash: bytes) -> bytes:
    """Return `OP_HASH160 <20 bytes> OP_EQUAL` (BIP 16)."""
    return b"\xa9\x14" + script_hash + b"\x87"


def p2wpkh(key_hash: bytes) -> bytes:
    """Return `OP_0 <20 bytes>` (BIP 141)."""
    return b"\x00\x14" + key_hash


def p2wsh(script_hash: bytes) -> bytes:
    """Return `OP_0 <32 bytes>` (BIP 141)."""
    return b"\x00\x20" + script_hash


class Multisig(NamedTuple):
    """`OP_m <33-byte key> × n OP_n OP_CHECKMULTISIG`."""

    m: int
    keys: tuple[bytes, ...]


def multisig_script(m: int, keys: Sequence[bytes]) -> bytes:
    """Return the m-of-n script over compressed keys in the order given."""
    if not 1 <= m <= len(keys) <= MAX_MULTISIG_KEYS:
        raise ValueError("a multisig of 1 ≤ m ≤ n ≤ 16")
    body = b"".join(push(key) for key in keys)
    return bytes([OP_1 + m - 1]) + body + bytes([OP_1 + len(keys) - 1, OP_CHECKMULTISIG])


def read_multisig(script: bytes) -> Multisig | None:
    """Return the multisig that `script` is in exactly the form of rule S2, or None.

    The keys are in compressed form (whether they are points is for the signature check) and all different.
    """
    if len(script) < 3 + 34 or script[-1] != OP_CHECKMULTISIG:
        return None
    m, n = script[0] - OP_1 + 1, script[-2] - OP_1 + 1
    if not 1 <= m <= n <= MAX_MULTISIG_KEYS or len(script) != 3 + 34 * n:
        return None
    keys = []
    for at in range(1, 1 + 34 * n, 34):
        if script[at] != COMPRESSED_KEY_SIZE or script[at + 1] not in (2, 3):
            return None
        keys.append(script[at + 1 : at + 34])
    return Multisig(m, tuple(keys)) if len(set(keys)) == n else None
