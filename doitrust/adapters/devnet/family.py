"""What waits, as a family: who spends from whom, and what each pays (src/txmempool.h, CTxMemPoolEntry)."""

from collections.abc import Callable, Iterable

from doitrust.adapters.devnet.policy import relay_size
from doitrust.adapters.devnet.view import Coin, Outpoint
from doitrust.chain.engine import Spend
from doitrust.chain.tx import Output, Transaction


class Family:
    """The `waiting` transactions at one moment, over the chain whose `coin`s they spend."""

    def __init__(self, waiting: Iterable[Transaction], coin: Callable[[Outpoint], Coin | None]) -> None:
        self._coin = coin
        self.waiting = {tx.txid: tx for tx in waiting}
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
            coin = self._coin((spent.txid, spent.vout))
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

    def above(self, txid: str) -> set[str]:
        """The transaction and all waiting ones that it needs."""
        return self._reach(txid, lambda other: self.parents(self.waiting[other]))

    def below(self, txid: str) -> set[str]:
        """The transaction and all waiting ones that need it."""
        return self._reach(txid, lambda other: self.children[other])

    def _reach(self, txid: str, step: Callable[[str], list[str]]) -> set[str]:
        found, ahead = {txid}, [txid]
        while ahead:
            new = set(step(ahead.pop())) - found
            found |= new
            ahead += new
        return found
