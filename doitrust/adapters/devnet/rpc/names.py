"""name_show, name_history, name_scan, name_pending (src/rpc/names.cpp).

A node that can have wallets and has none loaded refuses all four; one built without them answers, without `ismine`.
This one answers as one whose wallet owns nothing: `ismine` is always false. It never is in initial block download.
"""

import re
from typing import Any

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.names import names_written
from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.scripts import address
from doitrust.adapters.devnet.rpc.show import (
    OPERATIONS,
    UTF8,
    decode,
    encode,
    encoded,
    encoding,
    for_message,
)
from doitrust.adapters.devnet.rpc.values import (
    INVALID_PARAMETER,
    MISC_ERROR,
    WALLET_ERROR,
    WALLET_NOT_FOUND,
    RpcError,
    as_bool,
    as_int,
    as_text,
    check_object,
)
from doitrust.adapters.devnet.store import Session
from doitrust.chain.names import NAME_TX_VERSION, read_as_node
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData

_MAX_REGEXP = 1_000
_DEFAULT_COUNT = 500


def name_show(node: Node, given: Params) -> Any:
    """What the name database holds for a name."""
    given.check("string", "object")
    options = given.options(1)
    check_object(options, {"allowExpired": "bool"}, allow_missing=True)
    allow_expired = as_bool(options["allowExpired"]) if "allowExpired" in options else False
    name = _lookup(given[0], options)
    check_wallet(node)
    with node.devnet.session() as session:
        record = session.chain.record(name)
        if record is None:
            raise _unknown(name)
        tx = _confirmed(session, record.txid)
        shown = _written(session, options, tx, record.vout, record.height)
    if shown["expired"] and not allow_expired:
        raise _unknown(name)
    return shown


def name_history(node: Node, given: Params) -> Any:
    """Every write of a name, oldest first."""
    given.check("string", "object")
    options = given.options(1)
    name = _lookup(given[0], options)
    check_wallet(node)
    with node.devnet.session() as session:
        found = []
        for height, txid in session.chain.writes(name):
            tx = _confirmed(session, txid)
            for written, (_, vout) in names_written(tx):
                if written == name:
                    found.append(_written(session, options, tx, vout, height))
    if not found:
        raise _unknown(name)
    return found


def name_scan(node: Node, given: Params) -> Any:
    """The names of the database from `start` on, shorter ones first, expired ones too."""
    given.check("string", "number", "object")
    options = given.options(2)
    start = _name(given[0], options) if given else b""
    count = given.integer(1) if len(given) > 1 else _DEFAULT_COUNT
    fields = {"minConf": "number", "maxConf": "number", "prefix": "string", "regexp": "string"}
    check_object(options, fields, allow_missing=True)
    least = as_int(options["minConf"]) if "minConf" in options else 1
    if least < 1:
        raise RpcError(INVALID_PARAMETER, "minConf must be >= 1")
    most = as_int(options["maxConf"]) if "maxConf" in options else None
    if most is not None and most < 0:
        raise RpcError(INVALID_PARAMETER, "maxConf must not be negative")
    prefix = _name(options["prefix"], options) if "prefix" in options else b""
    pattern = _pattern(as_text(options["regexp"])) if "regexp" in options else None
    if count <= 0:
        return []
    check_wallet(node)
    with node.devnet.session() as session:
        tip = session.chain.tip().height
        lowest = -1 if most is None else tip - most + 1
        found = []
        for name, record in session.chain.records(start):
            if not lowest <= record.height <= tip - least + 1 or not name.startswith(prefix):
                continue
            if pattern is not None and not _matches(pattern, name):
                continue
            tx = _confirmed(session, record.txid)
            found.append(_written(session, options, tx, record.vout, record.height))
            if len(found) == count:
                break
    return found


