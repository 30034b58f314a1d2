"""The embedded chain: recorded chains, mining, the mempool, reorganisations, names that anyone can overwrite."""

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from devnet_world import (
    ALICE,
    BOB,
    FEE,
    MINER,
    NAME_AMOUNT,
    Coin,
    Key,
    World,
    coin_of,
    recorded_blocks,
    recorded_file,
    recorded_json,
    transaction,
    written,
)

from doitrust.adapters.devnet import Devnet, load, miner_key
from doitrust.adapters.devnet.connect import connect
from doitrust.adapters.devnet.miner import solve
from doitrust.adapters.devnet.recorded import Recorded
from doitrust.adapters.devnet.rules import Next
from doitrust.adapters.devnet.tables import Tables
from doitrust.chain.block import Block, block_work
from doitrust.chain.names import NAME_TX_VERSION
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.content.cid import parse_cid
from doitrust.errors import BadData, Refused, Usage

BOTH = pytest.mark.parametrize("number", [1, 2])

#: m/84h/1h/0h/0/0 of the vector file's phrase, "abandon … about": key E1, an electrician's.
E1 = Key(bytes.fromhex("a9c4134b73560f43fc5c081e5c1daa7ce068adc806d80e1f37cb658e0fea4c8d"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "devnet")
    yield world
    world.devnet.close()


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Devnet]:
    devnet = Devnet(tmp_path / "devnet")
    assert devnet.import_chain(load(recorded_file(1)))
    yield devnet
    devnet.close()


# ---- recorded chains


@BOTH
def test_a_recorded_chain_comes_back_byte_for_byte(tmp_path: Path, number: int) -> None:
    devnet = Devnet(tmp_path)
    steps: list[tuple[int, int]] = []
    assert devnet.import_chain(load(recorded_file(number)), lambda done, of: steps.append((done, of)))
    blocks = recorded_blocks(number)
    assert [devnet.block(height) for height in range(len(blocks))] == list(blocks)
    assert devnet.block(len(blocks)) is None
    last = Block.parse(blocks[-1]).header
    work = sum(block_work(Block.parse(raw).header.bits) for raw in blocks)
    assert devnet.tip() == (len(blocks) - 1, last.hash, last.time, work)
    assert devnet.standing([last.hash, "00" * 32]) == {last.hash}
    assert steps == [(done, len(blocks) - 1) for done in range(1, len(blocks))]
    devnet.close()


@BOTH
def test_every_transaction_is_found_where_it_first_occurs(tmp_path: Path, number: int) -> None:
    devnet = Devnet(tmp_path)
    devnet.import_chain(load(recorded_file(number)))
    seen: set[str] = set()
    for height, raw in enumerate(recorded_blocks(number)):
        block = Block.parse(raw)
        for position, tx in enumerate(block.transactions):
            if tx.txid not in seen:
                located = devnet.transaction(tx.txid)
                assert located is not None
                assert located.tx.raw == tx.raw
                assert located.place is not None
                assert located.place[:4] == (block.header.hash, height, position, block.header.time)
            seen.add(tx.txid)
    assert devnet.transaction("11" * 32) is None
    devnet.close()


def test_history_is_what_the_node_listed(loaded: Devnet) -> None:
    histories = recorded_json(1)["name_history"]
    assert len(histories) > 20
    for name, writes in histories.items():
        expected = list(dict.fromkeys(write["txid"] for write in writes))
        assert loaded.history(name.encode(), 100) == expected
    assert loaded.history(b"nobody", 0) == []


def test_history_stops_at_the_limit(world: World) -> None:
    world.devnet.automine(False)
    for index in range(3):
        world.send(world.write("a", str(index)))
        world.devnet.mine(1)
    assert len(world.devnet.history(b"a", 3) or []) == 3
    assert world.devnet.history(b"a", 2) is None


def test_names_are_sorted_and_cut_by_prefix(loaded: Devnet) -> None:
    every = list(loaded.names(b""))
    assert every == sorted(set(every))
    assert {name.encode() for name in recorded_json(1)["name_history"]} <= set(every)
    assert list(loaded.names(b"bp/")) == [name for name in every if name.startswith(b"bp/")]
    assert list(loaded.names(b"zz")) == []


def test_contents_are_there_after_an_import(loaded: Devnet) -> None:
    for cid, text in recorded_json(1)["ipfs"].items():
        assert loaded.contents.get(parse_cid(cid)) == text.encode()


