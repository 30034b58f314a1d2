"""Doichain Core and the devnet live through the same: what comes in any order, good and spoilt, block after block.

What would stop a core doesn't come: a name's coin is spent under its own name only, and not shortly before it expires.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from arena import Arena, arena_in
from core_node import needs_core
from devnet_world import (
    ALICE,
    BOB,
    FINAL,
    MINER,
    NAME_AMOUNT,
    Coin,
    Key,
    World,
    coin_of,
    transaction,
    written,
)
from questions import about_blocks, about_coins, about_names, about_transactions

from doitrust.adapters.devnet.params import NAME_EXPIRY
from doitrust.chain.block import Block
from doitrust.chain.names import NAME_TX_VERSION, name_script, read_as_node
from doitrust.chain.tx import Output, Transaction
from doitrust.errors import BadData

pytestmark = needs_core

STEPS = 150
_KEYS = (ALICE, BOB, MINER)
_NAMES = ("bp/1", "bp/2", "bp/3", "bp/4", "bp_organization/x", "e/ü")


class Walk:
    """People who do this and that, by chance."""

    def __init__(self, arena: Arena, seed: int) -> None:
        self.world = arena.world
        self.chance = random.Random(seed)
        self.names: list[tuple[str, Coin]] = []
        self.sent: list[Transaction] = []

    def step(self) -> tuple[str, bytes]:
        """What is done next, and the transaction."""
        verbs = (
            self.pay,
            self.write,
            self.write,
            self.update,
            self.chain,
            self.double,
            self.spoil,
            self.wrong,
            self.again,
        )
        verb = self.chance.choice(verbs)
        return verb.__name__, verb()

    def coin(self) -> Coin:
        found = [
            (c, key)
            for key in _KEYS
            for c in self.world.devnet.coins(key.p2wpkh)
            if c.mature and c.value > 10**7
        ]
        coin, key = self.chance.choice(found)
        return replace(World.of(coin, key), sequence=self.chance.choice((FINAL, FINAL - 2)))

    def key(self) -> Key:
        return self.chance.choice(_KEYS)

    def fee(self) -> int:
        return self.chance.choice((0, 10_000, 20_000, 40_000, 50_000, 60_000, 100_000, 900_000, 3_000_000))

    def tx(self, *outputs: Output, coins: tuple[Coin, ...] = (), version: int = 2) -> Transaction:
        coins = (*coins, self.coin())
        change = sum(c.value for c in coins) - sum(o.value for o in outputs) - self.fee()
        return transaction(coins, [*outputs, Output(max(change, 0), self.key().p2wpkh)], version=version)

    def pay(self) -> bytes:
        value = self.chance.choice((1, 293, 294, 545, 10**6, 10**7))
        return self.tx(Output(value, self.chance.choice((self.key().p2wpkh, self.key().p2pkh)))).raw

    def named(self, name: str) -> Output:
        value = self.chance.choice(("", "v", "ü" * 20, "x" * 520, "{}"))
        amount = self.chance.choice((NAME_AMOUNT, NAME_AMOUNT, NAME_AMOUNT, NAME_AMOUNT - 1, 2 * NAME_AMOUNT))
        return written(name, value, self.key(), amount)

    def write(self) -> bytes:
        return self.tx(self.named(self.chance.choice(_NAMES)), version=NAME_TX_VERSION).raw

    def update(self) -> bytes:
        """Spend a name's coin, also one that was overwritten, under its own name."""
        tip = self.world.devnet.tip().height
        found = [(name, coin) for name, coin in self.names if self._is_young(coin, tip)]
        if not found:
            return self.write()
        name, coin = self.chance.choice(found)
        return self.tx(self.named(name), coins=(coin,), version=NAME_TX_VERSION).raw

    def _is_young(self, coin: Coin, tip: int) -> bool:
        located = self.world.devnet.transaction(coin.txid)
        if located is None or located.place is None or not self.world.devnet.is_unspent(coin.txid, coin.vout):
            return False
        return tip < located.place.height + NAME_EXPIRY - 8

    def chain(self) -> bytes:
        """Spend what still waits."""
        for tx in reversed(self.sent[-5:]):
            located = self.world.devnet.transaction(tx.txid)
            if located is None or located.place is not None or tx.version == NAME_TX_VERSION:
                continue
            for vout, output in enumerate(tx.outputs):
                key = next((key for key in _KEYS if output.script in (key.p2wpkh, key.p2pkh)), None)
                if key is not None and output.value > 10**6:
                    coin = coin_of(tx, vout, key)
                    return transaction([coin], [Output(coin.value - self.fee(), self.key().p2wpkh)]).raw
        return self.pay()

    def double(self) -> bytes:
        """Spend again what was spent lately."""
        for tx in reversed(self.sent[-8:]):
            first = tx.inputs[0]
            before = self.world.devnet.transaction(first.txid)
            if before is None:
                continue
            output = before.tx.outputs[first.vout]
            key = next((key for key in _KEYS if output.script == key.p2wpkh), None)
            if key is not None:
                coin = coin_of(before.tx, first.vout, key)
                fee = self.chance.choice((50_000, 70_000, 200_000))
                return transaction([coin], [Output(coin.value - fee, self.key().p2wpkh)]).raw
        return self.pay()

    def spoil(self) -> bytes:
        """Change a byte of a good transaction."""
        raw = bytearray(self.chance.choice((self.pay, self.write, self.update))())
        raw[self.chance.randrange(len(raw))] ^= 1 << self.chance.randrange(8)
        return bytes(raw)

    def wrong(self) -> bytes:
        """Break a rule of names."""
        output = self.named(self.chance.choice(_NAMES))
        kind = self.chance.randrange(6)
        if kind == 0:
            return self.tx(output, version=self.chance.choice((0, 1, 2, 3))).raw
        if kind == 1:
            return self.tx(output, self.named("bp/other"), version=NAME_TX_VERSION).raw
        if kind == 2:
            return self.tx(Output(10**6, self.key().p2wpkh), version=NAME_TX_VERSION).raw
        if kind == 3:
            size = self.chance.choice((255, 256, 600))
            long = name_script(b"n" * size, b"v" * self.chance.choice((1, 1023, 1024)), self.key().p2wpkh)
            return self.tx(Output(NAME_AMOUNT, long), version=NAME_TX_VERSION).raw
        stolen = [coin for _, coin in self.names]
        if kind == 4 and stolen:
            coin = self.chance.choice(stolen)
            thief = next(key for key in _KEYS if key != coin.key)
            return self.tx(
                output,
                coins=(Coin(*(coin.txid, coin.vout, coin.value, coin.script), thief),),
                version=NAME_TX_VERSION,
            ).raw
        if stolen:
            coins = (self.chance.choice(stolen), self.chance.choice(stolen))
            return self.tx(output, coins=coins, version=self.chance.choice((2, NAME_TX_VERSION))).raw
        return self.write()

    def again(self) -> bytes:
        return self.chance.choice(self.sent).raw if self.sent else self.pay()

    def accepted(self, tx: Transaction) -> None:
        """Remember what can be spent."""
        self.sent.append(tx)
        for vout, output in enumerate(tx.outputs):
            name, key = read_as_node(output.script), _owner(output.script)
            if name is not None and key is not None and name.written is not None:
                self.names.append((name.written[0].decode(), coin_of(tx, vout, key)))


