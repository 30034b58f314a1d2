"""Signing, keeping, sending and waiting: the one way a transaction leaves us.

In this order, so that a process may be killed between any two steps: signed, judged, kept in the journal, sent,
waited for, told. What is kept is sent again as it is; nothing is ever signed a second time for the same thing.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from doitrust.chain.draft import Draft
from doitrust.chain.expiry import is_near_expiry
from doitrust.chain.names import NameOutput, read_as_node, strip_name
from doitrust.chain.psbt_sign import INCOMPLETE, extract, finalise
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Refused, StillWaiting, Unavailable
from doitrust.ports import (
    DONE,
    REFUSED,
    REPLACED,
    SENT,
    ChainView,
    Entry,
    Journal,
    Node,
    Progress,
    Signer,
    versions,
)
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
        "orphaned",
        "revoked",
        "stands_already",
        "would_not_count",
    }
)


#: Refusals that say something of the mempool as it is, and nothing of the transaction (src/validation.cpp).
FOR_NOW = frozenset(
    {
        "insufficient fee",
        "mempool full",
        "mempool min fee not met",
        "min relay fee not met",
        "replacement-adds-unconfirmed",
        "too-long-mempool-chain",
        "too many potential replacements",
        "txn-mempool-conflict",
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
    if entry is None:
        return None
    if dict(entry.details) != dict(purpose.details):
        raise Refused(
            f"another one for {purpose.subject} is still under way: {entry.tx.txid}",
            hint="doitrust tx resume",
            code="under_way",
        )
    try:
        refuse_orphan(node, journal, entry.tx)
    except Refused as error:
        journal.refuse(entry.tx.txid, error.message)
        return None
    return settle(node, journal, entry.tx.txid) or entry


def deliver(node: Node, journal: Journal, tx: Transaction, fee: int, patience: Patience) -> Sent:
    """Send a transaction that the journal has, and wait for its confirmations; `told` closes its entry.

    Sending again what is there already is no error. Where another version of it counts, that is what was sent.
    Raises `Refused` with the node's reason.
    """
    sent = Sent(tx.txid, 0, fee)
    try:
        refuse_orphan(node, journal, tx)
        _refuse_near_expiry(node, tx)
        node.broadcast(tx.raw)
    except Refused as error:
        if error.code not in _KNOWN and node.transaction(tx.txid) is None:
            counts = _refused(node, journal, tx.txid, error)
            sent = Sent(counts.tx.txid, 0, counts.fee)
    journal.mark(sent.txid, SENT)
    return _wait(node, journal, sent, patience)


def _refused(node: Node, journal: Journal, txid: str, why: Refused) -> Entry:
    """The version that counts after the node refused one; raises `why` if that was the only one, or is none."""
    counts = settle(node, journal, txid)
    if counts is not None and counts.tx.txid != txid:
        return counts
    alone = len(versions(journal.entries(), txid)) < 2
    if alone and why.code in FOR_NOW:
        raise Refused(
            why.message, hint="it is kept: doitrust tx resume later, or with --bump", code=why.code
        ) from None
    # What it should have replaced counts again: that may be waiting still.
    journal.refuse(txid, why.message)
    raise why


def settle(node: Node, journal: Journal, txid: str) -> Entry | None:
    """Of all versions of a transaction the one that counts: the one that was mined, else the last.

    The journal goes on with it. None if the journal has no such transaction.
    """
    found = versions(journal.entries(), txid)
    if len(found) < 2:
        return found[0] if found else None
    mined = next((entry for entry in found if confirmations_of(node, entry.tx.txid) > 0), None)
    counts = mined or next((entry for entry in found if entry.state != REPLACED), found[-1])
    if counts.state == REPLACED:
        journal.choose(counts.tx.txid)
    return counts


def refuse_orphan(node: Node, journal: Journal, tx: Transaction) -> None:
    """Raise `Refused` if `tx` spends what a transaction of ours should have made that was given up."""
    known = {entry.tx.txid: entry for entry in journal.entries()}
    for spent in tx.inputs:
        parent = known.get(spent.txid)
        given_up = parent is not None and parent.state in (REFUSED, REPLACED)
        if given_up and node.transaction(spent.txid) is None:
            raise Refused(
                f"it spends the change of {spent.txid}, which was given up",
                hint="make it anew: run its command again",
                code="orphaned",
            )


def _wait(node: Node, journal: Journal, sent: Sent, patience: Patience) -> Sent:
    """Wait for the confirmations; raises `StillWaiting` if the node stays away."""
    missed = 0
    while True:
        try:
            counts = settle(node, journal, sent.txid)
            if counts is not None:
                sent = Sent(counts.tx.txid, 0, counts.fee)
            sent = sent._replace(confirmations=confirmations_of(node, sent.txid))
            missed = 0
            if sent.confirmations >= patience.wait:
                return sent
            if patience.progress is not None:
                patience.progress(sent.confirmations, patience.wait)
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
        journal.refuse(entry.tx.txid, why.message)


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


def refuse_repeated(chain: ChainView, name: NameOutput | None, script: bytes) -> None:
    """Raise `Refused` if the very write waits for its block already, signed by `script`, and isn't under way here.

    Another home with the same key may have sent it, or a reorganisation brought it back.
    """
    if name is None or not chain.own:
        return
    for txid in chain.mempool(name.name):
        located = chain.transaction(txid)
        if located is None or all(output[:2] != name[:2] for _, output in located.tx.writes):
            continue
        spent = [(chain.transaction(i.txid), i.vout) for i in located.tx.inputs]
        coins = [made.tx.outputs[vout] for made, vout in spent if made and vout < len(made.tx.outputs)]
        if any(strip_name(coin.script) == script for coin in coins):
            raise Refused(
                f"this very write waits for its block already: {txid}",
                hint="doitrust tx resume waits with you, if this home sent it",
                code="under_way",
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
