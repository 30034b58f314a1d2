"""`doitrust audit`: every meter on the chain, a line each as it is judged."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import click

from doitrust import __version__
from doitrust.adapters.audits import AuditFile
from doitrust.cli.app import App, pass_app
from doitrust.cli.indexed import COLUMNS, open_index
from doitrust.cli.judging import judged
from doitrust.cli.options import FILE, command
from doitrust.cli.words import NOT_MAINNET, exit_status
from doitrust.errors import DoitrustError
from doitrust.orgs.names import check_name
from doitrust.ports import MeterIndex
from doitrust.text import visible
from doitrust.trust.evidence import Tip
from doitrust.trust.evidence_file import iso_time
from doitrust.trust.policy import Policy
from doitrust.trust.reports import Status
from doitrust.workflows.audit import Audit, ChainMoved, Listed
from doitrust.workflows.gather import ATTEMPTS

_EPILOG = """A line a meter, those first that were certified for several pairs. JSON Lines, or CSV if FILE ends in
.csv; with --json one JSON array. The same command goes on with a FILE that was left unfinished, if the chain has
grown no further; otherwise it begins it anew."""


class Asked(NamedTuple):
    """What is audited."""

    chain: MeterIndex
    policy: Policy
    organisation: str | None


@command("audit", "Every meter on the chain with its verdict, a line each.", epilog=_EPILOG)
@click.option("--org", metavar="NAME", help="Only meters with a record that names this organisation.")
@click.option("--out", type=FILE, metavar="FILE", help="Write there instead: JSON Lines, or CSV by its name.")
@click.option("--trust-source", is_flag=True, help="Take one foreign source for the whole truth.")
@pass_app
def audit(app: App, org: str | None, out: str | None, trust_source: bool) -> int:
    """Walk the chain, judge, stream; the exit status is that of all verdicts."""
    asked_org = None if org is None else check_name(org)
    policy = app.policy(trust_source=trust_source)
    with app.progress("Reading blocks") as reading:
        chain = open_index(app, reading)()
        asked = Asked(chain, policy, asked_org)
        first = _begin(app, asked)
    output = _Stream(app) if out is None else _File(app, Path(out))
    try:
        done = _all(app, asked, first, output)
    except (DoitrustError, KeyboardInterrupt) as error:
        if not output.broken_off(error):
            raise
        return 1
    finally:
        output.close()
    output.finish(done.view())
    app.say(done.sentence(app.network.name))
    return exit_status(done.counts)


class Done(NamedTuple):
    """What was found: how many of each status, at which tip."""

    tip: Tip
    counts: Counter[Status]
    replaced: int
    organisation: str | None
    out: str | None

    def view(self) -> dict[str, Any]:
        """As data."""
        return {
            "file": self.out,
            "organization": self.organisation,
            "meters": self.counts.total(),
            "replaced": self.replaced,
            "statuses": {status.value: self.counts[status] for status in Status},
            "tip": {"height": self.tip.height, "hash": self.tip.hash, "time": iso_time(self.tip.time)},
        }

    def sentence(self, network: str) -> str:
        """For people."""
        parts = [f"{self.counts[status]:,} {status.value}" for status in Status if self.counts[status]]
        found = ", ".join(parts) or "no meter has a record"
        total = self.counts.total()
        replaced = f"; {self.replaced:,} certified for several pairs" if self.replaced else ""
        said = f"{total:,} meter{'' if total == 1 else 's'} at block {self.tip.height} ({iso_time(self.tip.time)}): "
        off = f" This is {NOT_MAINNET[network]}." if network in NOT_MAINNET else ""
        return f"{said}{found}{replaced}.{off}"


def _begin(app: App, asked: Asked) -> Audit:
    return Audit(asked.chain, app.contents, asked.policy, asked.organisation)


def _all(app: App, asked: Asked, first: Audit, output: "_Stream | _File") -> Done:
    """Judge all, again from the start where a reorganisation comes between, but not for ever (N4)."""
    found = first
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _once(app, asked, found, output, moving=attempt == ATTEMPTS)
        except ChainMoved:
            app.say("The chain was reorganised meanwhile: beginning again. What was written before is void.")
            found = _begin(app, asked)
    raise AssertionError("the last attempt takes the chain as it is")


def _once(app: App, asked: Asked, found: Audit, output: "_Stream | _File", *, moving: bool) -> Done:
    going = output.begin(_basis(app, asked, found), found)
    counts, replaced, total = going.counts, going.replaced, found.count()
    with app.progress("Judging") if output.leaves_terminal else nullcontext() as progress:
        for rows in judged(app, asked.chain, asked.policy, found, going.rest, moving=moving):
            output.add(rows)
            counts.update(Status(row["status"]) for row in rows)
            replaced += sum(row["replaced"] for row in rows)
            if progress is not None:
                progress(counts.total(), total)
    return Done(found.tip, counts, replaced, asked.organisation, output.name)


def _basis(app: App, asked: Asked, found: Audit) -> str:
    """Stands for all that verdicts depend on but the lists that can't be had."""
    policy = asked.policy
    pins = [[pin.name, [[segment.root, segment.until] for segment in pin.segments]] for pin in policy.pins]
    thresholds = [policy.min_confirmations, policy.trust_source, policy.max_writes]
    sources = [source._asdict() for source in asked.chain.sources()]
    parts = [__version__, app.network.name, found.tip.hash, pins, thresholds, sources, asked.organisation]
    return sha256(json.dumps([*parts, COLUMNS]).encode()).hexdigest()


