"""A person at a terminal, to run the command line with: what is shown can be waited for, and answered."""

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from devnet_world import ROOT

#: How long to wait for what must come; many tests may share the machine.
PATIENCE = 60


class Terminal:
    """A process on a pseudo terminal of its own, 80 columns wide. `shown` is all that it ever wrote there.

    `code` is run instead of the command line. Streams named in `elsewhere` don't go to the terminal.
    """

    def __init__(
        self,
        *arguments: object,
        env: Mapping[str, str],
        code: Sequence[str] = ("-m", "doitrust.cli.main"),
        elsewhere: Mapping[str, int] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x18\0\x50\0\0\0\0\0")

        def adopt() -> None:
            fcntl.ioctl(0 if "stdin" not in (elsewhere or {}) else 2, termios.TIOCSCTTY, 0)

        stdin, stdout, stderr = (
            (elsewhere or {}).get(name, theirs) for name in ("stdin", "stdout", "stderr")
        )
        self.process = subprocess.Popen(
            [sys.executable, *code, *map(str, arguments)],
            env={"TERM": "xterm", **env, "PYTHONPATH": str(ROOT)},
            start_new_session=True,
            preexec_fn=adopt,  # noqa: PLW1509  # one thread only
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        os.close(theirs)
        self.shown = ""
        self._read = 0

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until `pattern` is shown, after what was last waited for."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.compile(pattern).search(self.shown, self._read)) is None:
            if not self._more(deadline):
                raise AssertionError(f"{pattern!r} never came, only {self.shown[self._read :]!r}")
        self._read = found.end()
        return found

    def enter(self, text: str) -> None:
        """Type, and press Enter."""
        os.write(self._ours, text.encode() + b"\n")

    def press(self, key: bytes) -> None:
        """Press a single key."""
        os.write(self._ours, key)

    def leave(self) -> int:
        """Wait for the end and return the exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _more(self, deadline: float) -> bool:
        """Read what comes; False at the end."""
        ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"nothing more came after {self.shown[-300:]!r}")
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # Linux's way to say that nobody holds the other end
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
