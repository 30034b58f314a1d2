"""Figures for content: the CID of a large file, storing and fetching with Kubo, against Kubo's own command line."""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from doitrust.adapters.gateways import Gateways
from doitrust.adapters.kubo import Kubo
from doitrust.content.unixfs import cid_of_file, read_file

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from gateway_zoo import Gateway, StallsAtOnce, blocks_of
from kubo import PROGRAMS, Daemon, daemon

_MIB = 1024 * 1024
_SIZE = 50 * _MIB
_ROUNDS = 5
#: What a list of 3,000 members weighs.
_LIST = 300_000
_LIKE_OURS = ("--cid-version=1", "--raw-leaves", "--chunker=size-262144")

Timed = Callable[[Callable[[], object], int], float]


def bench_content(timed: Timed) -> None:
    """CID, storing and fetching, with each Kubo that is here; fetching from gateways."""
    _from_gateways(timed)
    data = os.urandom(_SIZE)
    mine = timed(lambda: cid_of_file(data), 5)
    print(f"cid: {_SIZE / _MIB / mine:.0f} MiB a second")
    if not PROGRAMS:
        print("content: there is no `ipfs` here to compare with")
    for program in PROGRAMS:
        with tempfile.TemporaryDirectory() as folder, daemon(program, Path(folder) / "kubo") as node:
            _against(node, data, Path(folder), timed)


def _from_gateways(timed: Timed) -> None:
    """A list from one honest gateway, against the same with nine stalling ones named before it."""
    data = os.urandom(4 * _MIB)
    blocks = blocks_of(data)
    root = cid_of_file(data)
    with ExitStack() as stack:
        honest = stack.enter_context(Gateway(blocks))
        stalling = [stack.enter_context(StallsAtOnce(blocks)) for _ in range(9)]

        def fetch(*named: Gateway) -> None:
            found = Gateways([gateway.url for gateway in named])
            assert read_file(root, found.get, len(data)) == data

        alone = timed(lambda: fetch(honest), 5)
        late = timed(lambda: fetch(*stalling, honest), 3)
    print(
        f"gateways: 4 MiB in {alone * 1e3:.0f} ms; behind nine that stall in {late:.2f} s: {late / alone:.0f} ×"
    )


def _against(node: Daemon, data: bytes, folder: Path, timed: Timed) -> None:
    kubo = Kubo(node.api)
    name = f"Kubo {kubo.version()}"
    start = timed(lambda: node.ipfs("version"), 5)
    file = folder / "file"
    file.write_bytes(data)
    mine = timed(lambda: cid_of_file(data), 5)
    # Offline its command line does this itself: no upload is in the figure.
    base = (
        timed(lambda: node.ipfs("--offline", "add", "-Q", "--only-hash", *_LIKE_OURS, str(file)), 5) - start
    )
    print(
        f"cid: 50 MiB in {mine * 1e3:.0f} ms, {name} `add --only-hash` {base * 1e3:.0f} ms: {mine / base:.2f} ×"
    )
    put, get = _took(kubo, data[:_LIST], timed)
    print(
        f"content: a list of {_LIST} bytes with {name}: stored in {put * 1e3:.0f} ms, fetched in {get * 1e3:.0f} ms"
    )
    put, get = _took(kubo, data, timed)
    fresh = iter(_fresh(data, b"kubo"))
    add = timed(lambda: node.ipfs("add", "-Q", *_LIKE_OURS, stdin=next(fresh)), _ROUNDS) - start
    root = kubo.put_file(data)
    cat = timed(lambda: node.ipfs("cat", root.text), _ROUNDS) - start
    print(
        f"content: 50 MiB with {name}: stored in {put * 1e3:.0f} ms, its own `add` {add * 1e3:.0f} ms:"
        f" {put / add:.2f} ×; fetched in {get * 1e3:.0f} ms, `cat` {cat * 1e3:.0f} ms: {get / cat:.2f} ×"
    )


def _took(kubo: Kubo, data: bytes, timed: Timed) -> tuple[float, float]:
    """Seconds to store and to fetch a file."""
    fresh = iter(_fresh(data, b"ours"))
    put = timed(lambda: kubo.put_file(next(fresh)), _ROUNDS)
    root = kubo.put_file(data)
    return put, timed(lambda: kubo.get_file(root, len(data)), _ROUNDS)


def _fresh(data: bytes, mark: bytes) -> list[bytes]:
    """Files of the same size, no block of one being a block of another."""
    return [mark + bytes([number]) + data[: -len(mark) - 1] for number in range(_ROUNDS)]
