"""Taking along what certifying needs to where there is no network: the chain as it is now, and coins to spend."""

from collections.abc import Sequence
from dataclasses import replace

from doitrust.errors import Unavailable
from doitrust.ports import Node, Provisions
from doitrust.trust.evidence import Evidence, Located
from doitrust.workflows.spending import bounded


def take_along(
    node: Node, evidence: Evidence, scripts: Sequence[bytes], now: int, *, own: bool
) -> Provisions:
    """Add the coins of `scripts` to what was gathered; `own`: whether an own node said that (N2).

    Raises `Unavailable` if the node can't answer, or if the chain kept moving.
    """
    if evidence.lacks("chain", "tip"):
        raise Unavailable("the chain kept changing while it was read", hint="try again")
    coins = {script: tuple(bounded([c for c in node.coins(script) if c.mature])) for script in scripts}
    made = node.transactions([coin.txid for found in coins.values() for coin in found])
    before = {txid: _below(located, evidence.tip.height) for txid, located in made.items() if located}
    kept = {script: tuple(c for c in found if c.txid in before) for script, found in coins.items()}
    whole = replace(evidence, transactions={**before, **evidence.transactions})
    return Provisions(whole, kept, node.fee_rate(), own, now)


def _below(located: Located, height: int) -> Located:
    """What was mined since the tip was read has no place in this evidence."""
    if located.place is not None and located.place.height > height:
        return Located(located.tx, None)
    return located
