"""Payments from the devnet's miner: spendable at once, with no more blocks than it takes, all or nothing."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli import failure, home, run, start
from devnet_world import ALICE, BOB, FEE, MINER, World, coin_of, recorded_file, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from doitrust.adapters.devnet import Devnet, load
from doitrust.adapters.devnet.fund import _MAX_INPUTS
from doitrust.adapters.devnet.params import subsidy
from doitrust.chain.address import address_of
from doitrust.chain.block import Block
from doitrust.chain.networks import DEVNET, MAINNET
from doitrust.chain.scripts import p2wsh
from doitrust.chain.tx import Output
from doitrust.errors import BadData, Refused, Usage

DOI = 100_000_000
ADDRESS = address_of(ALICE.p2wpkh, DEVNET) or ""


@pytest.fixture
def devnet(tmp_path: Path) -> Iterator[Devnet]:
    made = Devnet(tmp_path)
    yield made
    made.close()


def told(*arguments: object) -> dict[str, Any]:
    value: dict[str, Any] = run("devnet", "fund", *arguments, "--json").value
    return value


def test_a_new_devnet_mines_101_blocks_and_the_coin_can_be_spent(devnet: Devnet) -> None:
    paid = devnet.fund(ADDRESS, DOI)
    assert (paid.mined, paid.height, devnet.tip().height) == (101, 101, 101)
    (coin,) = devnet.coins(ALICE.p2wpkh)
    assert (coin.txid, coin.value, coin.confirmations, coin.mature) == (paid.txid, DOI, 1, True)
    spent = transaction([World.of(coin, ALICE)], [Output(DOI - FEE, BOB.p2wpkh)])
    assert devnet.broadcast(spent.raw) == spent.txid


def test_the_next_payment_takes_one_block(devnet: Devnet) -> None:
    devnet.fund(ADDRESS, DOI)
    assert devnet.fund(ADDRESS, DOI).mined == 1
    assert sum(coin.value for coin in devnet.coins(ALICE.p2wpkh)) == 2 * DOI


def test_it_is_an_ordinary_payment_with_the_least_fee(devnet: Devnet) -> None:
    paid = devnet.fund(ADDRESS, DOI)
    block = Block.parse(devnet.block(paid.height) or b"")
    (tx,) = block.transactions[1:]
    assert (tx.txid, tx.version, len(tx.inputs)) == (paid.txid, 2, 1)
    assert tx.outputs[0] == Output(DOI, ALICE.p2wpkh)
    assert tx.outputs[1].script == MINER.p2wpkh
    fee = 50 * DOI - sum(output.value for output in tx.outputs)
    assert 14_000 <= fee <= 14_600  # some 141 virtual bytes at 100 schwartz
    assert block.transactions[0].outputs[0].value == subsidy(paid.height) + fee


@pytest.mark.parametrize(
    "script", [ALICE.p2wpkh, ALICE.p2pkh, p2wsh(bytes(32)), b"\xa9\x14" + bytes(20) + b"\x87"]
)
def test_every_kind_of_address_can_be_paid(devnet: Devnet, script: bytes) -> None:
    devnet.fund(address_of(script, DEVNET) or "", 5 * DOI)
    assert [coin.value for coin in devnet.coins(script)] == [5 * DOI]


@pytest.mark.parametrize(("amount", "mined"), [(50, 1), (99, 1), (100, 2), (199, 3), (200, 4)])
def test_more_coins_need_more_blocks_but_not_one_too_many(devnet: Devnet, amount: int, mined: int) -> None:
    """After 102 blocks the change of 49.99 DOI is there, and each further block makes 50 more mature."""
    assert devnet.fund(ADDRESS, 50 * DOI).mined == 102
    assert devnet.fund(ADDRESS, amount * DOI).mined == mined


def test_change_is_spent_again_at_once(devnet: Devnet) -> None:
    for _ in range(10):
        devnet.fund(ADDRESS, DOI)
    assert devnet.tip().height == 110


def test_change_that_would_be_dust_goes_to_the_fee(devnet: Devnet) -> None:
    paid = devnet.fund(ADDRESS, 50 * DOI - 14_300)
    tx = Block.parse(devnet.block(paid.height) or b"").transactions[1]
    assert [output.value for output in tx.outputs] in ([50 * DOI - 14_300], [50 * DOI - 14_300, 50 * DOI])
    assert paid.mined in (101, 102)


def test_automine_off_mines_for_the_payment_and_leaves_the_rest_waiting(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.devnet.automine(False)
    waiting = world.send(world.pay(Output(DOI, BOB.p2wpkh)))
    paid = world.devnet.fund(ADDRESS, DOI)
    assert (paid.mined, world.devnet.waiting()) == (1, [waiting])
    assert world.devnet.status()["automine"] is False
    world.devnet.mine(1)  # both spend different coins
    assert world.devnet.waiting() == []
    assert [coin.value for coin in world.devnet.coins(BOB.p2wpkh)] == [DOI]
    world.devnet.close()


def test_coins_that_waiting_transactions_spend_are_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path, blocks=101)
    world.devnet.automine(False)
    first = world.pay(Output(DOI, BOB.p2wpkh))
    world.send(first)
    world.send(world.pay(Output(DOI, BOB.p2wpkh), coins=[coin_of(first, 1, MINER)]))
    (spent,) = first.inputs
    paid = world.devnet.fund(ADDRESS, DOI)
    tx = Block.parse(world.devnet.block(paid.height) or b"").transactions[1]
    assert spent.txid not in {other.txid for other in tx.inputs}
    assert len(world.devnet.waiting()) == 2
    world.devnet.close()


@pytest.mark.parametrize("amount", [1, 293])
def test_dust_is_refused(devnet: Devnet, amount: int) -> None:
    with pytest.raises(Usage, match="too little"):
        devnet.fund(ADDRESS, amount)
    assert devnet.tip().height == 0
    devnet.fund(ADDRESS, 294)


@pytest.mark.parametrize("address", ["", "x", ADDRESS[:-1], ADDRESS + "q", address_of(ALICE.p2wpkh, MAINNET)])
def test_what_is_no_address_of_the_devnet_is_refused(devnet: Devnet, address: str) -> None:
    with pytest.raises(BadData):
        devnet.fund(address, DOI)
    assert devnet.tip().height == 0


def test_what_the_subsidy_cannot_give_is_refused_and_nothing_is_mined(devnet: Devnet) -> None:
    everything = sum(map(subsidy, range(1, 6000)))
    for amount in (everything, 15_000 * DOI, 21_000_000 * DOI):
        with pytest.raises(Refused, match="all the subsidy to come"):
            devnet.fund(ADDRESS, amount)
    assert devnet.tip().height == 0


def test_over_a_recorded_chain_only_the_rest_of_the_subsidy_is_there(devnet: Devnet) -> None:
    devnet.import_chain(load(recorded_file(1)))
    left = sum(map(subsidy, range(544, 6000)))
    assert 1285 * DOI < left < 1295 * DOI
    with pytest.raises(Refused, match="less than 12"):
        devnet.fund(ADDRESS, left)
    assert devnet.tip().height == 543
    paid = devnet.fund(ADDRESS, 600 * DOI)
    assert paid.mined == paid.height - 543
    assert paid.mined > 101


def test_a_payment_of_very_many_coins_is_refused(devnet: Devnet) -> None:
    devnet.mine(1150)
    mature = [coin.value for coin in devnet.coins(MINER.p2wpkh) if coin.mature]
    with pytest.raises(Refused, match=f"takes {len(mature)} coins of the miner's, more than {_MAX_INPUTS}"):
        devnet.fund(ADDRESS, sum(mature) - 7_000 * len(mature))
    assert devnet.tip().height == 1150
    assert devnet.fund(ADDRESS, sum(mature) - 2 * sum(mature[_MAX_INPUTS - 10 :])).mined == 1


@settings(max_examples=15)
@given(amounts=st.lists(st.integers(294, 120 * DOI), min_size=1, max_size=3))
def test_any_amount_arrives_in_the_block_that_is_told(
    tmp_path_factory: pytest.TempPathFactory, amounts: list[int]
) -> None:
    devnet = Devnet(tmp_path_factory.mktemp("devnet"))
    for amount in amounts:
        before = devnet.tip().height
        paid = devnet.fund(ADDRESS, amount)
        assert paid.height == devnet.tip().height == before + paid.mined
        assert (
            Output(amount, ALICE.p2wpkh)
            in Block.parse(devnet.block(paid.height) or b"").transactions[1].outputs
        )
    assert sorted(coin.value for coin in devnet.coins(ALICE.p2wpkh)) == sorted(amounts)
    devnet.close()


# ---- the command


def test_the_command_tells_what_it_did() -> None:
    assert told(ADDRESS, "1.5") == {
        "txid": told_last(),
        "address": ADDRESS,
        "amount": "1.50000000",
        "mined": 101,
        "height": 101,
    }
    text = run("devnet", "fund", ADDRESS, "0.00001").out
    assert text.startswith(f"0.00001000 DOI paid to {ADDRESS}\n")
    assert "in block 102; one block mined for it" in text


def told_last() -> str:
    """The txid of the payment in the last block."""
    devnet = Devnet(home() / "devnet")
    try:
        block = Block.parse(devnet.block(devnet.tip().height) or b"")
        return block.transactions[1].txid
    finally:
        devnet.close()


@pytest.mark.parametrize(
    "amount",
    ["0", "0.0", "1e3", "1.123456789", ".5", "5.", "1,5", "\u0665", "NaN", "inf", "0x1", "", "999999999"],
)
def test_what_is_no_amount_is_a_mistake_of_use(amount: str) -> None:
    failure("devnet", "fund", ADDRESS, amount, status=2)
    failure("devnet", "fund", ADDRESS, "--", "-" + amount, status=2)


def test_failures_of_the_command() -> None:
    assert "address" in failure("devnet", "fund", "nobody", "1")
    assert "subsidy" in failure("devnet", "fund", ADDRESS, "20000")
    assert "too little" in failure("devnet", "fund", ADDRESS, "0.00000001", status=2)
    assert run("devnet", "status", "--json").value["blocks"] == 0


def test_several_processes_at_once_all_pay() -> None:
    processes = [
        start("devnet", "fund", ADDRESS, "20", "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    paid = []
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, b"")
        paid.append(json.loads(out))
    assert len({one["txid"] for one in paid}) == 4
    assert sorted(one["mined"] for one in paid)[-1] == 101
    status = run("devnet", "status", "--json").value
    assert status["blocks"] == sum(one["mined"] for one in paid)
