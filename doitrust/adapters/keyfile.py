"""The file of one key: `doitrust-key/1`.

JSON in exactly one form, so that no byte can change unseen. What is secret in it is the entropy of the phrase
(BIP 39), sealed with ChaCha20-Poly1305 (RFC 8439) under a key that scrypt (RFC 7914) makes of the passphrase. The rest
is public: name, fingerprint, and the extended public keys of the accounts, which need no passphrase to be shown.

Three things tell what is wrong with a file:

- `sum`, a SHA-256 of all the rest, shows damage before anybody is asked for a passphrase. It has no secret in it, so
  whoever edits the file can make it anew.
- `check` is 16 bytes from scrypt: with another passphrase (or another salt) it comes out otherwise. It also commits
  the file to one passphrase, which Poly1305 alone does not.
- The seal covers everything but `sum`: whoever edits the public part can't make it fit, and is noticed when the key
  is used. Until then what is shown is only what the file says.
"""

import hmac
import json
import operator
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from doitrust.adapters.phrases import ENTROPY_SIZES
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import Account, account_path, of_network
from doitrust.chain.bip32 import ExtendedKey
from doitrust.chain.networks import MAINNET
from doitrust.errors import BadData, Refused, Unavailable
from doitrust.strictjson import read_object

FORMAT = "doitrust-key/1"
#: A file is 2 KiB, and half a KiB more for each further coin type.
MAX_BYTES = 64 * 1024

#: The codes of the refusals, for scripts and for those who ask again.
WRONG_PASSPHRASE = "wrong_passphrase"  # noqa: S105  # a code
DAMAGED = "damaged_key"
TAMPERED = "tampered_key"

_CIPHER = "chacha20-poly1305"
_SALT, _NONCE, _CHECK, _KEY, _TAG = 32, 12, 16, 32, 16
_FIELDS = frozenset(
    {"accounts", "check", "cipher", "fingerprint", "format", "kdf", "name", "nonce", "sum", "text"}
)
_RESTORE = "restore a backup, or delete the key and import its words again"

Accounts = Mapping[int, Mapping[Account, ExtendedKey]]


class Kdf(NamedTuple):
    """scrypt's parameters (RFC 7914): cost, block size, parallelisation."""

    n: int
    r: int
    p: int

    @property
    def memory(self) -> int:
        """The bytes it takes, as good as."""
        return 128 * self.n * self.r

    @property
    def is_possible(self) -> bool:
        """Whether scrypt takes them at all (RFC 7914, section 2)."""
        return self.n > 1 and self.n & (self.n - 1) == 0 and self.r > 0 and self.p > 0


#: What new files are made with: 128 MiB and some 0.3 s on a laptop.
STANDARD = Kdf(2**17, 8, 1)
#: What a file may ask for at most and must at least: a hostile one can't take the memory of the machine or keep it
#: busy for minutes; a weaker one was not made by us.
MOST = Kdf(2**20, 32, 4)
_MOST_MEMORY = 512 * 1024 * 1024
LEAST_MEMORY = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as read. `accounts` by coin type, with mainnet's version bytes.

    `text` is what is sealed, `covered` what the seal covers beside it, `raw` the file's bytes.
    """

    name: str
    fingerprint: bytes
    accounts: Accounts
    kdf: Kdf
    salt: bytes
    nonce: bytes
    check: bytes
    text: bytes
    covered: bytes
    raw: bytes


class Content(NamedTuple):
    """What is to be put into a file."""

    name: str
    fingerprint: bytes
    accounts: Accounts
    entropy: Secret


def seal(content: Content, passphrase: Secret, kdf: Kdf) -> bytes:
    """Return the bytes of a new file, with a salt, a nonce and so a cipher key of its own."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    with _stretch(passphrase, salt, kdf) as made:
        document: dict[str, Any] = {
            "format": FORMAT,
            "name": content.name,
            "fingerprint": content.fingerprint.hex(),
            "accounts": {
                str(coin_type): {account.label: str(key) for account, key in keys.items()}
                for coin_type, keys in content.accounts.items()
            },
            "kdf": {"name": "scrypt", "n": kdf.n, "r": kdf.r, "p": kdf.p, "salt": salt.hex()},
            "cipher": _CIPHER,
            "nonce": nonce.hex(),
            "check": made.data[_KEY:].hex(),
        }
        with Secret(made.data[:_KEY]) as key:
            sealed = ChaCha20Poly1305(key.data).encrypt(nonce, content.entropy.data, _bytes(document))
    document["text"] = sealed.hex()
    document["sum"] = sha256(_bytes(document)).hexdigest()
    return _bytes(document)


def read(data: bytes, what: str, *, least_memory: int = LEAST_MEMORY) -> KeyFile:
    """Read a file's public part; raises `BadData` for anything but a whole file in the form in which we write it.

    `what` names it in the error. `least_memory` is what its scrypt has to take.
    """
    try:
        document = read_object(data, what=what)
        return _parsed(document, data, what, least_memory)
    except BadData as error:
        raise BadData(error.message, hint=error.hint or _RESTORE, code=DAMAGED) from None
    except (AttributeError, KeyError, TypeError, ValueError):
        pass  # the sum was right: whoever wrote this meant it, and which field it is helps nobody
    raise BadData(f"{what} is no key file", hint=_RESTORE, code=DAMAGED)


