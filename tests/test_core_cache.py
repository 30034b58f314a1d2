"""What is kept of a node's answers changes no verdict: not after a reorganisation, a lie, or damage to the file."""

import multiprocessing
import os
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import world as worlds
from cli import home, load, run, spawn
from coincurve import PrivateKey
from devnet_world import recorded_blocks
from lying import Call, Lies, Proxy, lying
from made import METER, Spend, Wallet, flip_s, p2wsh
from rpc_node import served
from test_cli_disk import forgets_to_be_root, locked
from test_core_node import LIMIT, core
from test_sources import HARMLESS, LIES, TRUTH, Scene, bytes_of, header_fields
from test_sources import at_home as at_home
from test_sources import scene as scene

from doitrust.adapters.core import cache as caching
from doitrust.adapters.core.cache import Cache, Entry
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.sources import Sources
from doitrust.chain.block import Block, Header
from doitrust.chain.networks import REGTEST
from doitrust.chain.tx import Input, Transaction
from doitrust.errors import DoitrustError
from doitrust.ports import ChainView
from doitrust.trust.evidence import Evidence
from doitrust.trust.verdict import Verdict
from doitrust.workflows.verify import verify

#: What is asked for transactions that aren't known.
FETCHING = {"getrawtransaction", "gettxoutproof"}


def quiet(path: Path) -> Cache:
    """A cache that has nothing to complain of."""
    return Cache(path, pytest.fail)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[worlds.World]:
    made = worlds.organised(tmp_path)
    yield made
    made.devnet.close()


@pytest.fixture
def proxy(world: worlds.World) -> Iterator[Proxy]:
    with served(world.devnet.directory) as (client, _), lying(client.port) as found:
        yield found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache.db"


def verdicts(
    world: worlds.World, chain: ChainView, meters: Sequence[str] = (METER,), **policy: Any
) -> tuple[tuple[Verdict, ...], Evidence]:
    found = verify(chain, world.devnet.contents, world.policy(**policy), list(meters))
    return tuple(found.verdicts), found.evidence


def same_as_cold(world: worlds.World, proxy: Proxy, path: Path, *meters: str) -> Verdict:
    """What the cache leads to, which is what the node says without, and takes nothing more from it the second time."""
    cold, evidence = verdicts(world, core(proxy.port), meters or (METER,))
    for _ in range(2):
        proxy.reset()
        warm, seen = verdicts(world, core(proxy.port, cache=quiet(path)), meters or (METER,))
        assert warm == cold
        assert seen.transactions.keys() == evidence.transactions.keys()
        for txid, located in seen.transactions.items():
            assert located.place == evidence.transactions[txid].place
            if located.tx.writes:
                assert located.tx.raw == evidence.transactions[txid].tx.raw
    assert not FETCHING & set(proxy.calls)
    return cold[0]


# ---- kept


def test_what_is_known_is_not_asked_for_again(world: worlds.World, proxy: Proxy, path: Path) -> None:
    """Nor what a change of the electrician's comes from, nor a stranger's writes that nobody looks into."""
    world.certify("E1", meter="OTHER")
    world.certify("E1")
    world.overwrite(b"junk")
    world.overwrite(b"junk", by=["stranger", "thief"])
    world.overwrite(b"junk", by=Spend(Wallet("p2pkh", ("E1",))))
    world.mine(6)
    verdict = same_as_cold(world, proxy, path)
    assert (verdict.status, verdict.contested, verdict.foreign_writes) == ("trusted", True, 2)
    world.revoke("E1")
    world.mine(1)
    proxy.reset()
    assert same_as_cold(world, proxy, path).status == "revoked"


def test_what_waits_is_not_kept(world: worlds.World, proxy: Proxy, path: Path) -> None:
    world.certify("E1")
    world.mine(6)
    with world.holding():
        world.revoke("E1")
    for _ in range(2):
        (verdict,), _ = verdicts(world, core(proxy.port, cache=quiet(path)))
        assert verdict.status == "revoked"
    assert proxy.calls.count("getrawtransaction") > 2
    world.mine(1)
    assert same_as_cold(world, proxy, path).status == "revoked"


