"""What the chain accepts of a transaction: form, coins, amounts, locks and scripts. Names are in `names.py`.

Pure. Each rule names its source in Doichain Core (commit 7eb68ae); a refusal is `Rejected` with the node's own
reject reason. BIP30 is not enforced, as on the node: a coinbase that was mined before may come again, and what
it makes replaces what is there. The node may stop there (CCoinsViewCache::AddCoin throws if an *ordinary*
transaction comes again while its outputs are unspent); here they are just replaced.
"""

from collections.abc import Sequence
from typing import NamedTuple

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.names import check_names, names_written
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.view import MEMPOOL_HEIGHT, Coin, Overlay, Record, View
from doitrust.chain.engine import ScriptFailed, ScriptFlag, Spend
from doitrust.chain.tx import Output, Transaction

# src/primitives/transaction.h (CTxIn's SEQUENCE constants), src/script/script.h (LOCKTIME_THRESHOLD)
_SEQUENCE_FINAL = 0xFFFFFFFF
_SEQUENCE_DISABLE = 1 << 31
_SEQUENCE_IS_TIME = 1 << 22
_SEQUENCE_MASK = 0xFFFF
_SEQUENCE_GRANULARITY = 9
_LOCKTIME_THRESHOLD = 500_000_000
_NULL_OUTPOINT = ("00" * 32, 0xFFFFFFFF)
_OP_RETURN = 0x6A
# What the node says where the engine has later words (src/script/script_error.cpp).
_NODE_WORDS = {
    "Stack size must be exactly one after execution": "Extra items left on stack after execution",
    "Script number overflowed or is non-minimally encoded": "unknown error",
}


class Next(NamedTuple):
    """The place of a block to come: its height, the hash before it (as displayed), that one's median time."""

    height: int
    prev: str
    median_time: int


class Checked(NamedTuple):
    """A transaction that passed, with what it spends and pays (schwartz)."""

    tx: Transaction
    spend: Spend
    coins: tuple[Coin, ...]
    fee: int


def check_form(tx: Transaction) -> None:
    """Check what needs no chain (src/consensus/tx_check.cpp, CheckTransaction)."""
    if not tx.inputs:
        raise Rejected("bad-txns-vin-empty")
    if not tx.outputs:
        raise Rejected("bad-txns-vout-empty")
    if params.WITNESS_SCALE * tx.stripped_size > params.MAX_BLOCK_WEIGHT:
        raise Rejected("bad-txns-oversize")
    _check_outputs(tx)
    outpoints = {(i.txid, i.vout) for i in tx.inputs}
    if len(outpoints) != len(tx.inputs):
        raise Rejected("bad-txns-inputs-duplicate")
    if tx.is_coinbase:
        if not 2 <= len(tx.inputs[0].script_sig) <= 100:
            raise Rejected("bad-cb-length")
    elif _NULL_OUTPOINT in outpoints:
        raise Rejected("bad-txns-prevout-null")


def is_final(tx: Transaction, height: int, cutoff: int) -> bool:
    """Whether the lock time allows a place in block `height` (src/consensus/tx_verify.cpp, IsFinalTx)."""
    lock = tx.lock_time
    if lock == 0 or lock < (height if lock < _LOCKTIME_THRESHOLD else cutoff):
        return True
    return all(sequence == _SEQUENCE_FINAL for sequence in tx.sequences)


def check_transaction(tx: Transaction, view: View, at: Next, *, waiting: bool = False) -> Checked:
    """Check a transaction that is no coinbase against what the chain knows before it; scripts come after.

    `at` is the block it is to stand in; `waiting` tells that it is for the mempool, where the locks of BIP 68
    hold at every height. Raises `Rejected`.
    """
    coins = _coins(tx, view)
    check_names(tx, coins, at.height, view, waiting=waiting)
    fee = _check_amounts(tx, coins, at.height)
    spend = Spend(tx, [Output(coin.value, coin.script) for coin in coins])
    if (waiting or at.height >= params.CSV_HEIGHT) and not _sequence_locks(tx, coins, view, at):
        raise Rejected("non-BIP68-final" if waiting else "bad-txns-nonfinal")
    return Checked(tx, spend, coins, fee)