def unseal(file: KeyFile, passphrase: Secret) -> Secret:
    """Return the entropy in a file.

    Raises `Refused` for a wrong passphrase, and `BadData` if somebody changed the file since it was sealed.
    """
    entropy = Secret(bytes(len(file.text) - _TAG))
    with _stretch(passphrase, file.salt, file.kdf) as made:
        if not hmac.compare_digest(made.data[_KEY:], file.check):
            raise Refused(
                f"wrong passphrase for the key {file.name}",
                hint="mind Caps Lock and the keyboard's language; if it is the right one, the file was changed",
                code=WRONG_PASSPHRASE,
            )
        with Secret(made.data[:_KEY]) as key:
            try:
                ChaCha20Poly1305(key.data).decrypt_into(file.nonce, file.text, file.covered, entropy.data)
            except InvalidTag:
                entropy.wipe()
                raise BadData(
                    f"somebody changed the file of the key {file.name}: its public part is not what was sealed",
                    hint="trust none of the addresses that it showed; " + _RESTORE,
                    code=TAMPERED,
                ) from None
    return entropy


def _stretch(passphrase: Secret, salt: bytes, kdf: Kdf) -> Secret:
    """Make the cipher key of a passphrase, and its check."""
    made = Secret(bytes(_KEY + _CHECK))
    try:
        Scrypt(salt, _KEY + _CHECK, kdf.n, kdf.r, kdf.p).derive_into(passphrase.data, made.data)
    except MemoryError:
        raise Unavailable(
            f"the passphrase takes {kdf.memory // 2**20} MiB of memory, which can't be had now",
            hint="close other programs",
        ) from None
    return made


def _bytes(document: Mapping[str, Any]) -> bytes:
    """The one form in which a document is written."""
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")


def _parsed(document: dict[str, Any], data: bytes, what: str, least_memory: int) -> KeyFile:
    _refuse_damage(document, data, what)
    kdf = document["kdf"]
    sealed = _hex(document["text"])
    if len(sealed) - _TAG not in ENTROPY_SIZES:
        raise ValueError("the size of no entropy")
    return KeyFile(
        name=document["name"],
        fingerprint=_hex(document["fingerprint"], 4),
        accounts={_number(coin): _keys(keys, _number(coin)) for coin, keys in document["accounts"].items()},
        kdf=_kdf(kdf, what, least_memory),
        salt=_hex(kdf["salt"], _SALT),
        nonce=_hex(document["nonce"], _NONCE),
        check=_hex(document["check"], _CHECK),
        text=sealed,
        covered=_bytes({name: value for name, value in document.items() if name not in ("sum", "text")}),
        raw=data,
    )


def _refuse_damage(document: dict[str, Any], data: bytes, what: str) -> None:
    if document.get("format") != FORMAT or document.get("cipher") != _CIPHER:
        raise BadData(
            f"{what} is no key file of the kind that this version reads", hint="is there a newer doitrust?"
        )
    rest = {name: value for name, value in document.items() if name != "sum"}
    if (
        document.keys() != _FIELDS
        or document["sum"] != sha256(_bytes(rest)).hexdigest()
        or data != _bytes(document)
    ):
        raise BadData(f"{what} is damaged, or was edited")


def _kdf(found: dict[str, Any], what: str, least_memory: int) -> Kdf:
    if found.keys() != {"name", "n", "r", "p", "salt"} or found["name"] != "scrypt":
        raise ValueError("not scrypt's parameters")
    kdf = Kdf(found["n"], found["r"], found["p"])
    if any(type(number) is not int for number in kdf) or not kdf.is_possible:
        raise ValueError("no parameters that scrypt takes")
    if any(map(operator.gt, kdf, MOST)) or not least_memory <= kdf.memory <= _MOST_MEMORY:
        raise BadData(f"{what} asks for scrypt with {tuple(kdf)}, which is more or less than is good")
    return kdf


def _keys(found: dict[str, str], coin_type: int) -> dict[Account, ExtendedKey]:
    keys = {account: ExtendedKey.parse(found[account.label]) for account in Account}
    for account, key in keys.items():
        path = account_path(coin_type, account)
        if (key.depth, key.index) != (len(path), path[-1]) or of_network(key, MAINNET) != key:
            raise ValueError("the extended key of no such account")
    if len(found) != len(keys):
        raise ValueError("an account that is none")
    return keys


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and text == str(int(text[:10]))):
        raise ValueError("no number")
    return int(text)


def _hex(text: str, size: int | None = None) -> bytes:
    data = bytes.fromhex(text)
    if data.hex() != text or size not in (None, len(data)):
        raise ValueError("not the hex that belongs here")
    return data
