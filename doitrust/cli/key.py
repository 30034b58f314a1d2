"""`doitrust key`: the encrypted keystore."""

from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from doitrust.adapters.keyfile import KeyFile
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.phrases import entropy_of, new_entropy
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import Account, account_path, coin_type_of, key_path, of_network, print_path
from doitrust.chain.address import address_of, hash160
from doitrust.chain.amounts import doi
from doitrust.chain.bip32 import KeyOrigin
from doitrust.chain.scripts import p2wpkh
from doitrust.cli.app import App, pass_app
from doitrust.cli.options import group
from doitrust.cli.phrase import show_phrase, terminal_of
from doitrust.cli.qr import print_qr
from doitrust.cli.secrets import (
    NEW_PASSPHRASE,
    new_passphrase,
    open_keystore,
    read_phrase,
    require_passphrase,
    with_passphrase,
)
from doitrust.errors import BadData, DoitrustError, Usage
from doitrust.text import visible

#: What each account is for, in the order of `Account`.
_JOBS = {
    Account.MEMBER.label: "certifies meters",
    Account.OWNER.label: "runs an organisation",
    Account.BOARD.label: "has a part in a board",
    Account.CLIENT.label: "is a meter's client",
}


@group("key", "Your keys: make, show and remove them.")
def key() -> None:
    """The noun."""


@key.command("new", help="Make a key. Its phrase of 24 words is shown once, on a terminal only.")
@click.argument("name")
@pass_app
def new(app: App, name: str) -> None:
    """Make a key."""
    keystore = open_keystore(app)
    keystore.refuse_taken(name)
    stream = terminal_of(app)
    with new_passphrase(app, name) as passphrase, new_entropy() as entropy:
        show_phrase(stream, name, entropy)
        file = _add(app, keystore, name, entropy, passphrase)
    _answer_key(app, file)


@key.command(
    "import",
    help="Keep a key whose phrase of 12 to 24 words you have: asked for, or read from stdin.",
    context_settings={"allow_extra_args": True},
)
@click.argument("name")
@pass_app
def import_(app: App, name: str) -> None:
    """Keep a key that there is already."""
    if click.get_current_context().args:  # not repeated: it could be the phrase
        raise Usage(
            "a phrase has no place on the command line, where others can read it",
            hint="doitrust key import NAME asks for it; if those were its words, use that key no more",
        )
    keystore = open_keystore(app)
    keystore.refuse_taken(name)
    require_passphrase()
    with read_phrase() as phrase, entropy_of(phrase) as entropy, new_passphrase(app, name) as passphrase:
        file = _add(app, keystore, name, entropy, passphrase)
    _answer_key(app, file)


def _add(app: App, keystore: Keystore, name: str, entropy: Secret, passphrase: Secret) -> KeyFile:
    return keystore.add(name, entropy, passphrase, [_coin_type(app)])


@key.command("list", help="Your keys with the addresses that they certify from.")
@pass_app
def list_(app: App) -> None:
    """List the keys; one that can't be read doesn't hide the others."""
    keystore = open_keystore(app)
    values = [_listed(app, keystore, name) for name in keystore.names()]
    app.answer(values, lambda console: _render_list(console, values))


def _listed(app: App, keystore: Keystore, name: str) -> dict[str, Any]:
    value: dict[str, Any] = {"name": name, "fingerprint": None, "key": None, "address": None, "problem": None}
    try:
        file = keystore.get(name)
    except DoitrustError as error:
        return {**value, "problem": error.message}
    value["fingerprint"] = file.fingerprint.hex()
    if _coin_type(app) not in file.accounts:
        return {**value, "problem": f"without keys of coin type {_coin_type(app)}: doitrust key show {name}"}
    member = _key_view(app, file, Account.MEMBER)
    return {**value, "key": member["key"], "address": member["address"]}


def _render_list(console: Console, values: Iterable[dict[str, Any]]) -> None:
    values = list(values)
    for value in values:
        console.print(Text.assemble((value["name"], "bold"), f"  [{value['fingerprint'] or '????????'}]"))
        for field in ("key", "address"):
            if value[field] is not None:
                console.print(Text(f"    {value[field]}"))
        if value["problem"] is not None:
            console.print(Text(f"    {visible(value['problem'])}", "yellow"))
    if not values:
        console.print("You have no key yet.\nTry: doitrust key new NAME")


@key.command("show", help="A key's public parts, and the address to pay DOI to as text and QR code.")
@click.argument("name")
@click.option("--check", is_flag=True, help="Ask for the passphrase to see that nobody has edited them.")
@pass_app
def show(app: App, name: str, check: bool) -> None:
    """Show a key's public parts."""
    file = _public(app, name)
    if check:
        keystore = open_keystore(app)
        file = with_passphrase(app, name, lambda passphrase: keystore.check(name, passphrase))
        app.notes.print("✔ All of it is as it was sealed under the passphrase.", style="green")
    _answer_key(app, file)


