"""Kubo itself: a daemon with a repository and ports of its own, on loopback alone, gone at the end.

`DOITRUST_IPFS` names the program `ipfs`, or several of them as PATH does; otherwise it is the `ipfs` on PATH.
`.ci/kubo/build VERSION` builds one and prints where it is.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Read once, here: tests have none of our variables (`conftest.py`).
PROGRAMS = [name for name in os.environ.get("DOITRUST_IPFS", "").split(os.pathsep) if name] or [
    name for name in (shutil.which("ipfs"),) if name
]
#: CI builds them, so that there no test may be skipped for this.
needs_kubo = pytest.mark.skipif(
    not PROGRAMS, reason="no Kubo here: put an `ipfs` on PATH, or name one with DOITRUST_IPFS"
)
#: Seconds for it to start, and to end.
_PATIENCE = 60
_READY = "Daemon is ready"


class Daemon:
    """A running daemon: the addresses of its API and its gateway, and its own command line."""

    def __init__(self, program: str, folder: Path) -> None:
        self.program = program
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "IPFS_PATH": str(folder / "repo"),
            "IPFS_TELEMETRY": "off",
        }

    @property
    def api(self) -> str:
        """A multiaddr."""
        return (self.folder / "repo" / "api").read_text()

    @property
    def port(self) -> int:
        return int(self.api.rpartition("/")[2])

    @property
    def gateway(self) -> str:
        """A URL."""
        return (self.folder / "repo" / "gateway").read_text()

    def ipfs(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Run a command of its own; gives what it prints."""
        ran = subprocess.run(
            [self.program, *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr.decode(errors="replace")
        return ran.stdout


@contextmanager
def daemon(program: str, folder: Path, *settings: tuple[str, str], online: bool = False) -> Iterator[Daemon]:
    """Run a daemon in `folder`, which is made; `settings` are names and JSON values of its configuration.

    Online it has no peers but those that it is connected to, on loopback.
    """
    folder.mkdir()
    kubo = Daemon(program, folder)
    kubo.ipfs("init", "--profile=test")
    kubo.ipfs("config", "Addresses.API", "/ip4/127.0.0.1/tcp/0")
    kubo.ipfs("config", "Addresses.Gateway", "/ip4/127.0.0.1/tcp/0")
    if not online:
        kubo.ipfs("config", "--json", "Addresses.Swarm", "[]")
    for name, value in settings:
        kubo.ipfs("config", "--json", name, value)
    command = [program, "daemon"] if online else [program, "daemon", "--offline"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, env=kubo.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        _wait(process, folder / "output")
        yield kubo
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], output: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        said = output.read_text(errors="replace")
        if _READY in said:
            return
        assert process.poll() is None, said
        time.sleep(0.02)
    raise AssertionError("Kubo doesn't start")
