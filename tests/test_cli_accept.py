"""`org accept` checks before it asks, takes root and fingerprint together, and knows who is not there."""

import base64
from hashlib import sha256

import pytest
from cli import (
    BILLIG,
    BILLIG_ROOT,
    MUELLER,
    MUELLER_ROOT,
    MUELLER_SECOND,
    MUELLER_STOLEN,
    PASSAU,
    accepted,
    failure,
    load,
    run,
)

LINK = "doitrust:org/{}?network=devnet&root={}"


def mark(name: str, root: str) -> str:
    """The fingerprint as trust-model O2 says it, by hand."""
    digest = sha256(f"doitrust root\ndevnet\n{name}\n{root}".encode()).digest()
    text = base64.b32encode(digest)[:16].decode().lower()
    return "-".join((text[:4], text[4:8], text[8:12], text[12:]))


def segments(*line: str) -> list[tuple[str, str | None]]:
    """What is accepted by this command."""
    ran = run("org", "accept", *line, "--json")
    assert ran.status == 0, ran
    return [(segment["root"], segment["until"]) for segment in ran.value["segments"]]


# ---- links


@pytest.mark.parametrize(
    ("link", "why"),
    [
        (LINK.format(BILLIG, "0" * 64), "no write of"),
        (LINK.format("Nobody", BILLIG_ROOT), "no organisation"),
        (LINK.format(BILLIG, MUELLER_ROOT), "no write of"),
    ],
)
def test_a_link_that_cannot_be_accepted_is_refused_without_a_question(link: str, why: str) -> None:
    load(1)
    for answer in ("y\n", None):
        ran = run("org", "accept", link, typed=answer)
        assert (ran.status, ran.out) == (1, "")
        assert why in ran.err
        assert "[y/N]" not in ran.err
    assert accepted() == [PASSAU, MUELLER]


def test_a_link_with_too_few_confirmations_is_refused_without_a_question() -> None:
    load(1)
    run("devnet", "reorg", 543 - 533 + 1)
    run("devnet", "mine", 5)
    ran = run(
        "org", "accept", LINK.format("Elektro%20M%C3%BCller%20%26%20S%C3%B6hne", MUELLER_STOLEN), typed="y\n"
    )
    assert ran.status == 1
    assert "5 of 6" in ran.err
    assert "[y/N]" not in ran.err


def test_before_the_question_name_root_and_fingerprint_are_shown() -> None:
    load(1)
    ran = run("org", "accept", LINK.format(BILLIG, BILLIG_ROOT), typed="n\n")
    assert ran.status == 5
    shown = ran.err[: ran.err.index("[y/N]")]
    assert all(each in shown for each in (BILLIG, BILLIG_ROOT, mark(BILLIG, BILLIG_ROOT)))
    assert BILLIG not in accepted()


# ---- root and fingerprint together


@pytest.mark.parametrize("turned", [False, True])
def test_root_and_fingerprint_of_one_write_are_one_segment(turned: bool) -> None:
    load(1)
    line = [["--root", BILLIG_ROOT], ["--fingerprint", mark(BILLIG, BILLIG_ROOT)]]
    assert segments(BILLIG, *(part for pair in (line[::-1] if turned else line) for part in pair)) == [
        (BILLIG_ROOT, None)
    ]


def test_each_segment_may_be_named_twice() -> None:
    load(1)
    first = ["--root", MUELLER_ROOT, "--fingerprint", mark(MUELLER, MUELLER_ROOT), "--until", MUELLER_SECOND]
    second = ["--fingerprint", mark(MUELLER, MUELLER_STOLEN), "--root", MUELLER_STOLEN]
    wanted = [(MUELLER_ROOT, MUELLER_SECOND), (MUELLER_STOLEN, None)]
    assert segments(MUELLER, *first, *second) == wanted


@pytest.mark.parametrize("turned", [False, True])
def test_a_fingerprint_that_is_not_the_root_s_accepts_nothing(turned: bool) -> None:
    load(1)
    line = [["--root", MUELLER_ROOT], ["--fingerprint", mark(MUELLER, MUELLER_STOLEN)]]
    before = run("org", "accepted").out
    message = failure(
        "org", "accept", MUELLER, *(part for pair in (line[::-1] if turned else line) for part in pair)
    )
    assert "not that of this root" in message
    assert run("org", "accepted").out == before


def test_root_and_fingerprint_may_come_from_the_environment() -> None:
    load(1)
    env = {"DOITRUST_ROOT": BILLIG_ROOT, "DOITRUST_FINGERPRINT": mark(BILLIG, BILLIG_ROOT)}
    assert run("org", "accept", BILLIG, env=env).status == 0
    assert BILLIG in accepted()


# ---- who is not there


@pytest.mark.parametrize(
    "line",
    [
        ["accept", "Nobody"],
        ["accept", "Nobody", "--root", BILLIG_ROOT],
        ["accept", "Nobody", "--fingerprint", mark("Nobody", BILLIG_ROOT)],
        ["show", "Nobody"],
    ],
)
def test_an_organisation_that_is_not_there_is_refused_with_a_hint(line: list[str]) -> None:
    load(1)
    message = failure("org", *line)
    assert "no organisation Nobody" in message
    assert "org list" in message


def test_rejecting_whom_nobody_accepted_is_refused_with_a_hint() -> None:
    load(1)
    message = failure("org", "reject", "Nobody")
    assert "Nobody is not accepted" in message
    assert "org accepted" in message