def test_other_workflows_find_the_same(world: worlds.World, proxy: Proxy, path: Path) -> None:
    txid = world.certify("E1")
    world.mine(1)
    for _ in range(2):
        verdicts(world, core(proxy.port, cache=quiet(path)))
    proxy.reset()
    located = core(proxy.port, cache=quiet(path)).transaction(txid)
    expected = world.devnet.transaction(txid)
    assert located is not None
    assert expected is not None
    assert (located.tx.raw, located.place) == (expected.tx.raw, expected.place)
    assert not FETCHING & set(proxy.calls)


def test_no_cache_no_file(world: worlds.World, proxy: Proxy, path: Path) -> None:
    verdicts(world, core(proxy.port))
    quiet(path).entries("x", ["00" * 32])
    quiet(path).keep("x", [])
    assert not path.parent.exists()


# ---- reorganisations


def test_a_reorganisation_removes_and_moves(world: worlds.World, proxy: Proxy, path: Path) -> None:
    txid = world.certify("E1")
    world.mine(6)
    before = world.place(txid)
    assert same_as_cold(world, proxy, path).status == "trusted"
    world.reorg(7)  # it waits again
    assert same_again(world, proxy, path).status == "unknown"
    world.mine(7)
    assert world.place(txid) != before
    assert same_as_cold(world, proxy, path).status == "trusted"
    world.reorg(8, drop=True)
    assert same_again(world, proxy, path).status == "unknown"


def same_again(world: worlds.World, proxy: Proxy, path: Path) -> Verdict:
    """The same where something waits."""
    cold, _ = verdicts(world, core(proxy.port))
    for _ in range(2):
        warm, _ = verdicts(world, core(proxy.port, cache=quiet(path)))
        assert warm == cold
    return cold[0]


def test_a_reorganisation_while_it_is_read(world: worlds.World, proxy: Proxy, path: Path) -> None:
    txid = world.certify("E1")
    world.mine(6)
    same_as_cold(world, proxy, path)
    moved = iter([True])

    def pending(call: Call) -> Any:
        if next(moved, False):
            with closing(Devnet(world.devnet.directory, clock=world.clock)) as devnet:
                devnet.reorg(7)
                devnet.mine(9)
        return call.ask()

    # The organisation has been read, the meter not yet.
    proxy.lies["name_pending"] = pending
    before = world.place(txid)
    (verdict,), evidence = verdicts(world, core(proxy.port, cache=quiet(path)))
    assert verdict.status == "trusted"
    assert evidence.tip == world.devnet.tip()
    place = evidence.transactions[txid].place
    assert place is not None
    assert place.height == world.place(txid) != before


def test_what_is_mined_again_stands_where_it_was_first(world: worlds.World, proxy: Proxy, path: Path) -> None:
    txid = world.certify("E1")
    world.mine(6)
    first = world.devnet.transaction(txid)
    assert first is not None
    assert first.place is not None
    proxy.lies.update(_replayed(proxy, txid, world.devnet.tip().hash))
    # Without a history the node's own index tells of the last time; that is kept too, and is not what counts.
    late = core(proxy.port, cache=quiet(path)).transaction(txid)
    assert late is not None
    assert late.place is not None
    assert late.place.height > first.place.height
    node = core(proxy.port, cache=quiet(path))
    node.history(b"bp/" + METER.encode(), LIMIT)
    found = node.transaction(txid)
    assert found is not None
    assert found.place == first.place
    assert same_as_cold(world, proxy, path).status == "trusted"
    unasked = core(proxy.port, cache=quiet(path)).transaction(txid)
    assert unasked is not None
    assert unasked.place == first.place


