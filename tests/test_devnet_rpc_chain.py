"""The served devnet's blocks, transactions and coins, against the recorded chain and against what is sent."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from devnet_world import (
    ALICE,
    BOB,
    FEE,
    MINER,
    NAME_AMOUNT,
    World,
    coin_of,
    recorded_blocks,
    recorded_file,
    transaction,
    written,
)
from rpc_node import Client, served

from doitrust.adapters.devnet import Devnet, load
from doitrust.chain.address import address_of, sha256
from doitrust.chain.block import Block
from doitrust.chain.names import NAME_TX_VERSION
from doitrust.chain.networks import DEVNET
from doitrust.chain.scripts import multisig_script, push
from doitrust.chain.tx import Output, Transaction

DOI = 100_000_000
NOWHERE = "00" * 31 + "01"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
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


def block_at(height: int) -> Block:
    return Block.parse(recorded_blocks(1)[height])


# ---- blocks


def test_raw_blocks_are_the_recorded_ones(recorded: Client) -> None:
    proxy = recorded.proxy()
    hashes = proxy.batch_([["getblockhash", height] for height in range(544)])
    blocks = proxy.batch_([["getblock", block_hash, 0] for block_hash in hashes])
    proxy._AuthServiceProxy__conn.close()
    assert [bytes.fromhex(block) for block in blocks] == list(recorded_blocks(1))
    assert recorded("getblockcount") == 543
    assert recorded("getbestblockhash") == hashes[-1]


def test_a_block_as_json(recorded: Client) -> None:
    block = block_at(530)
    shown = recorded("getblock", block.header.hash)
    assert (
        shown == recorded("getblock", block.header.hash, 1) == recorded("getblock", block.header.hash, True)
    )
    assert list(shown) == [
        *("hash", "confirmations", "strippedsize", "size", "weight", "height", "version", "versionHex"),
        *("merkleroot", "tx", "time", "mediantime", "nonce", "bits", "difficulty", "chainwork", "nTx"),
        *(["auxpow"] if block.auxpow else []),
        *("previousblockhash", "nextblockhash"),
    ]
    assert shown["tx"] == [tx.txid for tx in block.transactions]
    assert (shown["height"], shown["confirmations"], shown["nTx"]) == (530, 14, len(block.transactions))
    assert shown["size"] == len(recorded_blocks(1)[530])
    assert shown["weight"] == 3 * shown["strippedsize"] + shown["size"]
    assert shown["chainwork"] == f"{2 * 531:064x}"
    assert shown["nextblockhash"] == block_at(531).header.hash
    assert shown["mediantime"] == sorted(block_at(h).header.time for h in range(520, 531))[5]
    detailed = recorded("getblock", block.header.hash, 2)
    assert [tx["hex"] for tx in detailed["tx"]] == [tx.raw.hex() for tx in block.transactions]
    assert detailed["difficulty"] == Decimal("4.656542373906925e-10")


def test_an_auxpow_is_shown(recorded: Client) -> None:
    height, block = next((h, b) for h in range(544) if (b := block_at(h)).auxpow is not None)
    assert block.auxpow is not None
    shown = recorded("getblock", block.header.hash)["auxpow"]
    assert shown["parentblock"] == block.auxpow.parent.raw.hex()
    assert (shown["tx"]["hex"], shown["tx"]["blockhash"]) == (
        block.auxpow.coinbase.raw.hex(),
        block.auxpow.parent.hash,
    )
    raw = recorded("getblockheader", block.header.hash, False)
    assert recorded_blocks(1)[height].hex().startswith(raw)
    assert len(raw) > 160


def test_headers(recorded: Client) -> None:
    first, last = block_at(0), block_at(543)
    shown = recorded("getblockheader", first.header.hash)
    assert "previousblockhash" not in shown
    assert shown["nextblockhash"] == block_at(1).header.hash
    shown = recorded("getblockheader", last.header.hash)
    assert (shown["confirmations"], "nextblockhash" in shown) == (1, False)
    assert recorded("getblockheader", first.header.hash, False) == first.header.raw.hex()


def test_what_is_no_block(recorded: Client) -> None:
    assert recorded.error("getblock", NOWHERE) == (-5, "Block not found")
    assert recorded.error("getblockheader", NOWHERE) == (-5, "Block not found")
    assert recorded.error("getblock", "00") == (-8, "blockhash must be of length 64 (not 2, for '00')")
    bad = "x" * 64
    assert recorded.error("getblock", bad) == (-8, f"blockhash must be hexadecimal string (not '{bad}')")
    assert recorded.error("getblock", 5) == (-1, "JSON value is not a string as expected")
    for height in (-1, 544, 2**31 - 1):
        assert recorded.error("getblockhash", height) == (-8, "Block height out of range")


def test_the_state_of_the_chain(recorded: Client) -> None:
    shown = recorded("getblockchaininfo")
    assert (shown["chain"], shown["blocks"], shown["headers"]) == ("regtest", 543, 543)
    assert shown["size_on_disk"] == sum(map(len, recorded_blocks(1)))
    assert {name: fork["active"] for name, fork in shown["softforks"].items()} == {
        "bip16": True,
        "bip34": True,
        "bip66": False,
        "bip65": False,
        "csv": True,
        "segwit": True,
    }
    assert recorded("getnetworkinfo")["connections"] == 0
    assert recorded("getindexinfo")["txindex"] == {"synced": True, "best_block_height": 543}
    assert recorded("getindexinfo", "other") == {}
    assert recorded("estimatesmartfee", 6)["errors"] == ["Insufficient data or no feerate found"]
    assert recorded.error("estimatesmartfee", 0)[0] == recorded.error("estimatesmartfee", 1009)[0] == -8
    assert recorded.error("estimatesmartfee", 6, "x") == (-8, "Invalid estimate_mode parameter")


# ---- transactions


def test_transactions_of_the_chain(recorded: Client) -> None:
    for height in (1, 452, 543):
        block = block_at(height)
        for tx in block.transactions:
            assert recorded("getrawtransaction", tx.txid) == tx.raw.hex()
            shown = recorded("getrawtransaction", tx.txid, True)
            assert shown == recorded("getrawtransaction", tx.txid, 1)
            assert (shown["hash"], shown["version"]) == (tx.wtxid[::-1].hex(), tx.version)
            assert (shown["blockhash"], shown["confirmations"]) == (block.header.hash, 544 - height)
            inside = recorded("getrawtransaction", tx.txid, True, block.header.hash)
            assert inside == {"in_active_chain": True, **shown}
            assert (
                sum(out["value"] for out in shown["vout"])
                == Decimal(sum(out.value for out in tx.outputs)) / DOI
            )


def test_what_is_no_transaction(recorded: Client) -> None:
    code, message = recorded.error("getrawtransaction", NOWHERE)
    assert (code, message.startswith("No such mempool or blockchain transaction")) == (-5, True)
    code, message = recorded.error("getrawtransaction", NOWHERE, False, block_at(5).header.hash)
    assert (code, message.startswith("No such transaction found in the provided block")) == (-5, True)
    assert recorded.error("getrawtransaction", NOWHERE, False, NOWHERE) == (-5, "Block hash not found")
    genesis = block_at(0).transactions[0].txid
    assert "genesis block coinbase" in recorded.error("getrawtransaction", genesis)[1]
    assert recorded.error("getrawtransaction", "00")[0] == -8


def test_sending_mines_and_again_is_already_in_the_chain(world: World, client: Client) -> None:
    tx = world.pay(Output(DOI, ALICE.p2wpkh))
    assert client("testmempoolaccept", [tx.raw.hex()]) == [
        {"txid": tx.txid, "allowed": True, "vsize": 141, "fees": {"base": Decimal("0.0005")}}
    ]
    assert client("sendrawtransaction", tx.raw.hex()) == tx.txid
    assert client("getrawtransaction", tx.txid, True)["confirmations"] == 1
    assert client.error("sendrawtransaction", tx.raw.hex()) == (-27, "Transaction already in block chain")
    (told,) = client("testmempoolaccept", [tx.raw.hex()])
    assert told == {"txid": tx.txid, "allowed": False, "reject-reason": "txn-already-known"}


def test_what_waits(world: World, client: Client) -> None:
    world.devnet.automine(False)
    tx = world.pay(Output(DOI, ALICE.p2wpkh))
    assert client("sendrawtransaction", tx.raw.hex()) == client("sendrawtransaction", tx.raw.hex())
    child = transaction([coin_of(tx, 0, ALICE)], [Output(DOI - FEE, BOB.p2wpkh)])
    client("sendrawtransaction", child.raw.hex())
    assert client("getrawmempool") == [tx.txid, child.txid]
    assert "blockhash" not in client("getrawtransaction", tx.txid, True)
    assert client("testmempoolaccept", [tx.raw.hex()])[0]["reject-reason"] == "txn-already-in-mempool"
    entries = client("getrawmempool", True)
    assert entries[child.txid] == client("getmempoolentry", child.txid)
    assert (entries[child.txid]["depends"], entries[tx.txid]["spentby"]) == ([tx.txid], [child.txid])
    assert entries[child.txid]["fees"]["ancestor"] == Decimal(2 * FEE) / DOI
    assert entries[tx.txid]["descendantcount"] == 2
    assert client.error("getmempoolentry", NOWHERE) == (-5, "Transaction not in mempool")
    assert client("getmempoolinfo")["size"] == 2
    assert client("gettxout", tx.txid, 0) is None  # spent by the child
    assert client("gettxout", child.txid, 0)["confirmations"] == 0
    assert client("gettxout", child.txid, 0, False) is None


def spoilt(tx: Transaction) -> Transaction:
    raw = bytearray(tx.raw)
    raw[-40] ^= 1  # in the public key of the last witness
    return Transaction.parse(bytes(raw))


def test_refusals_have_the_codes_of_the_node(world: World, client: Client) -> None:
    coin = world.coin()
    greedy = transaction([coin], [Output(coin.value - 100, ALICE.p2wpkh)])
    waste = transaction([coin], [Output(DOI, ALICE.p2wpkh)])
    missing = transaction([coin_of(greedy, 0, ALICE)], [Output(DOI, ALICE.p2wpkh)])
    young = world.devnet.coins(MINER.p2wpkh)[-1]
    young_reason = "bad-txns-premature-spend-of-coinbase"
    immature = transaction([World.of(young, MINER)], [Output(DOI, ALICE.p2wpkh)])
    named_reason = "tx-name-greedy"
    named = world.pay(written("bp/x", "1", ALICE, NAME_AMOUNT - 1), version=NAME_TX_VERSION)
    cases: list[tuple[Transaction, int, str, str]] = [
        (greedy, -26, "min relay fee not met, 100 < 11000", "min relay fee not met"),
        (waste, -26, f"absurdly-high-fee, {coin.value - DOI} > 1100000", "absurdly-high-fee"),
        (missing, -25, "bad-txns-inputs-missingorspent", "missing-inputs"),
        (immature, -26, f"{young_reason}, at depth 1", young_reason),
        (named, -26, f"{named_reason}, 999999 of 1000000 schwartz in the name output", named_reason),
    ]
    for tx, code, message, reason in cases:
        assert client.error("sendrawtransaction", tx.raw.hex()) == (code, message)
        (told,) = client("testmempoolaccept", [tx.raw.hex()])
        assert (told["allowed"], told["reject-reason"]) == (False, reason)
    code, message = client.error("sendrawtransaction", spoilt(world.pay(Output(DOI, ALICE.p2wpkh))).raw.hex())
    assert (code, message.startswith("non-mandatory-script-verify-flag (")) == (-26, True)
    assert world.devnet.tip().height == 110


def test_many_signature_operations_count_as_bytes(world: World, client: Client) -> None:
    world.devnet.automine(False)
    tx = world.pay(Output(DOI, multisig_script(1, [ALICE.public] * 3)))
    (told,) = client("testmempoolaccept", [tx.raw.hex()])
    client("sendrawtransaction", tx.raw.hex())
    entry = client("getmempoolentry", tx.txid)
    assert (told["vsize"], entry["vsize"], entry["ancestorsize"], entry["descendantsize"]) == (
        224,
        *[405] * 3,
    )
    assert entry["unbroadcast"] is True
    info = client("getmempoolinfo")
    assert (info["bytes"], info["unbroadcastcount"]) == (405, 1)


def test_a_data_output_that_waits_is_shown(world: World, client: Client) -> None:
    """A node keeps it out of the chain's coins only."""
    world.devnet.automine(False)
    tx = world.pay(Output(0, b"\x6a" + push(b"note")))
    client("sendrawtransaction", tx.raw.hex())
    assert client("gettxout", tx.txid, 0)["scriptPubKey"]["type"] == "nulldata"
    world.devnet.mine(1)
    assert client("gettxout", tx.txid, 0) is None


