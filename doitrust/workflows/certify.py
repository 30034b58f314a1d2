"""Certifying a meter, revoking and renewing: everything is checked before a key is asked for anything.

The same `judge` that consumers run decides whether our own transaction is sent.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from doitrust.chain.tx import Transaction
from doitrust.errors import Refused
from doitrust.meters.number import is_din_number, record_name
from doitrust.meters.pairing import Pairing, age
from doitrust.meters.record import Certificate, write_record
from doitrust.orgs.membership import Standing
from doitrust.ports import ChainView, ContentSource, Progress
from doitrust.text import visible
from doitrust.trust.evidence import Evidence
from doitrust.trust.foresight import foresee
from doitrust.trust.judge import Judge
from doitrust.trust.policy import REPLACEMENT_FACTOR, Policy
from doitrust.trust.reports import Fate, OrganisationReport, Status
from doitrust.trust.verdict import Verdict
from doitrust.workflows.gather import gather
from doitrust.workflows.records import certificates
from doitrust.workflows.sending import refuse_changed

#: An older pairing is not certified: the meter may have been changed since (formats.md «Pairing»).
MAX_AGE = 24 * 3600
#: Seconds that the node's clock may be ahead.
_AHEAD = 600


class Case(NamedTuple):
    """A meter in an organisation's eyes: the evidence, the judge over it, and who is to sign."""

    meter: str
    org: str
    evidence: Evidence
    judge: Judge
    policy: Policy

    @property
    def verdict(self) -> Verdict:
        """What holds now."""
        return self.judge.verdict(self.meter)

    @property
    def report(self) -> OrganisationReport | None:
        """What the organisation says of the meter now, if anything."""
        return next((r for r in self.verdict.organizations if r.name == self.org), None)

    @property
    def record(self) -> bytes:
        """The Doichain name."""
        return record_name(self.meter)


def open_case(
    chain: ChainView,
    contents: ContentSource,
    policy: Policy,
    meter: str,
    org: str,
    progress: Progress | None = None,
) -> Case:
    """Gather what is known of a meter; raises `Refused` if the organisation is not accepted here."""
    if org not in {pin.name for pin in policy.pins}:
        raise Refused(
            f"you have not accepted {org}",
            hint=f'doitrust org accept "{org}" shows its roots; accept the one that is meant',
            code="organization_not_accepted",
        )
    evidence = gather(chain, contents, policy, [meter], progress=progress)
    judge = Judge(evidence, policy)
    flaw = judge.verdict(meter)
    if flaw.status is Status.UNDETERMINED and not flaw.writes and flaw.reason is not None:
        raise Refused(f"nothing can be said of {meter} now: {flaw.reason}", code=flaw.reason)
    return Case(meter, org, evidence, judge, policy)


def check_pairing(pairing: Pairing, network: str, now: int, *, legacy_number: bool) -> None:
    """Raise `Refused` for a pairing that is not to be certified."""
    if pairing.network.name != network:
        raise Refused(f"the pairing is for {pairing.network.name}, you are on {network}")
    seconds = age(pairing, now)
    if seconds > MAX_AGE:
        raise Refused(
            f"the pairing is {seconds // 3600} hours old, more than {MAX_AGE // 3600}",
            hint="make a new one on the node: doitrust pi pair",
            code="pairing_too_old",
        )
    if seconds < -_AHEAD:
        raise Refused(
            "the pairing was made in the future: the node's clock or yours is wrong", code="pairing_too_new"
        )
    if not legacy_number and (pairing.is_legacy or not is_din_number(pairing.meter)):
        raise Refused(
            f"{pairing.meter} is no number of DIN 43863-5, so it is unique by agreement only",
            hint="if it is the number on the meter: --legacy-number",
            code="legacy_number",
        )


def check_signer(case: Case, key: bytes, *, revoking: bool = False) -> None:
    """Raise `Refused` unless `key` is a member as of the next block, before anybody is asked to sign."""
    membership = case.judge.organisations[case.org].membership
    standing = (membership.revoker if revoking else membership.certifier)(key, case.evidence.tip.height + 1)
    if standing is Standing.MEMBER:
        return
    why = {
        Standing.NOT_A_MEMBER: f"{key.hex()} is not in the list of {case.org}",
        Standing.REVOKED: f"{case.org} has withdrawn the key {key.hex()}",
        Standing.UNKNOWN: f"whether {key.hex()} is a member of {case.org} can't be told now",
    }[standing]
    hint = {
        Standing.NOT_A_MEMBER: f'let its admin add it: doitrust org add-member "{case.org}" {key.hex()}',
        Standing.UNKNOWN: "try again when its record is confirmed and its lists can be had",
    }.get(standing, "")
    code = "membership_unknown" if standing is Standing.UNKNOWN else standing.value
    raise Refused(why, hint=hint, code=code)


