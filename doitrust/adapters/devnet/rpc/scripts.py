"""Scripts as the node shows them: addresses, opcodes by name.

Source: src/script/standard.cpp (ExtractDestination), src/core_write.cpp (ScriptToAsmStr),
src/script/script.cpp (GetOpName), src/script/interpreter.cpp (CheckSignatureEncoding).
"""

from doitrust.adapters.devnet.solver import OP_RETURN, solve
from doitrust.chain.address import address_of, hash160
from doitrust.chain.engine import address_script
from doitrust.chain.names import OP_NAME_FIRSTUPDATE, OP_NAME_NEW, OP_NAME_UPDATE
from doitrust.chain.networks import DEVNET
from doitrust.chain.scripts import (
    OP_0,
    OP_1,
    OP_PUSHDATA4,
    p2pkh,
    read_op,
)
from doitrust.errors import BadData

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
# BIP 173's generator.
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_SIGHASHES = {
    0x01: "ALL",
    0x02: "NONE",
    0x03: "SINGLE",
    0x81: "ALL|ANYONECANPAY",
    0x82: "NONE|ANYONECANPAY",
    0x83: "SINGLE|ANYONECANPAY",
}

# From OP_1NEGATE (0x4f) to OP_NOP10 (0xb9), in order.
_NAMES = """
-1 OP_RESERVED OP_NAME_NEW OP_NAME_FIRSTUPDATE OP_NAME_UPDATE 4 5 6 7 8 9 OP_NAME_DOI 11 12 13 14 15 16
OP_NOP OP_VER OP_IF OP_NOTIF OP_VERIF OP_VERNOTIF OP_ELSE OP_ENDIF OP_VERIFY OP_RETURN
OP_TOALTSTACK OP_FROMALTSTACK OP_2DROP OP_2DUP OP_3DUP OP_2OVER OP_2ROT OP_2SWAP OP_IFDUP OP_DEPTH OP_DROP
OP_DUP OP_NIP OP_OVER OP_PICK OP_ROLL OP_ROT OP_SWAP OP_TUCK
OP_CAT OP_SUBSTR OP_LEFT OP_RIGHT OP_SIZE
OP_INVERT OP_AND OP_OR OP_XOR OP_EQUAL OP_EQUALVERIFY OP_RESERVED1 OP_RESERVED2
OP_1ADD OP_1SUB OP_2MUL OP_2DIV OP_NEGATE OP_ABS OP_NOT OP_0NOTEQUAL OP_ADD OP_SUB OP_MUL OP_DIV OP_MOD
OP_LSHIFT OP_RSHIFT OP_BOOLAND OP_BOOLOR OP_NUMEQUAL OP_NUMEQUALVERIFY OP_NUMNOTEQUAL OP_LESSTHAN
OP_GREATERTHAN OP_LESSTHANOREQUAL OP_GREATERTHANOREQUAL OP_MIN OP_MAX OP_WITHIN
OP_RIPEMD160 OP_SHA1 OP_SHA256 OP_HASH160 OP_HASH256 OP_CODESEPARATOR OP_CHECKSIG OP_CHECKSIGVERIFY
OP_CHECKMULTISIG OP_CHECKMULTISIGVERIFY
OP_NOP1 OP_CHECKLOCKTIMEVERIFY OP_CHECKSEQUENCEVERIFY OP_NOP4 OP_NOP5 OP_NOP6 OP_NOP7 OP_NOP8 OP_NOP9 OP_NOP10
""".split()  # noqa: SIM905  # a table to be compared with the source


def addresses(script: bytes) -> list[str]:
    """Return every address of an output script (ExtractDestinations); P2PK has that of its key."""
    solved = solve(script)
    if solved.type == "witness_unknown":
        return [_bech32(address_script(script))]
    scripts = [p2pkh(hash160(key)) for key in solved.keys] or [address_script(script)]
    found = (address_of(owner, DEVNET) for owner in scripts)
    return [address for address in found if address is not None]


def address(script: bytes) -> str | None:
    """Return the one address of an output script, or None (ExtractDestination)."""
    if solve(script).type == "multisig":
        return None
    return next(iter(addresses(script)), None)


def asm(script: bytes, *, signatures: bool = False) -> str:
    """Return a script as text. `signatures`: name the type of what looks like a signature."""
    parts: list[str] = []
    at, last = 0, OP_0
    signatures = signatures and script[:1] != bytes([OP_RETURN])
    while at < len(script):
        try:
            op = read_op(script, at)
        except BadData:
            return " ".join([*parts, "[error]"])
        if op.code > OP_PUSHDATA4:
            parts.append(_op_name(op.code))
        else:
            parts.append(_pushed(op.data or b"", last, signatures=signatures))
        at, last = op.end, op.code
    return " ".join(parts)


def _op_name(code: int) -> str:
    if code - OP_PUSHDATA4 <= len(_NAMES):
        return _NAMES[code - OP_PUSHDATA4 - 1]
    return "OP_INVALIDOPCODE" if code == 0xFF else "OP_UNKNOWN"


def _pushed(data: bytes, last: int, *, signatures: bool) -> str:
    if len(data) <= 4:
        # Not after OP_NAME_DOI: the node forgot it there.
        if data and last in (OP_NAME_NEW, OP_NAME_FIRSTUPDATE, OP_NAME_UPDATE):
            return data.hex()
        return str(_number(data))
    if signatures and _is_signature(data):
        return f"{data[:-1].hex()}[{_SIGHASHES[data[-1]]}]"
    return data.hex()


def _number(data: bytes) -> int:
    """CScriptNum: little endian, the highest bit is the sign."""
    if not data:
        return 0
    value = int.from_bytes(data, "little")
    if data[-1] & 0x80:
        return -(value & ~(0x80 << 8 * (len(data) - 1)))
    return value


def _is_signature(data: bytes) -> bool:
    """IsValidSignatureEncoding and a defined sighash type."""
    if not 9 <= len(data) <= 73 or data[0] != 0x30 or data[1] != len(data) - 3:
        return False
    if data[-1] not in _SIGHASHES or 5 + data[3] >= len(data):
        return False
    r, s = data[4 : 4 + data[3]], data[6 + data[3] : -1]
    if (
        data[2] != 2
        or data[4 + len(r)] != 2
        or data[5 + len(r)] != len(s)
        or len(r) + len(s) + 7 != len(data)
    ):
        return False
    return all(n and n[0] < 0x80 and not (len(n) > 1 and n[0] == 0 and n[1] < 0x80) for n in (r, s))


def _bech32(script: bytes) -> str:
    """The address of a witness program of any version: BIP 173, also for later versions, as this node."""
    bits = "".join(f"{byte:08b}" for byte in script[2:])
    bits += "0" * (-len(bits) % 5)
    data = [script[0] - OP_1 + 1, *(int(bits[at : at + 5], 2) for at in range(0, len(bits), 5))]
    hrp = DEVNET.hrp
    check = 1
    for value in [*(ord(c) >> 5 for c in hrp), 0, *(ord(c) & 31 for c in hrp), *data, *[0] * 6]:
        top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            check ^= term if top >> bit & 1 else 0
    check ^= 1
    data += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{hrp}1" + "".join(_BECH32[value] for value in data)
