"""`doitrust meter certify`, `revoke`, `renew`: what an electrician writes; and `label`, the sticker for the seal."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.files import read_bounded, write_atomic
from doitrust.chain.accounts import Account
from doitrust.chain.address import script_of
from doitrust.chain.amounts import doi, parse_doi
from doitrust.chain.descriptors import OwnScript
from doitrust.chain.names import NameOutput
from doitrust.chain.tx import Output, Transaction
from doitrust.cli.app import App, pass_app
from doitrust.cli.carry import Job, carry_out, render_sent, waiting
from doitrust.cli.options import FILE, argument, command
from doitrust.cli.org_common import organisation_name, read_txid
from doitrust.cli.org_publish import local_only
from doitrust.cli.signing import Chosen, chosen, owner_of, source_of
from doitrust.cli.verify import meter_asked
from doitrust.cli.views import verdict_view
from doitrust.content.unixfs import cid_of_file
from doitrust.errors import Refused, Usage
from doitrust.meters.document import write_document
from doitrust.meters.link import write_link
from doitrust.meters.number import record_name
from doitrust.meters.pairing import MAX_BYTES, Pairing, read_pairing, short_fingerprint
from doitrust.meters.record import Revocation, write_record
from doitrust.orgs.membership import Standing
from doitrust.orgs.pins import Pin, Segment
from doitrust.text import visible
from doitrust.trust.reports import OrganisationReport
from doitrust.trust.verdict import Verdict
from doitrust.workflows import certify as certifying
from doitrust.workflows import keeping, sending
from doitrust.workflows.certify import Case
from doitrust.workflows.sending import Purpose
from doitrust.workflows.spending import Order
from doitrust.workflows.verify import verify

_OFFLINE = click.option(
    "--offline", is_flag=True, help="Without a network: decide by what meter prepare took along, send later."
)
_METER = argument("number", "The number on the meter, or the link on its sticker.", metavar="METER")


class Documents(NamedTuple):
    """The certificate's document and its photographs, not yet published; `cid` is what the record names."""

    cid: str | None
    files: tuple[bytes, ...] = ()


@command("certify", "Certify a meter: check everything, sign its record, send it.")
@argument("pairing", "The pairing that the node made: doitrust pi pair.", type=FILE)
@click.option("--org", required=True, metavar="NAME", help="The organisation you certify for.")
@click.option(
    "--seal", "seals", multiple=True, required=True, metavar="NUMBER", help="The seal's number; repeatable."
)
@click.option("--photo", "photos", multiple=True, metavar="FILE", type=FILE, help="A photograph; repeatable.")
@click.option("--fund", metavar="AMOUNT", help="Pay so many DOI to the pairing's address as well.")
@click.option("--after", metavar="TXID", help="The revocation that this certificate follows.")
@click.option("--legacy-number", is_flag=True, help="The number isn't one of DIN 43863-5, and is right.")
@click.option("--dry-run", is_flag=True, help="Check, show what would be signed, and stop.")
@_OFFLINE
@local_only
@waiting
@pass_app
def certify(app: App, pairing: str, org: str, **given: Any) -> None:
    """Certify a meter."""
    if given["offline"]:
        app.go_offline()
    paired = read_pairing(read_bounded(Path(pairing), MAX_BYTES, "the pairing"))
    now = int(time.time())
    certifying.check_pairing(paired, app.network.name, now, legacy_number=given["legacy_number"])
    who = chosen(app)
    source = source_of(who, Account.MEMBER)
    case = _case(app, paired.meter, organisation_name(org))
    certifying.check_signer(case, _single_key(source))
    documents = _documents(app, paired, given["seals"], given["photos"], dry=given["dry_run"])
    after = None if given["after"] is None else _after(given["after"])
    record = certifying.certificate(case, paired, given["seals"], documents.cid, after)
    subject = f"{paired.meter} {org}"
    pending = app.wallet.pending("certify", subject) is not None
    # Offline it is signed all the same: whether it still stands is judged when it is sent.
    if certifying.stands(case, write_record(record)) and not (given["dry_run"] or app.offline or pending):
        _answer_standing(app, case)
        return
    _warn(app, paired)
    fund = (
        ()
        if given["fund"] is None
        else (Output(parse_doi(given["fund"]), script_of(paired.ms, app.network)),)
    )
    value = write_record(record)
    order = Order(Account.MEMBER, source, NameOutput(case.record, value, source.script), fund)
    details = {"value": value.decode(), "fund": [payment.value for payment in fund]}
    mark = short_fingerprint(paired.node, paired.client)
    question = (
        f"Do the node and the wallet show {mark}, and is the seal on? Sign the certificate of {paired.meter}?"
    )

    def check(tx: Transaction) -> Mapping[str, Any]:
        return {"verdict": verdict_view(_judged(app, case, tx))}

    def publish() -> None:
        for data in documents.files:
            keeping.publish(app.contents, data, local_only=given["local_only"])

    def kept(_tx: Transaction) -> None:
        app.wallet.keep_pairing(paired.node, paired.client)

    job = Job(order, Purpose("certify", subject, details), question, check, publish, kept)
    answer = {"meter": paired.meter, "fingerprint": mark, **carry_out(app, who, job, given)}
    if given["dry_run"]:
        answer["record"] = value.decode()
    app.answer(answer, lambda console: _render_certified(console, paired, answer, documents))


