"""The served devnet's names: what the recorded node answered, in the same words; encodings, options, errors."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devnet_world import (
    ALICE,
    BOB,
    MINER,
    NAME_AMOUNT,
    World,
    coin_of,
    recorded_file,
    recorded_json,
    transaction,
)
from rpc_node import Client, JSONRPCException, served
from test_devnet_chain import _next, _next_block

from doitrust.adapters.devnet import Devnet, load
from doitrust.adapters.devnet.miner import solve
from doitrust.chain.address import address_of
from doitrust.chain.names import NAME_TX_VERSION, name_script
from doitrust.chain.networks import DEVNET
from doitrust.chain.psbt import Psbt
from doitrust.chain.scripts import push
from doitrust.chain.tx import Output, Transaction

UTF8 = {"nameEncoding": "utf8", "valueEncoding": "utf8"}
RECORDED: dict[str, Any] = recorded_json(1)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The first recorded chain, served."""
    directory = tmp_path_factory.mktemp("recorded")
    devnet = Devnet(directory)
    devnet.import_chain(load(recorded_file(1)))
    with served(directory) as (client, _):
        yield client
    devnet.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.devnet.close()


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with served(world.devnet.directory) as (found, _):
        yield found


@pytest.mark.parametrize("name", RECORDED["name_show"])
def test_name_show_answers_what_the_node_answered(recorded: Client, name: str) -> None:
    wanted = RECORDED["name_show"][name]
    if "error" in wanted:
        code, message = recorded.error("name_show", name, {**UTF8, "allowExpired": True})
        assert f"{code}: {message}" == wanted["error"]
    else:
        found = recorded("name_show", name, {**UTF8, "allowExpired": True})
        assert list(found.items()) == list(wanted.items())  # the order too


@pytest.mark.parametrize("name", RECORDED["name_history"])
def test_name_history_answers_what_the_node_answered(recorded: Client, name: str) -> None:
    found = recorded("name_history", name, UTF8)
    assert [list(write.items()) for write in found] == [
        list(write.items()) for write in RECORDED["name_history"][name]
    ]


def test_an_expired_name_is_shown_only_if_asked_for(recorded: Client) -> None:
    expired = next(name for name, shown in RECORDED["name_show"].items() if shown.get("expired"))
    assert recorded.error("name_show", expired) == (-4, f"name not found: '{expired}'")
    assert recorded.error("name_show", expired, {"allowExpired": False})[0] == -4
    assert recorded("name_show", expired, {"allowExpired": True})["expired"] is True


def test_a_name_of_another_encoding(recorded: Client) -> None:
    name = "bp_organization/Elektro Müller & Söhne"
    assert recorded.error("name_show", name) == (-1000, "Name/value is invalid for encoding ascii")
    in_hex = name.encode().hex()
    shown = recorded("name_show", in_hex, {"nameEncoding": "hex"})
    assert (shown["name"], shown["name_encoding"], shown["value_encoding"]) == (in_hex, "hex", "ascii")
    for bad in ("0", "xy", " 00"):
        assert recorded.error("name_show", bad, {"nameEncoding": "hex"})[0] == -1000
    missing = recorded.error("name_show", "ü", {"nameEncoding": "utf8"})
    assert missing == (-4, "name not found: 0xc3bc")
    # A word that is no encoding is the default.
    assert recorded.error("name_show", name, {"nameEncoding": "latin1"})[0] == -1000