def check_scripts(checked: Checked, flags: ScriptFlag) -> None:
    """Run every input's scripts (src/validation.cpp, CheckInputScripts). Raises `Rejected`."""
    for index in range(len(checked.coins)):
        try:
            checked.spend.verify(index, flags)
        except ScriptFailed as error:
            # Of all flags the node calls only P2SH mandatory, so a bad signature of segwit is "non-mandatory".
            mandatory = _fails(checked.spend, index, ScriptFlag.P2SH)
            why = "mandatory-script-verify-flag-failed" if mandatory else "non-mandatory-script-verify-flag"
            words = _NODE_WORDS.get(error.message, error.message)
            raise Rejected(why, f"input {index}: {words}") from None


def apply(tx: Transaction, overlay: Overlay, height: int) -> None:
    """Spend and make the coins of a checked transaction (UpdateCoins), and write its names (ApplyNameTransaction)."""
    if not tx.is_coinbase:
        for spent in tx.inputs:
            overlay.coins[spent.txid, spent.vout] = None
    for vout, output in enumerate(tx.outputs):
        if not is_unspendable(output.script):
            overlay.coins[tx.txid, vout] = Coin(output.value, output.script, height, tx.is_coinbase)
    for name, outpoint in names_written(tx):
        overlay.records[name] = Record(height, *outpoint)


def is_unspendable(script: bytes) -> bool:
    """Whether an output with this script is never a coin (src/script/script.h, IsUnspendable)."""
    return script[:1] == bytes([_OP_RETURN]) or len(script) > params.MAX_SCRIPT_SIZE


def _check_outputs(tx: Transaction) -> None:
    total = 0
    for output in tx.outputs:
        if output.value < 0 or output.value >= 2**63:
            raise Rejected("bad-txns-vout-negative")
        if output.value > params.MAX_MONEY:
            raise Rejected("bad-txns-vout-toolarge")
        total += output.value
        if total > params.MAX_MONEY:
            raise Rejected("bad-txns-txouttotal-toolarge")


def _coins(tx: Transaction, view: View) -> tuple[Coin, ...]:
    coins = []
    for spent in tx.inputs:
        coin = view.coin((spent.txid, spent.vout))
        if coin is None:
            raise Rejected("bad-txns-inputs-missingorspent", f"{spent.txid}:{spent.vout}")
        coins.append(coin)
    return tuple(coins)


def _check_amounts(tx: Transaction, coins: Sequence[Coin], height: int) -> int:
    """Return the fee (src/consensus/tx_verify.cpp, CheckTxInputs)."""
    paid = 0
    for coin in coins:
        if coin.coinbase and height - coin.height < params.COINBASE_MATURITY:
            raise Rejected("bad-txns-premature-spend-of-coinbase", f"at depth {height - coin.height}")
        paid += coin.value
        if paid > params.MAX_MONEY:
            raise Rejected("bad-txns-inputvalues-outofrange")
    fee = paid - sum(output.value for output in tx.outputs)
    if fee < 0:
        raise Rejected("bad-txns-in-belowout", f"the outputs hold {-fee} schwartz more than the inputs")
    return fee


def _sequence_locks(tx: Transaction, coins: Sequence[Coin], view: View, at: Next) -> bool:
    """Whether the relative locks of BIP 68 are over (CalculateSequenceLocks, EvaluateSequenceLocks)."""
    if tx.version < 2:
        return True
    for sequence, coin in zip(tx.sequences, coins, strict=True):
        if sequence & _SEQUENCE_DISABLE:
            continue
        # What still waits is taken to be mined in this very block (CheckSequenceLocks).
        made_at = at.height if coin.height == MEMPOOL_HEIGHT else coin.height
        wait = sequence & _SEQUENCE_MASK
        if sequence & _SEQUENCE_IS_TIME:
            since = view.median_time(max(made_at - 1, 0))
            if since + (wait << _SEQUENCE_GRANULARITY) > at.median_time:
                return False
        elif made_at + wait > at.height:
            return False
    return True


def _fails(spend: Spend, index: int, flags: ScriptFlag) -> bool:
    try:
        spend.verify(index, flags)
    except ScriptFailed:
        return True
    return False
