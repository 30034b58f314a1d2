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
from devnet_world import ALICE, BOB, NAME_AMOUNT, Key, World, coin_of, recorded_json
from lying_proxy import lying
from regtest_home import point_at, recorded_world
from rpc_node import served

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.devnet.rpc.server import running
from doitrust.adapters.index import IndexedView
from doitrust.adapters.pins import PinStore
from doitrust.chain.address import address_of
from doitrust.chain.block import Block
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Output, Transaction
from doitrust.errors import DoitrustError
from doitrust.meters.multisig import pairing_outputs
from doitrust.orgs.pins import Pin, Segment
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


class Gilde:
    """An organisation of Alice's in the test's home, accepted, of which Bob is a member."""

    def __init__(self) -> None:
        self.world = World(home() / "devnet", blocks=130)
        listed = {"format": "doitrust-members/1", "members": [{"key": BOB.public.hex()}]}
        self.cid = self.world.devnet.contents.put_file(json.dumps(listed).encode()).text
        made = self.world.pay(*(Output(10 * NAME_AMOUNT, key.p2wpkh) for key in [ALICE] * 3 + [BOB] * 3))
        self.world.send(made)
        self._coins = {
            key: [coin_of(made, at + n, key) for n in range(3)] for key, at in ((ALICE, 0), (BOB, 3))
        }
        root = self.write("bp_organization/Gilde", self.cid, ALICE)
        PinStore(home() / "state.db", DEVNET).accept(Pin("Gilde", (Segment(root),)))

    def write(self, name: str, value: Any, key: Key) -> str:
        text = value if isinstance(value, str) else json.dumps(value)
        tx = self.world.write(name, text, key, coins=[self._coins[key].pop()])
        return self.world.send(tx)

    def certify(self, meter: str, number: int = 1) -> str:
        node, client = Key.named(f"node {number}").public, Key.named(f"client {number}").public
        ms = address_of(pairing_outputs(node, client)["p2wsh"], DEVNET)
        record = {"v": 1, "org": "Gilde", "node": node.hex(), "client": client.hex(), "ms": ms}
        return self.write(f"bp/{meter}", record, BOB)


def test_only_named_meters_are_told_and_revocations_from_the_mempool_on() -> None:
    gilde = Gilde()
    devnet = gilde.world.devnet
    gilde.certify("M001")
    gilde.certify("M002")
    devnet.mine(6)
    devnet.automine(False)
    with watching("M001", "M009") as seen:
        assert [seen.next()["status"] for _ in range(2)] == ["trusted", "unknown"]
        txid = gilde.write("bp/M001", {"v": 1, "org": "Gilde", "revoked": "seal broken"}, ALICE)
        told = seen.next()
        assert (told["before"], told["status"], told["meter"]) == ("trusted", "revoked", "M001")
        assert (told["txid"], told["height"], told["confirmations"]) == (txid, None, 0)
        devnet.mine(1)
        gilde.write("bp/M002", {"v": 1, "org": "Gilde", "revoked": "seal broken"}, ALICE)
        seen.quiet()
        devnet.reorg(1, drop=True)
        assert seen.until("M001", "trusted")["before"] == "revoked"
        assert seen.end() == 0


def test_a_new_list_changes_verdicts_at_once() -> None:
    gilde = Gilde()
    gilde.certify("M001")
    gilde.world.devnet.mine(6)
    withdrawn = {"key": BOB.public.hex(), "revoked": {"height": 0, "reason": "error"}}
    listed = {"format": "doitrust-members/1", "members": [withdrawn]}
    with watching() as seen:
        assert seen.next()["status"] == "trusted"
        cid = gilde.world.devnet.contents.put_file(json.dumps(listed).encode()).text
        gilde.write("bp_organization/Gilde", cid, ALICE)
        told = seen.next()
        assert (told["meter"], told["status"], told["reason"]) == ("M001", "untrusted", "member_revoked")
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
