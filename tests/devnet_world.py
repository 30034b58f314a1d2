"""What the devnet's tests share: recorded chains, a world with money in it, and transactions made by hand."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import coincurve

from doitrust.adapters.devnet import Devnet, miner_key
from doitrust.chain.address import hash160
from doitrust.chain.block import Block
from doitrust.chain.names import NAME_TX_VERSION, name_script
from doitrust.chain.scripts import p2pkh, p2wpkh, push
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.ports import UnspentCoin

ROOT = Path(__file__).resolve().parents[1]
FINAL = 0xFFFFFFFF
NAME_AMOUNT = 1_000_000
FEE = 50_000


@cache
def recorded_file(number: int) -> Path:
    """Return one of the two chains recorded from a node."""
    name = f"doichain-regtest-{number}.json"
    places = (ROOT / "fixtures" / "chains", ROOT / "doitrust" / "data", ROOT.parent / "shared" / "vectors")
    return next(place / name for place in places if (place / name).is_file())


@cache
def recorded_json(number: int) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(recorded_file(number).read_text(encoding="utf-8"))
    return value


@cache
def recorded_blocks(number: int) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(text) for text in recorded_json(number)["blocks"])


@dataclass(frozen=True)
class Key:
    """A private key with its scripts."""

    secret: bytes
    public: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "public", coincurve.PrivateKey(self.secret).public_key.format())

    @classmethod
    def named(cls, text: str) -> "Key":
        return cls(sha256(text.encode()).digest())

    @property
    def p2wpkh(self) -> bytes:
        return p2wpkh(hash160(self.public))

    @property
    def p2pkh(self) -> bytes:
        return p2pkh(hash160(self.public))

    def sign(self, digest: bytes, hash_type: int = 1) -> bytes:
        return coincurve.PrivateKey(self.secret).sign(digest, hasher=None) + bytes([hash_type])


MINER = Key(miner_key().secret)
ALICE, BOB = Key.named("alice"), Key.named("bob")


@dataclass(frozen=True)
class Coin:
    """A coin to spend, and whose key signs for it."""

    txid: str
    vout: int
    value: int
    script: bytes
    key: Key
    sequence: int = FINAL


def transaction(
    coins: Sequence[Coin], outputs: Sequence[Output], *, version: int = 2, lock_time: int = 0
) -> Transaction:
    """Return a signed transaction. Legacy inputs sign the whole script, all others as P2WPKH."""
    unsigned = [(Input(coin.txid, coin.vout, b"", ()), coin.sequence) for coin in coins]
    bare = Transaction.build(version, lock_time, unsigned, outputs)
    inputs = []
    for index, coin in enumerate(coins):
        if coin.script.endswith(coin.key.p2pkh):
            digest = bare.signature_hash(index, coin.script, None, 1)
            spent = Input(coin.txid, coin.vout, push(coin.key.sign(digest)) + push(coin.key.public), ())
        else:
            digest = bare.signature_hash(index, coin.key.p2pkh, coin.value, 1)
            spent = Input(coin.txid, coin.vout, b"", (coin.key.sign(digest), coin.key.public))
        inputs.append((spent, coin.sequence))
    return Transaction.build(version, lock_time, inputs, outputs)


def coin_of(tx: Transaction, vout: int, key: Key, sequence: int = FINAL) -> Coin:
    return Coin(tx.txid, vout, tx.outputs[vout].value, tx.outputs[vout].script, key, sequence)


def written(name: str, value: str, key: Key, amount: int = NAME_AMOUNT) -> Output:
    return Output(amount, name_script(name.encode(), value.encode(), key.p2wpkh))


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: int = 1_800_000_000) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class World:
    """A devnet with mature coinbases and verbs."""

    def __init__(self, directory: Path, blocks: int = 110) -> None:
        self.clock = Clock()
        self.devnet = Devnet(directory, clock=self.clock)
        self.devnet.mine(blocks)

    def coin(self, key: Key = MINER, index: int = 0) -> Coin:
        """Return a mature coin of `key` that nobody spends yet."""
        found = [c for c in self.devnet.coins(key.p2wpkh) if c.mature][index]
        return self.of(found, key)

    @staticmethod
    def of(found: UnspentCoin, key: Key) -> Coin:
        return Coin(found.txid, found.vout, found.value, key.p2wpkh, key)

    def pay(
        self, *outputs: Output, coins: Sequence[Coin] = (), version: int = 2, fee: int = FEE
    ) -> Transaction:
        """Make a payment from a coin of the miner's (unless `coins` are given), the change going back to it."""
        coins = coins or [self.coin()]
        change = sum(c.value for c in coins) - sum(o.value for o in outputs) - fee
        return transaction(coins, [*outputs, Output(change, MINER.p2wpkh)], version=version)

    def write(self, name: str, value: str, key: Key = ALICE, coins: Sequence[Coin] = ()) -> Transaction:
        """Make a name_doi that `key` will own."""
        return self.pay(written(name, value, key), coins=coins, version=NAME_TX_VERSION)

    def send(self, tx: Transaction) -> str:
        return self.devnet.broadcast(tx.raw)

    def tip_block(self) -> Block:
        return Block.parse(self.devnet.block(self.devnet.tip().height) or b"")
