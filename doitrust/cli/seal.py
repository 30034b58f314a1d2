"""`doitrust seal`: the 1-of-2 address of a node and its client."""

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.chain.accounts import Account
from doitrust.chain.address import script_of
from doitrust.chain.amounts import doi, parse_doi
from doitrust.chain.tx import Output
from doitrust.cli.app import App, pass_app
from doitrust.cli.carry import Job, carry_out, render_sent, waiting
from doitrust.cli.options import argument, command, group
from doitrust.cli.signing import chosen, read_key
from doitrust.errors import BadData, Usage
from doitrust.meters.pairing import TYPES
from doitrust.workflows.seal import Seal, find_seal, seal_of
from doitrust.workflows.sending import Purpose
from doitrust.workflows.spending import Order


@group("seal", "The 1-of-2 address of a node and its client.")
def seal() -> None:
    """The noun."""


@command("address", "The address of two keys, either of which can spend from it.")
@click.option("--node", required=True, metavar="KEY", help="The node's public key.")
@click.option("--client", required=True, metavar="KEY", help="The client's public key.")
@click.option("--type", "kind", type=click.Choice(TYPES), default=TYPES[0], help="The kind (p2wsh).")
@pass_app
def address(app: App, node: str, client: str, kind: str) -> None:
    """Make the address, and remember its keys."""
    found = seal_of(read_key(node), read_key(client), kind, app.network)
    app.wallet.keep_pairing(found.node, found.client)
    value = _view(found)
    app.answer(value, lambda console: _render(console, value))


def _view(found: Seal) -> dict[str, Any]:
    return {
        "address": found.address,
        "type": found.type,
        "descriptor": str(found.descriptor),
        "node": found.node.hex(),
        "client": found.client.hex(),
    }


def _render(console: Console, value: Mapping[str, Any]) -> None:
    for field, shown in value.items():
        if shown and field != "coins":
            text = ", ".join(shown) if isinstance(shown, list) else str(shown)
            console.print(Text.assemble((f"{field:<11}", "dim"), text), soft_wrap=True)


@command("show", "What an address holds, and whose it is.")
@argument("text", "The 1-of-2 address.", metavar="ADDRESS")
@pass_app
def show(app: App, text: str) -> None:
    """Show an address."""
    found = find_seal(app.chain, app.wallet.pairings(), text)
    coins = app.node.coins(found.own.script)
    value = {
        **_view(found),
        "meters": list(found.meters),
        "balance": doi(sum(coin.value for coin in coins)),
        "coins": [
            {
                "txid": coin.txid,
                "vout": coin.vout,
                "amount": doi(coin.value),
                "confirmations": coin.confirmations,
            }
            for coin in coins
        ],
    }
    app.answer(value, lambda console: _render(console, value))


@command("spend", "Pay from an address with the client's key; change returns to it.")
@argument("text", "The 1-of-2 address.", metavar="ADDRESS")
@click.option("--to", "receiver", required=True, metavar="ADDRESS", help="Who is paid.")
@click.option("--amount", required=True, metavar="A", help="So many DOI; the fee comes on top.")
@waiting
@pass_app
def spend(app: App, text: str, receiver: str, amount: str, **given: Any) -> None:
    """Pay."""
    try:
        payment = Output(parse_doi(amount), script_of(receiver, app.network))
    except BadData as error:
        raise Usage(error.message) from None
    who = chosen(app)
    found = find_seal(app.chain, app.wallet.pairings(), text)
    order = Order(Account.CLIENT, found.own, payments=(payment,))
    details = {"to": receiver, "amount": payment.value}
    value = carry_out(app, who, Job(order, Purpose("spend", found.address, details)), given)
    app.answer(
        value, lambda console: render_sent(console, value, f"{doi(payment.value)} DOI paid to {receiver}.")
    )


for _command in (address, show, spend):
    seal.add_command(_command)
