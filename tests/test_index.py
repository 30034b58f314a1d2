"""The index holds what the chain holds: walked, followed, cut back, killed, damaged, and lied to."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cli import home, load, spawn, start, temporary_folder
from devnet_world import ALICE, BOB, World, recorded_blocks, recorded_file, recorded_json
from lying_proxy import Proxy, lying
from rpc_node import SECRET, served

from doitrust.adapters.core.node import CoreNode
from doitrust.adapters.core.rpc import Rpc
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.devnet import recorded as recordings
from doitrust.adapters.index import IndexedSources, IndexedView
from doitrust.adapters.index.tables import Block as Row
from doitrust.adapters.index.tables import Entry, Tables, Write
from doitrust.chain.block import Block
from doitrust.chain.networks import REGTEST
from doitrust.chain.scan import scan_block
from doitrust.errors import BadData, Unavailable
from doitrust.meters.number import record_name

PREFIXES = (b"bp/", b"bp_organization/")
NONE = 10**6


# ---- blocks, scanned


@pytest.mark.parametrize("number", [1, 2])
def test_scanning_finds_the_transactions_that_parsing_finds(number: int) -> None:
    for raw in recorded_blocks(number):
        spans = scan_block(raw)
        parsed = Block.parse(raw)
        assert [(span.txid, raw[span.start : span.end]) for span in spans] == [
            (tx.txid, tx.raw) for tx in parsed.transactions
        ]


def test_no_other_bytes_pass_for_a_block() -> None:
    chance = random.Random(1)
    longest = sorted(recorded_blocks(1), key=len)[-20:]
    for raw in longest:
        for length in [*range(0, len(raw), 37), len(raw) - 1]:
            with pytest.raises(BadData):
                scan_block(raw[:length])
        with pytest.raises(BadData):
            scan_block(raw + b"\0")
        for _ in range(40):
            at = chance.randrange(36, len(raw))
            changed = raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]
            try:
                spans = scan_block(changed)
            except BadData:
                continue
            # Only what no txid holds may differ: header, AuxPoW, witnesses.
            assert [span.txid for span in spans] == [span.txid for span in scan_block(raw)]


# ---- the same as the node says


@cache
def _recorded(number: int) -> Path:
    folder = temporary_folder()
    devnet = Devnet(folder)
    devnet.import_chain(recordings.load(recorded_file(number)))
    devnet.close()
    return folder


def same(view: IndexedView, chain: Devnet) -> None:
    """Whether the index says of every name of ours what the chain says."""
    assert view.tip() == chain.tip()
    for prefix in PREFIXES:
        names = list(chain.names(prefix))
        assert list(view.names(prefix)) == names
        for name in names:
            listed = chain.history(name, NONE)
            assert view.history(name, NONE) == listed
            assert listed is not None
            assert view.history(name, len(listed) - 1) is None
            for txid, located in view.transactions(listed).items():
                expected = chain.transaction(txid)
                assert located is not None
                assert expected is not None
                assert (located.tx.raw, located.place) == (expected.tx.raw, expected.place)


@pytest.mark.parametrize("number", [1, 2])
def test_the_index_of_a_recorded_chain_is_what_the_chain_says(tmp_path: Path, number: int) -> None:
    chain = Devnet(_recorded(number))
    same(IndexedView(chain, tmp_path / "index.db"), chain)


@pytest.mark.parametrize("number", [1, 2])
def test_the_same_over_rpc(tmp_path: Path, number: int) -> None:
    with served(_recorded(number)) as (client, _):
        same(IndexedView(_node(client.port), tmp_path / "index.db"), Devnet(_recorded(number)))


def _node(port: int, name: str = "node", *, own: bool = True) -> CoreNode:
    user, _, password = SECRET.partition(":")
    rpc = Rpc(f"http://127.0.0.1:{port}", lambda: (user, password), timeout=20)
    return CoreNode(rpc, REGTEST, name=name, own=own)


def test_what_is_spent_is_asked_for_once(tmp_path: Path) -> None:
    with served(_recorded(1)) as (client, _), lying(client.port) as proxy:
        view = IndexedView(_node(proxy.port), tmp_path / "index.db")
        view.tip()
        (txid, *_) = view.history(record_name("1EMH0012345001"), 10) or []
        located = view.transaction(txid)
        assert located is not None
        spent = [spent.txid for spent in located.tx.inputs]
        first = view.transactions(spent)
        proxy.asked.clear()
        again = view.transactions(spent)
        assert proxy.asked == []
        assert {t: found and found.tx.raw for t, found in again.items()} == {
            t: found and found.tx.raw for t, found in first.items()
        }


# ---- following


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "net", blocks=110)
    yield made
    made.devnet.close()


def test_it_follows_the_tip_and_a_reorganisation(tmp_path: Path, world: World) -> None:
    view = IndexedView(world.devnet, tmp_path / "index.db")
    same(view, world.devnet)
    world.devnet.automine(False)
    for number in range(12):
        world.send(world.write(f"bp/METER{number % 3}", f"v{number}", coins=[world.coin(index=number % 2)]))
        world.devnet.mine(1)
        same(view, world.devnet)
    world.devnet.reorg(4)
    same(view, world.devnet)
    world.devnet.mine(1)  # what came back
    same(view, world.devnet)
    world.devnet.reorg(6, drop=True)
    same(view, world.devnet)


def test_another_chain_of_the_same_source_takes_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    for number in (1, 2, 1):
        chain = Devnet(_recorded(number))
        same(IndexedView(chain, path), chain)


def test_a_shorter_chain_cuts_the_index(tmp_path: Path, world: World) -> None:
    path = tmp_path / "index.db"
    world.send(world.write("bp/METER1", "v"))
    same(IndexedView(world.devnet, path), world.devnet)
    world.devnet.reset()
    same(IndexedView(world.devnet, path), world.devnet)


def test_views_do_not_see_what_others_add_behind_their_tip(tmp_path: Path, world: World) -> None:
    early, late = (IndexedView(world.devnet, tmp_path / "index.db") for _ in range(2))
    tip = early.tip()
    world.send(world.write("bp/METER1", "v"))
    same(late, world.devnet)
    assert list(early.meters()) == []
    assert early.history(b"bp/METER1", 9) == []
    assert early.standing([tip.hash])
    assert not early.standing([late.tip().hash])
    world.devnet.reorg(3)
    late.tip()
    assert not early.standing([tip.hash])


def test_a_transaction_that_is_mined_again_stands_where_it_was_first(tmp_path: Path) -> None:
    tables = Tables(tmp_path / "index.db", "source")
    rows = [Row(height, f"{height:064x}", 5, 0x207FFFFF, 2 * height) for height in range(4)]
    entry = Entry("ab" * 32, 1, 2, b"raw", [Write(b"bp/X", "Gilde", b"pair")])
    assert tables.append(None, rows, [entry, entry._replace(height=3)])
    assert tables.history(b"bp/X", 9, 3) == ["ab" * 32]
    found = tables.located(["ab" * 32], 3).get("ab" * 32)
    assert found is not None
    assert (found[1].height, found[1].position, found[1].below) == (1, 2, 2)
    tables.cut(2)
    assert tables.history(b"bp/X", 9, 2) == ["ab" * 32]
    tables.cut(0)
    assert tables.history(b"bp/X", 9, 9) == []
    assert not tables.append(rows[1], rows[2:], [])  # that isn't the last one


def test_what_records_say_is_found(tmp_path: Path) -> None:
    view = IndexedView(Devnet(_recorded(1)), tmp_path / "index.db")
    view.tip()
    everything = set(view.meters())
    known = recorded_json(1)["meters"]
    assert everything == {meter for meter, told in known.items() if told["status"] != "unknown"} | (
        everything - known.keys()
    )
    for name in recorded_json(1)["organizations"]:
        naming = set(view.meters(name))
        assert naming <= everything
        assert view.count(name) == len(naming)
        certified = {meter for meter, told in known.items() if told.get("organization") == name}
        assert certified <= naming
    assert view.count() >= len(everything)
    assert list(view.replaced([])) == []


# ---- killed, damaged, shared


def test_killed_anywhere_it_goes_on(tmp_path: Path) -> None:
    load(1)
    chain = Devnet(home() / "devnet")
    chain.mine(1500)
    path = home() / "index-devnet.db"
    reached = []
    for number in range(6):
        process = start("audit")
        try:
            until = time.monotonic() + 30
            while not path.exists() and time.monotonic() < until and process.poll() is None:
                time.sleep(0.005)
            time.sleep(0.01 * number)
        finally:
            process.kill()
            process.wait()
        if path.exists() and number < 3:
            with sqlite3.connect(path) as database:
                reached.append(database.execute("PRAGMA integrity_check").fetchone())
            database.close()
    assert set(reached) <= {("ok",)}
    same(IndexedView(chain, path), chain)


def _cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _scribbled(data: bytes) -> bytes:
    chance = random.Random(2)
    return b"".join(
        bytes(chance.randrange(256) for _ in range(512)) if at and at % 8192 == 0 else data[at : at + 512]
        for at in range(0, len(data), 512)
    )


def _other_schema(_data: bytes) -> bytes:
    path = temporary_folder() / "x.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    "damage", [_cut_short, _scribbled, _other_schema, lambda _: b"no database" * 100, lambda _: b""]
)
def test_a_damaged_file_is_made_anew_and_that_is_told(damage: Callable[[bytes], bytes]) -> None:
    load(1)
    before = spawn("audit")  # a process of its own, so that nothing is open any more
    path = home() / "index-devnet.db"
    assert not path.with_name(path.name + "-wal").exists()
    changed = damage(path.read_bytes())
    path.write_bytes(changed)
    after = spawn("audit")
    assert (after.status, after.out) == (before.status, before.out)
    assert ("made anew" in after.err) == (changed != b"")


def test_two_processes_make_one_index() -> None:
    load(1)
    Devnet(home() / "devnet").mine(300)
    both = [start("audit", "--out", home() / f"{number}.jsonl") for number in range(2)]
    assert [process.wait(timeout=60) for process in both] == [3, 3]
    first, second = ((home() / f"{number}.jsonl").read_text() for number in range(2))
    assert first == second
    chain = Devnet(home() / "devnet")
    same(IndexedView(chain, home() / "index-devnet.db"), chain)


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    view = IndexedView(Devnet(_recorded(1)), tmp_path / "file" / "index.db")
    with pytest.raises(Unavailable, match="index"):
        view.tip()


# ---- lied to


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with served(_recorded(1)) as (client, _), lying(client.port) as between:
        yield between


def _raw(change: Callable[[bytes, int], bytes]) -> Callable[[str, list[Any], Any], Any]:
    """Change raw blocks; the number counts them."""
    count = 0

    def lie(method: str, _params: list[Any], result: Any) -> Any:
        nonlocal count
        if method != "getblock":
            return result
        count += 1
        return change(bytes.fromhex(result), count).hex()

    return lie


def _swapped() -> Callable[[str, list[Any], Any], Any]:
    """Blocks 20 and 21 in each other's place."""
    one, other = (Block.parse(recorded_blocks(1)[height]).header.hash for height in (20, 21))

    def lie(method: str, _params: list[Any], result: Any) -> Any:
        return {one: other, other: one}.get(result, result) if method == "getblockhash" else result

    return lie


