"""`doitrust meter show` and `list`: what the chain says about meters."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.files import write_atomic
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import FILE, argument, command
from doitrust.cli.tree import render_summary, unwritten
from doitrust.cli.verify import meter_asked
from doitrust.cli.views import verdict_view
from doitrust.cli.words import STATUS
from doitrust.errors import Refused
from doitrust.meters.number import RECORD_PREFIX, number_of_record
from doitrust.text import visible
from doitrust.trust.reports import Fate
from doitrust.trust.verdict import Verdict
from doitrust.workflows import keeping
from doitrust.workflows.verify import verify

#: How a JPEG begins (ISO 10918-1).
_JPEG = b"\xff\xd8\xff"


@command("show", "Every record of a meter, which count and why.")
@argument("number", "The number on the meter, or the link on its sticker.", metavar="METER")
@click.option("--photos", metavar="DIR", type=FILE, help="Fetch the photographs of the certificate into DIR.")
@pass_app
def show(app: App, number: str, photos: str | None) -> None:
    """Show a meter's records."""
    (verdict,) = verify(app.chain, app.contents, app.policy(), [meter_asked(app, number).meter]).verdicts
    whole = verdict_view(verdict)
    value = {
        key: whole[key] for key in ("meter", "status", "reason", "organization", "writes", "network", "tip")
    }
    value["photos"] = None if photos is None else _fetched(app, verdict, Path(photos))
    app.answer(value, lambda console: _render_show(console, verdict, value["photos"]))


def _fetched(app: App, verdict: Verdict, folder: Path) -> list[dict[str, Any]]:
    """Fetch the pictures into files that are called after the meter and their CIDs."""
    by = verdict.decided_by
    if by is None or by.certificate is None:
        raise Refused(f"no certificate decides about {verdict.meter}", code="no_photographs")
    with app.progress("Fetching") as progress:
        found = keeping.photographs(app.contents, by.certificate, verdict.meter, progress)
    rows = []
    for cid, data in found.pictures.items():
        picture = data is not None and data.startswith(_JPEG)
        file = folder / f"{verdict.meter}-{cid}.jpg" if picture else None
        if file is not None and data is not None:
            write_atomic(file, data, "the photograph")
        rows.append({"cid": cid, "file": None if file is None else str(file), "had": data is not None})
    return rows


def _render_photos(console: Console, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["file"] is not None:
            console.print(Text.assemble(("✔ ", "green"), visible(row["file"])), soft_wrap=True)
        else:
            why = "it is no JPEG, and left alone" if row["had"] else "nobody has it now"
            console.print(Text.assemble(("✘ ", "red"), f"{row['cid']}: {why}"), soft_wrap=True)


def _render_show(console: Console, verdict: Verdict, photos: list[dict[str, Any]] | None) -> None:
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
    _render_photos(console, photos or [])


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
