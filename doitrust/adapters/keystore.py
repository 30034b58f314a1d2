"""The encrypted keystore: named keys, a file each (`keyfile.py`), in one folder that several processes share.

What is in memory while a key is unlocked, and what Python can't wipe of it, is said in `secret.py`.
"""

import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from doitrust.adapters import phrases
from doitrust.adapters.files import read_bounded, write_atomic
from doitrust.adapters.keyfile import (
    LEAST_MEMORY,
    MAX_BYTES,
    STANDARD,
    Content,
    Kdf,
    KeyFile,
    read,
    seal,
    unseal,
)
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import MAINNET_COIN_TYPE, TEST_COIN_TYPE, Account, account_path, print_path
from doitrust.chain.bip32 import HARDENED, ExtendedKey, KeyOrigin, parse_steps
from doitrust.chain.keys import verify_signature
from doitrust.chain.signing import sign_digest
from doitrust.errors import BadData, Refused, Unavailable, Usage
from doitrust.text import visible

#: The coin types whose public keys every file holds: Doichain's, the test networks', and Electrum-DOI's.
COIN_TYPES = (MAINNET_COIN_TYPE, TEST_COIN_TYPE, 0)

#: The codes of refusals that scripts may want to tell apart.
NO_SUCH_KEY = "no_such_key"
KEY_EXISTS = "key_exists"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)
#: Names that Windows keeps for devices, with any ending: a home may be copied there.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.ASCII | re.IGNORECASE)
_SUFFIX = ".json"
_LOCK = ".lock"
_BUSY_SECONDS = 30


def check_name(name: str) -> str:
    """Return `name` if a key can have it; raises `Usage`, without repeating what could be a misplaced phrase."""
    if _NAME.fullmatch(name) is None or _DEVICES.fullmatch(name) is not None or name.endswith("."):
        raise Usage(
            "that is no name for a key",
            hint="up to 32 of a-z, A-Z, 0-9, dot, dash and underscore, the first one a letter or digit",
        )
    return name


class UnlockedKey:
    """A key whose secret is in memory, until the end of the context.

    Only what lies in its accounts can be signed with: `m/84h/<coin type>h/<account>h/<0 or 1>/<index>`.
    """

    __slots__ = ("_keys", "_seed", "coin_type", "fingerprint", "name")

    def __init__(self, file: KeyFile, coin_type: int, seed: Secret) -> None:
        self.name = file.name
        self.fingerprint = file.fingerprint
        self.coin_type = coin_type
        self._seed = seed
        self._keys = file.accounts.get(coin_type) or _account_keys(seed, coin_type)

    def extended(self, account: Account) -> ExtendedKey:
        """The extended public key of an account, with mainnet's version bytes."""
        return self._keys[account]

    def origin(self, account: Account, change: int = 0, index: int = 0) -> KeyOrigin:
        """Where a key comes from, as PSBTs and descriptors say it."""
        return KeyOrigin(self.fingerprint, account_path(self.coin_type, account)).below(change, index)

    def public(self, account: Account, change: int = 0, index: int = 0) -> bytes:
        """The public key, 33 bytes."""
        return self._keys[account].child(change).child(index).key

    def sign(self, path: tuple[int, ...] | str, digest: bytes) -> bytes:
        """Sign a 32-byte digest with the key at `path` (or `m/84h/…`); returns DER with the lower S (RFC 6979).

        The signature is checked against the public key that the sealed file names. Raises `Refused` for a path
        outside the accounts.
        """
        if isinstance(path, str):
            path = parse_steps(path.removeprefix("m/").split("/"))
        account, change, index = self._place(path)
        if not self._seed.data:
            raise RuntimeError("the key is locked again")
        with phrases.private_key(self._seed, path) as secret:
            signature = sign_digest(secret.data, digest)
        if not verify_signature(self.public(account, change, index), signature, digest):
            raise BadData(f"the key {self.name} signs with another key than its file names: use it no more")
        return signature

    def lock(self) -> None:
        """Forget the secret."""
        self._seed.wipe()

    def __enter__(self) -> "UnlockedKey":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.lock()

    def __repr__(self) -> str:
        return f"<key {self.name} [{self.fingerprint.hex()}]>"

    def _place(self, path: tuple[int, ...]) -> tuple[Account, int, int]:
        for account in Account:
            inside = account_path(self.coin_type, account)
            if path[:3] == inside and len(path) == 5 and path[3] in (0, 1) and 0 <= path[4] < HARDENED:
                return account, path[3], path[4]
        raise Refused(
            f"{print_path(path)} is in none of the accounts of the key {self.name}",
            hint=f"its accounts are {', '.join(print_path(account_path(self.coin_type, a)) for a in Account)}",
        )


