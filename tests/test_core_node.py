"""The adapter for Doichain Core in front of the served devnet: what it says is what the chain is."""

import functools
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import world as worlds
from devnet_world import ALICE, BOB, FEE, MINER, World, recorded_file, recorded_json, transaction, written
from hypothesis import given
from hypothesis import strategies as st
from lying import Call, Lies, lying
from made import METER
from rpc_node import SECRET, Client, served
from support import attempt, damaged, hash256

from doitrust.adapters.core.cache import Cache
from doitrust.adapters.core.node import CoreNode
from doitrust.adapters.core.rpc import Rpc, RpcFailure
from doitrust.adapters.devnet import Devnet, load
from doitrust.chain.networks import DEVNET, MAINNET, REGTEST, Network
from doitrust.chain.proof import read_proof
from doitrust.chain.tx import Output, Transaction
from doitrust.errors import BadData, Refused, Unavailable
from doitrust.meters.number import record_name
from doitrust.orgs.pins import Pin, Segment
from doitrust.trust.evidence import Located
from doitrust.trust.judge import Judge
from doitrust.trust.policy import Policy
from doitrust.workflows.gather import gather
from doitrust.workflows.verify import verify

LIMIT = 100_000
NOWHERE = "ab" * 32
_USER, _, _PASSWORD = SECRET.partition(":")


def core(
    port: int,
    network: Network = DEVNET,
    *,
    own: bool = True,
    name: str = "core",
    cache: Cache | None = None,
    **more: Any,
) -> CoreNode:
    """The adapter, for the node at a port."""
    rpc = Rpc(f"http://127.0.0.1:{port}/", lambda: (_USER, _PASSWORD), **more)
    return CoreNode(rpc, network, name=name, own=own, cache=cache)


