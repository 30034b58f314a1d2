"""`doitrust verify`."""

import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from doitrust.adapters.files import read_bounded, write_atomic
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import FILE, argument, command
from doitrust.cli.tree import Asked, counted, render_summary, render_verdict
from doitrust.cli.views import verdict_view
from doitrust.cli.words import exit_status
from doitrust.errors import Usage
from doitrust.meters.link import MeterLink, read_meter
from doitrust.text import visible
from doitrust.trust.evidence_file import MAX_BYTES, read_evidence, write_evidence
from doitrust.trust.policy import MAX_WRITES
from doitrust.workflows.verify import Verification, judge_all
from doitrust.workflows.verify import verify as verify_meters

_METER = "The number on the meter, or the link on its sticker."


@command("verify", "Is this meter certified, by whom, and since when? With all the evidence.")
@argument("meters", _METER, metavar="METER...", nargs=-1, required=True)
@click.option("--min-confirmations", type=click.IntRange(1, 100_000), metavar="N", help="Confirmations (6).")
@click.option(
    "--evidence", type=FILE, metavar="FILE", help="Judge this saved evidence alone, without the node."
)
@click.option("--save-evidence", type=FILE, metavar="FILE", help="Save everything the verdict rests on.")
@click.option("--trust-source", is_flag=True, help="Take one foreign source for the whole truth.")
@click.option(
    "--max-writes", type=click.IntRange(1), metavar="N", help=f"Give up over so many writes ({MAX_WRITES:,})."
)
@pass_app
def verify(app: App, meters: tuple[str, ...], **given: Any) -> int:
    """Gather, judge, render; the exit status says the verdict."""
    links = [meter_asked(app, text) for text in meters]
    result = _verify(app, [link.meter for link in links], given)
    if given["save_evidence"] is not None:
        _save(app, Path(given["save_evidence"]), result)
    views = [
        verdict_view(verdict, link.organization) for verdict, link in zip(result.verdicts, links, strict=True)
    ]
    answer: Any = views[0] if len(views) == 1 else views
    asked = Asked(
        int(time.time()), given["evidence"] is not None, app.settings.verbose > 0, bool(app.pins.all())
    )
    app.answer(answer, lambda console: _render(console, result, links, asked))
    return exit_status(verdict.status for verdict in result.verdicts)


def _save(app: App, path: Path, result: Verification) -> None:
    data = write_evidence(result.evidence)
    write_atomic(path, data, "the evidence")
    asked = counted(len(result.verdicts), "meter")
    app.say(f"The evidence about {asked} is in {path} ({len(data):,} bytes).")


def _verify(app: App, numbers: list[str], given: dict[str, Any]) -> Verification:
    policy = app.policy(
        min_confirmations=given["min_confirmations"],
        trust_source=given["trust_source"],
        max_writes=given["max_writes"],
    )
    if given["evidence"] is None:
        with app.progress("Gathering") as progress:
            return verify_meters(app.chain, app.contents, policy, numbers, progress=progress)
    path = Path(given["evidence"])
    found = read_evidence(read_bounded(path, MAX_BYTES, "the evidence"), source=f"file {path.name}")
    if found.network is not app.network:
        raise Usage(
            f"this evidence is of {found.network.name}, you asked about {app.network.name}",
            hint=f"--network {found.network.name}",
        )
    return judge_all(found, policy, numbers)


def meter_asked(app: App, text: str) -> MeterLink:
    """Read a meter number, or a link to one of this network.

    A link may not move a question to another chain: a forged sticker would choose one of its maker's.
    """
    link = read_meter(text)
    if link.network is not None and link.network != app.network.name:
        raise Usage(
            f"the link is for {visible(link.network, 20)}, you asked about {app.network.name}",
            hint=f"if that is meant: --network {visible(link.network, 20)}",
        )
    return link


def _render(console: Console, result: Verification, links: list[MeterLink], asked: Asked) -> None:
    for verdict, link in zip(result.verdicts, links, strict=True):
        render_verdict(console, verdict, asked._replace(expected=link.organization))
    if len(links) > 1:
        render_summary(console, result.verdicts)
