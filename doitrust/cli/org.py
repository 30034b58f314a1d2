"""`doitrust org`: looking at organisations and accepting them."""

import shlex
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.cli.app import App, pass_app
from doitrust.cli.options import Command, group
from doitrust.cli.views import member_view, owner_view
from doitrust.errors import BadData, Refused, Usage
from doitrust.orgs.link import PREFIX, read_link
from doitrust.orgs.names import check_name
from doitrust.orgs.pins import Pin, Segment, check_txid, fingerprint
from doitrust.text import visible
from doitrust.trust.policy import MAX_WRITES
from doitrust.workflows import organisations
from doitrust.workflows.organisations import Candidate, Listed, Membership, Overview

#: Candidates shown by `org accept` without a root (cli.md).
_CANDIDATES = 20

_SEGMENT_OPTIONS = ("--root", "--until", "--fingerprint")


@group("org", "Organisations of electricians: look at them, accept them.")
def org() -> None:
    """The noun."""


def organisation_name(text: str) -> str:
    """Return `text` if it can be an organisation's name; a name that can't be is a mistake of use."""
    try:
        return check_name(text)
    except BadData as error:
        raise Usage(error.message) from None


def _view(app: App, name: str, root: str | None) -> tuple[Overview, bool]:
    """Look at an organisation along the user's pin, or along `root` where one is given."""
    name = organisation_name(name)
    pin = app.pins.get(name)
    if root is not None and (pin is None or pin.segments != (Segment(_txid(root)),)):
        # Another look than the user's own: what it shows is accepted by nobody.
        pin, accepted = Pin(name, (Segment(_txid(root)),)), False
    else:
        accepted = pin is not None
    seen = organisations.overview(app.chain, app.contents, name, pin, MAX_WRITES)
    if not seen.candidates:
        raise Refused(f"there is no organisation {name} on {app.network.name}", hint="doitrust org list")
    if root is not None and not (seen.organisation and seen.organisation.timeline.steps):
        raise Refused(f"{root} is no write of {name}", hint=f"doitrust org history {shlex.quote(name)}")
    return seen, accepted


def _txid(text: str) -> str:
    try:
        return check_txid(text)
    except BadData as error:
        raise Usage(error.message) from None


_ROOT = click.option("--root", metavar="TXID", help="Look along this root, accepted or not.")


@org.command("show", help="An organisation: root, owner, list, and every write of its name.")
@click.argument("name")
@_ROOT
@pass_app
def show(app: App, name: str, root: str | None) -> None:
    """Show an organisation."""
    seen, accepted = _view(app, name, root)
    value = _organisation_value(app, seen, accepted)
    app.answer(value, lambda console: _render_show(console, value))


@org.command("history", help="An organisation's writes one by one: whose they are and which count.")
@click.argument("name")
@_ROOT
@pass_app
def history(app: App, name: str, root: str | None) -> None:
    """Show the roots, the timeline and the contested writes."""
    seen, accepted = _view(app, name, root)
    value = {
        **_organisation_value(app, seen, accepted),
        "candidates": [_candidate_value(app, candidate) for candidate in seen.candidates],
    }
    app.answer(value, lambda console: _render_history(console, value))


def _organisation_value(app: App, seen: Overview, accepted: bool) -> dict[str, Any]:
    steps = () if seen.organisation is None else seen.organisation.timeline.steps
    last = steps[-1] if steps else None
    found = seen.organisation.membership.lists[-1] if seen.organisation is not None and steps else None
    if seen.organisation is not None:
        writes = [
            {
                "txid": judged.write.txid,
                "height": judged.write.height,
                "position": judged.write.position,
                "owner": owner_view(judged.write.owner_script, app.network),
                "cid": visible(judged.write.value.decode("utf-8", "replace"), 120),
                "counts": judged.counts,
                "why": judged.why,
            }
            for judged in seen.judged
        ]
    else:
        roots = {candidate.root for candidate in seen.candidates}
        writes = [
            {
                "txid": write.tx.txid,
                "height": write.height,
                "position": write.place.position,
                "owner": owner_view(write.output.owner_script, app.network),
                "cid": visible(write.output.value.decode("utf-8", "replace"), 120),
                "counts": None,
                "why": "could be a root" if write.tx.txid in roots else "continues a candidate",
            }
            for write in seen.evidence.writes(b"bp_organization/" + seen.name.encode())
            if write.place is not None
        ]
    root = None if seen.organisation is None else seen.organisation.pin.segments[-1].root
    return {
        "name": seen.name,
        "accepted": accepted,
        "root": root,
        "fingerprint": None if root is None else fingerprint(app.network, seen.name, root),
        "owner": None if last is None else owner_view(last.owner, app.network),
        "sequence": None if found is None else found.sequence,
        "cid": None if last is None else visible(last.write.value.decode("utf-8", "replace"), 120),
        "members": None if found is None else len(found.members),
        "network": app.network.name,
        "writes": writes,
    }


