"""Exit codes (formats.md): 0, 3 and 4 for verdicts, 2 for mistakes of use, 5 for a no, 1 for everything else."""

import itertools
import signal
import time
from pathlib import Path
from subprocess import PIPE

import pytest
from cli import (
    BILLIG,
    BILLIG_ROOT,
    MUELLER,
    STATUS_OF,
    accepted,
    environment,
    failure,
    home,
    load,
    meter,
    run,
    start,
    told,
)
from devnet_world import recorded_file, recorded_json
from terminal import Terminal

TRUSTED, UNTRUSTED, REVOKED, UNCONFIRMED, UNKNOWN = (meter(number) for number in (1, 4, 17, 23, 24))


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("number", [TRUSTED, UNTRUSTED, REVOKED, UNCONFIRMED, UNKNOWN])
def test_the_verdict_is_the_exit_status(number: str, form: list[str]) -> None:
    load(1)
    assert run("verify", number, *form).status == STATUS_OF[recorded_json(1)["meters"][number]["status"]]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_undetermined_exits_4(tmp_path: Path, form: list[str]) -> None:
    load(1)
    file = tmp_path / "evidence.json"
    run("verify", TRUSTED, "--save-evidence", file)
    assert run("verify", TRUSTED, "--evidence", file, *form).status == 4


@pytest.mark.parametrize(
    ("meters", "status"),
    [
        *(([TRUSTED, *pair], 3) for pair in itertools.permutations([UNTRUSTED, UNCONFIRMED])),
        ([UNKNOWN, UNCONFIRMED, TRUSTED], 3),
        ([UNCONFIRMED, REVOKED], 3),
        ([TRUSTED, UNCONFIRMED], 4),
        ([UNCONFIRMED, TRUSTED], 4),
        ([TRUSTED, meter(2)], 0),
        ([TRUSTED, TRUSTED], 0),
    ],
)
def test_of_several_meters_3_comes_before_4_before_0(meters: list[str], status: int) -> None:
    load(1)
    assert run("verify", *meters).status == status


@pytest.mark.parametrize(
    "number",
    [
        "",
        "x",
        "ABC",
        "A" * 33,
        "1EMH 0012345001ü",
        "1EMH/0012345001",
        "\uff11EMH0012345001",
        "\u017fTAR1",
        "1EMH0012345001\n",
        "1EMH\t0012345001",
        "\x1b[31m",
        "doitrust:meter/",
        "doitrust:meter/x",
        "doitrust:org/Gilde?network=devnet",
        "doitrust:meter/1EMH0012345001?network",
        "doitrust:meter/1EMH0012345001?org=%ff",
        "doitrust:meter/" + "A" * 2000,
        "doitrust:",
    ],
)
def test_a_number_that_is_none_is_a_mistake_of_use(number: str) -> None:
    load(1)
    failure("verify", TRUSTED, number, status=2)
    failure("meter", "show", number, status=2)


@pytest.mark.parametrize(
    "number",
    ["1emh0012345001", "1 EMH 0012 345001", "1-EMH-0012.345.001", " 1EMH0012345001 "],
)
def test_a_number_may_be_typed_as_it_is_printed_on_the_meter(number: str) -> None:
    load(1)
    assert run("verify", number).status == 0


QUESTIONS = [
    ["devnet", "reset"],
    ["org", "accept", f"doitrust:org/{BILLIG}?network=devnet&root={BILLIG_ROOT}"],
]


@pytest.mark.parametrize("line", QUESTIONS)
def test_a_question_that_nobody_can_answer_is_a_mistake_of_use(line: list[str]) -> None:
    load(1)
    message = failure(*line, status=2)
    assert "--yes" in message
    assert "?" in message
    assert run("devnet", "status", "--json").value["blocks"] == 543
    assert BILLIG not in accepted()


@pytest.mark.parametrize("answer", ["n\n", "\n", "what\nno\n", ""])
@pytest.mark.parametrize("line", QUESTIONS)
def test_a_no_exits_5_and_changes_nothing(line: list[str], answer: str) -> None:
    load(1)
    ran = run(*line, typed=answer)
    assert (ran.status, ran.out.strip()) == (5, "")
    assert "Error: you said no" in ran.err
    assert run("devnet", "status", "--json").value["blocks"] == 543
    assert BILLIG not in accepted()


