"""Drafts: transactions before they are signed. Which coins, how much change, how high a fee."""

from collections.abc import Sequence
from typing import NamedTuple

from doitrust.chain.amounts import doi
from doitrust.chain.descriptors import OwnScript
from doitrust.chain.mandate import (
    MIN_FEE_RATE,
    NAME_AMOUNT,
    PAYMENT_VERSION,
    Mandate,
    most_fee,
    permit,
)
from doitrust.chain.names import NAME_TX_VERSION, name_script
from doitrust.chain.psbt import Psbt
from doitrust.chain.psbt_sign import estimated_vsize
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import Refused

#: L1: a write in a transaction with more inputs is as if absent.
MAX_INPUTS = 16
#: The schwartz that an output has to hold so that nodes relay it, generously: GetDustThreshold gives 546 for P2PKH,
#: the largest (src/policy/policy.cpp).
DUST = 546
#: It may be replaced by one that pays more (BIP 125).
SEQUENCE = 0xFFFFFFFD

NOT_ENOUGH = "not_enough_doi"


class Coin(NamedTuple):
    """An output that can be spent, with the transaction that made it."""

    previous: Transaction
    vout: int

    @property
    def output(self) -> Output:
        """The output itself."""
        return self.previous.outputs[self.vout]


class Fee(NamedTuple):
    """How much a transaction pays, in schwartz: `rate` for 1000 virtual bytes, and `extra` for what it carries along.

    `extra` is paid as far as a signer may pay it. One that takes the place of another, which pays `replaced` for
    `replaced_size` virtual bytes, pays that and the least rate for itself on top, and a higher rate: more than what
    nodes ask for (BIP 125, rules 3 and 4; src/validation.cpp, «new feerate»).
    """

    rate: int = MIN_FEE_RATE
    extra: int = 0
    replaced: int = 0
    replaced_size: int = 0

    def of(self, vsize: int) -> int:
        """What is due for so many virtual bytes."""
        due = -(-vsize * self.rate // 1000)
        if self.replaced_size:
            above = self.replaced + -(-vsize * MIN_FEE_RATE // 1000)
            faster = self.replaced * vsize // self.replaced_size + vsize // 1000 + 2
            due = max(due, above, faster)
        return due + max(0, min(self.extra, most_fee(vsize) - due))


class Draft(NamedTuple):
    """An unsigned transaction and what it was made for."""

    psbt: Psbt
    mandate: Mandate

    @property
    def fee(self) -> int:
        """Schwartz."""
        return self.psbt.fee


def compose(
    mandate: Mandate,
    source: OwnScript,
    coins: Sequence[Coin],
    name_coin: Coin | None,
    fee: Fee = Fee(),  # noqa: B008  # read-only
) -> Draft:
    """Make the draft that does what `mandate` says with the `coins` of `source`, oldest first.

    The first input is always the same for the same coins (the name's coin, else the oldest): drafts of one thing
    exclude each other. Change returns to `source`. Raises `Refused` if there is not enough.
    """
    for payment in mandate.payments:
        if payment.value < DUST:
            raise Refused(f"{doi(payment.value)} DOI is too little: no node passes it on", code="dust")
    outputs = list(mandate.payments)
    if mandate.name is not None:
        held = NAME_AMOUNT if name_coin is None else max(NAME_AMOUNT, name_coin.output.value)
        outputs.insert(0, Output(held, name_script(*mandate.name)))
    version = PAYMENT_VERSION if mandate.name is None else NAME_TX_VERSION
    due = sum(output.value for output in outputs)
    chosen = [] if name_coin is None else [name_coin]
    for candidate in _choices(coins, MAX_INPUTS - len(chosen)):
        picked = [*chosen, *candidate]
        psbt = _with_change(version, picked, outputs, source, fee)
        if psbt is not None:
            permit(psbt, mandate)
            return Draft(psbt, mandate)
    largest = sorted((coin.output.value for coin in coins), reverse=True)
    have = sum(largest[: MAX_INPUTS - len(chosen)])  # no more go into one transaction
    needed = due - sum(coin.output.value for coin in chosen)
    raise Refused(
        f"there is not enough DOI: {doi(have)} can be spent, {doi(needed)} and a fee are needed",
        code=NOT_ENOUGH,
    )


def _choices(coins: Sequence[Coin], most: int) -> list[list[Coin]]:
    """Ever more coins, oldest first; then, as strangers may have sent many small ones, the oldest with the largest."""
    if not coins or most < 1:
        return [[]]
    oldest, largest = coins[0], sorted(coins[1:], key=lambda coin: -coin.output.value)
    in_order = [list(coins[:count]) for count in range(1, min(len(coins), most) + 1)]
    return [*in_order, *([oldest, *largest[:count]] for count in range(1, min(len(coins), most)))]


def _with_change(
    version: int, coins: Sequence[Coin], outputs: Sequence[Output], source: OwnScript, fee: Fee
) -> Psbt | None:
    """The PSBT that spends exactly `coins`, or None if they don't suffice."""
    if not coins:
        return None
    have, due = sum(coin.output.value for coin in coins), sum(output.value for output in outputs)
    for change in (Output(0, source.script), None):
        psbt = _unsigned(version, coins, [*outputs, *([] if change is None else [change])], source)
        left = have - due - fee.of(estimated_vsize(psbt))
        if change is not None and left >= DUST:
            return _unsigned(version, coins, [*outputs, Output(left, source.script)], source)
        if change is None and left >= 0:
            return psbt
    return None


def _unsigned(version: int, coins: Sequence[Coin], outputs: Sequence[Output], source: OwnScript) -> Psbt:
    inputs = [(Input(coin.previous.txid, coin.vout, b"", ()), SEQUENCE) for coin in coins]
    psbt = Psbt.unsigned(Transaction.build(version, 0, inputs, outputs))
    known = {coin.previous.txid: coin.previous for coin in coins}
    return psbt.updated(known.get, [source])