def test_the_same_chain_again_does_nothing(loaded: Devnet) -> None:
    recorded = load(recorded_file(1))
    assert not loaded.import_chain(recorded)
    loaded.mine(3)
    tip = loaded.tip()
    assert not loaded.import_chain(recorded)
    assert loaded.tip() == tip
    assert loaded.status()["imported"] == "doichain-regtest-1.json"


def test_another_chain_is_refused_until_a_reset(loaded: Devnet) -> None:
    other = load(recorded_file(2))
    tip = loaded.tip()
    with pytest.raises(Refused, match="another chain") as caught:
        loaded.import_chain(other)
    assert "devnet reset" in caught.value.hint
    assert loaded.tip() == tip
    loaded.reset()
    assert loaded.tip().height == 0
    assert loaded.contents.get(parse_cid(next(iter(recorded_json(1)["ipfs"])))) is None
    assert loaded.import_chain(other)


def test_a_mined_chain_is_another_chain(world: World) -> None:
    with pytest.raises(Refused, match="another chain"):
        world.devnet.import_chain(load(recorded_file(1)))


def test_a_chain_that_does_not_connect_leaves_nothing(tmp_path: Path) -> None:
    recorded = load(recorded_file(1))
    blocks = list(recorded.blocks)
    del blocks[300]
    devnet = Devnet(tmp_path)
    with pytest.raises(BadData, match="block 300 doesn't connect: prev-blk-not-found"):
        devnet.import_chain(type(recorded)("cut.json", tuple(blocks), (), ()))
    blocks[300] = blocks[300] + b"\0"
    with pytest.raises(BadData, match="block 300 doesn't connect: a block with trailing bytes"):
        devnet.import_chain(type(recorded)("cut.json", tuple(blocks), (), ()))
    assert devnet.tip().height == 0
    assert devnet.import_chain(recorded)
    devnet.close()


def test_an_imported_coin_can_be_spent_and_the_name_is_in_its_history(loaded: Devnet) -> None:
    found = loaded.coins(E1.p2wpkh)[0]
    coin = Coin(found.txid, found.vout, found.value, E1.p2wpkh, E1)
    change = Output(found.value - NAME_AMOUNT - FEE, E1.p2wpkh)
    tx = transaction([coin], [written("bp/ours", "value", E1), change], version=NAME_TX_VERSION)
    height = loaded.tip().height
    assert loaded.broadcast(tx.raw) == tx.txid
    assert loaded.history(b"bp/ours", 10) == [tx.txid]
    located = loaded.transaction(tx.txid)
    assert located is not None
    assert located.place is not None
    assert (located.place.height, located.place.position) == (height + 1, 1)
    assert loaded.tip().height == height + 1


# ---- mining


