"""From the judged writes to the verdict: reports, and the order in which verdicts are tried."""

from collections.abc import Sequence
from typing import NamedTuple

from doitrust.meters.number import number_of_record, record_name
from doitrust.meters.record import Revocation
from doitrust.trust.evidence import Evidence, Tip, list_cid
from doitrust.trust.findings import Finding
from doitrust.trust.organisations import Organisation
from doitrust.trust.policy import Policy
from doitrust.trust.reports import Fate, OrganisationReport, Status, WriteReport
from doitrust.trust.succession import Succession
from doitrust.trust.verdict import Verdict


class Ruling(NamedTuple):
    """The judged writes of a meter: per organisation, one by one, and what C5 makes of the rest.

    `waiting`: txids of certificates in the mempool, which nobody judges yet (C6).
    """

    organizations: tuple[OrganisationReport, ...]
    writes: tuple[WriteReport, ...]
    contested: bool
    foreign_writes: int
    waiting: tuple[str, ...] = ()


def write_report(finding: Finding, tip: Tip, fate: Fate, reason: str | None, detail: str) -> WriteReport:
    """Describe one write and its fate."""
    place = finding.write.place
    kind = "malformed" if finding.record is None else "revocation"
    return WriteReport(
        txid=finding.write.tx.txid,
        height=None if place is None else place.height,
        position=None if place is None else place.position,
        confirmations=0 if place is None else tip.height - place.height + 1,
        time=None if place is None else place.time,
        work=None if place is None or place.below is None or tip.work is None else tip.work - place.below,
        kind="certificate" if finding.certificate is not None else kind,
        organization=None if finding.record is None else finding.record.org,
        fate=fate,
        reason=reason,
        detail=detail,
        key=finding.key,
        by_owner=finding.by_owner is True,
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
        root=pin.segments[-1].root,
        root_height=organisation.root_height,
        network=evidence.network,
        doubt=timeline.doubt,
        timeline_writes=len(timeline.steps),
        ignored=organisation.ignored,
        list_cid=cid,
        list_height=None if step is None else step.write.height,
        list_members=None if found is None else len(found.members),
        certificate=None if finding is None else finding.certificate,
        revocation=finding.record if finding is not None and isinstance(finding.record, Revocation) else None,
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
        sources=evidence.sources,
        tip=evidence.tip,
        policy=policy,
        waiting=ruling.waiting,
        covered=_covered(evidence, meter),
    )


def _covered(evidence: Evidence, meter: str) -> tuple[str, ...] | None:
    """The meters that saved evidence was made for, where `meter` is not among them."""
    if evidence.covers is None or record_name(meter) in evidence.covers:
        return None
    numbers = (number_of_record(name) for name in sorted(evidence.covers))
    return tuple(number for number in numbers if number is not None)


def _status(
    evidence: Evidence, policy: Policy, ruling: Ruling, flaw: str | None
) -> tuple[Status, str | None, OrganisationReport | None]:
    if flaw is not None:
        return Status.UNDETERMINED, flaw, None
    first: dict[str, OrganisationReport] = {}
    for report in ruling.organizations:
        first.setdefault(report.state, report)
    if "certificate" in first:
        if policy.suffices(evidence.sources):
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
