"""Figures for the audit: against asking one by one as a simple script would, and the index against bare blocks.

The node is `devnet start` in a process of its own. It is written in Python and answers some ten times slower than
Doichain Core, so that both baselines take longer than on a real node; what the client itself takes is told too.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bitcoinrpc.authproxy import AuthServiceProxy
from synthetic import Synthetic

from doitrust.adapters.core.node import CoreNode
from doitrust.adapters.core.rpc import Rpc
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.devnet.miner import Chosen, build
from doitrust.adapters.devnet.rules import Next
from doitrust.adapters.devnet.store import Session
from doitrust.adapters.devnet.view import Overlay, Record
from doitrust.adapters.index import IndexedView
from doitrust.adapters.pins import PinStore
from doitrust.chain.networks import REGTEST
from doitrust.chain.tx import Transaction
from doitrust.trust.policy import Policy

#: So many meters are asked one by one; more would only take longer.
_SAMPLE = 2_000
_HEX = {"nameEncoding": "hex", "valueEncoding": "hex"}


class _Mined(Synthetic):
    """The synthetic chain as blocks of a devnet, one transaction a block, so that half of them hold a record."""

    def __init__(self, session: Session) -> None:
        self._session = session
        super().__init__()

    def _mine(self, tx: Transaction) -> None:
        tables = self._session.chain
        tip = tables.tip()
        self.height = tip.height + 1
        block = build(Next(self.height, tip.hash, tip.time), Chosen((tx,), 0), tip.time + 60, self.height)
        changes = Overlay(tables)
        for write in tx.writes:
            changes.records[write.output.name] = Record(self.height, tx.txid, write.vout)
        tables.append(block, self.height, changes)


def _chain(folder: Path, meters: int) -> Policy:
    """Make a devnet with so many certified meters, nothing of it checked."""
    devnet = Devnet(folder)
    with devnet._store.changing() as session:  # noqa: SLF001  # to check every script would take minutes
        chain = _Mined(session)
        for number in range(meters):
            chain.certify(f"1EMH{number:010}")
        for _ in range(3):
            chain.write("owner", b"d2/nothing", b"")
    devnet.contents.put_file(chain.list)
    devnet.close()
    return chain.policy()


@contextmanager
def _served(folder: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "doitrust.cli.main", "devnet", "start", "--port", "0", "--json"]
    more = ["--network", "devnet", "--devnet", str(folder), "--home", str(folder / "home")]
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        told = json.loads(b"".join(iter(process.stdout.readline, b"}\n")) + b"}")
        yield {**told, "login": Path(told["cookie"]).read_text()}
    finally:
        process.terminate()
        process.wait()


def _node(served: dict[str, Any]) -> CoreNode:
    user, _, password = served["login"].partition(":")
    return CoreNode(Rpc(served["url"], lambda: (user, password)), REGTEST, name="bench", own=True)


def _naive(served: dict[str, Any], meters: list[str]) -> float:
    """Each meter's history, transactions, and what they spend, one call at a time; judging isn't even in it."""
    proxy = AuthServiceProxy(f"http://{served['login']}@127.0.0.1:{served['port']}")
    start = time.perf_counter()
    for meter in meters:
        for row in proxy.name_history(f"bp/{meter}".encode().hex(), _HEX):
            tx = Transaction.parse(bytes.fromhex(proxy.getrawtransaction(row["txid"])))
            for spent in tx.inputs:
                proxy.getrawtransaction(spent.txid)
    return time.perf_counter() - start


class _Run(NamedTuple):
    """A whole `doitrust audit`: seconds, those that its processes computed, the most memory of one in MiB."""

    seconds: float
    used: float
    peak: float


def _audited(folder: Path, served: dict[str, Any], policy: Policy, meters: int) -> tuple[_Run, _Run]:
    """Run it twice in a home of its own: without an index, and with one."""
    home = folder / "operator"
    shutil.copytree(folder / "net" / "ipfs", home / "ipfs")
    PinStore(home / "state.db", REGTEST).accept(*policy.pins)
    settings = {"network": "regtest", "node.url": served["url"], "node.cookie": served["cookie"]}
    lines = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in settings.items() if "." not in key]
    nodes = [f"{key[5:]} = {json.dumps(value)}" for key, value in settings.items() if key[:5] == "node."]
    (home / "config.toml").write_text("\n".join([*lines, "[node]", *nodes, ""]))
    out = home / "audit.csv"
    command = [sys.executable, "-c", _WITH_PEAK, "audit", "--home", str(home), "--out", str(out)]
    runs = []
    for _ in range(2):
        out.unlink(missing_ok=True)
        start, used = time.perf_counter(), _used()
        ran = subprocess.run(command, check=True, capture_output=True, text=True)
        peak = int(ran.stdout.split()[-1]) / 1024
        runs.append(_Run(time.perf_counter() - start, _used() - used, peak))
        assert out.read_text().count(",trusted,") == meters
    return runs[0], runs[1]


def _used() -> float:
    """Seconds that all processes computed that were waited for: the node isn't one of them yet."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


#: Runs the command line, and says the peak of the largest process in KiB.
_WITH_PEAK = """
import atexit, resource, sys
from doitrust.cli.main import main
def tell():
    sides = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(max(resource.getrusage(side).ru_maxrss for side in sides))
if __name__ == "__main__":
    atexit.register(tell)
    main(sys.argv[1:])
"""


def _measure(meters: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = _chain(folder / "net", meters)
        with _served(folder / "net") as served:
            node = _node(served)
            height = node.tip().height
            view = IndexedView(_node(served), folder / "index.db")
            start, used = time.perf_counter(), time.process_time()
            view.tip()
            indexing, own = time.perf_counter() - start, time.process_time() - used
            start = time.perf_counter()
            size = sum(len(raw) for _, raw in node.blocks(0, height))
            fetching = time.perf_counter() - start
            cold, warm = _audited(folder, served, policy, meters)
            sample = min(meters, _SAMPLE)
            one_by_one = _naive(served, [f"1EMH{number:010}" for number in range(sample)]) * meters / sample
    print(
        f"audit: {meters} meters in {warm.seconds:.1f} s ({meters / warm.seconds:.0f} a second, {warm.used:.1f} s of "
        f"processors, {warm.peak:.0f} MiB), "
        f"one by one {one_by_one:.1f} s{'' if sample == meters else f' (by {sample} of them)'}: "
        f"{one_by_one / warm.seconds:.1f} × as fast; {cold.seconds:.1f} s without an index, "
        f"{one_by_one / cold.seconds:.1f} ×"
    )
    print(
        f"audit: cold index of {height + 1} blocks ({size / 2**20:.0f} MiB) in {indexing:.1f} s, fetching them alone "
        f"{fetching:.1f} s: {indexing / fetching:.2f} × ({own / (height + 1) * 1e6:.0f} µs a block of our own)"
    )


def bench_audit() -> None:
    """2,000 meters, and 20,000."""
    for meters in (2_000, 20_000):
        _measure(meters)


if __name__ == "__main__":
    for given in map(int, sys.argv[1:] or (2_000,)):
        _measure(given)
