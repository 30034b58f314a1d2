"""Disks that are full or may not be written, output that nobody takes, files that are damaged: one line, exit 1."""

import ctypes
import os
import resource
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest
from cli import (
    BILLIG,
    BILLIG_ROOT,
    MUELLER,
    PASSAU,
    accepted,
    failure,
    files_below,
    home,
    load,
    meter,
    run,
    spawn,
    start,
    told,
    verdict,
)
from devnet_world import recorded_file, recorded_json


def nothing_larger_than(size: int) -> Callable[[], None]:
    """Limit the size of the files that a process writes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def forgets_to_be_root() -> None:
    """Take from root the right to write where rights forbid it (prctl PR_CAPBSET_DROP); others don't have it."""
    for capability in (1, 2) if os.geteuid() == 0 else ():  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Forbid writing to a folder and what is below."""
    below = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in below]
    for path, mode in zip(below, modes, strict=True):
        path.chmod(mode & ~0o222)
    try:
        probe = [sys.executable, "-S", "-c", f"open({str(folder / 'probe')!r}, 'w')"]
        if Popen(probe, stderr=DEVNULL, preexec_fn=forgets_to_be_root).wait() == 0:  # noqa: PLW1509
            pytest.skip("cannot be had here: a folder that may not be written")
        yield
    finally:
        for path, mode in zip(below, modes, strict=True):
            path.chmod(mode)


# ---- full


@pytest.mark.parametrize("size", [0, 1000])
def test_evidence_that_does_not_fit_leaves_what_was_there(tmp_path: Path, size: int) -> None:
    load(1)
    saved, file = home() / "saved.json", tmp_path / "evidence.json"
    run("verify", meter(1), "--save-evidence", saved)
    file.write_text("mine", "utf-8")
    line = ["verify", meter(1), "--evidence", saved, "--save-evidence", file]  # the devnet itself needs room
    assert "evidence.json" in told(spawn(*line, before=nothing_larger_than(size)))
    assert files_below(tmp_path) == {"evidence.json": b"mine"}


@pytest.mark.parametrize("size", [1000, 100_000, 500_000])
def test_an_import_that_does_not_fit_leaves_the_devnet_as_it_was(size: int) -> None:
    told(spawn("devnet", "import", recorded_file(1), before=nothing_larger_than(size)))
    assert run("devnet", "status", "--json").value["blocks"] == 0
    assert accepted() == []
    assert run("devnet", "import", recorded_file(1)).status == 0
    assert verdict(meter(1))["status"] == "trusted"


@pytest.mark.parametrize("size", [0, 4000])
def test_a_pin_that_does_not_fit_leaves_the_others(size: int) -> None:
    load(1)
    line = ["org", "accept", BILLIG, "--root", BILLIG_ROOT]
    told(spawn(*line, before=nothing_larger_than(size)))
    assert accepted() == [PASSAU, MUELLER]
    assert run(*line).status == 0
    assert accepted() == [PASSAU, MUELLER, BILLIG]


def test_the_first_pin_of_a_home_that_does_not_fit_is_none() -> None:
    load(1)
    (home() / "state.db").unlink()
    line = ["org", "accept", BILLIG, "--root", BILLIG_ROOT]
    told(spawn(*line, before=nothing_larger_than(4000)))
    assert accepted() == []
    assert run(*line).status == 0


def test_a_setting_that_does_not_fit_leaves_the_configuration() -> None:
    run("config", "set", "min_confirmations", "7")
    before = files_below(home())
    ran = spawn("config", "set", "node.url", "http://" + "x" * 5000, before=nothing_larger_than(1000))
    assert "config.toml" in told(ran)
    assert files_below(home()) == before


def test_blocks_that_do_not_fit_are_not_mined() -> None:
    load(1)
    told(spawn("devnet", "mine", 500, before=nothing_larger_than(100_000)))
    assert run("devnet", "status", "--json").value["blocks"] == 543
    assert verdict(meter(1))["status"] == "trusted"


# ---- not to be written


@pytest.mark.parametrize(
    "line",
    [
        ["org", "accept", BILLIG, "--root", BILLIG_ROOT],
        ["org", "reject", PASSAU],
        ["config", "set", "min_confirmations", "7"],
        ["devnet", "mine", "1"],
        ["devnet", "reset", "--yes"],
    ],
    ids=lambda line: " ".join(line[:2]),
)
def test_a_home_that_may_not_be_written_is_told_and_left(line: list[str]) -> None:
    load(1)
    before = files_below(home())
    with locked(home()):
        told(spawn(*line, before=forgets_to_be_root))
    assert files_below(home()) == before


@pytest.mark.parametrize("line", [["devnet", "import", recorded_file(1)], ["config", "set", "signer", "me"]])
def test_a_home_that_cannot_be_made_is_told(tmp_path: Path, line: list[str]) -> None:
    with locked(tmp_path):
        told(spawn(*line, "--home", tmp_path / "inner" / "home", before=forgets_to_be_root))
    assert list(tmp_path.iterdir()) == []


def test_what_only_reads_the_home_does_not_need_to_write_it(tmp_path: Path) -> None:
    load(1)
    evidence = tmp_path / "evidence.json"
    verdict(meter(2), "--save-evidence", evidence)
    with locked(home()):
        pins = spawn("org", "accepted", "--json", before=forgets_to_be_root)
        judged = spawn("verify", meter(2), "--evidence", evidence, "--json", before=forgets_to_be_root)
    assert [pin["name"] for pin in pins.value] == [PASSAU, MUELLER]
    assert judged.value["reason"] == "single_source"


def test_a_folder_that_may_not_be_read_is_told() -> None:
    load(1)
    home().chmod(0)
    try:
        for line in (["org", "accepted"], ["verify", meter(1)], ["config", "show"]):
            ran = spawn(*line, before=forgets_to_be_root)
            if ran.status == 0:
                pytest.skip("cannot be had here: a folder that may not be read")
            told(ran)
    finally:
        home().chmod(0o755)


READING = [
    ["verify", meter(1)],
    ["org", "accepted"],
    ["org", "list"],
    ["devnet", "status"],
    ["meter", "list"],
]
WRITING = [
    ["devnet", "import", recorded_file(1)],
    ["devnet", "mine", "1"],
    ["config", "set", "signer", "me"],
]


@pytest.mark.parametrize("line", [*READING, *WRITING], ids=lambda line: " ".join(map(str, line[:2])))
def test_a_home_that_is_a_file_is_told_and_left(tmp_path: Path, line: list[str]) -> None:
    file = tmp_path / "home"
    file.write_text("mine", "utf-8")
    ran = run(*line, "--home", file)
    if line != ["org", "accepted"]:  # nothing has been accepted where there is no home
        told(ran)
    assert file.read_text("utf-8") == "mine"


@pytest.mark.parametrize("name", ["x" * 300, "/".join(["x" * 200] * 25)], ids=["name", "path"])
@pytest.mark.parametrize(
    "line", [*READING, *WRITING, ["config", "show"]], ids=lambda x: " ".join(map(str, x[:2]))
)
def test_a_home_whose_name_is_too_long_is_told(tmp_path: Path, line: list[str], name: str) -> None:
    told(run(*line, "--home", tmp_path / name))


@pytest.mark.parametrize("option", ["--devnet", "--config"])
def test_a_folder_named_by_an_option_may_be_impossible(option: str) -> None:
    line = ["devnet", "status"] if option == "--devnet" else ["config", "show"]
    told(run(*line, option, "/dev/null/inner" if option == "--devnet" else "/"))


@pytest.mark.parametrize("option", ["--home", "--config", "--devnet"])
def test_the_folder_of_a_user_who_does_not_exist_is_told(option: str) -> None:
    line = ["config", "show"] if option == "--config" else ["devnet", "status"]
    told(run(*line, option, "~nosuchuser/folder"))


# ---- nobody takes the output


LINES = [
    ["verify", meter(1)],
    ["verify", meter(1), "--json"],
    ["verify", "x", "--json"],
    ["org", "list"],
    ["completion", "bash"],
    ["--help"],
]


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_output_to_a_full_disk_is_told(line: list[str]) -> None:
    load(1)
    with Path("/dev/full").open("wb") as full:
        ran = spawn(*line, stdout=full)
    assert ran.status != 0
    assert "Traceback" not in ran.err
    assert "Exception ignored" not in ran.err
    assert "No space left on device" in ran.err


def gone() -> int:
    """The writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_a_reader_that_has_gone_ends_it_quietly(line: list[str]) -> None:
    load(1)
    writer = gone()
    ran = spawn(*line, stdout=writer)
    os.close(writer)
    assert ran.status != 0
    assert "Traceback" not in ran.err
    assert "Exception ignored" not in ran.err