def _owner(script: bytes) -> Key | None:
    """Whose it is, if it is P2WPKH."""
    return next((key for key in _KEYS if script.endswith(key.p2wpkh)), None)


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    with arena_in(tmp_path) as found:
        yield found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_walk(arena: Arena, seed: int) -> None:
    walk = Walk(arena, seed)
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(STEPS):
        verb, raw = walk.step()
        try:
            tx = Transaction.parse(raw)
        except BadData:
            tx = None  # the core must refuse it too
        differences, refused = arena.waiting(raw, tx)
        wrong += [f"step {number}, {verb}: {text}" for text in differences]
        counted[f"{verb}: {refused.partition(', ')[0].partition(' (')[0] or 'accepted'}"] += 1
        if not refused and tx is not None:
            walk.accepted(tx)
        elif tx is not None and not tx.is_coinbase and walk.chance.random() < 0.3:
            theirs, ours = arena.mined(arena.block([tx]))
            counted[f"in a block: {theirs.partition(' (')[0] or 'accepted'}"] += 1
            if theirs != ours:
                wrong.append(f"step {number}, {verb}: {theirs!r} of a block, of the devnet {ours!r}")
            if not theirs:
                walk.accepted(tx)
        if walk.chance.random() < 0.25:
            arena.world.devnet.mine(walk.chance.choice((1, 1, 1, 2, 3)))
            arena.sync()
            wrong += [f"step {number}: {text}" for text in (*arena.pools(), *arena.compare(("name_scan",)))]
    arena.world.devnet.mine(1)
    arena.sync()
    blocks = [Block.parse(raw) for raw in arena.raw_blocks()]
    questions = (*about_names(blocks), *about_coins(blocks), *about_blocks(blocks[100:]))
    wrong += arena.compare(*questions, *about_transactions([*blocks[:2], *blocks[110:]]))
    for rule, count in sorted(counted.items()):
        print(f"compared: {count:3} {rule}")  # noqa: T201  # for whoever looks with -s
    print(f"compared: {len(questions)} answers at the end; {len(blocks)} blocks")  # noqa: T201
    assert wrong == [], "\n".join(wrong)
