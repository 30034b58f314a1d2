"""Replacing what waits too long: the same once more for a higher fee (BIP 125).

Only the last of several that spend from each other is made anew: its fee then pays for those before it, and to replace
an earlier one would throw the later ones away.
"""

from collections.abc import Sequence

from doitrust.chain.accounts import Account
from doitrust.chain.descriptors import OwnScript
from doitrust.chain.draft import Coin, Draft, Fee, compose
from doitrust.chain.expiry import is_near_expiry
from doitrust.chain.mandate import Mandate
from doitrust.chain.names import NameOutput, read_as_node, strip_name
from doitrust.chain.tx import Output, Transaction
from doitrust.errors import Refused, Unavailable
from doitrust.ports import Entry, Journal, Node
from doitrust.workflows.spending import free_coins


def is_last(entries: Sequence[Entry], entry: Entry) -> bool:
    """Whether no other open entry spends what `entry` makes."""
    return not any(entry.tx.txid in _parents(other.tx) for other in entries if other.is_open)


def source_script(node: Node, tx: Transaction) -> bytes:
    """The one address script whose coins `tx` spends; raises `Refused` if there are several."""
    scripts = {strip_name(coin.output.script) for coin in _spent(node, tx)}
    if len(scripts) != 1:
        raise Refused("its inputs belong to several: it can't be made anew here", code="not_ours")
    return scripts.pop()


def bump(node: Node, journal: Journal, entry: Entry, account: Account, source: OwnScript) -> Draft:
    """Draft what does the same as `entry` for more: what `node` asks now, and at least what a replacement needs.

    It spends a coin that `entry` spends, so only one of them can ever be mined. Raises `Refused` if there is not
    enough, or if it would be more than our signers pay.
    """
    height = node.tip().height + 1
    old, written = _spent(node, entry.tx), {}
    for coin in old:
        located = node.transaction(coin.previous.txid)
        is_name = read_as_node(coin.output.script) is not None
        # Close to its expiry it is left out: a waiting transaction that spends it can stop the chain.
        place = None if located is None or not is_name else located.place
        if place is not None and not is_near_expiry(node.network, place.height, height):
            written[coin.previous.txid, coin.vout] = place.height
    named = [coin for coin in old if (coin.previous.txid, coin.vout) in written]
    rest = [coin for coin in old if read_as_node(coin.output.script) is None]
    if not named and not rest:
        raise Refused("it spends a name's coin alone, which is close to its expiry", code="near_expiry")
    name, payments = _asked(entry.tx, source.script)
    mandate = Mandate(
        node.network, account, frozenset({source.script}), height, name, tuple(payments), written
    )
    more = [coin for coin in free_coins(node, journal.in_use(), source.script) if coin not in rest]
    rate = node.fee_rate()
    fee = Fee(rate, _owed(journal.entries(), entry, rate), entry.fee, entry.tx.vsize)
    return compose(mandate, source, [*rest, *more], named[0] if named else None, fee)


def replaced(entries: Sequence[Entry], tx: Transaction, fee: int, own: bytes) -> Entry | None:
    """The open entry that `tx` does the same as, for more, with coins of the script `own`; None if there is none."""
    for entry in entries:
        shared = {(i.txid, i.vout) for i in tx.inputs} & {(i.txid, i.vout) for i in entry.tx.inputs}
        same = _asked(entry.tx, own) == _asked(tx, own)
        if entry.is_open and entry.tx.txid != tx.txid and shared and same and fee > entry.fee:
            return entry
    return None


def _asked(tx: Transaction, own: bytes) -> tuple[NameOutput | None, list[Output]]:
    """What a transaction was made for: the name it writes, and what it pays to others."""
    names = [output for _, output in tx.writes]
    paid = [o for o in tx.outputs if read_as_node(o.script) is None and o.script != own]
    return names[0] if names else None, sorted(paid)


def _spent(node: Node, tx: Transaction) -> list[Coin]:
    found = []
    for spent in tx.inputs:
        located = node.transaction(spent.txid)
        if located is None or spent.vout >= len(located.tx.outputs):
            raise Unavailable(
                f"the transaction {spent.txid}, whose coin it spends, can't be had", hint="doitrust tx resume"
            )
        found.append(Coin(located.tx, spent.vout))
    return found


def _owed(entries: Sequence[Entry], entry: Entry, rate: int) -> int:
    """What open entries that `entry` rests on pay less than `rate`, in schwartz: miners take them together."""
    waiting = {other.tx.txid: other for other in entries if other.is_open}
    above: dict[str, Entry] = {}
    ahead = [entry]
    while ahead:
        for txid in _parents(ahead.pop().tx) & waiting.keys() - above.keys():
            above[txid] = waiting[txid]
            ahead.append(waiting[txid])
    return sum(max(0, rate * other.tx.vsize // 1000 - other.fee) for other in above.values())


def _parents(tx: Transaction) -> set[str]:
    return {spent.txid for spent in tx.inputs}
