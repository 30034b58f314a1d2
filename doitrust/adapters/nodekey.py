"""The key of the node at the meter, for good: whoever has it can speak for the meter.

Two files in the home, each for its owner alone. `node.key` holds the private key, sealed with ChaCha20-Poly1305
(RFC 8439); `device.key` the 32 random bytes that open it. The seal covers format and public key too, so that no byte
of `node.key` can change unseen. Nobody types a passphrase: the node starts by itself after a power failure. So one
file alone (in a backup, say) gives nothing away, and whoever can read both has the key.

Neither file is ever overwritten. `device.key` comes first, so that of a creation that is cut short nothing remains
but a `device.key` that opens nothing yet; the next one uses it.
"""

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from doitrust.adapters.secret import Secret
from doitrust.chain import messages
from doitrust.chain.keys import is_compressed_key
from doitrust.errors import BadData, DoitrustError, Refused, Unavailable
from doitrust.strictjson import read_object
from doitrust.text import visible

FORMAT = "doitrust-node-key/1"
NODE_FILE = "node.key"
DEVICE_FILE = "device.key"

#: The codes of refusals that scripts may want to tell apart.
NO_NODE_KEY = "no_node_key"
NODE_KEY_EXISTS = "node_key_exists"
EXPOSED_KEY = "exposed_key"

_SECRET, _NONCE, _TAG = 32, 12, 16
_MAX_BYTES = 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_RESTORE = (
    f"put {NODE_FILE} and {DEVICE_FILE} back as they were; if they are lost, move what is left of them away, "
    "make a new key with doitrust pi init, and have the meter certified anew"
)


