"""From a request's body to an answer's: methods, parameters by name, batches, errors (src/rpc/server.cpp).

Versions 1.0, 1.1 and 2.0 of JSON-RPC are told apart as little as the node does: every answer has `result`,
`error` and `id`.
"""

import time
from typing import Any, NamedTuple

from doitrust.adapters.devnet.rpc import blocks, mining, names, rawnames, scan, state, transactions
from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.values import (
    DATABASE_ERROR,
    INVALID_PARAMETER,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISC_ERROR,
    PARSE_ERROR,
    Number,
    RpcError,
    is_nested,
    read,
    write,
)
from doitrust.errors import DoitrustError

#: The longest that `stop` waits before it answers, in seconds.
_MAX_WAIT = 10
# src/rpc/protocol.h
OK, BAD_REQUEST, NOT_FOUND, SERVER_ERROR = 200, 400, 404, 500
_STATUS = {INVALID_REQUEST: BAD_REQUEST, METHOD_NOT_FOUND: NOT_FOUND}
_NO_WALLET = "Method not found (wallet method is disabled because no wallet is loaded)"

#: Methods that need a wallet (src/wallet/rpcwallet.cpp).
WALLET_METHODS = frozenset(
    """
    abandontransaction abortrescan addmultisigaddress backupwallet bumpfee dumpprivkey dumpwallet encryptwallet
    fundrawtransaction getaddressesbylabel getaddressinfo getauxblock getbalance getbalances getnewaddress
    getrawchangeaddress getreceivedbyaddress getreceivedbylabel gettransaction getunconfirmedbalance
    getwalletinfo importaddress importdescriptors importmulti importprivkey importprunedfunds importpubkey
    importwallet keypoolrefill listaddressgroupings listlabels listlockunspent listreceivedbyaddress
    listreceivedbylabel listsinceblock listtransactions listunspent lockunspent name_doi name_firstupdate
    name_list name_new name_update psbtbumpfee removeprunedfunds rescanblockchain send sendmany sendtoaddress
    sendtoname sethdseed setlabel settxfee setwalletflag signmessage signrawtransactionwithwallet upgradewallet
    walletcreatefundedpsbt walletlock walletpassphrase walletpassphrasechange walletprocesspsbt
    """.split()  # noqa: SIM905  # a list of this length reads best so
)

#: How usage lines show parameters: texts in quotation marks, arrays by what is in them, one that is hidden not at all
#: (src/rpc/util.cpp, RPCArg::ToString). All others stand there by their names.
_SHOWN = {
    **{
        name: f'"{name}"'
        for name in (
            *("action", "address", "blockhash", "command", "estimate_mode", "hexstring"),
            *("index_name", "name", "psbt", "start", "txid"),
        )
    },
    "rawtxs": '["rawtx",...]',
    "scanobjects": "[scanobjects,...]",
    "txids": '["txid",...]',
    "wait": "",
}


class Answer(NamedTuple):
    """The HTTP status and the JSON."""

    status: int
    body: str


def answer(node: Node, body: bytes) -> Answer:
    """Answer a request or a batch of them."""
    request_id: Any = None
    try:
        request = read(body)
        if isinstance(request, list):
            return Answer(OK, write([_one(node, item) for item in request]) + "\n")
        if not is_nested(request):
            raise RpcError(PARSE_ERROR, "Top-level object parse error")
        request_id = request.get("id")
        return Answer(OK, write(_reply(execute(node, request), None, request_id)) + "\n")
    except RpcError as error:
        return Answer(_STATUS.get(error.code, SERVER_ERROR), write(_reply(None, error, request_id)) + "\n")


def execute(node: Node, request: dict[str, Any]) -> Any:
    """Run one request and return its result; raises `RpcError`."""
    method, params = request.get("method"), request.get("params")
    if method is None:
        raise RpcError(INVALID_REQUEST, "Missing method")
    if not isinstance(method, str) or isinstance(method, Number):
        raise RpcError(INVALID_REQUEST, "Method must be a string")
    if params is not None and not is_nested(params):
        raise RpcError(INVALID_REQUEST, "Params must be an array or object")
    if method in WALLET_METHODS:
        names.check_wallet(node)
        raise RpcError(METHOD_NOT_FOUND, _NO_WALLET)
    command = COMMANDS.get(method)
    if command is None:
        raise RpcError(METHOD_NOT_FOUND, "Method not found")
    values = _by_place(command, params) if isinstance(params, dict) else params or []
    if not command.required <= len(values) <= len(command.names):
        raise RpcError(MISC_ERROR, _usage(method, command))
    try:
        return command.run(node, Params(values))
    except DoitrustError as error:  # the devnet's database: busy, damaged or without access
        raise RpcError(DATABASE_ERROR, error.message) from None


def _one(node: Node, request: Any) -> dict[str, Any]:
    """Answer one of a batch (JSONRPCExecOne)."""
    if not isinstance(request, dict):
        return _reply(None, RpcError(INVALID_REQUEST, "Invalid Request object"), None)
    try:
        return _reply(execute(node, request), None, request.get("id"))
    except RpcError as error:
        return _reply(None, error, request.get("id"))


def _reply(result: Any, error: RpcError | None, request_id: Any) -> dict[str, Any]:
    told = None if error is None else {"code": error.code, "message": error.message}
    return {"result": result, "error": told, "id": request_id}


def _by_place(command: Command, params: dict[str, Any]) -> list[Any]:
    """Put named parameters in their places, null where one is left out before others (transformNamedArguments)."""
    left, values, holes = dict(params), list[Any](), 0
    for names_of_one in command.names:
        given = next((name for name in names_of_one.split("|") if name in left), None)
        if given is None:
            holes += 1
            continue
        values += [*[None] * holes, left.pop(given)]
        holes = 0
    if left:
        raise RpcError(INVALID_PARAMETER, f"Unknown named parameter {next(iter(left))}")
    return values


def _usage(method: str, command: Command) -> str:
    """A method with its parameters."""
    first = [name.partition("|")[0] for name in command.names]
    shown = [_SHOWN.get(name, name) for name in first]
    needed, more = shown[: command.required], [name for name in shown[command.required :] if name]
    return " ".join([method, *needed, *(["(", *more, ")"] if more else [])])


def _help(_node: Node, given: Params) -> Any:
    """The methods by category, or how one is called."""
    asked = given.text(0) if given else ""
    if asked:
        command = COMMANDS.get(asked)
        return f"help: unknown command: {asked}" if command is None else _usage(asked, command)
    parts = []
    for category in sorted({command.category for command in COMMANDS.values()} - {"hidden"}):
        lines = [_usage(m, c) for m, c in sorted(COMMANDS.items()) if c.category == category]
        parts.append("\n".join([f"== {category.capitalize()} ==", *lines]))
    return "\n\n".join(parts)


def _stop(node: Node, given: Params) -> Any:
    """End the server after this answer."""
    node.stop()
    if isinstance(given[0], Number):
        time.sleep(max(0, min(given.integer(0) / 1000, _MAX_WAIT)))
    return "Doichain Core stopping"


COMMANDS: dict[str, Command] = {
    **blocks.COMMANDS,
    **mining.COMMANDS,
    **names.COMMANDS,
    **rawnames.COMMANDS,
    **scan.COMMANDS,
    **state.COMMANDS,
    **transactions.COMMANDS,
    "help": Command("control", _help, ("command",)),
    "stop": Command("control", _stop, ("wait",)),
}
