"""What a verification costs over RPC, cold and with a cache: requests grow by batches, not by writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import world as worlds
from lying import Proxy, lying
from made import METER
from rpc_node import served
from test_core_node import core

from doitrust.adapters.core.cache import Cache
from doitrust.workflows.verify import verify

#: Writes of the meter, each in a block of its own.
STEPS = (1, 20, 60)


class Cost(NamedTuple):
    """Of one verification; bytes both ways."""

    requests: int
    calls: int
    bytes: int


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[tuple[worlds.World, Proxy]]:
    world = worlds.organised(tmp_path)
    with served(world.devnet.directory) as (client, _), lying(client.port) as proxy:
        yield world, proxy
    world.devnet.close()


def cost(world: worlds.World, proxy: Proxy, cache: Path | None = None, *, own: bool = True) -> Cost:
    proxy.reset()
    node = core(proxy.port, own=own, cache=None if cache is None else Cache(cache, pytest.fail))
    (verdict,) = verify(node, world.devnet.contents, world.policy(trust_source=True), [METER]).verdicts
    assert verdict.status == "trusted"
    return Cost(proxy.requests, len(proxy.calls), proxy.sent + proxy.received)


def test_requests_do_not_grow_with_the_writes(counted: tuple[worlds.World, Proxy], tmp_path: Path) -> None:
    world, proxy = counted
    without: dict[int, Cost] = {}
    cold: dict[int, Cost] = {}
    warm: dict[int, Cost] = {}
    foreign: dict[int, Cost] = {}
    certificate = world.certify("E1")
    world.mine(6)
    value = world.tx(certificate).writes[0][1].value
    done = 1
    for count in STEPS:
        for _ in range(count - done):
            world.overwrite(value, by="E1")
        done = count
        world.mine(6)
        cache = tmp_path / f"{count}.db"
        without[count] = cost(world, proxy)
        cold[count] = cost(world, proxy, cache)
        warm[count] = cost(world, proxy, cache)
        assert not {"getrawtransaction", "gettxoutproof"} & set(proxy.calls)
        cost(world, proxy, cache, own=False)
        foreign[count] = cost(world, proxy, cache, own=False)
        assert "gettxoutproof" not in proxy.calls
    for name, found in (("without", without), ("cold", cold), ("warm", warm), ("foreign", foreign)):
        print(name, found)  # noqa: T201  # shown by pytest -rP
        requests = {each.requests for each in found.values()}
        assert max(requests) <= (13 if found is warm else 20)
        assert max(requests) - min(requests) <= 2
    first, last = STEPS[0], STEPS[-1]
    more = last - first
    # A write costs a hash, a transaction, a proof, a header at the beginning and a hash at the end, and nearly the same
    # of each transaction that it spends.
    assert cold[last].calls - cold[first].calls <= 9 * more
    assert cold[last].bytes - cold[first].bytes <= 8_000 * more
    # Of what is kept a header at the beginning and a hash at the end, and its line in the history.
    assert warm[last].calls - warm[first].calls <= 4 * more
    assert warm[last].bytes - warm[first].bytes <= 3_000 * more
    assert warm[first].bytes <= 10_000
    # A foreign source is asked for the bytes of writes each time.
    assert foreign[last].calls - foreign[first].calls <= 5 * more
    assert foreign[last].bytes - foreign[first].bytes <= 4_000 * more
