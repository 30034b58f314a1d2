"""`doitrust pi`: the node at the meter."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from doitrust.cli.app import App, pass_app
from doitrust.cli.options import FILE, group
from doitrust.cli.signing import read_key
from doitrust.errors import BadData, Usage
from doitrust.meters.reading import Reading, Register, reading_json
from doitrust.pi.sources import DEFAULT_SOURCE, Reader, open_source
from doitrust.text import visible

if TYPE_CHECKING:
    from doitrust.meters.pairing import Pairing

#: Seconds to wait for a telegram; the slowest meters send one in four.
_SECONDS = 15.0

#: What the registers of 1-0 (electricity) mean, by the middle of their OBIS code.
_MEANING = {
    "1.8.0": "taken from the grid",
    "1.8.1": "taken, tariff 1",
    "1.8.2": "taken, tariff 2",
    "2.8.0": "fed into the grid",
    "2.8.1": "fed in, tariff 1",
    "2.8.2": "fed in, tariff 2",
    "1.7.0": "power taken now",
    "2.7.0": "power fed in now",
    "15.7.0": "power now, in either direction",
    "16.7.0": "power now (negative: fed in)",
    **{f"{16 + 20 * n}.7.0": f"power of phase {n}" for n in (1, 2, 3)},
    **{f"{11 + 20 * n}.7.0": f"current of phase {n}" for n in (1, 2, 3)},
    **{f"{12 + 20 * n}.7.0": f"voltage of phase {n}" for n in (1, 2, 3)},
    "14.7.0": "frequency",
}
#: What a line of `--follow` shows, if the meter sends any of it.
_FOLLOWED = ("1-0:1.8.0*255", "1-0:2.8.0*255", "1-0:16.7.0*255")


@group("pi", "The node at the meter: read it, give it a key, pair it with its client.")
def pi() -> None:
    """The noun."""


def _from_meter(function: Callable[..., None]) -> Callable[..., None]:
    """The options of what reads the meter."""
    wait = click.option(
        "--timeout",
        type=click.FloatRange(0.1, 86_400),
        metavar="SECONDS",
        default=_SECONDS,
        help=f"How long to wait for one reading ({_SECONDS:g}).",
    )
    source = click.option(
        "--source",
        "telegrams",  # `source` is a global option's name
        metavar="S",
        default=DEFAULT_SOURCE,
        show_default=True,
        help="File, serial:, tcp: or -.",
    )
    return source(wait(function))


@pi.command("read", help="Read the meter: once, or every telegram as it comes.")
@_from_meter
@click.option("--follow", is_flag=True, help="Every reading as it comes, until the source ends.")
@pass_app
def read(app: App, telegrams: str, follow: bool, timeout: float) -> None:
    """Read one telegram, or all."""
    with closing(open_source(telegrams)) as opened:
        reader = Reader(opened)
        if follow:
            _follow(app, reader)
        else:
            reading = reader.one(timeout)
            app.answer(reading_json(reading), lambda console: _render(console, reading))


@pi.command("init", help="Make this node's key, once and for good; it never leaves the node.")
@pass_app
def init(app: App) -> None:
    """Make the node's key."""
    from doitrust.adapters.nodekey import NodeKey
    from doitrust.chain.address import address_of, hash160
    from doitrust.chain.scripts import p2pkh

    node = NodeKey(app.home).create()
    value = {"node": node.hex(), "address": address_of(p2pkh(hash160(node)), app.network)}
    app.answer(value, lambda console: _render_key(console, value))


def _render_key(console: Console, value: dict[str, Any]) -> None:
    console.print(Text.assemble("node key  ", (value["node"], "bold")), soft_wrap=True)
    console.print(Text(f"address   {value['address']}  (what it signs is checked for)"), soft_wrap=True)
    console.print("Try: doitrust pi pair --client KEY")


@pi.command("pair", help="Pair this node with a client: for the electrician, signed by the node's key.")
@click.option("--client", metavar="KEY", required=True, help="The client's public key, 66 hex digits.")
@_from_meter
@click.option("--out", metavar="FILE", type=FILE, help="Write the pairing there.")
@click.option("--qr", is_flag=True, help="Show it as a QR code too.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["p2wsh", "p2sh", "p2sh-p2wsh"]),
    default="p2wsh",
    show_default=True,
    help="Kind of 1-of-2 address.",
)
@click.option("--origin", metavar="URL", help="Where this node can be asked, https://host:port.")
@pass_app
def pair(app: App, client: str, telegrams: str, timeout: float, **rest: Any) -> None:
    """Make a pairing."""
    from doitrust.meters.pairing import write_pairing

    pairing = _paired(app, read_key(client), telegrams, timeout, rest)
    if rest["out"] is not None:
        from doitrust.adapters.files import write_atomic

        write_atomic(Path(rest["out"]), f"{write_pairing(pairing)}\n".encode(), "the pairing")
        app.say(f"the pairing is in {rest['out']}")
    shown = "" if rest["out"] is not None else write_pairing(pairing)
    app.answer(pairing.document, lambda console: _render_pairing(console, pairing, shown))
    if rest["qr"]:
        _show_qr(app, write_pairing(pairing))


