"""Doichain Core and the served devnet answer alike, on recorded chains and on one that `doitrust demo` made."""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest
from cli import run
from core_node import Twins, needs_core, twins
from devnet_world import recorded_file
from questions import (
    Question,
    about_blocks,
    about_coins,
    about_names,
    about_the_state,
    about_transactions,
    bodies,
    helps,
    raw_names,
    scans,
    wrong_names,
    wrongly_asked,
)

from doitrust.adapters.devnet import Devnet, load
from doitrust.chain.block import Block

pytestmark = needs_core


class Chain(NamedTuple):
    """A chain in both nodes."""

    twins: Twins
    blocks: list[Block]

    def check(self, questions: Iterable[Question]) -> None:
        """Ask both everything."""
        asked: Counter[str] = Counter()
        different = []
        for question in questions:
            asked[question[0]] += 1
            found = self.twins.differ(*question)
            if found is not None:
                different.append(found)
        print(f"compared: {asked.total()} answers: {dict(asked)}; different: {len(different)}")  # noqa: T201  # with -s
        assert different == [], "\n".join(different)


def _recorded(number: int, directory: Path) -> None:
    devnet = Devnet(directory)
    devnet.import_chain(load(recorded_file(number)))
    devnet.close()


def _demo(directory: Path) -> None:
    """What `doitrust demo` plays: certifications, a revocation, theft, strangers who overwrite."""
    folder = directory.parent / "demo"
    folder.mkdir()
    with patch("doitrust.cli.demo._throw_away", lambda: nullcontext(folder)):
        ran = run("demo", "--json")
    assert ran.status == 0, ran
    gc.collect()  # closes the database
    (folder / "world").rename(directory)


@pytest.fixture(scope="module", params=["recorded-1", "recorded-2", "demo"])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    folder = tmp_path_factory.mktemp("chain")
    directory = folder / "devnet"
    kind: str = request.param
    if kind == "demo":
        _demo(directory)
    else:
        _recorded(int(kind[-1]), directory)
    devnet = Devnet(directory)
    raws = [devnet.block(height) or b"" for height in range(devnet.tip().height + 1)]
    now = devnet.tip().time
    devnet.close()
    with twins(folder / "core", directory, raws[1:], now=now) as both:
        yield Chain(both, [Block.parse(raw) for raw in raws])


@pytest.mark.parametrize(
    "questions",
    [about_blocks, about_transactions, about_names, about_coins, wrongly_asked],
    ids=lambda ask: str(ask.__name__),
)
def test_answers_about_the_chain(
    chain: Chain, questions: Callable[[list[Block]], Iterable[Question]]
) -> None:
    chain.check(questions(chain.blocks))


@pytest.mark.parametrize(
    "questions", [about_the_state, helps, wrong_names, scans, raw_names], ids=lambda ask: str(ask.__name__)
)
def test_answers_about_anything(chain: Chain, questions: Callable[[], Iterable[Question]]) -> None:
    chain.check(questions())


def test_requests_byte_by_byte(chain: Chain) -> None:
    """Whatever is posted, the whole answer is the same, with its status."""
    different = []
    for body in bodies(chain.blocks[-1].header.hash):
        theirs, ours = (node.post(body.encode()) for node in (chain.twins.core, chain.twins.devnet))
        if (theirs.status, theirs.body) != (ours.status, ours.body):
            different.append(
                f"{body}: {theirs.status} {theirs.body!r}, of the devnet {ours.status} {ours.body!r}"
            )
    assert different == [], "\n".join(different)


@pytest.mark.parametrize(
    ("method", "path", "password"),
    [
        ("GET", "/", True),
        ("PUT", "/", True),
        ("HEAD", "/", True),
        ("DELETE", "/", False),
        ("DELETE", "/nowhere", True),
        ("POST", "/", False),
        ("POST", "/nowhere", True),
        ("GET", "/nowhere", False),
    ],
)
def test_statuses_of_http(chain: Chain, method: str, path: str, *, password: bool) -> None:
    said = []
    for node in (chain.twins.core, chain.twins.devnet):
        shown = node.authorization if password else {"Authorization": "Basic d3Jvbmc6cGFzc3dvcmQ="}
        answer = node.http(method, path, '{"method":"getblockcount"}', shown)
        said.append((answer.status, answer.body, answer.headers.get("www-authenticate")))
    assert said[0] == said[1]
