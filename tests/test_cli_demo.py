"""`doitrust demo`: offline, every scene with the verdict that the real node's chain demands, nothing left behind."""

import re
import shlex
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from cli import Ran, home, run, verdict
from devnet_world import recorded_json

from doitrust.cli.main import root


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any attempt to reach a network is an error."""

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("the demo asked the network")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@cache
def demo(*arguments: str) -> Ran:
    """Play it; it is the same each time."""
    ran = run("demo", *arguments, env={"DOITRUST_NETWORK": None})
    assert (ran.status, ran.err) == (0, "")
    return ran


def expected() -> dict[str, dict[str, Any]]:
    return {**recorded_json(1)["meters"], **recorded_json(2)["meters"]}


@pytest.mark.usefixtures("offline")
def test_it_asks_no_network() -> None:
    demo.cache_clear()
    demo("--json")


def test_every_scene_has_its_verdict() -> None:
    scenes = demo("--json").value
    assert len(scenes) >= 8
    for scene in scenes:
        told = scene["verdict"]
        wanted = expected()[told["meter"]]
        assert (told["status"], told["reason"]) == (wanted["status"], wanted.get("reason"))
        assert scene["title"]
        assert scene["happened"]
    assert {"trusted", "untrusted", "revoked"} == {scene["verdict"]["status"] for scene in scenes}


def test_the_text_tells_every_scene_and_a_whole_verdict() -> None:
    scenes, text = demo("--json").value, demo().out
    for scene in scenes:
        assert scene["title"] in text
        assert scene["verdict"]["meter"] in text
    first = scenes[0]["verdict"]
    for part in (first["certificate"]["txid"], first["node"], first["client"], first["address"]):
        assert part in text


def printed_commands() -> list[list[str]]:
    """The lines after `$`, as a shell would split them."""
    return [shlex.split(line) for line in re.findall(r"^ *\$ (.*)$", demo().out, re.MULTILINE)]


def test_the_printed_commands_exist() -> None:
    lines = printed_commands()
    assert len(lines) >= 9
    for program, *line in lines:
        assert program == "doitrust"
        shown = run(*line, "--help")
        assert shown.status == 0, line
    for name in re.findall(r"^Next: (.*)$", demo().out, re.MULTILINE)[0].split(", "):
        command: click.Command | None = root
        for word in (word for word in name.split()[1:] if word.islower()):
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
            assert command is not None, name


def test_the_printed_commands_give_the_verdicts_that_the_demo_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Played one after the other, in the folder of the recorded files."""
    monkeypatch.chdir(Path(__file__).parents[1] / "doitrust" / "data")
    for _, *line in printed_commands():
        if "verify" in line:
            told = verdict(*line[line.index("verify") + 1 :])
            assert told["status"] == expected()[told["meter"]]["status"]
        else:
            ran = run(*line, "--yes")
            assert ran.status == 0, (line, ran.err)


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run("demo").status == 0
    assert list(tmp_path.iterdir()) == []
    assert not home().exists()


def test_the_users_own_settings_do_not_change_the_story(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("min_confirmations = 500\n", "utf-8")
    env = {"DOITRUST_CONFIG": str(config), "DOITRUST_DEVNET": str(tmp_path / "devnet")}
    scenes = run("demo", "--json", env=env).value
    assert [s["verdict"]["status"] for s in scenes] == [s["verdict"]["status"] for s in demo("--json").value]
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_a_temporary_folder_that_cannot_be_had_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nosuch"))
    ran = run("demo")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: ")
    assert "can't write the output" not in ran.err