class _Going(NamedTuple):
    """Where an audit goes on: the meters still to be judged, and what was found of the others."""

    rest: Iterator[Listed]
    counts: Counter[Status]
    replaced: int


class _File:
    """Rows into a file, behind those that are there already if they are this very audit's."""

    def __init__(self, app: App, path: Path) -> None:
        self._app = app
        self._file = AuditFile(path, COLUMNS, app.home / "audits.db")
        self.name: str | None = str(path)
        self.leaves_terminal = True

    def begin(self, basis: str, found: Audit) -> _Going:
        """Open the file."""
        going = self._kept(basis, found)
        self._file.go_on(basis, anew=going is None)
        if going is not None and going.counts:
            self._app.say(f"Going on with {self.name}, behind {going.counts.total():,} lines.")
        return going or _Going(found.meters(), Counter(), 0)

    def _kept(self, basis: str, found: Audit) -> _Going | None:
        """What the file holds; None if that isn't what would have been written."""
        rest, counts, replaced = found.meters(), Counter[Status](), 0
        for kept in self._file.rows(basis):
            listed = next(rest, None)
            if listed is None or kept.get("meter") != listed.meter or kept.get("status") not in set(Status):
                return None
            counts[Status(kept["status"])] += 1
            replaced += listed.replaced
        return _Going(rest, counts, replaced)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows."""
        self._file.add(rows)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Answer."""
        if self._app.settings.json:
            self._app.answer(summary, lambda _: None)

    def broken_off(self, _error: BaseException) -> bool:
        """Whether the failure was told."""
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Stream:
    """Rows to stdout, as lines, or with `--json` as one array."""

    def __init__(self, app: App) -> None:
        self._array = app.settings.json
        self._opened = False
        self.name: str | None = None
        self.leaves_terminal = not sys.stdout.isatty()

    def begin(self, _basis: str, found: Audit) -> _Going:
        """Begin with the first meter."""
        return _Going(found.meters(), Counter(), 0)

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print rows."""
        for one in rows:
            self._element(one)
        sys.stdout.flush()

    def finish(self, _summary: Mapping[str, Any]) -> None:
        """Close the array."""
        if self._array:
            sys.stdout.write("\n]\n" if self._opened else "[]\n")

    def broken_off(self, error: BaseException) -> bool:
        """Tell a failure inside of the array, which is the one JSON value."""
        if not self._opened or not self._array:
            return False
        code, message, hint = "interrupted", "interrupted", ""
        if isinstance(error, DoitrustError):
            code, message, hint = error.code, visible(error.message, 1000), visible(error.hint, 1000)
        self._element({"error": {"code": code, "message": message, "hint": hint}})
        self.finish({})
        return True

    def _element(self, value: Mapping[str, Any]) -> None:
        before = ("," if self._opened else "[") + "\n" if self._array else ""
        sys.stdout.write(before + json.dumps(value) + ("" if self._array else "\n"))
        self._opened = True

    def close(self) -> None:
        """Nothing is open."""