@pytest.mark.parametrize("answer", [{"typed": "y\n"}, {"typed": "YES\n"}, {"env": {"DOITRUST_YES": "1"}}])
@pytest.mark.parametrize("line", QUESTIONS)
def test_a_yes_does_it(line: list[str], answer: dict[str, object]) -> None:
    load(1)
    assert run(*line, **answer).status == 0  # type: ignore[arg-type]
    assert run("devnet", "status", "--json").value["blocks"] == 0 or BILLIG in accepted()


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "Ctrl-D"])
@pytest.mark.parametrize("line", QUESTIONS)
def test_leaving_a_question_is_a_no_in_one_line(line: list[str], key: bytes) -> None:
    load(1)
    with Terminal(*line, env=environment()) as screen:
        screen.expect(r"\[y/N\]: ")
        time.sleep(1)  # readline loses a signal that comes after its prompt and before it listens
        screen.press(key)
        assert screen.leave() == 5
    *_, asked, error = screen.shown.splitlines()
    assert asked.removesuffix("^C").endswith("[y/N]: ")
    assert error == "Error: you said no; nothing was changed"
    assert run("devnet", "status", "--json").value["blocks"] == 543
    assert BILLIG not in accepted()


def test_a_no_in_json_is_an_error_of_its_own() -> None:
    load(1)
    ran = run("devnet", "reset", "--json", typed="n\n")
    assert (ran.status, ran.error["code"]) == (5, "user_refused")


@pytest.mark.parametrize(
    "line",
    [
        ["org", "show", "Nobody"],
        ["org", "members", "Nobody"],
        ["org", "members", BILLIG],
        ["org", "history", "Nobody"],
        ["org", "reject", BILLIG],
        ["org", "accept", MUELLER, "--root", BILLIG_ROOT],
        ["org", "accept", MUELLER, "--fingerprint", "aaaa-aaaa-aaaa-aaaa"],
        ["devnet", "import", recorded_file(2)],
        ["devnet", "import", "nosuch.json"],
        ["devnet", "import", "/"],
        ["verify", TRUSTED, "--evidence", "nosuch.json"],
        ["verify", TRUSTED, "--evidence", "/"],
        ["verify", TRUSTED, "--save-evidence", "/"],
        ["--network", "mainnet", "verify", TRUSTED],
        ["--network", "testnet", "org", "list"],
        ["--network", "regtest", "meter", "list"],
    ],
    ids=lambda line: " ".join(map(str, line))[:60],
)
def test_what_cannot_be_done_exits_1(line: list[str]) -> None:
    load(1)
    failure(*line)


@pytest.mark.parametrize("line", [[], ["org"], ["devnet"], ["meter"], ["config"]])
def test_a_noun_alone_shows_its_help_and_is_a_mistake_of_use(line: list[str]) -> None:
    ran = run(*line)
    assert ran.status == 2
    shown = ran.out + ran.err
    assert "Usage: " in shown
    assert "Commands:" in shown
    assert "\\x0a" not in shown


@pytest.mark.parametrize("line", [["completion"], ["devnet", "automine"], ["devnet", "automine", "maybe"]])
def test_a_choice_that_is_missing_or_wrong_is_told_with_the_choices(line: list[str]) -> None:
    ran = run(*line)
    assert ran.status == 2
    assert "\\x0a" not in ran.err
    assert "bash" in ran.err or "off" in ran.err


def test_ctrl_c_ends_with_one_line() -> None:
    load(1)
    process = start("devnet", "mine", "100000", stdout=PIPE, stderr=PIPE)
    wal = home() / "devnet" / "chain.sqlite-wal"
    while process.poll() is None and not wal.exists():
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    assert err.strip() == b"Error: interrupted"
    assert run("devnet", "status", "--json").value["blocks"] == 543


def test_version_and_help_are_no_failures() -> None:
    for line in (["--version"], ["--help"], ["-h"], ["verify", "-h"], ["org", "accept", "--help"]):
        assert run(*line).status == 0


def test_an_error_in_text_is_on_stderr_with_a_hint() -> None:
    message = told(run("verify", "x"), status=2)
    assert "Try: " in message
