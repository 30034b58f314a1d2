"""`doitrust org accept`, `reject` and `accepted`: the user's pins."""

from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.cli.app import App, pass_app
from doitrust.cli.options import Command, argument, command
from doitrust.cli.org_common import candidate_value, organisation_name, read_txid, render_candidates
from doitrust.errors import BadData, Refused, Usage
from doitrust.orgs.link import PREFIX, read_link
from doitrust.orgs.pins import Pin, Segment, fingerprint
from doitrust.text import visible
from doitrust.trust.policy import MAX_WRITES
from doitrust.workflows import organisations

#: Candidates shown by `org accept` without a root (cli.md).
_CANDIDATES = 20

_SEGMENT_OPTIONS = ("--root", "--until", "--fingerprint")
#: Beside each other these two name one root, and check each other.
_NAMING = {"--root", "--fingerprint"}

_MORE = """\
Anyone can write under any name, also first, so ask the organisation for its root or fingerprint by another way.
--root and --fingerprint beside each other name one root, and both must fit.

A link (doitrust:org/NAME?network=...&root=TXID, as in a QR code) names the root itself; it is checked, shown with
its fingerprint, and you are asked.

Segments follow an organisation past a theft of its record: --root A --until B --root C accepts what its owner wrote
from A to B, and from C on. Accepting again replaces all that was accepted under this name.
"""


class _Accept(Command):
    """Remembers in which order `--root`, `--until` and `--fingerprint` came: an end closes the root before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the order, then parse as usual."""
        ctx.meta["order"] = [
            flag for arg in args for flag in _SEGMENT_OPTIONS if arg == flag or arg.startswith(flag + "=")
        ]
        return super().parse_args(ctx, args)


@command(
    "accept",
    "Accept an organisation by its root; without one, list the candidates.",
    cls=_Accept,
    epilog=_MORE,
)
@argument("name", "The organisation's name, or a link to it.")
@click.option("--root", "roots", multiple=True, metavar="TXID", help="The root you were told; repeatable.")
@click.option("--until", "ends", multiple=True, metavar="TXID", help="The last write of the root before it.")
@click.option(
    "--fingerprint", "prints", multiple=True, metavar="F", help="The root's fingerprint; repeatable."
)
@pass_app
def accept(app: App, name: str, **given: Any) -> None:
    """Accept an organisation; never silently (O2)."""
    order = click.get_current_context().meta["order"]
    linked = name.startswith("doitrust:")
    if linked:
        if order:
            raise Usage("a link names its root itself", hint="leave out --root, --until and --fingerprint")
        name, segments = _from_link(app, name)
    else:
        name = organisation_name(name)
        segments = _segments(app, name, order, given)
    if not segments:
        _list_candidates(app, name)
        return
    pin = organisations.make_pin(app.chain, app.contents, name, segments, app.min_confirmations)
    if linked:
        _ask(app, pin)
    app.pins.accept(pin)
    value = pin_value(app, pin)
    app.answer(value, lambda console: _render_accepted(console, [value]))


def _ask(app: App, pin: Pin) -> None:
    """Whoever sent a link chose its root: the user compares before it is pinned."""
    root = pin.segments[-1].root
    mark = fingerprint(app.network, pin.name, root)
    app.ask(
        f"Accept {pin.name}, fingerprint {mark}?",
        f"{pin.name}, on {app.network.name}",
        f"    root         {root}",
        f"    fingerprint  {mark}",
    )


def _list_candidates(app: App, name: str) -> None:
    found = organisations.overview(app.chain, app.contents, name, None, MAX_WRITES).candidates
    if not found:
        raise organisations.no_organisation(name, app.network)
    value = {
        "name": name,
        "candidates": [candidate_value(app, candidate) for candidate in found[:_CANDIDATES]],
        "count": len(found),
    }
    app.answer(value, lambda console: _render_accept_candidates(console, value))