def _render_certified(
    console: Console, paired: Pairing, answer: Mapping[str, Any], documents: Documents
) -> None:
    render_sent(console, answer, f"{paired.meter} is certified.")
    if answer.get("dry_run"):
        console.print(Text(f"  {answer['record']}"), soft_wrap=True)
    console.print(Text(f"  fingerprint of node and wallet: {answer['fingerprint']}", "dim"))
    if documents.files and answer.get("sent"):
        console.print("The photographs are on IPFS without their EXIF data. IPFS does not forget.")
    if answer.get("sent"):
        console.print(Text(f"Next: doitrust verify {paired.meter}", "dim"))


@command("revoke", "Revoke a meter's certificate.")
@_METER
@click.option("--org", required=True, metavar="NAME", help="The organisation whose certificate it is.")
@click.option("--reason", required=True, metavar="R", help="Why, for everybody to read.")
@_OFFLINE
@waiting
@pass_app
def revoke(app: App, number: str, org: str, reason: str, **given: Any) -> None:
    """Revoke."""
    if not reason.strip():
        raise Usage("a revocation needs a reason", hint="--reason TEXT")
    if given["offline"]:
        app.go_offline()
    case = _case(app, meter_asked(app, number).meter, organisation_name(org))
    who = chosen(app)
    account, source = _revoker(app, who, case)
    record = Revocation(case.org, reason)
    report = case.report
    subject = f"{case.meter} {case.org}"
    done = report is not None and report.state == "revoked" and _same_reason(case, reason)
    if done and not app.offline and app.wallet.pending("revoke", subject) is None:
        _answer_standing(app, case)
        return
    value = write_record(record)
    order = Order(account, source, NameOutput(case.record, value, source.script))
    purpose = Purpose("revoke", subject, {"value": value.decode()})
    answer = _carried(app, who, case, Job(order, purpose), given)
    app.answer(answer, lambda console: render_sent(console, answer, f"{case.meter} is revoked."))


