"""Transactions that want to take the place of waiting ones (BIP 125), and what becomes of each."""

from collections.abc import Iterator
from dataclasses import replace

from devnet_world import ALICE, BOB, FEE, FINAL, NAME_AMOUNT, Coin, World, coin_of, transaction, written

from doitrust.chain.names import NAME_TX_VERSION
from doitrust.chain.tx import Output, Transaction

_OPTIN, _OPTOUT = FINAL - 2, FINAL - 1

#: A label, the transaction, and how the mempool's reason begins, empty if it is accepted.
Step = tuple[str, Transaction, str]


def steps(world: World) -> Iterator[Step]:
    """One after the other; each is to be sent before the next is asked for."""
    coins = [
        _marked(world.of(found, world.coin().key)) for found in world.devnet.coins(world.coin().key.p2wpkh)
    ]
    yield from _rates(coins[0])
    yield from _opt_out(coins[1])
    yield from _families(coins[2], coins[3])
    yield from _names(coins[4])
    yield from _many(coins[5])


def _marked(coin: Coin, sequence: int = _OPTIN) -> Coin:
    return replace(coin, sequence=sequence)


def _spend(*coins: Coin, fee: int, to: bytes = ALICE.p2wpkh) -> Transaction:
    return transaction(coins, [Output(sum(coin.value for coin in coins) - fee, to)])


def _size(tx: Transaction) -> int:
    """Virtual bytes of one that has a single input and output."""
    stripped = len(tx.raw) - 2 - sum(1 + 1 + sum(1 + len(item) for item in i.witness) for i in tx.inputs) + 1
    return -(-(3 * (stripped - 1) + len(tx.raw)) // 4)


def _rates(coin: Coin) -> Iterator[Step]:
    first = _spend(coin, fee=FEE)
    size = _size(first)
    yield "the first", first, ""
    yield "the same fee", _spend(coin, fee=FEE, to=BOB.p2wpkh), "insufficient fee"
    yield "a lower fee", _spend(coin, fee=FEE - 1), "insufficient fee"
    more = FEE + size // 2
    yield "too little more", _spend(coin, fee=more), "insufficient fee"
    yield "just enough more", _spend(coin, fee=FEE + size + 2), ""
    yield "the replaced one again", first, "insufficient fee"
    yield "and once more", _spend(coin, fee=FEE + 3 * size, to=BOB.p2wpkh), ""


def _opt_out(coin: Coin) -> Iterator[Step]:
    yield "one that can't be replaced", _spend(_marked(coin, _OPTOUT), fee=FEE), ""
    yield "its replacement", _spend(coin, fee=10 * FEE), "txn-mempool-conflict"


def _families(one: Coin, two: Coin) -> Iterator[Step]:
    parent, other = _spend(one, fee=FEE), _spend(two, fee=FEE)
    yield "a parent", parent, ""
    yield "another", other, ""
    child = _spend(_marked(coin_of(parent, 0, ALICE)), fee=FEE)
    yield "its child", child, ""
    yield "less than both paid", _spend(one, fee=2 * FEE - 1), "insufficient fee"
    mixed = _spend(one, _marked(coin_of(parent, 0, ALICE)), fee=10 * FEE)
    yield "one that needs what it replaces", mixed, "bad-txns-spends-conflicting-tx"
    unconfirmed = _spend(one, _marked(coin_of(other, 0, ALICE)), fee=10 * FEE)
    yield "one that needs another waiting one", unconfirmed, "replacement-adds-unconfirmed"
    yield (
        "a child of both parents' coins",
        _spend(_marked(coin_of(parent, 0, ALICE)), _marked(coin_of(other, 0, ALICE)), fee=10 * FEE),
        "replacement-adds-unconfirmed",
    )
    yield "more than both paid", _spend(one, fee=3 * FEE), ""
    yield "the child, now without a parent", child, "bad-txns-inputs-missingorspent"
    yield "two at once", _spend(one, two, fee=6 * FEE), ""


def _names(coin: Coin) -> Iterator[Step]:
    def write(value: str, fee: int) -> Transaction:
        outputs = [written("bp/1", value, ALICE), Output(coin.value - NAME_AMOUNT - fee, ALICE.p2wpkh)]
        return transaction([coin], outputs, version=NAME_TX_VERSION)

    yield "a name", write("first", FEE), ""
    yield "the same name for more", write("second", 2 * FEE), ""
    yield "and back for less", write("third", FEE), "insufficient fee"


def _many(coin: Coin) -> Iterator[Step]:
    """More than a hundred would go; a core takes no longer a chain than 25, so they stand side by side."""
    share = (coin.value - 10 * FEE) // 24
    root = transaction([coin], [Output(share, ALICE.p2wpkh)] * 24)
    yield "one with many outputs", root, ""
    for vout in range(23):
        yield f"child {vout}", _spend(_marked(coin_of(root, vout, ALICE)), fee=FEE), ""
    yield "one for all of them", _spend(coin, fee=coin.value // 2), "absurdly-high-fee"
    yield "one for all of them, cheaper", _spend(coin, fee=FEE * 20), "insufficient fee"
