"""Publishing an organisation: its first record, the next list, a renewal, a new owner.

Who publishes has to be the owner by the timeline (rule O3), and every list carries on what its forerunners withdrew
(rule M2). What a write will count for is judged before it is sent, by the rules that everybody judges it by.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from doitrust.chain.names import NameOutput
from doitrust.chain.signers import Signatures, Signing
from doitrust.chain.tx import Transaction
from doitrust.content.unixfs import NoFile, TooLarge, cid_of_file, read_file
from doitrust.errors import Refused, Unavailable
from doitrust.orgs.drafting import ListDraft, disagreements, refuse_lost
from doitrust.orgs.members import MAX_LIST_BYTES, MemberList, read_members
from doitrust.orgs.names import record_name
from doitrust.orgs.pins import Pin, Segment
from doitrust.ports import ChainView, ContentSource, ContentStore
from doitrust.trust.evidence import Evidence, list_cid
from doitrust.trust.foresight import foresee
from doitrust.trust.judge import Judge
from doitrust.trust.policy import MAX_WRITES, Policy
from doitrust.workflows import keeping
from doitrust.workflows.organisations import Overview, overview
from doitrust.workflows.sending import refuse_changed

#: Candidates that are looked at to find whose owner somebody is.
_MOST_CANDIDATES = 50


class Publication(NamedTuple):
    """What is to be written: the record's value and owner, and the bytes of a new list (None where it stays)."""

    write: NameOutput
    cid: str
    data: bytes | None = None

    def put_list(self, contents: ContentStore, *, local_only: bool = False) -> None:
        """Put the list where others find it: before its record can be seen, and not before it is signed.

        Raises `Refused` if nobody else could have it, unless `local_only`.
        """
        if self.data is not None:
            keeping.publish(contents, self.data, local_only=local_only)


@dataclass(frozen=True)
class Owned:
    """An organisation as its owner finds it: `owner` is the script that has to sign next.

    `lists` are those of its timeline; one that a renewal wrote again is there once.
    """

    name: str
    pin: Pin
    owner: bytes
    value: bytes
    lists: tuple[MemberList, ...]
    last: bytes | None
    evidence: Evidence

    @property
    def record(self) -> bytes:
        """The Doichain name."""
        return record_name(self.name)

    @property
    def cid(self) -> str | None:
        """The CID of the list in force, or None if the record names none."""
        cid = list_cid(self.value)
        return None if cid is None else cid.text

    @property
    def sequence(self) -> int:
        """The number of the next list."""
        return len(self.lists) + 1


def find(
    chain: ChainView, contents: ContentSource, name: str, pin: Pin | None, owner: Callable[[bytes], bool]
) -> Owned:
    """Return the organisation that `pin` means, or else the one timeline whose `owner` we are.

    Raises `Refused` if there is none, `Unavailable` if one of its lists can't be had: it may withdraw a key.
    """
    if pin is None:
        pin = _pin_of_owner(chain, contents, name, owner)
    seen = overview(chain, contents, name, pin, MAX_WRITES)
    if seen.organisation is None or not seen.organisation.timeline.steps:
        raise Refused(f"the root of {name} is not on this chain", hint=f'doitrust org history "{name}"')
    membership, timeline = seen.organisation.membership, seen.organisation.timeline
    values = [step.write.value for step in timeline.steps]
    lists = [found for found in membership.lists if found is not None]
    if timeline.doubt is not None or len(lists) != len(membership.lists):
        raise Unavailable(
            f"not all of {name}'s lists and writes can be had, and one of them may withdraw a key",
            hint="try again when IPFS has them",
            code="list_missing",
        )
    step = timeline.steps[-1]
    if step.owner is None:
        raise Refused(f"nobody owns the record of {name}: its root pays to no address")
    _refuse_waiting(chain, name, step.owner)
    return Owned(
        name,
        pin,
        step.owner,
        step.write.value,
        tuple(found for at, found in enumerate(lists) if at == 0 or values[at] != values[at - 1]),
        _bytes_of(seen.evidence, step.write.value),
        seen.evidence,
    )


def _pin_of_owner(
    chain: ChainView, contents: ContentSource, name: str, owner: Callable[[bytes], bool]
) -> Pin:
    seen = overview(chain, contents, name, None, MAX_WRITES)
    pins = [Pin(name, (Segment(candidate.root),)) for candidate in seen.candidates[:_MOST_CANDIDATES]]
    mine = [pin for pin in pins if _owned_by(seen, pin, owner)]
    if len(mine) != 1:
        why = "no organisation" if not mine else "more than one organisation"
        raise Refused(
            f"there is {why} {name} on {chain.network.name} whose owner you are",
            hint=f'doitrust org history "{name}" shows the owners; doitrust org accept says which one you mean',
            code="not_the_owner",
        )
    return mine[0]


