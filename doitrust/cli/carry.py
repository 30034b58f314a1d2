"""Carrying out what writes to the chain, in one way for all commands: draft, ask, sign, judge, keep, send, wait."""

import shlex
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.files import write_atomic
from doitrust.chain.address import address_of
from doitrust.chain.amounts import doi
from doitrust.chain.draft import Draft
from doitrust.chain.names import read_canonical, strip_name
from doitrust.chain.networks import Network
from doitrust.chain.psbt import Psbt
from doitrust.chain.tx import Output, Transaction
from doitrust.cli.app import App
from doitrust.cli.signing import Chosen
from doitrust.errors import Refused, StillWaiting
from doitrust.ports import SIGNED, Entry
from doitrust.text import visible
from doitrust.trust.evidence_file import iso_time
from doitrust.workflows import sending, spending
from doitrust.workflows.sending import Patience, Purpose, Sent
from doitrust.workflows.spending import Order

#: Seconds between two looks at a chain whose blocks others make.
_PAUSE = 1.0

_NOTHING: Mapping[str, Any] = {}


class Job(NamedTuple):
    """What a command wants done.

    `question` is asked before signing, if there is one. `check` judges the signed transaction and returns what the
    answer shall hold beside; `publish` puts on IPFS what the transaction names, before anybody else sees it; `kept`
    is called once it is safe in the journal, and again where it is gone on with.
    """

    order: Order
    purpose: Purpose
    question: str | None = None
    check: Callable[[Transaction], Mapping[str, Any]] = lambda _tx: _NOTHING
    publish: Callable[[], None] = lambda: None
    kept: Callable[[Transaction], None] = lambda _tx: None