def _replayed(proxy: Proxy, txid: str, block: str) -> Lies:
    """A node whose last block has a transaction once more, as only a chain without BIP 30 can."""
    tx = Transaction.parse(bytes.fromhex(_ask(proxy, "getrawtransaction", txid)))
    raw = bytes.fromhex(_ask(proxy, "getblockheader", block, False))
    header = raw[:80]
    made = header[:36] + bytes.fromhex(tx.txid)[::-1] + header[68:]
    made = (int.from_bytes(made[:4], "little") & ~0x100).to_bytes(4, "little") + made[4:]
    name = Header.parse(made).hash

    def transaction(call: Call) -> Any:
        if call.params[0] == txid and call.params[1]:
            return {"hex": tx.raw.hex(), "blockhash": name}
        return tx.raw.hex() if call.params[2:] == [name] else call.ask()

    def proof(call: Call) -> Any:
        tree = (1).to_bytes(4, "little") + b"\x01" + bytes.fromhex(txid)[::-1] + b"\x01\x01"
        return (made + tree).hex() if call.params[1] == name else call.ask()

    def told(call: Call) -> Any:
        return call.ask(block, True) if call.params[0] == name else call.ask()

    return {"getrawtransaction": transaction, "gettxoutproof": proof, "getblockheader": told}


def _ask(proxy: Proxy, method: str, *params: Any) -> Any:
    return Call(proxy, method, list(params)).ask()


# ---- lies that were told, and are told no more


def changed(what: str, change: Callable[[Input], Sequence[bytes]]) -> Callable[[Scene], Lies]:
    """Other witnesses under the txid."""

    def other(raw: bytes) -> bytes:
        tx = Transaction.parse(raw)
        inputs = [(each._replace(witness=list(change(each))), sequence) for each, sequence in _inputs(tx)]
        return Transaction.build(tx.version, tx._tx.lock_time, inputs, tx.outputs).raw

    return bytes_of(what, other)


def _inputs(tx: Transaction) -> list[tuple[Input, int]]:
    return list(zip(tx.inputs, [each.sequence for each in tx._tx.vin], strict=True))


def _flipped(spent: Input) -> list[bytes]:
    signature, *rest = spent.witness
    return [flip_s(signature[:-1]) + signature[-1:], *rest]


#: Lies about what could be kept, and others that may have it kept.
TOLD: dict[str, Callable[[Scene], Lies]] = {
    **{
        name: LIES[name].lies
        for name in (
            "other bytes",
            "bytes of a previous transaction",
            "a flipped byte of a signature",
            "no signatures",
            "another height",
            "blocks outside of the chain",
            "invented blocks",
            "a proof of another block",
            "a certificate that was never sent",
            "a revocation that isn't given",
            "no previous transaction",
            "no history",
        )
    },
    **{name: HARMLESS[name] for name in ("heights of histories", "blocks by height")},
    "the other S": changed("certificate", _flipped),
    "a longer witness": changed("certificate", lambda spent: [b"", *spent.witness]),
    "signatures by another key": changed(
        "certificate", lambda spent: [spent.witness[0], PrivateKey(b"\1" * 32).public_key.format()]
    ),
    "a damaged witness of what is spent": changed("previous", lambda _: [b"x" * 500]),
    "no signatures of a revocation": changed("revocation", lambda _: []),
    "no signatures of a withdrawn member": changed("late", lambda _: []),
    "no signatures of a list": changed("withdrawal", lambda _: []),
    "another time and work": header_fields(time=lambda _: 1, chainwork=lambda work: "0f" + work[2:]),
}


@pytest.mark.parametrize(
    ("name", "kinds"),
    [(name, kinds) for name in TOLD for kinds in (("o", "ff") if name in LIES else ("o", "f", "of", "ff"))],
)
@pytest.mark.thorough(8)
def test_a_lie_does_not_outlive_the_liar(scene: Scene, path: Path, name: str, kinds: str) -> None:
    """The first source lied while the cache was filled; after that the verdict is that of honest ones, all of it."""

    def said(liar: int, cache: Cache | None) -> tuple[Verdict, ...]:
        ports = [liar, scene.port]
        views = [
            core(port, own=kind == "o", name=str(number), cache=cache)
            for number, (port, kind) in enumerate(zip(ports, kinds, strict=False))
        ]
        chain = views[0] if len(views) == 1 else Sources(views)
        return verdicts(scene.world, chain, list(TRUTH), trust_source=kinds == "f")[0]

    truth = said(scene.port, None)
    assert {verdict.meter: verdict.status for verdict in truth} == TRUTH
    with lying(scene.port, TOLD[name](scene)) as proxy:
        try:
            said(proxy.port, quiet(path))
        except DoitrustError as error:
            assert error.code == "lying_source"  # noqa: PT017  # it need not be raised
        proxy.lies.clear()
        for _ in range(2):
            assert said(proxy.port, quiet(path)) == truth


