"""Looking at organisations, and accepting them (rules O2 to O5)."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from doitrust.chain.networks import Network
from doitrust.chain.scripts import ScriptType, script_type
from doitrust.errors import BadData, Refused, Unavailable
from doitrust.orgs.members import Member, MemberList
from doitrust.orgs.names import RECORD_PREFIX, name_of_record, record_name
from doitrust.orgs.pins import Pin, Segment, fingerprint, matching_root
from doitrust.orgs.timeline import JudgedWrite
from doitrust.ports import ChainView, ContentSource
from doitrust.trust.evidence import Evidence, NameWrite
from doitrust.trust.judge import Judge
from doitrust.trust.organisations import Organisation
from doitrust.trust.policy import MAX_WRITES, Policy
from doitrust.workflows.gather import gather


@dataclass(frozen=True, slots=True)
class Candidate:
    """A write that could be an organisation's root: nobody who owned the record before signed it."""

    root: str
    height: int
    confirmations: int
    owner_script: bytes
    value: bytes
    fingerprint: str


class Overview(NamedTuple):
    """An organisation's record as the chain has it: the pinned view, if there is a pin, and all candidates."""

    name: str
    organisation: Organisation | None
    judged: tuple[JudgedWrite, ...]
    candidates: list[Candidate]
    evidence: Evidence


class Entry(NamedTuple):
    """A line of `members`: the entry, and whether the key is a member at the height asked for."""

    member: Member
    is_member: bool


class Membership(NamedTuple):
    """The members at a height, and what the list says of itself and disagrees about."""

    height: int
    entries: list[Entry]
    problems: list[str]


class Listed(NamedTuple):
    """One name of `org list`: None as name where it is not well formed."""

    record: bytes
    name: str | None
    accepted: bool


def overview(
    chain: ChainView, contents: ContentSource, name: str, pin: Pin | None, max_writes: int
) -> Overview:
    """Look at one organisation; its lists are fetched only along the pin."""
    policy = Policy(() if pin is None else (pin,), max_writes=max_writes)
    evidence = gather(chain, contents, policy, [], organisations=[name])
    if evidence.lacks("chain", "tip"):
        raise Unavailable("the chain kept changing while it was read", hint="try again")
    if evidence.gap(record_name(name)) == "flooded":
        raise Refused(
            f"{name} has more than {max_writes} writes",
            hint="somebody floods it; doitrust verify --max-writes N reads more",
        )
    judge = Judge(evidence, policy)
    organisation = None if pin is None else judge.organisations[name]
    judged = () if organisation is None else organisation.timeline.judged
    return Overview(name, organisation, judged, candidates(evidence, name, judge), evidence)


def candidates(evidence: Evidence, name: str, judge: Judge) -> list[Candidate]:
    """Every write that starts a timeline of its own, oldest first.

    One pass: whoever owns one of the timelines so far continues it; everybody else begins a new one.
    """
    owners: set[bytes] = set()
    found: list[Candidate] = []
    for write in evidence.writes(record_name(name)):
        if write.place is None:
            continue
        continued = owners & judge.signatures(write).scripts()
        if not continued:
            found.append(_candidate(evidence, name, write))
        if script_type(write.output.owner_script)[0] is not ScriptType.OTHER:
            owners -= continued
            owners.add(write.output.owner_script)
    return found


def _candidate(evidence: Evidence, name: str, write: NameWrite) -> Candidate:
    return Candidate(
        write.tx.txid,
        write.height,
        evidence.tip.height - write.height + 1,
        write.output.owner_script,
        write.output.value,
        fingerprint(evidence.network, name, write.tx.txid),
    )


def no_organisation(name: str, network: Network) -> Refused:
    """What to raise where the chain has no write of `name`."""
    return Refused(f"there is no organisation {name} on {network.name}", hint="see: doitrust org list")


def _written(chain: ChainView, contents: ContentSource, name: str, pin: Pin | None) -> Evidence:
    """Evidence about an organisation that must be in the chain."""
    seen = overview(chain, contents, name, pin, MAX_WRITES)
    if not seen.candidates:
        raise no_organisation(name, chain.network)
    return seen.evidence


