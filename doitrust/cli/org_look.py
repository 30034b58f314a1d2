"""`doitrust org show`, `history`, `members` and `list`: looking at organisations."""

from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.cli.app import App, pass_app
from doitrust.cli.options import argument, command
from doitrust.cli.org_common import (
    ORGANISATION,
    candidate_value,
    organisation_name,
    read_txid,
    render_candidates,
)
from doitrust.cli.tree import counted
from doitrust.cli.views import member_view, owner_view
from doitrust.cli.words import quoted
from doitrust.errors import Refused
from doitrust.orgs.pins import Pin, Segment, fingerprint
from doitrust.text import visible
from doitrust.trust.policy import MAX_WRITES
from doitrust.workflows import keeping, organisations
from doitrust.workflows.organisations import Listed, Membership, Overview


def _view(app: App, name: str, root: str | None) -> tuple[Overview, bool]:
    """Look at an organisation along the user's pin, or along `root` where one is given."""
    name = organisation_name(name)
    pin = app.pins.get(name)
    if root is not None and (pin is None or pin.segments != (Segment(read_txid(root)),)):
        # Another look than the user's own: what it shows is accepted by nobody.
        pin, accepted = Pin(name, (Segment(read_txid(root)),)), False
    else:
        accepted = pin is not None
    seen = organisations.overview(app.chain, app.contents, name, pin, MAX_WRITES)
    if not seen.candidates:
        raise organisations.no_organisation(name, app.network)
    made = app.wallet.root(name) if pin is None else None
    if made is not None and made in {candidate.root for candidate in seen.candidates}:
        seen = organisations.overview(app.chain, app.contents, name, Pin(name, (Segment(made),)), MAX_WRITES)
    if root is not None and not (seen.organisation and seen.organisation.timeline.steps):
        raise Refused(f"{root} is no write of {name}", hint=f"doitrust org history {quoted(name)}")
    return seen, accepted


#: Lists that are looked for, the newest first.
_LISTS = 20
_ROOT = click.option("--root", metavar="TXID", help="Look along this root, accepted or not.")


@command("show", "An organisation: root, owner, list, and every write of its name.")
@argument("name", ORGANISATION)
@_ROOT
@pass_app
def show(app: App, name: str, root: str | None) -> None:
    """Show an organisation."""
    seen, accepted = _view(app, name, root)
    value = _organisation_value(app, seen, accepted)
    app.answer(value, lambda console: _render_show(console, value))


@command("history", "An organisation's writes one by one: whose they are and which count.")
@argument("name", ORGANISATION)
@_ROOT
@pass_app
def history(app: App, name: str, root: str | None) -> None:
    """Show the roots, the timeline and the contested writes."""
    seen, accepted = _view(app, name, root)
    value = {
        **_organisation_value(app, seen, accepted),
        "candidates": [candidate_value(app, candidate) for candidate in seen.candidates],
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
    with app.progress("Looking for the lists") as progress:
        lists = (
            []
            if seen.organisation is None
            else keeping.where(app.contents, seen.organisation, _LISTS, progress)
        )
    return {
        "name": seen.name,
        "accepted": accepted,
        "root": root,
        "fingerprint": None if root is None else fingerprint(app.network, seen.name, root),
        "owner": None if last is None else owner_view(last.owner, app.network),
        "sequence": None if found is None else found.sequence,
        "cid": None if last is None else visible(last.write.value.decode("utf-8", "replace"), 120),
        "members": None if found is None else len(found.members),
        "lists": [entry._asdict() for entry in lists],
        "network": app.network.name,
        "writes": writes,
    }


def _render_show(console: Console, value: dict[str, Any]) -> None:
    console.print(Text(value["name"], "bold"))
    if value["root"] is None:
        console.print("not accepted: nothing here is yours to trust yet")
    else:
        console.print(
            "accepted" if value["accepted"] else "not accepted, seen along the root you named or made"
        )
        for field in ("root", "fingerprint", "owner", "cid", "members"):
            shown = "not to be had" if value[field] is None else str(value[field])
            console.print(Text(f"{field:<12}{shown}"))
    for entry in value["lists"]:
        style = "dim" if len(entry["places"]) > 1 else "yellow"
        had = ", ".join(visible(place) for place in entry["places"]) or "nowhere now"
        console.print(Text(f"list of block {entry['height']}: {had}", style), soft_wrap=True)
    own = sum(write["counts"] is True for write in value["writes"])
    foreign = sum(write["counts"] is False for write in value["writes"])
    if value["root"] is None:
        console.print(
            Text(f"{counted(len(value['writes']), 'write')}; doitrust org accept {quoted(value['name'])}"),
            soft_wrap=True,
        )
    else:
        console.print(f"{counted(own, 'write')} by its owner, {foreign} by others; to see them:")
        console.print(Text(f"doitrust org history {quoted(value['name'])}"), soft_wrap=True)


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
        render_candidates(console, value["name"], value["candidates"])


@command("keep", "Keep all lists of an organisation alive: fetch them, and hand them to your IPFS node.")
@argument("name", ORGANISATION)
@_ROOT
@pass_app
def keep(app: App, name: str, root: str | None) -> int:
    """Keep the lists; the status is 1 if one can't be had anywhere."""
    seen, _ = _view(app, name, root)
    if seen.organisation is None:
        raise Refused(
            f"you have not accepted {seen.name}: whose lists they are isn't known",
            hint=f"doitrust org accept {quoted(seen.name)}; or --root TXID",
            code="organization_not_accepted",
        )
    with app.progress("Fetching the lists") as progress:
        kept = keeping.keep(app.contents, seen.organisation, progress)
    value = [entry._asdict() for entry in kept]
    app.answer(value, lambda console: _render_kept(console, value))
    return int(any(entry.size is None for entry in kept))


def _render_kept(console: Console, value: list[dict[str, Any]]) -> None:
    for entry in value:
        if entry["size"] is None:
            console.print(Text.assemble(("✘ ", "red"), f"{entry['cid']}: nobody has it now"), soft_wrap=True)
        else:
            console.print(
                Text.assemble(("✔ ", "green"), f"{entry['cid']}: {entry['size']} bytes"), soft_wrap=True
            )


@command("members", "The member list in force, now or at a height.")
@argument("name", ORGANISATION)
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
    console.print(
        Text.assemble((name, "bold"), f" at height {found.height}: {counted(len(found.entries), 'key')}")
    )
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


@command("list", "Every organisation on the chain.")
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