class Keystore:
    """The keys below `directory`, which is made at the first one.

    All methods raise `Unavailable` if the disk refuses, `Usage` for a name that no key can have, and where they read
    a file `Refused` if there is none and `BadData` if it is damaged. `kdf` is for tests, which can't wait as long
    as a thief shall have to.
    """

    def __init__(self, directory: Path, *, kdf: Kdf = STANDARD) -> None:
        self._directory = directory
        self._kdf = kdf

    def names(self) -> list[str]:
        """The keys there are, sorted."""
        try:
            found = [path.stem for path in self._directory.iterdir() if path.suffix == _SUFFIX]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._cannot("read", error) from None
        return sorted(name for name in found if _NAME.fullmatch(name))

    def get(self, name: str) -> KeyFile:
        """The public part of a key. Nothing but its file says so: a thief could have edited it."""
        path = self._there(name)
        what = f"the key file {visible(str(path))}"
        file = read(
            read_bounded(path, MAX_BYTES, "the key file"),
            what,
            least_memory=min(LEAST_MEMORY, self._kdf.memory),
        )
        if file.name != name:
            raise BadData(
                f"{what} is that of the key {visible(str(file.name), 40)}",
                hint="give the file its name again",
                code="renamed_key",
            )
        return file

    def add(self, name: str, entropy: Secret, passphrase: Secret, coin_types: Iterable[int] = ()) -> KeyFile:
        """Keep a new key; `coin_types` are those of which more public keys are wanted. Raises `Refused` if there
        is one of that name already, upper and lower case being the same.
        """
        self.refuse_taken(name)
        with phrases.seed_of(entropy) as seed:
            content = Content(
                name,
                phrases.fingerprint_of(seed),
                {coin: _account_keys(seed, coin) for coin in {*COIN_TYPES, *coin_types}},
                entropy,
            )
        data = seal(content, passphrase, self._kdf)
        with self._changing():
            self.refuse_taken(name)
            self._write(name, data)
        return self.get(name)

    def refuse_taken(self, name: str) -> None:
        """Raise `Refused` if there is a key of that name already."""
        check_name(name)
        taken = next((other for other in self.names() if other.lower() == name.lower()), None)
        if taken is not None:
            raise Refused(
                f"there is a key {taken} already",
                hint="choose another name, or delete it first",
                code=KEY_EXISTS,
            )

    def unlock(self, name: str, passphrase: Secret, coin_type: int) -> UnlockedKey:
        """Open a key to sign with. Raises `Refused` for a wrong passphrase."""
        file = self.get(name)
        with unseal(file, passphrase) as entropy:
            return UnlockedKey(file, coin_type, phrases.seed_of(entropy))

    def check(self, name: str, passphrase: Secret) -> KeyFile:
        """The public part of a key, as it was sealed: nobody has edited it."""
        file = self.get(name)
        with unseal(file, passphrase):
            return file

    def change_passphrase(self, name: str, old: Secret, new: Callable[[], Secret]) -> None:
        """Seal a key under another passphrase, for which `new` is asked once the old one has opened it.

        Copies of the file that were made before still open with the old one.
        """
        file = self.get(name)
        with unseal(file, old) as entropy, new() as passphrase:
            self._replace(file, Content(file.name, file.fingerprint, file.accounts, entropy), passphrase)

    def add_coin_type(self, name: str, passphrase: Secret, coin_type: int) -> KeyFile:
        """Let the public part have the accounts of one more coin type; returns it."""
        file = self.get(name)
        with unseal(file, passphrase) as entropy, phrases.seed_of(entropy) as seed:
            accounts = {**file.accounts, coin_type: _account_keys(seed, coin_type)}
            self._replace(file, Content(file.name, file.fingerprint, accounts, entropy), passphrase)
        return self.get(name)

    def delete(self, name: str) -> None:
        """Remove a key's file, whatever is in it. It is not overwritten: few disks would do so in place."""
        self._there(name)
        with self._changing():
            path = self._there(name)
            try:
                path.unlink()
            except OSError as error:
                raise self._cannot("remove a key from", error) from None

    def _replace(self, old: KeyFile, content: Content, passphrase: Secret) -> None:
        data = seal(content, passphrase, self._kdf)
        with self._changing():
            if self.get(old.name).raw != old.raw:
                raise Refused(f"another process changed the key {old.name} meanwhile", hint="try again")
            self._write(old.name, data)

    def _path(self, name: str) -> Path:
        return self._directory / (check_name(name) + _SUFFIX)

    def _there(self, name: str) -> Path:
        """The file of a key; raises `Refused` if there is none."""
        path = self._path(name)
        try:
            path.lstat()
        except FileNotFoundError:
            raise Refused(f"there is no key {name}", hint="doitrust key list", code=NO_SUCH_KEY) from None
        except OSError as error:
            raise self._cannot("read", error) from None
        return path

    def _write(self, name: str, data: bytes) -> None:
        if len(data) > MAX_BYTES:  # nobody could read it
            raise Refused(f"the key {name} has the public parts of too many coin types")
        write_atomic(self._path(name), data, "the key file", mode=stat.S_IRUSR | stat.S_IWUSR)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only process that changes a key.

        The lock is SQLite's on an empty database, because that one works alike on all platforms and ends with
        the process. Whoever holds it removes what a process that was killed while writing left behind.
        """
        self._make_directory()
        try:
            lock = sqlite3.connect(self._directory / _LOCK, timeout=_BUSY_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise self._cannot("lock", error) from None
        try:
            lock.execute("BEGIN IMMEDIATE")
            for left in self._directory.glob(f".*{_SUFFIX}.*"):
                left.unlink(missing_ok=True)
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._cannot("change", error) from None
        finally:
            lock.close()

    def _make_directory(self) -> None:
        """Make the folder, for its owner alone; Windows keeps others out of a user's folders by itself."""
        try:
            self._directory.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            if os.name == "posix" and self._directory.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                self._directory.chmod(stat.S_IRWXU)
        except OSError as error:
            raise self._cannot("make", error) from None

    def _cannot(self, do: str, error: Exception) -> Unavailable:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return Unavailable(
            f"can't {do} the keystore {visible(str(self._directory))}: {why}",
            hint="is it yours, is there room, and is no other doitrust busy with it?",
        )


def _account_keys(seed: Secret, coin_type: int) -> dict[Account, ExtendedKey]:
    return {account: phrases.extended_key(seed, account_path(coin_type, account)) for account in Account}
