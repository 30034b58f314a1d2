"""Showing a recovery phrase, once, and making sure that it was written down."""

import secrets
import sys
from typing import TYPE_CHECKING, TextIO

from doitrust.adapters.phrases import phrase_of
from doitrust.adapters.secret import Secret
from doitrust.cli.app import App
from doitrust.cli.secrets import at_terminal
from doitrust.errors import Refused, Usage, UserRefused

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS = 4
#: How many words are asked back.
_ASKED = 2


def terminal_of(app: App) -> TextIO:
    """The stream that only the user sees; raises `Usage` if there is none."""
    streams = [sys.stderr] if app.settings.json else [sys.stderr, sys.stdout]
    seen = next((stream for stream in streams if stream is not None and stream.isatty()), None)
    if seen is None or not at_terminal():
        raise Usage(
            "a new key's phrase is shown on a terminal only, and there is none",
            hint="run it in a terminal, its output not redirected; to use a phrase of yours: doitrust key import",
        )
    return seen


def show_phrase(stream: TextIO, name: str, entropy: Secret) -> None:
    """Show the phrase where nothing of it stays, and ask two of its words back.

    Raises `Refused` for a wrong word, and `UserRefused` if the user leaves.
    """
    from rich.console import Console

    console = Console(
        file=stream, force_terminal=True, highlight=False, markup=False, emoji=False, soft_wrap=True
    )
    words = phrase_of(entropy)
    with _Page(console):
        try:
            _show(console, name, words)
            _ask_back(console, words)
        except (EOFError, KeyboardInterrupt):
            raise UserRefused("you left before the phrase was kept; there is no new key") from None


class _Page:
    """A page of the terminal that leaves nothing behind: the alternate screen, or what comes closest."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._plain = console.is_dumb_terminal or console.legacy_windows

    def __enter__(self) -> None:
        if not self._plain:
            self._console.set_alt_screen(True)
        wipe(self._console)

    def __exit__(self, *_: object) -> None:
        wipe(self._console)
        if not self._plain:
            self._console.set_alt_screen(False)


def wipe(console: "Console") -> None:
    """Take everything from the screen, by pushing it out of sight where there is no other way."""
    if console.is_dumb_terminal:
        console.print("\n" * console.height)
    console.clear()


def _show(console: "Console", name: str, words: list[str]) -> None:
    rows = len(words) // _COLUMNS
    console.print(f"The {len(words)} words of the key {name}", style="bold")
    console.print("Write them down on paper, in this order. They are shown this once.")
    console.print("Whoever has them has the key; without them a lost disk is a lost key.\n")
    for row in range(rows):
        shown = [f"{at + 1:>4} {words[at]:<10}" for at in range(row, len(words), rows)]
        console.print("".join(shown).rstrip())
    console.print()
    _ask(console, "Press Enter when they are on paper ")


def _ask_back(console: "Console", words: list[str]) -> None:
    wipe(console)
    console.print("Now two of them, from the paper.\n")
    for at in sorted(secrets.SystemRandom().sample(range(len(words)), _ASKED)):
        if _ask(console, f"Word {at + 1}: ").strip().lower() != words[at]:
            raise Refused(
                f"that is not word {at + 1}; there is no new key, and this phrase is worth nothing",
                hint="begin again: there will be another phrase",
            )


def _ask(console: "Console", question: str) -> str:
    console.print(question, end="")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line
