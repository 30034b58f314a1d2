"""`doitrust org`: what an organisation's admin does."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.files import read_bounded
from doitrust.chain.accounts import Account
from doitrust.chain.address import address_of
from doitrust.chain.descriptors import Descriptor
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App, pass_app
from doitrust.cli.carry import Job, carry_out, render_sent, waiting
from doitrust.cli.options import FILE, argument, command
from doitrust.cli.org_common import organisation_name
from doitrust.cli.org_publish import local_only, owned_here, publish_next, purpose_of, quoted, warn_legacy
from doitrust.cli.signing import chosen, read_key, read_owner, source_of
from doitrust.errors import Usage
from doitrust.orgs.drafting import REASONS, ListDraft, check_member_name
from doitrust.orgs.members import MAX_LIST_BYTES
from doitrust.orgs.pins import fingerprint
from doitrust.workflows import publish as publishing
from doitrust.workflows.spending import Order

_NAME = argument("name", "The organisation.")


@command("create", "Register an organisation and publish its first member list.")
@_NAME
@click.option("--member", "members", multiple=True, metavar="KEY[=NAME]", help="A member; repeatable.")
@click.option("--owner", metavar="ADDRESS-OR-DESCRIPTOR", help="Who shall own it (the signer).")
@local_only
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
    warn_legacy(app, owned_by)
    if app.wallet.pending("org", name) is None:
        publishing.refuse_owned(app.chain, app.contents, name, source.script)
    publication = publishing.first(name, people, owned_by.script)

    def publish() -> None:
        publication.put_list(app.contents, local_only=given["local_only"])

    def kept(tx: Transaction) -> None:
        # A draft may never be sent: it takes the place of no root that is on the chain.
        known = None if who.file is None else app.wallet.root(name)
        if known is None or app.node.transaction(known) is None:
            app.wallet.keep_root(name, tx.txid)

    if owner is not None and "(" in owner:
        app.wallet.keep_descriptor(owned_by.script, str(Descriptor.parse(owner, app.network)))
    purpose = purpose_of(name, publication)
    account = Account.BOARD if len(source.origins) > 1 else Account.OWNER
    order = Order(account, source, publication.write)
    value = carry_out(app, who, Job(order, purpose, publish=publish, kept=kept), given)
    value["cid"] = publication.cid
    value["root"] = value.get("txid")
    value["owner"] = address_of(owned_by.script, app.network)
    app.answer(value, lambda console: _render_created(console, app, name, value))


def _render_created(console: Console, app: App, name: str, value: Mapping[str, Any]) -> None:
    render_sent(console, value, f"{name} is registered on {app.network.name}.")
    console.print(Text(f"  list {value['cid']}\n  owner {value['owner']}", "dim"), soft_wrap=True)
    if value["root"] is not None:
        console.print("\nOnce it has its confirmations, whoever trusts it runs:")
        line = f"doitrust org accept {quoted(name)} --root {value['root']}"
        console.print(Text(f"  {line}", "cyan"), soft_wrap=True)
        mark = fingerprint(app.network, name, value["root"])
        console.print(Text(f"Tell them its fingerprint by another way: {mark}"))


@command("add-member", "Add members to the list and publish it.")
@_NAME
@argument("keys", "KEY or KEY=MEMBER-NAME.", metavar="KEY[=MEMBER-NAME]...", nargs=-1, required=True)
@local_only
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
@local_only
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
@local_only
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
@local_only
@waiting
@pass_app
def reinstate_member(app: App, name: str, key: str, **given: Any) -> None:
    """Lift a withdrawal."""
    wanted = read_key(key)
    _change(app, name, lambda draft: draft.reinstate(wanted), f"{wanted.hex()} is reinstated by", given)


@command("publish", "Publish a member list that you made yourself.")
@_NAME
@argument("file", "The list, as docs/formats.md has it.", type=FILE)
@local_only
@waiting
@pass_app
def publish(app: App, name: str, file: str, **given: Any) -> None:
    """Publish a file."""
    who, owned = owned_here(app, name)
    data = read_bounded(Path(file), MAX_LIST_BYTES, "the list")
    publication, said = publishing.given(owned, data)
    if said:
        for line in said:
            app.notes.print(Text(line, "yellow"), soft_wrap=True)
        app.ask("The list seems to be a stale draft. Publish it all the same?")
    publish_next(app, (who, owned), publication, "A new list is published for", given)


@command("renew", "Write the record once more before it expires.")
@_NAME
@waiting
@pass_app
def renew(app: App, name: str, **given: Any) -> None:
    """Renew the record."""
    who, owned = owned_here(app, name)
    publish_next(app, (who, owned), publishing.kept(owned, owned.owner), "Renewed:", given)


def _change(
    app: App, name: str, change: Callable[[ListDraft], None], done: str, given: Mapping[str, Any]
) -> None:
    """Publish the next list."""
    who, owned = owned_here(app, name)
    publish_next(app, (who, owned), publishing.changed(owned, change), done, given)


def _members(texts: Sequence[str]) -> list[tuple[bytes, str | None]]:
    found = []
    for text in texts:
        key, equals, name = text.partition("=")
        found.append((read_key(key), check_member_name(name) if equals else None))
    return found


def _count(found: Sequence[object]) -> str:
    return "One member" if len(found) == 1 else f"{len(found)} members"


COMMANDS = (
    create,
    add_member,
    remove_member,
    revoke_member,
    reinstate_member,
    publish,
    renew,
)
