"""`doitrust org transfer`, `accept-ownership` and `share`: handing an organisation on, and its link."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.files import read_bounded, write_atomic
from doitrust.chain.accounts import Account
from doitrust.chain.address import address_of, script_of
from doitrust.chain.descriptors import Descriptor, OwnScript
from doitrust.cli.app import App, pass_app
from doitrust.cli.carry import waiting
from doitrust.cli.options import FILE, argument, command
from doitrust.cli.org_common import organisation_name
from doitrust.cli.org_publish import owned_here, publish_next, quoted, warn_legacy
from doitrust.cli.signing import chosen, read_owner
from doitrust.errors import BadData, Refused, Usage
from doitrust.orgs.acceptance import (
    MAX_BYTES,
    Acceptance,
    acceptance_text,
    check_acceptances,
    read_acceptance,
    write_acceptance,
)
from doitrust.orgs.link import write_link
from doitrust.orgs.pins import fingerprint
from doitrust.text import visible
from doitrust.workflows import publish as publishing

_NAME = argument("name", "The organisation.")


@command("transfer", "Hand the organisation over to a new owner who has accepted it.")
@_NAME
@argument("address", "The new owner's address.")
@click.option(
    "--acceptance", "files", multiple=True, metavar="FILE", type=FILE, help="What the new owner signed."
)
@waiting
@pass_app
def transfer(app: App, name: str, address: str, files: Sequence[str], **given: Any) -> None:
    """Hand over."""
    name = organisation_name(name)
    try:
        script = script_of(address, app.network)
    except BadData as error:
        raise Usage(error.message) from None
    acceptances = [read_acceptance(read_bounded(Path(f), MAX_BYTES, "the acceptance")) for f in files]
    if not acceptances:
        raise Refused(
            "a transfer needs what the new owner signed: --acceptance FILE",
            hint=f"the new owner's part: doitrust org accept-ownership {quoted(name)} --out FILE",
            code="acceptance_missing",
        )
    check_acceptances(acceptances, app.network, name, address)
    warn_legacy(app, OwnScript(script))
    who, owned = owned_here(app, name)
    for acceptance in acceptances:
        if acceptance.descriptor is not None:
            app.wallet.keep_descriptor(script, acceptance.descriptor)
    question = f"Hand {name} over to {address}? You can't take it back."
    publish_next(app, (who, owned), publishing.kept(owned, script), f"{address} owns", given, question)


@command("accept-ownership", "Sign that you take an organisation over: the new owner's part of a transfer.")
@_NAME
@click.option("--out", metavar="FILE", type=FILE, required=True, help="Where the acceptance goes.")
@click.option("--owner", metavar="DESCRIPTOR", help="The board's descriptor (the signer alone).")
@pass_app
def accept_ownership(app: App, name: str, out: str, owner: str | None) -> None:
    """Sign an acceptance."""
    name = organisation_name(name)
    who = chosen(app)
    if who.signer is None:
        raise Usage("an acceptance is signed with a key, not in a PSBT", hint="--signer keystore:NAME")
    text = owner or app.settings.source
    text = text if text is None or "(" in text else None  # a key alone is the signer's
    account = Account.OWNER if text is None else Account.BOARD
    own = who.signer.own(Account.OWNER) if text is None else read_owner(text, app.network)
    address = address_of(own.script, app.network) or ""
    said = acceptance_text(app.network, name, address, datetime.fromtimestamp(time.time(), UTC))
    if text is not None and next(iter(who.signer.own(account).origins)) not in own.origins:
        raise Refused(f"{who.signer.name} has no key in that descriptor", code="not_ours")
    key, signature = who.signer.sign_message(account, said)
    descriptor = None if text is None else str(Descriptor.parse(text, app.network))
    if descriptor is not None:
        app.wallet.keep_descriptor(own.script, descriptor)
    data = write_acceptance(Acceptance(said, descriptor, {key: signature}))
    write_atomic(Path(out), data, "the acceptance")
    value = {"file": out, "address": address, "text": said, "key": key.hex()}
    app.answer(value, lambda console: _render_acceptance(console, name, value))


def _render_acceptance(console: Console, name: str, value: Mapping[str, Any]) -> None:
    console.print(
        Text(f"Your acceptance is in {visible(value['file'])}. The owner now runs:"), soft_wrap=True
    )
    line = f"doitrust org transfer {quoted(name)} {value['address']} --acceptance FILE"
    console.print(Text(f"  {line}", "cyan"), soft_wrap=True)


@command("share", "The link and QR code with which others accept the organisation.")
@_NAME
@pass_app
def share(app: App, name: str) -> None:
    """Print the link."""
    name = organisation_name(name)
    pin = app.pins.get(name)
    root = app.wallet.root(name) if pin is None else pin.segments[-1].root
    if root is None:
        raise Refused(
            f"which root of {name} you mean isn't known here", hint=f"doitrust org accept {quoted(name)}"
        )
    link = write_link(name, app.network.name, root)
    value = {"link": link, "root": root, "fingerprint": fingerprint(app.network, name, root)}
    app.answer(value, lambda console: _render_share(console, name, value))


def _render_share(console: Console, name: str, value: Mapping[str, Any]) -> None:
    from doitrust.cli.qr import print_qr

    console.print(Text(name, "bold"))
    console.print(Text(f"{value['link']}\nfingerprint {value['fingerprint']}"), soft_wrap=True)
    print_qr(console, value["link"])


COMMANDS = (transfer, accept_ownership, share)
