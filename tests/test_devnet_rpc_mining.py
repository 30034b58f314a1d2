"""The served devnet mines on demand, gives blocks up and takes them again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from devnet_world import ALICE, BOB, World
from rpc_node import Client, served

from doitrust.chain.address import address_of
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Output

DOI = 100_000_000
NOWHERE = "00" * 31 + "01"
ADDRESS = address_of(ALICE.p2wpkh, DEVNET)


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


def test_blocks_pay_to_the_address(world: World, client: Client) -> None:
    txid = client("sendrawtransaction", world.pay(Output(DOI, BOB.p2wpkh)).raw.hex())
    made = client("generatetoaddress", 3, ADDRESS)
    assert made == [client("getblockhash", height) for height in (111, 112, 113)]
    assert txid in client("getblock", made[0])["tx"]
    coins = world.devnet.coins(ALICE.p2wpkh)
    assert [coin.height for coin in coins if not coin.mature] == [111, 112, 113]
    assert client("getrawmempool") == []


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ((1, "x"), -5, "Error: Invalid address"),
        ((1, "dc1qw508d6qejxtdg4y5r3zarvary0c5xw7ke0xu2m"), -5, "Error: Invalid address"),
        (("1", ADDRESS), -1, "JSON value is not an integer as expected"),
        ((1, 5), -1, "JSON value is not a string as expected"),
        ((1,), -1, 'generatetoaddress nblocks "address" ( maxtries )'),
    ],
)
def test_what_is_not_mined(client: Client, given: tuple[object, ...], code: int, message: str) -> None:
    assert client.error("generatetoaddress", *given) == (code, message)
    assert client("getblockcount") == 110


@pytest.mark.parametrize("given", [(0, ADDRESS), (-1, ADDRESS), (5, ADDRESS, 0)])
def test_no_blocks_at_all(client: Client, given: tuple[object, ...]) -> None:
    assert client("generatetoaddress", *given) == []
    assert client("getblockcount") == 110


@pytest.mark.parametrize(("above", "waits"), [(0, True), (9, True), (10, False)])
def test_what_the_last_ten_blocks_held_waits_again(
    world: World, client: Client, above: int, waits: bool
) -> None:
    txid = client("sendrawtransaction", world.pay(Output(DOI, BOB.p2wpkh)).raw.hex())
    (block,) = client("generatetoaddress", 1, ADDRESS)
    client("generatetoaddress", above, ADDRESS)
    tip = client("getbestblockhash")
    assert client("invalidateblock", block) is None
    assert client("getblockcount") == 110
    assert client("getrawmempool") == [txid] * waits
    assert client("reconsiderblock", block) is None
    assert client("getbestblockhash") == tip
    assert client("getrawmempool") == []


def test_the_first_of_two_equal_chains_is_followed(client: Client) -> None:
    first = client("generatetoaddress", 2, ADDRESS)
    client("invalidateblock", first[0])
    second = client("generatetoaddress", 2, ADDRESS)
    client("reconsiderblock", first[1])
    assert client("getbestblockhash") == first[1]
    client("invalidateblock", first[1])  # of the other branch there is more
    assert client("getbestblockhash") == second[1]
    client("reconsiderblock", first[0])
    assert client("getbestblockhash") == first[1]
    client("invalidateblock", second[0])  # it isn't in the chain
    client("invalidateblock", first[0])
    assert client("getblockcount") == 110


def test_the_longer_chain_is_followed(client: Client) -> None:
    (old,) = client("generatetoaddress", 1, ADDRESS)
    client("invalidateblock", old)
    new = client("generatetoaddress", 2, ADDRESS)
    client("reconsiderblock", old)
    assert client("getbestblockhash") == new[-1]
    client("invalidateblock", new[0])
    assert client("getbestblockhash") == old


def test_blocks_of_a_removed_branch_lead_nowhere(world: World, client: Client) -> None:
    """What `devnet reorg` forgets takes what lay on it along."""
    made = client("generatetoaddress", 3, ADDRESS)
    client("invalidateblock", made[1])
    world.devnet.reorg(1)
    tip = client("getbestblockhash")
    client("reconsiderblock", made[2])
    assert client("getbestblockhash") == tip


@pytest.mark.parametrize("method", ["invalidateblock", "reconsiderblock"])
def test_blocks_that_are_not_there(client: Client, method: str) -> None:
    assert client.error(method, NOWHERE) == (-5, "Block not found")
    assert client.error(method, "x")[0] == -8
    assert client.error(method) == (-1, f'{method} "blockhash"')
    assert method not in client("help")


def test_the_first_block_stays(client: Client) -> None:
    code, message = client.error("invalidateblock", client("getblockhash", 0))
    assert (code, message) == (-20, "the genesis block can't be given up")
    assert client("getblockcount") == 110


def test_reset_forgets_what_was_given_up(world: World, client: Client) -> None:
    (block,) = client("generatetoaddress", 1, ADDRESS)
    client("invalidateblock", block)
    world.devnet.reset()
    assert client.error("reconsiderblock", block) == (-5, "Block not found")
