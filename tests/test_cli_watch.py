"""`doitrust watch`: real processes that follow a chain, see verdicts change, and outlive their node."""

import json
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli import failure, home, load, meter, run, start
from devnet_world import recorded_json
from lying_proxy import lying
from regtest_home import point_at, recorded_world
from rpc_node import served

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.devnet.rpc.server import running
from doitrust.adapters.index import IndexedView
from doitrust.adapters.pins import PinStore
from doitrust.chain.block import Block
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Transaction
from doitrust.errors import DoitrustError
from doitrust.trust.policy import Policy
from doitrust.workflows.verify import verify
from doitrust.workflows.watch import Change, Watch


class Watching:
    """A running `watch --json`."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.lines: queue.Queue[str] = queue.Queue()
        self.told: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(stream, keep), daemon=True)
            for stream, keep in ((process.stdout, self.lines.put), (process.stderr, self.told.append))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, keep: Callable[[str], object]) -> None:
        for line in stream:
            keep(line.decode())

    def next(self, seconds: float = 20) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.lines.get(timeout=seconds))
        return value

    def until(self, meter: str, status: str) -> dict[str, Any]:
        """The next line about a meter; it must say this."""
        while True:
            found = self.next()
            if found["meter"] == meter:
                assert found["status"] == status, found
                return found

    def quiet(self, seconds: float = 2.5) -> None:
        """Nothing is said for so long."""
        time.sleep(seconds)
        assert self.lines.empty(), self.lines.get()

    def heard(self, words: str, seconds: float = 20) -> int:
        """Wait for a message, and return how often it was said."""
        until = time.monotonic() + seconds
        while not any(words in line for line in self.told):
            assert time.monotonic() < until, self.told
            time.sleep(0.05)
        return sum(words in line for line in self.told)

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=20)


@contextmanager
def watching(*arguments: object, env: dict[str, str | None] | None = None) -> Iterator[Watching]:
    process = start("watch", "--json", *arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield Watching(process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


#: Certified one block deep at the chain's end.
LAST = meter(23)


def test_it_says_each_verdict_and_then_those_that_change() -> None:
    load(1)
    chain = Devnet(home() / "devnet")
    audited = {json.loads(line)["meter"]: json.loads(line) for line in run("audit").out.splitlines()}
    with watching() as seen:
        first = [seen.next() for _ in audited]
        for told in first:
            assert told["before"] is None
            expected = {k: v for k, v in audited[told["meter"]].items() if k != "replaced"}
            assert {k: v for k, v in told.items() if k != "before"} == expected
        chain.mine(1)
        seen.quiet()  # one more confirmation changes no verdict
        chain.mine(4)
        told = seen.until(LAST, "trusted")
        assert told["before"] == "unconfirmed"
        assert told["tip"] == chain.tip().hash
        seen.quiet()
        chain.reorg(6, drop=True)
        assert seen.until(LAST, "unknown")["before"] == "trusted"
        assert seen.end() == 0
    assert seen.told == []


def test_only_named_meters_are_told_and_revocations_from_the_mempool_on() -> None:
    load(1)
    run("devnet", "automine", "off")
    chain = Devnet(home() / "devnet")
    blocks = recorded_json(1)["blocks"]
    revoked = next(m for m, told in recorded_json(1)["meters"].items() if told["status"] == "revoked")
    found = run("verify", "--json", revoked).value
    depth = len(blocks) - found["revocation"]["height"]
    chain.reorg(depth)
    with watching(revoked, meter(1)) as seen:
        told = [seen.next() for _ in range(2)]
        assert [line["meter"] for line in told] == [revoked, meter(1)]
        assert (told[0]["txid"], told[0]["height"]) == (found["revocation"]["txid"], None)
        waiting = [chain.transaction(txid) for txid in chain.waiting()]
        chain.mine(1)
        seen.quiet()
        chain.reorg(1, drop=True)
        before = seen.next()
        assert (before["meter"], before["before"]) == (revoked, "revoked")
        for located in waiting:
            assert located is not None
            chain.broadcast(located.tx.raw)
        told = [seen.until(revoked, "revoked")]
        assert (told[0]["before"], told[0]["confirmations"]) == (before["status"], 0)
        assert seen.end() == 0


def test_it_waits_for_a_node_that_goes_away() -> None:
    devnet, folder = recorded_world(1)
    with served(devnet) as (client, _):
        port = client.port
        env = point_at(folder, port)
        seen_context = watching(LAST, env=env)
        seen = seen_context.__enter__()
        try:
            assert seen.next()["status"] == "unconfirmed"
        except BaseException:
            seen_context.__exit__(None, None, None)
            raise
    try:
        seen.heard("Trying again")
        time.sleep(3)
        assert seen.heard("Trying again") == 1
        chain = Devnet(devnet)
        chain.mine(5)
        chain.close()
        # A node that was started anew has a new cookie.
        (folder / "cookie").write_text("__cookie__:" + "7a" * 32)
        with running(devnet, port, "__cookie__:" + "7a" * 32):
            assert seen.until(LAST, "trusted")["before"] == "unconfirmed"
            assert seen.heard("answers again") == 1
            assert seen.end() == 0
    finally:
        seen_context.__exit__(None, None, None)


def test_a_lying_node_is_waited_for_and_changes_nothing() -> None:
    devnet, folder = recorded_world(1)
    with served(devnet) as (client, _), lying(client.port) as proxy:
        env = point_at(folder, proxy.port)
        with watching(LAST, env=env) as seen:
            assert seen.next()["status"] == "unconfirmed"
            proxy.lie = lambda method, _, result: "00" * 200 if method == "getblock" else result
            chain = Devnet(devnet)
            chain.mine(5)
            seen.heard("gives wrong answers")
            assert seen.lines.empty()
            proxy.lie = lambda _method, _params, result: result
            assert seen.until(LAST, "trusted")["before"] == "unconfirmed"
            assert seen.end() == 0


def test_without_a_node_it_does_not_begin() -> None:
    _, folder = recorded_world(1)
    env = point_at(folder, 1)
    assert "no node answers" in failure("watch", env=env)


def test_for_people_it_says_what_was_before() -> None:
    load(1)
    chain = Devnet(home() / "devnet")
    process = start("watch", LAST, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert "UNCONFIRMED" in process.stdout.readline().decode()
        assert "come back later" in process.stdout.readline().decode()
        chain.mine(5)
        line = process.stdout.readline().decode()
        assert "TRUSTED" in line
        assert "(was UNCONFIRMED)" in line
        assert f"block {chain.tip().height}" in line
    finally:
        process.kill()
        process.communicate()


# ---- what is looked at again


class Counting(IndexedView):
    """Counts the names that it is asked for."""

    def __init__(self, chain: Devnet, path: Path) -> None:
        super().__init__(chain, path)
        self.looked: set[bytes] = set()

    def history(self, name: bytes, limit: int) -> list[str] | None:
        self.looked.add(name)
        return super().history(name, limit)


@pytest.fixture
def counting() -> Counting:
    load(1)
    return Counting(Devnet(home() / "devnet"), home() / "index.db")


def _policy() -> Policy:
    return Policy(PinStore(home() / "state.db", DEVNET).all())


def _everything(view: IndexedView, chain: Devnet) -> dict[str, str]:
    meters = sorted({*view.meters(), *recorded_json(1)["meters"]})
    return {v.meter: v.status.value for v in verify(chain, chain.contents, _policy(), meters).verdicts}


def test_a_block_makes_it_look_at_few_meters(counting: Counting) -> None:
    chain = Devnet(home() / "devnet")
    watch = Watch(lambda: counting, chain.contents, _policy())
    assert len(list(watch.look())) == len(list(counting.meters()))
    counting.looked.clear()
    assert list(watch.look()) == []
    assert counting.looked == set()
    chain.mine(1)
    assert list(watch.look()) == []
    assert {name for name in counting.looked if name.startswith(b"bp/")} == {f"bp/{LAST}".encode()}


def test_through_the_whole_recorded_chain_no_change_is_missed(counting: Counting) -> None:
    """Played block by block, and backwards in jumps, the changes add up to what `verify` says."""
    chain = Devnet(home() / "devnet")
    recorded = [bytes.fromhex(text) for text in recorded_json(1)["blocks"]]
    chain.reorg(90, drop=True)
    watch = Watch(lambda: counting, chain.contents, _policy())
    known: dict[str, str] = {}

    def take(changes: Iterator[Change]) -> None:
        for change in changes:
            before = None if change.before is None else change.before.value
            assert known.get(change.verdict.meter) == before
            known[change.verdict.meter] = change.verdict.status.value

    def agrees() -> None:
        expected = _everything(counting, chain)
        assert {m: s for m, s in expected.items() if s != "unknown"} == {
            m: s for m, s in known.items() if s != "unknown"
        }

    take(watch.look())
    agrees()
    for number, raw in enumerate(recorded[-90:]):
        with_names = raw.count(b"bp")
        for tx in _transactions(raw):
            try:
                chain.broadcast(tx.raw)
            except DoitrustError:
                continue  # it can't stand without the blocks that were left out
        if with_names or number % 10 == 0:
            take(watch.look())
            agrees()
    for depth in (3, 17, 1, 40):
        chain.reorg(depth, drop=depth % 2 == 0)
        take(watch.look())
        agrees()


def _transactions(raw: bytes) -> list[Transaction]:
    return list(Block.parse(raw).transactions[1:])
