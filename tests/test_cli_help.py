"""Help and completion: every command explains itself, and help costs what click costs."""

import os
import subprocess
import sys
from shutil import which

import click
import pytest
from cli import NOUNS, commands, environment, run
from devnet_world import ROOT

from doitrust.cli.options import Argument

#: The nouns of the first stage.
STAGE = ("verify", "org", "meter", "demo", "devnet", "config", "completion")
#: What `--help` may not import, beside the commands' own modules.
HEAVY = (
    "rich",
    "btclib",
    "sqlite3",
    "coincurve",
    "tomlkit",
    "platformdirs",
    "doitrust.chain",
    "doitrust.trust",
)


def test_the_commands_of_the_first_stage_are_there() -> None:
    lines = {line for noun in STAGE for line, _ in commands(noun)}
    assert lines >= {
        *(f"devnet {name}" for name in ("import", "mine", "reorg", "reset", "status", "automine")),
        *(f"org {name}" for name in ("show", "members", "history", "list", "accept", "reject", "accepted")),
        *("meter show", "meter list", "verify", "config show", "config set", "demo", "completion"),
    }


@pytest.mark.parametrize("noun", NOUNS)
def test_help_names_every_option_and_argument(noun: str) -> None:
    for line, command in commands(noun):
        shown = run(*line.split(), "--help")
        assert (shown.status, shown.err) == (0, "")
        assert run(*line.split(), "-h") == shown
        assert shown.out.startswith(f"Usage: doitrust {line} [OPTIONS]")
        assert command.help
        assert " ".join(command.help.split()) in " ".join(shown.out.split())
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                assert (parameter.metavar or parameter.make_metavar(click.Context(command))) in shown.out
            elif parameter.expose_value:
                assert max(parameter.opts, key=len) in shown.out, line
                assert isinstance(parameter, click.Option)
                assert parameter.help, line


def test_the_first_page_names_every_noun_and_every_global_option() -> None:
    shown = run("--help").out
    assert all(f"\n  {noun} " in shown for noun in NOUNS)
    for option in (
        "network",
        "config",
        "home",
        "devnet",
        "json",
        "yes",
        "verbose",
        "signer",
        "version",
        "help",
    ):
        assert f"--{option}" in shown
    assert "DOITRUST_" in shown, "the environment speaks too, and only --help could say so"


@pytest.mark.parametrize("noun", NOUNS)
def test_a_nouns_page_names_its_commands_in_whole_sentences(noun: str) -> None:
    shown = run(noun, "--help").out
    for line, _ in commands(noun):
        assert line == noun or f"\n  {line.split()[1]} " in shown
    assert "..." not in shown.split("\n", 1)[1].replace("METER...", ""), shown


@pytest.mark.parametrize("noun", STAGE)
def test_arguments_are_explained_apart_from_options(noun: str) -> None:
    for line, command in commands(noun):
        shown = run(*line.split(), "--help").out
        for argument in command.params:
            if isinstance(argument, Argument):
                described = shown.split("\nArguments:\n")[1].split("\nOptions:\n")[0]
                row = f"  {argument.make_metavar(click.Context(command))}  {argument.sentence}"
                assert " ".join(row.split()) in " ".join(described.split())
            elif isinstance(argument, click.Argument):
                assert "\nArguments:\n" not in shown


def test_accept_explains_links_and_segments() -> None:
    shown = " ".join(run("org", "accept", "--help").out.split())
    for part in ("doitrust:org/NAME", "--root A --until B --root C", "another way", "fingerprint"):
        assert part in shown
    assert "doitrust:org/NAME" not in run("org", "--help").out


@pytest.mark.parametrize("noun", NOUNS)
def test_help_for_80_columns_keeps_to_them(noun: str) -> None:
    for line, _ in commands(noun):
        assert max(map(len, run(*line.split(), "--help", env={"COLUMNS": "80"}).out.splitlines())) <= 80


def test_help_and_version_import_nothing_heavy() -> None:
    code = f"""
import sys
from doitrust.cli.main import main
for line in (["--help"], ["--version"], ["--nosuch"]):
    try:
        main(line)
    except SystemExit:
        pass
heavy = sorted(m for m in sys.modules if m.startswith({HEAVY!r}))
assert heavy == [], heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# ---- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_it_can_read(shell: str) -> None:
    script = run("completion", shell)
    assert script.status == 0
    assert "_DOITRUST_COMPLETE" in script.out
    assert script.out == run("completion", shell, "--json").value["script"] + "\n"
    program = which(shell)
    if program is not None:
        checked = subprocess.run(
            [program, "-n"], input=script.out, capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")


def complete(*words: str) -> list[str]:
    """What bash is offered for the last of `words`."""
    line = ["doitrust", *words]
    env = {
        "_DOITRUST_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    shown = run(env=env)
    assert (shown.status, shown.err) == (0, "")
    return [offered.split(",", 1)[1] for offered in shown.out.splitlines() if offered]


def test_nouns_and_their_commands_are_completed() -> None:
    assert complete("d") == ["demo", "devnet", "doctor"]
    assert complete("devnet", "re") == ["reorg", "reset"]
    assert {"accept", "accepted"} <= set(complete("org", "accept"))


def test_options_and_choices_are_completed() -> None:
    assert complete("verify", "--m") == ["--min-confirmations", "--max-writes"]
    assert complete("--network", "dev") == ["devnet"]
    assert complete("verify", "--network", "test") == ["testnet"]
    assert complete("completion", "z") == ["zsh"]
    assert complete("devnet", "automine", "o") == ["on", "off"]
    assert "--json" in complete("org", "list", "--j")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["verify", "--evidence", ""], "file"),
        (["verify", "--save-evidence", ""], "file"),
        (["devnet", "import", ""], "file"),
        (["--config", ""], "file"),
        (["org", "list", "--home", ""], "dir"),
        (["--devnet", ""], "dir"),
    ],
)
def test_file_names_are_left_to_the_shell(words: list[str], kind: str) -> None:
    line = ["doitrust", *words]
    env = {
        "_DOITRUST_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(line),
        "COMP_CWORD": str(len(line) - 1),
    }
    assert run(env=env).out == f"{kind},\n"


def test_completion_touches_neither_home_nor_devnet() -> None:
    complete("org", "show", "E")
    assert not os.path.lexists(os.environ["DOITRUST_HOME"])
