"""Transactions and outputs as JSON (src/core_write.cpp), names in the encoding asked for (src/names/encoding.cpp)."""

from typing import Any

from doitrust.adapters.devnet.rpc.scripts import addresses, asm
from doitrust.adapters.devnet.rpc.values import NAME_INVALID_ENCODING, Amount, RpcError, as_text, is_hex
from doitrust.adapters.devnet.solver import solve
from doitrust.chain.names import (
    OP_NAME_DOI,
    OP_NAME_FIRSTUPDATE,
    OP_NAME_NEW,
    OP_NAME_UPDATE,
    NodeName,
    read_as_node,
)
from doitrust.chain.tx import Input, Transaction

ASCII, UTF8, HEX = "ascii", "utf8", "hex"
#: The name operations as RPC calls them.
OPERATIONS = {
    OP_NAME_NEW: "name_new",
    OP_NAME_FIRSTUPDATE: "name_firstupdate",
    OP_NAME_UPDATE: "name_update",
    OP_NAME_DOI: "name_doi",
}


def encoding(options: dict[str, Any], field: str) -> str:
    """Return the encoding that `options` ask for; a word that is none means ascii (EncodingFromOptionsJson)."""
    asked = as_text(options[field]) if field in options else ASCII
    return asked if asked in (ASCII, UTF8, HEX) else ASCII


def encode(data: bytes, how: str) -> str | None:
    """Return a name or value as text, or None if the encoding can't hold it."""
    if how == HEX:
        return data.hex()
    if how == ASCII:
        return data.decode("ascii") if all(0x20 <= byte < 0x80 for byte in data) else None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def decode(text: str, how: str) -> bytes:
    """Return the bytes of a name or value; raises `RpcError` for a text that the encoding doesn't have."""
    if how == HEX and (text == "" or is_hex(text)):
        return bytes.fromhex(text)
    if how == UTF8 or (how == ASCII and all(" " <= char <= "\x7f" for char in text)):
        return text.encode("utf-8")
    raise RpcError(NAME_INVALID_ENCODING, f"Name/value is invalid for encoding {how}")


def for_message(name: bytes) -> str:
    """A name as error messages show it (EncodeNameForMessage)."""
    shown = encode(name, ASCII)
    return f"0x{name.hex()}" if shown is None else f"'{shown}'"


def encoded(key: str, data: bytes, how: str) -> dict[str, Any]:
    """The fields of a name or value (AddEncodedNameToUniv)."""
    text = encode(data, how)
    field = {f"{key}_error": f"invalid data for {how}"} if text is None else {key: text}
    return {**field, f"{key}_encoding": how}


def transaction(tx: Transaction, *, with_hex: bool) -> dict[str, Any]:
    """TxToUniv without a block."""
    shown: dict[str, Any] = {
        "txid": tx.txid,
        "hash": tx.wtxid[::-1].hex(),
        "version": tx.version,
        "size": len(tx.raw),
        "vsize": tx.vsize,
        "weight": tx.weight,
        "locktime": tx.lock_time,
        "vin": [_input(tx, *pair) for pair in zip(tx.inputs, tx.sequences, strict=True)],
        "vout": [
            {"value": Amount(_signed(output.value)), "n": n, "scriptPubKey": script_pub_key(output.script)}
            for n, output in enumerate(tx.outputs)
        ],
    }
    return {**shown, "hex": tx.raw.hex()} if with_hex else shown


def _signed(value: int) -> int:
    """A value as the node's 64 bits hold it: what it decodes need not be valid."""
    return value - 2**64 if value >= 2**63 else value


def _input(tx: Transaction, spent: Input, sequence: int) -> dict[str, Any]:
    shown: dict[str, Any]
    if tx.is_coinbase:
        shown = {"coinbase": spent.script_sig.hex()}
    else:
        script_sig = {"asm": asm(spent.script_sig, signatures=True), "hex": spent.script_sig.hex()}
        shown = {"txid": spent.txid, "vout": spent.vout, "scriptSig": script_sig}
    if spent.witness:
        shown["txinwitness"] = [item.hex() for item in spent.witness]
    return {**shown, "sequence": sequence}


def script_pub_key(script: bytes) -> dict[str, Any]:
    """ScriptPubKeyToUniv."""
    name = read_as_node(script)
    shown: dict[str, Any] = {} if name is None else {"nameOp": _operation(name)}
    shown |= {"asm": asm(script), "hex": script.hex()}
    solved, found = solve(script), addresses(script)
    if not found or solved.type == "pubkey":
        return {**shown, "type": solved.type}
    return {**shown, "reqSigs": solved.required, "type": solved.type, "addresses": found}


def _operation(name: NodeName) -> dict[str, Any]:
    """NameOpToUniv: always in the default encoding."""
    shown: dict[str, Any] = {"op": OPERATIONS[name.op]}
    if name.written is None:
        return {**shown, "hash": name.args[0].hex()}
    shown |= encoded("name", name.written[0], ASCII) | encoded("value", name.written[1], ASCII)
    return {**shown, "rand": name.args[1].hex()} if name.op == OP_NAME_FIRSTUPDATE else shown