@pytest.mark.parametrize("kind", ["o", "f"])
def test_a_damaged_signature_is_believed_by_nobody_and_kept_by_nobody(
    world: worlds.World, proxy: Proxy, path: Path, kind: str
) -> None:
    txid = world.certify("E1")
    world.mine(6)

    def damaged(call: Call) -> Any:
        answer = call.ask()
        raw = answer["hex"] if isinstance(answer, dict) else answer
        if call.params[0] != txid:
            return answer
        at = len(raw) - 100
        raw = raw[:at] + ("0" if raw[at] != "0" else "1") + raw[at + 1 :]
        return {**answer, "hex": raw} if isinstance(answer, dict) else raw

    def said() -> tuple[str, str | None]:
        node = core(proxy.port, own=kind == "o", cache=quiet(path))
        (verdict,), _ = verdicts(world, node, trust_source=True)
        return verdict.status, verdict.reason

    proxy.lies["getrawtransaction"] = damaged
    for _ in range(2):
        assert said() == ("undetermined", "bad_data")
    proxy.lies.clear()
    for _ in range(2):
        assert said() == ("trusted", None)
    # Once it was checked, an own node isn't asked for it any more.
    proxy.lies["getrawtransaction"] = damaged
    assert said() == (("trusted", None) if kind == "o" else ("undetermined", "bad_data"))


def test_a_witness_that_anybody_can_change_is_not_kept(world: worlds.World, proxy: Proxy, path: Path) -> None:
    script = b"\x75\x51"  # OP_DROP OP_TRUE
    coin = world.anyone(p2wsh(script))
    txid = world.overwrite(b"junk", by=Spend(coin, witness=(b"\1", script)))
    world.mine(6)
    expected = world.tx(txid).raw
    assert expected.count(script) == 1

    def other(call: Call) -> Any:
        answer = call.ask()
        if call.params[0] != txid:
            return answer
        raw = (answer["hex"] if isinstance(answer, dict) else answer).replace("0101027551", "0102027551")
        return {**answer, "hex": raw} if isinstance(answer, dict) else raw

    proxy.lies["getrawtransaction"] = other
    _, evidence = verdicts(world, core(proxy.port, cache=quiet(path)))
    assert evidence.transactions[txid].tx.raw != expected
    proxy.lies.clear()
    _, evidence = verdicts(world, core(proxy.port, cache=quiet(path)))
    assert evidence.transactions[txid].tx.raw == expected


# ---- whose word it is


def test_what_a_foreign_source_said_is_nothing_to_an_own_node(
    world: worlds.World, proxy: Proxy, path: Path
) -> None:
    world.certify("E1")
    world.mine(6)

    def fetched(**more: Any) -> set[str]:
        proxy.reset()
        verdicts(world, core(proxy.port, cache=quiet(path), **more))
        return FETCHING & set(proxy.calls)

    assert fetched(own=False) == FETCHING
    # Places were proven; signatures are a foreign source's word, and asked for each time.
    assert fetched(own=False) == {"getrawtransaction"}
    assert fetched(own=True) == FETCHING
    assert fetched(own=True) == set()
    with lying(proxy.target) as other:
        verdicts(world, core(other.port, cache=quiet(path)))
        assert set(other.calls) >= FETCHING
    assert fetched(own=True) == set()
    # A second chain with the same genesis is another one by its name alone.
    proxy.reset()
    verdicts(world, core(proxy.port, REGTEST, cache=quiet(path)))
    assert set(proxy.calls) >= FETCHING


# ---- the file


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _other_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def _other_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TABLE entries")
        database.commit()


