"""`doitrust seal`: the 1-of-2 address of a node and its client, what is on it, and paying from it."""

import json
from pathlib import Path

import pytest
from devnet_world import Key
from story import METER, OTHER_METER, Story, client_key, key_of, keys, organised, pairing_of

from doitrust.chain.address import script_of
from doitrust.chain.descriptors import Descriptor
from doitrust.chain.networks import DEVNET
from doitrust.meters.multisig import pairing_outputs
from doitrust.meters.pairing import TYPES

NODE = Key.named("node")
NOBODY: dict[str, str | None] = {"DOITRUST_PASSPHRASE": None}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return organised(tmp_path)


def address(story: Story, who: str = "client", *more: str) -> str:
    found: str = story.do(
        who, "seal", "address", "--node", NODE.public.hex(), "--client", client_key().hex(), *more
    )["address"]
    return found


# ---- address


@pytest.mark.parametrize("kind", TYPES)
def test_the_address_is_that_of_the_pairing(story: Story, kind: str) -> None:
    answer = story.do(
        "client",
        "seal",
        "address",
        "--node",
        NODE.public.hex(),
        "--client",
        client_key().hex(),
        "--type",
        kind,
    )
    assert answer.keys() == {"address", "type", "descriptor", "node", "client"}
    assert answer["address"] == pairing_of(type=kind).ms
    assert (answer["type"], answer["node"], answer["client"]) == (kind, NODE.public.hex(), client_key().hex())
    assert Descriptor.parse(answer["descriptor"], DEVNET).address() == answer["address"]
    assert script_of(answer["address"], DEVNET) == pairing_outputs(NODE.public, client_key())[kind]


def test_the_order_of_the_keys_makes_no_difference(story: Story) -> None:
    swapped = story.do(
        "client", "seal", "address", "--node", client_key().hex(), "--client", NODE.public.hex()
    )
    assert swapped["address"] == address(story)


@pytest.mark.parametrize(
    ("node", "client"),
    [
        (NODE.public.hex(), NODE.public.hex()),
        (NODE.public.hex(), "nonsense"),
        ("04" + "11" * 64, NODE.public.hex()),
        (NODE.public.hex(), "02" + "00" * 32),
    ],
)
def test_keys_that_make_no_pairing_are_a_mistake_of_use(story: Story, node: str, client: str) -> None:
    story.fail("client", "seal", "address", "--node", node, "--client", client, status=2)
    assert not (story.home("client") / "wallet.db").exists()


# ---- show


def test_show_knows_the_keys_from_the_homes_pairings(story: Story) -> None:
    where = address(story)
    story.fund(where, "0.25")
    shown = story.do("client", "seal", "show", where)
    assert (shown["balance"], shown["meters"], len(shown["coins"])) == ("0.25000000", [], 1)
    assert shown["coins"][0]["amount"] == "0.25000000"
    assert shown["coins"][0]["confirmations"] == 1


@pytest.mark.parametrize("kind", TYPES)
def test_show_finds_the_keys_on_the_chain(story: Story, kind: str) -> None:
    where = pairing_of(type=kind).ms
    assert story.fail("client", "seal", "show", where)["code"] == "unknown_seal"
    story.certify("max", METER, "--fund", "0.1", type=kind)
    story.certify("mia", OTHER_METER, type=kind)
    shown = story.do("client", "seal", "show", where)
    assert (shown["type"], shown["node"], shown["client"]) == (kind, NODE.public.hex(), client_key().hex())
    assert shown["meters"] == [METER, OTHER_METER]
    assert shown["balance"] == "0.10000000"


def test_who_certified_knows_the_address(story: Story) -> None:
    answer = story.certify("max", METER, "--fund", "0.1")
    assert answer["confirmations"] == 1
    assert story.do("max", "seal", "show", pairing_of().ms)["balance"] == "0.10000000"


def test_a_lie_on_the_chain_gives_no_keys(story: Story) -> None:
    """A record may name any address: its keys have to give it."""
    stranger = keys("eve")["member"]["address"]
    story.certify()
    assert story.fail("client", "seal", "show", stranger)["code"] == "unknown_seal"


def test_what_is_no_address_is_a_mistake_of_use(story: Story) -> None:
    story.fail("client", "seal", "show", "nonsense", status=2)


def test_an_address_in_capitals_is_the_same(story: Story) -> None:
    where = address(story)
    assert story.do("client", "seal", "show", where.upper())["address"] == where


# ---- spend


@pytest.mark.parametrize("kind", TYPES)
def test_the_client_pays_and_the_change_returns(story: Story, kind: str) -> None:
    where = address(story, "client", "--type", kind)
    story.fund(where, "0.5")
    receiver = keys("eve")["client"]["address"]
    answer = story.do("client", "seal", "spend", where, "--to", receiver, "--amount", "0.2")
    assert {"txid", "confirmations", "fee"} <= answer.keys()
    assert answer["confirmations"] == 1
    assert story.paid(script_of(receiver, DEVNET)) == 20_000_000
    fee = round(float(answer["fee"]) * 1e8)
    assert 10_000 < fee < 60_000
    assert story.paid(script_of(where, DEVNET)) == 30_000_000 - fee
    with story.devnet() as devnet:
        located = devnet.transaction(answer["txid"])
    assert located is not None
    assert located.tx.version == 2
    assert story.states("client") == ["done"]


