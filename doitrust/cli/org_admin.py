"""`doitrust org`: what an organisation's admin does."""

import time
from collections.abc import Callable, Mapping, Sequence
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
from doitrust.chain.scripts import ScriptType, script_type
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App, pass_app
from doitrust.cli.carry import Job, carry_out, render_sent, waiting
from doitrust.cli.options import FILE, argument, command
from doitrust.cli.org_common import organisation_name
from doitrust.cli.signing import Chosen, chosen, owner_of, read_key, read_owner, source_of
from doitrust.errors import BadData, Refused, Usage
from doitrust.orgs.acceptance import (
    MAX_BYTES,
    Acceptance,
    acceptance_text,
    check_acceptances,
    read_acceptance,
    write_acceptance,
)
from doitrust.orgs.drafting import REASONS, ListDraft, check_member_name
from doitrust.orgs.link import write_link
from doitrust.orgs.members import MAX_LIST_BYTES
from doitrust.orgs.names import record_name
from doitrust.orgs.pins import Pin, Segment, fingerprint
from doitrust.ports import DONE
from doitrust.text import visible
from doitrust.workflows import publish as publishing
from doitrust.workflows import sending
from doitrust.workflows.publish import Owned, Publication
from doitrust.workflows.sending import Purpose
from doitrust.workflows.spending import Order

_NAME = argument("name", "The organisation.")


@command("create", "Register an organisation and publish its first member list.")
@_NAME
@click.option("--member", "members", multiple=True, metavar="KEY[=NAME]", help="A member; repeatable.")
@click.option("--owner", metavar="ADDRESS-OR-DESCRIPTOR", help="Who shall own it (the signer).")
@waiting
@pass_app
def create(app: App, name: str, members: Sequence[str], owner: str | None, **given: Any) -> None:
    """Register an organisation."""
    name = organisation_name(name)
    if not members:
        raise Usage("an organisation needs a member", hint="--member KEY=NAME; keys: doitrust key show NAME")
    people = _members(members)
    who = chosen(app)
    source = source_of(who, Account.OWNER)
    owned_by = source if owner is None else read_owner(owner, app.network)
    _warn_legacy(app, owned_by)
    if app.wallet.pending("org", name) is None:
        publishing.refuse_owned(app.node, app.contents, name, source.script)
    publication = publishing.first(app.contents, name, people, owned_by.script)

    def kept(tx: Transaction) -> None:
        app.wallet.keep_root(name, tx.txid)

    if owner is not None and "(" in owner:
        app.wallet.keep_descriptor(owned_by.script, str(Descriptor.parse(owner, app.network)))
    purpose = _purpose(name, publication)
    account = Account.BOARD if len(source.origins) > 1 else Account.OWNER
    order = Order(account, source, publication.write)
    value = carry_out(app, who, Job(order, purpose, kept=kept), given)
    value["cid"] = publication.cid
    value["root"] = value.get("txid")
    value["owner"] = address_of(owned_by.script, app.network)
    app.answer(value, lambda console: _render_created(console, app, name, value))


def _render_created(console: Console, app: App, name: str, value: Mapping[str, Any]) -> None:
    render_sent(console, value, f"{name} is registered on {app.network.name}.")
    console.print(Text(f"  list {value['cid']}\n  owner {value['owner']}", "dim"), soft_wrap=True)
    if value["root"] is not None:
        console.print("\nOnce it has its confirmations, whoever trusts it runs:")
        line = f"doitrust org accept {_quoted(name)} --root {value['root']}"
        console.print(Text(f"  {line}", "cyan"), soft_wrap=True)
        mark = fingerprint(app.network, name, value["root"])
        console.print(Text(f"Tell them its fingerprint by another way: {mark}"))


@command("add-member", "Add members to the list and publish it.")
@_NAME
@argument("keys", "KEY or KEY=MEMBER-NAME.", metavar="KEY[=MEMBER-NAME]...", nargs=-1, required=True)
@waiting
@pass_app
def add_member(app: App, name: str, keys: Sequence[str], **given: Any) -> None:
    """Add members."""
    people = _members(keys)

    def change(draft: ListDraft) -> None:
        for key, member_name in people:
            draft.add(key, member_name)

    _change(app, name, change, f"{_count(people)} added to", given)


@command("remove-member", "Leave members out from now on; what they certified stays.")
@_NAME
@argument("keys", "The members' keys.", metavar="KEY...", nargs=-1, required=True)
@waiting
@pass_app
def remove_member(app: App, name: str, keys: Sequence[str], **given: Any) -> None:
    """Remove members."""
    wanted = [read_key(key) for key in keys]

    def change(draft: ListDraft) -> None:
        for key in wanted:
            draft.remove(key)

    _change(app, name, change, f"{_count(wanted)} removed from", given)