def _answer_key(app: App, file: KeyFile) -> None:
    value = {
        "name": file.name,
        "fingerprint": file.fingerprint.hex(),
        "keys": {account.label: _key_view(app, file, account) for account in Account},
    }
    app.answer(value, lambda console: _render_key(app, console, value))


def _key_view(app: App, file: KeyFile, account: Account) -> dict[str, Any]:
    """An account's first key: `{path, key, address}`, and for the board's what its descriptors are made of."""
    coin_type = _coin_type(app)
    extended = file.accounts[coin_type][account]
    public = extended.child(0).child(0).key
    value = {
        "path": print_path(key_path(coin_type, account)),
        "key": public.hex(),
        "address": address_of(p2wpkh(hash160(public)), app.network),
    }
    if account is Account.BOARD:
        value["xpub"] = str(of_network(extended, app.network))
        origin = KeyOrigin(file.fingerprint, account_path(coin_type, account))
        value["descriptor_key"] = f"[{origin}]{value['xpub']}/0/*"
    return value


def _render_key(app: App, console: Console, value: dict[str, Any]) -> None:
    console.print(
        Text.assemble((value["name"], "bold"), f"  [{value['fingerprint']}]  on {app.network.name}\n")
    )
    for label, shown in value["keys"].items():
        console.print(Text.assemble((f"{label:<8}", "bold"), f"{_JOBS[label]}, {shown['path']}"))
        for field in ("key", "address", "descriptor_key"):
            if field in shown:
                console.print(Text(f"        {shown[field]}"), soft_wrap=True)
    owner = value["keys"][Account.OWNER.label]["address"]
    console.print(Text(f"\nTo run an organisation, pay DOI to its owner: {owner}"), soft_wrap=True)
    address = value["keys"][Account.MEMBER.label]["address"]
    console.print(Text.assemble("To certify, pay DOI to the member: ", (address, "bold")), soft_wrap=True)
    print_qr(console, address)


@key.command("passphrase", help="Change a key's passphrase.")
@click.argument("name")
@pass_app
def passphrase_(app: App, name: str) -> None:
    """Change a key's passphrase."""
    keystore = open_keystore(app)
    keystore.get(name)
    require_passphrase(NEW_PASSPHRASE)
    with_passphrase(
        app,
        name,
        lambda old: keystore.change_passphrase(name, old, lambda: new_passphrase(app, name, NEW_PASSPHRASE)),
    )
    app.answer({}, lambda console: _render_passphrase(console, name))


def _render_passphrase(console: Console, name: str) -> None:
    console.print(Text(f"The key {name} has a new passphrase."))
    console.print("Older copies of its file, in backups too, still open with the old one.")


@key.command("delete", help="Remove a key from this computer.")
@click.argument("name")
@pass_app
def delete(app: App, name: str) -> None:
    """Remove a key, a damaged one too."""
    keystore = open_keystore(app)
    try:
        shown = f"{name} [{keystore.get(name).fingerprint.hex()}]"
    except BadData:
        shown = f"{name}, whose file is damaged"
    app.ask(f"Remove the key {shown}? Only its words or a backup bring it back.")
    keystore.delete(name)
    app.answer({}, lambda console: console.print(Text(f"The key {name} is gone.")))


@key.command("balance", help="What a key's addresses have to spend, in DOI.")
@click.argument("name")
@pass_app
def balance(app: App, name: str) -> None:
    """Add up coins; a name's output is none."""
    file = _public(app, name)
    found = {account.label: _key_view(app, file, account) for account in Account}
    spendable = {
        label: sum(
            coin.value for coin in app.node.coins(p2wpkh(hash160(bytes.fromhex(shown["key"])))) if coin.mature
        )
        for label, shown in found.items()
    }
    value = {
        "name": file.name,
        "network": app.network.name,
        "keys": {
            label: {"path": shown["path"], "address": shown["address"], "spendable": doi(spendable[label])}
            for label, shown in found.items()
        },
        "total": doi(sum(spendable.values())),
    }
    app.answer(value, lambda console: _render_balance(console, value))


def _render_balance(console: Console, value: dict[str, Any]) -> None:
    for label, shown in value["keys"].items():
        console.print(Text(f"{label:<8}{shown['spendable']:>20} DOI  {shown['address']}"), soft_wrap=True)
    console.print(Text(f"{'in all':<8}{value['total']:>20} DOI  on {value['network']}", "bold"))


def _public(app: App, name: str) -> KeyFile:
    """A key's public part. One that lacks the coin type in use is asked for its passphrase, this once."""
    keystore = open_keystore(app)
    file = keystore.get(name)
    coin_type = _coin_type(app)
    if coin_type in file.accounts:
        return file
    return with_passphrase(app, name, lambda passphrase: keystore.add_coin_type(name, passphrase, coin_type))


def _coin_type(app: App) -> int:
    return coin_type_of(app.network, app.config.get("coin_type"))
