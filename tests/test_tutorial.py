"""The tutorial runs as it stands: every line, each with its exit status, and what is shown was printed."""

import re
from functools import cache
from itertools import pairwise

import pytest
from cli import temporary_folder
from test_docs import Done, Fence, fences, page, play, steps

#: The command line with a scrypt that takes no time: the keys of the tutorial are known to everybody.
QUICK = (
    "-c",
    "from doitrust.adapters.keystore import Keystore; from doitrust.adapters.keyfile import Kdf; "
    "Keystore.__init__.__kwdefaults__['kdf'] = Kdf(16, 1, 1); from doitrust.cli.main import main; main()",
)

#: What differs each time: txids, keys and CIDs, addresses, fingerprints, times.
_VARIES = re.compile(
    r"\b[0-9a-f]{64,66}\b|\bbafk[0-9a-z]{55}\b|\bncrt1[0-9a-z]{39,59}\b|\b[a-z2-7]{4}(?:-[a-z2-7]{4}){3}\b"
    r"|\b\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC|(?<=at height )\d+"
)


@cache
def blocks() -> list[tuple[Fence, list[Done]]]:
    """The shell blocks, each with what its commands did; all run in one shell."""
    found = [fence for fence in fences(page("docs/tutorial.md")) if fence.language == "sh"]
    wanted = [steps(fence.text) for fence in found]
    done = iter(play([step for each in wanted for step in each], temporary_folder(), "bash", QUICK))
    return [(fence, [next(done) for _ in each]) for fence, each in zip(found, wanted, strict=True)]


def masked(text: str) -> str:
    return _VARIES.sub("*", text)


def missing(shown: str, printed: str) -> list[str]:
    """The lines of `shown` that `printed` doesn't have in this order. `…` stands for the rest of a line, or for lines.

    Without lines left out in between, one has to follow the other at once.
    """
    pattern = ""
    for line in masked(shown).splitlines():
        if line == "…":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.split("…"))) + r"\n"
        if re.search(rf"^{pattern}", masked(printed), re.M) is None:
            return [line]
    return []


@pytest.mark.thorough(0)
def test_every_command_ends_as_it_is_said_to() -> None:
    done = [one for _, each in blocks() for one in each]
    assert [(one.step, one.status, one.out) for one in done if one.status != one.step.status] == []
    assert {one.status for one in done} == {0, 1, 3}


@pytest.mark.thorough(0)
def test_what_is_shown_was_printed() -> None:
    printed = {fence: "".join(one.out for one in each) for fence, each in blocks()}
    shown = [
        (before, fence)
        for before, fence in pairwise(fences(page("docs/tutorial.md")))
        if fence.language == "text"
    ]
    assert len(shown) > 10
    for before, fence in shown:
        assert before.language == "sh"
        assert missing(fence.text, printed[before]) == [], printed[before]


@pytest.mark.parametrize(
    ("shown", "fits"),
    [
        ("one\ntwo\n", True),
        ("one\nthree\n", False),
        ("one\n…\nthree\n", True),
        ("two\n…\none\n", False),
        ("t…\n", True),
        ("ne\n", False),
        ("four\n", False),
    ],
)
def test_the_comparison_sees_a_difference(shown: str, fits: bool) -> None:
    assert (missing(shown, "one\ntwo\nthree\n") == []) == fits


def test_the_story_is_told_with_most_commands_that_write() -> None:
    told = " ".join(fence.text for fence in fences(page("docs/tutorial.md")) if fence.language == "sh")
    nouns = {
        "key": "import show balance",
        "org": "create share accept members add-member remove-member revoke-member accept-ownership transfer renew",
        "meter": "certify label revoke",
        "pi": "init read pair",
        "seal": "show spend",
        "tx": "show sign send list resume",
    }
    for noun, names in nouns.items():
        assert [name for name in names.split() if not re.search(rf" {noun} {name}\s", told)] == []
