"""Writing a home into one file (`archive.py`)."""

import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple

from doitrust.adapters.archive import (
    END,
    MANIFEST,
    MAX_CONFIG,
    MAX_DATABASE,
    MAX_MEMBERS,
    Member,
    block_of,
    manifest_of,
    opened_backup,
    put,
    settle,
)
from doitrust.adapters.blocks import LocalBlocks
from doitrust.adapters.config import read_config
from doitrust.adapters.files import exists, read_bounded
from doitrust.adapters.homes import (
    BLOCKS,
    CONFIG,
    DATABASES,
    KEYS,
    check_database,
    check_home,
    opened_database,
)
from doitrust.adapters.keystore import Keystore
from doitrust.content.cid import Cid
from doitrust.errors import DoitrustError, Refused, Unavailable
from doitrust.text import visible


class _Part(NamedTuple):
    """A member and where its bytes are."""

    member: Member
    data: Callable[[], bytes]


def write_backup(home: Path, path: Path) -> list[Member]:
    """Write the home to the file `path`, wholly or not at all, for its owner alone; it is read back before it counts.

    Raises `Refused` if there is nothing to keep, `BadData` if something in the home is damaged, and `Unavailable`
    if a disk refuses.
    """
    parts = _gather(home)
    if not parts:
        raise Refused(f"there is nothing to back up in {visible(str(home))}", hint="is it the right --home?")
    members = [part.member for part in parts]
    with _replacing(path) as file:
        manifest = manifest_of(members)
        put(file, MANIFEST, manifest)
        for member, data in parts:
            content = data()
            if sha256(content).hexdigest() != member.sha256:
                raise Unavailable(f"{member.name} changed while it was read", hint="try again")
            put(file, member.name, content)
        file.write(END)
    return members


def is_backup(path: Path) -> bool:
    """Whether the file begins as our backups do, so that writing another one over it surprises nobody."""
    try:
        with path.open("rb") as file:
            return file.read(len(MANIFEST) + 1) == MANIFEST.encode() + b"\0"
    except OSError:
        return False


def _gather(home: Path) -> list[_Part]:
    """Everything that a backup holds, each checked, sorted by name."""
    parts = [_held(name, _copied(home / name)) for name in DATABASES if exists(home / name)]
    if exists(home / CONFIG):
        read_config(home / CONFIG)
        parts.append(_held(CONFIG, read_bounded(home / CONFIG, MAX_CONFIG, "the configuration")))
    keystore = Keystore(home / KEYS)
    parts += [_held(f"{KEYS}/{name}.json", keystore.get(name).raw) for name in keystore.names()]
    parts += _blocks(home / BLOCKS)
    if len(parts) > MAX_MEMBERS:
        raise Refused(f"the home has more than {MAX_MEMBERS} files")
    return sorted(parts)


def _held(name: str, data: bytes) -> _Part:
    return _Part(Member(name, len(data), sha256(data).hexdigest()), lambda: data)


def _copied(path: Path) -> bytes:
    """A database as it is at one moment, whoever else uses it."""
    with opened_database(path) as database, closing(sqlite3.connect(":memory:")) as copy:
        # Waits for whoever is writing; the copying itself would wait for ever.
        database.execute("BEGIN")
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        database.backup(copy)
        check_database(copy, path.name, visible(str(path)))
        copy.execute("VACUUM")
        data = copy.serialize()
    if len(data) > MAX_DATABASE:
        raise Refused(f"{visible(str(path))} has more than {MAX_DATABASE} bytes")
    return data


def _blocks(folder: Path) -> Iterator[_Part]:
    """The blocks of the content store; what is damaged there counts as absent."""
    store = LocalBlocks(folder)
    for path in sorted(folder.glob("*/*")):
        cid = block_of(f"{path.parent.name}/{path.name}")
        block = None if cid is None else store.get(cid)
        if cid is not None and block is not None:
            name = f"{BLOCKS}/{path.parent.name}/{path.name}"
            yield _Part(Member(name, len(block), sha256(block).hexdigest()), _again(store, cid))


def _again(store: LocalBlocks, cid: Cid) -> Callable[[], bytes]:
    return lambda: store.get(cid) or b""


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` once it is written, read back and on the disk."""
    shown = visible(str(path))
    try:
        path = path.resolve() if path.is_symlink() else path
        if path.exists() and not path.is_file():
            raise OSError(0, "it is no ordinary file")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, stat.S_IRUSR | stat.S_IWUSR)
    except OSError as error:
        raise _cannot_write(shown, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _read_back(temporary, shown)
        temporary.replace(path)
        settle(path.parent)
    except OSError as error:
        raise _cannot_write(shown, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _read_back(path: Path, shown: str) -> None:
    """Restore the file somewhere else: then it can be restored."""
    try:
        with TemporaryDirectory(prefix="doitrust-") as made, opened_backup(path) as archive:
            archive.unpack(Path(made))
            check_home(Path(made))
    except DoitrustError as error:
        raise Unavailable(
            f"the backup {shown} could not be read back, and was not kept: {error.message}",
            hint="is there room in the folder for temporary files (TMPDIR)? Is the disk healthy?",
        ) from None


def _cannot_write(shown: str, error: OSError) -> Unavailable:
    return Unavailable(
        f"can't write the backup {shown}: {error.strerror or error}",
        hint="check that the folder exists, may be written to, and has room",
    )