def make_pin(
    chain: ChainView, contents: ContentSource, name: str, segments: Sequence[Segment], min_confirmations: int
) -> Pin:
    """Return the pin for these segments if it may be accepted (O2, C6); raises `Refused` saying why not.

    Every root must be a write of this name with enough confirmations; segments must follow each other; an end must be
    a write of its segment's timeline.
    """
    for earlier in segments[:-1]:
        if earlier.until is None:
            raise Refused(
                f"the segment from {earlier.root} has no end",
                hint="close it with --until before the next --root",
            )
    pin = Pin(name, tuple(segments))
    evidence = _written(chain, contents, name, pin)
    writes = {w.tx.txid: w for w in evidence.writes(record_name(name)) if w.place is not None}
    for segment in segments:
        write = writes.get(segment.root)
        if write is None:
            raise Refused(
                f"{segment.root} is no write of {name} in this chain",
                hint=f"see: doitrust org accept {shlex.quote(name)}",
            )
        confirmations = evidence.tip.height - write.height + 1
        if confirmations < min_confirmations:
            raise Refused(
                f"the root {segment.root} has {confirmations} of {min_confirmations} confirmations",
                hint="wait for more blocks, then accept it",
            )
    timeline = Judge(evidence, Policy((pin,))).organisations[name].timeline
    if timeline.doubt is not None:
        raise Refused("these segments do not follow each other in this chain, or can't be checked whole")
    kept = {step.write.txid for step in timeline.steps}
    for segment in segments:
        for txid in (segment.root, segment.until):
            if txid is not None and txid not in kept:
                raise Refused(f"{txid} does not continue what is accepted before it")
    return pin


def roots_by_fingerprint(chain: ChainView, contents: ContentSource, name: str, wanted: str) -> str:
    """Return the one root of `name` whose fingerprint is `wanted`; raises `Refused` if none or several are."""
    evidence = _written(chain, contents, name, None)
    txids = [w.tx.txid for w in evidence.writes(record_name(name)) if w.place is not None]
    matches = matching_root(wanted, chain.network, name, list(dict.fromkeys(txids)))
    if len(matches) != 1:
        raise Refused(
            f"no write of {name} has this fingerprint"
            if not matches
            else "several writes have this fingerprint",
            hint="compare it letter by letter, or use --root with the txid",
        )
    return matches[0]


def members_at(seen: Overview, height: int | None) -> Membership:
    """The list in force at `height` (the tip's by default), each key with its standing there."""
    organisation = seen.organisation
    if organisation is None:
        raise Refused(f"{seen.name} is not accepted", hint="accept it, or name a root with --root")
    at = seen.evidence.tip.height if height is None else height
    membership = organisation.membership
    index = membership.index_at(at)
    if index is None:
        return Membership(at, [], [f"at height {at} the organisation had no list yet"])
    found = membership.lists[index]
    if found is None:
        raise BadData(
            "the list in force can't be had",
            code="list_missing",
            hint="try again later, or ask the organisation",
        )
    entries = [
        Entry(member, membership.certifier(member.key, at).value == "member")
        for member in found.members.values()
    ]
    return Membership(at, entries, [*found.problems, *disagreements(organisation, index, found)])


def disagreements(organisation: Organisation, index: int, found: MemberList) -> list[str]:
    """Where a list's own words don't fit the chain: a stale draft shows itself so. They decide nothing."""
    said = []
    # A renewal writes the same list again: neither its number nor its predecessor changes.
    values = [step.write.value for step in organisation.timeline.steps[: index + 1]]
    lists = [value for at, value in enumerate(values) if at == 0 or value != values[at - 1]]
    before = lists[-2].decode("ascii", "replace") if len(lists) > 1 else None
    if found.organization is not None and found.organization != organisation.pin.name:
        said.append(f"the list says it is of {found.organization!r}")
    if found.sequence is not None and found.sequence != len(lists):
        said.append(f"the list says it is number {found.sequence}, in the record it is number {len(lists)}")
    if found.previous is not None and found.previous != before:
        said.append("the list names another list before it than the record does")
    return said


def listing(chain: ChainView, pins: Sequence[Pin]) -> list[Listed]:
    """Every organisation's name on the chain, and whether it is accepted."""
    accepted = {pin.name for pin in pins}
    listed = []
    for record in chain.names(RECORD_PREFIX):
        name = name_of_record(record)
        listed.append(Listed(record, name, name in accepted))
    return listed