def test_a_new_devnet_is_the_genesis_block_alone(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there" / "yet"
    devnet = Devnet(directory)
    assert not directory.exists()
    assert devnet.tip().hash == DEVNET.genesis
    assert (devnet.name, devnet.own, devnet.network) == ("devnet", True, DEVNET)
    status = devnet.status()
    assert status["blocks"] == 0
    assert status["automine"]
    assert status["imported"] is None
    assert status["size"] > 0
    assert status["directory"] == str(directory)
    devnet.close()


def test_mined_blocks_pay_the_miner_what_the_node_allows(world: World) -> None:
    assert miner_key().public == MINER.public
    assert miner_key().script == MINER.p2wpkh
    world.devnet.mine(50)
    coins = world.devnet.coins(MINER.p2wpkh)
    assert [coin.value for coin in coins] == [50 * 10**8] * 149 + [25 * 10**8] * 11
    assert [coin.mature for coin in coins].count(True) == 61  # 100 blocks deep in the next block
    assert [coin.confirmations for coin in coins][:2] == [160, 159]


def test_block_times_follow_the_clock_and_the_median(world: World) -> None:
    world.clock.now += 1000
    world.devnet.mine(1)
    assert world.devnet.tip().time == world.clock.now
    world.clock.now -= 10**6
    before = world.devnet.tip()
    world.devnet.mine(12)
    assert world.devnet.tip().time > before.time - 1000
    assert world.devnet.tip().time > world.clock.now


def test_less_than_no_blocks_is_a_usage_error(world: World) -> None:
    assert world.devnet.mine(0) == []
    with pytest.raises(Usage):
        world.devnet.mine(-1)


def test_without_automine_a_transaction_waits(world: World) -> None:
    world.devnet.automine(False)
    tx = world.write("bp/x", "1")
    assert world.send(tx) == tx.txid
    assert world.devnet.mempool(b"bp/x") == [tx.txid]
    assert world.devnet.history(b"bp/x", 9) == []
    located = world.devnet.transaction(tx.txid)
    assert located is not None
    assert located.tx.raw == tx.raw
    assert located.place is None
    assert world.devnet.status()["mempool"] == 1
    assert world.send(tx) == tx.txid  # again is no error
    world.devnet.mine(1)
    assert world.devnet.mempool(b"bp/x") == []
    assert world.devnet.history(b"bp/x", 9) == [tx.txid]
    assert world.devnet.waiting() == []


def test_waiting_transactions_may_build_on_each_other(world: World) -> None:
    world.devnet.automine(False)
    first = world.write("bp/x", "1")
    second = world.write("bp/y", "2", coins=[coin_of(first, 1, MINER)])
    with pytest.raises(Refused, match="missingorspent"):
        world.send(second)
    world.send(first)
    world.send(second)
    assert world.devnet.waiting() == [first.txid, second.txid]
    world.devnet.mine(1)
    assert [tx.txid for tx in world.tip_block().transactions[1:]] == [first.txid, second.txid]


def test_a_pending_name_can_not_be_updated_before_it_is_in_the_chain(world: World) -> None:
    """The node looks for the name in its database, which knows nothing of the mempool."""
    world.devnet.automine(False)
    first = world.write("bp/x", "1")
    world.send(first)
    update = world.write("bp/x", "2", coins=[coin_of(first, 0, ALICE), world.coin()])
    with pytest.raises(Refused) as caught:
        world.send(update)
    assert caught.value.code == "tx-nameupdate-nonexistant"
    world.devnet.mine(1)
    world.send(update)


def test_fees_go_to_the_miner(world: World) -> None:
    tx = world.pay(Output(10**8, ALICE.p2wpkh), fee=123_456)
    world.send(tx)
    assert world.tip_block().transactions[0].outputs[0].value == 50 * 10**8 + 123_456
    assert [coin.value for coin in world.devnet.coins(ALICE.p2wpkh)] == [10**8]


def test_coins_leave_out_names_and_what_is_being_spent(world: World) -> None:
    world.devnet.automine(False)
    world.send(world.write("bp/x", "1", key=MINER))
    world.devnet.mine(1)
    before = world.devnet.coins(MINER.p2wpkh)
    assert NAME_AMOUNT not in {coin.value for coin in before}
    tx = world.pay(Output(10**8, ALICE.p2wpkh))
    world.send(tx)
    after = world.devnet.coins(MINER.p2wpkh)
    assert {(c.txid, c.vout) for c in before} - {(c.txid, c.vout) for c in after} == {
        (tx.inputs[0].txid, tx.inputs[0].vout)
    }


# ---- names


def test_a_stranger_overwrites_a_name(world: World) -> None:
    mine, theirs = world.write("bp/x", "mine", ALICE), world.write("bp/x", "theirs", BOB)
    world.send(mine)
    theirs = world.write("bp/x", "theirs", BOB)
    world.send(theirs)
    assert world.devnet.history(b"bp/x", 9) == [mine.txid, theirs.txid]


def test_a_name_coin_may_be_spent_under_another_name(world: World) -> None:
    """And the chain goes on when the first name expires, where a node would stop."""
    world.send(world.write("bp/x", "1", ALICE))
    last = world.write("bp/y", "1", ALICE)
    world.send(last)
    cross = world.write("bp/x", "2", BOB, coins=[coin_of(last, 0, ALICE), world.coin()])
    world.send(cross)
    world.devnet.mine(40)
    assert world.devnet.history(b"bp/x", 9) is not None


def test_a_name_coin_leaves_the_chain_when_its_name_expires(world: World) -> None:
    first, second = world.write("bp/x", "1"), world.write("bp/y", "1", coins=[world.coin(index=1)])
    world.devnet.mine_with([first.raw, second.raw])
    world.devnet.mine(28)
    # The last chance: block h + 29.
    last = world.write("bp/x", "2", coins=[coin_of(first, 0, ALICE), world.coin()])
    late = world.write("bp/y", "2", coins=[coin_of(second, 0, ALICE), world.coin(index=1)])
    world.devnet.mine_with([last.raw])
    with pytest.raises(Refused) as caught:
        world.send(late)
    assert caught.value.code == "bad-txns-inputs-missingorspent"
    assert world.devnet.history(b"bp/y", 9) == [second.txid]  # the history stays


def test_an_overwritten_names_coin_never_expires(world: World) -> None:
    """The node expires the coin of a name's last write only."""
    first = world.write("bp/x", "1", ALICE)
    world.send(first)
    world.send(world.write("bp/x", "2", BOB))
    world.devnet.mine(60)
    world.send(world.write("bp/x", "3", ALICE, coins=[coin_of(first, 0, ALICE), world.coin()]))


def test_a_pending_spend_of_an_expiring_name_leaves_the_mempool(world: World) -> None:
    """A node that holds such a transaction builds no block any more."""
    world.devnet.automine(False)
    first = world.write("bp/x", "1")
    world.send(first)
    world.devnet.mine(28)
    update = world.write("bp/x", "2", coins=[coin_of(first, 0, ALICE), world.coin()])
    child = world.pay(Output(10**6, BOB.p2wpkh), coins=[coin_of(update, 1, MINER)])
    world.send(update)
    world.send(child)
    world.devnet.mine_with([])
    assert world.devnet.waiting() == [update.txid, child.txid]
    world.devnet.mine_with([])
    assert world.devnet.waiting() == []
    assert len(world.devnet.mine(2)) == 2


def test_a_coinbase_may_write_names(world: World) -> None:
    """Any number, in any version, with nothing in them."""
    block = _next_block(world.devnet, world.clock.now, [written(f"bp/{i}", "1", BOB, 0) for i in range(3)])
    world.devnet.submit(block.serialize())
    assert list(world.devnet.names(b"bp/")) == [b"bp/0", b"bp/1", b"bp/2"]
    txid = block.transactions[0].txid
    assert [world.devnet.history(b"bp/%d" % i, 9) for i in range(3)] == [[txid]] * 3


# ---- spending twice


def test_spending_twice(world: World) -> None:
    coin = world.coin()
    first = world.pay(Output(10**8, ALICE.p2wpkh), coins=[coin])
    second = world.pay(Output(10**8, BOB.p2wpkh), coins=[coin])
    world.devnet.automine(False)
    world.send(first)
    with pytest.raises(Refused) as caught:
        world.send(second)
    assert caught.value.code == "txn-mempool-conflict"
    child = world.pay(Output(10**7, BOB.p2wpkh), coins=[coin_of(first, 1, MINER)])
    world.send(child)
    world.devnet.mine_with([second.raw])  # a miner may have seen the other one first
    assert world.devnet.waiting() == []
    with pytest.raises(Refused) as caught:
        world.send(first)
    assert caught.value.code == "bad-txns-inputs-missingorspent"
    with pytest.raises(Refused) as caught:
        world.send(second)
    assert caught.value.code == "txn-already-known"


# ---- reorganisations


def test_a_reorganisation_replaces_blocks_and_returns_what_they_held(world: World) -> None:
    first = world.write("bp/x", "1")
    world.send(first)
    second = world.write("bp/x", "2", coins=[coin_of(first, 0, ALICE), coin_of(first, 1, MINER)])
    world.send(second)
    tip = world.devnet.tip()
    hashes = world.devnet.reorg(2)
    assert len(hashes) == 3
    assert world.devnet.tip().height == tip.height + 1
    assert world.devnet.tip().hash == hashes[-1]
    assert not world.devnet.standing([tip.hash])
    assert world.devnet.history(b"bp/x", 9) == []
    # The second can't wait: its name isn't in the chain, and the node's mempool looks only there.
    assert world.devnet.waiting() == [first.txid]
    world.devnet.mine(1)
    world.send(second)
    assert world.devnet.history(b"bp/x", 9) == [first.txid, second.txid]


def test_a_reorganisation_may_forget_what_it_removes(world: World) -> None:
    first = world.pay(Output(10**8, ALICE.p2wpkh))
    world.send(first)
    world.devnet.automine(False)
    other = world.pay(Output(10**8, BOB.p2wpkh))
    child = world.pay(Output(10**7, BOB.p2wpkh), coins=[coin_of(first, 1, MINER)])
    world.send(other)
    world.send(child)
    world.devnet.reorg(1, drop=True)
    assert world.devnet.waiting() == [other.txid]  # the child depended on what was dropped
    assert world.devnet.transaction(first.txid) is None
    assert world.devnet.coins(ALICE.p2wpkh) == []


def test_what_depends_on_a_removed_coinbase_goes_with_it(world: World) -> None:
    world.devnet.mine(100)
    youngest = [c for c in world.devnet.coins(MINER.p2wpkh) if c.mature][-1]
    tx = world.pay(Output(10**8, ALICE.p2wpkh), coins=[world.of(youngest, MINER)])
    world.send(tx)
    world.devnet.reorg(102)
    assert world.devnet.waiting() == []
    assert world.devnet.transaction(tx.txid) is None


def test_order_is_kept_and_the_removed_come_first(world: World) -> None:
    parents = [world.pay(Output(10**8, ALICE.p2wpkh), coins=[world.coin(index=i)]) for i in range(4)]
    for tx in parents[:3]:
        world.send(tx)
    world.devnet.automine(False)
    world.send(parents[3])
    world.devnet.reorg(3)
    assert world.devnet.waiting() == [tx.txid for tx in parents]
    world.devnet.mine(1)
    assert [tx.txid for tx in world.tip_block().transactions[1:]] == [tx.txid for tx in parents]


@pytest.mark.parametrize("count", [0, -1, 111])
def test_the_genesis_block_stays(world: World, count: int) -> None:
    tip = world.devnet.tip()
    with pytest.raises(Usage, match="genesis"):
        world.devnet.reorg(count)
    assert world.devnet.tip() == tip


def test_all_but_the_genesis_block_can_be_replaced(world: World) -> None:
    world.devnet.reorg(110)
    assert world.devnet.tip().height == 111
    assert len(world.devnet.coins(MINER.p2wpkh)) == 111


def test_an_imported_chain_can_be_reorganised(loaded: Devnet) -> None:
    height = loaded.tip().height
    loaded.reorg(height)
    assert loaded.tip().height == height + 1
    assert list(loaded.names(b"")) == []
    assert not loaded.import_chain(load(recorded_file(1)))  # it is still the chain that was loaded


# ---- exact undoing


STATE = ("blocks", "places", "names", "coins", "records", "undo_coins", "undo_records")


def _state(devnet: Devnet) -> list[list[tuple[object, ...]]]:
    """Everything that the database says of the chain."""
    with sqlite3.connect(devnet.directory / "chain.sqlite") as connection:
        rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in STATE]  # noqa: S608
    connection.close()
    return [sorted(table, key=repr) for table in rows]