def test_what_an_encoding_cannot_hold_is_told_beside_the_rest(world: World, client: Client) -> None:
    odd = name_script(b"n\xff", b"\x01v", ALICE.p2wpkh)
    world.send(world.pay(Output(NAME_AMOUNT, odd), version=NAME_TX_VERSION))
    shown = client("name_show", b"n\xff".hex(), {"nameEncoding": "hex"})
    assert shown["value_error"] == "invalid data for ascii"
    assert "value" not in shown
    assert (
        client("name_history", b"n\xff".hex(), {"nameEncoding": "hex", "valueEncoding": "hex"})[0]["value"]
        == "0176"
    )
    (scanned,) = client("name_scan", "", 10, {"nameEncoding": "utf8", "valueEncoding": "utf8"})
    assert (scanned["name_error"], scanned["value"]) == ("invalid data for utf8", "\x01v")


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ((1,), (-3, "Expected type string, got number")),
        ((None,), (-3, "Expected type string, got null")),
        (("x", None), (-3, "Expected type object, got null")),
        (("x", []), (-3, "Expected type object, got array")),
        (("x", {"nameEncoding": 1}), (-3, "Expected type string for nameEncoding, got number")),
        (("x", {"byHash": "sha256d"}), (-1, "-namehashindex is not enabled")),
        (("x", {"byHash": "direct"}), (-4, "name not found: 'x'")),
        (("x",), (-4, "name not found: 'x'")),
    ],
)
@pytest.mark.parametrize("method", ["name_show", "name_history"])
def test_wrong_parameters(
    recorded: Client, method: str, params: tuple[Any, ...], error: tuple[int, str]
) -> None:
    assert recorded.error(method, *params) == error


def test_allow_expired_is_a_boolean(recorded: Client) -> None:
    error = recorded.error("name_show", "x", {"allowExpired": "yes"})
    assert error == (-3, "Expected type bool for allowExpired, got string")


def test_name_scan_goes_by_length_and_takes_filters(recorded: Client) -> None:
    everything = [shown["name"] for shown in recorded("name_scan", "", 1000, UTF8)]
    assert len(everything) == len(RECORDED["name_history"])
    assert everything == sorted(everything, key=lambda name: (len(name.encode()), name.encode()))
    assert len(recorded("name_scan")) == len(everything)
    assert [s["name"] for s in recorded("name_scan", everything[3], 2, UTF8)] == everything[3:5]
    assert recorded("name_scan", "", 0) == recorded("name_scan", "", -1) == []
    prefix = recorded("name_scan", "", 500, {**UTF8, "prefix": "bp_organization/"})
    assert {shown["name"] for shown in prefix} == {n for n in everything if n.startswith("bp_org")}
    in_hex = {"nameEncoding": "hex", "prefix": b"bp_organization/Billig".hex()}
    assert [bytes.fromhex(s["name"]) for s in recorded("name_scan", "", 9, in_hex)] == [
        b"bp_organization/Billig-Siegel"
    ]
    assert [s["name"] for s in recorded("name_scan", "", 9, {**UTF8, "regexp": "00[12]$"})] == [
        "bp/1EMH0012345001",
        "bp/1EMH0012345002",
    ]


def test_name_scan_counts_confirmations(recorded: Client) -> None:
    heights = [shown["height"] for shown in recorded("name_scan")]
    fresh = recorded("name_scan", "", 500, {"maxConf": 10})
    assert sorted(s["height"] for s in fresh) == sorted(h for h in heights if 543 - h + 1 <= 10)
    settled = recorded("name_scan", "", 500, {"minConf": 11})
    assert len(fresh) + len(settled) == len(heights)
    assert recorded("name_scan", "", 500, {"maxConf": 0}) == []
    assert recorded.error("name_scan", "", 1, {"minConf": 0}) == (-8, "minConf must be >= 1")
    assert recorded.error("name_scan", "", 1, {"maxConf": -1}) == (-8, "maxConf must not be negative")
    assert recorded.error("name_scan", "", 1, {"regexp": "("})[0] == -1
    assert recorded.error("name_scan", "", 1.5) == (-1, "JSON integer out of range")
    assert recorded.error("name_scan", "", 2**31) == (-1, "JSON integer out of range")