def _render_show(console: Console, value: dict[str, Any]) -> None:
    console.print(Text(value["name"], "bold"))
    if value["root"] is None:
        console.print("not accepted: nothing here is yours to trust yet")
    else:
        console.print("accepted" if value["accepted"] else "not accepted, seen along the root you named")
        for field in ("root", "fingerprint", "owner", "cid", "members"):
            shown = "not to be had" if value[field] is None else str(value[field])
            console.print(Text(f"{field:<12}{shown}"))
    counted = sum(write["counts"] is True for write in value["writes"])
    foreign = sum(write["counts"] is False for write in value["writes"])
    if value["root"] is None:
        console.print(
            Text(f"{len(value['writes'])} writes; doitrust org accept {shlex.quote(value['name'])}")
        )
    else:
        console.print(Text(f"{counted} writes by its owner, {foreign} by others (doitrust org history)"))


def _render_history(console: Console, value: dict[str, Any]) -> None:
    console.print(Text(value["name"], "bold"))
    marks = {True: ("✔", "green"), False: ("✘", "red"), None: ("?", "yellow")}
    for write in value["writes"]:
        mark, style = marks[write["counts"]]
        console.print(Text.assemble((mark, style), f" block {write['height']}: {write['why']}"))
        console.print(
            Text(f"    {write['txid']}\n    list  {write['cid']}\n    owner {write['owner']}", "dim")
        )
    if value["root"] is None:
        console.print("\nIts roots, any of which could be meant:")
        _render_candidates(console, value["name"], value["candidates"])


@org.command("members", help="The member list in force, now or at a height.")
@click.argument("name")
@click.option("--at", "height", type=click.IntRange(0), metavar="HEIGHT", help="The height (the tip's).")
@_ROOT
@pass_app
def members(app: App, name: str, height: int | None, root: str | None) -> None:
    """Show the members."""
    seen, _ = _view(app, name, root)
    found = organisations.members_at(seen, height)
    value = [member_view(entry.member, is_member=entry.is_member) for entry in found.entries]
    app.answer(value, lambda console: _render_members(console, seen.name, found))


def _render_members(console: Console, name: str, found: Membership) -> None:
    console.print(Text.assemble((name, "bold"), f" at height {found.height}: {len(found.entries)} keys"))
    for entry in found.entries:
        member, withdrawal = entry.member, entry.member.withdrawal
        said = " ".join(visible(text, 60) for text in (member.name, member.licence) if text)
        console.print(Text.assemble(("✔ ", "green") if entry.is_member else ("✘ ", "red"), member.key.hex()))
        if said:
            console.print(Text(f"    {said}"))
        if withdrawal is not None:
            reason = f": {visible(withdrawal.reason, 60)}" if withdrawal.reason else ""
            console.print(Text(f"    withdrawn from height {withdrawal.height} on{reason}", "yellow"))
    for problem in found.problems:
        console.print(Text(visible(problem), "yellow"))


@org.command("list", help="Every organisation on the chain.")
@pass_app
def list_(app: App) -> None:
    """List organisations."""
    listed = organisations.listing(app.chain, app.pins.all())
    value = [
        {"name": entry.name, "record": entry.record.hex(), "accepted": entry.accepted} for entry in listed
    ]
    app.answer(value, lambda console: _render_list(console, listed))


def _render_list(console: Console, listed: list[Listed]) -> None:
    for entry in listed:
        shown = (
            visible(entry.name) if entry.name is not None else f"(malformed name, hex {entry.record.hex()})"
        )
        console.print(Text.assemble(("✔ ", "green") if entry.accepted else "  ", shown))
    if not listed:
        console.print("There is no organisation on this chain yet.")


class _Accept(Command):
    """Remembers in which order `--root`, `--until` and `--fingerprint` came: an end closes the root before it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the order, then parse as usual."""
        ctx.meta["order"] = [
            flag for arg in args for flag in _SEGMENT_OPTIONS if arg == flag or arg.startswith(flag + "=")
        ]
        return super().parse_args(ctx, args)


