"""`doitrust demo`: the whole story on a throw-away chain, and then what thieves try.

Every command that is printed is run as it stands, in this process, with a home for each person.
"""

import io
import json
import os
import shlex
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from doitrust.cli.app import App, pass_app
from doitrust.cli.options import Settings, command
from doitrust.cli.words import STATUS, reason_text
from doitrust.errors import Unavailable
from doitrust.trust.reports import Status

ORG = "Elektro Müller & Söhne"
#: Telegrams that were made up, and the meters that seem to send them.
_METERS = {
    "1EMH0012345678": "emh-mme40",
    "1ESY1112345678": "easymeter-q3a",
    "1ISK0012345678": "iskra-mt691",
    "1ITR0012345678": "itron-openway-pin",
}
FIRST, BROKEN, IMPOSTORS, STOLEN = _METERS
#: It protects nothing: the keys of the demo are made of words that everybody can read here.
_PASSPHRASE = "the demo's passphrase protects nothing"  # noqa: S105
_WORLD = "world"


class Stage:
    """A folder with a home for each person, a chain that they share, and what was played so far."""

    def __init__(self, folder: Path, console: Console | None) -> None:
        self._folder = folder
        self._console = console
        self.scenes: list[dict[str, Any]] = []
        #: What the admin gave everybody on paper.
        self.fingerprint = ""
        for name, telegram in _METERS.items():
            data = files("doitrust") / "data" / "telegrams" / f"{telegram}.bin"
            (folder / f"{name}.bin").write_bytes(data.read_bytes())

    def scene(self, title: str, happened: str) -> None:
        """Begin a scene."""
        self.scenes.append({"title": title, "happened": happened, "commands": [], "verdict": None})
        if self._console is not None:
            self._console.print(Text(f"\n{len(self.scenes)}. {title}", "bold"))
            self._say(happened, 3)

    def run(self, who: str, *arguments: str | Path, said: str = "", words_of: str = "") -> Any:
        """Run a command in somebody's home, and return what it answers. Paths are below the folder.

        `words_of` names whose recovery phrase stands on its standard input.
        """
        line = shlex.join(["doitrust", "--home", who, *map(str, arguments)])
        if words_of:
            line += f" < {words_of}.txt"
        self.scenes[-1]["commands"].append(line)
        if self._console is not None:
            self._console.print(Text.assemble("   ", ("$ ", "dim"), (line, "cyan")), soft_wrap=True)
        value = self._answer(who, arguments, phrase_of(words_of) if words_of else "")
        if said:
            self._say(said.format(value), 5)
        return value

    def verify(self, meter: str) -> None:
        """Let the consumer ask about a meter."""
        verdict = self.run("consumer", "verify", meter)
        self.scenes[-1]["verdict"] = verdict
        style, mark, word = STATUS[Status(verdict["status"])]
        self._say(f"{mark} {word}  {_why(verdict)}", 5, f"{mark} {word}", style)

    def _say(self, text: str, indent: int, begin: str = "", style: str = "") -> None:
        """Print a paragraph; `begin` is how it begins, in a style of its own."""
        if self._console is None:
            return
        shown = Text(textwrap.indent(textwrap.fill(text, self._console.width - indent), " " * indent))
        shown.stylize(style, indent, indent + len(begin))
        self._console.print(shown)

    def _answer(self, who: str, arguments: tuple[str | Path, ...], stdin: str) -> Any:
        from doitrust.cli.main import root

        settings = ["--home", who, "--devnet", _WORLD, "--network", "devnet", "--json", "--yes"]
        given = [str(part) for part in (*settings, *arguments)]
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(io.StringIO()), _stdin(stdin):
            root.main(given, prog_name="doitrust", standalone_mode=False, obj=Settings())
        return json.loads(out.getvalue())


def phrase_of(who: str) -> str:
    """The recovery phrase of one of the demo's people: no secret at all."""
    from doitrust.adapters import phrases
    from doitrust.adapters.secret import Secret

    return " ".join(phrases.phrase_of(Secret(sha256(f"doitrust demo: {who}".encode()).digest())))


@command("demo", "See the whole story on a throw-away chain; needs no network.")
@pass_app
def demo(app: App) -> None:
    """Play every scene."""
    started = time.perf_counter()
    console = None if app.settings.json else app.console
    if console is not None:
        console.print(
            "Everybody has a home of their own, and they share one chain, in a folder that is thrown away."
        )
    with _throw_away() as folder, _no_settings(), _inside(folder):
        stage = Stage(folder, console)
        _certification(stage)
        _attacks(stage)
        _theft(stage)
    seconds = time.perf_counter() - started
    app.answer(stage.scenes, lambda shown: _render_end(shown, stage, seconds))


def _render_end(console: Console, stage: Stage, seconds: float) -> None:
    console.print(Text(f"\n{len(stage.scenes)} scenes in {seconds:.1f} s, without a network.", "bold"))
    console.print("Next, to play it yourself: docs/tutorial.md")


def _person(stage: Stage, who: str) -> dict[str, Any]:
    keys: dict[str, Any] = stage.run(who, "key", "import", who, words_of=who)["keys"]
    return keys