def test_name_pending_tells_what_waits(world: World, client: Client) -> None:
    assert client("name_pending") == []
    world.devnet.automine(False)
    txid = world.send(world.write("one", "value", BOB))
    (shown,) = client("name_pending")
    assert shown == {
        "name": "one",
        "name_encoding": "ascii",
        "value": "value",
        "value_encoding": "ascii",
        "txid": txid,
        "vout": 0,
        "address": address_of(BOB.p2wpkh, DEVNET),
        "ismine": False,
        "op": "name_doi",
    }
    assert client("name_pending", "one") == client("name_pending", None, {}) == [shown]
    assert client("name_pending", "two") == []
    assert client("name_pending", b"one".hex(), {"nameEncoding": "hex"})[0]["name"] == b"one".hex()
    world.devnet.mine(1)
    assert client("name_pending") == []


def test_every_write_is_in_the_history_and_the_last_is_shown(world: World, client: Client) -> None:
    first = world.send(world.write("twice", "a", ALICE))
    second = world.send(world.write("twice", "b", BOB))
    found = client("name_history", "twice")
    assert [(w["txid"], w["value"]) for w in found] == [(first, "a"), (second, "b")]
    assert [w["height"] for w in found] == [111, 112]
    assert client("name_show", "twice") == found[-1]


def test_a_transaction_mined_twice_is_listed_twice(world: World, client: Client) -> None:
    devnet, clock = world.devnet, world.clock
    block = _next_block(devnet, clock.now, [Output(10**9, ALICE.p2wpkh)], serial=b"twice")
    devnet.submit(block.serialize())
    coinbase = block.transactions[0]
    devnet.mine(100)
    grown = world.write("bp/x", "old", ALICE, coins=[coin_of(coinbase, 0, ALICE)])
    world.send(grown)
    later = world.send(world.write("bp/x", "new", ALICE))
    clock.now += 10**5
    devnet.submit(solve(_next(devnet), [coinbase], clock.now).serialize())
    devnet.mine(100)
    devnet.mine_with([grown.raw])
    found = client("name_history", "bp/x")
    assert [(w["txid"], w["height"]) for w in found] == [(grown.txid, 212), (later, 213), (grown.txid, 315)]
    assert client("name_show", "bp/x") == found[-1]
    assert client("getrawtransaction", grown.txid, True)["confirmations"] == 1  # the last is in the index
    first = client("getrawtransaction", grown.txid, True, client("getblockhash", 212))
    assert first["confirmations"] == 104


def test_a_coinbase_may_write_any_number_of_names(world: World, client: Client) -> None:
    outputs = [Output(0, name_script(b"n", value, ALICE.p2wpkh)) for value in (b"1", b"2")]
    outputs.append(Output(0, b"\x53\x01m\x013\x6d\x75" + BOB.p2wpkh))
    block = _next_block(world.devnet, world.clock.now, outputs)
    world.devnet.submit(block.serialize())
    assert [(w["vout"], w["value"]) for w in client("name_history", "n")] == [(0, "1"), (1, "2")]
    assert client("name_show", "n")["vout"] == 1
    assert client("name_show", "m")["value"] == "3"
    assert [shown["name"] for shown in client("name_scan")] == ["m", "n"]


def test_expiry_is_counted_from_the_tip(world: World, client: Client) -> None:
    world.send(world.write("short", "x"))
    assert client("name_show", "short")["expires_in"] == 30
    world.devnet.mine(29)
    assert client("name_show", "short")["expires_in"] == 1
    world.devnet.mine(1)
    assert client.error("name_show", "short")[0] == -4
    assert client("name_history", "short")[0]["expires_in"] == 0