def test_a_double_spend_of_what_waits(world: World, client: Client) -> None:
    world.devnet.automine(False)
    coin = world.coin()
    client("sendrawtransaction", world.pay(Output(DOI, ALICE.p2wpkh), coins=[coin]).raw.hex())
    other = world.pay(Output(DOI, BOB.p2wpkh), coins=[coin])
    assert client.error("sendrawtransaction", other.raw.hex()) == (-26, "txn-mempool-conflict")


def test_the_highest_fee_is_the_callers_choice(world: World, client: Client) -> None:
    coin = world.coin()
    dear = transaction([coin], [Output(coin.value - 2_000_000, ALICE.p2wpkh)])
    raw = dear.raw.hex()
    assert client.error("sendrawtransaction", raw)[1].startswith("absurdly-high-fee")
    assert client.error("sendrawtransaction", raw, "0.15")[1].startswith("absurdly-high-fee")
    assert client("testmempoolaccept", [raw], 0)[0]["allowed"] is True
    refused: list[Any] = [-1, "x", "0.000000001", "1e30", "", [], 21_000_001]
    for bad in refused:
        assert client.error("sendrawtransaction", raw, bad)[0] == -3
    assert client("sendrawtransaction", raw, 0.5) == dear.txid


def test_what_cannot_be_decoded(client: Client) -> None:
    for text in ("", "0", "xx", "00", "ff" * 1000):
        for method in ("sendrawtransaction", "decoderawtransaction"):
            assert client.error(method, text) == (-22, "TX decode failed")
        assert client.error("testmempoolaccept", [text]) == (-22, "TX decode failed")
    assert client.error("testmempoolaccept", [])[0] == client.error("testmempoolaccept", ["", ""])[0] == -8
    assert client.error("testmempoolaccept", "00") == (-3, "Expected type array, got string")
    assert client.error("decoderawtransaction", "00", "x")[0] == -3