def refuse_owned(chain: ChainView, contents: ContentSource, name: str, owner: bytes) -> None:
    """Raise `Refused` if `owner` has the organisation: a first list would follow its last, and lose what that says."""
    seen = overview(chain, contents, name, None, MAX_WRITES)
    pins = [Pin(name, (Segment(candidate.root),)) for candidate in seen.candidates[:_MOST_CANDIDATES]]
    if any(_owned_by(seen, pin, lambda script: script == owner) for pin in pins):
        raise Refused(
            f"{name} is yours already", hint="doitrust org add-member, or org publish", code="owned_already"
        )


def _owned_by(seen: Overview, pin: Pin, owner: Callable[[bytes], bool]) -> bool:
    steps = Judge(seen.evidence, Policy((pin,))).organisations[pin.name].timeline.steps
    return bool(steps) and steps[-1].owner is not None and owner(steps[-1].owner)


def _refuse_waiting(chain: ChainView, name: str, owner: bytes) -> None:
    """Two drafts of one list must never be able to confirm side by side."""
    for txid in chain.mempool(record_name(name)):
        located = chain.transaction(txid)
        if located is None or located.place is not None:
            continue
        signatures = Signatures(located.tx, _lookup(chain), segwit=True)
        if signatures.by_script(owner) is not Signing.NOBODY:
            raise Refused(
                f"an earlier write of {name} waits for its block: {txid}",
                hint="doitrust tx resume waits with you; then try again",
                code="under_way",
            )


def _lookup(chain: ChainView) -> Callable[[str], Transaction | None]:
    def find_transaction(txid: str) -> Transaction | None:
        located = chain.transaction(txid)
        return None if located is None else located.tx

    return find_transaction


def _bytes_of(evidence: Evidence, value: bytes) -> bytes | None:
    cid = list_cid(value)
    try:
        return None if cid is None else read_file(cid, evidence.content.get, MAX_LIST_BYTES)
    except (NoFile, TooLarge):
        return None  # an empty list (O5)


def first(name: str, members: Sequence[tuple[bytes, str | None]], owner: bytes) -> Publication:
    """Make an organisation's first list and record."""
    draft = ListDraft(name)
    for key, member_name in members:
        draft.add(key, member_name)
    return _publication(name, draft.write(None), owner)


def changed(owned: Owned, change: Callable[[ListDraft], None]) -> Publication:
    """Make the next list: the last one with `change`."""
    draft = ListDraft(owned.name, owned.lists, owned.last)
    change(draft)
    return _publication(owned.name, draft.write(owned.cid), owned.owner)


def given(owned: Owned, data: bytes) -> tuple[Publication, list[str]]:
    """Publish a file as it is; returns what it says of itself and disagrees about, too.

    Raises `Refused` for one that is no list, or that lost what earlier lists withdrew.
    """
    found = read_members(data)
    if not found.members:
        raise Refused("; ".join(found.problems) or "the list has no members", hint="see docs/formats.md")
    if found.problems:
        raise Refused("; ".join(found.problems), hint="mend the file: readers would pass over these entries")
    refuse_lost(owned.lists, found)
    said = disagreements(found, owned.name, owned.cid, owned.sequence)
    return _publication(owned.name, data, owned.owner), said


def kept(owned: Owned, owner: bytes) -> Publication:
    """The same value once more, for `owner`: a renewal, or a transfer."""
    if owned.cid is None:
        raise Refused(f"the record of {owned.name} names no list", hint="publish one first")
    return Publication(NameOutput(owned.record, owned.value, owner), owned.cid)


def _publication(name: str, data: bytes, owner: bytes) -> Publication:
    cid = cid_of_file(data).text
    return Publication(NameOutput(record_name(name), cid.encode(), owner), cid, data)


def check(owned: Owned, publication: Publication, tx: Transaction, chain: ChainView) -> None:
    """Judge our own write as everybody will; raises `Refused` if it would not continue the timeline (O3)."""
    refuse_changed(chain, owned.evidence, owned.record, tx.txid, waiting=False)
    previous = {i.txid: located.tx for i in tx.inputs if (located := chain.transaction(i.txid)) is not None}
    later = foresee(owned.evidence, tx, previous, 1)
    steps = Judge(later, Policy((owned.pin,))).organisations[owned.name].timeline.steps
    if not steps or steps[-1].write.txid != tx.txid or steps[-1].write.value != publication.write.value:
        raise Refused(
            f"this write would not count as {owned.name}'s: its owner did not sign it",
            hint="sign with the owner's key",
            code="not_the_owner",
        )
