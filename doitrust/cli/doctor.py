"""`doitrust doctor`: what is missing or wrong, and how to mend it."""

import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial

from rich.console import Console
from rich.text import Text

from doitrust.adapters.config import KEYS
from doitrust.adapters.core.settings import core_node
from doitrust.adapters.devnet.chain import CONTENTS, Devnet
from doitrust.adapters.doctor import (
    Check,
    Finding,
    look_at_contents,
    look_at_home,
    look_at_ipfs,
    look_at_keys,
    look_at_libraries,
    look_at_node_key,
    look_at_pins,
    look_at_python,
    look_at_signatures,
    look_at_terminal,
    look_at_wallet,
    looked,
)
from doitrust.adapters.doctor_chain import (
    look_at_clock,
    look_at_devnet,
    look_at_node,
    look_at_second,
    server_time,
)
from doitrust.adapters.files import exists
from doitrust.adapters.homes import BLOCKS
from doitrust.chain.networks import DEVNET
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import command
from doitrust.errors import DoitrustError
from doitrust.text import visible
from doitrust.trust.evidence import Tip

_MARK = {True: ("✔", "green"), False: ("✘", "red"), None: ("·", "dim")}


@command("doctor", "What is missing or wrong here, and how to mend it.")
@partial(pass_app, makes_config=True)
def doctor(app: App) -> int:
    """Look at everything; the exit status is 1 if something is wrong."""
    checks = list(examine(app, int(time.time())))
    app.answer([check._asdict() for check in checks], lambda console: _render(console, checks))
    return int(any(check.ok is False for check in checks))


def examine(app: App, now: int) -> Iterator[Check]:
    """Look at everything, the clock saying `now`."""
    yield looked("python", look_at_python)
    yield looked("libraries", look_at_libraries)
    yield looked("signatures", look_at_signatures)
    yield looked("terminal", lambda: look_at_terminal(sys.stdout))
    yield looked("home", lambda: look_at_home(app.home))
    yield from look_at_keys(app.home)
    yield looked("node_key", lambda: look_at_node_key(app.home))
    configuration = looked("configuration", lambda: _configuration(app))
    yield configuration
    if configuration.ok is False:
        rest = ("clock", "node", "contents", "pins", "wallet")
        yield from (Check(name, None, "not looked at: the configuration is wrong", None) for name in rest)
    else:
        yield from _chain(app, now)


def _configuration(app: App) -> Finding:
    app.require_config()
    count, shown = len(app.config), visible(str(app.config_file))
    said = f"{shown}: {count} of {len(KEYS)} settings" if exists(app.config_file) else "all at its defaults"
    return Finding(True, f"{said}; the network is {app.network.name}")


def _chain(app: App, now: int) -> Iterator[Check]:
    """What depends on the network."""
    if app.network is DEVNET:
        checks, tip = _devnet(app.devnet)
        node_time = None
        folder = app.devnet.directory / CONTENTS
    else:
        checks, tip = _nodes(app, now)
        node_time = server_time(_url(app))
        folder = app.home / BLOCKS
    yield looked("clock", lambda: look_at_clock(now, tip, node_time, app.network))
    yield from checks
    yield looked("contents", lambda: look_at_contents(folder))
    if app.network is not DEVNET:
        yield looked("ipfs", lambda: look_at_ipfs(app.config.get("ipfs.api")))
    yield from _pins(app, tip)
    yield looked("wallet", lambda: look_at_wallet(app.home, app.network))


def _devnet(devnet: Devnet) -> tuple[list[Check], Tip | None]:
    checks = list(look_at_devnet(devnet))
    return checks, devnet.tip() if checks[0].ok else None


def _nodes(app: App, now: int) -> tuple[list[Check], Tip | None]:
    try:
        node = app.node
    except DoitrustError as error:
        return [Check("node", False, error.message, error.hint)], None
    checks, tip = look_at_node(node, now)

    def second() -> Finding:
        return look_at_second(node, core_node(app.config, app.network, "node2"))

    if tip is None and "node2.url" in app.config:
        checks.append(Check("node2", None, "not looked at: the node can't be asked", None))
    else:
        checks.append(looked("node2", second))
    return checks, tip


def _url(app: App) -> str:
    return str(app.config.get("node.url", f"http://127.0.0.1:{app.network.rpc_port}"))


def _pins(app: App, tip: Tip | None) -> Iterable[Check]:
    try:
        chain = app.node
    except DoitrustError:
        return [Check("pins", None, "not looked at: the node's settings are wrong", None)]
    return look_at_pins(app.home, app.network, chain, tip, app.min_confirmations)


def _render(console: Console, checks: list[Check]) -> None:
    for check in checks:
        mark, style = _MARK[check.ok]
        console.print(
            Text.assemble((f"{mark} ", style), (f"{check.check:<14}", "bold"), visible(check.detail, 500)),
            soft_wrap=True,
        )
        if check.cure is not None:
            style = "yellow" if check.ok is False else "dim"
            console.print(Text(f"{'':16}→ {visible(check.cure, 500)}", style), soft_wrap=True)
    wrong = sum(check.ok is False for check in checks)
    console.print("Nothing is wrong." if not wrong else f"{wrong} to mend, see the arrows.")