def test_decoding_shows_scripts(world: World, client: Client) -> None:
    data = b"\x6a\x04data"
    multisig = multisig_script(1, [ALICE.public, BOB.public])
    scripts = [data, multisig, push(ALICE.public) + b"\xac", BOB.p2pkh, b"\x51\x02\x01", b"\x5a\x4c", b""]
    coin = world.coin()
    tx = transaction([coin], [Output(at, script) for at, script in enumerate(scripts)])
    shown = [out["scriptPubKey"] for out in client("decoderawtransaction", tx.raw.hex())["vout"]]
    types = ["nulldata", "multisig", "pubkey", "pubkeyhash", "nonstandard", "nonstandard", "nonstandard"]
    assert [script["type"] for script in shown] == types
    assert shown[0]["asm"] == f"OP_RETURN {int.from_bytes(b'data', 'little')}"
    assert shown[1]["asm"].endswith(" OP_NAME_FIRSTUPDATE OP_CHECKMULTISIG")
    assert shown[1]["addresses"] == [address_of(key.p2pkh, DEVNET) for key in (ALICE, BOB)]
    assert "addresses" not in shown[2]
    assert shown[3]["addresses"] == [address_of(BOB.p2pkh, DEVNET)]
    assert shown[4]["asm"] == "OP_NAME_NEW [error]"
    assert shown[6] == {"asm": "", "hex": "", "type": "nonstandard"}
    (spent,) = client("decoderawtransaction", tx.raw.hex())["vin"]
    assert (spent["txid"], spent["vout"], spent["sequence"]) == (coin.txid, coin.vout, 0xFFFFFFFF)
    assert len(spent["txinwitness"]) == 2


