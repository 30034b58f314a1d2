"""`doitrust demo`: recorded chains are loaded and their most telling meters verified."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from doitrust.adapters.devnet import load
from doitrust.chain.names import read_as_node
from doitrust.cli.app import App, pass_app
from doitrust.cli.devnet import accept_recorded
from doitrust.cli.options import Settings, command
from doitrust.cli.tree import Asked, headline, render_verdict
from doitrust.cli.views import verdict_view
from doitrust.cli.words import STATUS
from doitrust.errors import BadData, Unavailable
from doitrust.meters.number import record_name
from doitrust.meters.record import Certificate, read_record
from doitrust.text import visible
from doitrust.trust.verdict import Verdict
from doitrust.workflows.verify import verify

_FIRST, _SECOND = "doichain-regtest-1.json", "doichain-regtest-2.json"


class Scene(NamedTuple):
    """A meter of a recorded chain, and what happened to it."""

    chain: str
    meter: str
    title: str
    happened: str


SCENES = (
    Scene(
        _FIRST, "1EMH0012345002", "Certified", "A listed electrician sealed the meter and signed its record."
    ),
    Scene(
        _FIRST,
        "1EMH0012345021",
        "A stranger overwrote the organisation",
        "Mallory wrote a member list of her own under the name of Elektro Müller & Söhne, and then certified "
        "this meter as its electrician. The chain lets anyone overwrite any name.",
    ),
    Scene(
        _FIRST,
        "1EMH0012345022",
        "The same organisation, after the theft",
        "Its own electrician certified this meter after Mallory's write. The owner's signature decides, not the "
        "last write.",
    ),
    Scene(
        _FIRST,
        "1EMH0012345015",
        "A squatter was first",
        "Somebody took the meter's name before the electrician came. First come proves nothing.",
    ),
    Scene(
        _FIRST,
        "1EMH0012345008",
        "A forged signer",
        "The record's transaction spends a coin that anyone can spend, and carries an electrician's key where a "
        "signature would stand. The node accepts it.",
    ),
    Scene(
        _FIRST,
        "1EMH0012345016",
        "A stolen key",
        "The organisation had withdrawn the electrician's stolen key; the thief certified with it afterwards.",
    ),
    Scene(
        _FIRST,
        "1EMH0012345017",
        "Revoked",
        "The electrician found the seal broken and revoked the certificate.",
    ),
    Scene(
        _SECOND,
        "1REV0000099016",
        "A late broadcast",
        "A certificate that was signed before the revocation was kept back and sent after it.",
    ),
)


class Played(NamedTuple):
    """A scene with what a node alone says, and the verdict."""

    scene: Scene
    name_show: str
    verdict: Verdict


@command("demo", "See doitrust at work on throw-away chains; needs no network.")
@pass_app
def demo(app: App) -> None:
    """Play every scene."""
    started = time.perf_counter()
    played: list[Played] = []
    for name in (_FIRST, _SECOND):
        with _loaded(app, name) as world:
            played += [_play(world, scene) for scene in SCENES if scene.chain == name]
    seconds = time.perf_counter() - started
    value = [_view(one) for one in played]
    app.answer(value, lambda console: _render(console, played, seconds))


@contextmanager
def _throw_away() -> Iterator[str]:
    """A folder that is gone afterwards."""
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        raise Unavailable(
            f"can't make a folder to play in: {error.strerror}", hint="is TMPDIR right?"
        ) from None
    with folder as name:
        yield name


@contextmanager
def _loaded(app: App, name: str) -> Iterator[App]:
    """A world of its own with a recorded chain: a home and a devnet that are gone afterwards."""
    with as_file(files("doitrust") / "data" / name) as path, _throw_away() as folder:
        world = App(Settings(network="devnet", home=folder, verbose=app.settings.verbose))
        recorded = load(Path(path))
        accept_recorded(world, recorded, loaded=world.devnet.import_chain(recorded))
        yield world
        world.devnet.close()


def _play(world: App, scene: Scene) -> Played:
    (verdict,) = verify(world.chain, world.contents, world.policy(), [scene.meter]).verdicts
    return Played(scene, _name_show(world, scene.meter), verdict)


def _name_show(world: App, meter: str) -> str:
    """What the node's `name_show` gives: the last write of the name, whoever made it."""
    txid = (world.chain.history(record_name(meter), 1000) or [""])[-1]
    found = world.chain.transaction(txid)
    for output in () if found is None else found.tx.outputs:
        name = read_as_node(output.script)
        if name is None or name.written is None or name.written[0] != record_name(meter):
            continue
        try:
            record = read_record(name.written[1])
        except BadData:
            return "something that is no certificate"
        if isinstance(record, Certificate):
            return f"certified for {visible(record.org)}, node {record.node.hex()[:16]}…"
        return f"revoked for {visible(record.org)}: {visible(record.reason)}"
    return "no such name"


def _view(played: Played) -> dict[str, Any]:
    return {
        "title": played.scene.title,
        "happened": played.scene.happened,
        "name_show": played.name_show,
        "verdict": verdict_view(played.verdict),
    }


def _render(console: Console, played: list[Played], seconds: float) -> None:
    console.print("Chains recorded from a real Doichain node, in a folder that is thrown away.\n")
    loaded = ""
    for number, one in enumerate(played, 1):
        if one.scene.chain != loaded:
            if loaded:
                console.print()
                _command(console, "doitrust devnet reset")
            loaded = one.scene.chain
            _command(console, f"doitrust devnet import {loaded}")
        console.print(Text(f"\n{number}. {one.scene.title}", "bold"))
        console.print(Padding(Text(one.scene.happened), (0, 0, 0, 3), expand=False))
        _command(console, f"doitrust --network devnet verify {one.scene.meter}", indent=3)
        style, mark, word = STATUS[one.verdict.status]
        console.print(Text.assemble("   name_show alone: ", (one.name_show, "italic")))
        console.print(Text.assemble("   doitrust:        ", (f"{mark} {word}", style)))
        console.print(Padding(Text(headline(one.verdict)), (0, 0, 0, 3), expand=False))
    console.print(Text("\nWith all its evidence, the first of them:\n", "bold"))
    render_verdict(console, played[0].verdict, Asked(now=int(time.time())))
    console.print(Text(f"{len(played)} meters on two chains in {seconds:.1f} s, without a network.", "bold"))
    console.print("Next: doitrust devnet import FILE, doitrust org list, doitrust verify METER")


def _command(console: Console, line: str, indent: int = 0) -> None:
    console.print(Text.assemble(" " * indent, ("$ ", "dim"), (line, "cyan")), soft_wrap=True)
