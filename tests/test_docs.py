"""The documentation says what is: commands, fields, formats, rules and links are held against the program."""

import ast
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from subprocess import PIPE
from typing import Any, NamedTuple
from unittest.mock import patch

import click
import pytest
from cli import (
    BILLIG,
    MUELLER,
    MUELLER_ROOT,
    MUELLER_SECOND,
    MUELLER_STOLEN,
    environment,
    load,
    run,
    start,
    temporary_folder,
)
from devnet_world import ALICE, BOB, MINER, NAME_AMOUNT, ROOT, Coin, Key, World, coin_of, recorded_file
from PIL import Image
from rpc_node import SECRET
from test_architecture import BASE, PURE, ROOMS

from doitrust import errors
from doitrust.adapters import keyfile
from doitrust.adapters.config import KEYS
from doitrust.adapters.devnet.rpc.server import running
from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.phrases import phrase_of
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import Account
from doitrust.chain.address import address_of
from doitrust.chain.descriptors import _FORMS
from doitrust.chain.keys import is_compressed_key
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Output, Transaction
from doitrust.cli.main import root
from doitrust.cli.options import global_options
from doitrust.cli.words import EXIT, REASON
from doitrust.meters.document import write_document
from doitrust.meters.link import read_meter
from doitrust.meters.multisig import is_pairing_address, pairing_outputs
from doitrust.meters.pairing import read_pairing
from doitrust.meters.record import Certificate, Revocation, read_record
from doitrust.orgs import pins
from doitrust.orgs.acceptance import check_acceptances, read_acceptance
from doitrust.orgs.link import read_link
from doitrust.orgs.members import read_members
from doitrust.trust import checks
from doitrust.trust.reports import Status

PACKAGE = ROOT / "doitrust"
#: The meter that emh-mme40.bin comes from.
METER = "1EMH0012345678"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


class Fence(NamedTuple):
    """A block of code in a page."""

    language: str
    text: str


def fences(text: str) -> list[Fence]:
    return [Fence(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    level = heading.split(maxsplit=1)[0]
    found = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", without_code(text), re.M | re.S
    )
    assert found, f"no heading {heading!r}"
    return found[1]


def tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, without its head, a cell a text."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, re.M)
    return [[_cells(line) for line in table.splitlines()[2:]] for table in found]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# ---- README


class Step(NamedTuple):
    """A command of a page and the status it is said to exit with."""

    command: str
    status: int


def steps(text: str) -> list[Step]:
    found = []
    for line in text.replace("\\\n", "").splitlines():
        if line.strip():
            said = re.search(r"# exits with (\d+)$", line)
            found.append(Step(line, int(said[1]) if said else 0))
    return found


class Done(NamedTuple):
    """A command as it went: its status and all that it printed."""

    step: Step
    status: int
    out: str


def play(wanted: Sequence[Step], folder: Path, shell: str = "sh", python: Sequence[str] = ()) -> list[Done]:
    """Run commands in one shell, from the project's folder, with `folder` as home and for temporary files.

    `python` is run instead of the command line (as `python -c …`). Other programs may stand in `folder`'s `bin`.
    """
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"cannot be had here: {shell}")
    command = folder / "bin" / "doitrust"
    command.parent.mkdir(exist_ok=True)
    line = shlex.join([sys.executable, *(python or ("-m", "doitrust.cli.main"))])
    command.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {line} "$@"\n')
    command.chmod(0o755)
    script = "".join(f"{step.command}\nprintf '\\n@@%s@@\\n' $?\n" for step in wanted)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DOITRUST_")}
    path = os.pathsep.join([str(command.parent), os.environ.get("PATH", os.defpath)])
    process = subprocess.Popen(
        [found],
        cwd=ROOT,
        env={**clean, "HOME": str(folder), "TMPDIR": str(folder), "PATH": path, "PYTHONIOENCODING": "utf-8"},
        stdin=PIPE,
        stdout=PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(script, timeout=600)
    except BaseException as error:
        # With what runs in the background. The shell has not been waited for, so the number is still its own.
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            pytest.fail(f"it doesn't end: {out}")
        raise
    parts = re.split(r"\n@@(\d+)@@\n", out)
    assert len(parts) == 2 * len(wanted) + 1, out
    return [Done(step, int(parts[2 * at + 1]), parts[2 * at]) for at, step in enumerate(wanted)]


def test_readme_runs_as_it_stands(tmp_path: Path) -> None:
    blocks = [fence.text for fence in fences(page("README.md")) if fence.language == "sh"]
    done = play([step for block in blocks for step in steps(block)], tmp_path)
    assert [one for one in done if one.status != one.step.status] == []
    assert {one.status for one in done} == {0, 3, 4}
    commands = " ".join(one.step.command for one in done)
    for part in ("import", "--fingerprint", "--root", "--save-evidence", "--evidence", "reorg", "--json"):
        assert part in commands
    # What it shows was printed: txids, keys, addresses, fingerprints; the words around them may change.
    shown = "".join(fence.text for fence in fences(page("README.md")) if fence.language == "text")
    facts = re.findall(r"\b(?:[0-9a-z]{14,}|[a-z2-7]{4}(?:-[a-z2-7]{4}){3}|1EMH\d+)\b", shown)
    printed = "".join(one.out for one in done)
    assert len(facts) > 8
    assert [fact for fact in facts if fact not in printed] == []


def commands() -> dict[str, click.Command]:
    """Every command by the words that call it."""
    found: dict[str, click.Command] = {}
    context = click.Context(root)
    for noun in root.list_commands(context):
        command = root.get_command(context, noun)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{noun} {name}": inner for name, inner in command.commands.items()}
        else:
            found[noun] = command
    return found


def _words(text: str) -> str:
    """The words of a command, before what stands for its arguments."""
    known = commands()
    words = text.split()
    return next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known), text)


