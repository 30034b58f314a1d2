"""Entry point: the table of nouns, and the one funnel from exceptions to message and exit status."""

import os
import sys
from collections.abc import Sequence

import click

from doitrust import __version__
from doitrust.cli.options import LazyGroup, Settings
from doitrust.errors import DoitrustError

_NOUNS = {
    "verify": ("doitrust.cli.verify", "verify", "Is this meter certified, by whom, and since when?"),
    "org": ("doitrust.cli.org", "org", "Organisations of electricians: look at them, accept them."),
    "meter": ("doitrust.cli.meter", "meter", "What the chain says about meters."),
    "demo": ("doitrust.cli.demo", "demo", "See doitrust at work on a throw-away chain."),
    "devnet": ("doitrust.cli.devnet", "devnet", "The embedded chain, to try things out."),
    "config": ("doitrust.cli.config", "config", "Show and change settings."),
    "completion": ("doitrust.cli.completion", "completion", "Print the shell's completion script."),
}


@click.command(
    cls=LazyGroup,
    nouns=_NOUNS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="doitrust checks who certified an electricity meter, without trusting anybody on the way.",
)
@click.version_option(__version__, prog_name="doitrust")
def root() -> None:
    """The root command; the work is in the nouns."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character must not end a verdict.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    settings = Settings()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = root.main(arguments, prog_name="doitrust", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except (BrokenPipeError, OSError) as error:
        status = _output_lost(error)
    except (click.ClickException, click.Abort, DoitrustError, KeyboardInterrupt) as error:
        status = _fail(error, settings.json or "--json" in arguments)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(error: BaseException, as_json: bool) -> int:
    """Say what went wrong, in one line or as JSON, and return the exit status."""
    code, message, hint, status = _describe(error)
    if as_json:
        import json

        sys.stdout.write(json.dumps({"error": {"code": code, "message": message, "hint": hint}}) + "\n")
    else:
        sys.stderr.write(f"Error: {message}\n" + (f"Try: {hint}\n" if hint else ""))
    return status


def _describe(error: BaseException) -> tuple[str, str, str, int]:
    """Return code, message, hint and exit status."""
    from doitrust.text import visible

    if isinstance(error, DoitrustError):
        return error.code, visible(error.message, 1000), visible(error.hint, 1000), error.exit_code
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx is not None else "doitrust"
        return "usage", visible(error.format_message(), 1000), f"{path} --help", 2
    if isinstance(error, click.ClickException):
        return "error", visible(error.format_message(), 1000), "", 1
    return "interrupted", "interrupted", "", 1


def _output_lost(error: OSError) -> int:
    """Whoever read our output has gone, or its disk is full. Anything else is a bug and keeps its traceback."""
    if not isinstance(error, BrokenPipeError) and error.filename is not None:
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if not isinstance(error, BrokenPipeError):
        sys.stderr.write(f"Error: can't write the output: {error.strerror}\n")
    return 1


if __name__ == "__main__":
    main()
