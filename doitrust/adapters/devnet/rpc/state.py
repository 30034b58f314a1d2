"""The node's own state: mempool, network, fees, indexes (src/rpc/blockchain.cpp, net.cpp, mining.cpp, misc.cpp).

There are no peers, no fee estimates (as on a node that has seen too few blocks), no limit on the mempool.
"""

from typing import Any

from doitrust.adapters.devnet.policy import MIN_FEE_RATE
from doitrust.adapters.devnet.replacement import INCREMENTAL_RATE
from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.mempool import Pool, getmempoolentry, getrawmempool
from doitrust.adapters.devnet.rpc.values import INVALID_PARAMETER, Amount, RpcError

#: Doichain Core 0.20.1.11 (configure.ac; src/clientversion.h), and the protocol it speaks (src/version.h).
VERSION = 200_111
PROTOCOL_VERSION = 110_016
#: Bytes of a mempool (src/policy/policy.h, DEFAULT_MAX_MEMPOOL_SIZE).
_MAX_MEMPOOL = 300 * 1_000_000
#: The longest that fee estimates look ahead, in blocks (src/policy/fees.h), and their kinds (src/util/fees.cpp).
_MAX_TARGET = 1_008
_FEE_MODES = frozenset({"UNSET", "ECONOMICAL", "CONSERVATIVE", "NMC/KB", "SAT/B"})


def getmempoolinfo(node: Node, _given: Params) -> Any:
    """What waits, in sum."""
    with node.devnet.session() as session:
        pool = Pool(session)
        size = sum(map(pool.size, pool.waiting))
    waiting = pool.waiting.values()
    return {
        "loaded": True,
        "size": len(waiting),
        "bytes": size,
        "usage": sum(len(tx.raw) for tx in waiting),
        "maxmempool": _MAX_MEMPOOL,
        "mempoolminfee": Amount(MIN_FEE_RATE),
        "minrelaytxfee": Amount(MIN_FEE_RATE),
        "unbroadcastcount": len(waiting),
    }


def estimatesmartfee(_node: Node, given: Params) -> Any:
    """No estimate."""
    given.check("number", "string")
    if not 1 <= given.integer(0) <= _MAX_TARGET:
        raise RpcError(INVALID_PARAMETER, f"Invalid conf_target, must be between 1 - {_MAX_TARGET}")
    if given.has(1) and given.text(1).upper() not in _FEE_MODES:
        raise RpcError(INVALID_PARAMETER, "Invalid estimate_mode parameter")
    return {"errors": ["Insufficient data or no feerate found"], "blocks": 0}


def getnetworkinfo(_node: Node, _given: Params) -> Any:
    """A node without a network. The subversion says what it is."""
    return {
        "version": VERSION,
        "subversion": "/Satoshi:0.20.1.11(doitrust devnet)/",
        "protocolversion": PROTOCOL_VERSION,
        "localservices": f"{0:016x}",
        "localservicesnames": [],
        "localrelay": True,
        "timeoffset": 0,
        "networkactive": False,
        "connections": 0,
        "connections_in": 0,
        "connections_out": 0,
        "networks": [],
        "relayfee": Amount(MIN_FEE_RATE),
        "incrementalfee": Amount(INCREMENTAL_RATE),
        "localaddresses": [],
        "warnings": "",
    }


def getindexinfo(node: Node, given: Params) -> Any:
    """The index of transactions, which is always there."""
    name = given.text(0) if given.has(0) else ""
    if name not in ("", "txindex"):
        return {}
    return {"txindex": {"synced": True, "best_block_height": node.devnet.tip().height}}


def uptime(node: Node, _given: Params) -> Any:
    """Seconds since the start."""
    return node.uptime()


def listwallets(_node: Node, _given: Params) -> Any:
    """None."""
    return []


COMMANDS = {
    "estimatesmartfee": Command("util", estimatesmartfee, ("conf_target", "estimate_mode"), 1),
    "getindexinfo": Command("util", getindexinfo, ("index_name",)),
    "getmempoolentry": Command("blockchain", getmempoolentry, ("txid",), 1),
    "getmempoolinfo": Command("blockchain", getmempoolinfo),
    "getnetworkinfo": Command("network", getnetworkinfo),
    "getrawmempool": Command("blockchain", getrawmempool, ("verbose",)),
    "listwallets": Command("wallet", listwallets),
    "uptime": Command("control", uptime),
}
