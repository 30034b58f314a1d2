"""Making a draft from what the chain has to spend."""

from collections.abc import Sequence
from typing import NamedTuple

from doitrust.chain.accounts import Account
from doitrust.chain.address import address_of
from doitrust.chain.descriptors import OwnScript
from doitrust.chain.draft import MAX_INPUTS, NOT_ENOUGH, Coin, Draft, Fee, compose
from doitrust.chain.expiry import is_near_expiry
from doitrust.chain.mandate import Mandate
from doitrust.chain.names import NameOutput
from doitrust.chain.tx import Output, Transaction
from doitrust.errors import Refused, Unavailable
from doitrust.ports import Journal, Node, UnspentCoin
from doitrust.trust.policy import MAX_WRITES


class Order(NamedTuple):
    """What is to be signed by `account`'s keys, with coins of `source`: a `name` written, `payments` made."""

    account: Account
    source: OwnScript
    name: NameOutput | None = None
    payments: tuple[Output, ...] = ()


def draft(node: Node, journal: Journal, order: Order) -> Draft:
    """Make the transaction that does what `order` says. Raises `Refused` if there is not enough to spend.

    A name's coin is spent where it can be, under its own name and far from its expiry; otherwise the name is written
    without it, which the chain allows as well.
    """
    height = node.tip().height + 1
    used = journal.in_use()
    named = None if order.name is None else name_coin(node, order.name.name, order.source.script, height)
    if named is not None and (named[0].previous.txid, named[0].vout) in used:
        raise Refused("an earlier write of this name is still under way", hint="doitrust tx resume")
    written = {} if named is None else {(named[0].previous.txid, named[0].vout): named[1]}
    mandate = Mandate(
        node.network,
        order.account,
        frozenset({order.source.script}),
        height,
        order.name,
        order.payments,
        written,
    )
    try:
        coins = _coins(node, journal, order.source.script, used)
        return compose(mandate, order.source, coins, named and named[0], Fee(node.fee_rate()))
    except Refused as error:
        if error.code != NOT_ENOUGH:
            raise
        address = address_of(order.source.script, node.network)
        raise Refused(error.message, hint=f"pay DOI to {address}", code=NOT_ENOUGH) from None


def name_coin(node: Node, name: bytes, owner: bytes, height: int) -> tuple[Coin, int] | None:
    """The coin of the last write of `name`, if it is `owner`'s and block `height` may spend it, and its height."""
    history = node.history(name, MAX_WRITES)
    last = node.transaction(history[-1]) if history else None
    if last is None or last.place is None or is_near_expiry(node.network, last.place.height, height):
        return None
    for vout, output in last.tx.writes:
        if (output.name, output.owner_script) == (name, owner) and node.is_unspent(last.tx.txid, vout):
            return Coin(last.tx, vout), last.place.height
    return None


def _coins(node: Node, journal: Journal, script: bytes, used: set[tuple[str, int]]) -> list[Coin]:
    """The coins to choose from, oldest first: those in the chain, then change that our own transactions wait with."""
    found = free_coins(node, used, script)
    known = {(coin.previous.txid, coin.vout) for coin in found}
    for entry in journal.entries():
        located = node.transaction(entry.tx.txid) if entry.is_open else None
        if located is None or located.place is not None:
            continue
        for vout, output in enumerate(entry.tx.outputs):
            outpoint = (entry.tx.txid, vout)
            if output.script == script and outpoint not in used | known:
                found.append(Coin(entry.tx, vout))
    return found


def free_coins(node: Node, used: set[tuple[str, int]], script: bytes) -> list[Coin]:
    """The coins in the chain on `script` that nobody spends and that are not in `used`, oldest first."""
    free = [c for c in node.coins(script) if c.mature and (c.txid, c.vout) not in used]
    return [Coin(_previous(node, coin.txid), coin.vout) for coin in bounded(free)]


def bounded(coins: Sequence[UnspentCoin]) -> list[UnspentCoin]:
    """The oldest and the largest: no transaction takes more."""
    largest = sorted(coins, key=lambda coin: -coin.value)[:MAX_INPUTS]
    kept = {(coin.txid, coin.vout) for coin in [*coins[:MAX_INPUTS], *largest]}
    return [coin for coin in coins if (coin.txid, coin.vout) in kept]


def _previous(node: Node, txid: str) -> Transaction:
    located = node.transaction(txid)
    if located is None:
        raise Unavailable(f"the transaction {txid}, whose coin is to be spent, can't be had")
    return located.tx
