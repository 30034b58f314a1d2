"""When names expire, and from when on their coins are left alone: the node's own rule is the measure."""

from itertools import pairwise
from pathlib import Path

import pytest
from devnet_world import ALICE, World
from hypothesis import given
from hypothesis import strategies as st

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.names import is_expired
from doitrust.adapters.devnet.view import Record
from doitrust.chain.expiry import MARGIN, REGTEST_MARGIN, expiry_depth, is_near_expiry
from doitrust.chain.networks import DEVNET, MAINNET, REGTEST, TESTNET, Network

LONG_LIVED, SHORT_LIVED = (MAINNET, TESTNET), (REGTEST, DEVNET)


@pytest.mark.parametrize("network", LONG_LIVED)
@pytest.mark.parametrize(
    ("height", "depth"),
    [
        (0, 12_000),
        (23_999, 12_000),
        (24_000, 12_000),
        (24_001, 12_001),
        (47_999, 35_999),
        (48_000, 36_000),
        (48_001, 36_000),
        (10**6, 36_000),
    ],
)
def test_the_depth_on_the_long_lived_chains(network: Network, height: int, depth: int) -> None:
    """doichain.md: 12000 below height 24000, then height - 12000 below 48000, then 36000."""
    assert expiry_depth(network, height) == depth


@pytest.mark.parametrize("network", SHORT_LIVED)
@pytest.mark.parametrize("height", [0, 30, 24_000, 10**6])
def test_the_depth_on_regtest(network: Network, height: int) -> None:
    assert expiry_depth(network, height) == params.NAME_EXPIRY == 30


@given(st.integers(0, 60_000))
def test_once_expired_a_name_stays_expired(written: int) -> None:
    """So it is enough to look at the first and the last block of the margin."""
    expired = [written + expiry_depth(MAINNET, at) <= at for at in range(written, written + 37_000, 97)]
    assert all(one <= two for one, two in pairwise(expired))
    assert expired[-1]


def expires_at(network: Network, written: int) -> int:
    """The first block that sees the name as expired, by counting."""
    at = written
    while written + expiry_depth(network, at) > at:
        at += 1
    return at


@pytest.mark.parametrize("written", [0, 1, 11_999, 12_000, 12_001, 20_000, 35_999, 36_000, 300_000])
def test_on_mainnet_a_coin_is_left_alone_from_144_blocks_before(written: int) -> None:
    end = expires_at(MAINNET, written)
    assert not is_near_expiry(MAINNET, written, end - MARGIN - 1)
    assert MARGIN == 144
    for height in (end - 144, end - 143, end - 1, end, end + 1, end + 10**6):
        assert is_near_expiry(MAINNET, written, height)


@pytest.mark.parametrize("network", SHORT_LIVED)
def test_on_regtest_from_5_blocks_before(network: Network) -> None:
    assert REGTEST_MARGIN == 5
    near = [is_near_expiry(network, 100, height) for height in range(100, 140)]
    assert near == [False] * 25 + [True] * 15


@given(st.integers(0, 500), st.integers(0, 600))
def test_it_is_the_devnets_rule_five_blocks_ahead(written: int, height: int) -> None:
    record = Record(written, "00" * 32, 0)
    assert is_near_expiry(DEVNET, written, height) == is_expired(record, height + REGTEST_MARGIN)


@given(st.integers(0, 400_000), st.integers(0, 500_000))
def test_what_is_near_is_never_younger_than_what_is_not(written: int, height: int) -> None:
    if is_near_expiry(MAINNET, written, height):
        assert is_near_expiry(MAINNET, written, height + 1)
        if written:
            assert is_near_expiry(MAINNET, written - 1, height)


def test_the_chain_takes_a_coin_up_to_the_last_block_and_none_after(tmp_path: Path) -> None:
    """What the margin keeps us away from: the coin is gone with the block after which its name is expired."""
    world = World(tmp_path)
    tx = world.write("bp/1EMH0012345678", "v", ALICE)
    world.send(tx)
    located = world.devnet.transaction(tx.txid)
    assert located is not None
    assert located.place is not None
    written = located.place.height
    while world.devnet.is_unspent(tx.txid, 0):
        assert world.devnet.tip().height < written + 100
        world.devnet.mine(1)
    gone = world.devnet.tip().height + 1  # no transaction of this block or later can spend it
    assert gone == expires_at(DEVNET, written)
    assert is_near_expiry(DEVNET, written, gone - REGTEST_MARGIN)
    assert not is_near_expiry(DEVNET, written, gone - REGTEST_MARGIN - 1)
    world.devnet.close()