@command("revoke-member", "Withdraw a member's key from a height on: what it certified since is void.")
@_NAME
@argument("key", "The member's key.")
@click.option("--height", type=click.IntRange(0), metavar="N", required=True, help="From this block on.")
@click.option("--reason", type=click.Choice(REASONS), required=True, help="Why.")
@click.option("--voids-revocations", is_flag=True, help="Undo the key's own revocations as well.")
@waiting
@pass_app
def revoke_member(app: App, name: str, key: str, **given: Any) -> None:
    """Withdraw a key."""
    wanted = read_key(key)

    def change(draft: ListDraft) -> None:
        draft.revoke(wanted, given["height"], given["reason"], voids_revocations=given["voids_revocations"])

    _change(app, name, change, f"{wanted.hex()} is withdrawn from block {given['height']} on by", given)


@command("reinstate-member", "Lift the withdrawal of a key, for all heights: it was an error.")
@_NAME
@argument("key", "The member's key.")
@waiting
@pass_app
def reinstate_member(app: App, name: str, key: str, **given: Any) -> None:
    """Lift a withdrawal."""
    wanted = read_key(key)
    _change(app, name, lambda draft: draft.reinstate(wanted), f"{wanted.hex()} is reinstated by", given)


@command("publish", "Publish a member list that you made yourself.")
@_NAME
@argument("file", "The list, as docs/formats.md has it.", type=FILE)
@waiting
@pass_app
def publish(app: App, name: str, file: str, **given: Any) -> None:
    """Publish a file."""
    who, owned = _owned(app, name)
    data = read_bounded(Path(file), MAX_LIST_BYTES, "the list")
    publication, said = publishing.given(app.contents, owned, data)
    if said:
        for line in said:
            app.notes.print(Text(line, "yellow"), soft_wrap=True)
        app.ask("The list seems to be a stale draft. Publish it all the same?")
    _publish(app, (who, owned), publication, "A new list is published for", given)


@command("renew", "Write the record once more before it expires.")
@_NAME
@waiting
@pass_app
def renew(app: App, name: str, **given: Any) -> None:
    """Renew the record."""
    who, owned = _owned(app, name)
    _publish(app, (who, owned), publishing.kept(owned, owned.owner), "Renewed:", given)


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
            hint=f"the new owner's part: doitrust org accept-ownership {_quoted(name)} --out FILE",
            code="acceptance_missing",
        )
    check_acceptances(acceptances, app.network, name, address)
    _warn_legacy(app, OwnScript(script))
    who, owned = _owned(app, name)
    for acceptance in acceptances:
        if acceptance.descriptor is not None:
            app.wallet.keep_descriptor(script, acceptance.descriptor)
    question = f"Hand {name} over to {address}? You can't take it back."
    _publish(app, (who, owned), publishing.kept(owned, script), f"{address} owns", given, question)


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
    line = f"doitrust org transfer {_quoted(name)} {value['address']} --acceptance FILE"
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
            f"which root of {name} you mean isn't known here", hint=f"doitrust org accept {_quoted(name)}"
        )
    link = write_link(name, app.network.name, root)
    value = {"link": link, "root": root, "fingerprint": fingerprint(app.network, name, root)}
    app.answer(value, lambda console: _render_share(console, name, value))


def _render_share(console: Console, name: str, value: Mapping[str, Any]) -> None:
    from doitrust.cli.qr import print_qr

    console.print(Text(name, "bold"))
    console.print(Text(f"{value['link']}\nfingerprint {value['fingerprint']}"), soft_wrap=True)
    print_qr(console, value["link"])


def _change(
    app: App, name: str, change: Callable[[ListDraft], None], done: str, given: Mapping[str, Any]
) -> None:
    """Publish the next list."""
    who, owned = _owned(app, name)
    _publish(app, (who, owned), publishing.changed(app.contents, owned, change), done, given)


def _owned(app: App, name: str) -> tuple[Chosen, Owned]:
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

    return who, publishing.find(app.node, app.contents, name, pin, is_ours)


def _warn_legacy(app: App, owner: OwnScript) -> None:
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


def _publish(
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
        publishing.check(owned, publication, tx, app.node)
        return {}

    order = Order(account, source, publication.write)
    job = Job(order, _purpose(owned.name, publication), question, check)
    value = {**carry_out(app, who, job, given), "cid": publication.cid, "root": owned.pin.segments[-1].root}
    app.answer(value, lambda console: render_sent(console, value, f"{done} {owned.name}"))


def _purpose(name: str, publication: Publication) -> Purpose:
    write = publication.write
    return Purpose("org", name, {"value": write.value.decode("ascii"), "owner": write.owner_script.hex()})


def _members(texts: Sequence[str]) -> list[tuple[bytes, str | None]]:
    found = []
    for text in texts:
        key, equals, name = text.partition("=")
        found.append((read_key(key), check_member_name(name) if equals else None))
    return found


def _count(found: Sequence[object]) -> str:
    return "One member" if len(found) == 1 else f"{len(found)} members"


def _quoted(name: str) -> str:
    import shlex

    return shlex.quote(name)


COMMANDS = (
    create,
    add_member,
    remove_member,
    revoke_member,
    reinstate_member,
    publish,
    renew,
    transfer,
    accept_ownership,
    share,
)
