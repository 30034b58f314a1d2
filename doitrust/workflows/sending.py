"""Signing, keeping, sending and waiting: the one way a transaction leaves us.

In this order, so that a process may be killed between any two steps: signed, judged, kept in the journal, sent,
waited for, told. What is kept is sent again as it is; nothing is ever signed a second time for the same thing.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from doitrust.chain.draft import Draft
from doitrust.chain.psbt_sign import INCOMPLETE, extract, finalise
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Refused
from doitrust.ports import DONE, REFUSED, SENT, Entry, Journal, Node, Progress, Signer

#: The node's answers to what it has already (src/validation.cpp, MemPoolAccept::PreChecks; src/rpc/rawtransaction.cpp).
_KNOWN = frozenset({"txn-already-known", "txn-already-in-mempool", "txn-same-nonwitness-data-in-mempool"})


class Purpose(NamedTuple):
    """What a transaction is made for, as the journal knows it. `subject`: the meter, the organisation, the address."""

    command: str
    subject: str
    details: Mapping[str, Any]


class Sent(NamedTuple):
    """A transaction that was sent, its confirmations when we stopped waiting, its fee in schwartz."""

    txid: str
    confirmations: int
    fee: int


class Patience(NamedTuple):
    """How many confirmations to wait for, what to do between two looks, and whom to tell."""

    wait: int
    pause: Callable[[], None]
    progress: Progress | None = None


def sign(signer: Signer, draft: Draft) -> Transaction:
    """Return the finished transaction; raises `Refused` where one signer alone can't finish it."""
    signed = signer.sign(draft.psbt, draft.mandate)
    try:
        return extract(finalise(signed))
    except BadData as error:
        if error.code != INCOMPLETE:
            raise
        raise Refused(
            "others have to sign this too",
            hint="--signer psbt:FILE writes it to a file; then doitrust tx sign FILE, and doitrust tx send FILE",
            code=INCOMPLETE,
        ) from None


def under_way(journal: Journal, purpose: Purpose) -> Entry | None:
    """The open entry that does exactly what `purpose` asks for.

    Raises `Refused` if one for the same subject does something else: the two would fight for the same name.
    """
    entry = journal.pending(purpose.command, purpose.subject)
    if entry is not None and dict(entry.details) != dict(purpose.details):
        raise Refused(
            f"another one for {purpose.subject} is still under way: {entry.tx.txid}",
            hint="doitrust tx resume",
            code="under_way",
        )
    return entry


def deliver(node: Node, journal: Journal, tx: Transaction, fee: int, patience: Patience) -> Sent:
    """Send a transaction that the journal has, and wait for its confirmations.

    Sending again what is there already is no error. Raises `Refused` with the node's reason.
    """
    try:
        node.broadcast(tx.raw)
    except Refused as error:
        located = node.transaction(tx.txid)
        if error.code not in _KNOWN and located is None:
            journal.mark(tx.txid, REFUSED, error.message)
            raise
    journal.mark(tx.txid, SENT)
    confirmations = confirmations_of(node, tx.txid)
    while confirmations < patience.wait:
        if patience.progress is not None:
            patience.progress(confirmations, patience.wait)
        if not node.advance():
            patience.pause()
        confirmations = confirmations_of(node, tx.txid)
    if confirmations > 0:
        journal.mark(tx.txid, DONE)
    return Sent(tx.txid, confirmations, fee)


def confirmations_of(node: Node, txid: str) -> int:
    """1 in the last block; 0 while it waits, or where the chain doesn't have it."""
    located = node.transaction(txid)
    if located is None or located.place is None:
        return 0
    return node.tip().height - located.place.height + 1
