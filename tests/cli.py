"""Running the command line, in this process or as one of its own, on worlds that are loaded once."""

import gc
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import IO, Any, NamedTuple
from unittest.mock import patch

import click
from devnet_world import ROOT, recorded_file, recorded_json

from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.keystore import Keystore
from doitrust.cli.main import main, root

Environment = Mapping[str, str | None]
Stream = int | IO[bytes] | None

NOUNS = root.list_commands(click.Context(root))

#: Every status (formats.md «Exit codes») by verdict.
STATUS_OF = {"trusted": 0, "untrusted": 3, "revoked": 3, "unknown": 3, "undetermined": 4, "unconfirmed": 4}

#: The organisations of the first chain, in the order of acceptance; the last one is not accepted.
PASSAU, MUELLER, BILLIG = recorded_json(1)["organizations"]
#: Writes of Elektro Müller & Söhne: its root, its second list, and the stranger's.
MUELLER_ROOT = recorded_json(1)["organizations"][MUELLER]["root"]
MUELLER_SECOND = "198782e9dc65c5216a1c6e2fb3c1c5e3cfc7bd15561e8179999c5d22460c24a8"
MUELLER_STOLEN = "0a65315fc335fd31bf40bc21593ad21a1f2261d1a4d111c0a0cb93c9f671bf41"
BILLIG_ROOT = recorded_json(1)["organizations"][BILLIG]["root"]


class Ran(NamedTuple):
    """What a run left behind."""

    status: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """The one JSON value that is all of stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The failure that `--json` tells."""
        assert self.value.keys() == {"error"}
        error: dict[str, str] = self.value["error"]
        return error


class _Typist(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self) -> bool:
        return True


def run(*arguments: object, env: Environment | None = None, typed: str | None = None) -> Ran:
    """Run in this process, on the devnet unless `env` says otherwise (None removes a variable).

    `typed` is what a person at a terminal answers; without it there is no terminal.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    stdin = io.StringIO() if typed is None else _Typist(typed)
    status: object = None
    with (
        _quick_demo() if "demo" in arguments else nullcontext(),
        patch.dict(os.environ, environment(env), clear=True),
        patch("sys.stdin", stdin),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = left.code
    assert isinstance(status, int)
    return Ran(status, *(stream.detach().getvalue().decode() for stream in (out, err)))


def _quick_demo() -> AbstractContextManager[object]:
    """Play it with a scrypt that takes no time: a dozen keys are made and opened in it."""
    return patch.dict(Keystore.__init__.__kwdefaults__ or {}, kdf=Kdf(16, 1, 1))


def spawn(
    *arguments: object,
    env: Environment | None = None,
    before: Callable[[], object] | None = None,
    stdin: Stream = DEVNULL,
    stdout: Stream = PIPE,
    stderr: Stream = PIPE,
) -> Ran:
    """Run a process of its own; `before` is called in it first."""
    process = start(*arguments, env=env, before=before, stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return Ran(process.returncode, *((text or b"").decode(errors="backslashreplace") for text in (out, err)))


def start(
    *arguments: object,
    env: Environment | None = None,
    before: Callable[[], object] | None = None,
    stdin: Stream = DEVNULL,
    stdout: Stream = DEVNULL,
    stderr: Stream = DEVNULL,
) -> Popen[bytes]:
    """Start a process and leave it running."""
    return Popen(
        [sys.executable, "-m", "doitrust.cli.main", *map(str, arguments)],
        env={**environment(env), "PYTHONPATH": str(ROOT)},
        preexec_fn=before,  # noqa: PLW1509  # one thread only
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


def environment(changes: Environment | None = None) -> dict[str, str]:
    """The environment of a run."""
    wanted: dict[str, str | None] = {**os.environ, "DOITRUST_NETWORK": "devnet", **(changes or {})}
    return {name: value for name, value in wanted.items() if value is not None}


def home() -> Path:
    """The test's own state folder (see conftest)."""
    return Path(os.environ["DOITRUST_HOME"])


def load(number: int, into: Path | None = None) -> Path:
    """Give the test's home (or another) a recorded chain with its organisations; returns the home."""
    return copy_of(_recorded_home(number), into)


def copy_of(template: Path, into: Path | None = None) -> Path:
    """Copy a home."""
    return shutil.copytree(template, into or home(), dirs_exist_ok=True)


@cache
def _recorded_home(number: int) -> Path:
    folder = temporary_folder()
    ran = run("devnet", "import", recorded_file(number), env={"DOITRUST_HOME": str(folder)})
    assert ran.status == 0, ran.err
    gc.collect()  # closes the database
    return folder


def temporary_folder() -> Path:
    """A folder that outlives the test, among the session's homes."""
    return Path(tempfile.mkdtemp(prefix="shared-", dir=home().parents[1]))


def meter(number: int) -> str:
    """A meter of the first recorded chain, by its last digits."""
    return f"1EMH0012345{number:03}"


def verdict(*arguments: object, **options: Any) -> dict[str, Any]:
    """Run `verify --json`; the exit status must be the verdict's."""
    ran = run("verify", "--json", *arguments, **options)
    value: dict[str, Any] = ran.value
    assert "error" not in value, value
    assert ran.status == STATUS_OF[value["status"]]
    return value


def failure(*arguments: object, status: int = 1, **options: Any) -> str:
    """Run what must fail: one line with the error and at most one with a hint, nothing on stdout."""
    return told(run(*arguments, **options), status)


def told(ran: Ran, status: int = 1) -> str:
    """The message of a run that failed as it should."""
    assert (ran.status, ran.out) == (status, ""), ran
    lines = ran.err.splitlines()
    assert lines, ran
    assert lines[0].startswith("Error: "), ran.err
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("Try: ")), ran.err
    assert all(line.isprintable() for line in lines), ran.err
    return ran.err


def accepted(**options: Any) -> list[str]:
    """The names of the accepted organisations, in their order."""
    return [pin["name"] for pin in run("org", "accepted", "--json", **options).value]


def commands(noun: str) -> Iterator[tuple[str, click.Command]]:
    """The commands of a noun with their lines; or itself, if it is none."""
    context = click.Context(root)
    command = root.get_command(context, noun)
    assert command is not None
    if not isinstance(command, click.Group):
        yield noun, command
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        assert inner is not None
        yield f"{noun} {name}", inner


def files_below(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by its path inside."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
