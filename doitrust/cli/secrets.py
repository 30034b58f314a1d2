"""Where secrets come in: passphrases and recovery phrases, and a key unlocked with one.

A passphrase is typed on the terminal without an echo, or comes from `DOITRUST_PASSPHRASE`, or is the first line of
the file that `DOITRUST_PASSPHRASE_FILE` names. Never from the command line, which every process of the machine can
read and the shell remembers.
"""

import getpass
import os
import stat
import sys
import unicodedata
import warnings
from collections.abc import Callable
from typing import TypeVar

from doitrust.adapters.keyfile import WRONG_PASSPHRASE
from doitrust.adapters.keystore import Keystore, UnlockedKey
from doitrust.adapters.phrases import MAX_PHRASE
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import coin_type_of
from doitrust.cli.app import App
from doitrust.errors import Refused, Unavailable, Usage, UserRefused
from doitrust.text import visible

T = TypeVar("T")

PASSPHRASE = "DOITRUST_PASSPHRASE"  # noqa: S105  # the variable's name
NEW_PASSPHRASE = "DOITRUST_NEW_PASSPHRASE"  # noqa: S105  # the variable's name

#: How often a passphrase may be typed.
_TRIES = 3
#: A passphrase with fewer characters is taken, with a warning: whoever has the file can try them all.
_SHORT = 10
_MAX_PASSPHRASE = 4096


def open_keystore(app: App) -> Keystore:
    """The keystore in the home."""
    return Keystore(app.home / "keys")


def unlock(app: App, name: str) -> UnlockedKey:
    """Unlock a key for the network in use, asking for its passphrase. The caller locks it again (`with`)."""
    coin_type = coin_type_of(app.network, app.config.get("coin_type"))
    keystore = open_keystore(app)
    keystore.get(name)  # what is not there, or is damaged, needs no passphrase
    return with_passphrase(app, name, lambda passphrase: keystore.unlock(name, passphrase, coin_type))


def with_passphrase(app: App, name: str, use: Callable[[Secret], T]) -> T:
    """Call `use` with the passphrase of the key `name`. A wrong one may be typed again, twice."""
    given = _given(PASSPHRASE)
    if given is not None:
        with given:
            return use(given)
    for tries_left in reversed(range(_TRIES)):
        with _typed(f"Passphrase of {name}: ", PASSPHRASE) as typed:
            try:
                return use(typed)
            except Refused as error:
                if error.code != WRONG_PASSPHRASE or not tries_left:
                    raise
        app.notes.print("That is not its passphrase. Once more, please.")
    raise AssertionError


def new_passphrase(app: App, name: str, variable: str = PASSPHRASE) -> Secret:
    """Ask for the passphrase that shall protect the key `name`: twice where it is typed."""
    passphrase = _given(variable)
    if passphrase is None:
        passphrase = _typed_twice(app, name, variable)
    if len(passphrase.data.decode()) < _SHORT:
        app.notes.print(
            "That passphrase is short. Whoever gets the key's file can try many:\n"
            "five words that nobody would put together are better.",
            style="yellow",
        )
    return passphrase


def read_phrase() -> Secret:
    """Ask for a recovery phrase: without an echo on a terminal, otherwise all of stdin."""
    _no_core_dumps()
    if at_terminal():
        return Secret(_hidden("Recovery phrase (not shown as you type): ").encode("utf-8", "replace"))
    text = None
    if sys.stdin is not None:
        try:
            text = sys.stdin.read(MAX_PHRASE + 1)
        except UnicodeDecodeError:
            text = None
        except OSError as error:
            raise Unavailable(
                f"can't read the phrase from stdin: {error.strerror or 'it is closed'}"
            ) from None
    if text is None or len(text) > MAX_PHRASE:
        raise Usage("what stands on stdin is no phrase")
    if not text.strip():
        raise Usage(
            "this needs an answer: the recovery phrase",
            hint="run it in a terminal, or give the phrase on stdin",
        )
    return Secret(text.encode("utf-8", "replace"))


def require_passphrase(variable: str = PASSPHRASE) -> None:
    """Raise `Usage` if nobody could be asked for a passphrase, before something else is."""
    if not at_terminal() and not os.environ.get(variable) and not os.environ.get(variable + "_FILE"):
        raise _nobody_to_ask("a passphrase", variable)


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def _no_core_dumps() -> None:
    """Keep secrets out of core dumps, where the platform has such: a crash would write them to the disk."""
    try:
        import resource
    except ImportError:  # Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def _given(variable: str) -> Secret | None:
    """The passphrase that the environment gives, if it does."""
    _no_core_dumps()
    text, file = os.environ.get(variable), os.environ.get(variable + "_FILE")
    if text and file:
        raise Usage(f"both {variable} and {variable}_FILE are set", hint="unset one of them")
    if text:
        return _normal(text, f"the passphrase in {variable}")
    return _from_file(file, variable + "_FILE") if file else None


def _from_file(path: str, variable: str) -> Secret:
    """The first line of a file that nobody else may read."""
    what = f"the passphrase file {visible(path)} ({variable})"
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # so that nothing happens between the check and reading
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Refused(f"{what} can be used by others: mode {mode & 0o777:03o}", hint="chmod 600 it")
            line = file.readline(_MAX_PASSPHRASE + 2)
    except OSError as error:
        raise Unavailable(f"can't read {what}: {error.strerror or error}") from None
    if not line:
        raise Usage(f"{what} is empty")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = "\udcff"  # refused below, where the error doesn't carry the bytes along
    return _normal(text.removesuffix("\n").removesuffix("\r"), f"the first line of {what}")


def _typed_twice(app: App, name: str, variable: str) -> Secret:
    for _ in range(_TRIES):
        first = _typed(f"New passphrase for {name}: ", variable)
        with _typed("The same again: ", variable) as second:
            if first.data == second.data:
                return first
        first.wipe()
        app.notes.print("They are not the same. Once more, please.")
    raise Refused("the two passphrases were not the same; nothing was changed")


def _typed(prompt: str, variable: str) -> Secret:
    if not at_terminal():
        raise _nobody_to_ask(prompt.rstrip(": ").lower(), variable)
    _no_core_dumps()
    return _normal(_hidden(prompt), "the passphrase")


def _hidden(prompt: str) -> str:
    """Ask on the terminal without an echo, or not at all."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt, sys.stderr)
    except getpass.GetPassWarning:
        raise Unavailable("this terminal would show what you type, so nothing was asked") from None
    except UnicodeDecodeError:
        return "\udcff"  # refused by whoever reads it
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\n")  # the prompt still stands on its line
        raise UserRefused("nothing was typed, and nothing changed") from None


def _normal(text: str, what: str) -> Secret:
    """The bytes of a passphrase: NFC, so that every keyboard gives the same (RFC 8265, OpaqueString)."""
    kinds = {unicodedata.category(character) for character in text}
    if "Cs" in kinds:
        raise Usage(f"{what} is not UTF-8")
    if "Cc" in kinds:  # PBKDF2 would not tell a NUL at the end from none
        raise Usage(f"{what} holds a control character")
    if not text:
        raise Usage(f"{what} is empty", hint="a key needs a passphrase")
    if len(text) > _MAX_PASSPHRASE:
        raise Usage(f"{what} has more than {_MAX_PASSPHRASE} characters")
    return Secret(unicodedata.normalize("NFC", text).encode("utf-8"))


def _nobody_to_ask(what: str, variable: str) -> Usage:
    return Usage(
        f"this needs an answer: {what}",
        hint=f"run it in a terminal, or set {variable}_FILE to a file with it in its first line, or {variable}",
    )