def test_readme_lists_the_commands_there_are() -> None:
    table = tables(section(page("README.md"), "## Commands"))[0]
    listed = [codes(row[0])[0].removeprefix("doitrust ") for row in table]
    assert sorted(map(_words, listed)) == sorted(commands())


def test_readme_names_arguments_as_the_commands_do() -> None:
    table = tables(section(page("README.md"), "## Commands"))[0]
    for row in table:
        text = codes(row[0])[0].removeprefix("doitrust ")
        named = text.removeprefix(_words(text)).split()
        arguments = [p for p in commands()[_words(text)].params if isinstance(p, click.Argument)]
        assert len(named) == len(arguments), text


def test_readme_lists_the_options_that_every_command_takes() -> None:
    table = tables(section(page("README.md"), "## Commands"))[1]
    listed = {name for row in table for name in codes(row[0])}
    assert listed == {option.opts[0] for option in global_options()}


def test_options_named_in_the_pages_exist() -> None:
    existing = {name for command in commands().values() for option in command.params for name in option.opts}
    for path in PAGES:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", path.read_text("utf-8")))
        assert named - {"--profile"} <= existing, path.name  # Kubo's


# ---- links


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text("utf-8"))):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        other = (path.parent / file).resolve() if file else path
        if not other.is_file() or (anchor and anchor not in _anchors(other)):
            broken.append(target)
    assert broken == []


def _anchors(path: Path) -> set[str]:
    return {
        slug(heading) for heading in re.findall(r"^#+ (.*)$", without_code(path.read_text("utf-8")), re.M)
    }


def test_every_page_can_be_reached_from_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md|CHANGELOG\.md)", page("README.md")))
    assert linked == {str(path.relative_to(ROOT)) for path in PAGES[1:]}


def test_the_changelog_knows_this_version() -> None:
    from doitrust import __version__  # noqa: PLC0415

    assert re.findall(r"^## \[([\d.]+)\]", page("CHANGELOG.md"), re.M)[0] == __version__


# ---- rules

_RULE = re.compile(r"\b[NSOMCL][1-9]\b")


def documented_rules() -> dict[str, str]:
    """Each rule of docs/rules.md with its text."""
    text = page("docs/rules.md")
    return {
        found[:2]: section(text, f"### {found}") for found in re.findall(r"^### ([A-Z]\d\. .*)$", text, re.M)
    }


def emitted_rules() -> set[str]:
    """The numbers that can stand in a verdict's `checks`."""
    tree = ast.parse((PACKAGE / "trust" / "checks.py").read_text("utf-8"))
    made = [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check"
    ]
    written = {str(rule.value) for rule in made if isinstance(rule, ast.Constant)}
    return written | set(checks._RULES.values())


def test_the_documented_rules_are_those_in_the_code() -> None:
    rooms = ("chain", "orgs", "meters", "trust", "workflows", "adapters", "cli")
    files = [PACKAGE / "ports.py", *(path for room in rooms for path in (PACKAGE / room).rglob("*.py"))]
    # A meter's phases are called L1 to L3.
    texts = [path.read_text("utf-8") for path in files if path.name != "reading.py"]
    assert set().union(*map(_RULE.findall, texts)) == documented_rules().keys()


def test_each_rule_says_which_attack_and_which_checks() -> None:
    emitted = emitted_rules()
    assert emitted <= documented_rules().keys()
    for rule, text in documented_rules().items():
        assert len(re.findall(r"^- Attack: \w", text, re.M)) == 1, rule
        (said,) = re.findall(r"^- Checks: (.*)$", text, re.M)
        assert said.startswith("none of its own") == (rule not in emitted), rule


def test_the_documented_verdicts_and_reasons_are_those_there_are() -> None:
    verdicts, untrusted, undetermined = tables(section(page("docs/rules.md"), "## Verdicts"))
    assert [codes(row[0])[0] for row in verdicts] == [status.value for status in Status]
    assert {Status(codes(row[0])[0]): int(row[2]) for row in verdicts} == EXIT
    rules = {codes(row[0])[0]: row[1] for row in untrusted + undetermined}
    # The node itself is not asked yet.
    assert rules.keys() | {"wrong_node", "node_unreachable"} == REASON.keys()
    assert checks._RULES.items() <= rules.items()


def test_the_code_of_each_rule_is_where_architecture_says() -> None:
    (table,) = tables(section(page("docs/architecture.md"), "## Where each rule lives"))
    assert [row[0] for row in table] == list(documented_rules())
    for row in table:
        for place in codes(row[1]):
            file, _, name = place.partition(":")
            assert name in _definitions(PACKAGE / file), place


