"""getrawmempool and getmempoolentry (src/rpc/blockchain.cpp, entryToJSON).

In the order in which they came, where a node sorts by ancestors and fees. When and at which height a transaction
came isn't kept: `time` and `height` are the tip's.
"""

from collections.abc import Callable
from typing import Any

from doitrust.adapters.devnet.policy import relay_size
from doitrust.adapters.devnet.rpc.call import Node, Params
from doitrust.adapters.devnet.rpc.values import INVALID_ADDRESS_OR_KEY, Amount, RpcError
from doitrust.adapters.devnet.rpc.wire import sequences, weight
from doitrust.adapters.devnet.store import Session
from doitrust.chain.engine import Spend
from doitrust.chain.tx import Output, Transaction

# Inputs below allow a replacement (BIP 125; src/util/rbf.h, MAX_BIP125_RBF_SEQUENCE); the devnet makes none.
_MAX_RBF_SEQUENCE = 0xFFFFFFFD


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


class Pool:
    """The mempool at one moment."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.waiting = {tx.txid: tx for tx in session.pool.transactions()}
        self.children: dict[str, list[str]] = {txid: [] for txid in self.waiting}
        for txid, tx in self.waiting.items():
            for parent in self.parents(tx):
                self.children[parent].append(txid)

    def parents(self, tx: Transaction) -> list[str]:
        """The waiting transactions that it spends from."""
        return sorted({spent.txid for spent in tx.inputs} & self.waiting.keys())

    def spent(self, txid: str) -> list[Output]:
        """What it spends."""
        found = []
        for spent in self.waiting[txid].inputs:
            parent = self.waiting.get(spent.txid)
            coin = self._session.chain.coin((spent.txid, spent.vout))
            if parent is not None:
                found.append(parent.outputs[spent.vout])
            elif coin is not None:
                found.append(Output(coin.value, coin.script))
        return found

    def fee(self, txid: str) -> int:
        """What it pays."""
        paid = sum(output.value for output in self.spent(txid))
        return paid - sum(output.value for output in self.waiting[txid].outputs)

    def size(self, txid: str) -> int:
        """Its virtual bytes as fees are asked for."""
        return relay_size(Spend(self.waiting[txid], self.spent(txid)))

    def reach(self, txid: str, step: Callable[[str], list[str]]) -> set[str]:
        """The transaction and all that `step` leads to."""
        found, ahead = {txid}, [txid]
        while ahead:
            new = set(step(ahead.pop())) - found
            found |= new
            ahead += new
        return found

    def entry(self, txid: str) -> dict[str, Any]:
        """What is told of one."""
        tx = self.waiting[txid]
        above = self.reach(txid, lambda other: self.parents(self.waiting[other]))
        below = self.reach(txid, lambda other: self.children[other])
        fee, tip = self.fee(txid), self._session.chain.tip()
        fees = {
            "base": Amount(fee),
            "modified": Amount(fee),
            "ancestor": Amount(sum(map(self.fee, above))),
            "descendant": Amount(sum(map(self.fee, below))),
        }
        return {
            "fees": fees,
            "vsize": self.size(txid),
            "weight": weight(tx),
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
            "bip125-replaceable": any(
                sequence <= _MAX_RBF_SEQUENCE
                for other in above
                for sequence in sequences(self.waiting[other])
            ),
            "unbroadcast": True,  # there is nobody to tell
        }
