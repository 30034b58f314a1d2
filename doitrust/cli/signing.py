"""Who signs: `--signer` and `--from`, and what belongs to them."""

from pathlib import Path
from typing import NamedTuple

from doitrust.chain.accounts import Account, coin_type_of
from doitrust.chain.address import address_of, hash160
from doitrust.chain.descriptors import Descriptor, OwnScript
from doitrust.chain.keys import is_compressed_key
from doitrust.chain.networks import Network
from doitrust.chain.scripts import p2wpkh
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App
from doitrust.errors import BadData, Refused, Unavailable, Usage
from doitrust.meters.number import number_of_record
from doitrust.ports import Signer
from doitrust.text import visible
from doitrust.workflows.seal import known_seal

_KEYSTORE, _PSBT = "keystore:", "psbt:"


class Chosen(NamedTuple):
    """Who signs: a `signer`, or whoever is given the `file`. `source` is what `--from` named."""

    signer: Signer | None
    file: Path | None
    source: OwnScript | None


def chosen(app: App) -> Chosen:
    """Read `--signer`, or the setting, or take the only key there is; raises `Usage` where that doesn't say who."""
    text = app.settings.signer or app.config.get("signer")
    given = app.settings.source
    source = None if given is None else read_owner(given, app.network)
    if given is not None and source is not None and len(source.origins) > 1:
        app.wallet.keep_descriptor(source.script, str(Descriptor.parse(given, app.network)))
    if text is None:
        names = _keys(app)
        if len(names) != 1:
            of_yours = (
                ", ".join(f"keystore:{name}" for name in names[:5]) or "keystore:NAME (doitrust key new NAME)"
            )
            raise Usage("nobody is named to sign this", hint=f"--signer {of_yours}, or --signer psbt:FILE")
        text = _KEYSTORE + names[0]
    if text.startswith(_KEYSTORE):
        return Chosen(keystore_signer(app, text.removeprefix(_KEYSTORE)), None, source)
    if text.startswith(_PSBT) and text != _PSBT:
        return Chosen(None, Path(text.removeprefix(_PSBT)), source)
    if text == "ledger" or text.startswith("ledger:"):
        raise Unavailable("this version can't sign with a Ledger yet", hint="--signer keystore:NAME")
    raise Usage(f"{visible(text, 60)!r} is no signer", hint="keystore:NAME, psbt:FILE")


def keystore_signer(app: App, name: str) -> Signer:
    """The signer of a key of the keystore."""
    from doitrust.adapters.signer import KeystoreSigner
    from doitrust.cli.secrets import open_keystore, unlock

    coin_type = coin_type_of(app.network, app.config.get("coin_type"))
    file = open_keystore(app).get(name)
    return KeystoreSigner(file, coin_type, lambda: unlock(app, name))


def _keys(app: App) -> list[str]:
    from doitrust.cli.secrets import open_keystore

    return open_keystore(app).names()


def source_of(who: Chosen, account: Account) -> OwnScript:
    """The script whose coins pay: that of the signer's account, or what `--from` named."""
    if who.source is not None:
        return who.source
    if who.signer is None:
        raise Usage("--signer psbt:FILE needs to know whose coins", hint="--from KEY-OR-DESCRIPTOR")
    return who.signer.own(account)


def owner_of(app: App, who: Chosen, script: bytes) -> tuple[Account, OwnScript]:
    """The account and script that can sign for `script`; raises `Refused` if we have no part in it."""
    if who.source is not None and who.source.script == script:
        return Account.BOARD if len(who.source.origins) > 1 else Account.OWNER, who.source
    if who.signer is not None:
        for account in (Account.OWNER, Account.BOARD):
            own = who.signer.own(account)
            if own.script == script:
                return account, own
    kept = app.wallet.descriptor(script)
    if kept is not None:
        return Account.BOARD, Descriptor.parse(kept, app.network).at()
    address = address_of(script, app.network) or script.hex()
    raise Refused(
        f"it belongs to {address}, which is not yours to sign for",
        hint="sign with its owner's key; a board's descriptor is named with --from",
        code="not_the_owner",
    )


def spender_of(app: App, who: Chosen, tx: Transaction, script: bytes) -> tuple[Account, OwnScript]:
    """The account and script that can sign `tx` once more, which spends from `script`; raises `Refused` if none can."""
    if who.signer is not None:
        own = who.signer.own(Account.MEMBER)
        if own.script == script:
            return Account.MEMBER, own
    elif who.source is not None and who.source.script == script and len(who.source.origins) == 1:
        of_meter = any(number_of_record(output.name) is not None for _, output in tx.writes)
        return Account.MEMBER if of_meter else Account.OWNER, who.source
    seal = known_seal(app.wallet.pairings(), script, app.network)
    if seal is not None:
        return Account.CLIENT, seal.own
    return owner_of(app, who, script)


def read_owner(text: str, network: Network) -> OwnScript:
    """Read a key (its P2WPKH script), an address or a descriptor; raises `Usage`."""
    try:
        if len(text) == 66 and "(" not in text:
            return key_script(read_key(text))
        if "(" not in text:
            text = f"addr({text})"
        return Descriptor.parse(text, network).at()
    except BadData as error:
        raise Usage(f"{visible(text, 80)!r}: {error.message}", hint=error.hint) from None


def key_script(key: bytes) -> OwnScript:
    """What a key alone owns."""
    from doitrust.chain.bip32 import KeyOrigin

    digest = hash160(key)
    return OwnScript(p2wpkh(digest), origins={key: KeyOrigin(digest[:4])})


def read_key(text: str) -> bytes:
    """Read a public key as typed; raises `Usage`."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if not is_compressed_key(key):
        raise Usage(
            f"{visible(text, 80)!r} is no public key",
            hint="66 hex digits that begin with 02 or 03: doitrust key show NAME",
        )
    return key
