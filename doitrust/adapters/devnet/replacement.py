"""Replacement by fee: when a transaction may take the place of waiting ones that spend the same (BIP 125).

Pure. Source: src/validation.cpp (MemPoolAccept::PreChecks), src/util/rbf.h.
"""

from collections.abc import Collection

from doitrust.adapters.devnet.family import Family
from doitrust.adapters.devnet.policy import fee_at, relay_size
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.rules import Checked
from doitrust.chain.networks import SCHWARTZ_PER_DOI
from doitrust.chain.tx import Transaction

#: An input with at most this sequence allows its transaction to be replaced (MAX_BIP125_RBF_SEQUENCE).
MAX_SEQUENCE = 0xFFFFFFFD
#: Schwartz a 1000 virtual bytes that a replacement pays on top (src/policy/policy.h, DEFAULT_INCREMENTAL_RELAY_FEE).
INCREMENTAL_RATE = 1_000
_MOST_REPLACED = 100


def is_replaceable(tx: Transaction) -> bool:
    """Whether a transaction allows that another takes its place."""
    return any(sequence <= MAX_SEQUENCE for sequence in tx.sequences)


def check_replacement(checked: Checked, conflicts: Collection[str], family: Family) -> None:
    """Check a transaction that spends the coins of waiting `conflicts`. Raises `Rejected`, worded as the node does."""
    tx, size, ordered = checked.tx, relay_size(checked.spend), sorted(conflicts, key=_as_stored)
    above = {txid for parent in family.parents(tx) for txid in family.above(parent)}
    for txid in ordered:
        if txid in above:
            raise Rejected(
                "bad-txns-spends-conflicting-tx", f"{tx.txid} spends conflicting transaction {txid}"
            )
    # CFeeRate holds whole schwartz a 1000 bytes.
    rate = checked.fee * 1000 // size
    for txid in ordered:
        old = family.fee(txid) * 1000 // family.size(txid)
        if rate <= old:
            raise _insufficient(tx, f"; new feerate {_rate(rate)} <= old feerate {_rate(old)}")
    count = sum(len(family.below(txid)) for txid in conflicts)
    if count > _MOST_REPLACED:
        what = f"too many potential replacements ({count} > {_MOST_REPLACED})"
        raise Rejected("too many potential replacements", f"rejecting replacement {tx.txid}; {what}")
    known = {spent.txid for txid in conflicts for spent in family.waiting[txid].inputs}
    for index, spent in enumerate(tx.inputs):
        if spent.txid in family.waiting and spent.txid not in known:
            what = f"replacement {tx.txid} adds unconfirmed input, idx {index}"
            raise Rejected("replacement-adds-unconfirmed", what)
    replaced = sum(family.fee(txid) for txid in {below for txid in conflicts for below in family.below(txid)})
    more, least = checked.fee - replaced, fee_at(INCREMENTAL_RATE, size)
    if more < 0:
        raise _insufficient(
            tx, f", less fees than conflicting txs; {_money(checked.fee)} < {_money(replaced)}"
        )
    if more < least:
        raise _insufficient(tx, f", not enough additional fees to relay; {_money(more)} < {_money(least)}")


def _as_stored(txid: str) -> bytes:
    return bytes.fromhex(txid)[::-1]


def _insufficient(tx: Transaction, why: str) -> Rejected:
    return Rejected("insufficient fee", f"rejecting replacement {tx.txid}{why}")


def _rate(rate: int) -> str:
    """CFeeRate::ToString (src/policy/feerate.h, CURRENCY_UNIT)."""
    return f"{rate // SCHWARTZ_PER_DOI}.{rate % SCHWARTZ_PER_DOI:08} NMC/kB"


def _money(value: int) -> str:
    """FormatMoney (src/util/moneystr.cpp): at least two decimals."""
    whole, part = divmod(value, SCHWARTZ_PER_DOI)
    return f"{whole}.{f'{part:08}'.rstrip('0'):0<2}"