def _somebody_else_s(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE entries (x)")


def _zeros(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + bytes(path.stat().st_size - 100))


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _odd_rows(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE entries SET data = 5 WHERE rowid % 3 = 0")
        database.execute("UPDATE entries SET block = 'x', used = 'y' WHERE rowid % 3 = 1")
        database.execute("UPDATE entries SET data = zeroblob(length(data)) WHERE rowid % 3 = 2")


#: What happens to the file, and whether it is told of.
DAMAGE: dict[str, tuple[Callable[[Path], object], bool]] = {
    "cut": (_cut, True),
    "garbage": (lambda path: path.write_bytes(random.Random(1).randbytes(5000)), True),
    "text": (lambda path: path.write_text("hello" * 100), True),
    "zeros": (_zeros, True),
    "another version": (_other_version, True),
    "other tables": (_other_tables, True),
    "somebody else's": (_somebody_else_s, True),
    "a folder": (_folder, True),
    "odd rows": (_odd_rows, False),
    "empty": (lambda path: path.write_bytes(b""), False),
    "gone": (lambda path: path.unlink(), False),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.thorough(3)
def test_a_damaged_file_is_made_anew(world: worlds.World, proxy: Proxy, path: Path, name: str) -> None:
    world.certify("E1")
    world.mine(6)
    cold = same_as_cold(world, proxy, path)
    damage, told = DAMAGE[name]
    damage(path)
    said: list[str] = []
    node = core(proxy.port, cache=Cache(path, said.append))
    assert verdicts(world, node)[0] == (cold,)
    assert len(said) == told
    if path.is_dir():
        path.rmdir()
    assert same_as_cold(world, proxy, path) == cold


def test_no_flipped_bit_changes_a_verdict(world: worlds.World, proxy: Proxy, path: Path) -> None:
    world.certify("E1")
    world.overwrite(b"junk")
    world.mine(6)
    cold = same_as_cold(world, proxy, path)
    kept = path.read_bytes()
    chance = random.Random(7)
    places = [*range(0, 100, 9), *(chance.randrange(len(kept)) for _ in range(40))]
    for at in places:
        path.write_bytes(kept[:at] + bytes([kept[at] ^ (1 << chance.randrange(8))]) + kept[at + 1 :])
        said: list[str] = []
        assert verdicts(world, core(proxy.port, cache=Cache(path, said.append)))[0] == (cold,), at
        assert len(said) <= 1


def test_an_entry_with_another_byte_is_none(path: Path) -> None:
    """Position and witness too, which no hash of the chain's holds here."""
    entry, raw = next((entry, raw) for entry, raw in _entries(1) if entry.tx and entry.tx.writes)
    cache = quiet(path)
    cache.keep("source", [(entry, raw)])
    assert cache.entries("source", [entry.txid]).keys() == {entry.txid}
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        ((data,),) = database.execute("SELECT data FROM entries").fetchall()
        for at in range(len(data)):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            database.execute("UPDATE entries SET data = ?", (changed,))
            assert cache.entries("source", [entry.txid]) == {}, at
        for changed in (data[:-1], data[:99], data[:50], b"", data + b"\0"):
            database.execute("UPDATE entries SET data = ?", (changed,))
            assert cache.entries("source", [entry.txid]) == {}
        database.execute("UPDATE entries SET data = ?, source = 'other'", (data,))
        assert cache.entries("other", [entry.txid]) == {}


def test_a_locked_file_is_left_aside(
    world: worlds.World, proxy: Proxy, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "_BUSY_SECONDS", 0.1)
    world.certify("E1")
    world.mine(6)
    cold = same_as_cold(world, proxy, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert verdicts(world, core(proxy.port, cache=quiet(path)))[0] == (cold,)
        other.execute("ROLLBACK")
        other.execute("BEGIN IMMEDIATE")  # somebody writes: what is kept can be read
        proxy.reset()
        assert verdicts(world, core(proxy.port, cache=quiet(path)))[0] == (cold,)
        assert not FETCHING & set(proxy.calls)
    assert same_as_cold(world, proxy, path) == cold


# ---- room


def _entries(number: int) -> list[tuple[Entry, bytes]]:
    """Transactions of a recorded chain in their blocks."""
    found = []
    for raw in recorded_blocks(number):
        block = Block.parse(raw)
        found += [
            (Entry(tx.txid, block.header, position, tx), tx.raw)
            for position, tx in enumerate(block.transactions)
        ]
    return found


def test_what_was_longest_not_used_makes_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "MOST_BYTES", 60_000)
    entries = _entries(1)
    now = [1_000_000.0]
    cache = Cache(path, pytest.fail, clock=lambda: now[0])
    used, *others = entries
    cache.keep("source", [used])
    for start in range(0, len(others), 10):
        now[0] += 3600
        cache.keep("source", others[start : start + 10])
        (found,) = cache.entries("source", [used[0].txid])[used[0].txid]
        assert found.tx is not None
        assert found.tx.raw == used[1]
        assert path.stat().st_size <= 60_000 + 40_000
    last = [entry.txid for entry, _ in others[-10:]]
    assert cache.entries("source", last).keys() == set(last)
    every = [entry.txid for entry, _ in entries]
    assert len(cache.entries("source", every)) < len(every) / 2


def test_neither_an_entry_nor_a_flood_of_them_is_kept_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "_MOST_ADDED", 5_000)
    entries = _entries(1)
    cache = quiet(path)
    cache.keep("source", [(entries[0][0], bytes(caching.MOST_KEPT + 1))])
    ((found,),) = cache.entries("source", [entries[0][0].txid]).values()
    assert found == entries[0][0]._replace(tx=None)
    cache.keep("flood", entries)
    kept = cache.entries("flood", [entry.txid for entry, _ in entries])
    assert 0 < len(kept) < 60


# ---- several processes


def _use(path: Path, number: int, results: Any) -> None:
    said: list[str] = []
    cache = Cache(path, said.append)
    entries = _entries(1)
    random.Random(number).shuffle(entries)
    wrong = 0
    for start in range(0, len(entries), 20):
        part = entries[start : start + 20]
        cache.keep("source", part)
        found = cache.entries("source", [entry.txid for entry, _ in part])
        for entry, raw in part:
            kept = [one for one in found.get(entry.txid, []) if one.header.hash == entry.header.hash]
            wrong += len(kept) != 1 or kept[0].tx is None or kept[0].tx.raw != raw
    results.put((wrong, said))


def test_several_processes_use_it_at_once(path: Path) -> None:
    spawning = multiprocessing.get_context("spawn")
    results = spawning.Queue()
    processes = [spawning.Process(target=_use, args=(path, number, results)) for number in range(3)]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert found == [(0, [])] * 3


# ---- through the command line


def test_the_command_line_keeps_it_in_the_home(scene: Scene, at_home: Callable[..., None]) -> None:
    env = {"DOITRUST_NETWORK": "regtest"}
    with lying(scene.port) as proxy:
        at_home(node=(proxy.port, True))
        first = run("verify", "--json", METER, env=env)
        proxy.reset()
        second = run("verify", "--json", METER, env=env)
        assert (first.status, first.err) == (0, "")
        assert second == first
        assert not FETCHING & set(proxy.calls)
        (home() / "cache.db").write_bytes(b"x" * 9999)
        third = run("verify", "--json", METER, env=env)
        assert (third.status, third.out) == (0, first.out)
        assert len(third.err.splitlines()) == 1
        assert "is made anew" in third.err
        assert run("verify", "--json", METER, env=env) == first
    saved = home().parent / "saved.tar"
    assert run("backup", saved, env=env).status == 0
    assert b"state.db" in saved.read_bytes()
    assert b"cache.db" not in saved.read_bytes()


def test_the_command_line_verifies_in_a_home_that_may_not_be_written(
    scene: Scene, at_home: Callable[..., None]
) -> None:
    env = {"DOITRUST_NETWORK": "regtest"}
    with lying(scene.port) as proxy:
        at_home(node=(proxy.port, True))
        with locked(home()):
            ran = spawn("verify", "--json", METER, env=env, before=forgets_to_be_root)
            assert (ran.status, ran.value["status"]) == (0, "trusted")
            assert len(ran.err.splitlines()) == 1
            assert "cache.db is not used" in ran.err
        expected = run("verify", "--json", METER, env=env)
        assert expected.value == ran.value
        with locked(home()):
            proxy.reset()
            again = spawn("verify", "--json", METER, env=env, before=forgets_to_be_root)
            assert (again.value, again.err) == (ran.value, "")
            assert not FETCHING & set(proxy.calls)


def test_the_embedded_chain_needs_none() -> None:
    load(1)
    assert run("verify", METER).status in (0, 3)
    assert run("verify", "1EMH0012345001").status == 0
    assert not (home() / "cache.db").exists()
