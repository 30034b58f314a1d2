"""The cookie that lets clients in, and the lock that keeps a second server off the same devnet.

As Doichain Core: `.cookie` holds `__cookie__:` and 32 random bytes in hex, for its owner's eyes only
(src/rpc/request.cpp, GenerateAuthCookie).
"""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from doitrust.errors import Unavailable
from doitrust.text import visible

COOKIE = ".cookie"
LOCK = "rpc.lock"
_USER = "__cookie__"
_SIZE = 32


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from serving the devnet in `folder`; raises `Unavailable` if somebody does already.

    SQLite's lock works on every platform and goes when its process does.
    """
    with closing(_connect(folder)):
        yield


def _connect(folder: Path) -> sqlite3.Connection:
    shown = visible(str(folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(folder / LOCK, timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error:
            connection.close()
            raise
        return connection
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            raise Unavailable(
                f"the devnet {shown} is served already",
                hint="stop the other doitrust devnet start, or name another folder with --devnet",
            ) from None
        raise Unavailable(f"can't serve the devnet {shown}: {error}") from None


@contextmanager
def cookie(folder: Path) -> Iterator[str]:
    """Write a new cookie and give its content; the file goes at the end. Raises `Unavailable`."""
    path, secret = folder / COOKIE, f"{_USER}:{secrets.token_hex(_SIZE)}"
    fresh = path.with_name(COOKIE + ".tmp")
    try:
        fresh.unlink(missing_ok=True)
        # O_EXCL: nobody else's file, and no link, gets the secret.
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secret)
        fresh.replace(path)
    except OSError as error:
        raise Unavailable(f"can't write the cookie {visible(str(path))}: {error.strerror or error}") from None
    try:
        yield secret
    finally:
        with suppress(OSError):
            if path.read_text(encoding="utf-8") == secret:
                path.unlink()
