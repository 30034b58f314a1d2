"""Payments from the devnet's own miner: whoever tries things out needs coins.

The miner's key is public (`miner.py`), so this is no more than what anybody could do with it.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.miner import Chosen, miner_key
from doitrust.adapters.devnet.policy import MIN_FEE_RATE, dust_limit, fee_at
from doitrust.adapters.devnet.store import Session
from doitrust.adapters.devnet.view import Coin, Outpoint
from doitrust.chain.address import hash160
from doitrust.chain.amounts import doi
from doitrust.chain.scripts import p2pkh
from doitrust.chain.signing import sign_digest
from doitrust.chain.tx import SIGHASH_ALL, Input, Output, Transaction
from doitrust.errors import Refused, Usage

#: Virtual bytes of a P2WPKH input with the longest signature, of an output without its script, and of the rest
#: with a count of up to 65,535 inputs (BIP 141, BIP 144).
_INPUT_SIZE, _OUTPUT_SIZE, _REST_SIZE = 68, 9, 13
#: A transaction of more inputs comes near the weight that nodes relay (src/policy/policy.h,
#: MAX_STANDARD_TX_WEIGHT: 400,000, of which each takes 272).
_MAX_INPUTS = 1_000
_INPUT_FEE = fee_at(MIN_FEE_RATE, _INPUT_SIZE)
_FINAL = 0xFFFFFFFF


class Funded(NamedTuple):
    """A payment in the chain: its txid, the blocks mined for it (its own included), and its height."""

    txid: str
    mined: int
    height: int


def fund(session: Session, mine: Callable[[Chosen], object], script: bytes, amount: int) -> Funded:
    """Pay `amount` schwartz from the miner's coins to `script`, in a block of its own.

    First mines as many empty blocks as it takes for enough coins to be mature. What waits in the mempool keeps
    waiting. Raises `Usage` for an amount that no node relays, `Refused` for one that the miner can never pay.
    """
    if amount < dust_limit(script):
        raise Usage(
            f"{doi(amount)} DOI is too little for an output of its own",
            hint=f"at least {doi(dust_limit(script))} DOI",
        )
    wanted = amount + fee_at(MIN_FEE_RATE, _size(script, miner_key().script))
    before = _blocks_needed(session, wanted, amount)
    for _ in range(before):
        mine(Chosen((), 0))
    height = session.chain.next().height
    coins = _largest((c for c in _coins(session) if _mature_at(c[1]) <= height), wanted)
    tx, fee = _payment(coins, Output(amount, script))
    session.pool.admit(tx, relay=True)
    mine(Chosen((tx,), fee))
    return Funded(tx.txid, before + 1, height)


def _blocks_needed(session: Session, wanted: int, amount: int) -> int:
    """Return how many blocks must come before enough coins are mature; raises `Refused` if they never are."""
    height = session.chain.next().height
    ripening: dict[int, int] = {}
    gathered = 0
    for _, coin in _coins(session):
        if _mature_at(coin) <= height:
            gathered += max(0, coin.value - _INPUT_FEE)
        else:
            ripening[_mature_at(coin)] = ripening.get(_mature_at(coin), 0) + max(0, coin.value - _INPUT_FEE)
    last = height + params.COINBASE_MATURITY  # by then all that there is has ripened
    count = 0
    while gathered < wanted:
        new = max(0, params.subsidy(height + count) - _INPUT_FEE)
        if new == 0 and height + count >= last:
            raise Refused(
                f"the devnet's miner can't pay {doi(amount)} DOI: less than {doi(gathered)} DOI is left for it, "
                "with all the subsidy to come",
                hint="to have it all again: doitrust devnet reset; or use another folder with --devnet",
            )
        if new:
            last = max(last, height + count + params.COINBASE_MATURITY)
            at = height + count + params.COINBASE_MATURITY
            ripening[at] = ripening.get(at, 0) + new
        count += 1
        gathered += ripening.get(height + count, 0)
    return count


def _coins(session: Session) -> Iterable[tuple[Outpoint, Coin]]:
    """The miner's coins in the chain that nothing in the mempool spends."""
    for outpoint, coin in session.chain.coins_of(miner_key().script):
        if session.pool.spender(outpoint) is None:
            yield outpoint, coin


def _mature_at(coin: Coin) -> int:
    """The first height at which the coin can be spent (src/consensus/tx_verify.cpp, CheckTxInputs)."""
    return coin.height + (params.COINBASE_MATURITY if coin.coinbase else 0)


def _largest(coins: Iterable[tuple[Outpoint, Coin]], wanted: int) -> list[tuple[Outpoint, Coin]]:
    """Return the largest coins that hold `wanted` beside the fees for spending them."""
    chosen: list[tuple[Outpoint, Coin]] = []
    for found in sorted(coins, key=lambda c: (-c[1].value, c[0])):
        if wanted <= 0:
            break
        chosen.append(found)
        wanted -= found[1].value - _INPUT_FEE
    if len(chosen) > _MAX_INPUTS:
        raise Refused(
            f"that takes {len(chosen)} coins of the miner's, more than {_MAX_INPUTS} in one payment",
            hint="pay it in parts",
        )
    return chosen


def _payment(coins: list[tuple[Outpoint, Coin]], output: Output) -> tuple[Transaction, int]:
    """Return the signed payment and its fee; what is over goes back to the miner, unless it is dust."""
    miner = miner_key()
    fee = fee_at(MIN_FEE_RATE, _size(output.script, miner.script) + _INPUT_SIZE * len(coins))
    held = sum(coin.value for _, coin in coins)
    change = held - output.value - fee
    outputs = [output, Output(change, miner.script)] if change >= dust_limit(miner.script) else [output]
    bare = Transaction.build(2, 0, [(Input(*outpoint, b"", ()), _FINAL) for outpoint, _ in coins], outputs)
    code = p2pkh(hash160(miner.public))
    inputs = []
    for index, (outpoint, coin) in enumerate(coins):
        digest = bare.signature_hash(index, code, coin.value, SIGHASH_ALL)
        signature = sign_digest(miner.secret, digest) + bytes([SIGHASH_ALL])
        inputs.append((Input(*outpoint, b"", (signature, miner.public)), _FINAL))
    tx = Transaction.build(2, 0, inputs, outputs)
    return tx, held - sum(out.value for out in outputs)


def _size(*scripts: bytes) -> int:
    """Virtual bytes of a payment to `scripts`, without its inputs."""
    return _REST_SIZE + sum(_OUTPUT_SIZE + len(script) for script in scripts)