def test_undoing_a_recorded_chain_passes_every_state_backwards(tmp_path: Path) -> None:
    devnet = Devnet(tmp_path)
    states = []
    with devnet._store.changing() as session:
        for raw in recorded_blocks(1)[1:]:
            states.append(_coins_and_records(session.chain))
            block = Block.parse(raw)
            at = session.chain.next()
            session.chain.append(block, at.height, connect(block, at, session.chain))
        for state in reversed(states):
            session.chain.remove_last()
            assert _coins_and_records(session.chain) == state
    assert _state(devnet) == _state(_closed(Devnet(tmp_path / "fresh")))
    devnet.close()


def _closed(devnet: Devnet) -> Devnet:
    devnet.tip()
    devnet.close()
    return devnet


def _coins_and_records(chain: Tables) -> int:
    return hash((*chain._all("SELECT * FROM coins"), *chain._all("SELECT * FROM records")))


def test_undoing_mined_blocks_is_exact(world: World) -> None:
    first = world.write("bp/x", "1")
    world.send(first)
    before = _state(world.devnet)
    world.send(world.write("bp/x", "2", coins=[coin_of(first, 0, ALICE), world.coin()]))
    world.send(world.write("bp/x", "3", BOB))
    world.devnet.mine(45)  # past every expiry
    world.send(world.pay(Output(10**8, ALICE.p2wpkh)))
    with world.devnet._store.changing() as session:
        for _ in range(48):
            session.chain.remove_last()
    assert _state(world.devnet) == before


