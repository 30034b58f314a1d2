"""A home in one file, `doitrust-backup/1`: pins, journal, settings, encrypted keys, own lists. Never a node's key.

It is a tar archive (POSIX ustar) in exactly one form, so that no byte of it can change unseen and there is nothing in
it to be careful with. `manifest.json` comes first, as `json.dumps(…, indent=1, sort_keys=True)` and a line feed:
`{"format": …, "members": [{"name", "sha256", "size"}, …]}`, sorted by name. The members follow in that order, as
ordinary files of mode 0600 and time 0, then two blocks of zeros. Nothing is compressed: what comes out is never
larger than what is there.
"""

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

from doitrust.adapters.homes import BLOCKS, CONFIG, DATABASES, KEYS
from doitrust.adapters.keyfile import MAX_BYTES as MAX_KEY
from doitrust.adapters.keystore import check_name
from doitrust.content.cid import Cid, parse_cid
from doitrust.content.unixfs import MAX_BLOCK_SIZE
from doitrust.errors import BadData, DoitrustError, Unavailable
from doitrust.strictjson import read_object
from doitrust.text import visible

FORMAT = "doitrust-backup/1"
MANIFEST = "manifest.json"
MAX_MEMBERS = 50_000
MAX_DATABASE = 512 * 1024 * 1024
MAX_CONFIG = 1024 * 1024
#: What stands behind the last member.
END = bytes(1024)

_MAX_MANIFEST = 16 * 1024 * 1024
_BLOCK = 512
_CHUNK = 1024 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Member(NamedTuple):
    """A file of the home."""

    name: str
    size: int
    sha256: str


class Sink(Protocol):
    """Where a member's bytes go."""

    def write(self, data: bytes, /) -> object:
        """Take some."""


# ---- the one form


def put(file: BinaryIO, name: str, data: bytes) -> None:
    """Write a member."""
    file.write(_header(name, len(data)))
    file.write(data)
    file.write(bytes(-len(data) % _BLOCK))


def _header(name: str, size: int) -> bytes:
    """A member's header (POSIX.1-1988, ustar)."""
    before = (
        name.encode().ljust(100, b"\0")
        + b"0000600\0"
        + b"0000000\0" * 2
        + b"%011o\0" % size
        + b"0" * 11
        + b"\0"
    )
    after = b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(155 + 12)
    return before + b"%06o\0 " % (sum(before) + sum(after) + 8 * ord(" ")) + after


def manifest_of(members: list[Member]) -> bytes:
    """The manifest in its one form."""
    document = {"format": FORMAT, "members": [member._asdict() for member in members]}
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")


def _most(name: str) -> int | None:
    """The most bytes that a member of this name may have; None if there is no such member."""
    if name in DATABASES:
        return MAX_DATABASE
    if name == CONFIG:
        return MAX_CONFIG
    folder, _, rest = name.partition("/")
    if folder == KEYS and rest.endswith(".json"):
        try:
            check_name(rest.removesuffix(".json"))
        except DoitrustError:
            return None
        return MAX_KEY
    return MAX_BLOCK_SIZE if folder == BLOCKS and block_of(rest) is not None else None


def block_of(name: str) -> Cid | None:
    """The CID in a block's name below the store, if it is one."""
    folder, _, text = name.partition("/")
    try:
        cid = parse_cid(text)
    except BadData:
        return None
    return cid if cid.text == text and text[-3:-1] == folder else None