@org.command(
    "accept", cls=_Accept, help="Accept an organisation by its root; without one, list the candidates."
)
@click.argument("name")
@click.option("--root", "roots", multiple=True, metavar="TXID", help="The root you were told; repeatable.")
@click.option("--until", "ends", multiple=True, metavar="TXID", help="The last write of the root before it.")
@click.option("--fingerprint", "prints", multiple=True, metavar="F", help="The root's fingerprint.")
@click.pass_context
def accept(context: click.Context, /, **given: Any) -> None:
    """Accept an organisation; never silently (O2)."""
    app = App(context.find_root().obj)
    name: str = given["name"]
    segments: list[Segment]
    if name.startswith("doitrust:"):
        if context.meta["order"]:
            raise Usage("a link names its root itself", hint="leave out --root, --until and --fingerprint")
        name, segments = _from_link(app, name)
    else:
        name = organisation_name(name)
        segments = _segments(app, name, context.meta["order"], given)
    if not segments:
        seen = organisations.overview(app.chain, app.contents, name, None, MAX_WRITES)
        value = {
            "name": name,
            "candidates": [_candidate_value(app, c) for c in seen.candidates[:_CANDIDATES]],
            "count": len(seen.candidates),
        }
        app.answer(value, lambda console: _render_accept_candidates(console, name, seen.candidates, value))
        return
    pin = organisations.make_pin(app.chain, app.contents, name, segments, app.min_confirmations)
    app.pins.accept(pin)
    value = pin_value(app, pin)
    app.answer(value, lambda console: _render_accepted(console, [value]))


def _from_link(app: App, text: str) -> tuple[str, list[Segment]]:
    if not text.startswith(PREFIX):
        raise Usage(f"{visible(text, 80)!r} is no link to an organisation")
    link = read_link(text)
    if link.network != app.network.name:
        raise Usage(
            f"the link is for {visible(link.network, 20)}, you are on {app.network.name}",
            hint=f"if that is meant: --network {visible(link.network, 20)}",
        )
    mark = fingerprint(app.network, link.name, link.root)
    app.ask(f"Accept {link.name} with the root {link.root}, fingerprint {mark}?")
    return link.name, [Segment(link.root)]


def _segments(app: App, name: str, order: Sequence[str], given: dict[str, Any]) -> list[Segment]:
    values = {
        "--root": iter(given["roots"]),
        "--until": iter(given["ends"]),
        "--fingerprint": iter(given["prints"]),
    }
    segments: list[Segment] = []
    # What the environment gives has no order of its own.
    for flag in order or ["--root"] * len(given["roots"]) + ["--fingerprint"] * len(given["prints"]):
        text = next(values[flag], None)
        if text is None:
            break
        if flag == "--until":
            if not segments or segments[-1].until is not None:
                raise Usage("--until closes the --root before it, and there is none open")
            segments[-1] = Segment(segments[-1].root, _txid(text))
        elif flag == "--root":
            segments.append(Segment(_txid(text)))
        else:
            segments.append(Segment(_by_fingerprint(app, name, text)))
    return segments


def _by_fingerprint(app: App, name: str, text: str) -> str:
    try:
        return organisations.roots_by_fingerprint(app.chain, app.contents, name, text)
    except BadData as error:
        raise Usage(error.message) from None


def _candidate_value(app: App, candidate: Candidate) -> dict[str, Any]:
    return {
        "root": candidate.root,
        "fingerprint": candidate.fingerprint,
        "height": candidate.height,
        "confirmations": candidate.confirmations,
        "owner": owner_view(candidate.owner_script, app.network),
        "cid": visible(candidate.value.decode("utf-8", "replace"), 120),
    }


def _render_accept_candidates(
    console: Console, name: str, candidates: Sequence[Candidate], value: dict[str, Any]
) -> None:
    if not candidates:
        console.print(Text(f"There is no organisation {name} on this chain."))
        return
    console.print("This accepts nothing. Anyone can write under any name, also first, so compare the")
    console.print("fingerprint with the one that the organisation gave you by another way.")
    console.print()
    _render_candidates(console, name, value["candidates"])
    if value["count"] > len(value["candidates"]):
        console.print(Text(f"… {value['count']} candidates in all"))


def _render_candidates(console: Console, name: str, candidates: Sequence[dict[str, Any]]) -> None:
    for candidate in candidates:
        console.print(
            Text.assemble(
                (candidate["fingerprint"], "bold"),
                f"  block {candidate['height']}, {candidate['confirmations']} confirmations",
            )
        )
        console.print(Text(f"    root  {candidate['root']}\n    owner {candidate['owner']}", "dim"))
    if candidates:
        console.print()
        console.print(Text(f"doitrust org accept {shlex.quote(name)} --fingerprint <the one you compared>"))


@org.command("reject", help="Accept an organisation no longer.")
@click.argument("name")
@pass_app
def reject(app: App, name: str) -> None:
    """Forget a pin."""
    name = organisation_name(name)
    if not app.pins.reject(name):
        raise Refused(f"{name} is not accepted on {app.network.name}", hint="doitrust org accepted")
    app.answer({}, lambda console: console.print(Text(f"{name} is no longer accepted.")))


@org.command("accepted", help="The organisations you have accepted, in their order.")
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