def test_a_coinbase_mined_twice_brings_its_coins_back_and_is_undone_exactly(world: World) -> None:
    """BIP 30 is off: what grew from the coinbase can be mined again, behind later writes."""
    devnet, clock = world.devnet, world.clock
    block = _next_block(devnet, clock.now, [Output(10**9, ALICE.p2wpkh)], serial=b"twice")
    devnet.submit(block.serialize())
    coinbase = block.transactions[0]
    devnet.mine(100)
    grown = world.write("bp/x", "old", ALICE, coins=[coin_of(coinbase, 0, ALICE)])
    world.send(grown)
    later = world.write("bp/x", "new", ALICE)
    world.send(later)
    before = _state(devnet)
    clock.now += 10**5
    again = solve(_next(devnet), [coinbase], clock.now)
    devnet.submit(again.serialize())
    assert [c.confirmations for c in devnet.coins(ALICE.p2wpkh)] == [1]
    located = devnet.transaction(coinbase.txid)
    assert located is not None
    assert located.place is not None
    assert located.place.block == block.header.hash  # the first occurrence
    devnet.mine(100)
    devnet.mine_with([grown.raw])
    assert devnet.history(b"bp/x", 9) == [grown.txid, later.txid]  # each once, at its first place
    with devnet._store.changing() as session:
        assert list(session.chain.history(b"bp/x")) == [grown.txid, later.txid, grown.txid]
        for _ in range(102):
            session.chain.remove_last()
    assert _state(devnet) == before