def waiting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--wait N` and `--no-wait`."""
    function = click.option("--no-wait", is_flag=True, help="Don't wait for a confirmation.")(function)
    return click.option(
        "--wait",
        type=click.IntRange(0, 10_000),
        default=1,
        metavar="N",
        help="Wait for N confirmations (1).",
    )(function)


def carry_out(app: App, who: Chosen, job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    """Do it, and return what there is to answer: `{txid, confirmations, fee, …}`, or `{psbt, fee}`, or the draft.

    `given` are the command's options: `wait`, `no_wait`, and `dry_run` where there is one.
    """
    wallet = app.wallet
    dry = bool(given.get("dry_run"))
    entry = sending.under_way(app.node, wallet, job.purpose)
    if entry is not None and not dry:
        app.notes.print(f"Going on with {entry.tx.txid}, which was signed before.", soft_wrap=True)
        try:
            extra = job.check(entry.tx)
        except Refused as error:
            sending.give_up(app.node, wallet, entry, error)
            raise
        job.publish()
        job.kept(entry.tx)
        return {**_deliver(app, entry.tx, entry.fee, given), **extra}
    sending.refuse_repeated(app.chain, job.order.name, job.order.source.script)
    draft = spending.draft(app.node, wallet, job.order)
    if dry or who.file is not None:
        show_draft(app.notes, draft.psbt, app.network)
    if dry:
        return {"dry_run": True, **draft_view(draft.psbt, app.network)}
    if who.file is not None:
        job.publish()
        write_atomic(who.file, (draft.psbt.text + "\n").encode(), "the PSBT")
        job.kept(draft.psbt.tx)  # its inputs are segwit: signing doesn't change its txid
        return {"psbt": str(who.file), **draft_view(draft.psbt, app.network)}
    if job.question is not None:
        show_draft(app.notes, draft.psbt, app.network)
        app.ask(job.question)
    return _sign_and_send(app, who, job, draft, given)


def _sign_and_send(app: App, who: Chosen, job: Job, draft: Draft, given: Mapping[str, Any]) -> dict[str, Any]:
    if who.signer is None:
        raise AssertionError("a signer or a file was chosen")
    tx = sending.sign(who.signer, draft)
    extra = job.check(tx)
    job.publish()
    purpose = job.purpose
    app.wallet.record(tx, purpose.command, purpose.subject, draft.fee, int(time.time()), purpose.details)
    job.kept(tx)
    return {**_deliver(app, tx, draft.fee, given), **extra}


def _deliver(app: App, tx: Transaction, fee: int, given: Mapping[str, Any]) -> dict[str, Any]:
    if app.offline is not None:
        sent = any(entry.tx.txid == tx.txid and entry.state != SIGNED for entry in app.wallet.entries())
        return {**sent_view(Sent(tx.txid, 0, fee)), "sent": sent}
    wait = 0 if given.get("no_wait") else int(given.get("wait", 1))
    return sent_view(send(app, tx, fee, wait))


def send(app: App, tx: Transaction, fee: int, wait: int) -> Sent:
    """Send a transaction that the journal has, and wait; Ctrl-C leaves, and the journal knows."""
    try:
        with app.progress("Waiting for a block") as progress:
            patience = Patience(wait, lambda: time.sleep(_PAUSE), progress)
            sent = sending.deliver(app.node, app.wallet, tx, fee, patience)
    except KeyboardInterrupt:
        raise StillWaiting(
            f"{tx.txid} was sent and waits for its block; nothing is lost", hint="doitrust tx resume"
        ) from None
    app.when_told(lambda: sending.told(app.wallet, sent))
    return sent


def sent_view(sent: Sent) -> dict[str, Any]:
    """`{txid, confirmations, fee, sent}`, the fee in DOI."""
    return {"txid": sent.txid, "confirmations": sent.confirmations, "fee": doi(sent.fee), "sent": True}


def entry_view(entry: Entry) -> dict[str, Any]:
    """A journal entry as data."""
    return {
        "txid": entry.tx.txid,
        "command": entry.command,
        "subject": entry.subject,
        "state": entry.state,
        "fee": doi(entry.fee),
        "created": iso_time(entry.created),
        "note": entry.note,
    }


def draft_view(psbt: Psbt, network: Network) -> dict[str, Any]:
    """What a transaction would do, as data."""
    return {
        "fee": doi(psbt.fee),
        "inputs": [
            {"txid": spent.txid, "vout": spent.vout, **_output_view(psbt.spent(index), network)}
            for index, spent in enumerate(psbt.tx.inputs)
        ],
        "outputs": [_output_view(output, network) for output in psbt.tx.outputs],
    }


def _output_view(output: Output, network: Network) -> dict[str, Any]:
    name = read_canonical(output.script)
    script = strip_name(output.script)
    return {
        "amount": doi(output.value),
        "address": address_of(script, network) or script.hex(),
        "name": None if name is None else _shown(name.name),
        "value": None if name is None else _shown(name.value),
    }


def _shown(data: bytes) -> str:
    """Bytes as text where they are text, otherwise as hex."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.hex()


def show_draft(console: Console, psbt: Psbt, network: Network) -> None:
    """Show what a transaction would do, before it is signed."""
    view = draft_view(psbt, network)
    for part in view["outputs"]:
        if part["name"] is not None:
            console.print(Text.assemble("writes ", (visible(part["name"], 300), "bold")), soft_wrap=True)
            console.print(Text(f"  value {visible(part['value'], 600)}"), soft_wrap=True)
            console.print(Text(f"  owner {part['address']}, holding {part['amount']} DOI"), soft_wrap=True)
            if part["address"] not in {spent["address"] for spent in view["inputs"]}:
                console.print(Text("  This gives the record to another owner than who signs.", "yellow"))
    sources = {part["address"] for part in view["inputs"]}
    for part in view["outputs"]:
        if part["name"] is None:
            what = "change" if part["address"] in sources else "pays  "
            console.print(Text(f"{what} {part['amount']} DOI to {part['address']}"), soft_wrap=True)
    console.print(Text(f"fee    {view['fee']} DOI"))


def render_sent(console: Console, value: Mapping[str, Any], done: str) -> None:
    """Say what was sent, drafted or would be."""
    if value.get("dry_run"):
        console.print("Nothing was signed: this is what would be.")
    elif value.get("psbt"):
        console.print(Text(f"The unsigned transaction is in {visible(value['psbt'])}."), soft_wrap=True)
        file = shlex.quote(str(value["psbt"]))
        console.print("Whoever has a key for it signs it, and then it is sent:")
        console.print(Text(f"  doitrust tx sign {file} --signer keystore:NAME", "cyan"), soft_wrap=True)
        console.print(Text(f"  doitrust tx send {file}", "cyan"), soft_wrap=True)
    elif not value["sent"]:
        console.print(Text.assemble(("✔ ", "green"), "signed and kept, not sent yet"), soft_wrap=True)
        console.print(Text(f"  {value['txid']}", "dim"), soft_wrap=True)
        console.print("Where there is a network again:")
        console.print(Text("  doitrust tx resume", "cyan"))
    else:
        count = value["confirmations"]
        console.print(Text.assemble(("✔ ", "green"), done), soft_wrap=True)
        console.print(Text(f"  {value['txid']}", "dim"), soft_wrap=True)
        plural = "" if count == 1 else "s"
        console.print(Text(f"  {count} confirmation{plural}, fee {value['fee']} DOI", "dim"))