@command("renew", "Write a meter's certificate once more before its name expires.")
@_METER
@click.option("--org", metavar="NAME", help="The organisation, where several certified it.")
@_OFFLINE
@waiting
@pass_app
def renew(app: App, number: str, org: str | None, **given: Any) -> None:
    """Renew."""
    if given["offline"]:
        app.go_offline()
    meter = meter_asked(app, number).meter
    case = _case(app, meter, _organisation_of(app, meter, org))
    who = chosen(app)
    source = source_of(who, Account.MEMBER)
    certifying.check_signer(case, _single_key(source))
    value = write_record(certifying.standing_certificate(case))
    order = Order(Account.MEMBER, source, NameOutput(case.record, value, source.script))
    purpose = Purpose("renew", f"{meter} {case.org}", {"value": value.decode()})
    answer = _carried(app, who, case, Job(order, purpose), given)
    app.answer(answer, lambda console: render_sent(console, answer, f"The record of {meter} is renewed."))


@command("label", "Write a printable sticker for the seal: number, organisation, date, QR code.")
@_METER
@click.option("--out", required=True, metavar="FILE.pdf", type=FILE, help="Where the PDF goes.")
@pass_app
def label(app: App, number: str, out: str) -> None:
    """Write the sticker."""
    from doitrust.adapters.label import label_pdf

    meter = meter_asked(app, number).meter
    (verdict,) = verify(app.chain, app.contents, app.policy(), [meter]).verdicts
    by = verdict.decided_by
    if (
        by is None
        or by.certificate is None
        or by.deciding is None
        or by.state not in ("certificate", "unconfirmed")
    ):
        raise Refused(
            f"{meter} is {verdict.status.value}: there is no certificate to label",
            hint=f"doitrust verify {meter}",
            code="not_certified",
        )
    link = write_link(meter, app.network.name, by.name)
    moment = verdict.tip.time if by.deciding.time is None else by.deciding.time
    date = datetime.fromtimestamp(moment, UTC).date()
    data = label_pdf(meter, by.name, date, link, seal=by.certificate.seal, network=app.network)
    write_atomic(Path(out), data, "the label")
    value = {"file": out, "meter": meter, "organization": by.name, "date": date.isoformat(), "link": link}
    app.answer(value, lambda console: console.print(Text(f"The label is in {visible(out)}."), soft_wrap=True))


def _case(app: App, meter: str, org: str) -> Case:
    """The meter for an organisation that is accepted here, or was made here."""
    policy = app.policy()
    root = app.wallet.root(org)
    if root is not None and org not in {pin.name for pin in policy.pins}:
        policy = replace(policy, pins=(*policy.pins, Pin(org, (Segment(root),))))
    if app.offline is not None and not app.offline.covers(record_name(meter)):
        app.notes.print(
            f"Nothing is known here of what was written of {meter} before: that is judged when this is sent.",
            style="yellow",
            soft_wrap=True,
        )
    with app.progress("Gathering") as progress:
        return certifying.open_case(app.chain, app.contents, policy, meter, org, progress)


