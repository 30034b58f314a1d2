"""From the judged writes to the verdict and its evidence: reports, checks, the order of verdicts."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from doitrust.orgs.pins import fingerprint
from doitrust.text import visible
from doitrust.trust.evidence import Evidence
from doitrust.trust.findings import Finding
from doitrust.trust.organisations import Organisation, list_cid
from doitrust.trust.policy import Policy
from doitrust.trust.succession import Succession
from doitrust.trust.verdict import Check, Fate, OrganisationReport, Status, Verdict, WriteReport

#: Writes that did not count are told one by one up to here; all are counted.
_TOLD = 20
#: A tip older than this many block intervals at the time of asking is worth a word.
STALE_BLOCKS = 12


class Ruling(NamedTuple):
    """The judged writes of a meter: per organisation, one by one, and what C5 makes of the rest."""

    organizations: tuple[OrganisationReport, ...]
    writes: tuple[WriteReport, ...]
    contested: bool
    foreign_writes: int


def write_report(finding: Finding, tip: int, fate: Fate, reason: str | None, detail: str) -> WriteReport:
    """Describe one write and its fate."""
    place = finding.write.place
    kind = "malformed" if finding.record is None else "revocation"
    return WriteReport(
        txid=finding.write.tx.txid,
        height=None if place is None else place.height,
        position=None if place is None else place.position,
        confirmations=0 if place is None else tip - place.height + 1,
        time=None if place is None else place.time,
        kind="certificate" if finding.certificate is not None else kind,
        organization=None if finding.record is None else finding.record.org,
        fate=fate,
        reason=reason,
        detail=detail,
        key=finding.key,
        by_owner=finding.by_owner,
    )


def organisation_report(
    evidence: Evidence, organisation: Organisation, succession: Succession, writes: Sequence[WriteReport]
) -> OrganisationReport:
    """Describe one organisation's judgement of a meter; `writes` go with the succession's findings."""
    outcome = succession.outcome()
    deciding = None if outcome.decides is None else writes[outcome.decides]
    finding = None if outcome.decides is None else succession.findings[outcome.decides]
    membership, timeline = organisation.membership, organisation.timeline
    pin = organisation.pin
    root = pin.segments[-1].root
    index = None if finding is None else membership.index_at(finding.write.height)
    step = None if index is None else timeline.steps[index]
    found = None if index is None else membership.lists[index]
    cid = None if step is None else list_cid(step.write.value)
    electrician = None
    if finding is not None and finding.key is not None:
        electrician = membership.member(finding.key, finding.write.height)
    return OrganisationReport(
        name=pin.name,
        state=outcome.state,
        reason=outcome.reason,
        root=root,
        root_height=next((s.write.height for s in timeline.steps if s.write.txid == root), None),
        fingerprint=fingerprint(evidence.network, pin.name, root),
        timeline_writes=len(timeline.steps),
        ignored=sum(judged.counts is False for judged in timeline.judged),
        list_cid=None if cid is None else cid.text,
        list_height=None if step is None else step.write.height,
        list_members=None if found is None else len(found.members),
        certificate=None if finding is None else finding.certificate,
        deciding=deciding,
        electrician=electrician,
        pending=writes[succession.waiting[-1]] if succession.waiting else None,
    )


def conclude(evidence: Evidence, policy: Policy, meter: str, ruling: Ruling, flaw: str | None) -> Verdict:
    """The first verdict of the trust model's order that holds."""
    status, reason, by = _status(evidence, policy, ruling, flaw)
    return Verdict(
        meter=meter,
        network=evidence.network.name,
        status=status,
        reason=reason,
        decided_by=by,
        organizations=ruling.organizations,
        writes=ruling.writes,
        contested=ruling.contested,
        foreign_writes=ruling.foreign_writes,
        checks=tuple(_checks(evidence, policy, ruling, status, reason)),
        warnings=tuple(_warnings(ruling, by)),
        sources=evidence.sources,
        tip=evidence.tip,
        min_confirmations=policy.min_confirmations,
    )


def _status(
    evidence: Evidence, policy: Policy, ruling: Ruling, flaw: str | None
) -> tuple[Status, str | None, OrganisationReport | None]:
    if flaw is not None:
        return Status.UNDETERMINED, flaw, None
    first: dict[str, OrganisationReport] = {}
    for report in ruling.organizations:
        first.setdefault(report.state, report)
    if "certificate" in first:
        if complete(evidence, policy):
            return Status.TRUSTED, None, first["certificate"]
        return Status.UNDETERMINED, "single_source", first["certificate"]
    if "revoked" in first:
        return Status.REVOKED, None, first["revoked"]
    if "undetermined" in first:
        return Status.UNDETERMINED, first["undetermined"].reason, first["undetermined"]
    if "unconfirmed" in first:
        return Status.UNCONFIRMED, None, first["unconfirmed"]
    if ruling.writes:
        return Status.UNTRUSTED, ruling.writes[-1].reason, None
    return Status.UNKNOWN, None, None


