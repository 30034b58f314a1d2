"""Entry point: the table of nouns, and the one funnel from exceptions to message and exit status."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

import click

from doitrust import __version__
from doitrust.cli.options import LazyGroup, Settings
from doitrust.errors import DoitrustError

_NOUNS = {
    "verify": ("doitrust.cli.verify", "verify", "Is this meter certified, by whom, and since when?"),
    "audit": ("doitrust.cli.audit", "audit", "Every meter on the chain with its verdict, a line each."),
    "watch": ("doitrust.cli.watch", "watch", "Say each verdict that changes, as it changes."),
    "org": (
        "doitrust.cli.org",
        "org",
        "Organisations of electricians: look at them, accept them, run yours.",
    ),
    "meter": ("doitrust.cli.meter", "meter", "Certify meters, and see what the chain says about them."),
    "pi": ("doitrust.cli.pi", "pi", "The node at the meter: read it, pair it."),
    "key": ("doitrust.cli.key", "key", "Your keys: make, show and remove them."),
    "seal": ("doitrust.cli.seal", "seal", "The 1-of-2 address of a node and its client."),
    "tx": ("doitrust.cli.tx", "tx", "Transactions: sign, send, what is under way."),
    "demo": ("doitrust.cli.demo", "demo", "See doitrust at work on a throw-away chain."),
    "devnet": ("doitrust.cli.devnet", "devnet", "The embedded chain, to try things out."),
    "backup": ("doitrust.cli.backup", "backup", "Keep the home in one file."),
    "restore": ("doitrust.cli.backup", "restore", "Put a backup in the place of the home."),
    "doctor": ("doitrust.cli.doctor", "doctor", "What is missing or wrong, and how to mend it."),
    "config": ("doitrust.cli.config", "config", "Show and change settings."),
    "completion": ("doitrust.cli.completion", "completion", "Print the shell's completion script."),
}


@click.command(
    cls=LazyGroup,
    nouns=_NOUNS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="doitrust checks who certified an electricity meter, without trusting anybody on the way.",
    epilog="Each option can stand in the environment too: --network as DOITRUST_NETWORK.",
)
@click.version_option(__version__, prog_name="doitrust")
def root() -> None:
    """The root command; the work is in the nouns."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status."""
    _mend_streams()
    settings = Settings()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = root.main(arguments, prog_name="doitrust", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except OSError as error:
        status = _output_lost(error)
    except (click.ClickException, click.Abort, DoitrustError, KeyboardInterrupt) as error:
        status = _fail(error, _wants_json(settings, arguments))
    sys.exit(status if isinstance(status, int) else 0)


def _mend_streams() -> None:
    """Make output that can't be taken, or can't be shown, harmless: it must not end a verdict."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _wants_json(settings: Settings, arguments: Sequence[str]) -> bool:
    """Whether failures are told as JSON, also one that came before the options were read."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    asked = os.environ.get("DOITRUST_JSON", "").lower() in ("1", "true", "t", "yes", "y", "on")
    return settings.json or "--json" in options or asked


def _fail(error: BaseException, as_json: bool) -> int:
    """Say what went wrong, in one line or as JSON, and return the exit status."""
    code, message, hint, status = _describe(error)
    try:
        if as_json:
            import json

            said = {"error": {"code": code, "message": message, "hint": hint}}
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()
        elif isinstance(error, click.exceptions.NoArgsIsHelpError):
            sys.stderr.write(error.format_message() + "\n")
        else:
            sys.stderr.write(f"Error: {message}\n" + (f"Try: {hint}\n" if hint else ""))
            sys.stderr.flush()
    except OSError as lost:
        # Nobody takes the message; the status still tells.
        if as_json:
            return _output_lost(lost)
        _silence(sys.stderr)
    return status


def _describe(error: BaseException) -> tuple[str, str, str, int]:
    """Return code, message, hint and exit status."""
    from doitrust.text import visible

    if isinstance(error, DoitrustError):
        return error.code, visible(error.message, 1000), visible(error.hint, 1000), error.exit_code
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "doitrust"
        message = " ".join(error.format_message().split())
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            message = "a command is missing"
        return "usage", visible(message, 1000), f"{path} --help", 2
    if isinstance(error, click.ClickException):
        return "error", visible(error.format_message(), 1000), "", 1
    return "interrupted", "interrupted", "", 1


def _output_lost(error: OSError) -> int:
    """Whoever read our output has gone, or its disk is full. Anything else is a bug and keeps its traceback."""
    if not isinstance(error, BrokenPipeError) and error.filename is not None:
        raise error
    _silence(sys.stdout)
    if not isinstance(error, BrokenPipeError):
        try:
            sys.stderr.write(f"Error: can't write the output: {error.strerror}\n")
            sys.stderr.flush()
        except OSError:
            _silence(sys.stderr)
    return 1


def _silence(stream: TextIO) -> None:
    """Let what is still buffered go nowhere, so that leaving doesn't fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