def certificate(
    case: Case, pairing: Pairing, seals: Sequence[str], doc: str | None, after: str | None
) -> Certificate:
    """Return the record to write; raises `Refused` if a revocation stands that it doesn't name (C4)."""
    if not seals or not all(seal.strip() and visible(seal) == seal for seal in seals):
        raise Refused("a certificate names the seal's number", hint="--seal NUMBER")
    last = last_revocation(case)
    if last is not None and after is None:
        raise Refused(
            f"the meter was revoked for {case.org} by {last}",
            hint=f"if its reason is gone: --after {last}",
            code="revoked",
        )
    if last is None and after is not None:
        raise Refused(f"{case.org} has no revocation of this meter", hint="leave out --after")
    if last is not None and (after is None or len(after) < 16 or not last.startswith(after)):
        raise Refused(f"--after names another transaction than the last revocation, {last}")
    return Certificate(case.org, pairing.node, pairing.client, pairing.ms, tuple(seals), doc, last)


def last_revocation(case: Case) -> str | None:
    """The txid of the organisation's last revocation of the meter that counted, lifted or not (C4)."""
    counted = (Fate.STOOD, Fate.UNSURE)
    writes = [w for w in case.verdict.writes if w.organization == case.org and w.kind == "revocation"]
    return next((w.txid for w in reversed(writes) if w.fate in counted), None)


def standing_certificate(case: Case) -> Certificate:
    """The organisation's certificate that stands; raises `Refused` if there is none, or a revoked one."""
    report = case.report
    if (
        report is not None
        and report.state in ("certificate", "unconfirmed")
        and report.certificate is not None
    ):
        return report.certificate
    state = "was never certified" if report is None else f"is {report.state}"
    raise Refused(
        f"for {case.org} the meter {case.meter} {state}: there is nothing to renew",
        hint="" if report is None or report.state != "revoked" else "certify it anew, with --after",
        code="nothing_to_renew",
    )


def stands(case: Case, value: bytes) -> bool:
    """Whether this very certificate was written already: a process that was killed may have got so far."""
    report = case.report
    if report is None or report.state not in ("certificate", "unconfirmed"):
        return False
    return report.certificate is not None and write_record(report.certificate) == value


def later(case: Case) -> Verdict:
    """The verdict on what is written, as it will be once all of it has its confirmations."""
    tip = case.evidence.tip
    deeper = replace(case.evidence, tip=tip._replace(height=tip.height + case.policy.min_confirmations))
    return Judge(deeper, case.policy).verdict(case.meter)


def judge_ahead(case: Case, tx: Transaction, chain: ChainView) -> tuple[Verdict, int]:
    """Judge a signed transaction as consumers will; returns the verdict and the confirmations it takes.

    Raises `Refused` if it would never decide: sending it would cost money and certify nothing.
    """
    refuse_changed(chain, case.evidence, case.record, tx.txid, waiting=chain.own)
    previous = {i.txid: located.tx for i in tx.inputs if (located := chain.transaction(i.txid)) is not None}
    least = case.policy.min_confirmations
    verdict = case.verdict
    for needed in (least, least * REPLACEMENT_FACTOR):
        later = foresee(case.evidence, tx, previous, needed)
        verdict = Judge(later, case.policy).verdict(case.meter)
        if any(r.name == case.org and r.deciding and r.deciding.txid == tx.txid and r.state != "unconfirmed"
               for r in verdict.organizations):  # fmt: skip
            return verdict, needed
    own = next((w for w in verdict.writes if w.txid == tx.txid), None)
    report = next((r for r in verdict.organizations if r.name == case.org), None)
    why = "no consumer would see it" if own is None else own.detail
    if own is not None and own.fate is Fate.STOOD and report is not None:
        why = f"for {case.org} the meter is {report.state} all the same"
    code = (None if own is None else own.reason) or "would_not_count"
    raise Refused(f"this would not count: {why}", code=code)


def same_node_elsewhere(
    chain: ChainView, key: bytes, meter: str, progress: Progress | None
) -> list[str] | None:
    """The other meters whose certificates name the node's key, as far as one scan shows; None if it broke off."""
    found: dict[str, None] = {}
    for record in certificates(chain, progress):
        if record is None:
            return None
        if record.certificate.node == key and record.meter != meter:
            found[record.meter] = None
    return list(found)