def test_an_owner_that_is_no_address(world: World, client: Client) -> None:
    scripts = {b"bare": b"\x51", b"future": b"\x52\x02\xab\xcd", b"key": push(ALICE.public) + b"\xac"}
    for name, script in scripts.items():
        made = world.pay(Output(NAME_AMOUNT, name_script(name, b"", script)), version=NAME_TX_VERSION)
        world.devnet.mine_with([made.raw])
    assert client("name_show", "bare")["address"] == "<nonstandard>"
    assert client("name_show", "future")["address"].startswith("ncrt1z")
    # CNameScript steps over the key and goes one byte back.
    assert client("name_show", "key")["address"] == "<nonstandard>"


# ---- raw names


def bare(world: World) -> Transaction:
    coin = world.coin()
    outputs = [Output(NAME_AMOUNT, ALICE.p2wpkh), Output(coin.value - NAME_AMOUNT - 50_000, MINER.p2wpkh)]
    return transaction([coin], outputs, version=1)


def stripped(tx: Transaction) -> Transaction:
    return Transaction.build(
        1, 0, [(spent._replace(script_sig=b"", witness=()), 0xFFFFFFFF) for spent in tx.inputs], tx.outputs
    )


def test_namerawtransaction_makes_a_name_that_can_be_sent(world: World, client: Client) -> None:
    coin = world.coin()
    unsigned = stripped(bare(world))
    operation = {"op": "name_doi", "name": "n", "value": "v" * 300}
    made = client("namerawtransaction", unsigned.raw.hex(), 0, operation)
    assert made.keys() == {"hex"}
    tx = Transaction.parse(bytes.fromhex(made["hex"]))
    assert tx.version == NAME_TX_VERSION
    assert tx.outputs[0] == Output(NAME_AMOUNT, name_script(b"n", b"v" * 300, ALICE.p2wpkh))
    signed = transaction([coin], tx.outputs, version=NAME_TX_VERSION)
    assert client("sendrawtransaction", signed.raw.hex()) == signed.txid
    assert client("name_show", "n")["value"] == "v" * 300
    decoded = client("decoderawtransaction", signed.raw.hex())
    assert decoded["vout"][0]["scriptPubKey"]["nameOp"]["op"] == "name_doi"
    assert coin_of(signed, 0, ALICE).value == NAME_AMOUNT


def test_only_a_transaction_of_version_1_becomes_a_name(world: World, client: Client) -> None:
    """A node stops there by an assertion, also for one that is a name's already."""
    unsigned = stripped(bare(world))
    operation = {"op": "name_doi", "name": "n", "value": "v"}
    for version in (0, 2, NAME_TX_VERSION):
        tx = Transaction.build(
            version, 0, [(spent, 0xFFFFFFFF) for spent in unsigned.inputs], unsigned.outputs
        )
        wanted = (-8, f"a transaction of version {version}, not 1")
        assert client.error("namerawtransaction", tx.raw.hex(), 0, operation) == wanted
        assert client.error("namepsbt", Psbt.unsigned(tx).text, 0, operation) == wanted


def test_namerawtransaction_keeps_what_is_signed_already(world: World, client: Client) -> None:
    signed = bare(world)
    made = client("namerawtransaction", signed.raw.hex(), 1, {"op": "name_update", "name": "n", "value": ""})
    tx = Transaction.parse(bytes.fromhex(made["hex"]))
    assert tx.inputs == signed.inputs
    assert tx.outputs[1].script == b"\x53\x01n\x00\x6d\x75" + MINER.p2wpkh


def test_namerawtransaction_without_inputs(client: Client) -> None:
    raw = "01000000" + "00" + "01" + "40420f0000000000" + "01" + "51" + "00000000"
    made = client("namerawtransaction", raw, 0, {"op": "name_doi", "name": "n", "value": "v"})
    assert (
        made["hex"] == "00710000" + "00" + "01" + "40420f0000000000" + "08" + "5a016e01766d7551" + "00000000"
    )