def test_the_code_of_what_signers_never_do_is_where_rules_say() -> None:
    (table,) = tables(section(page("docs/rules.md"), "## What our own signers never do"))
    for row in table:
        for place in codes(row[2]):
            file, _, name = place.partition(":")
            assert name in _definitions(PACKAGE / file), place


def _definitions(path: Path) -> set[str]:
    """The functions and classes of a file, those of a class as `Class.function`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)
            }
    return found


def test_the_rooms_are_those_of_the_architecture_test() -> None:
    sets: Mapping[str, frozenset[str]] = {"base": BASE, "pure": PURE}
    (table,) = tables(section(page("docs/architecture.md"), "## The shape"))
    for room, _, allowed in table:
        if allowed == "everything":
            continue
        named = {name for name in sets if re.search(rf"\b{name}\b", allowed)}
        found = frozenset(codes(allowed)).union(*(sets[name] for name in named))
        assert found == ROOMS[codes(room)[0]], room


def test_files_named_in_architecture_exist() -> None:
    for name in set(re.findall(r"`((?:[\w-]+/)*[\w-]+\.py)[`:]", page("docs/architecture.md"))):
        assert (PACKAGE / name).is_file() or (ROOT / name).is_file(), name


# ---- formats


def examples(heading: str, language: str = "json") -> list[str]:
    """The code blocks under a heading of docs/formats.md."""
    text = page("docs/formats.md").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [fence.text for fence in fences(text) if fence.language == language]


def test_the_examples_of_formats_are_read() -> None:
    (members,), (text,) = examples("Member list"), examples("Member list", "text")
    for data in (members, text):
        read = read_members(data.encode())
        assert read.problems == ()
        assert read.members
    (certificate,), (revocation,) = examples("Certificate"), examples("Revocation")
    found = read_record(json.dumps(json.loads(certificate)).encode())
    assert isinstance(found, Certificate)
    assert is_pairing_address(found.ms, found.node, found.client, DEVNET)
    assert isinstance(read_record(revocation.encode()), Revocation)


def test_the_acceptance_of_formats_is_good() -> None:
    (text,) = examples("Ownership acceptance")
    _, network, name, address, _ = json.loads(text)["text"].split("\n")
    assert network == DEVNET.name
    check_acceptances([read_acceptance(text.encode())], DEVNET, name, address)


def test_the_document_of_formats_has_the_fields_that_are_written() -> None:
    ((pairing,), (text,)) = examples("Pairing"), examples("Certificate document")
    shown = json.loads(text)
    written = json.loads(write_document(read_pairing(pairing.encode()), shown["seals"], shown["photos"]))
    assert written.keys() == shown.keys()
    assert {**written, "pairing": None} == {**shown, "pairing": None}
    assert shown["pairing"].items() <= written["pairing"].items()


def test_the_descriptors_and_accounts_of_formats_are_those_there_are() -> None:
    text = section(page("docs/formats.md"), "## Descriptors")
    shown = {form.split("(")[0] for row in tables(text)[0] for form in codes(row[0])}
    assert shown == {form.split("(")[0] for form in _FORMS}
    assert all(f"{account.value} {account.label}" in text for account in Account)


def test_the_fields_of_a_key_file_are_those_there_are() -> None:
    (table,) = tables(section(page("docs/formats.md"), "## Key file"))
    assert {name for row in table for name in codes(row[0])} == keyfile._FIELDS


def test_the_fingerprint_of_formats_is_right() -> None:
    (text,) = examples("Fingerprint", "text")
    _, network, name, txid = text.strip().split("\n")
    assert network == DEVNET.name
    assert f"`{pins.fingerprint(DEVNET, name, txid)}`" in page("docs/formats.md")


def test_the_links_of_formats_are_read() -> None:
    (table,) = tables(section(page("docs/formats.md"), "## Links"))
    meter, organisation = (codes(row[0])[0] for row in table)
    assert read_meter(meter).organization == "Elektro-Innung Passau"
    assert read_link(organisation).name == BILLIG


def test_the_fields_of_evidence_are_those_of_the_example_and_of_files() -> None:
    (example,) = examples("Evidence")
    load(1)
    file = Path(os.environ["DOITRUST_HOME"]) / "evidence.json"
    run("verify", "1EMH0012345002", "--save-evidence", file)
    saved, shown = (json.loads(text) for text in (file.read_text(), example))
    assert saved.keys() == shown.keys()
    assert saved["tip"] == shown["tip"]
    ((txid, entry),) = shown["transactions"].items()
    real = saved["transactions"][txid]
    assert real.keys() == entry.keys()
    assert all(entry[name] == real[name] for name in ("height", "position", "time"))
    assert shown["lists"].keys() <= saved["lists"].keys()
    assert shown["sources"] == saved["sources"]


def test_the_settings_of_formats_are_those_there_are() -> None:
    settings = tables(section(page("docs/formats.md"), "## On disk"))[1]
    assert {name for row in settings for name in codes(row[0])} == KEYS.keys()


def test_the_schemas_of_formats_are_those_there_are() -> None:
    listed = {codes(row[1])[0] for row in tables(page("docs/formats.md"))[0]}
    assert listed == {path.name for path in (PACKAGE / "schemas").iterdir()}


# ---- JSON output: what docs/json.md says


@dataclass
class Kind:
    """A type as documented: text, number, boolean, null, map, object, list, or `shape`, one that stands elsewhere."""

    name: str
    fields: dict[str, "Field"] = field(default_factory=dict)
    items: "Kind | None" = None
    shape: str = ""


@dataclass
class Field:
    """A field as documented."""

    kind: Kind
    nullable: bool


_PYTHON = {
    "text": str,
    "number": int,
    "boolean": bool,
    "null": type(None),
    "map": dict,
    "object": dict,
    "list": list,
}


def _is(value: Any, name: str) -> bool:
    return type(value) is _PYTHON[name]


def _kind(text: str, prefix: str, rows: list[list[str]]) -> Kind:
    """Read a type's words; the fields of an object stand in rows that begin with `prefix`."""
    if text.startswith("list of "):
        return Kind("list", items=_kind(text.removeprefix("list of "), f"{prefix}[]", rows))
    if shape := re.match(r"\[([\w ]+)\]\(#([\w-]+)\)", text):
        assert slug(shape[1]) == shape[2]
        return Kind("shape", shape=shape[1])
    name = text.split(maxsplit=1)[0].rstrip(",:.")
    assert name in _PYTHON, text
    return Kind(name, _fields(f"{prefix}." if prefix else "", rows) if name == "object" else {})


