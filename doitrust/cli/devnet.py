"""`doitrust devnet`: the embedded chain."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.devnet import Recorded, load
from doitrust.adapters.files import exists
from doitrust.adapters.pins import PinStore
from doitrust.chain.networks import DEVNET
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import group
from doitrust.orgs.pins import Pin, Segment
from doitrust.text import visible
from doitrust.trust.evidence_file import iso_time


@group("devnet", "The embedded chain, to try things out.")
def devnet() -> None:
    """The noun."""


@devnet.command("import", help="Load a recorded chain, its IPFS contents and its organisations.")
@click.argument("file")
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
    for pin in found:
        pins.reject(pin.name)  # one of another chain would keep its rank
    pins.accept(*found)
    return [pin.name for pin in found]


def _render_import(console: Console, value: dict[str, Any]) -> None:
    if not value["imported"]:
        console.print("This chain is there already.")
    else:
        console.print(f"{value['blocks']} blocks and {value['contents']} contents loaded.")
    for name in value["accepted"]:
        console.print(Text.assemble(("✔ ", "green"), f"accepted {visible(name)}"))


@devnet.command("mine", help="Mine N blocks of what waits.")
@click.argument("count", metavar="N", type=click.IntRange(1, 100_000))
@pass_app
def mine(app: App, count: int) -> None:
    """Mine blocks."""
    _answer_blocks(app, app.devnet.mine(count))


@devnet.command("reorg", help="Replace the last N blocks by N + 1 empty ones.")
@click.argument("count", metavar="N", type=click.IntRange(1))
@click.option("--drop", is_flag=True, help="Forget what they held instead of letting it wait again.")
@pass_app
def reorg(app: App, count: int, drop: bool) -> None:
    """Reorganise the chain."""
    _answer_blocks(app, app.devnet.reorg(count, drop=drop))


def _answer_blocks(app: App, hashes: Sequence[str]) -> None:
    tip = app.devnet.tip()
    value = {"height": tip.height, "hash": tip.hash, "blocks": list(hashes)}
    app.answer(value, lambda console: console.print(f"The chain is at block {tip.height} now."))


@devnet.command("automine", help="Whether each broadcast mines a block.")
@click.argument("state", type=click.Choice(["on", "off"]))
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
