"""`doitrust demo`: offline, the whole story by the commands that it prints, every verdict with its reason, no trace."""

import re
import shlex
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cli import Ran, home, run

from doitrust.cli import demo as module
from doitrust.cli.main import root

#: Each verdict in its order: status, reason, and whether it is the first meter's node that is trusted.
VERDICTS = [
    (module.FIRST, "trusted", None),
    (module.BROKEN, "revoked", None),
    (module.FIRST, "trusted", None),
    (module.FIRST, "trusted", None),
    (module.IMPOSTORS, "untrusted", "not_a_member"),
    (module.STOLEN, "trusted", None),
    (module.STOLEN, "untrusted", "member_revoked"),
    (module.FIRST, "trusted", None),
]


def refuse(*_arguments: Any, **_options: Any) -> None:
    raise AssertionError("the demo asked the network")


@cache
def demo(*arguments: str) -> Ran:
    """Play it, with no network to ask; it is the same each time but for times and txids."""
    with (
        patch.object(socket.socket, "connect", refuse),
        patch.object(socket.socket, "sendto", refuse),
        patch.object(socket, "getaddrinfo", refuse),
    ):
        ran = run("demo", *arguments, env={"DOITRUST_NETWORK": None})
    assert (ran.status, ran.err) == (0, "")
    return ran


def verdicts(ran: Ran) -> list[dict[str, Any]]:
    return [scene["verdict"] for scene in ran.value if scene["verdict"] is not None]


def test_every_attack_ends_as_the_rules_say() -> None:
    found = verdicts(demo("--json"))
    assert [(told["meter"], told["status"], told["reason"]) for told in found] == VERDICTS
    (before, *later) = [told for told in found if told["meter"] == module.FIRST]
    for told in later:
        assert (told["node"], told["certificate"]["txid"]) == (before["node"], before["certificate"]["txid"])
    assert later[-1]["foreign_writes"] == 1


def test_the_text_tells_every_scene_command_and_verdict() -> None:
    scenes, text = demo("--json").value, demo().out
    for number, scene in enumerate(scenes, 1):
        assert f"{number}. {scene['title']}" in text
        assert scene["happened"] in " ".join(text.split())
    assert re.findall(r"[✔✘] [A-Z]+(?: TRUSTED)?(?=  )", text) == [
        {"trusted": "✔ TRUSTED", "untrusted": "✘ NOT TRUSTED", "revoked": "✘ REVOKED"}[status]
        for _, status, _ in VERDICTS
    ]
    assert len(printed_commands()) == sum(len(scene["commands"]) for scene in scenes)


def printed_commands() -> list[list[str]]:
    """The lines after `$`, as a shell would split them."""
    return [shlex.split(line) for line in re.findall(r"^ *\$ (.*)$", demo().out, re.MULTILINE)]


def test_the_printed_commands_are_what_was_run() -> None:
    """Typed one after the other into a shell they parse: the words before the options are commands that exist."""
    for program, option, who, *line in printed_commands():
        assert (program, option) == ("doitrust", "--home")
        assert who.isalnum()
        noun = root.get_command(root.make_context("doitrust", ["--help"], resilient_parsing=True), line[0])
        assert noun is not None
        command = getattr(noun, "commands", {}).get(line[1], noun)
        assert command.name in line[:2]


def test_the_users_own_settings_do_not_change_the_story_and_nothing_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = Path.cwd()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    config = tmp_path / "config.toml"
    config.write_text('min_confirmations = 500\nsigner = "keystore:nobody"\n', "utf-8")
    env = {
        "DOITRUST_CONFIG": str(config),
        "DOITRUST_DEVNET": str(tmp_path / "devnet"),
        "DOITRUST_PASSPHRASE": "mine",
        "DOITRUST_ROOT": "ab" * 32,
    }
    told = verdicts(run("demo", "--json", env=env))
    assert [(v["meter"], v["status"], v["reason"]) for v in told] == VERDICTS
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["config.toml", "tmp"]
    assert not home().exists()
    assert Path.cwd() == before


def test_its_telegrams_are_the_generated_ones() -> None:
    data, generated = Path(module.__file__).parents[1] / "data", Path(__file__).parents[1] / "fixtures"
    shipped = sorted((data / "telegrams").iterdir())
    assert len(shipped) == 4
    for path in shipped:
        assert path.read_bytes() == (generated / "telegrams" / path.name).read_bytes()


def test_a_temporary_folder_that_cannot_be_had_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nosuch"))
    ran = run("demo", "--json")
    assert ran.status == 1
    assert ran.value["error"]["code"] == "unavailable"