@pytest.fixture(scope="module", params=[1, 2])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A recorded chain, imported and served: its number, the devnet, the port."""
    directory = tmp_path_factory.mktemp("recorded")
    devnet = Devnet(directory)
    devnet.import_chain(load(recorded_file(request.param)))
    with served(directory) as (client, _):
        yield request.param, devnet, client.port
    devnet.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.devnet.automine(False)
    yield made
    made.devnet.close()


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with served(world.devnet.directory) as (found, _):
        yield found


@pytest.fixture
def node(client: Client) -> CoreNode:
    return core(client.port)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[tuple[worlds.World, CoreNode]]:
    """An organisation with members, and the node that serves its chain."""
    made = worlds.organised(tmp_path)
    with served(made.devnet.directory) as (client, _):
        yield made, core(client.port)
    made.devnet.close()


def plain(found: Mapping[str, Located | None]) -> dict[str, Any]:
    """Bytes and places."""
    return {txid: None if each is None else (each.tx.raw, each.place) for txid, each in found.items()}


def same_transactions(node: CoreNode, devnet: Devnet, txids: Iterable[str]) -> None:
    wanted = list(txids)
    assert plain(node.transactions(wanted)) == plain(devnet.transactions(wanted))


def policy_of(number: int) -> Policy:
    document = recorded_json(number)
    found = document["organizations"].items()
    pins = tuple(Pin(name, (Segment(org["root"]),)) for name, org in found if org["accepted"])
    return Policy(pins, document["min_confirmations"])


# ---- the recorded chains


def test_every_verdict_is_the_embedded_chain_s_own(recorded: Any) -> None:
    number, devnet, port = recorded
    meters = list(recorded_json(number)["meters"])
    policy = policy_of(number)
    here = verify(devnet, devnet.contents, policy, meters).verdicts
    there = verify(core(port, name="devnet"), devnet.contents, policy, meters).verdicts
    assert [verdict.meter for verdict in there] == meters
    for mine, other in zip(here, there, strict=True):
        assert other == mine
    assert {verdict.status for verdict in there} > {"trusted", "revoked", "untrusted"}


def test_the_recorded_status_and_reason_come_out_on_regtest(recorded: Any) -> None:
    number, devnet, port = recorded
    expected = recorded_json(number)["meters"]
    for verdict in verify(core(port, REGTEST), devnet.contents, policy_of(number), list(expected)).verdicts:
        wanted = expected[verdict.meter]
        assert (verdict.status, verdict.reason) == (wanted["status"], wanted.get("reason")), verdict.meter
        assert verdict.network == "regtest"


def test_names_history_and_places_are_the_chain_s(recorded: Any) -> None:
    _, devnet, port = recorded
    node = core(port)
    assert node.tip() == devnet.tip()
    for prefix in (b"", b"bp/", b"bp_organization/", b"nothing"):
        assert list(node.names(prefix)) == list(devnet.names(prefix))
    every: dict[str, None] = {}
    for name in devnet.names(b""):
        history = node.history(name, LIMIT)
        assert history == devnet.history(name, LIMIT)
        every.update(dict.fromkeys(history or ()))
    assert len(every) > 20
    same_transactions(node, devnet, every)
    writes = [found.tx for found in node.transactions(list(every)).values() if found is not None]
    same_transactions(
        node, devnet, {spent.txid for tx in writes if not tx.is_coinbase for spent in tx.inputs}
    )


def test_coins_are_those_of_the_chain_and_never_a_name_s(recorded: Any) -> None:
    _, devnet, port = recorded
    node = core(port)
    scripts, names = set(), set()
    with devnet.session() as session:
        for height in range(session.chain.tip().height + 1):
            for tx in worlds.block_of(session.chain.block(height) or b"").transactions:
                writing = {vout for vout, _ in tx.writes}
                scripts |= {
                    output.script for output in tx.outputs if output.script and len(output.script) < 40
                }
                names |= {(tx.txid, vout) for vout in writing}
    assert names
    found = 0
    for script in sorted(scripts)[:40]:
        coins = [tuple(coin) for coin in node.coins(script)]
        assert coins == [tuple(coin) for coin in devnet.coins(script)]
        assert not {(coin[0], coin[1]) for coin in coins} & names
        found += len(coins)
    assert found
    for txid, vout in sorted(names):
        assert node.is_unspent(txid, vout) == devnet.is_unspent(txid, vout)


def test_what_nobody_wrote_has_no_history(recorded: Any) -> None:
    _, _, port = recorded
    node = core(port)
    assert node.history(b"bp/nothing", LIMIT) == []
    assert node.history("bp/ü\n".encode(), LIMIT) == []
    assert node.transaction(NOWHERE) is None
    assert node.transactions([]) == {}
    last = node.tip().hash
    assert node.standing([last, NOWHERE]) == {last}
    assert [(s.name, s.own, s.fault) for s in node.sources()] == [("core", True, None)]


# ---- coins, mempool, sending


def test_coins_mature_and_spent_ones_are_left_out(world: World, node: CoreNode) -> None:
    devnet = world.devnet

    def same(script: bytes) -> list[tuple[Any, ...]]:
        coins = [tuple(coin) for coin in node.coins(script)]
        assert coins == [tuple(coin) for coin in devnet.coins(script)]
        return coins

    coins = same(MINER.p2wpkh)
    assert {coin[-1] for coin in coins} == {True, False}
    payment = world.pay(Output(5_000_000, ALICE.p2wpkh))
    world.send(payment)
    assert len(same(MINER.p2wpkh)) == len(coins) - 1
    assert same(ALICE.p2wpkh) == []
    spent = payment.inputs[0]
    assert not node.is_unspent(spent.txid, spent.vout)
    assert not node.is_unspent(payment.txid, 0)  # it only waits
    devnet.mine(1)
    assert node.is_unspent(payment.txid, 0)
    assert [coin[2] for coin in same(ALICE.p2wpkh)] == [5_000_000]
    assert not node.is_unspent(NOWHERE, 0)


def test_the_coin_of_a_name_is_no_money(world: World, node: CoreNode) -> None:
    write = world.write("bp/X", "v", ALICE)
    world.send(write)
    world.devnet.mine(1)
    ((vout, _),) = write.writes
    assert node.is_unspent(write.txid, vout)
    assert node.coins(ALICE.p2wpkh) == []


def test_what_waits_is_listed_and_has_no_place(world: World, node: CoreNode) -> None:
    write = world.write("bp/X", "v")
    assert node.broadcast(write.raw) == write.txid
    assert node.mempool(b"bp/X") == [write.txid] == world.devnet.mempool(b"bp/X")
    assert node.mempool(b"bp/Y") == []
    located = node.transaction(write.txid)
    assert located is not None
    assert (located.tx.raw, located.place) == (write.raw, None)
    assert node.history(b"bp/X", LIMIT) == []
    assert node.broadcast(write.raw) == write.txid  # once more is no error
    world.devnet.mine(1)
    assert node.mempool(b"bp/X") == []
    same_transactions(node, world.devnet, [write.txid])


def test_why_a_transaction_is_refused(world: World, node: CoreNode) -> None:
    devnet = world.devnet

    def both(tx: Transaction) -> str:
        raw = tx.raw
        with pytest.raises(Refused) as told:
            node.broadcast(raw)
        with pytest.raises(Refused) as known:
            devnet.broadcast(raw)
        assert told.value.code == known.value.code
        assert told.value.message
        assert told.value.message.isprintable()
        return told.value.code

    coin = world.coin()
    sent = world.pay(Output(1_000_000, ALICE.p2wpkh), coins=[coin])
    assert both(world.pay(Output(1_000_000, ALICE.p2wpkh), coins=[coin], fee=1)) == "min relay fee not met"
    assert both(world.pay(Output(1_000_000, ALICE.p2wpkh), coins=[coin], fee=10**8)) == "absurdly-high-fee"
    forged = transaction([replace(coin, key=BOB)], [Output(coin.value - FEE, ALICE.p2wpkh)])
    assert both(forged).startswith("non-mandatory-script-verify-flag")
    immature = next(coin for coin in devnet.coins(MINER.p2wpkh) if not coin.mature)
    young = world.pay(Output(1_000, ALICE.p2wpkh), coins=[World.of(immature, MINER)])
    assert both(young) == "bad-txns-premature-spend-of-coinbase"
    node.broadcast(sent.raw)
    assert both(world.pay(Output(2_000_000, ALICE.p2wpkh), coins=[coin])) == "txn-mempool-conflict"
    devnet.mine(1)
    assert both(sent) == "txn-already-known"
    assert both(world.pay(Output(2_000_000, ALICE.p2wpkh), coins=[coin])) == "bad-txns-inputs-missingorspent"
    with pytest.raises(Refused):
        node.broadcast(b"\x00")


@pytest.mark.parametrize("number", [-32603, -9, -31, -20, -1])
def test_a_node_that_has_trouble_does_not_refuse_a_transaction(
    world: World, client: Client, number: int
) -> None:
    lies: Lies = {"sendrawtransaction": lambda _: RpcFailure(number, "database error")}
    with lying(client.port, lies) as proxy, pytest.raises(Unavailable, match="database error"):
        core(proxy.port).broadcast(world.pay(Output(1_000_000, ALICE.p2wpkh)).raw)


@pytest.mark.parametrize(
    ("relay", "estimate", "rate"),
    [
        ("0.001", None, 100_000),
        ("0.001", "0.002", 200_000),
        ("0.001", "0.0005", 100_000),
        ("0.001", "0.9", 1_000_000),
        ("0.003", None, 300_000),
        ("0.001", "1e30", 100_000),
        ("0.001", "-1", 100_000),
        ("true", None, 100_000),
        ('"x"', None, 100_000),
    ],
)
def test_the_fee_rate_is_never_absurd(client: Client, relay: str, estimate: str | None, rate: int) -> None:
    answers: Lies = {
        "getnetworkinfo": lambda _: {"relayfee": json.loads(relay)},
        "estimatesmartfee": lambda _: {"feerate": json.loads(estimate)} if estimate else {"errors": ["x"]},
    }
    with lying(client.port, answers) as proxy:
        assert core(proxy.port).fee_rate() == rate


def test_the_served_devnet_has_a_fee_rate(node: CoreNode) -> None:
    assert node.fee_rate() == 100_000
    assert node.advance() is False


# ---- transactions that come back, and chains that change


def test_the_first_of_two_occurrences_counts(people: tuple[worlds.World, CoreNode]) -> None:
    world, node = people
    first = world.certify("E1")
    world.mine(2)
    revocation = world.revoke("E1")
    world.replay(first)
    assert world.occurrences(first) == 2
    assert node.history(record_name(METER), LIMIT) == [first, revocation]
    same_transactions(node, world.devnet, [first, revocation])
    assert world.verify(chain=node) == replace_sources(world.verify(chain=world.devnet), node)
    assert world.verify(chain=node).status == "revoked"


def replace_sources(verdict: Any, node: CoreNode) -> Any:
    return replace(verdict, sources=node.sources())


def test_a_reorganisation_moves_and_removes(world: World, node: CoreNode) -> None:
    devnet, name = world.devnet, b"bp/X"
    write = world.write("bp/X", "v")
    world.send(write)
    devnet.mine(1)
    old = devnet.tip().hash

    def same() -> list[str]:
        history = node.history(name, LIMIT)
        assert history == devnet.history(name, LIMIT)
        assert node.tip() == devnet.tip()
        same_transactions(node, devnet, [write.txid])
        return history or []

    assert same() == [write.txid]
    assert node.standing([old])
    devnet.reorg(1)
    # Asked for by what is remembered from before: it waits again.
    same_transactions(node, devnet, [write.txid])
    assert not node.standing([old])
    assert same() == []
    devnet.mine(2)
    assert same() == [write.txid]
    devnet.reorg(2, drop=True)
    assert node.transaction(write.txid) is None
    assert same() == []


def test_a_chain_that_moves_while_it_is_read_is_read_again(people: tuple[worlds.World, CoreNode]) -> None:
    world, _ = people
    world.certify("E1")
    world.mine(5)
    with served(world.devnet.directory) as (client, _):
        moved = itertools.count()

        def history(call: Call) -> Any:
            if next(moved) == 0:
                with closing(Devnet(world.devnet.directory, clock=world.clock)) as devnet:
                    devnet.reorg(6)
                    devnet.mine(7)
            return call.ask()

        before = world.height
        with lying(client.port, {"name_history": history}) as proxy:
            node = core(proxy.port)
            evidence = gather(node, world.devnet.contents, world.policy(), [METER])
    assert evidence.tip == world.devnet.tip()
    assert evidence.tip.height == before + 8
    assert evidence.missing == ()
    assert Judge(evidence, world.policy()).verdict(METER).status == "trusted"


def test_a_block_that_left_the_chain_is_no_place(people: tuple[worlds.World, CoreNode]) -> None:
    """A real node knows such blocks for ever; its index of transactions still points there."""
    world, _ = people
    txid = world.certify("E1")
    place = world.devnet.transaction(txid).place  # type: ignore[union-attr]
    assert place is not None

    def header(call: Call) -> Any:
        answer = call.ask()
        return {**answer, "confirmations": -1} if call.params[0] == place.block else answer

    with (
        served(world.devnet.directory) as (client, _),
        lying(client.port, {"getblockheader": header}) as proxy,
    ):
        node = core(proxy.port)
        assert node.transaction(txid) is None
        assert not node.standing([place.block])
        node.history(record_name(METER), LIMIT)
        assert node.transaction(txid) is None


# ---- nodes that can't be used


def told(lies: Lies, port: int, ask: Any = CoreNode.tip, network: Network = DEVNET) -> Unavailable:
    """How the adapter complains of a node that answers so."""
    with lying(port, lies) as proxy, pytest.raises(Unavailable) as caught:
        ask(core(proxy.port, network))
    assert caught.value.message.isprintable()
    return caught.value


def with_fields(**fields: Any) -> Any:
    return lambda call: {**call.ask(), **fields}


def test_a_node_of_another_network(client: Client) -> None:
    error = told({}, client.port, network=MAINNET)
    assert error.code == "wrong_network"
    assert "regtest" in error.hint


def test_a_node_that_is_not_ready(client: Client) -> None:
    syncing = {"initialblockdownload": True, "blocks": 10, "headers": 500_000}
    error = told({"getblockchaininfo": with_fields(**syncing)}, client.port)
    assert (error.code, "block 10 of 500000" in error.message) == ("node_syncing", True)
    assert told({"getblockchaininfo": with_fields(pruned=True)}, client.port).code == "node_pruned"
    with lying(client.port, {"getblockchaininfo": with_fields(initialblockdownload=True)}) as proxy:
        core(proxy.port).tip()  # it has all there are, and its last block is only old
    loading = RpcFailure(-28, "Loading block index...")
    assert told({"*": lambda _: loading}, client.port).code == "node_starting"
    downloading = RpcFailure(-10, "Doichain is downloading blocks...")
    error = told({"name_history": lambda _: downloading}, client.port, lambda node: node.history(b"x", 1))
    assert error.code == "node_syncing"


def test_a_node_without_the_indexes(world: World, client: Client) -> None:
    missing = RpcFailure(-1, "-namehistory is not enabled")
    error = told({"name_history": lambda _: missing}, client.port, lambda node: node.history(b"x", 1))
    assert (error.code, "namehistory=1" in error.hint) == ("no_namehistory", True)

    hint = "Use -txindex or provide a block hash to enable blockchain transaction queries"
    tail = ". Use gettransaction for wallet transactions."
    no_index: Lies = {
        "getrawtransaction": lambda call: (
            call.ask()
            if len(call.params) > 2
            else RpcFailure(-5, f"No such mempool transaction. {hint}{tail}")
        )
    }
    error = told(no_index, client.port, lambda node: node.transaction(NOWHERE))
    assert (error.code, "txindex=1" in error.hint) == ("no_txindex", True)
    write = world.write("bp/X", "v")
    world.send(write)
    world.devnet.mine(1)
    with lying(client.port, no_index) as proxy:  # what a history names is found without
        node = core(proxy.port)
        assert node.history(b"bp/X", LIMIT) == [write.txid]
        same_transactions(node, world.devnet, [write.txid])

    still = "No such mempool transaction. Blockchain transactions are still in the process of being indexed"
    indexing: Lies = {"getrawtransaction": lambda _: RpcFailure(-5, still + tail)}
    assert told(indexing, client.port, lambda node: node.transaction(NOWHERE)).code == "node_syncing"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (-32601, "Method not found (wallet method is disabled because no wallet is loaded)"),
        (-18, "Requested wallet does not exist or is not loaded"),
        (-19, "Wallet file not specified (must request wallet RPC through /wallet/<filename> uri-path)."),
    ],
)
def test_a_node_without_a_wallet(client: Client, number: int, text: str) -> None:
    asks: list[Any] = [
        lambda node: node.history(b"x", 1),
        lambda node: node.mempool(b"x"),
        lambda node: list(node.names(b"x")),
    ]
    for ask in asks:
        lies: Lies = dict.fromkeys(
            ("name_history", "name_pending", "name_scan"), lambda _: RpcFailure(number, text)
        )
        error = told(lies, client.port, ask)
        assert (error.code, "wallet" in error.hint) == ("no_wallet", True)


WRONG: tuple[Any, ...] = (None, 5, "x", [], {}, [5], True, "zz" * 32, {"height": True}, -1, [[]], 2**70)
#: How each method comes to be asked.
ASKS: dict[str, Callable[[CoreNode, Transaction], object]] = {
    "getblockchaininfo": lambda node, _: node.tip(),
    "getblockhash": lambda node, tx: (node.history(b"bp/X", 9), node.transaction(tx.txid)),
    "getbestblockhash": lambda node, _: node.tip(),
    "getblockheader": lambda node, tx: (node.transaction(tx.txid), node.standing([NOWHERE]), node.tip()),
    "name_history": lambda node, _: node.history(b"bp/X", 9),
    "name_pending": lambda node, _: node.mempool(b"bp/X"),
    "name_scan": lambda node, _: list(node.names(b"bp/")),
    "getrawtransaction": lambda node, tx: node.transactions([tx.txid, tx.inputs[0].txid]),
    "gettxoutproof": lambda node, tx: node.transaction(tx.txid),
    "scantxoutset": lambda node, _: node.coins(BOB.p2wpkh),
    "gettxout": lambda node, tx: (node.is_unspent(tx.txid, 0), node.coins(BOB.p2wpkh)),
    "getnetworkinfo": lambda node, _: node.fee_rate(),
    "estimatesmartfee": lambda node, _: node.fee_rate(),
    "sendrawtransaction": lambda node, tx: node.broadcast(tx.raw),
}


#: What is read of answers.
FIELDS = {
    "amount", "blockhash", "blocks", "chainwork", "coinbase", "confirmations", "feerate", "headers", "height", "hex",
    "name", "relayfee", "scriptPubKey", "time", "txid", "unspents", "vout",
}  # fmt: skip


@pytest.mark.parametrize("method", ASKS)
def test_answers_of_the_wrong_shape_are_told_and_no_more(shapes: tuple[Client, Any], method: str) -> None:
    client, write = shapes
    ask = ASKS[method]

    had: set[str] = set()

    def honest(call: Call) -> Any:
        answer = call.ask()
        for each in answer if isinstance(answer, list) else [answer]:
            had.update(each if isinstance(each, dict) else ())
        return answer

    def altered(call: Call, field: str | None, wrong: Any) -> Any:
        """All of the answer, or one of its fields, is wrong."""
        if field is None:
            return wrong
        answer = call.ask()
        if isinstance(answer, dict):
            return {**answer, field: wrong}
        return [{**row, field: wrong} for row in answer] if isinstance(answer, list) else answer

    with lying(client.port, {method: honest}) as proxy:
        with suppress(Refused):
            ask(core(proxy.port), write)
        for field, wrong in itertools.product((None, *sorted(had & FIELDS)), WRONG):
            proxy.lies[method] = functools.partial(altered, field=field, wrong=wrong)
            try:
                ask(core(proxy.port), write)
            except (Unavailable, Refused) as error:
                assert error.message.isprintable()  # noqa: PT017  # it need not be raised


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Any]]:
    world = World(tmp_path_factory.mktemp("shapes"), 101)
    write = world.write("bp/X", "v")
    world.send(write)
    world.send(world.pay(Output(1_000_000, BOB.p2wpkh)))
    with served(world.devnet.directory) as (client, _):
        yield client, write
    world.devnet.close()


# ---- names


def test_names_over_several_pages_expired_ones_too(tmp_path: Path) -> None:
    world = World(tmp_path, 240)
    names = [f"bp/{'x' * (n % 7)}{n}" for n in range(1_150)]
    # A block holds many writes; a coinbase of a miner's own may write any number.
    made = worlds.World.__new__(worlds.World)
    made.devnet, made._serial, made._journals = world.devnet, 0, {}
    for start in range(0, len(names), 25):
        outputs = [written(name, "v", ALICE, 0) for name in names[start : start + 25]]
        made.mine_coinbase(*outputs, written("other/a", "v", ALICE, 0))
    world.devnet.mine(40)  # all of them have expired
    with served(world.devnet.directory) as (client, _):
        with lying(client.port) as proxy:
            node = core(proxy.port)
            assert list(node.names(b"bp/")) == sorted(name.encode() for name in names)
            assert proxy.calls.count("name_scan") == 3
            assert list(node.names(b"")) == list(world.devnet.names(b""))
            # Exactly a page, and one more.
            for prefix in (b"bp/xxx", b"bp/x", b"other", b"nobody"):
                assert list(node.names(prefix)) == list(world.devnet.names(prefix))
        assert node.history(names[0].encode(), LIMIT) == world.devnet.history(names[0].encode(), LIMIT)
    world.devnet.close()


@pytest.mark.parametrize("rows", [["62", "61"], ["61", "61"], ["6161", "61"]])
def test_names_that_would_never_end_are_refused(client: Client, rows: list[str]) -> None:
    answer = [{"name": row} for row in rows]
    error = told({"name_scan": lambda _: answer}, client.port, lambda node: list(node.names(b"")))
    assert error.code == "lying_source"


def test_more_writes_than_asked_for_are_too_many(world: World, client: Client) -> None:
    for value in "abc":
        world.send(world.write("bp/X", value))
        world.devnet.mine(1)
    node = core(client.port)
    assert node.history(b"bp/X", 2) is None
    assert len(node.history(b"bp/X", 3) or ()) == 3


def test_a_history_too_large_to_read_is_too_many(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send(world.write("bp/X", "v" * 300))
    world.devnet.mine(1)
    node = core(client.port)
    node.tip()
    monkeypatch.setattr("doitrust.adapters.core.rpc.MAX_ANSWER", 300)
    assert node.history(b"bp/X", 10) is None


def test_a_batch_whose_answer_is_too_large_is_asked_in_parts(
    recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, devnet, port = recorded
    txids = [txid for name in devnet.names(b"bp") for txid in devnet.history(name, LIMIT) or ()]
    expected = plain(core(port).transactions(txids))
    monkeypatch.setattr("doitrust.adapters.core.rpc.MAX_ANSWER", 20_000)
    assert plain(core(port).transactions(txids)) == expected


# ---- proofs


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bytes, str]]:
    """A proof of the second of four transactions."""
    world = World(tmp_path_factory.mktemp("proof"), 104)
    world.devnet.automine(False)
    sent = [
        world.send(world.pay(Output(1_000_000, ALICE.p2wpkh), coins=[world.coin(index=n)])) for n in range(3)
    ]
    world.devnet.mine(1)
    with served(world.devnet.directory) as (client, _):
        block = client("getbestblockhash")
        wanted = client("getblock", block)["tx"][1]
        yield bytes.fromhex(client("gettxoutproof", [wanted], block)), wanted
    assert wanted in sent
    world.devnet.close()


def test_a_proof_says_where_a_transaction_stands(proof: tuple[bytes, str]) -> None:
    raw, txid = proof
    assert read_proof(raw).positions == {txid: 1}


@given(data=st.data())
def test_a_damaged_proof_is_refused_or_says_the_same(proof: tuple[bytes, str], data: st.DataObject) -> None:
    raw, txid = proof
    changed = data.draw(damaged(raw))
    found = attempt(read_proof, changed)
    if found is not None and found.header == read_proof(raw).header:
        # Other marks, or another count that gives the same tree.
        assert found.positions.get(txid, 1) == 1


def test_proofs_that_claim_another_tree_are_refused(proof: tuple[bytes, str]) -> None:
    raw, _ = proof
    tree = len(raw) - (4 + 1 + 3 * 32 + 1 + 1)
    assert raw[tree : tree + 5] == b"\4\0\0\0\3"
    for count in (0, 1, 2, 5, 6, 7, 8, 9, 2**24, 2**32 - 1):
        with pytest.raises(BadData):
            read_proof(raw[:tree] + count.to_bytes(4, "little") + raw[tree + 4 :])
    # The same tree, of which nothing was shown that the fourth could be told by: the place is the same.
    assert read_proof(raw[:tree] + (3).to_bytes(4, "little") + raw[tree + 4 :]) == read_proof(raw)
    for more in (b"\0", raw[:80]):
        with pytest.raises(BadData):
            read_proof(raw + more)
    for cut in range(len(raw)):
        with pytest.raises(BadData):
            read_proof(raw[:cut])
    with pytest.raises(BadData, match="the most is"):
        read_proof(raw + bytes(2**20))


def test_a_last_transaction_that_stands_for_two_has_one_place(tmp_path: Path) -> None:
    """CVE-2012-2459: the last of an odd number can be shown once more, behind itself."""
    world = World(tmp_path, 104)
    world.devnet.automine(False)
    for number in range(2):
        world.send(world.pay(Output(1_000_000, ALICE.p2wpkh), coins=[world.coin(index=number)]))
    world.devnet.mine(1)
    block = world.tip_block()
    hashes = [bytes.fromhex(tx.txid)[::-1] for tx in block.transactions]
    assert len(hashes) == 3
    head = block.serialize()[: -len(b"\3" + b"".join(tx.raw for tx in block.transactions))]

    def shown(count: int, leaves: Sequence[bytes], bits: int) -> bytes:
        return head + count.to_bytes(4, "little") + bytes([len(leaves)]) + b"".join(leaves) + bytes([1, bits])

    left = hash256(hashes[0] + hashes[1])
    # root, left (not opened), right, its leaf (marked)
    assert read_proof(shown(3, [left, hashes[2]], 0b1101)).positions == {block.transactions[2].txid: 2}
    for bits in (0b11101, 0b01101, 0b10101):
        with pytest.raises(BadData):
            read_proof(shown(4, [left, hashes[2], hashes[2]], bits))
    world.devnet.close()
