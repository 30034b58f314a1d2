"""`doitrust tx`: transactions that several sign, and the journal of what was sent."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.files import read_bounded, write_atomic
from doitrust.chain.names import read_canonical, strip_name
from doitrust.chain.psbt import MAGIC, MAX_SIZE, Psbt
from doitrust.chain.psbt_sign import combine, extract, finalise
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App, pass_app
from doitrust.cli.carry import draft_view, entry_view, render_sent, send, sent_view, show_draft, waiting
from doitrust.cli.options import FILE, argument, command, group
from doitrust.cli.signing import chosen
from doitrust.cli.tx_resume import made_here, resume
from doitrust.cli.views import verdict_view
from doitrust.errors import Refused, Unavailable, Usage
from doitrust.orgs.names import name_of_record
from doitrust.ports import DONE, Entry
from doitrust.text import visible
from doitrust.workflows import bumping, cosign, sending

#: Bytes that the largest QR code holds at the lowest error level (ISO/IEC 18004, version 40-L).
_MOST_QR = 2953


@group("tx", "Transactions: sign and send what others drafted, and what is under way.")
def tx() -> None:
    """The noun."""


_FILE = argument("file", "A PSBT, binary or base64.", type=FILE)


@command("show", "What a PSBT would do, and who has signed it.")
@_FILE
@click.option("--qr", is_flag=True, help="As QR code too, for a wallet without a cable.")
@pass_app
def show(app: App, file: str, qr: bool) -> None:
    """Show a PSBT."""
    psbt = _read(file)
    value = _psbt_view(app, file, psbt)
    app.answer(value, lambda console: _render(console, app, psbt, value))
    if qr:
        _print_code(app, psbt)


def _print_code(app: App, psbt: Psbt) -> None:
    """Print the base64 form as QR code; raises `Refused` for one that no code can hold."""
    from doitrust.cli.qr import print_qr

    if len(psbt.text) > _MOST_QR:
        raise Refused(
            f"the PSBT has {len(psbt.text)} characters, and a QR code holds {_MOST_QR}",
            hint="hand over the file",
        )
    print_qr(app.notes if app.settings.json else app.console, psbt.text)


@command("sign", "Sign a PSBT, in place or to another file.")
@_FILE
@click.option("--out", metavar="FILE", type=FILE, help="Where the signed one goes (the same file).")
@pass_app
def sign(app: App, file: str, out: str | None) -> None:
    """Add signatures."""
    psbt = _read(file)
    who = chosen(app)
    if who.signer is None:
        raise Usage("a PSBT is signed with a key", hint="--signer keystore:NAME")
    show_draft(app.notes, psbt, app.network)
    _warn(app, psbt.tx)
    app.ask("Sign exactly this?")
    signed = cosign.cosign(app.chain, who.signer, psbt)
    target = Path(out or file)
    binary = read_bounded(Path(file), MAX_SIZE * 2, "the PSBT").startswith(MAGIC)
    data = signed.serialize() if binary else (signed.text + "\n").encode()
    write_atomic(target, data, "the PSBT")
    value = _psbt_view(app, str(target), signed)
    app.answer(value, lambda console: _render_signed(console, value))


def _render_signed(console: Console, value: Mapping[str, Any]) -> None:
    console.print(Text.assemble(("✔ ", "green"), f"signed: {visible(value['file'])}"), soft_wrap=True)
    if value["complete"]:
        console.print("It has all its signatures. Next: doitrust tx send FILE")
    else:
        console.print(
            "More signatures are needed: hand the file on, or a copy, and send all of them together."
        )


@command("send", "Combine what several signed, check it, send it.")
@argument("files", "PSBTs of one transaction.", metavar="FILE...", nargs=-1, required=True, type=FILE)
@waiting
@pass_app
def send_(app: App, files: Sequence[str], **given: Any) -> None:
    """Send."""
    psbt = combine([_read(file) for file in files])
    fee = psbt.fee
    finished = extract(finalise(psbt))
    done = sending.confirmations_of(app.node, finished.txid) > 0
    seen = (
        cosign.Outlook()
        if done
        else cosign.outlook(app.chain, app.contents, app.policy(), finished, made_here(app, finished))
    )
    if seen.doubt is not None:
        app.notes.print(Text(seen.doubt, "yellow"), soft_wrap=True)
    subject = cosign.subject_of(finished)
    now, own = int(time.time()), strip_name(psbt.spent(0).script)
    instead = bumping.replaced(app.wallet.entries(), finished, fee, own)
    if instead is not None:
        app.wallet.replace(instead.tx.txid, finished, fee, now)
    else:
        app.wallet.record(finished, "send", subject, fee, now, cosign.details_of(finished))
    value = sent_view(send(app, finished, fee, 0 if given["no_wait"] else given["wait"]))
    if seen.verdict is not None:
        value["verdict"] = verdict_view(seen.verdict)
    app.answer(value, lambda console: render_sent(console, value, "Sent."))


@command("list", "Everything that was signed and sent from this home.")
@pass_app
def list_(app: App) -> None:
    """List the journal."""
    entries = app.wallet.entries()
    values = [
        {**entry_view(entry), "confirmations": confirmations}
        for entry, confirmations in zip(entries, _depths(app, entries), strict=True)
    ]
    app.answer(values, lambda console: _render_list(console, values))


def _depths(app: App, entries: Sequence[Entry]) -> list[int | None]:
    """The confirmations of each; None for all where the node can't be asked: the journal is there without it."""
    try:
        return [sending.confirmations_of(app.node, entry.tx.txid) for entry in entries]
    except Unavailable as error:
        app.notes.print(Text(visible(error.message, 300), "yellow"), soft_wrap=True)
        return [None] * len(entries)