def _fields(prefix: str, rows: list[list[str]]) -> dict[str, Field]:
    found = {}
    for cell, kind, null, _ in rows:
        (path,) = codes(cell)
        if path.startswith(prefix) and not set(path.removeprefix(prefix)) & set(".["):
            found[path.removeprefix(prefix)] = Field(_kind(kind, path, rows), bool(null))
    return found


@cache
def shapes() -> dict[str, Kind]:
    text = section(page("docs/json.md"), "## Shapes")
    names = re.findall(r"^### (.*)$", text, re.M)
    return {name: Kind("object", _fields("", tables(section(text, f"### {name}"))[0])) for name in names}


@cache
def outputs() -> dict[str, list[Kind | None]]:
    """By command, what it prints: several kinds where it depends; None for `{}`."""
    text = section(page("docs/json.md"), "## Commands")
    found: dict[str, list[Kind | None]] = {}
    for heading in re.findall(r"^### (.*)$", text, re.M):
        body = section(text, f"### {heading}")
        kinds: list[Kind | None] = []
        for said, rest in re.findall(r"^Prints: (.*)\n((?:(?!^Prints:).*\n)*)", body, re.M):
            found_tables = tables(rest)
            rows = found_tables[0] if found_tables else []
            kinds.append(None if said == "`{}`" else _output(said, rows))
        found[_words(codes(heading)[0])] = kinds
    return found


def _output(said: str, rows: list[list[str]]) -> Kind:
    listed = said.startswith("list of ")
    rows = [[f"`[].{codes(row[0])[0]}`", *row[1:]] for row in rows] if listed else rows
    kind = _kind(said, "", rows)
    if kind.name == "shape" and rows:  # a shape and fields of its own
        return Kind("object", shapes()[kind.shape].fields | _fields("", rows))
    return kind


