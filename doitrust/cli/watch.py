"""`doitrust watch`: follows the tip and says each verdict that changes, until Ctrl-C."""

import json
import sys
import time
from typing import Any

import click
from rich.text import Text

from doitrust.cli.app import App, pass_app
from doitrust.cli.indexed import open_index, row
from doitrust.cli.options import argument, command
from doitrust.cli.tree import headline
from doitrust.cli.verify import meter_asked
from doitrust.cli.words import STATUS
from doitrust.errors import Unavailable
from doitrust.text import visible
from doitrust.trust.evidence_file import iso_time
from doitrust.workflows.watch import Change, Watch

#: Seconds between two looks, and the most between two while nobody answers.
_PAUSE, _LONGEST = 1.0, 10.0
#: What passes by itself, so that a watch may begin with it.
_PASSING = frozenset({"node_starting", "node_syncing"})

_EPILOG = """Without METER every meter on the chain is watched. First each verdict as it is, then those that change:
a line each, with --json one of JSON. A node that goes away is waited for."""


@command("watch", "Say each verdict that changes, as it changes.", epilog=_EPILOG)
@argument("meters", "The number on the meter, or the link on its sticker.", metavar="[METER...]", nargs=-1)
@click.option("--trust-source", is_flag=True, help="Take one foreign source for the whole truth.")
@pass_app
def watch(app: App, meters: tuple[str, ...], trust_source: bool) -> int:
    """Look, tell, wait, until somebody says stop."""
    numbers = [meter_asked(app, text).meter for text in meters]
    try:
        with app.progress("Reading blocks") as reading:
            watching = Watch(
                open_index(app, reading), app.contents, app.policy(trust_source=trust_source), numbers
            )
            begun = _patiently(app, watching, begun=False)
        while True:
            time.sleep(_PAUSE)
            begun = _patiently(app, watching, begun=begun)
    except KeyboardInterrupt:
        return 0


def _patiently(app: App, watching: Watch, *, begun: bool) -> bool:
    """Look once; a source that doesn't answer is told of once and asked again, unless it never has answered."""
    pause = _PAUSE
    told = False
    while True:
        try:
            for change in watching.look():
                _tell(app, change)
        except Unavailable as error:
            if not begun and error.code not in _PASSING:
                raise
            if not told:
                app.say(f"{error.message}. Trying again until it is there.")
            told = True
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST)
        else:
            if told:
                app.say("It answers again.")
            return True


def _tell(app: App, change: Change) -> None:
    """Say one change; at once, whoever listens."""
    if app.settings.json:
        sys.stdout.write(json.dumps(_view(change)) + "\n")
    else:
        _show(app, change)
    sys.stdout.flush()


def _view(change: Change) -> dict[str, Any]:
    """A row of an audit, and what the verdict was before."""
    found = row(change.verdict, replaced=False)
    del found["replaced"]
    return {"before": None if change.before is None else change.before.value, **found}


def _show(app: App, change: Change) -> None:
    verdict = change.verdict
    style, mark, word = STATUS[verdict.status]
    was = "" if change.before in (None, verdict.status) else f" (was {STATUS[change.before][2]})"
    place = f"block {verdict.tip.height}, {iso_time(verdict.tip.time)}"
    line = Text.assemble((verdict.meter, "bold"), "  ", (f"{mark} {word}", style), was, (f"  {place}", "dim"))
    app.console.print(line, soft_wrap=True)
    app.console.print(Text(f"  {visible(headline(verdict), 300)}"), soft_wrap=True)
