"""`doitrust meter show` and `list`: what the chain says about meters."""

from typing import Any

from rich.console import Console
from rich.text import Text

from doitrust.cli.app import App, pass_app
from doitrust.cli.options import argument, command
from doitrust.cli.tree import render_summary, unwritten
from doitrust.cli.verify import meter_asked
from doitrust.cli.views import verdict_view
from doitrust.cli.words import STATUS
from doitrust.meters.number import RECORD_PREFIX, number_of_record
from doitrust.text import visible
from doitrust.trust.reports import Fate
from doitrust.trust.verdict import Verdict
from doitrust.workflows.verify import verify


@command("show", "Every record of a meter, which count and why.")
@argument("number", "The number on the meter, or the link on its sticker.", metavar="METER")
@pass_app
def show(app: App, number: str) -> None:
    """Show a meter's records."""
    (verdict,) = verify(app.chain, app.contents, app.policy(), [meter_asked(app, number).meter]).verdicts
    whole = verdict_view(verdict)
    value = {
        key: whole[key] for key in ("meter", "status", "reason", "organization", "writes", "network", "tip")
    }
    app.answer(value, lambda console: _render_show(console, verdict))


def _render_show(console: Console, verdict: Verdict) -> None:
    style, mark, word = STATUS[verdict.status]
    console.print(Text.assemble((verdict.meter, "bold"), "  ", (f"{mark} {word}", style)))
    for write in verdict.writes:
        place = "waiting" if write.height is None else f"block {write.height}"
        good = write.fate in (Fate.STOOD, Fate.WAITING)
        named = f" for {visible(write.organization, 80)}" if write.organization else ""
        console.print(
            Text.assemble(("✔ ", "green") if good else ("✘ ", "red"), f"{place}: {write.kind}{named}")
        )
        console.print(Text(f"    {write.txid}\n    {visible(write.detail, 300)}", "dim"))
    if not verdict.writes:
        console.print(unwritten(verdict))


@command("list", "Every meter on the chain with its verdict.")
@pass_app
def list_(app: App) -> None:
    """Verify every meter on the chain."""
    found = [number_of_record(record) for record in app.chain.names(RECORD_PREFIX)]
    numbers = [number for number in found if number is not None]
    with app.progress("Verifying") as progress:
        verdicts = verify(app.chain, app.contents, app.policy(), numbers, progress=progress).verdicts
    value: list[dict[str, Any]] = [
        {
            "meter": verdict.meter,
            "status": verdict.status.value,
            "reason": verdict.reason,
            "organization": None if verdict.decided_by is None else verdict.decided_by.name,
        }
        for verdict in verdicts
    ]
    app.answer(value, lambda console: _render_list(console, verdicts))


def _render_list(console: Console, verdicts: list[Verdict]) -> None:
    if verdicts:
        render_summary(console, verdicts)
    else:
        console.print("There is no meter on this chain yet.")
