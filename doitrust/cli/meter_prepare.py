"""`doitrust meter prepare`: taking along what certifying needs, to where there is no network."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from doitrust.chain.accounts import Account
from doitrust.chain.amounts import doi
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import argument, command
from doitrust.cli.signing import chosen, source_of
from doitrust.cli.verify import meter_asked
from doitrust.errors import Refused
from doitrust.text import visible
from doitrust.workflows.gather import gather
from doitrust.workflows.offline import take_along


@command(
    "prepare", "Take along what certifying needs, for where there is no network: then certify --offline."
)
@argument("meters", "Meters that you will see, where you know them already.", metavar="[METER]...", nargs=-1)
@pass_app
def prepare(app: App, meters: tuple[str, ...]) -> None:
    """Gather and keep."""
    from doitrust.adapters.offline import write_provisions

    numbers = [meter_asked(app, text).meter for text in meters]
    policy = app.policy()
    if not policy.pins:
        raise Refused("you have not accepted any organisation", hint="doitrust org accept NAME")
    source = source_of(chosen(app), Account.MEMBER)
    with app.progress("Gathering") as progress:
        evidence = gather(app.chain, app.contents, policy, numbers, progress=progress)
    taken = take_along(app.node, evidence, [source.script], int(time.time()), own=app.chain.own)
    write_provisions(app.provisions_file, taken)
    for missing in taken.evidence.missing:
        app.say(f"Not to be had: {missing.kind} {missing.id} ({missing.why})")
    value = {
        "file": str(app.provisions_file),
        "organizations": [pin.name for pin in policy.pins],
        "meters": numbers,
        "balance": doi(sum(coin.value for coin in taken.coins[source.script])),
        "tip": taken.evidence.tip.hash,
        "tip_height": taken.evidence.tip.height,
        "complete": not taken.evidence.missing,
    }
    app.answer(value, lambda console: _render(console, value))


def _render(console: Console, value: Mapping[str, Any]) -> None:
    names = ", ".join(visible(name) for name in value["organizations"])
    console.print(Text.assemble(("✔ ", "green"), f"taken along: {names}; {value['balance']} DOI to spend"))
    if value["meters"]:
        console.print(Text(f"  meters {', '.join(value['meters'])}", "dim"), soft_wrap=True)
    console.print("Where there is no network: doitrust meter certify PAIRING … --offline. Back again:")
    console.print(Text("  doitrust tx resume", "cyan"))
