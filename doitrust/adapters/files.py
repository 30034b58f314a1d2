"""Files on the user's disk: bounded reading, atomic writing, errors as one line."""

import errno
import os
import secrets
from pathlib import Path

from doitrust.errors import Unavailable
from doitrust.text import visible


def exists(path: Path) -> bool:
    """Whether there is something at `path`; raises `Unavailable` where that can't even be asked."""
    try:
        return path.exists()
    except OSError as error:
        raise Unavailable(f"can't look at {visible(str(path), 200)}: {error.strerror or error}") from None


def read_bounded(path: Path, most: int, what: str) -> bytes:
    """Return the bytes of `path`, at most `most`; raises `Unavailable` if it can't be read or is larger."""
    shown = visible(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Unavailable(f"can't read {what} {shown}: {error.strerror or error}") from None
    if len(data) > most:
        raise Unavailable(f"{what} {shown} has more than {most} bytes")
    return data


def write_atomic(path: Path, data: bytes, what: str, *, mode: int | None = None) -> None:
    """Replace the file `path` by `data`, wholly or not at all; raises `Unavailable` and leaves what was there.

    A link is followed; what is no file (a device, a socket, a folder) is not replaced. Without `mode` the umask
    says who may read it.
    """
    try:
        path = path.resolve() if path.is_symlink() else path
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no ordinary file")
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, handle = _beside(path, 0o600 if mode is not None else 0o666)
    except OSError as error:
        raise _cannot(path, what, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _cannot(path, what, error) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _beside(path: Path, mode: int) -> tuple[Path, int]:
    """Make a new file in the folder of `path` and open it; the umask takes from `mode`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return temporary, os.open(temporary, flags, mode)


def _cannot(path: Path, what: str, error: OSError) -> Unavailable:
    shown = visible(str(path))
    return Unavailable(
        f"can't write {what} {shown}: {error.strerror or error}",
        hint="check that the folder exists, may be written to, and has room",
    )
