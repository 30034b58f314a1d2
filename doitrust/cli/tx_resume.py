"""`doitrust tx resume`: going on with what was signed, as it is or for a higher fee."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.files import write_atomic
from doitrust.chain.amounts import doi
from doitrust.chain.draft import Draft
from doitrust.chain.names import read_canonical
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App, pass_app
from doitrust.cli.carry import render_sent, send, sent_view, show_draft, waiting
from doitrust.cli.options import argument, command
from doitrust.cli.signing import Chosen, chosen, spender_of
from doitrust.cli.words import quoted
from doitrust.errors import DoitrustError, Refused, StillWaiting, Unavailable, Usage, UserRefused
from doitrust.orgs.names import name_of_record
from doitrust.orgs.pins import Pin, Segment, fingerprint
from doitrust.ports import NOT_OURS, REFUSED, REPLACED, SIGNED, Entry
from doitrust.text import visible
from doitrust.workflows import bumping, cosign, keeping, sending

_SAID_NO = "you said no"


@command("resume", "Go on with what was signed: judge it, send it again, wait for it. Nothing is paid twice.")
@argument("txids", "Only these, by txid or its beginning (all).", metavar="[TXID]...", nargs=-1)
@click.option("--bump", is_flag=True, help="Sign it once more for a higher fee, where it still waits.")
@waiting
@pass_app
def resume(app: App, txids: Sequence[str], bump: bool, **given: Any) -> int:
    """Finish what is under way, and what a reorganisation removed."""
    entries = _chosen(_unfinished(app), txids)
    who = chosen(app) if bump else None
    if who is not None and who.file is not None and sum(_can_be_bumped(app, e) for e in entries) != 1:
        raise Usage("a PSBT holds one transaction, and not just one waits", hint="name it: tx resume TXID")
    values = [_resumed(app, entry, who, given) for entry in entries]
    app.answer(values, lambda console: _render(console, app, values))
    if any(value["error"] == _SAID_NO for value in values):
        return UserRefused.exit_code
    return int(any(value["error"] is not None for value in values))


def _unfinished(app: App) -> list[Entry]:
    """What the user has not been told the end of, or what is no longer in the chain."""
    found = []
    for entry in app.wallet.entries():
        if entry.is_open or (
            entry.state not in (REFUSED, REPLACED) and sending.confirmations_of(app.node, entry.tx.txid) == 0
        ):
            found.append(entry)
    return found


def _chosen(entries: Sequence[Entry], txids: Sequence[str]) -> list[Entry]:
    """The entries that are named, or all of them."""
    for text in txids:
        if sum(entry.tx.txid.startswith(text.lower()) for entry in entries) != 1:
            raise Usage(f"{visible(text, 64)} is not just one that is under way", hint="doitrust tx list")
    starts = tuple(text.lower() for text in txids) or ("",)
    return [entry for entry in entries if entry.tx.txid.startswith(starts)]


def _can_be_bumped(app: App, entry: Entry) -> bool:
    """Whether it waits for a block, nothing of ours rests on it, and nobody has accepted it as a root here."""
    pinned = {segment.root for pin in app.pins.all() for segment in pin.segments}
    return (
        entry.is_open
        and entry.tx.txid not in pinned
        and sending.confirmations_of(app.node, entry.tx.txid) == 0
        and bumping.is_last(app.wallet.entries(), entry)
    )


def _resumed(app: App, entry: Entry, who: Chosen | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Go on with one; what fails is in the answer, but for a wait that was left."""
    value: dict[str, Any] = {
        "command": entry.command,
        "subject": entry.subject,
        "txid": entry.tx.txid,
        "error": None,
        "replaced": None,
        "psbt": None,
        "sent": False,
    }
    try:
        entry = sending.settle(app.node, app.wallet, entry.tx.txid) or entry
        value |= _went_on(app, entry, who, given)
    except UserRefused:
        value |= {**_unsent(entry), "error": _SAID_NO}
    except DoitrustError as error:
        if error.exit_code in (Usage.exit_code, StillWaiting.exit_code):
            raise
        if isinstance(error, Refused):
            sending.give_up(app.node, app.wallet, entry, error)
        value |= {**_unsent(entry), "error": error.message}
    value["root"] = value["txid"] if app.wallet.root(entry.subject) == value["txid"] else None
    return value


def _unsent(entry: Entry) -> dict[str, Any]:
    return {"txid": entry.tx.txid, "confirmations": 0, "fee": doi(entry.fee)}


def _went_on(app: App, entry: Entry, who: Chosen | None, given: Mapping[str, Any]) -> dict[str, Any]:
    if who is not None and _can_be_bumped(app, entry):
        try:
            return _sent_first(app, entry, given) or _bumped(app, entry, who, given)
        except Refused as error:
            if error.code not in ("not_the_owner", NOT_OURS):
                raise
            app.say(f"{_what(entry.command, entry.subject)}: another key's, so it is sent as it is.")
    return _sent(app, entry, given)