def _certification(stage: Stage) -> None:
    stage.scene("An organisation", "The admin registers it with the key of its one electrician, Max.")
    admin, electrician = _person(stage, "admin"), _person(stage, "max")
    stage.run("admin", "devnet", "fund", admin["owner"]["address"], "5")
    stage.run("admin", "org", "create", ORG, "--member", f"{electrician['member']['key']}=Max Maier")
    stage.run("admin", "devnet", "mine", "5")
    shared = stage.run("admin", "org", "share", ORG, said="fingerprint {0[fingerprint]}")
    stage.fingerprint = shared["fingerprint"]

    stage.scene(
        "Acceptance", "A consumer, and Max, accept it by the fingerprint that the admin gave them on paper."
    )
    for who in ("consumer", "max"):
        stage.run(who, "org", "accept", ORG, "--fingerprint", stage.fingerprint)

    stage.scene(
        "Pairing", "A node reads its meter and makes an address of two keys: its own and the client's."
    )
    client = _person(stage, "client")["client"]["key"]
    stage.run("node", "pi", "init")
    _pair(stage, "node", FIRST, client)

    stage.scene("Certified", "Max seals meter and node, and signs the meter's record. Six blocks later:")
    stage.run("max", "devnet", "fund", electrician["member"]["address"], "5")
    _certify(stage, "max", FIRST, "A-1001", fund="0.1")
    stage.verify(FIRST)

    stage.scene("Revoked", "Max certifies another meter, comes back, and finds its seal broken.")
    stage.run("node2", "pi", "init")
    _pair(stage, "node2", BROKEN, client)
    _certify(stage, "max", BROKEN, "A-1002")
    stage.run("max", "meter", "revoke", BROKEN, "--org", ORG, "--reason", "seal broken")
    stage.verify(BROKEN)


def _attacks(stage: Stage) -> None:
    stage.scene(
        "A stranger overwrites the organisation",
        "Mallory writes a member list of her own under its name: the chain lets anybody overwrite any name.",
    )
    mallory = _person(stage, "mallory")
    stage.run("mallory", "devnet", "fund", mallory["owner"]["address"], "5")
    theft = stage.run("mallory", "org", "create", ORG, "--member", f"{mallory['member']['key']}=Max Maier")
    stage.run("mallory", "devnet", "mine", "5")
    stage.verify(FIRST)

    stage.scene(
        "She overwrites the meter",
        "In her own world she is its electrician: she accepts her own list, and certifies the meter with her own node.",
    )
    stage.run("mallory", "org", "accept", ORG, "--root", theft["root"])
    stage.run("mallory", "devnet", "fund", mallory["member"]["address"], "5")
    stage.run("mallory", "pi", "init")
    _pair(stage, "mallory", FIRST, mallory["client"]["key"])
    _certify(stage, "mallory", FIRST, "A-1001")
    stage.verify(FIRST)

    stage.scene("An impostor certifies", "The same with a meter that nobody certified before.")
    _pair(stage, "mallory", IMPOSTORS, mallory["client"]["key"])
    _certify(stage, "mallory", IMPOSTORS, "A-1003")
    stage.verify(IMPOSTORS)


def _theft(stage: Stage) -> None:
    stage.scene(
        "A key is stolen", "A thief has found Max's words, and certifies with his key. Nobody can see that:"
    )
    key = stage.run("thief", "key", "import", "max", words_of="max")["keys"]
    stage.run("thief", "org", "accept", ORG, "--fingerprint", stage.fingerprint)
    stage.run("thief", "pi", "init")
    _pair(stage, "thief", STOLEN, key["client"]["key"])
    theft = _certify(stage, "thief", STOLEN, "A-1004")
    stage.verify(STOLEN)

    stage.scene(
        "The organisation withdraws it", "It publishes from which block on the key is not Max's any more."
    )
    height = theft["verdict"]["certificate"]["height"]
    stage.run(
        "admin", "org", "revoke-member", ORG, key["member"]["key"], "--height", str(height),
        "--reason", "key-compromise",
    )  # fmt: skip
    stage.verify(STOLEN)

    stage.scene("What he certified before", "The certificates from before the theft stay.")
    stage.verify(FIRST)


def _pair(stage: Stage, who: str, meter: str, client: str) -> None:
    out = f"{who}-{meter}.json"
    stage.run(who, "pi", "pair", "--source", f"{meter}.bin", "--client", client, "--out", out)


def _certify(stage: Stage, who: str, meter: str, seal: str, fund: str | None = None) -> Any:
    node = {"max": "node" if meter == FIRST else "node2"}.get(who, who)
    more = () if fund is None else ("--fund", fund)
    sent = stage.run(who, "meter", "certify", f"{node}-{meter}.json", "--org", ORG, "--seal", seal, *more)
    stage.run(who, "devnet", "mine", "5")
    return sent


def _why(verdict: dict[str, Any]) -> str:
    if verdict["reason"] is not None:
        return reason_text(verdict["reason"], verdict["organization"] or ORG)
    if verdict["status"] == "revoked":
        return "The electrician took the certificate back."
    foreign = verdict["foreign_writes"]
    ignored = f" Writes by strangers, ignored: {foreign}." if foreign else ""
    return f"Certified by {verdict['electrician']['name']} for {verdict['organization']}.{ignored}"


@contextmanager
def _throw_away() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as error:
        raise Unavailable(
            f"can't make a folder to play in: {error.strerror}", hint="is TMPDIR right?"
        ) from None
    with folder as name:
        yield Path(name)


@contextmanager
def _no_settings() -> Iterator[None]:
    """The user's own settings don't change the story."""
    own = {name: value for name, value in os.environ.items() if name.startswith("DOITRUST_")}
    for name in own:
        del os.environ[name]
    os.environ["DOITRUST_PASSPHRASE"] = _PASSPHRASE
    try:
        yield
    finally:
        del os.environ["DOITRUST_PASSPHRASE"]
        os.environ.update(own)


@contextmanager
def _stdin(text: str) -> Iterator[None]:
    """Let a command find `text` on its standard input."""
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in `folder`, as one would who types these commands."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