class Reader:
    """Compares printed values with the page, and remembers what it saw."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.seen: set[str] = set()

    def fits(self, value: Any, kind: Kind, path: str) -> bool:
        before = len(self.wrong)
        self.read(value, kind, path)
        return len(self.wrong) == before

    def read(self, value: Any, kind: Kind, path: str) -> None:
        if kind.name == "shape":
            kind, path = shapes()[kind.shape], kind.shape
        if not _is(value, kind.name):
            self.wrong.append(f"{path} is no {kind.name}: {value!r:.80}")
            return
        self.seen.add(path)
        if kind.items is not None:
            for item in value:
                self.read(item, kind.items, f"{path}[]")
        elif kind.name == "object":
            self._object(value, kind, path)

    def _object(self, value: dict[str, Any], kind: Kind, path: str) -> None:
        if value.keys() != kind.fields.keys():
            self.wrong.append(f"{path} differs in {sorted(value.keys() ^ kind.fields.keys())}")
            return
        for name, inner in value.items():
            told = kind.fields[name]
            if inner is None and told.kind.name != "null":
                self.seen.add(f"{path}.{name} null")
                if not told.nullable:
                    self.wrong.append(f"{path}.{name} is null")
            else:
                self.read(inner, told.kind, f"{path}.{name}")


def documented(kind: Kind, path: str) -> Iterator[str]:
    """Everything that the page says can be there, nulls too."""
    if kind.name == "shape":
        return
    yield path
    if kind.items is not None:
        yield from documented(kind.items, f"{path}[]")
    for name, told in kind.fields.items():
        yield from documented(told.kind, f"{path}.{name}")
        if told.nullable:
            yield f"{path}.{name} null"


# ---- and what is printed


class Printed:
    """Runs commands in a home and keeps what they print."""

    def __init__(self) -> None:
        self.values: list[tuple[str, Any]] = []
        self.failures: list[Any] = []
        self.home = temporary_folder()

    def __call__(
        self, command: str, *arguments: object, env: Mapping[str, str] | None = None, stdin: str = ""
    ) -> Any:
        given = io.StringIO(stdin)
        with patch("cli.io.StringIO", lambda: given) if stdin else nullcontext():
            ran = run(
                *command.split(), *arguments, "--json", env={"DOITRUST_HOME": str(self.home), **(env or {})}
            )
        if isinstance(ran.value, dict) and "error" in ran.value:
            self.failures.append(ran.value)
        else:
            self.values.append((command, ran.value))
        return ran.value


@cache
def printed() -> Printed:
    """A story in which every field of every command is there once, and null once where it can be."""
    told = Printed()
    # A scrypt that takes no time.
    quick = patch.dict(Keystore.__init__.__kwdefaults__ or {}, kdf=Kdf(16, 1, 1))
    with quick:
        _newcomer(told)
        told.home = load(1, temporary_folder())
        _consumer(told)
        told.home = temporary_folder()
        _insider(told)
        told.home = temporary_folder()
        _keeper(told)
        _careful(told)
        _writers(told)
        told.home = temporary_folder()
        _troubled(told)
    return told


def _newcomer(told: Printed) -> None:
    told("config show")
    told("config set", "min_confirmations", 6)
    told("config show")
    told("completion", "bash")
    told("demo")
    told("devnet status")
    told("devnet automine", "off")
    told("devnet automine", "on")
    told("devnet mine", 2)
    told("devnet reorg", 1)
    told("devnet reset", "--yes")
    told("devnet import", recorded_file(1))
    told("devnet import", recorded_file(1))
    told("devnet status")
    telegram = ROOT / "fixtures" / "telegrams" / "dzg-importing.bin"
    told("pi read", "--source", telegram)
    told("pi init")
    told("pi init")  # fails
    told("pi pair", "--client", ALICE.public.hex(), "--source", telegram)


def _consumer(told: Printed) -> None:
    told("org list")
    told("org show", BILLIG)
    told("org history", BILLIG)
    told("org accept", BILLIG)
    told("org history", MUELLER)
    told("org accept", MUELLER, "--root", MUELLER_ROOT, "--until", MUELLER_SECOND, "--root", MUELLER_STOLEN)
    told("org show", MUELLER)
    told("org accepted")
    told("org members", "Elektro-Innung Passau")
    told("org reject", MUELLER)
    told("org reject", MUELLER)  # fails
    meters = [f"1EMH0012345{number:03}" for number in range(1, 25)]
    told("verify", *meters)
    told("verify", meters[16])
    told("verify", f"doitrust:meter/{meters[16]}?network=devnet&org={BILLIG}")
    told("meter list")
    _lists_of_many(told)
    for number in (1, 4, 10, 22):
        told("meter show", meters[number])
    file = told.home / "evidence.json"
    told("verify", *meters[:3], "--save-evidence", file)
    told("verify", meters[0], "--evidence", file)
    for block in (told.home / "devnet" / "ipfs").glob("*/*"):
        block.unlink()
    told("verify", *meters[:3])
    told("org show", "Elektro-Innung Passau")
    told("org members", "Elektro-Innung Passau")  # fails
    told("verify", "--network", "mainnet", meters[0])  # fails


def _lists_of_many(told: Printed) -> None:
    """What audits and watches say."""
    told("audit")
    told("audit", "--out", told.home / "audit.csv")
    told("audit", "--out", told.home / "audit.jsonl", "--org", MUELLER)
    _watched(told, ["1EMH0012345002", "1EMH0012345005", "1EMH0012345017", "1EMH0012345023"], lambda: None)


def _watched(told: Printed, meters: Sequence[str], meanwhile: Callable[[], object], more: int = 0) -> None:
    """Keep the first line about each meter, and `more` after something happened."""
    process = start("watch", *meters, "--json", "--home", told.home, stdout=PIPE)
    try:
        assert process.stdout is not None
        told.values += [("watch", json.loads(process.stdout.readline())) for _ in meters]
        meanwhile()
        told.values += [("watch", json.loads(process.stdout.readline())) for _ in range(more)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()


def _insider(told: Printed) -> None:
    """An organisation of our own: what the recorded chains don't show."""
    world = World(told.home / "devnet", blocks=130)
    carol = Key.named("carol")
    entries: list[dict[str, Any]] = [
        {"key": BOB.public.hex(), "name": "Bob", "licence": "B-1"},
        {"key": carol.public.hex(), "revoked": {"height": 10**6}},
        {"key": ALICE.public.hex(), "revoked": {"height": 1, "reason": "left"}},
    ]
    text = json.dumps({"format": "doitrust-members/1", "members": entries, "sequence": 1})
    cid = world.devnet.contents.put_file(text.encode()).text
    made = world.pay(*(Output(10 * NAME_AMOUNT, key.p2wpkh) for key in [ALICE] * 2 + [BOB] * 3 + [carol] * 2))
    world.send(made)
    coins = {"alice": [0, 1], "bob": [2, 3, 4], "carol": [5, 6]}
    keys = {"alice": ALICE, "bob": BOB, "carol": carol}

    def coin(who: str) -> Coin:
        return coin_of(made, coins[who].pop(), keys[who])

    def write(name: str, value: Any, *spent: Coin) -> str:
        value = value if isinstance(value, str) else json.dumps(value)
        tx: Transaction = world.write(name, value, BOB, coins=spent)
        return world.send(tx)

    owned = world.send(world.write("bp_organization/Gilde", cid, ALICE))
    world.send(world.write("bp_organization/\u200b", "nothing", ALICE))
    world.devnet.mine(6)
    told("org list")
    told("org show", "Gilde", "--root", owned)
    told("org members", "Gilde", "--root", owned)
    told("org accept", "Gilde", "--root", owned)
    told("org history", "Gilde")
    write("bp/M001", {**_pairing(1), "doc": cid}, coin("bob"))
    write("bp/M002", _pairing(2), coin("bob"))
    write("bp/M002", _pairing(3), coin("carol"))
    write("bp/M003", _pairing(3), coin("carol"))
    world.devnet.mine(6)
    told("verify", "M001")
    told("verify", "M002")  # another electrician's replacement waits
    told("verify", "M003")
    world.devnet.automine(False)
    revoked = {"v": 1, "org": "Gilde", "revoked": "seal broken"}
    both = [coin("alice"), world.coin(MINER)]
    write("bp/M001", revoked, *both)  # the owner, together with somebody else: no single key
    told("verify", "M001")
    revoke = partial(write, "bp/M001", revoked, coin("alice"))
    _watched(told, ["M001"], revoke, more=1)
    told("audit")
    told("verify", "M001")
    told("meter show", "M001")
    file = told.home / "evidence.json"
    told("verify", "M002", "--save-evidence", file)
    saved = json.loads(file.read_text())
    for entry in saved["transactions"].values():
        entry["time"] = entry["below"] = None
    file.write_text(json.dumps(saved))
    told("verify", "M002", "--evidence", file)
    world.devnet.close()


