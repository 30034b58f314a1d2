"""What every command shares that writes an organisation's record: whose it is, and how it is written."""

from collections.abc import Mapping
from typing import Any

import click

from doitrust.chain.descriptors import OwnScript
from doitrust.chain.scripts import ScriptType, script_type
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App
from doitrust.cli.carry import Job, carry_out, render_sent
from doitrust.cli.org_common import organisation_name
from doitrust.cli.signing import Chosen, chosen, owner_of
from doitrust.errors import Refused
from doitrust.orgs.names import record_name
from doitrust.orgs.pins import Pin, Segment
from doitrust.ports import DONE
from doitrust.workflows import publish as publishing
from doitrust.workflows import sending
from doitrust.workflows.publish import Owned, Publication
from doitrust.workflows.sending import Purpose
from doitrust.workflows.spending import Order

#: For what publishes content: without it nothing is written that nobody else could read.
local_only = click.option(
    "--local-only", is_flag=True, help="Write the record though nobody else has its content yet."
)


def owned_here(app: App, name: str) -> tuple[Chosen, Owned]:
    """The organisation, and who is to sign for it."""
    name = organisation_name(name)
    who = chosen(app)
    _finish_earlier(app, name)
    pin, root = app.pins.get(name), app.wallet.root(name)
    if pin is None and root is not None:
        pin = Pin(name, (Segment(root),))

    def is_ours(script: bytes) -> bool:
        try:
            owner_of(app, who, script)
        except Refused:
            return False
        return True

    return who, publishing.find(app.chain, app.contents, name, pin, is_ours)


def warn_legacy(app: App, owner: OwnScript) -> None:
    """An owner whose coins aren't segwit can't be signed for here: a write's txid could be changed by others."""
    kind, _ = script_type(owner.script)
    wrapped, _ = script_type(owner.redeem_script or b"")
    if kind is ScriptType.P2PKH or (owner.redeem_script is not None and wrapped is ScriptType.OTHER):
        app.notes.print(
            "The owner's address is not segwit: doitrust signs no writes with such coins. Another wallet has to.",
            style="yellow",
            soft_wrap=True,
        )


def _finish_earlier(app: App, name: str) -> None:
    """An earlier write whose confirmation nobody saw, because the process was ended, is done now.

    Raises `Refused` for one that came by `tx send` and isn't confirmed: a second could stand beside it.
    """
    for entry in app.wallet.entries():
        if not entry.is_open or all(output.name != record_name(name) for _, output in entry.tx.writes):
            continue
        if sending.confirmations_of(app.node, entry.tx.txid) > 0:
            app.wallet.mark(entry.tx.txid, DONE)
            app.notes.print(f"The earlier write {entry.tx.txid} is confirmed.", soft_wrap=True)
        elif entry.command != "org":
            raise Refused(
                f"an earlier write of {name} is still under way: {entry.tx.txid}",
                hint="doitrust tx resume",
                code="under_way",
            )


def publish_next(
    app: App,
    ours: tuple[Chosen, Owned],
    publication: Publication,
    done: str,
    given: Mapping[str, Any],
    question: str | None = None,
) -> None:
    who, owned = ours
    account, source = owner_of(app, who, owned.owner)

    def check(tx: Transaction) -> Mapping[str, Any]:
        publishing.check(owned, publication, tx, app.chain)
        return {}

    def publish() -> None:
        publication.put_list(app.contents, local_only=bool(given.get("local_only")))

    order = Order(account, source, publication.write)
    job = Job(order, purpose_of(owned.name, publication), question, check, publish)
    value = {**carry_out(app, who, job, given), "cid": publication.cid, "root": owned.pin.segments[-1].root}
    app.answer(value, lambda console: render_sent(console, value, f"{done} {owned.name}"))


def purpose_of(name: str, publication: Publication) -> Purpose:
    write = publication.write
    return Purpose("org", name, {"value": write.value.decode("ascii"), "owner": write.owner_script.hex()})


def quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)
