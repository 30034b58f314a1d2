"""Name outputs: the canonical form that trust reads, and the wider one that the node reads.

Canonical (trust-model «write»): `OP_10 <name> <value> OP_2DROP OP_DROP` with shortest pushes, then the owner
script. The node accepts more (OP_PUSHDATA4, any run of drops and OP_NOP, other name operations) and lists all
of it in `name_history`; the difference is *foreign* by rule.
"""

from typing import NamedTuple

from doitrust.chain.scripts import (
    MAX_PUSH,
    OP_1,
    OP_PUSHDATA1,
    OP_PUSHDATA2,
    OP_PUSHDATA4,
    push,
    read_op,
)
from doitrust.errors import BadData

OP_NAME_NEW = OP_1
OP_NAME_FIRSTUPDATE = OP_1 + 1
OP_NAME_UPDATE = OP_1 + 2
OP_NAME_DOI = 0x5A

_OP_2DROP = 0x6D
_OP_DROP = 0x75
_OP_NOP = 0x61
_DROPS = frozenset({_OP_2DROP, _OP_DROP, _OP_NOP})

#: The transaction version that may carry name outputs (src/primitives/transaction.h, DOICHAIN_TX_VERSION).
NAME_TX_VERSION = 0x7100
#: Longest value that any owner type can spend again (MAX_SCRIPT_ELEMENT_SIZE); longer records are malformed.
MAX_VALUE_SIZE = 520


class NameOutput(NamedTuple):
    """A name_doi write's parts, all bytes as on the wire."""

    name: bytes
    value: bytes
    owner_script: bytes


def name_script(name: bytes, value: bytes, owner_script: bytes) -> bytes:
    """Return the canonical name output script."""
    return bytes([OP_NAME_DOI]) + push(name) + push(value) + bytes([_OP_2DROP, _OP_DROP]) + owner_script


def read_canonical(script: bytes) -> NameOutput | None:
    """Return the canonical name output that `script` is, or None."""
    if not script or script[0] != OP_NAME_DOI:
        return None
    try:
        name = read_op(script, 1)
        value = read_op(script, name.end)
    except BadData:
        return None
    if name.data is None or value.data is None or max(len(name.data), len(value.data)) > MAX_PUSH:
        return None
    end = value.end
    if script[end : end + 2] != bytes([_OP_2DROP, _OP_DROP]):
        return None
    if script[1:end] != push(name.data) + push(value.data):
        return None
    return NameOutput(name.data, value.data, script[end + 2 :])


def strip_name(script: bytes) -> bytes:
    """Return the address script of an output: `script` without a canonical name prefix, if it has one."""
    name = read_canonical(script)
    return script if name is None else name.owner_script


class NodeName(NamedTuple):
    """What Doichain Core reads from a script: the operation, its arguments and the rest as address."""

    op: int
    args: tuple[bytes, ...]
    address_script: bytes

    @property
    def written(self) -> tuple[bytes, bytes] | None:
        """(name, value) that this output writes into the name database, or None (name_new)."""
        if self.op == OP_NAME_FIRSTUPDATE:
            return self.args[0], self.args[2]
        return None if self.op == OP_NAME_NEW else (self.args[0], self.args[1])


_ARGS = {OP_NAME_NEW: 1, OP_NAME_FIRSTUPDATE: 3, OP_NAME_UPDATE: 2, OP_NAME_DOI: 2}


def read_as_node(script: bytes) -> NodeName | None:
    """Read `script` as CNameScript does (src/script/names.cpp), its laxness and its quirk included.

    The quirk: it steps over what follows the run of drops and goes one byte back. So a leading push shows only its
    last byte, and where nothing follows, the last drop itself is taken for the address.
    """
    if not script or script[0] not in _ARGS:
        return None
    args: list[bytes] = []
    at = 1
    try:
        while True:
            start = at
            op = read_op(script, at)
            at = op.end
            if op.code in _DROPS:
                break
            if op.data is None:
                return None
            args.append(op.data)
    except BadData:
        return None
    while script[start] in _DROPS and start + 1 < len(script):
        start += 1
    if len(args) != _ARGS[script[0]]:
        return None
    return NodeName(script[0], tuple(args), script[_after_op(script, start) - 1 :])


def _after_op(script: bytes, start: int) -> int:
    """Where CScript::GetOp leaves off: behind the step at `start`, or behind its header if it is cut."""
    try:
        return read_op(script, start).end
    except BadData:
        width = {OP_PUSHDATA1: 1, OP_PUSHDATA2: 2, OP_PUSHDATA4: 4}.get(script[start], 0)
        return start + 1 + (width if start + 1 + width <= len(script) else 0)