def complete(evidence: Evidence, policy: Policy) -> bool:
    """N3: whether the sources are enough for trust: an own node, or two, or the user's word."""
    independent = {source.name for source in evidence.sources}
    return policy.trust_source or any(source.own for source in evidence.sources) or len(independent) > 1


def _checks(
    evidence: Evidence,
    policy: Policy,
    ruling: Ruling,
    status: Status,
    reason: str | None,
) -> Iterator[Check]:
    tip = evidence.tip
    names = ", ".join(visible(source.name) for source in evidence.sources) or "none"
    if complete(evidence, policy):
        yield Check("N3", True, f"sources: {names}")
    else:
        yield Check("N3", False, f"one foreign source ({names}) could have left something out")
    moved = reason == "chain_moved"
    yield Check(
        "N4", not moved, "the chain kept changing" if moved else f"judged at block {tip.height}, {tip.hash}"
    )
    if reason == "flooded":
        yield Check("L4", False, f"more than {policy.max_writes} writes of this name")
    for report in ruling.organizations:
        yield from _organisation_checks(report)
    told = 0
    for write in ruling.writes:
        if write.fate is Fate.REFUSED and (told := told + 1) > _TOLD:
            continue
        yield from _write_checks(write, policy)
    if told > _TOLD:
        yield Check("C5", None, f"{told - _TOLD} more writes did not count")
    if status is Status.UNKNOWN:
        yield Check("C1", False, "nobody has written a record for this meter")


def _organisation_checks(report: OrganisationReport) -> Iterator[Check]:
    name = visible(report.name)
    if report.root_height is None:
        yield Check("O2", None, f"{name}: the pinned root {report.root} is not in this chain")
    else:
        yield Check("O2", True, f"{name}: pinned root {report.root} at height {report.root_height}")
    yield Check("O3", True, f"{name}: {report.timeline_writes} writes signed by its owner")
    if report.ignored:
        yield Check("O4", True, f"{name}: {report.ignored} foreign writes of its name ignored")
    if report.list_cid is not None and report.deciding is not None:
        members = "missing" if report.list_members is None else f"{report.list_members} members"
        detail = f"{name}: list {report.list_cid} of height {report.list_height}, {members}"
        yield Check("O5", report.list_members is not None or None, detail)


#: The rule that a reason belongs to.
_RULES = {
    "malformed_record": "C1",
    "organization_not_accepted": "O2",
    "not_a_member": "M1",
    "member_revoked": "M2",
    "sighash_not_all": "S4",
    "multisig_mismatch": "C2",
    "revoked": "C4",
    "list_missing": "O5",
    "transaction_missing": "S1",
    "bad_data": "S5",
    "flooded": "L4",
}


def _write_checks(write: WriteReport, policy: Policy) -> Iterator[Check]:
    at = f"{write.kind} {write.txid} at height {write.height}" if write.height is not None else (
        f"{write.kind} {write.txid} in the mempool"
    )  # fmt: skip
    if write.fate is Fate.REFUSED:
        yield Check(_RULES.get(write.reason or "", "C5"), False, f"{at}: {write.detail}")
        return
    if write.fate is Fate.UNSURE:
        yield Check(_RULES.get(write.reason or "", "S1"), None, f"{at}: {write.detail}")
        return
    yield Check("C1", True, f"{at}: well formed")
    if write.kind == "revocation":
        yield Check("C3", True, f"{at}: {write.detail}")
        return
    yield Check("S4", True, f"{at}: every input signed with SIGHASH_ALL by one key")
    key = "" if write.key is None else write.key.hex()
    yield Check("M1", True, f"{at}: {key} was a member")
    yield Check("M2", True, f"{at}: {key} was not withdrawn then")
    yield Check("C2", True, f"{at}: the address is the 1-of-2 of its node and client")
    waits = write.fate is Fate.WAITING
    detail = write.detail if waits else f"has {write.confirmations} confirmations"
    yield Check("C6", not waits, f"{at}: {detail} (the least is {policy.min_confirmations})")


def _warnings(ruling: Ruling, by: OrganisationReport | None) -> Iterator[str]:
    for report in ruling.organizations:
        name = visible(report.name)
        if report.pending is not None and report.state in ("certificate", "revoked"):
            yield f"{name}: a later certificate {report.pending.txid} waits, it {report.pending.detail}"
        if report is by or report.state == "none":
            continue
        if report.state == "certificate" and by is not None and report.certificate and by.certificate:
            same = (report.certificate.node, report.certificate.client) == (
                by.certificate.node,
                by.certificate.client,
            )
            yield f"{name} certifies this meter too" + ("" if same else ", with another node or client")
        elif by is not None:
            yield f"for {name} this meter is {report.state}" + (
                f" ({report.reason})" if report.reason else ""
            )
