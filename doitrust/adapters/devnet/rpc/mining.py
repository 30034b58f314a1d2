"""Blocks on demand, and blocks given up (src/rpc/mining.cpp, blockchain.cpp)."""

from typing import Any

from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.values import DATABASE_ERROR, INVALID_ADDRESS_OR_KEY, RpcError
from doitrust.chain.address import script_of
from doitrust.chain.networks import REGTEST
from doitrust.errors import BadData, Usage


def generatetoaddress(node: Node, given: Params) -> Any:
    """Mine blocks of what waits that pay to an address."""
    count = given.integer(0)
    tries = given.integer(2) if given.has(2) else 1
    try:
        script = script_of(given.text(1), REGTEST)
    except BadData:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Error: Invalid address") from None
    # One at a time: others want to write, too.
    return [node.devnet.mine(1, script)[0] for _ in range(count if tries else 0)]


def invalidateblock(node: Node, given: Params) -> Any:
    """Give a block up with all above it."""
    try:
        found = node.devnet.forbid(given.digest(0, "blockhash"))
    except Usage as error:  # a node would end itself
        raise RpcError(DATABASE_ERROR, error.message) from None
    return _found(found)


def reconsiderblock(node: Node, given: Params) -> Any:
    """Take it again."""
    return _found(node.devnet.allow(given.digest(0, "blockhash")))


def _found(found: bool) -> None:
    if not found:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Block not found")


COMMANDS = {
    "generatetoaddress": Command("generating", generatetoaddress, ("nblocks", "address", "maxtries"), 2),
    "invalidateblock": Command("hidden", invalidateblock, ("blockhash",), 1),
    "reconsiderblock": Command("hidden", reconsiderblock, ("blockhash",), 1),
}