def _render_list(console: Console, values: Sequence[Mapping[str, Any]]) -> None:
    for value in values:
        depth = "?" if value["confirmations"] is None else value["confirmations"]
        note = f"  {visible(value['note'], 200)}" if value["note"] else ""
        what = f"{value['command']} {visible(value['subject'], 120)}{note}"
        plural = "" if depth == 1 else "s"
        line = Text.assemble((f"{value['state']:<8}", "bold"), f"{depth:>5} confirmation{plural}  {what}")
        console.print(line, soft_wrap=True)
        if value["state"] == DONE and depth == 0:
            console.print(
                Text("        It was in the chain and isn't any more: doitrust tx resume", "yellow"),
                soft_wrap=True,
            )
        console.print(Text(f"        {value['txid']}", "dim"))
    if not values:
        console.print("Nothing was sent from this home yet.")


def _read(file: str) -> Psbt:
    return Psbt.read(read_bounded(Path(file), MAX_SIZE * 2, "the PSBT"))


def _psbt_view(app: App, file: str, psbt: Psbt) -> dict[str, Any]:
    view = draft_view(psbt, app.network)
    progress = cosign.progress_of(psbt)
    for part, found in zip(view["inputs"], progress, strict=True):
        part["needs"] = found.needs
        part["signed"] = [key.hex() for key in found.signed]
    complete = all(found.final or len(found.signed) >= found.needs for found in progress)
    return {"file": file, "txid": psbt.tx.txid, "complete": complete, **view}


def _render(console: Console, app: App, psbt: Psbt, value: Mapping[str, Any]) -> None:
    show_draft(console, psbt, app.network)
    for number, part in enumerate(value["inputs"]):
        console.print(f"input {number}: {len(part['signed'])} of {part['needs']} signatures")
        for key in part["signed"]:
            console.print(Text(f"    {key}", "dim"))


def _warn(app: App, transaction: Transaction) -> None:
    """Look at the list behind an organisation's record before it is signed; raises `Refused` for a lost entry."""
    for output in transaction.outputs:
        name = read_canonical(output.script)
        org = None if name is None else name_of_record(name.name)
        if name is not None and org is not None:
            pin = app.pins.get(org) or made_here(app, transaction).get(org)
            doubt = cosign.check_list(app.chain, app.contents, pin, org, name.value).doubt
            if doubt is not None:
                app.notes.print(Text(doubt, "yellow"), soft_wrap=True)


for _command in (show, sign, send_, list_, resume):
    tx.add_command(_command)