def _sent_first(app: App, entry: Entry, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Send what nobody has seen yet as it is; None if it has to be bumped, as it waits, or pays too little for now."""
    if entry.state != SIGNED or app.node.transaction(entry.tx.txid) is not None:
        return None
    try:
        return _sent(app, entry, given)
    except Refused as error:
        if error.code not in sending.FOR_NOW:
            raise
        return None


def _sent(app: App, entry: Entry, given: Mapping[str, Any]) -> dict[str, Any]:
    if sending.confirmations_of(app.node, entry.tx.txid) == 0:
        _judged(app, entry)
    return sent_view(send(app, entry.tx, entry.fee, _wait(given)))


def _judged(app: App, entry: Entry) -> None:
    """Judge it by the chain as it is now, before it is sent; what nobody has seen yet is asked about as when signed."""
    sending.refuse_orphan(app.node, app.wallet, entry.tx)
    _share(app, entry.tx)
    fresh = app.node.transaction(entry.tx.txid) is None
    seen = cosign.outlook(
        app.chain,
        app.contents,
        app.policy(),
        entry.tx,
        made_here(app, entry.tx),
        once=fresh and entry.command == "certify",
    )
    if fresh and seen.late is not None:
        app.ask(
            f"{_what(entry.command, entry.subject)}: it names another node or client than a certificate that somebody"
            f" else signed, so it takes over only after {seen.late} confirmations. Send it?"
        )


def _share(app: App, tx: Transaction) -> None:
    """What it names may have been put on this computer alone, where there was no network."""
    try:
        keeping.share_again(app.contents, tx)
    except Unavailable as error:
        app.say(f"What {tx.txid} names could not be handed to the IPFS node: {error.message}")


def _bumped(app: App, entry: Entry, who: Chosen, given: Mapping[str, Any]) -> dict[str, Any]:
    """Sign the same for a higher fee, and send that."""
    account, source = spender_of(app, who, entry.tx, bumping.source_script(app.node, entry.tx))
    draft = bumping.bump(app.node, app.wallet, entry, account, source)
    show_draft(app.notes, draft.psbt, app.network)
    if who.file is not None:
        write_atomic(who.file, (draft.psbt.text + "\n").encode(), "the PSBT")
        return {"psbt": str(who.file), "confirmations": 0, "fee": doi(draft.fee)}
    root = app.wallet.root(entry.subject) == entry.tx.txid
    app.ask(
        f"{_what(entry.command, entry.subject)}: pay {doi(draft.fee)} instead of {doi(entry.fee)} DOI?"
        + (
            " Its root will be another: whoever was told the old one has to be told the new one."
            if root
            else ""
        )
    )
    tx = _signed(who, draft)
    cosign.outlook(app.chain, app.contents, app.policy(), tx, made_here(app, tx))
    app.wallet.replace(entry.tx.txid, tx, draft.fee, int(time.time()))
    return {**sent_view(send(app, tx, draft.fee, _wait(given))), "replaced": entry.tx.txid}


def _signed(who: Chosen, draft: Draft) -> Transaction:
    if who.signer is None:
        raise AssertionError("a signer or a file was chosen")
    return sending.sign(who.signer, draft)


def _wait(given: Mapping[str, Any]) -> int:
    return 0 if given["no_wait"] else int(given["wait"])


def _what(command_name: str, subject: str) -> str:
    return f"{command_name} {visible(subject, 120)}"


def _render(console: Console, app: App, values: Sequence[Mapping[str, Any]]) -> None:
    for value in values:
        what = _what(value["command"], value["subject"])
        if value["error"] is None:
            render_sent(console, value, what)
            if value["replaced"] is not None and value["root"] is not None:
                name = value["subject"]
                console.print(
                    f"Its root is another now, with the fingerprint {fingerprint(app.network, name, value['root'])}:"
                )
                line = f"doitrust org accept {quoted(name)} --root {value['root']}"
                console.print(Text(f"  {line}", "cyan"), soft_wrap=True)
        else:
            console.print(Text.assemble(("✘ ", "red"), f"{what}: {visible(value['error'], 300)}"))
            console.print(Text(f"  {value['txid']}", "dim"))
    if not values:
        console.print("Nothing is under way.")


def made_here(app: App, transaction: Transaction) -> dict[str, Pin]:
    """The organisations that were made here, of those that the transaction writes."""
    found = {}
    for output in transaction.outputs:
        name = read_canonical(output.script)
        org = None if name is None else name_of_record(name.name)
        root = None if org is None else app.wallet.root(org)
        if org is not None and root is not None and root != transaction.txid:
            found[org] = Pin(org, (Segment(root),))
    return found