#: A passphrase for scripts.
_GIVEN = {"DOITRUST_PASSPHRASE": "words that nobody puts together"}


def _phrase(who: str) -> str:
    """Somebody's recovery phrase, the same each time."""
    return " ".join(phrase_of(Secret(hashlib.sha256(who.encode()).digest())))


def _keeper(told: Printed) -> None:
    """What the keystore says, and the chain that is served."""
    told("key import", "alice", env=_GIVEN, stdin=_phrase("alice"))
    told("key import", "alice", env=_GIVEN, stdin=_phrase("alice"))  # fails
    told("key import", "bob", env=_GIVEN, stdin=_phrase("bob"))
    told.values.append(("key new", _new_key(told.home)))
    told("key show", "bob")
    told("key passphrase", "bob", env={**_GIVEN, "DOITRUST_NEW_PASSPHRASE": "other words than before"})
    told("key balance", "alice")
    (told.home / "keys" / "bob.json").write_text("{}")
    told("key list")
    told("key delete", "bob", "--yes")
    told("key show", "bob")  # fails
    served = start(
        "devnet", "start", "--port", 0, "--json", "--home", told.home, stdout=PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert served.stdout is not None
        text = b"".join(iter(served.stdout.readline, b"}\n")) + b"}"
        told.values.append(("devnet start", json.loads(text)))
        served.send_signal(signal.SIGINT)
        assert served.wait(timeout=60) == 0
    finally:
        served.kill()
        served.communicate()


def _troubled(told: Printed) -> None:
    """A second source that fails, and a transaction that can't be sent any more."""
    shown = told("key import", "dora", env=_GIVEN, stdin=_phrase("dora"))
    told("devnet fund", shown["keys"]["owner"]["address"], "1")
    told("devnet automine", "off")
    key = shown["keys"]["member"]["key"]
    told("org create", "Gilde", "--member", key, "--no-wait", env=_GIVEN)
    told("devnet reset", "--yes")
    told("tx resume")
    (told.home / "cookie").write_text(SECRET)
    with running(told.home / "devnet", 0, SECRET) as server:
        for name, port in (("node", server.server_address[1]), ("node2", 1)):
            told("config set", f"{name}.url", f"http://127.0.0.1:{port}")
            told("config set", f"{name}.cookie", told.home / "cookie")
        told("verify", "--network", "regtest", "1EMH0012345678")


def _careful(told: Printed) -> None:
    """Who looks whether all is well, and keeps a copy."""
    file = told.home / "home.tar"
    told("doctor")
    told("backup", file)
    told("backup", told.home / "keys" / "alice.json")  # fails
    told("restore", file, "--home", told.home / "other")
    told("restore", file, "--home", told.home / "other", "--yes")
    told("restore", told.home / "state.db", "--yes")  # fails


def _new_key(folder: Path) -> Any:
    """Make a key at a terminal; returns what is printed where that is redirected to."""
    if sys.platform == "win32":
        pytest.skip("cannot be had here: a pseudo terminal")
    from terminal import Terminal  # noqa: PLC0415

    out = folder / "new.json"
    env = environment({**_GIVEN, "DOITRUST_HOME": str(folder)})
    with (
        out.open("wb") as file,
        Terminal("key", "new", "carol", "--json", env=env, elsewhere={"stdout": file.fileno()}) as screen,
    ):
        screen.expect("The 24 words of the key carol")
        screen.expect("Press Enter when they are on paper ")
        words = dict(re.findall(r"\b(\d+) ([a-z]{3,8})\b", screen.shown))
        screen.enter("")
        for _ in range(2):
            screen.enter(words[screen.expect(r"Word (\d+): ")[1]])
        assert screen.leave() == 0
    return json.loads(out.read_text())


def _writers(told: Printed) -> None:
    """An admin and an electrician at work: whatever writes, once drafted as PSBT and once done."""
    people = Writers(told)
    people.found()
    people.lists()
    people.certify()
    people.revoke()
    people.spend()
    people.wait()
    people.hand_over()


class Writers:
    """Everybody has a home; they share a chain."""

    def __init__(self, told: Printed) -> None:
        self.told = told
        self.folder = temporary_folder()
        self.env = {**_GIVEN, "DOITRUST_DEVNET": str(self.folder / "net")}
        self.admin = self.do("admin", "key import", "admin", stdin=_phrase("admin"))["keys"]
        self.max = self.do("max", "key import", "max", stdin=_phrase("max"))["keys"]

    def do(self, who: str, command: str, *arguments: object, stdin: str = "", fails: bool = False) -> Any:
        """Run a command in somebody's home."""
        self.told.home = self.folder / who
        value = self.told(command, *arguments, "--yes", env=self.env, stdin=stdin)
        assert (isinstance(value, dict) and "error" in value) == fails, value
        return value

    def both(self, who: str, source: str, command: str, *arguments: object) -> Any:
        """Draft it, then do it."""
        draft = self.folder / "draft.psbt"
        self.do(who, command, *arguments, "--signer", f"psbt:{draft}", "--from", source)
        return self.do(who, command, *arguments)

    def found(self) -> None:
        """The organisation."""
        owner, member = self.admin["owner"], self.max["member"]
        create = ("org create", "Gilde", "--member", f"{member['key']}=Max")
        self.do("admin", *create, fails=True)  # not enough DOI
        self.do("admin", "devnet fund", owner["address"], 5)
        self.root = self.both("admin", owner["key"], *create)["root"]
        self.do("max", "devnet fund", member["address"], 5)
        self.do("max", "key balance", "max")
        self.do("admin", "devnet mine", 6)
        self.do("admin", "org share", "Gilde")
        self.do("max", "org accept", "Gilde", "--root", self.root)

    def lists(self) -> None:
        """Its lists."""
        source, other = self.admin["owner"]["key"], self.admin["member"]["key"]
        self.both("admin", source, "org add-member", "Gilde", other)
        self.both("admin", source, "org revoke-member", "Gilde", other, "--height", 1, "--reason", "error")
        self.both("admin", source, "org reinstate-member", "Gilde", other)
        self.both("admin", source, "org remove-member", "Gilde", other)
        self.both("admin", source, "org renew", "Gilde")
        entries = [{"key": key} for key in (self.max["member"]["key"], other)]
        listed = {"format": "doitrust-members/1", "members": entries}
        (self.folder / "list.json").write_text(json.dumps(listed))
        self.both("admin", source, "org publish", "Gilde", self.folder / "list.json")

    def certify(self) -> None:
        """A meter."""
        pairing = self.folder / "pairing.json"
        telegram = PACKAGE / "data" / "telegrams" / "emh-mme40.bin"
        client, member = self.admin["client"]["key"], self.max["member"]["key"]
        self.do("node", "pi init")
        self.do("node", "pi pair", "--client", client, "--source", telegram, "--out", pairing)
        picture = self.folder / "seal.png"
        Image.new("RGB", (8, 6)).save(picture)
        certify = (
            "meter certify",
            pairing,
            "--org",
            "Gilde",
            "--seal",
            "A-1",
            "--fund",
            "1",
            "--photo",
            picture,
        )
        self.do("max", *certify, "--dry-run")
        self.sent = self.both("max", member, *certify)
        self.do("max", *certify)  # stands already
        self.both("max", member, "meter renew", METER)
        self.do("max", "meter prepare", METER)
        self.do("max", "meter renew", METER, "--offline")
        self.do("max", "tx resume")
        self.do("max", "devnet mine", 6)
        self.do("max", "meter label", METER, "--out", self.folder / "label.pdf")
        show = ("meter show", METER, "--photos", self.folder / "photos")
        (shown,) = self.do("max", *show)["photos"]
        self.lose(shown["cid"])
        self.do("max", *show)

    def lose(self, cid: str) -> None:
        """Nobody has it any more."""
        (block,) = (self.folder / "net" / "ipfs").glob(f"*/{cid}")
        block.unlink()

    def revoke(self) -> None:
        """It is revoked, and certified once more by PSBT."""
        member = self.max["member"]["key"]
        pairing, draft = self.folder / "pairing.json", self.folder / "c.psbt"
        revoke = ("meter revoke", METER, "--org", "Gilde", "--reason", "seal broken")
        txid = self.both("max", member, *revoke)["txid"]
        self.do("max", *revoke)  # is already
        certify = ("meter certify", pairing, "--org", "Gilde", "--seal", "A-2", "--after", txid)
        self.do("max", *certify, "--signer", f"psbt:{draft}", "--from", member)
        self.do("max", "tx send", draft, fails=True)  # nobody has signed
        self.do("max", "tx sign", draft)
        self.do("max", "tx show", draft)
        self.do("max", "tx send", draft)

    def spend(self) -> None:
        """The client takes DOI out of the 1-of-2 address."""
        node, client = self.sent["verdict"]["node"], self.sent["verdict"]["client"]
        draft, to = self.folder / "s.psbt", self.admin["client"]["address"]
        address = self.do("admin", "seal address", "--node", node, "--client", client)["address"]
        self.do("admin", "seal show", address)
        spend = ("seal spend", address, "--to", to, "--amount")
        self.do("admin", *spend, "0.25")
        self.do("admin", *spend, "0.25", "--signer", f"psbt:{draft}", "--from", client)
        self.do("admin", "tx sign", draft)
        self.do("admin", "tx send", draft)

    def wait(self) -> None:
        """Somebody leaves before there is a block."""
        self.do("admin", "devnet automine", "off")
        self.do("admin", "org renew", "Gilde", "--no-wait")
        self.do("admin", "org renew", "Gilde", "--signer", "psbt:-", "--from", "02" * 33, fails=True)
        draft = self.folder / "higher.psbt"
        self.do(
            "admin",
            "tx resume",
            "--bump",
            "--no-wait",
            "--signer",
            f"psbt:{draft}",
            "--from",
            self.admin["owner"]["key"],
        )
        self.do("admin", "tx resume", "--bump", "--no-wait")
        self.do("admin", "devnet automine", "on")
        self.do("admin", "tx resume")
        self.do("admin", "tx list")
        lost = {"DOITRUST_DEVNET": str(self.folder / "list.json")}
        assert self.told("tx list", env={**self.env, **lost})[0]["confirmations"] is None

    def hand_over(self) -> None:
        """To somebody who accepts it."""
        file, address = self.folder / "accepted.json", self.max["owner"]["address"]
        self.do("max", "org accept-ownership", "Gilde", "--out", file)
        self.both("admin", self.admin["owner"]["key"], "org transfer", "Gilde", address, "--acceptance", file)
        self.do("admin", "org renew", "Gilde", fails=True)  # not the owner any more
        kept = self.do("max", "org keep", "Gilde")
        self.lose(kept[-1]["cid"])
        self.do("max", "org keep", "Gilde")
        self.do("max", "org show", "Gilde")


def _pairing(number: int) -> dict[str, Any]:
    node, client = Key.named(f"node {number}").public, Key.named(f"client {number}").public
    assert is_compressed_key(node)
    ms = address_of(pairing_outputs(node, client)["p2wsh"], DEVNET)
    return {"v": 1, "org": "Gilde", "node": node.hex(), "client": client.hex(), "ms": ms, "seal": ["A-1"]}


def test_json_has_a_section_for_each_command() -> None:
    headings = re.findall(r"^### `(.*)`$", section(page("docs/json.md"), "## Commands"), re.M)
    assert sorted(map(_words, headings)) == sorted(commands())
    assert all(outputs().values())


def test_json_says_what_is_printed() -> None:
    """The fields printed are those documented, in both directions; so are types and nulls."""
    everything = printed()
    reader = Reader()
    used: set[tuple[str, int]] = set()
    for command, value in everything.values:
        trials = [(at, Reader(), kind) for at, kind in enumerate(outputs()[command])]
        good = [
            (at, trial)
            for at, trial, kind in trials
            if (value == {} if kind is None else trial.fits(value, kind, f"{command} {at}"))
        ]
        assert len(good) == 1, (command, [trial.wrong for _, trial, _ in trials])
        used.add((command, good[0][0]))
        reader.seen |= good[0][1].seen
    for value in everything.failures:
        assert reader.fits(value, shapes()["failure"], "failure"), reader.wrong
    assert used == {(command, at) for command, kinds in outputs().items() for at, _ in enumerate(kinds)}
    promised = {path for name, kind in shapes().items() for path in documented(kind, name)}
    for command, kinds in outputs().items():
        for at, kind in enumerate(kinds):
            promised |= set() if kind is None else set(documented(kind, f"{command} {at}"))
    assert promised - reader.seen == set(), "documented and never printed"


def test_the_failures_of_json_exist() -> None:
    table = tables(section(page("docs/json.md"), "### failure"))[1]
    source = "".join(path.read_text("utf-8") for path in PACKAGE.rglob("*.py"))
    listed = {code for row in table for code in codes(row[0])}
    for code in listed:
        assert f'"{code}"' in source
    assert set(re.findall(r'\bcode="(\w+)"', source)) <= listed
    families: list[type[errors.DoitrustError]] = [
        errors.DoitrustError,
        *errors.DoitrustError.__subclasses__(),
    ]
    assert {family.code for family in families if family.__module__ == errors.__name__} <= listed


def test_the_schema_of_a_verdict_names_the_documented_fields() -> None:
    schema = json.loads((PACKAGE / "schemas" / "verdict.json").read_text("utf-8"))
    assert schema["properties"].keys() == shapes()["verdict"].fields.keys()