def test_name_new_and_firstupdate(world: World, client: Client) -> None:
    raw = bare(world).raw.hex()
    made = client("namerawtransaction", raw, 0, {"op": "name_new", "name": "n"})
    assert len(bytes.fromhex(made["rand"])) == 20
    again = client("namerawtransaction", raw, 0, {"op": "name_new", "name": "n", "rand": made["rand"]})
    assert again == made
    first = {"op": "name_firstupdate", "name": "n", "value": "v", "rand": made["rand"]}
    tx = Transaction.parse(bytes.fromhex(client("namerawtransaction", raw, 0, first)["hex"]))
    rand = bytes.fromhex(made["rand"])
    assert tx.outputs[0].script == b"\x52\x01n\x14" + rand + b"\x01v\x6d\x6d" + ALICE.p2wpkh


@pytest.mark.parametrize(
    ("vout", "operation", "error"),
    [
        (2, {"op": "name_doi", "name": "n", "value": "v"}, (-8, "vout is out of range")),
        (-1, {"op": "name_doi", "name": "n", "value": "v"}, (-8, "vout is out of range")),
        (0, {}, (-3, "Missing op")),
        (0, {"op": "name_doi", "name": "n"}, (-3, "Missing value")),
        (0, {"op": "name_doi", "value": "v"}, (-3, "Missing name")),
        (0, {"op": "name_doi", "name": 1, "value": "v"}, (-3, "Expected type string for name, got number")),
        (0, {"op": "steal"}, (-8, "Invalid name operation")),
        (
            0,
            {"op": "name_doi", "name": "ü", "value": "v"},
            (-1000, "Name/value is invalid for encoding ascii"),
        ),
        (0, {"op": "name_new", "name": "n", "rand": "x"}, (-22, "rand must be hex")),
        (
            0,
            {"op": "name_doi", "name": "n", "value": "v" * 70_000},
            (-8, "a name or value of more than 65535 bytes"),
        ),
    ],
)
def test_a_wrong_name_operation(
    world: World, client: Client, vout: int, operation: dict[str, Any], error: tuple[int, str]
) -> None:
    assert client.error("namerawtransaction", bare(world).raw.hex(), vout, operation) == error


def test_what_is_no_transaction(client: Client) -> None:
    operation = {"op": "name_doi", "name": "n", "value": "v"}
    for text in ("", "0", "zz", "00", "ff" * 100):
        assert client.error("namerawtransaction", text, 0, operation) == (-22, "TX decode failed")
        code, message = client.error("namepsbt", text, 0, operation)
        assert code == -22
        assert message.startswith("TX decode failed ")


def test_namepsbt_does_the_same_with_a_psbt(world: World, client: Client) -> None:
    psbt = Psbt.unsigned(stripped(bare(world)))
    made = client("namepsbt", psbt.text, 0, {"op": "name_doi", "name": "n", "value": "v"})
    found = Psbt.read(made["psbt"].encode())
    assert found.tx.version == NAME_TX_VERSION
    assert found.tx.outputs[0].script == name_script(b"n", b"v", ALICE.p2wpkh)
    assert found.tx.inputs == psbt.tx.inputs
    assert client.error("namepsbt", psbt.text, 5, {"op": "name_doi", "name": "n", "value": "v"})[0] == -8


# ---- wallets


def test_what_needs_a_wallet_is_refused_as_by_a_node_without_one(client: Client) -> None:
    for method in ("name_list", "name_doi", "getbalance", "listunspent", "getnewaddress", "sendtoaddress"):
        code, message = client.error(method)
        assert code == -32601
        assert message.startswith("Method not found")
    assert client("listwallets") == []


def test_a_wallet_by_name_is_not_there(client: Client) -> None:
    proxy = client.proxy("/wallet/mine")
    assert proxy.getblockcount() == 110
    for method, params in (("getbalance", []), ("name_show", ["x"]), ("name_scan", [])):
        with pytest.raises(JSONRPCException) as caught:
            getattr(proxy, method)(*params)
        assert caught.value.code == -18
    proxy._AuthServiceProxy__conn.close()