def _another(raw: bytes, number: int) -> bytes:
    return recorded_blocks(1)[3] if number == 30 else raw


def _with_name(raw: bytes) -> bool:
    return any(prefix in raw for prefix in PREFIXES)


LIES: dict[str, Callable[[], Callable[[str, list[Any], Any], Any]]] = {
    "another block": lambda: _raw(_another),
    "wrong order": _swapped,
    "garbage": lambda: _raw(lambda raw, number: b"garbage" if number == 40 else raw),
    "nothing": lambda: _raw(lambda raw, number: b"" if number == 40 else raw),
    "a block cut short": lambda: _raw(lambda raw, _: raw[:-3] if _with_name(raw) else raw),
    "more behind a block": lambda: _raw(lambda raw, _: raw + b"\0" if _with_name(raw) else raw),
    "another value": lambda: _raw(lambda raw, _: raw.replace(b'"v":1', b'"v":2')),
    "another genesis": lambda: _raw(lambda raw, number: recorded_blocks(1)[1] if number == 1 else raw),
    "no hex": lambda: lambda method, _, result: "zz" if method == "getblock" else result,
    "no hash": lambda: lambda method, _, result: 7 if method == "getblockhash" else result,
}


@pytest.mark.parametrize("kind", LIES)
@pytest.mark.thorough(3)
def test_a_lying_node_is_caught_and_its_blocks_never_stay(proxy: Proxy, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "index.db"
    view = IndexedView(_node(proxy.port), path)
    proxy.lie = LIES[kind]()
    with pytest.raises(Unavailable) as caught:
        view.tip()
    assert caught.value.code in ("lying_source", "wrong_network"), caught.value.message
    proxy.lie = lambda _method, _params, result: result
    same(IndexedView(_node(proxy.port), path), Devnet(_recorded(1)))


def test_a_transaction_under_another_name_is_not_taken(proxy: Proxy, tmp_path: Path) -> None:
    view = IndexedView(_node(proxy.port), tmp_path / "index.db")
    view.tip()
    (txid, *_) = view.history(record_name("1EMH0012345001"), 10) or []
    located = view.transaction(txid)
    assert located is not None
    proxy.lie = lambda method, _, result: located.tx.raw.hex() if method == "getrawtransaction" else result
    with pytest.raises(Unavailable, match="another transaction"):
        view.transactions([spent.txid for spent in located.tx.inputs])


def test_large_blocks_are_fetched_in_smaller_parts(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doitrust.adapters.core.rpc.MAX_ANSWER", 60_000)
    blocks = list(_node(proxy.port).blocks(0, 543))
    assert [raw for _, raw in blocks] == list(recorded_blocks(1))


# ---- two sources


def test_two_foreign_sources_are_indexed_each_and_asked_as_one(tmp_path: Path) -> None:
    chain = Devnet(_recorded(1))
    with served(_recorded(1)) as (client, _):
        views = [
            IndexedView(_node(client.port, f"node {number}", own=False), tmp_path / f"{number}.db")
            for number in range(2)
        ]
        both = IndexedSources(views)
        assert both.tip() == chain.tip()
        assert list(both.meters()) == list(views[0].meters())
        assert both.count() == views[0].count()
        assert both.written(500) == views[0].written(500)
        assert both.waiting() == set()
        name = record_name("1EMH0012345001")
        assert both.history(name, 9) == chain.history(name, 9)
        for txid in both.history(name, 9) or []:
            one, other = both.transaction(txid), views[0].transaction(txid)
            assert one is not None
            assert other is not None
            assert (one.tx.raw, one.place) == (other.tx.raw, other.place)


def test_what_another_source_said_is_forgotten(tmp_path: Path, world: World) -> None:
    path = tmp_path / "index.db"
    world.send(world.write("bp/METER1", "v", ALICE))
    same(IndexedView(world.devnet, path), world.devnet)
    tables = Tables(path, "another")
    assert tables.top() is None
    assert list(tables.names(b"bp/", 10**6)) == []
    world.send(world.write("bp/METER2", "v", BOB))
    same(IndexedView(world.devnet, path), world.devnet)