@pytest.mark.parametrize("how", ["full", "gone"])
@pytest.mark.parametrize(("line", "status"), [(["verify", meter(1)], 0), (["verify", "x"], 2)])
def test_messages_that_nobody_takes_do_not_change_the_exit_status(
    line: list[str], status: int, how: str
) -> None:
    load(1)
    stream = gone() if how == "gone" else os.open("/dev/full", os.O_WRONLY)
    assert spawn(*line, stderr=stream).status == status
    os.close(stream)


@pytest.mark.parametrize("line", LINES[:4], ids=" ".join)
def test_no_output_at_all_is_no_crash(line: list[str]) -> None:
    load(1)
    ran = spawn(*line, before=lambda: os.close(1), stdout=None)
    assert "Traceback" not in ran.err


# ---- damaged


def write_pins(segments: str, name: str = PASSAU) -> None:
    with closing(sqlite3.connect(home() / "state.db")) as database, database:
        database.execute("UPDATE pins SET segments = ?, name = ? WHERE name = ?", (segments, name, PASSAU))


PIN_USERS = [["org", "accepted"], ["verify", meter(1)], ["org", "show", PASSAU], ["meter", "list"]]


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\x00" + b"\xff" * 8000])
@pytest.mark.parametrize("line", PIN_USERS, ids=lambda line: " ".join(line[:2]))
def test_a_damaged_state_is_told_and_left_alone(line: list[str], content: bytes) -> None:
    load(1)
    state = home() / "state.db"
    state.write_bytes(content)
    assert "state.db" in failure(*line)
    assert state.read_bytes() == content


