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
from doitrust.cli.options import command
from doitrust.cli.signing import Chosen, chosen, spender_of
from doitrust.errors import DoitrustError, Refused, Unavailable, Usage
from doitrust.orgs.names import name_of_record
from doitrust.orgs.pins import Pin, Segment
from doitrust.ports import REFUSED, REPLACED, Entry
from doitrust.text import visible
from doitrust.workflows import bumping, cosign, keeping, sending


@command("resume", "Go on with what was signed: judge it, send it again, wait for it. Nothing is paid twice.")
@click.option("--bump", is_flag=True, help="Sign it once more for a higher fee, where it still waits.")
@waiting
@pass_app
def resume(app: App, bump: bool, **given: Any) -> int:
    """Finish what is under way, and what a reorganisation removed."""
    who = chosen(app) if bump else None
    if who is not None and who.file is not None and len(_waiting(app)) != 1:
        raise Usage("a PSBT holds one transaction, and not just one waits", hint="--signer keystore:NAME")
    values = [_resumed(app, entry, who, given) for entry in _unfinished(app)]
    app.answer(values, lambda console: _render(console, values))
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


def _waiting(app: App) -> list[Entry]:
    return [e for e in _unfinished(app) if e.is_open and not sending.confirmations_of(app.node, e.tx.txid)]


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
        waits = sending.confirmations_of(app.node, entry.tx.txid) == 0
        if waits and who is not None and entry.is_open and bumping.is_last(app.wallet.entries(), entry):
            return value | _bumped(app, entry, who, given)
        if waits:
            _share(app, entry.tx)
            cosign.outlook(app.chain, app.contents, app.policy(), entry.tx, made_here(app, entry.tx))
        return value | sent_view(send(app, entry.tx, entry.fee, _wait(given)))
    except DoitrustError as error:
        if error.exit_code in (2, 4, 5):
            raise
        if isinstance(error, Refused):
            sending.give_up(app.node, app.wallet, entry, error)
        return value | {"confirmations": 0, "fee": doi(entry.fee), "error": error.message}


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
    app.ask(f"{_what(entry.command, entry.subject)}: pay {doi(draft.fee)} instead of {doi(entry.fee)} DOI?")
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


def _render(console: Console, values: Sequence[Mapping[str, Any]]) -> None:
    for value in values:
        what = _what(value["command"], value["subject"])
        if value["error"] is None:
            render_sent(console, value, what)
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
