"""What an output script is, as the node tells it.

Source: src/script/standard.cpp (Solver, MatchMultisig), src/pubkey.h (ValidSize), src/script/script.cpp (IsPushOnly).
"""

from typing import NamedTuple

from doitrust.chain.engine import address_script, is_witness_program
from doitrust.chain.scripts import (
    OP_0,
    OP_1,
    OP_16,
    OP_CHECKMULTISIG,
    ScriptType,
    read_op,
    script_type,
)
from doitrust.errors import BadData

OP_RETURN, _OP_CHECKSIG = 0x6A, 0xAC


class Solved(NamedTuple):
    """What a script is: its type's name, the keys of P2PK and multisig, the signatures it needs."""

    type: str
    keys: tuple[bytes, ...] = ()
    required: int = 1


def solve(script: bytes) -> Solved:
    """Return what an output script is, after the name prefix (Solver)."""
    address = address_script(script)
    kind = script_type(address)[0]
    if kind is ScriptType.P2SH:
        return Solved("scripthash")
    if is_witness_program(address):
        return Solved(_witness_type(address, kind))
    if script[:1] == bytes([OP_RETURN]) and pushes_only(script[1:]):
        return Solved("nulldata")
    if address[-1:] == bytes([_OP_CHECKSIG]) and address[0] == len(address) - 2 and _is_key(address[1:-1]):
        return Solved("pubkey", (address[1:-1],))
    if kind is ScriptType.P2PKH:
        return Solved("pubkeyhash")
    return _multisig(address) or Solved("nonstandard")


def _witness_type(script: bytes, kind: ScriptType) -> str:
    if kind is ScriptType.P2WPKH:
        return "witness_v0_keyhash"
    if kind is ScriptType.P2WSH:
        return "witness_v0_scripthash"
    return "nonstandard" if script[0] == OP_0 else "witness_unknown"


def _multisig(script: bytes) -> Solved | None:
    """MatchMultisig; more than 16 keys can't be written."""
    if script[-1:] != bytes([OP_CHECKMULTISIG]) or not OP_1 <= script[0] <= OP_16:
        return None
    at, keys = 1, []
    while True:
        try:
            op = read_op(script, at)
        except BadData:
            return None
        at = op.end
        if op.data is None or not _is_key(op.data):
            break
        keys.append(op.data)
    required = script[0] - OP_1 + 1
    if not OP_1 <= op.code <= OP_16 or op.code - OP_1 + 1 != len(keys) or len(keys) < required:
        return None
    return Solved("multisig", tuple(keys), required) if at + 1 == len(script) else None


def _is_key(data: bytes) -> bool:
    """CPubKey::ValidSize."""
    if len(data) == 33:
        return data[0] in (2, 3)
    return len(data) == 65 and data[0] in (4, 6, 7)


def pushes_only(script: bytes) -> bool:
    """Whether a script does nothing but push (CScript::IsPushOnly)."""
    at = 0
    while at < len(script):
        try:
            op = read_op(script, at)
        except BadData:
            return False
        if op.code > OP_16:
            return False
        at = op.end
    return True
