"""Results as plain data, for `--json`: what docs/json.md promises."""

from typing import Any

from doitrust.chain.address import address_of
from doitrust.chain.networks import Network
from doitrust.orgs.members import Member
from doitrust.text import visible
from doitrust.trust.evidence import Tip
from doitrust.trust.evidence_file import iso_time
from doitrust.trust.reports import Fate, OrganisationReport, WriteReport
from doitrust.trust.verdict import Verdict


def tip_view(tip: Tip) -> dict[str, Any]:
    """`{height, hash, time}`."""
    return {"height": tip.height, "hash": tip.hash, "time": iso_time(tip.time)}


def verdict_view(verdict: Verdict, expected: str | None = None) -> dict[str, Any]:
    """One verdict with everything it rests on; `expected` is the organisation that a link named."""
    by = verdict.decided_by
    certificate = None if by is None else by.certificate
    shown = by if by is not None and by.deciding is not None else None
    return {
        "meter": verdict.meter,
        "status": verdict.status.value,
        "reason": verdict.reason,
        "organization": None if by is None else by.name,
        "electrician": None if shown is None else _electrician(shown),
        "certificate": None if certificate is None or shown is None else _at(shown.deciding),
        "revocation": None if shown is None else _revocation(shown),
        "history": [] if by is None else _history(verdict, by),
        "address": None if certificate is None else certificate.ms,
        "node": None if certificate is None else certificate.node.hex(),
        "client": None if certificate is None else certificate.client.hex(),
        "seal": [] if certificate is None else list(certificate.seal),
        "doc": None if certificate is None else certificate.doc,
        "contested": verdict.contested,
        "foreign_writes": verdict.foreign_writes,
        "min_confirmations": verdict.policy.min_confirmations,
        "work": None if verdict.work is None else str(verdict.work),
        "expected_organization": expected,
        "organizations": [_organisation(report) for report in verdict.organizations],
        "writes": [write_view(write) for write in verdict.writes],
        "warnings": warnings(verdict, expected),
        "sources": [source._asdict() for source in verdict.sources],
        "checks": [{"rule": c.rule, "ok": c.ok, "detail": c.detail} for c in verdict.checks],
        "network": verdict.network,
        "tip": tip_view(verdict.tip),
    }


def warnings(verdict: Verdict, expected: str | None) -> list[str]:
    """What one should know beside the verdict; `expected` is the organisation that a link named."""
    told = list(verdict.warnings)
    by = verdict.decided_by
    if expected is not None and by is not None and expected != by.name:
        told.append(f"The link speaks of {visible(expected)!r}; this verdict is {visible(by.name)!r}'s.")
    return told


def _revocation(report: OrganisationReport) -> dict[str, Any] | None:
    write = report.deciding
    if write is None or report.revocation is None:
        return None
    return {
        **(_at(write) or {}),
        "reason": report.revocation.reason,
        "key": None if write.key is None else write.key.hex(),
        "by_owner": write.by_owner,
    }


def _electrician(report: OrganisationReport) -> dict[str, Any] | None:
    if report.deciding is None or report.deciding.key is None or report.deciding.by_owner:
        return None
    member = report.electrician
    return {
        "key": report.deciding.key.hex(),
        "name": None if member is None else member.name,
        "licence": None if member is None else member.licence,
    }


def _at(write: WriteReport | None) -> dict[str, Any] | None:
    if write is None:
        return None
    return {
        "txid": write.txid,
        "height": write.height,
        "confirmations": write.confirmations,
        "time": iso_time(write.time),
    }


def _history(verdict: Verdict, by: OrganisationReport) -> list[dict[str, Any]]:
    """What counted for the deciding organisation before the write that decides."""
    deciding = None if by.deciding is None else by.deciding.txid
    return [
        {"kind": write.kind, **(_at(write) or {}), "key": None if write.key is None else write.key.hex()}
        for write in verdict.writes
        if write.organization == by.name and write.fate is Fate.STOOD and write.txid != deciding
    ]


def _organisation(report: OrganisationReport) -> dict[str, Any]:
    return {
        "name": report.name,
        "state": report.state,
        "reason": report.reason,
        "root": report.root,
        "fingerprint": report.fingerprint,
        "list": None if report.list_cid is None else report.list_cid.text,
        "deciding": _at(report.deciding),
        "pending": _at(report.pending),
    }


def write_view(write: WriteReport) -> dict[str, Any]:
    """One write of a meter and its fate."""
    return {
        "txid": write.txid,
        "height": write.height,
        "position": write.position,
        "confirmations": write.confirmations,
        "time": iso_time(write.time),
        "kind": write.kind,
        "organization": write.organization,
        "fate": write.fate.value,
        "reason": write.reason,
        "detail": write.detail,
        "key": None if write.key is None else write.key.hex(),
        "by_owner": write.by_owner,
    }


def member_view(member: Member, *, is_member: bool) -> dict[str, Any]:
    """`{key, name, licence, member, revoked}`."""
    withdrawal = member.withdrawal
    return {
        "key": member.key.hex(),
        "name": member.name,
        "licence": member.licence,
        "member": is_member,
        "revoked": None
        if withdrawal is None
        else {
            "height": withdrawal.height,
            "reason": withdrawal.reason,
            "voids_revocations": withdrawal.voids_revocations,
        },
    }


def owner_view(script: bytes | None, network: Network) -> str | None:
    """An owner script as address, or as hex where it has none."""
    return None if script is None else address_of(script, network) or script.hex()