def test_a_state_that_is_a_folder_is_told() -> None:
    load(1)
    (home() / "state.db").unlink()
    (home() / "state.db").mkdir()
    assert "state.db" in failure("org", "accepted")


def test_a_state_without_its_columns_is_told() -> None:
    load(1)
    with closing(sqlite3.connect(home() / "state.db")) as database, database:
        database.execute("DROP TABLE pins")
        database.execute("CREATE TABLE pins (x)")
    assert "state.db" in failure("verify", meter(1))


@pytest.mark.parametrize(
    "segments",
    ["", "x", "null", "5", "[]", "[5]", "[[]]", '[["ab", null]]', "[[5, null]]", "[[null, null]]", '["ab"]']
    + [f'[["{"ab" * 32}", {value}]]' for value in ("5", '"ab"', "true", "[]")],
)
def test_a_damaged_pin_is_told_and_never_taken_for_another(segments: str) -> None:
    load(1)
    write_pins(segments)
    assert "state.db" in failure("verify", meter(1))
    assert "state.db" in failure("org", "accepted")


@pytest.mark.parametrize("name", ["", "a  b", "\x1b[31m", "x" * 65])
def test_a_pin_under_an_impossible_name_is_told(name: str) -> None:
    load(1)
    write_pins(f'[["{"ab" * 32}", null]]', name)
    assert "state.db" in failure("org", "accepted")


def test_a_damaged_pin_can_be_mended_by_rejecting_it() -> None:
    load(1)
    write_pins("x")
    assert run("org", "reject", PASSAU).status == 0
    assert accepted() == [MUELLER]


def test_processes_that_accept_at_once_lose_nothing() -> None:
    load(1)
    (home() / "state.db").unlink()
    roots = {name: entry["root"] for name, entry in recorded_json(1)["organizations"].items()}
    started = [start("org", "accept", name, "--root", root) for name, root in roots.items()]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert sorted(accepted()) == sorted(roots)
