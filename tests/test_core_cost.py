"""What a verification costs over RPC: requests grow by batches, not by writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import world as worlds
from lying import Proxy, lying
from made import METER
from rpc_node import served
from test_core_node import core

from doitrust.workflows.verify import verify

#: Writes of the meter, each in a block of its own.
STEPS = (1, 20, 60)


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[tuple[worlds.World, Proxy]]:
    world = worlds.organised(tmp_path)
    with served(world.devnet.directory) as (client, _), lying(client.port) as proxy:
        yield world, proxy
    world.devnet.close()


def cost(world: worlds.World, proxy: Proxy) -> tuple[int, int, int]:
    """Requests, calls and bytes of one cold verification."""
    proxy.reset()
    (verdict,) = verify(core(proxy.port), world.devnet.contents, world.policy(), [METER]).verdicts
    assert verdict.status == "trusted"
    return proxy.requests, len(proxy.calls), proxy.sent + proxy.received


def test_requests_do_not_grow_with_the_writes(counted: tuple[worlds.World, Proxy]) -> None:
    world, proxy = counted
    found = {}
    certificate = world.certify("E1")
    world.mine(6)
    value = world.tx(certificate).writes[0][1].value
    done = 1
    for count in STEPS:
        for _ in range(count - done):
            world.overwrite(value, by="E1")
        done = count
        world.mine(6)
        found[count] = cost(world, proxy)
    requests = {each[0] for each in found.values()}
    assert max(requests) <= 20
    assert max(requests) - min(requests) <= 2
    more = STEPS[-1] - STEPS[0]
    # A write costs a hash, a transaction, a proof, a header at the beginning and one at the end, and nearly the same
    # of each transaction that it spends.
    assert found[STEPS[-1]][1] - found[STEPS[0]][1] <= 9 * more
    assert found[STEPS[-1]][2] - found[STEPS[0]][2] <= 10_000 * more