def test_a_coinbase_mined_twice_while_its_coin_is_there_is_undone_exactly(world: World) -> None:
    block = _next_block(world.devnet, world.clock.now, [Output(10**9, ALICE.p2wpkh)], serial=b"twice")
    world.devnet.submit(block.serialize())
    world.devnet.mine(5)
    before = _state(world.devnet)
    again = solve(_next(world.devnet), [block.transactions[0]], world.clock.now + 50)
    world.devnet.submit(again.serialize())
    assert [c.confirmations for c in world.devnet.coins(ALICE.p2wpkh)] == [1]
    with world.devnet._store.changing() as session:
        session.chain.remove_last()
    assert [c.confirmations for c in world.devnet.coins(ALICE.p2wpkh)] == [6]
    assert _state(world.devnet) == before


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_tables_are_those_of_the_blocks(tmp_path: Path, seed: int) -> None:
    """After any number of writes, payments and reorganisations, loading the blocks anew gives the same tables."""
    chance = random.Random(seed)
    world = World(tmp_path / "devnet", 130)
    devnet, names = world.devnet, ["bp/a", "bp/b", "bp/c"]
    coins: list[Coin] = []
    for _ in range(60):
        devnet.automine(chance.random() < 0.7)
        spent = [coins.pop(chance.randrange(len(coins)))] if coins and chance.random() < 0.6 else []
        made = world.write(chance.choice(names), str(chance.random()), coins=[*spent, world.coin()])
        with contextlib.suppress(Refused):  # a coin that expired or was reorganised away
            world.send(made)
            coins.append(coin_of(made, 0, ALICE))
        if chance.random() < 0.15:
            devnet.reorg(chance.randrange(1, 12), drop=chance.random() < 0.3)
        if chance.random() < 0.1:
            devnet.mine(chance.randrange(25))
    height = devnet.tip().height
    blocks = tuple(devnet.block(at) or b"" for at in range(height + 1))
    fresh = Devnet(tmp_path / "fresh")
    fresh.import_chain(Recorded("again", blocks, (), ()))
    assert _state(fresh) == _state(devnet)
    assert sum(len(devnet.history(name.encode(), 999) or []) for name in names) > 10
    # What waits can be mined.
    waiting = devnet.waiting()
    devnet.mine(1)
    assert [tx.txid for tx in world.tip_block().transactions[1:]] == waiting
    devnet.close()
    fresh.close()


def _next(devnet: Devnet) -> Next:
    with devnet._store.reading() as session:
        return session.chain.next()


def _next_block(devnet: Devnet, now: int, outputs: list[Output], serial: bytes = b"made by hand") -> Block:
    """Return a block without transactions whose coinbase has these outputs and doesn't say its height."""
    spent = Input("00" * 32, 0xFFFFFFFF, serial, ())
    coinbase = Transaction.build(1, 0, [(spent, 0xFFFFFFFF)], outputs)
    return solve(_next(devnet), [coinbase], now + 200)
