"""scantxoutset (src/rpc/blockchain.cpp). Of the descriptors `addr(…)` and `raw(…)` are known.

The coins are indexed by script: a scan is over before anybody could ask for its progress or abort it.
"""

from typing import Any

from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.scripts import address
from doitrust.adapters.devnet.rpc.values import (
    INVALID_ADDRESS_OR_KEY,
    INVALID_PARAMETER,
    MISC_ERROR,
    Amount,
    RpcError,
    as_text,
    is_hex,
    type_name,
)
from doitrust.adapters.devnet.solver import solve
from doitrust.chain.address import script_of
from doitrust.chain.descriptors import checksum
from doitrust.chain.engine import address_script
from doitrust.chain.networks import DEVNET
from doitrust.errors import BadData

_CHECKSUM_SIZE = 8


def scantxoutset(node: Node, given: Params) -> Any:
    """The coins in the chain on the scripts of descriptors. A name's script is another than its owner's."""
    given.check("string", "array")
    action = given.text(0)
    if action == "status":
        return None
    if action == "abort":
        return False
    if action != "start":
        raise RpcError(INVALID_PARAMETER, "Invalid command")
    if len(given) < 2:
        raise RpcError(MISC_ERROR, "scanobjects argument is required for the start action")
    scripts = dict.fromkeys(_script(_descriptor(value)) for value in given.array(1))
    with node.devnet.session() as session:
        tip, count = session.chain.tip(), session.chain.count_coins()
        coins = [found for script in scripts for found in session.chain.coins_of(script)]
    coins.sort(key=lambda found: (bytes.fromhex(found[0][0])[::-1], found[0][1]))
    unspents = [
        {
            "txid": txid,
            "vout": vout,
            "scriptPubKey": coin.script.hex(),
            "desc": _inferred(coin.script),
            "amount": Amount(coin.value),
            "height": coin.height,
        }
        for (txid, vout), coin in coins
    ]
    return {
        "success": True,
        "txouts": count,
        "height": tip.height,
        "bestblock": tip.hash,
        "unspents": unspents,
        "total_amount": Amount(sum(coin.value for _, coin in coins)),
    }


def _descriptor(value: Any) -> str:
    """A scan object's descriptor; its range means nothing for those known here."""
    if isinstance(value, dict):
        if value.get("desc") is None:
            raise RpcError(INVALID_PARAMETER, "Descriptor needs to be provided in scan object")
        return as_text(value["desc"])
    if type_name(value) != "string":
        raise RpcError(INVALID_PARAMETER, "Scan object needs to be either a string or an object")
    return as_text(value)


def _script(text: str) -> bytes:
    """The script of a descriptor, with or without checksum (src/script/descriptor.cpp)."""
    body, *given = text.split("#")
    if len(given) > 1:
        raise _bad("Multiple '#' symbols")
    if given and len(given[0]) != _CHECKSUM_SIZE:
        raise _bad(f"Expected {_CHECKSUM_SIZE} character checksum, not {len(given[0])} characters")
    try:
        computed = checksum(body)
    except BadData:
        raise _bad("Invalid characters in payload") from None
    if given and given[0] != computed:
        raise _bad(f"Provided checksum '{given[0]}' does not match computed checksum '{computed}'")
    function = _function(body)
    script = _of_function(function)
    if function != body:
        raise _bad("")  # more behind it: the node says no more than that
    return script


def _function(body: str) -> str:
    """What stands before the first comma or bracket that nothing opened (src/util/spanparsing.cpp, Expr)."""
    level = 0
    for at, char in enumerate(body):
        if char == "(":
            level += 1
        elif level and char == ")":
            level -= 1
        elif not level and char in "),":
            return body[:at]
    return body


def _of_function(text: str) -> bytes:
    if text.startswith("addr(") and text.endswith(")"):
        try:
            return script_of(text[5:-1], DEVNET)
        except BadData:
            raise _bad("Address is not valid") from None
    if text.startswith("raw(") and text.endswith(")"):
        if not is_hex(text[4:-1]):
            raise _bad("Raw script is not hex")
        return bytes.fromhex(text[4:-1])
    raise _bad(f"{text} is not a valid descriptor function")


def _bad(message: str) -> RpcError:
    return RpcError(INVALID_ADDRESS_OR_KEY, message)


def _inferred(script: bytes) -> str:
    """The descriptor that says most about a script of which no key is known (InferScript)."""
    solved, owner = solve(script), address(script)
    keys = ",".join(key.hex() for key in solved.keys)
    if solved.type == "pubkey":
        text = f"pk({keys})"
    elif solved.type == "multisig":
        text = f"multi({solved.required},{keys})"
    elif owner is not None and address_script(script) == script:
        text = f"addr({owner})"
    else:
        text = f"raw({script.hex()})"
    return f"{text}#{checksum(text)}"


COMMANDS = {"scantxoutset": Command("blockchain", scantxoutset, ("action", "scanobjects"), 1)}