def _paired(app: App, client: bytes, telegrams: str, timeout: float, rest: dict[str, Any]) -> "Pairing":
    """Read the meter and sign; what must fail does so before the meter is waited for."""
    from doitrust.adapters.nodekey import NodeKey
    from doitrust.meters.pairing import Pairing, refuse_one_key, sign_pairing

    origin = _origin(rest["origin"])
    key = NodeKey(app.home)
    node = key.public()
    refuse_one_key(node, client)
    network = app.network
    with closing(open_source(telegrams)) as opened:
        reading = Reader(opened).one(timeout)
    created = int(time.time())
    made = Pairing(network, reading.meter or "", node, client, reading, created, rest["kind"], origin)
    return sign_pairing(made, key.sign_message)


def _origin(text: str | None) -> str | None:
    from doitrust.meters.pairing import check_origin

    try:
        return None if text is None else check_origin(text)
    except BadData:
        raise Usage(f"{visible(text or '', 80)!r} is no origin", hint="as in https://host:port") from None


def _render_pairing(console: Console, pairing: "Pairing", text: str) -> None:
    from doitrust.meters.pairing import short_fingerprint

    console.print(Text.assemble("meter        ", (pairing.meter, "bold")))
    console.print(Text(f"1-of-2       {pairing.ms}"), soft_wrap=True)
    number = short_fingerprint(pairing.node, pairing.client)
    console.print(Text.assemble("fingerprint  ", (number, "bold"), "  (compare it with the wallet's screen)"))
    if pairing.network.name != "mainnet":
        console.print(
            Text(
                f"on {pairing.network.name}: a test, no certificate comes of it that counts elsewhere",
                "yellow",
            )
        )
    if text:
        console.print(Text(text), soft_wrap=True)


def _show_qr(app: App, text: str) -> None:
    """Show the code; with `--json` on stderr. Where it can't be shown say so, since it was asked for."""
    from doitrust.cli.qr import print_qr, qr_lines

    console = app.notes if app.settings.json else app.console
    try:
        needed = len(qr_lines(text)[0])
    except ValueError:
        app.say("the pairing is too long for a QR code: take the file instead, --out FILE")
        return
    if needed > console.width or not console.encoding.startswith("utf"):
        app.say(f"the QR code needs a terminal with UTF-8 and {needed} columns: widen it, or take --out FILE")
        return
    print_qr(console, text)


def _follow(app: App, reader: Reader) -> None:
    """Print each reading at once. Ctrl-C is the usual way out of a live source, so it is no failure."""
    shown = False
    try:
        for reading in reader.follow():
            shown = True
            if app.settings.json:
                sys.stdout.write(json.dumps(reading_json(reading), ensure_ascii=False) + "\n")
            else:
                app.console.print(_line(reading), soft_wrap=True)
            sys.stdout.flush()
    except KeyboardInterrupt:
        if not shown:
            raise
    if not shown:
        raise reader.nothing()


def _line(reading: Reading) -> Text:
    shown = {obis: reading.values[obis] for obis in _FOLLOWED if obis in reading.values} or reading.values
    numbers = (f"{_middle(obis)} {_number(register)}" for obis, register in shown.items())
    return Text.assemble(_time(reading), "  ", (_name(reading), "bold"), "  ", ", ".join(numbers))


def _render(console: Console, reading: Reading) -> None:
    console.print(Text.assemble("meter ", (_name(reading), "bold")))
    maker = "" if reading.maker is None else f"{visible(reading.maker)}, "
    console.print(Text(f"{maker}server id {reading.server_id.hex()}, read {_time(reading)}", "dim"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("register")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("")
    for obis, register in reading.values.items():
        meaning = _MEANING.get(_middle(obis), "") if obis.startswith("1-0:") else ""
        table.add_row(obis, register.value, visible(register.unit or ""), Text(meaning, "dim"))
    console.print(table)
    for obis, register in reading.values.items():
        if register.value_as_transmitted is not None:
            sent = f"{obis} was sent as {register.value_as_transmitted}"
            console.print(Text(f"{sent}: this maker's meters send some positive power so.", "yellow"))


def _name(reading: Reading) -> str:
    return reading.meter or f"with server id {reading.server_id.hex()}"


def _number(register: Register) -> str:
    return f"{register.value} {visible(register.unit or '')}".rstrip()


def _middle(obis: str) -> str:
    """The part of an OBIS code that people say: `1.8.0`."""
    return obis.partition(":")[2].partition("*")[0]


def _time(reading: Reading) -> str:
    return datetime.fromtimestamp(reading.taken, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
