"""Evidence as it will be once a transaction of ours is mined: what a consumer will judge then."""

from collections.abc import Mapping
from dataclasses import replace

from doitrust.chain.tx import Transaction
from doitrust.trust.evidence import Evidence, Located, Place, Tip

#: The block that isn't there yet.
_BLOCK = "f" * 64


def foresee(
    evidence: Evidence, tx: Transaction, previous: Mapping[str, Transaction], confirmations: int
) -> Evidence:
    """Return `evidence` with `tx`, and what it spends, mined in the next block and `confirmations` deep.

    What is in the chain already stays where it is, and gets at least as deep. Nothing else happens meanwhile: what
    the mempool holds of others is left as it waits, but for what spends the same coins: that can't be mined any more.
    """
    tip = evidence.tip
    later = Tip(tip.height + confirmations, _BLOCK, tip.time, tip.work)
    found = {txid: Located(spent, None) for txid, spent in previous.items()}
    known = evidence.transactions.get(tx.txid)
    place = known.place if known is not None and known.place else Place(_BLOCK, tip.height + 1, 1, None)
    spent = {(i.txid, i.vout) for i in tx.inputs}
    kept = {
        txid: located
        for txid, located in evidence.transactions.items()
        if located.place is not None or spent.isdisjoint((i.txid, i.vout) for i in located.tx.inputs)
    }
    transactions = {**found, **kept, tx.txid: Located(tx, place)}
    return replace(evidence, tip=later, transactions=transactions)