def test_a_signature_in_a_script_names_its_type(world: World, client: Client) -> None:
    paid = world.pay(Output(DOI, ALICE.p2pkh))
    tx = transaction([coin_of(paid, 0, ALICE)], [Output(DOI - FEE, BOB.p2wpkh)])
    (spent,) = client("decoderawtransaction", tx.raw.hex())["vin"]
    assert "[ALL] " + ALICE.public.hex() in spent["scriptSig"]["asm"]


# ---- coins


def test_coins_by_outpoint(recorded: Client) -> None:
    tx = block_at(543).transactions[1]
    shown = recorded("gettxout", tx.txid, 1)
    assert (shown["confirmations"], shown["coinbase"]) == (1, False)
    assert shown["value"] == Decimal(tx.outputs[1].value) / DOI
    assert recorded("gettxout", block_at(543).transactions[0].txid, 0)["coinbase"] is True
    assert recorded("gettxout", tx.txid, 99) is None
    assert recorded("gettxout", tx.txid, -1) is None
    assert recorded("gettxout", NOWHERE, 0) is None
    assert recorded.error("gettxout", NOWHERE, "0")[0] == -1


def test_scanning_finds_coins_but_no_names(world: World, client: Client) -> None:
    paid = world.pay(Output(2 * DOI, ALICE.p2wpkh), Output(DOI, BOB.p2pkh))
    world.send(paid)
    world.send(world.write("mine", "v", ALICE))
    alice, bob = address_of(ALICE.p2wpkh, DEVNET), address_of(BOB.p2pkh, DEVNET)
    found = client(
        "scantxoutset", "start", [f"addr({alice})", {"desc": f"raw({BOB.p2pkh.hex()})", "range": 5}]
    )
    assert (found["success"], found["height"], found["total_amount"]) == (True, 112, Decimal(3))
    assert found["bestblock"] == client("getbestblockhash")
    assert [(coin["txid"], coin["vout"], coin["height"]) for coin in found["unspents"]] == [
        (paid.txid, 0, 111),
        (paid.txid, 1, 111),
    ]
    assert [coin["desc"].partition("#")[0] for coin in found["unspents"]] == [
        f"addr({alice})",
        f"addr({bob})",
    ]
    again = client("scantxoutset", "start", [coin["desc"] for coin in found["unspents"]])
    assert again == found
    name = world.tip_block().transactions[1].outputs[0].script.hex()
    (coin,) = client("scantxoutset", "start", [f"raw({name})"])["unspents"]
    assert coin["desc"].startswith("raw(")
    assert client("scantxoutset", "start", [])["unspents"] == []
    assert client("scantxoutset", "status") is None
    assert client("scantxoutset", "abort") is False


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (("start",), (-1, "scanobjects argument is required for the start action")),
        (("halt", []), (-8, "Invalid command")),
        (("start", "x"), (-3, "Expected type array, got string")),
        (("start", [1]), (-8, "Scan object needs to be either a string or an object")),
        (("start", [{}]), (-8, "Descriptor needs to be provided in scan object")),
        (("start", ["addr(dc1qqqqq)"]), (-5, "Address is not valid")),
        (("start", ["raw()"]), (-5, "Raw script is not hex")),
        (("start", ["raw(51)#"]), (-5, "Expected 8 character checksum, not 0 characters")),
        (("start", ["raw(51)#a#b"]), (-5, "Multiple '#' symbols")),
        (("start", ["raw(51)\u00e4"]), (-5, "Invalid characters in payload")),
        (("start", ["rew(51)"]), (-5, "rew(51) is not a valid descriptor function")),
        (("start", ["rew(51)),"]), (-5, "rew(51) is not a valid descriptor function")),
        (("start", [",raw(51)"]), (-5, " is not a valid descriptor function")),
        (("start", ["raw(51))"]), (-5, "")),
        (("start", ["raw(51),51"]), (-5, "")),
        (("start", ["raw((51))"]), (-5, "Raw script is not hex")),
    ],
)
def test_what_cannot_be_scanned_for(
    recorded: Client, params: tuple[Any, ...], error: tuple[int, str]
) -> None:
    assert recorded.error("scantxoutset", *params) == error


