"""`doitrust devnet`: the embedded chain."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.devnet import Recorded, load
from doitrust.adapters.files import exists
from doitrust.adapters.pins import PinStore
from doitrust.chain.amounts import doi, parse_doi
from doitrust.chain.networks import DEVNET, REGTEST
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import FILE, argument, group
from doitrust.orgs.pins import Pin, Segment
from doitrust.text import visible
from doitrust.trust.evidence_file import iso_time


@group("devnet", "The embedded chain, to try things out.")
def devnet() -> None:
    """The noun."""


@devnet.command("import", help="Load a recorded chain, its IPFS contents and its organisations.")
@argument("file", "The recorded chain, as JSON.", type=FILE)
@pass_app
def import_(app: App, file: str) -> None:
    """Load a recorded chain."""
    recorded = load(Path(file))
    with app.progress("Importing") as progress:
        loaded = app.devnet.import_chain(recorded, progress)
    accepted = accept_recorded(app, recorded, loaded=loaded)
    value = {
        "imported": loaded,
        "blocks": len(recorded.blocks),
        "contents": len(recorded.contents),
        "accepted": accepted,
    }
    app.answer(value, lambda console: _render_import(console, value))


def accept_recorded(app: App, recorded: Recorded, *, loaded: bool) -> list[str]:
    """Accept the organisations that the file marks so, in its order; returns their names.

    A chain that was there already changes nothing, except in a home that never accepted anything.
    """
    state = app.home / "state.db"
    if not loaded and exists(state):
        return []
    pins = PinStore(state, DEVNET)
    found = [Pin(o.name, (Segment(o.root),)) for o in recorded.organizations if o.accepted]
    pins.accept(*found, anew=True)  # one of another chain would keep its rank
    return [pin.name for pin in found]


def _render_import(console: Console, value: dict[str, Any]) -> None:
    if not value["imported"]:
        console.print("This chain is there already.")
    else:
        console.print(f"{value['blocks']} blocks and {value['contents']} contents loaded.")
    for name in value["accepted"]:
        console.print(Text.assemble(("✔ ", "green"), f"accepted {visible(name)}"))


#: Blocks mined before progress is told again.
_AT_ONCE = 500


@devnet.command("start", help="Serve the embedded chain as a Doichain Core node does, by JSON-RPC.")
@click.option("--port", default=REGTEST.rpc_port, show_default=True, help="On 127.0.0.1; 0 takes a free one.")
@pass_app
def start(app: App, port: int) -> None:
    """Serve the chain until Ctrl-C, SIGTERM or the method `stop`."""
    from doitrust.adapters.devnet.rpc import Served, serve

    def tell(served: Served) -> None:
        value = {"url": served.url, "port": served.port, "cookie": str(served.cookie)}
        app.answer(value, lambda console: _render_start(console, value))
        sys.stdout.flush()  # whoever waits for it reads a pipe

    serve(app.devnet.directory, port, tell)


def _render_start(console: Console, value: dict[str, Any]) -> None:
    console.print(Text(f"url     {value['url']}"), soft_wrap=True)
    console.print(Text(f"cookie  {visible(value['cookie'])}"), soft_wrap=True)
    console.print("Ctrl-C stops it.")


@devnet.command("mine", help="Mine N blocks of what waits.")
@argument("count", "How many blocks.", metavar="N", type=click.IntRange(1, 100_000))
@pass_app
def mine(app: App, count: int) -> None:
    """Mine blocks, some at a time, so that one can see how far it is."""
    hashes: list[str] = []
    with app.progress("Mining") as progress:
        while len(hashes) < count:
            hashes += app.devnet.mine(min(_AT_ONCE, count - len(hashes)))
            if progress is not None:
                progress(len(hashes), count)
    _answer_blocks(app, hashes)


@devnet.command("reorg", help="Replace the last N blocks by N + 1 empty ones.")
@argument("count", "How many blocks, counted from the tip.", metavar="N", type=click.IntRange(1))
@click.option("--drop", is_flag=True, help="Forget what they held instead of letting it wait again.")
@pass_app
def reorg(app: App, count: int, drop: bool) -> None:
    """Reorganise the chain."""
    hashes = app.devnet.reorg(count, drop=drop)
    old = "The last block is" if count == 1 else f"The last {count} blocks are"
    waiting = app.devnet.status()["mempool"]
    held = "what was in there is forgotten" if drop else "what was in there waits for the next block"
    _answer_blocks(
        app, hashes, f"{old} replaced by {count + 1} empty ones; {held} ({waiting} in the mempool).\n"
    )


def _answer_blocks(app: App, hashes: Sequence[str], said: str = "") -> None:
    tip = app.devnet.tip()
    value = {"height": tip.height, "hash": tip.hash, "blocks": list(hashes)}
    app.answer(value, lambda console: console.print(f"{said}The chain is at block {tip.height} now."))


@devnet.command("fund", help="Pay AMOUNT DOI to ADDRESS, spendable at once.")
@click.argument("address")
@click.argument("amount")
@pass_app
def fund(app: App, address: str, amount: str) -> None:
    """Pay from the miner's coins."""
    schwartz = parse_doi(amount)
    paid = app.devnet.fund(address, schwartz)
    value = {
        "txid": paid.txid,
        "address": address,
        "amount": doi(schwartz),
        "mined": paid.mined,
        "height": paid.height,
    }
    app.answer(value, lambda console: _render_fund(console, value))


def _render_fund(console: Console, value: dict[str, Any]) -> None:
    blocks = "one block" if value["mined"] == 1 else f"{value['mined']} blocks"
    console.print(f"{value['amount']} DOI paid to {value['address']}", soft_wrap=True)
    console.print(f"transaction {value['txid']}", soft_wrap=True)
    console.print(f"in block {value['height']}; {blocks} mined for it")


@devnet.command("automine", help="Whether each broadcast mines a block.")
@argument("state", "What it shall be.", type=click.Choice(["on", "off"]))
@pass_app
def automine(app: App, state: str) -> None:
    """Switch automine."""
    app.devnet.automine(state == "on")
    app.answer({"automine": state == "on"}, lambda console: console.print(f"Automine is {state}."))


@devnet.command("reset", help="Go back to the genesis block and forget all contents.")
@pass_app
def reset(app: App) -> None:
    """Forget the chain."""
    app.ask(f"Forget the embedded chain in {app.devnet.directory}?")
    app.devnet.reset()
    app.answer({}, lambda console: console.print("The embedded chain is at its genesis block."))


@devnet.command("status", help="Where the embedded chain stands.")
@pass_app
def status(app: App) -> None:
    """Show the chain's state."""
    found = app.devnet.status()
    value = {**found, "time": iso_time(found["time"])}
    app.answer(value, lambda console: _render_status(console, value))


def _render_status(console: Console, value: dict[str, Any]) -> None:
    for key, shown in value.items():
        console.print(Text(f"{key:<10}{visible(str(shown))}"))
