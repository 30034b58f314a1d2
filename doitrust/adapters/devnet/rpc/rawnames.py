"""namerawtransaction and namepsbt (src/rpc/names.cpp, PerformNameRawtx; src/script/names.cpp)."""

import secrets
from typing import Any

from doitrust.adapters.devnet.rpc import wire
from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.show import ASCII, decode
from doitrust.adapters.devnet.rpc.values import (
    DESERIALIZATION_ERROR,
    INVALID_PARAMETER,
    RpcError,
    as_text,
    check_object,
    is_hex,
)
from doitrust.chain.address import hash160
from doitrust.chain.names import (
    NAME_TX_VERSION,
    OP_NAME_DOI,
    OP_NAME_FIRSTUPDATE,
    OP_NAME_NEW,
    OP_NAME_UPDATE,
)
from doitrust.chain.psbt import Psbt
from doitrust.chain.scripts import MAX_PUSH, push
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData

_OP_2DROP, _OP_DROP = b"\x6d", b"\x75"
_RAND_SIZE = 20
_UNSIGNED_TX = b"\x00"
#: The one version that can be made a name's (src/primitives/transaction.h, CURRENT_VERSION).
_CURRENT_VERSION = 1


def namerawtransaction(_node: Node, given: Params) -> Any:
    """A raw transaction with a name operation put before an output's script."""
    given.check("string", "number", "object")
    text = given.text(0)
    tx = wire.decode(bytes.fromhex(text), bare=True) if is_hex(text) else None
    if tx is None:
        raise RpcError(DESERIALIZATION_ERROR, "TX decode failed")
    raw, rand = _with_name(tx, given.integer(1), given.mapping(2))
    return {**rand, "hex": raw.hex()}


def namepsbt(_node: Node, given: Params) -> Any:
    """The same with a PSBT."""
    given.check("string", "number", "object")
    try:
        psbt = Psbt.read(given.text(0).encode())
    except BadData as error:
        raise RpcError(DESERIALIZATION_ERROR, f"TX decode failed {error.message}") from None
    raw, rand = _with_name(psbt.tx, given.integer(1), given.mapping(2))
    records = {**psbt.records, _UNSIGNED_TX: raw}
    made = Psbt.of(records, [i.records for i in psbt.inputs], [o.records for o in psbt.outputs])
    return {**rand, "psbt": made.text}


def _with_name(tx: Transaction, vout: int, operation: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return the transaction's bytes with the operation, and the nonce of a name_new for the answer."""
    if tx.version != _CURRENT_VERSION:  # the node stops by an assertion (SetDoichain)
        raise RpcError(INVALID_PARAMETER, f"a transaction of version {tx.version}, not {_CURRENT_VERSION}")
    if not 0 <= vout < len(tx.outputs):
        raise RpcError(INVALID_PARAMETER, "vout is out of range")
    check_object(operation, {"op": "string"}, allow_missing=False)
    prefix, rand = _prefix(operation)
    outputs = list(tx.outputs)
    outputs[vout] = outputs[vout]._replace(script=prefix + outputs[vout].script)
    return wire.rewritten(tx, NAME_TX_VERSION, outputs), rand


def _prefix(operation: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    """Return how the output's script begins, and the nonce."""
    op = operation["op"]
    if op == "name_new":
        check_object(operation, {"name": "string", "rand": "string"}, allow_missing=True)
        rand = _rand(operation["rand"]) if "rand" in operation else secrets.token_bytes(_RAND_SIZE)
        name = decode(as_text(operation.get("name")), ASCII)
        return bytes([OP_NAME_NEW]) + push(hash160(rand + name)) + _OP_2DROP, {"rand": rand.hex()}
    if op == "name_firstupdate":
        check_object(operation, {"name": "string", "value": "string", "rand": "string"}, allow_missing=False)
        rand = _rand(operation["rand"])
        pushes = _pushed(decode(operation["name"], ASCII), rand, decode(operation["value"], ASCII))
        return bytes([OP_NAME_FIRSTUPDATE]) + pushes + 2 * _OP_2DROP, {}
    if op in ("name_update", "name_doi"):
        check_object(operation, {"name": "string", "value": "string"}, allow_missing=False)
        pushes = _pushed(decode(operation["name"], ASCII), decode(operation["value"], ASCII))
        code = OP_NAME_DOI if op == "name_doi" else OP_NAME_UPDATE
        return bytes([code]) + pushes + _OP_2DROP + _OP_DROP, {}
    raise RpcError(INVALID_PARAMETER, "Invalid name operation")


def _pushed(*items: bytes) -> bytes:
    if any(len(item) > MAX_PUSH for item in items):  # the node would write what nobody can ever mine
        raise RpcError(INVALID_PARAMETER, f"a name or value of more than {MAX_PUSH} bytes")
    return b"".join(map(push, items))


def _rand(value: Any) -> bytes:
    text = as_text(value)
    if not is_hex(text):
        raise RpcError(DESERIALIZATION_ERROR, "rand must be hex")
    return bytes.fromhex(text)


COMMANDS = {
    "namerawtransaction": Command("names", namerawtransaction, ("hexstring", "vout", "nameop"), 3),
    "namepsbt": Command("names", namepsbt, ("psbt", "vout", "nameop"), 3),
}