def _carried(app: App, who: Chosen, case: Case, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    def check(tx: Transaction) -> Mapping[str, Any]:
        return {"verdict": verdict_view(_judged(app, case, tx))}

    return {"meter": case.meter, **carry_out(app, who, job._replace(check=check), given)}


def _judged(app: App, case: Case, tx: Transaction) -> Verdict:
    """The verdict that consumers will see; asks where it takes long to come."""
    if sending.confirmations_of(app.node, tx.txid) > 0:
        return certifying.later(case)  # it is written, whatever it counts for
    verdict, needed = certifying.judge_ahead(case, tx, app.chain)
    if needed > case.policy.min_confirmations:
        app.ask(
            f"It names another node or client than a certificate that somebody else signed, so it takes over only"
            f" after {needed} confirmations. Send it?"
        )
    return verdict


def _same_reason(case: Case, reason: str) -> bool:
    """Whether the last revocation gives the same reason."""
    last = certifying.last_revocation(case)
    wanted = write_record(Revocation(case.org, reason))
    writes = case.evidence.writes(case.record)
    return any(write.tx.txid == last and write.output.value == wanted for write in writes)


def _answer_standing(app: App, case: Case) -> None:
    """Say that it is done already; nothing is signed or paid twice."""
    report = case.report
    deciding = None if report is None else report.deciding
    if deciding is None:
        raise Refused(f"{case.meter} waits for its confirmations", hint="doitrust tx resume")
    fees = {entry.tx.txid: entry.fee for entry in app.wallet.entries()}
    value = {
        "meter": case.meter,
        "txid": deciding.txid,
        "confirmations": deciding.confirmations,
        "fee": doi(fees.get(deciding.txid, 0)),
        "sent": True,
        "already": True,
        "verdict": verdict_view(certifying.later(case)),
    }
    app.answer(
        value, lambda console: render_sent(console, value, f"This was written already for {case.meter}.")
    )


def _single_key(source: OwnScript) -> bytes:
    """A member's one key; raises `Usage` where there are several."""
    if len(source.origins) != 1:
        raise Usage("a member signs with one key", hint="--from KEY")
    return next(iter(source.origins))


def _revoker(app: App, who: Chosen, case: Case) -> tuple[Account, OwnScript]:
    """Who may revoke (C3): a member, or the organisation's owner."""
    source = source_of(who, Account.MEMBER)
    membership = case.judge.organisations[case.org].membership
    height = case.evidence.tip.height + 1
    if len(source.origins) == 1:
        key = next(iter(source.origins))
        if membership.revoker(key, height) is Standing.MEMBER:
            return Account.MEMBER, source
    step = membership.step_at(height)
    if step is not None and step.owner is not None:
        try:
            return owner_of(app, who, step.owner)
        except Refused:
            pass
    certifying.check_signer(case, _single_key(source), revoking=True)
    raise AssertionError


def _organisation_of(app: App, meter: str, org: str | None) -> str:
    """The organisation to renew for: the named one, or the only one whose certificate stands."""
    if org is not None:
        return organisation_name(org)
    (verdict,) = verify(app.chain, app.contents, app.policy(), [meter]).verdicts
    found: list[OrganisationReport] = [
        r for r in verdict.organizations if r.state in ("certificate", "unconfirmed")
    ]
    if len(found) != 1:
        said = ", ".join(f"{visible(r.name)}: {r.state}" for r in verdict.organizations) or "no certificate"
        raise Refused(
            f"which certificate of {meter} is to be renewed can't be told ({said})",
            hint="--org NAME; a revoked meter is certified anew, with --after",
            code="nothing_to_renew",
        )
    return found[0].name


def _after(text: str) -> str:
    """A txid or at least the first 16 digits of one."""
    text = text.strip().lower()
    if 16 <= len(text) < 64 and all(c in "0123456789abcdef" for c in text):
        return text
    return read_txid(text)


def _documents(
    app: App, paired: Pairing, seals: Sequence[str], photos: Sequence[str], *, dry: bool
) -> Documents:
    """The certificate's document, where there are photographs."""
    if not photos:
        return Documents(None)
    from doitrust.adapters.photos import clean_photo

    pictures = [clean_photo(Path(photo)) for photo in photos]
    if not dry:
        app.ask("Photographs on IPFS can be seen by everybody, and IPFS does not forget. Publish them?")
    data = write_document(paired, seals, [cid_of_file(picture).text for picture in pictures])
    return Documents(cid_of_file(data).text, (*pictures, data))


def _warn(app: App, paired: Pairing) -> None:
    """Say what can't be refused and shouldn't be passed over."""
    with app.progress("Looking for the node elsewhere") as progress:
        others = certifying.same_node_elsewhere(app.chain, paired.node, paired.meter, progress)
    if others is None:
        app.notes.print("There are too many records to look for this node in all of them.", style="yellow")
    elif others:
        app.notes.print(
            Text(f"This node's key stands in the record of {', '.join(others[:5])} too.", "yellow"),
            soft_wrap=True,
        )
    if paired.origin is not None:
        app.notes.print(
            "The node was not asked for an answer: this version can't challenge it yet.", style="yellow"
        )


COMMANDS = (certify, revoke, renew, label)