def _from_link(app: App, text: str) -> tuple[str, list[Segment]]:
    if not text.startswith(PREFIX):
        raise Usage(f"{visible(text, 80)!r} is no link to an organisation")
    link = read_link(text)
    if link.network != app.network.name:
        raise Usage(
            f"the link is for {visible(link.network, 20)}, you are on {app.network.name}",
            hint=f"if that is meant: --network {visible(link.network, 20)}",
        )
    return link.name, [Segment(link.root)]


def _segments(app: App, name: str, order: Sequence[str], given: dict[str, Any]) -> list[Segment]:
    values = {
        "--root": iter(given["roots"]),
        "--until": iter(given["ends"]),
        "--fingerprint": iter(given["prints"]),
    }
    segments: list[Segment] = []
    before = ""
    # What the environment gives has no order of its own.
    for flag in order or ["--root"] * len(given["roots"]) + ["--fingerprint"] * len(given["prints"]):
        text = next(values[flag], None)
        if text is None:
            break
        if flag == "--until":
            if not segments or segments[-1].until is not None:
                raise Usage("--until closes the --root before it, and there is none open")
            segments[-1] = Segment(segments[-1].root, read_txid(text))
        else:
            root = read_txid(text) if flag == "--root" else _by_fingerprint(app, name, text)
            named_twice = segments and segments[-1].until is None and {before, flag} == _NAMING
            if not named_twice:
                segments.append(Segment(root))
            elif segments[-1].root != root:
                raise Refused(
                    "this fingerprint is not that of this root",
                    hint="compare both letter by letter; a segment before another needs --until",
                )
        before = flag
    return segments


def _by_fingerprint(app: App, name: str, text: str) -> str:
    try:
        return organisations.roots_by_fingerprint(app.chain, app.contents, name, text)
    except BadData as error:
        raise Usage(error.message) from None


def _render_accept_candidates(console: Console, value: dict[str, Any]) -> None:
    console.print(
        "This accepts nothing. Anyone can write under any name, also first, so compare the fingerprint with "
        "the one that the organisation gave you by another way."
    )
    console.print()
    render_candidates(console, value["name"], value["candidates"])
    if value["count"] > len(value["candidates"]):
        console.print(Text(f"… {value['count']} candidates in all"))


@command("reject", "Accept an organisation no longer.")
@argument("name", "The organisation's name.")
@pass_app
def reject(app: App, name: str) -> None:
    """Forget a pin."""
    name = organisation_name(name)
    if not app.pins.reject(name):
        raise Refused(f"{name} is not accepted on {app.network.name}", hint="doitrust org accepted")
    app.answer({}, lambda console: console.print(Text(f"{name} is no longer accepted.")))


@command("accepted", "The organisations you have accepted, in their order.")
@pass_app
def accepted(app: App) -> None:
    """List the pins."""
    values = [pin_value(app, pin) for pin in app.pins.all()]
    app.answer(values, lambda console: _render_accepted(console, values))


def pin_value(app: App, pin: Pin) -> dict[str, Any]:
    """A pin as data: `{name, network, segments: [{root, until, fingerprint}]}`."""
    return {
        "name": pin.name,
        "network": app.network.name,
        "segments": [
            {
                "root": segment.root,
                "until": segment.until,
                "fingerprint": fingerprint(app.network, pin.name, segment.root),
            }
            for segment in pin.segments
        ],
    }


def _render_accepted(console: Console, values: Sequence[dict[str, Any]]) -> None:
    for value in values:
        console.print(Text.assemble(("✔ ", "green"), (value["name"], "bold"), f"  on {value['network']}"))
        for segment in value["segments"]:
            console.print(Text(f"    {segment['fingerprint']}\n    root  {segment['root']}"))
            if segment["until"] is not None:
                console.print(Text(f"    until {segment['until']}"))
    if not values:
        console.print(
            "You have accepted no organisation yet.\nTry: doitrust org list, doitrust org accept NAME"
        )