def name_pending(node: Node, given: Params) -> Any:
    """What waits to be written."""
    given.check("string", "object", allow_null=True)
    check_wallet(node)
    options = given.options(1)
    wanted = _name(given[0], options) if given.has(0) else None
    found = []
    with node.devnet.session() as session:
        waiting = session.pool.transactions()
    for tx in waiting:
        if tx.version != NAME_TX_VERSION:
            continue
        for vout, output in enumerate(tx.outputs):
            name = read_as_node(output.script)
            if name is None or name.written is None or wanted not in (None, name.written[0]):
                continue
            shown = _info(options, name.written, tx, vout)
            found.append({**shown, "ismine": False, "op": OPERATIONS[name.op]})
    return found


def check_wallet(node: Node) -> None:
    """Refuse what is asked of a wallet by name (GetWalletForJSONRPCRequest): none is loaded."""
    if node.wallet is not None:
        raise RpcError(WALLET_NOT_FOUND, "Requested wallet does not exist or is not loaded")


def _name(value: Any, options: dict[str, Any]) -> bytes:
    """A name in the encoding that the options say."""
    check_object(options, {"nameEncoding": "string"}, allow_missing=True)
    return decode(as_text(value), encoding(options, "nameEncoding"))


def _lookup(value: Any, options: dict[str, Any]) -> bytes:
    """GetNameForLookup: there is no index by hash."""
    name = _name(value, options)
    check_object(options, {"byHash": "string"}, allow_missing=True)
    if "byHash" in options and as_text(options["byHash"]) != "direct":
        raise RpcError(MISC_ERROR, "-namehashindex is not enabled")
    return name


def _unknown(name: bytes) -> RpcError:
    return RpcError(WALLET_ERROR, f"name not found: {for_message(name)}")


def _confirmed(session: Session, txid: str) -> Transaction:
    """A transaction that the chain's own tables name."""
    located = session.chain.located(txid)
    if located is None:
        raise BadData(f"the devnet's database is damaged: {txid} is missing")
    return Transaction.parse(located[0])


def _written(session: Session, options: dict[str, Any], tx: Transaction, vout: int, height: int) -> Any:
    """A write with its expiry (addExpirationInfo)."""
    name = read_as_node(tx.outputs[vout].script)
    if name is None or name.written is None:
        raise BadData(f"the devnet's database is damaged: {tx.txid} writes no name")
    left = height + params.NAME_EXPIRY - session.chain.tip().height
    shown = _info(options, name.written, tx, vout)
    return {**shown, "height": height, "expires_in": left, "expired": left <= 0, "ismine": False}


def _info(
    options: dict[str, Any], written: tuple[bytes, bytes], tx: Transaction, vout: int
) -> dict[str, Any]:
    """getNameInfo."""
    check_object(options, {"nameEncoding": "string"}, allow_missing=True)
    shown = encoded("name", written[0], encoding(options, "nameEncoding"))
    check_object(options, {"valueEncoding": "string"}, allow_missing=True)
    shown |= encoded("value", written[1], encoding(options, "valueEncoding"))
    owner = address(tx.outputs[vout].script)
    return {**shown, "txid": tx.txid, "vout": vout, "address": owner or "<nonstandard>"}


def _pattern(text: str) -> re.Pattern[str]:
    """A regular expression. Python's are nearly those of boost::xpressive; the node's answer to a bad one is -1 too."""
    if len(text) > _MAX_REGEXP:
        raise RpcError(MISC_ERROR, f"a regular expression of {len(text)} characters")
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise RpcError(MISC_ERROR, f"bad regular expression: {error}") from None


def _matches(pattern: re.Pattern[str], name: bytes) -> bool:
    text = encode(name, UTF8)
    return text is not None and pattern.search(text) is not None


COMMANDS = {
    "name_show": Command("names", name_show, ("name", "options"), 1),
    "name_history": Command("names", name_history, ("name", "options"), 1),
    "name_scan": Command("names", name_scan, ("start", "count", "options")),
    "name_pending": Command("names", name_pending, ("name", "options")),
}