def settle(folder: Path) -> None:
    """Make the names in a folder outlast a power failure, where the system has a way."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


# ---- reading


class Archive:
    """A backup that is open. What reads it raises `BadData` for anything but the one form."""

    def __init__(self, file: BinaryIO, shown: str) -> None:
        self._file = file
        self._shown = shown
        self._start = 0
        self.members = self._read_manifest()

    def check(self) -> None:
        """Read all of it, and write nothing."""
        self._walk(lambda _name: _Nowhere())

    def unpack(self, folder: Path) -> None:
        """Write the members below `folder`, each for its owner alone, on the disk when this returns."""

        def sink(name: str) -> AbstractContextManager[Sink]:
            return _written(folder / name)

        self._walk(sink)
        for inner, _, _ in os.walk(folder, topdown=False):
            settle(Path(inner))

    def _walk(self, sink: Callable[[str], AbstractContextManager[Sink]]) -> None:
        self._file.seek(self._start)
        for member in self.members:
            self._expect(_header(member.name, member.size), f"{member.name} is not where it belongs")
            digest, left = sha256(), member.size
            with sink(member.name) as out:
                while left:
                    chunk = self._read(min(left, _CHUNK))
                    digest.update(chunk)
                    out.write(chunk)
                    left -= len(chunk)
            if digest.hexdigest() != member.sha256:
                raise self._bad(f"{member.name} was changed")
            self._expect(bytes(-member.size % _BLOCK), f"{member.name} was changed")
        self._expect(END, "it does not end as it should")
        if self._file.read(1):
            raise self._bad("something follows its end")

    def _read_manifest(self) -> list[Member]:
        head = self._read(_BLOCK)
        digits = head[124:135]
        size = int(digits, 8) if re.fullmatch(rb"[0-7]{11}", digits) else -1
        if not 0 <= size <= _MAX_MANIFEST or head != _header(MANIFEST, size):
            raise self._bad("it does not begin as one")
        data = self._read(size)
        self._expect(bytes(-size % _BLOCK), "its manifest was changed")
        self._start = self._file.tell()
        members = self._members(data)
        length = self._start + sum(_BLOCK + m.size + -m.size % _BLOCK for m in members) + len(END)
        if self._file.seek(0, os.SEEK_END) != length:
            raise self._bad("something is missing at its end, or too much")
        return members

    def _members(self, data: bytes) -> list[Member]:
        try:
            document = read_object(data, what="its manifest")
            if isinstance(document.get("format"), str) and document["format"] != FORMAT:
                raise self._bad(
                    f"its format is {visible(document['format'], 40)}, this doitrust reads {FORMAT}"
                )
            members = [Member(m["name"], m["size"], m["sha256"]) for m in document["members"]]
            if len(members) > MAX_MEMBERS:
                raise self._bad(f"it has more than {MAX_MEMBERS} members")
            for member in members:
                self._check_member(member)
            names = [member.name for member in members]
            # Upper and lower case are the same on many disks.
            if len({name.lower() for name in names}) != len(names) or names != sorted(names):
                raise self._bad("its members are not in order")
            if manifest_of(members) != data:
                raise self._bad("its manifest is not in the form in which it is written")
        except (KeyError, TypeError, ValueError):
            raise self._bad("its manifest is none") from None
        return members

    def _check_member(self, member: Member) -> None:
        if not (type(member.name) is str and type(member.size) is int and type(member.sha256) is str):
            raise TypeError
        most = _most(member.name)
        if most is None:
            raise self._bad(f"{visible(member.name, 80)} is nothing that belongs into a home")
        if not 0 <= member.size <= most or _DIGEST.fullmatch(member.sha256) is None:
            raise self._bad(f"{member.name} can't have {visible(str(member.size), 30)} bytes, or that sum")

    def _expect(self, wanted: bytes, why: str) -> None:
        if self._read(len(wanted)) != wanted:
            raise self._bad(why)

    def _read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            raise Unavailable(f"can't read the backup {self._shown}: {error.strerror or error}") from None
        if len(data) != size:
            raise self._bad("it is cut off")
        return data

    def _bad(self, why: str) -> BadData:
        return BadData(
            f"{self._shown} is no backup that can be restored: {why}",
            hint="take another copy of it, or an older one",
        )


class _Nowhere:
    """A sink for what is only looked at."""

    def __enter__(self) -> "_Nowhere":
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, data: bytes, /) -> None:
        """Take it, and forget it."""


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A new file on the disk, its folders too."""
    path.parent.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def opened_backup(path: Path) -> Iterator[Archive]:
    """Open a backup and read what it says it holds."""
    shown = visible(str(path))
    try:
        if not path.is_file():
            raise OSError(0, "there is no such file" if not path.exists() else "it is no ordinary file")
        file = path.open("rb")
    except OSError as error:
        raise Unavailable(f"can't read the backup {shown}: {error.strerror or error}") from None
    with file:
        yield Archive(file, shown)