def test_spending_asks_nobody_but_for_the_passphrase(story: Story) -> None:
    where = address(story)
    story.fund(where, "0.5")
    receiver = keys("eve")["client"]["address"]
    error = story.fail(
        "client", "seal", "spend", where, "--to", receiver, "--amount", "0.2", env=NOBODY, status=2
    )
    assert "passphrase" in error["message"]
    assert story.paid(script_of(where, DEVNET)) == 50_000_000


def test_who_has_neither_key_cannot_spend(story: Story) -> None:
    where = address(story, "eve")
    story.fund(where, "0.5")
    receiver = keys("eve")["client"]["address"]
    error = story.fail("eve", "seal", "spend", where, "--to", receiver, "--amount", "0.2", env=NOBODY)
    assert error["code"] == "not_ours"
    assert not story.journal("eve")


@pytest.mark.parametrize(
    ("amount", "status", "code"),
    [
        ("0.5", 1, "not_enough_doi"),
        ("0.49999", 1, "not_enough_doi"),
        ("0.000001", 1, "dust"),
        ("0", 2, "usage"),
        ("-1", 2, "usage"),
        ("half", 2, "usage"),
    ],
)
def test_amounts_that_cannot_be_paid(story: Story, amount: str, status: int, code: str) -> None:
    where = address(story)
    story.fund(where, "0.5")
    receiver = keys("eve")["client"]["address"]
    arguments = ("seal", "spend", where, "--to", receiver, "--amount", amount)
    assert story.fail("client", *arguments, status=status, env=NOBODY)["code"] == code
    assert story.paid(script_of(where, DEVNET)) == 50_000_000


def test_a_receiver_that_is_none_is_a_mistake_of_use(story: Story) -> None:
    where = address(story)
    story.fail("client", "seal", "spend", where, "--to", "nonsense", "--amount", "0.1", status=2)


def test_to_itself_it_only_costs_the_fee(story: Story) -> None:
    where = address(story)
    story.fund(where, "0.5")
    answer = story.do("client", "seal", "spend", where, "--to", where, "--amount", "0.2")
    fee = round(float(answer["fee"]) * 1e8)
    assert story.paid(script_of(where, DEVNET)) == 50_000_000 - fee


def test_more_small_coins_than_fit_are_spent_in_parts(story: Story) -> None:
    """17 coins, 16 in a transaction: what they hold together can't be paid at once, and the error says so."""
    where = address(story)
    for _ in range(17):
        story.fund(where, "0.01")
    receiver = keys("eve")["client"]["address"]
    error = story.fail("client", "seal", "spend", where, "--to", receiver, "--amount", "0.165", env=NOBODY)
    assert error["code"] == "not_enough_doi"
    assert "0.16000000 can be spent" in error["message"]
    story.do("client", "seal", "spend", where, "--to", receiver, "--amount", "0.155")


def test_a_payment_that_waits_is_gone_on_with_and_another_has_to_wait(story: Story) -> None:
    where = address(story)
    story.fund(where, "0.5")
    story.automine(on=False)
    receiver = keys("eve")["client"]["address"]
    arguments = ("seal", "spend", where, "--to", receiver, "--no-wait", "--amount")
    first = story.do("client", *arguments, "0.1")
    assert first["confirmations"] == 0
    assert story.do("client", *arguments, "0.1")["txid"] == first["txid"]
    assert story.fail("client", *arguments, "0.2")["code"] == "under_way"
    story.mine(1)
    done = story.do("client", *arguments, "0.1")
    assert (done["txid"], done["confirmations"]) == (first["txid"], 1)
    second = story.do("client", *arguments, "0.1")
    assert second["txid"] != first["txid"]
    story.mine(1)
    assert story.paid(script_of(receiver, DEVNET)) == 20_000_000


def test_it_can_be_signed_elsewhere(story: Story) -> None:
    where = address(story)
    story.fund(where, "0.5")
    file = story.folder / "spend.psbt"
    receiver = keys("eve")["client"]["address"]
    drafted = story.do(
        "client", "seal", "spend", where, "--to", receiver, "--amount", "0.2", "--signer", f"psbt:{file}"
    )
    assert drafted["outputs"][0]["amount"] == "0.20000000"
    story.do("client", "tx", "sign", file)
    assert story.do("client", "tx", "send", file)["confirmations"] == 1
    assert story.paid(script_of(receiver, DEVNET)) == 20_000_000


def test_people_read_it(story: Story) -> None:
    where = address(story)
    story.fund(where, "0.5")
    assert "0.50000000" in story.run("client", "seal", "show", where).out
    receiver = keys("eve")["client"]["address"]
    ran = story.run("client", "seal", "spend", where, "--to", receiver, "--amount", "0.2")
    assert f"0.20000000 DOI paid to {receiver}." in ran.out.replace("\n", "")
    assert json.loads(story.run("client", "tx", "list", "--json").out)[0]["command"] == "spend"
    assert key_of("client", "client") in story.run("client", "seal", "show", where).out
