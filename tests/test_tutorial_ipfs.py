"""The tutorial with an IPFS node runs as it stands: Kubo, three homes, and the embedded chain served as a node."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from cli import temporary_folder
from kubo import PROGRAMS, needs_kubo
from support import free_ports
from test_docs import fences, page, play, steps
from test_tutorial import QUICK, missing

PAGE = "docs/tutorial-ipfs.md"
#: The lines in which a reader, too, may have to write something else.
_PORTS = ("PORT=18443\n", "API=5001 GATEWAY=8080\n")


@needs_kubo
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: Path(program).parent.name)
def test_every_line_does_what_is_said(program: str) -> None:
    text = page(PAGE)
    assert [text.count(line) for line in _PORTS] == [1, 1]
    port, api, gateway = free_ports(3)
    text = text.replace(_PORTS[0], f"PORT={port}\n").replace(_PORTS[1], f"API={api} GATEWAY={gateway}\n")
    folder = temporary_folder()
    (folder / "bin").mkdir()
    (folder / "bin" / "ipfs").symlink_to(Path(program).resolve(strict=True))
    (folder / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (folder / "bin" / "python3").chmod(0o755)
    told = fences(text)
    wanted = [steps(fence.text) if fence.language == "sh" else [] for fence in told]
    done = iter(play([step for each in wanted for step in each], folder, "bash", QUICK))
    played = [[next(done) for _ in each] for each in wanted]
    assert [one for each in played for one in each if one.status != one.step.status] == []
    printed = ["".join(one.out for one in each) for each in played]
    for (out, _), (before, fence) in zip(pairwise(printed), pairwise(told), strict=True):
        if fence.language == "text":
            assert before.language == "sh"
            assert missing(fence.text, out) == [], out
