"""The local content store: one file a block, checked on every read.

It lies below `directory` as `<two letters>/<canonical CID>`. Any number of processes may share it: a block
appears under its name whole or not at all, and two that put the same block write the same bytes.
"""

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from doitrust.content.cid import Cid, cid_of
from doitrust.content.unixfs import MAX_BLOCK_SIZE, blocks_of_file, read_file
from doitrust.errors import BadData, Unavailable
from doitrust.text import visible

# EDQUOT: over quota; EFBIG: a limit on file sizes (its signal is ignored by Python). Windows lacks EDQUOT.
_FULL = frozenset({errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)})


class LocalBlocks:
    """Blocks in a directory, which is made at the first `put`.

    Every method raises `Unavailable` if the disk refuses: full, no access, broken. What is stored under a
    wrong name or was damaged counts as absent, and the next `put` of that block replaces it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, block: bytes, codec: int) -> Cid:
        """Store one block and return its CID; when this returns, the block survives a power cut.

        Raises `BadData` for a block over `MAX_BLOCK_SIZE`.
        """
        cid = cid_of(block, codec)
        if len(block) > MAX_BLOCK_SIZE:
            raise BadData(f"a block of {len(block)} bytes, allowed are {MAX_BLOCK_SIZE}")
        self._store(cid, block)
        return cid

    def get(self, cid: Cid) -> bytes | None:
        """Return the block's bytes, or None if it isn't here or isn't what its name says."""
        try:
            return self._read(cid)
        except OSError as error:
            raise _unavailable("read", self._directory, error) from error

    def has(self, cid: Cid) -> bool:
        """Whether `get` would return the block: as strict, and as expensive, as reading it."""
        return self.get(cid) is not None

    def put_file(self, source: bytes | BinaryIO) -> Cid:
        """Store a file (bytes, or a binary stream read to its end) and return its CID.

        The root is stored last, so a file whose root is here was stored as a whole.
        """
        for cid, block in blocks_of_file(source):  # at least one: the empty file has a block too
            self._store(cid, block)
        return cid

    def get_file(self, cid: Cid, max_size: int) -> bytes:
        """Return a file of at most `max_size` bytes; `unixfs.read_file` says what is raised if it can't."""
        return read_file(cid, self.get, max_size)

    def _path(self, cid: Cid) -> Path:
        # The last letter of a base32 CID has only eight values, so the two before it spread best (as in
        # Kubo's flatfs, next-to-last/2).
        name = cid.text
        return self._directory / name[-3:-1] / name

    def _read(self, cid: Cid) -> bytes | None:
        try:
            with self._path(cid).open("rb") as file:
                block = file.read(MAX_BLOCK_SIZE + 1)
        except FileNotFoundError:
            return None
        return block if len(block) <= MAX_BLOCK_SIZE and cid.matches(block) else None

    def _store(self, cid: Cid, block: bytes) -> None:
        try:
            if self._read(cid) is None:
                self._write(cid, block)
        except OSError as error:
            raise _unavailable("written", self._directory, error) from error

    def _write(self, cid: Cid, block: bytes) -> None:
        path = self._path(cid)
        is_new = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(block)
                file.flush()
                os.fsync(file.fileno())
            self._rename(temporary, cid)
        except BaseException:  # Ctrl-C leaves nothing behind either
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync(path.parent)
        if is_new:
            _sync(self._directory)

    def _rename(self, temporary: Path, cid: Cid) -> None:
        try:
            temporary.replace(self._path(cid))
        except PermissionError:
            # Windows replaces no file that another process has open. If that one is our block, all is well.
            if self._read(cid) is None:
                raise
            temporary.unlink()


def _sync(folder: Path) -> None:
    """Make new names in `folder` durable, where the system offers that for folders (Windows doesn't)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems
            raise
    finally:
        os.close(handle)


def _unavailable(done: str, directory: Path, error: OSError) -> Unavailable:
    hint = "check the folder's access rights and its disk"
    if error.errno in _FULL:
        hint = "free some space on its disk, or lift the limit on file sizes"
    why = error.strerror or type(error).__name__
    return Unavailable(f"the content store {visible(str(directory))} can't be {done}: {why}", hint=hint)