def test_a_wrong_checksum(recorded: Client) -> None:
    code, message = recorded.error("scantxoutset", "start", ["raw(51)#qqqqqqqq"])
    assert (code, message.startswith("Provided checksum 'qqqqqqqq' does not match")) == (-5, True)


# ---- proofs


def matched(proof: bytes, header: bytes) -> tuple[bytes, list[bytes]]:
    """Read a partial merkle tree as BIP 37 says; returns the root and the hashes that are proven."""
    assert proof.startswith(header)
    rest = proof[len(header) :]
    count, kept = int.from_bytes(rest[:4], "little"), rest[4]
    hashes = [rest[5 + 32 * at : 37 + 32 * at] for at in range(kept)]
    flags = rest[6 + 32 * kept :]
    assert len(flags) == rest[5 + 32 * kept]
    bits = [flags[at // 8] >> at % 8 & 1 for at in range(8 * len(flags))]
    found: list[bytes] = []

    def walk(level: int, at: int) -> bytes:
        marked = bits.pop(0)
        if level == 0 or not marked:
            found.extend(hashes[:1] if marked else [])
            return hashes.pop(0)
        left = walk(level - 1, 2 * at)
        width = -(-count // (1 << (level - 1)))
        right = walk(level - 1, 2 * at + 1) if 2 * at + 1 < width else left
        return sha256(sha256(left + right))

    root = walk((count - 1).bit_length(), 0)
    assert hashes == []
    assert not any(bits)
    return root, found


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_a_proof_leads_to_the_merkle_root(world: World, client: Client, count: int) -> None:
    made = [world.pay(Output(DOI, ALICE.p2wpkh), coins=[world.coin(index=at)]) for at in range(count)]
    world.devnet.mine_with([tx.raw for tx in made])
    block = world.tip_block()
    for wanted in ([made[0]], [made[-1]], made, made[::2]):
        proof = bytes.fromhex(client("gettxoutproof", [tx.txid for tx in wanted], block.header.hash))
        root, found = matched(proof, block.header.raw)
        assert root == block.header.merkle_root
        assert {h[::-1].hex() for h in found} == {tx.txid for tx in wanted}
        assert client("gettxoutproof", [tx.txid for tx in wanted]) == proof.hex()


def test_what_cannot_be_proven(world: World, client: Client) -> None:
    tx = world.pay(Output(DOI, ALICE.p2wpkh))
    assert client.error("gettxoutproof", [tx.txid]) == (-5, "Transaction not yet in block")
    assert client.error("gettxoutproof", []) == (-5, "Transaction not yet in block")
    world.send(tx)
    tip = world.devnet.tip().hash
    code, message = client.error("gettxoutproof", [tx.txid, NOWHERE], tip)
    assert (code, message) == (-5, "Not all transactions found in specified or retrieved block")
    assert client.error("gettxoutproof", [tx.txid, tx.txid])[0] == -8
    assert client.error("gettxoutproof", [tx.txid], NOWHERE) == (-5, "Block not found")
    assert client.error("gettxoutproof", ["x"])[0] == -8


def test_a_removed_block_is_forgotten(world: World, client: Client) -> None:
    tip = client("getbestblockhash")
    world.devnet.reorg(1)
    assert client.error("getblock", tip) == (-5, "Block not found")
    assert client("getblockcount") == 111
