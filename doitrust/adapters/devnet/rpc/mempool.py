"""getrawmempool and getmempoolentry (src/rpc/blockchain.cpp, entryToJSON).

In the order in which they came, where a node sorts by ancestors and fees. When and at which height a transaction
came isn't kept: `time` and `height` are the tip's.
"""

from typing import Any

from doitrust.adapters.devnet.family import Family
from doitrust.adapters.devnet.replacement import is_replaceable
from doitrust.adapters.devnet.rpc.call import Node, Params
from doitrust.adapters.devnet.rpc.values import INVALID_ADDRESS_OR_KEY, Amount, RpcError
from doitrust.adapters.devnet.store import Session


def getrawmempool(node: Node, given: Params) -> Any:
    """What waits."""
    if not given.boolean(0, False):
        return node.devnet.waiting()
    with node.devnet.session() as session:
        pool = Pool(session)
        return {txid: pool.entry(txid) for txid in pool.waiting}


def getmempoolentry(node: Node, given: Params) -> Any:
    """One that waits."""
    txid = given.digest(0, "parameter 1")
    with node.devnet.session() as session:
        pool = Pool(session)
        if txid not in pool.waiting:
            raise RpcError(INVALID_ADDRESS_OR_KEY, "Transaction not in mempool")
        return pool.entry(txid)


class Pool(Family):
    """The mempool at one moment."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.pool.transactions(), session.chain.coin)
        self._tip = session.chain.tip()

    def entry(self, txid: str) -> dict[str, Any]:
        """What is told of one."""
        tx, above, below = self.waiting[txid], self.above(txid), self.below(txid)
        fee, tip = self.fee(txid), self._tip
        fees = {
            "base": Amount(fee),
            "modified": Amount(fee),
            "ancestor": Amount(sum(map(self.fee, above))),
            "descendant": Amount(sum(map(self.fee, below))),
        }
        return {
            "fees": fees,
            "vsize": self.size(txid),
            "weight": tx.weight,
            "fee": Amount(fee),
            "modifiedfee": Amount(fee),
            "time": tip.time,
            "height": tip.height,
            "descendantcount": len(below),
            "descendantsize": sum(map(self.size, below)),
            "descendantfees": int(fees["descendant"]),
            "ancestorcount": len(above),
            "ancestorsize": sum(map(self.size, above)),
            "ancestorfees": int(fees["ancestor"]),
            "wtxid": tx.wtxid[::-1].hex(),
            "depends": self.parents(tx),
            "spentby": self.children[txid],
            "bip125-replaceable": any(is_replaceable(self.waiting[other]) for other in above),
            "unbroadcast": True,  # there is nobody to tell
        }
