"""Signing, keeping, sending and waiting: the one way a transaction leaves us.

In this order, so that a process may be killed between any two steps: signed, judged, kept in the journal, sent,
waited for, told. What is kept is sent again as it is; nothing is ever signed a second time for the same thing.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from doitrust.chain.draft import Draft
from doitrust.chain.expiry import is_near_expiry
from doitrust.chain.names import read_as_node
from doitrust.chain.psbt_sign import INCOMPLETE, extract, finalise
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Refused, StillWaiting, Unavailable
from doitrust.ports import DONE, REFUSED, REPLACED, SENT, ChainView, Entry, Journal, Node, Progress, Signer
from doitrust.trust.evidence import Evidence
from doitrust.trust.policy import MAX_WRITES

#: The node's answers to what it has already (src/validation.cpp, MemPoolAccept::PreChecks; src/rpc/rawtransaction.cpp).
_KNOWN = frozenset({"txn-already-known", "txn-already-in-mempool", "txn-same-nonwitness-data-in-mempool"})


#: So often a node that answered before may be asked in vain while we wait.
_MOST_MISSED = 10
#: Why a signed transaction that nobody has seen yet is given up: sending it would cost money and count for nothing.
_HOPELESS = frozenset(
    {
        "lost_revocation",
        "malformed_record",
        "member_revoked",
        "multisig_mismatch",
        "near_expiry",
        "not_a_member",
        "not_the_owner",
        "revoked",
        "would_not_count",
    }
)


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


def under_way(node: Node, journal: Journal, purpose: Purpose) -> Entry | None:
    """The open entry that does exactly what `purpose` asks for.

    Raises `Refused` if one for the same subject does something else: the two would fight for the same name.
    """
    entry = journal.pending(purpose.command, purpose.subject)
    if entry is not None:
        entry = settle(node, journal, entry.tx.txid) or entry
    if entry is not None and dict(entry.details) != dict(purpose.details):
        raise Refused(
            f"another one for {purpose.subject} is still under way: {entry.tx.txid}",
            hint="doitrust tx resume",
            code="under_way",
        )
    return entry


def deliver(node: Node, journal: Journal, tx: Transaction, fee: int, patience: Patience) -> Sent:
    """Send a transaction that the journal has, and wait for its confirmations; `told` closes its entry.

    Sending again what is there already is no error. Where one that it replaces is mined first, that is what was
    sent. Raises `Refused` with the node's reason.
    """
    sent = Sent(tx.txid, 0, fee)
    try:
        _refuse_near_expiry(node, tx)
        node.broadcast(tx.raw)
    except Refused as error:
        mined = settle(node, journal, tx.txid)
        if mined is not None:
            sent = Sent(mined.tx.txid, 0, mined.fee)
        elif error.code not in _KNOWN and node.transaction(tx.txid) is None:
            journal.mark(tx.txid, REFUSED, error.message)
            raise
    journal.mark(sent.txid, SENT)
    return _wait(node, journal, sent, patience)


def settle(node: Node, journal: Journal, txid: str) -> Entry | None:
    """What `txid` should have replaced, if that was mined first: the journal then goes on with it."""
    later = {txid}
    for entry in journal.entries()[::-1]:
        if entry.state == REPLACED and entry.note in later:
            later.add(entry.tx.txid)
            if confirmations_of(node, entry.tx.txid) > 0:
                journal.revert(txid, entry.tx.txid)
                return entry
    return None


def _wait(node: Node, journal: Journal, sent: Sent, patience: Patience) -> Sent:
    """Wait for the confirmations; raises `StillWaiting` if the node stays away."""
    missed = 0
    while True:
        try:
            confirmations = confirmations_of(node, sent.txid)
            mined = settle(node, journal, sent.txid) if confirmations == 0 else None
            missed = 0
            if mined is not None:
                sent = Sent(mined.tx.txid, 0, mined.fee)
                continue
            if confirmations >= patience.wait:
                return sent._replace(confirmations=confirmations)
            if patience.progress is not None:
                patience.progress(confirmations, patience.wait)
            if not node.advance():
                patience.pause()
        except Unavailable as error:
            missed += 1
            if missed > _MOST_MISSED:
                raise StillWaiting(
                    f"{sent.txid} was sent, and then the node went away: {error.message}",
                    hint="doitrust tx resume",
                ) from None
            patience.pause()


def told(journal: Journal, sent: Sent) -> None:
    """The user has seen how it ended: from now on the same command means the same once more."""
    if sent.confirmations > 0:
        journal.mark(sent.txid, DONE)


def give_up(node: Node, journal: Journal, entry: Entry, why: Refused) -> None:
    """Give the coins of a transaction free that was never sent, if `why` says that it would count for nothing."""
    if why.code in _HOPELESS and node.transaction(entry.tx.txid) is None:
        journal.mark(entry.tx.txid, REFUSED, why.message)


def refuse_changed(chain: ChainView, evidence: Evidence, name: bytes, ours: str, *, waiting: bool) -> None:
    """Raise `Refused` if somebody wrote `name` since `evidence` was gathered: what was decided from it is stale.

    So two processes that do the same at once don't do it twice. `waiting`: the mempool was looked at, too.
    """
    now = [*(chain.history(name, MAX_WRITES) or ()), *(chain.mempool(name) if waiting else ())]
    other = next((txid for txid in now if txid != ours and txid not in evidence.transactions), None)
    if other is not None:
        raise Refused(
            f"while this was made, {other} was written", hint="run the command again", code="changed"
        )


def _refuse_near_expiry(node: Node, tx: Transaction) -> None:
    """What was signed in time may have waited too long for its other signatures, or in the journal."""
    if node.transaction(tx.txid) is not None:
        return
    for spent in tx.inputs:
        located = node.transaction(spent.txid)
        if located is None or located.place is None or spent.vout >= len(located.tx.outputs):
            continue
        is_name = read_as_node(located.tx.outputs[spent.vout].script) is not None
        if is_name and is_near_expiry(node.network, located.place.height, node.tip().height + 1):
            raise Refused(
                "this is not sent: it spends the coin of a name that is close to its expiry, which can stop the chain",
                hint="run the command again: it makes a new one without that coin",
                code="near_expiry",
            )


def confirmations_of(node: Node, txid: str) -> int:
    """1 in the last block; 0 while it waits, or where the chain doesn't have it."""
    located = node.transaction(txid)
    if located is None or located.place is None:
        return 0
    return node.tip().height - located.place.height + 1
