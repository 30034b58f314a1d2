"""The tutorial for one's own node runs as it stands: on Doichain Core, and on the embedded chain that is served."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import stand_in
from cli import temporary_folder
from core_node import DOICHAIND, needs_core
from support import free_ports
from test_docs import fences, page, play, steps
from test_tutorial import QUICK, missing

PAGE = "docs/tutorial-node.md"
#: The one line in which a reader, too, may have to write something else.
_PORT = "PORT=18443\n"


@pytest.fixture(params=[pytest.param("core", marks=needs_core), "devnet"])
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A reader's folder; `doichaind` and `doichain-cli` are in its `bin`. No node is left behind."""
    found = temporary_folder()
    programs = found / "bin"
    programs.mkdir()
    if request.param == "devnet":
        stand_in.install(programs)
    else:
        assert DOICHAIND is not None
        for program in (Path(DOICHAIND), Path(DOICHAIND).with_name("doichain-cli")):
            (programs / program.name).symlink_to(program.resolve(strict=True))
    yield found
    for left in found.rglob("doichaind.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(left.read_text()), signal.SIGKILL)


@pytest.mark.thorough(0)
def test_every_line_does_what_is_said(folder: Path) -> None:
    text = page(PAGE)
    assert text.count(_PORT) == 1
    told = fences(text.replace(_PORT, f"PORT={free_ports(1)[0]}\n"))
    wanted = [steps(fence.text) if fence.language == "sh" else [] for fence in told]
    done = iter(play([step for each in wanted for step in each], folder, "bash", QUICK))
    played = [[next(done) for _ in each] for each in wanted]
    wrong = [one for each in played for one in each if one.status != one.step.status]
    assert wrong == []
    printed = ["".join(one.out for one in each) for each in played]
    shown = 0
    for (out, _), (before, fence) in zip(pairwise(printed), pairwise(told), strict=True):
        if fence.language == "text":
            assert before.language == "sh"
            assert missing(fence.text, out) == [], out
            shown += 1
    print(f"played: {sum(map(len, played))} lines, {shown} answers shown")  # noqa: T201  # for whoever looks with -s
