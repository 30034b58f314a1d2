"""What the tests of meters share: the made-up telegrams, what writes them, and reading a stream of them."""

import importlib.util
import json
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from doitrust.errors import BadData
from doitrust.meters.reading import Reading
from doitrust.pi.sml import read_telegram
from doitrust.pi.transport import Splitter, Telegram

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "fixtures"
FOLDER = FIXTURES / "telegrams"
#: Recorded telegrams of other people's meters; they are no part of the project.
RECORDED = ROOT.parent / "shared" / "telegrams"

EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
WHOLE = sorted(name for name in EXPECTED if not name.startswith(("damaged-", "stream-")))
DAMAGED = sorted(name for name in EXPECTED if name.startswith("damaged-"))


def _writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sml_writer", FIXTURES / "sml_writer.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


write = _writer()


def stored(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def telegrams(stream: bytes, *cuts: int) -> list[Telegram]:
    """The telegrams of a stream that comes in pieces, cut at these places."""
    splitter = Splitter()
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    return [telegram for piece in pieces for telegram in splitter.feed(piece)]


def readings(stream: bytes, *cuts: int) -> list[Reading]:
    """What is read from a stream; a telegram that holds no reading gives none."""
    found = []
    for telegram in telegrams(stream, *cuts):
        with suppress(BadData):
            found.append(read_telegram(telegram, 0))
    return found
