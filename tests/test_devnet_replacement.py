"""Replacement by fee on the devnet, as nodes do it (BIP 125)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from devnet_world import World
from replacements import steps

from doitrust.adapters.devnet.reject import Rejected


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "devnet")
    world.devnet.automine(False)
    yield world
    world.devnet.close()


def test_every_rule_of_replacement(world: World) -> None:
    """What a Doichain Core says of the same is compared in `tests/node`."""
    for label, tx, expected in steps(world):
        try:
            world.send(tx)
            reason = ""
        except Rejected as error:
            reason = error.code
        assert reason == expected, label


def test_what_is_replaced_is_gone_with_its_children(world: World) -> None:
    gone = 0
    for label, tx, expected in steps(world):
        before = set(world.devnet.waiting())
        if not expected:
            world.send(tx)
            after = set(world.devnet.waiting())
            spent = {(i.txid, i.vout) for i in tx.inputs}
            assert tx.txid in after, label
            for txid in before - after:
                located = world.devnet.transaction(txid)
                assert located is None, label
                gone += 1
            for txid in after - {tx.txid}:
                located = world.devnet.transaction(txid)
                assert located is not None
                assert not spent & {(i.txid, i.vout) for i in located.tx.inputs}, label
    assert gone == 7
    waiting = set(world.devnet.waiting())
    world.devnet.mine(1)
    assert world.devnet.waiting() == []
    assert {tx.txid for tx in world.tip_block().transactions[1:]} == waiting