class NodeKey:
    """The key of this node, in `directory`.

    What reads it raises `Unavailable` if there is none or it can't be read, `Refused` if others could read it, and
    `BadData` if it is damaged.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def create(self) -> bytes:
        """Make a key and return its public part; raises `Refused` (naming it) if there is one already."""
        self._make_directory()
        if self._exists(NODE_FILE):
            raise self._taken()
        if not self._exists(DEVICE_FILE):
            with Secret(bytearray(os.urandom(_SECRET))) as made:
                self._add(DEVICE_FILE, made.data)  # if another process was faster, its file counts
        with self._device_key() as device, Secret(bytearray(os.urandom(_SECRET))) as secret:
            public = messages.public_key(secret.data)
            if not self._add(NODE_FILE, _seal(public, secret, device)):
                raise self._taken()
        return self.public()

    def public(self) -> bytes:
        """Return the public key, 33 bytes, once it is sure that the private one is there."""
        public, secret = self._open()
        secret.wipe()
        return public

    def sign_message(self, text: str) -> str:
        """Sign a message (`chain/messages.py`); returns base64."""
        _, secret = self._open()
        with secret:
            return messages.sign_message(secret.data, text)

    def __repr__(self) -> str:
        return f"<node key in {str(self._directory)!r}>"

    def _open(self) -> tuple[bytes, Secret]:
        """Return the public key and the secret, which the caller wipes."""
        with self._read(NODE_FILE) as file:
            public, nonce, text = _parse(bytes(file.data), self._shown(NODE_FILE))
        secret = Secret(bytes(_SECRET))
        with self._device_key() as device:
            try:
                ChaCha20Poly1305(device.data).decrypt_into(nonce, text, _covered(public), secret.data)
            except InvalidTag:
                secret.wipe()
                raise BadData(
                    f"{self._shown(DEVICE_FILE)} doesn't open {NODE_FILE}: one of them is damaged or of another node",
                    hint=_RESTORE,
                ) from None
        if messages.public_key(secret.data) != public:
            secret.wipe()
            raise BadData(f"{self._shown(NODE_FILE)} holds another key than it says", hint=_RESTORE)
        return public, secret

    def _device_key(self) -> Secret:
        key = self._read(DEVICE_FILE)
        if len(key.data) != _SECRET:
            found = len(key.data)
            key.wipe()
            raise BadData(
                f"{self._shown(DEVICE_FILE)} is damaged: it has {found} bytes, not {_SECRET}",
                hint=_RESTORE if self._exists(NODE_FILE) else f"delete {DEVICE_FILE}: it opens nothing yet",
            )
        return key

    def _read(self, name: str) -> Secret:
        """Return a file's bytes, if nobody else can have read or changed them."""
        try:
            # Nothing that could keep us waiting, as a pipe would, is opened for reading.
            number = os.open(self._directory / name, os.O_RDONLY | _flag("O_NONBLOCK") | _flag("O_BINARY"))
        except FileNotFoundError:
            raise self._missing(name) from None
        except OSError as error:
            raise self._cannot("read", name, error) from None
        data = bytearray(_MAX_BYTES + 1)
        try:
            self._refuse_shared(name, os.fstat(number))
            with open(number, "rb", buffering=0, closefd=False) as file:  # it is open already
                size = file.readinto(data)
        except OSError as error:
            raise self._cannot("read", name, error) from None
        finally:
            os.close(number)
        secret = Secret(data[:size])
        data[:] = bytes(len(data))
        return secret

    def _refuse_shared(self, name: str, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise BadData(f"{self._shown(name)} is no ordinary file", hint=_RESTORE)
        if os.name != "posix":  # Windows keeps others out of a user's folders by itself
            return
        if status.st_mode & _OTHERS:
            raise Refused(
                f"{self._shown(name)} can be read or changed by others on this machine",
                hint=f"chmod 600 {self._shown(name)}; if others use this machine, the key may be known to them",
                code=EXPOSED_KEY,
            )
        if self._directory.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            folder = visible(str(self._directory))
            raise Refused(
                f"the files in {folder} can be replaced by others on this machine",
                hint=f"chmod 700 {folder}",
                code=EXPOSED_KEY,
            )

    def _add(self, name: str, data: bytes | bytearray) -> bool:
        """Write a new file, wholly or not at all; tell whether it wasn't there before."""
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=self._directory)  # mode 0600
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, self._directory / name)  # unlike a renaming, it replaces nothing
            self._settle()
        except FileExistsError:
            return False
        except OSError as error:
            raise self._cannot("write", name, error) from None
        finally:
            if temporary is not None:
                with suppress(OSError):
                    Path(temporary).unlink()
        return True

    def _settle(self) -> None:
        """Make the folder's entries outlast a power failure, where the file system has a way."""
        with suppress(OSError):
            number = os.open(self._directory, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
            if os.name == "posix" and self._directory.stat().st_mode & _OTHERS:
                self._directory.chmod(stat.S_IRWXU)
        except OSError as error:
            raise self._cannot("make", "", error) from None

    def _exists(self, name: str) -> bool:
        """Whether there is anything of this name, a link that leads nowhere too."""
        try:
            return os.path.lexists(self._directory / name)
        except OSError as error:
            raise self._cannot("look at", name, error) from None

    def _missing(self, name: str) -> DoitrustError:
        if name == DEVICE_FILE:
            return BadData(f"{self._shown(name)} is missing, which opens {NODE_FILE}", hint=_RESTORE)
        if self._exists(DEVICE_FILE):
            return Unavailable(
                f"this node has no key: {self._shown(name)} is missing, and {DEVICE_FILE} alone is nothing",
                hint="doitrust pi init makes one; if there was one and the meter is certified, put that back",
                code=NO_NODE_KEY,
            )
        return Unavailable("this node has no key yet", hint="doitrust pi init", code=NO_NODE_KEY)

    def _taken(self) -> Refused:
        """What says that there is a key; the reason instead, if it can't be used."""
        return Refused(
            f"this node has a key already: {self.public().hex()}",
            hint="doitrust pi pair --client KEY",
            code=NODE_KEY_EXISTS,
        )

    def _cannot(self, do: str, name: str, error: OSError) -> Unavailable:
        return Unavailable(
            f"can't {do} {self._shown(name)}: {error.strerror or error}",
            hint="is it yours, and is there room?",
        )

    def _shown(self, name: str) -> str:
        return visible(str(self._directory / name))


def _flag(name: str) -> int:
    """A flag of `os.open` that not every platform has."""
    return int(getattr(os, name, 0))


def _seal(public: bytes, secret: Secret, device: Secret) -> bytes:
    nonce = os.urandom(_NONCE)
    text = ChaCha20Poly1305(device.data).encrypt(nonce, secret.data, _covered(public))
    return _document(public, nonce, text)


def _covered(public: bytes) -> bytes:
    """What the seal covers beside the secret."""
    return f"{FORMAT}\n{public.hex()}".encode()


def _document(public: bytes, nonce: bytes, text: bytes) -> bytes:
    """The one form of the file."""
    fields = {"format": FORMAT, "public": public.hex(), "nonce": nonce.hex(), "text": text.hex()}
    return (json.dumps(fields, indent=1) + "\n").encode()


def _parse(data: bytes, what: str) -> tuple[bytes, bytes, bytes]:
    """Read public key, nonce and what is sealed; raises `BadData` for anything but the form in which we write it."""
    try:
        fields: dict[str, Any] = read_object(data, what=what)
        public, nonce, text = (bytes.fromhex(fields[name]) for name in ("public", "nonce", "text"))
    except (DoitrustError, KeyError, TypeError, ValueError):
        public = nonce = text = b""
    sizes = (len(nonce), len(text)) == (_NONCE, _SECRET + _TAG)
    if not sizes or not is_compressed_key(public) or _document(public, nonce, text) != data:
        raise BadData(f"{what} is damaged, or of a newer doitrust", hint=_RESTORE)
    return public, nonce, text
