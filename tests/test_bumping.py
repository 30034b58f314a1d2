"""What waits too long is replaced by the same for more: paid once, and whichever of them is mined is told."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from killing import Killed, killed
from story import METER, ORG, OTHER_METER, Story, board_of, client_key, key_of, keys, organised, pairing_of

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.wallet import Wallet
from doitrust.chain.address import script_of
from doitrust.chain.descriptors import Descriptor
from doitrust.chain.engine import Spend
from doitrust.chain.mandate import MIN_FEE_RATE
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App
from doitrust.ports import DONE, REFUSED, REPLACED, SENT, UnspentCoin

PAID = 10_000_000


@pytest.fixture
def story(tmp_path: Path) -> Story:
    found = organised(tmp_path)
    found.automine(on=False)
    return found


def waiting(story: Story, meter: str = METER) -> str:
    """A certificate that nobody mines; returns its txid."""
    answer = story.certify("max", meter, "--fund", "0.1", "--no-wait")
    return str(answer["txid"])


def bump(story: Story, who: str = "max") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = story.do(who, "tx", "resume", "--bump", "--no-wait")
    return found


def tx(story: Story, txid: str) -> Transaction:
    with story.devnet() as devnet:
        located = devnet.transaction(txid)
    assert located is not None
    return located.tx


def raw_of(story: Story, txid: str, who: str = "max") -> bytes:
    return next(entry.tx.raw for entry in story.journal(who) if entry.tx.txid == txid)


def coins_of(story: Story) -> list[UnspentCoin]:
    with story.devnet() as devnet:
        return devnet.coins(script_of(keys("max")["member"]["address"], DEVNET))


def vsize(found: Transaction) -> int:
    return (Spend(found, ()).weight + 3) // 4


def mine_only(story: Story, *raws: bytes) -> None:
    """A miner who has not heard of the replacement."""
    with story.devnet() as devnet:
        devnet.mine_with(raws)


def test_the_same_is_signed_for_more_and_takes_the_place(story: Story) -> None:
    old = waiting(story)
    before = tx(story, old)
    (bumped,) = bump(story)
    assert (bumped["replaced"], bumped["error"], bumped["confirmations"]) == (old, None, 0)
    assert story.waiting() == [bumped["txid"]]
    after = tx(story, bumped["txid"])
    assert after.writes == before.writes
    assert after.inputs[0][:2] == before.inputs[0][:2]
    first, second = story.journal("max")
    assert (first.state, first.note, second.state) == (REPLACED, bumped["txid"], SENT)
    assert second.fee >= first.fee + MIN_FEE_RATE * vsize(after) // 1000
    assert Decimal(bumped["fee"]) * 10**8 == second.fee
    story.mine(6)
    assert story.do("max", "tx", "resume")[0]["confirmations"] == 6
    assert story.states("max") == [REPLACED, DONE]
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == PAID
    assert story.verdict()["status"] == "trusted"
    assert story.do("max", "tx", "resume") == []


def test_again_and_again(story: Story) -> None:
    fees = [Decimal(story.do("max", "tx", "list")[-1]["fee"]) for _ in [waiting(story)]]
    for _ in range(3):
        (bumped,) = bump(story)
        fees.append(Decimal(bumped["fee"]))
    assert fees == sorted(set(fees))
    assert story.states("max") == [REPLACED, REPLACED, REPLACED, SENT]
    assert len(story.waiting()) == 1


@pytest.mark.parametrize("which", [0, 1])
def test_the_replaced_one_may_be_mined_all_the_same(story: Story, which: int) -> None:
    """Of a row of three either of the earlier ones: it is what was written, and nothing is signed again."""
    txids = [waiting(story), *(bump(story)[0]["txid"] for _ in range(2))]
    mine_only(story, raw_of(story, txids[which]))
    (told,) = story.do("max", "tx", "resume")
    assert (told["txid"], told["confirmations"], told["error"]) == (txids[which], 1, None)
    states = [REPLACED, REPLACED, REFUSED]
    states[which] = DONE
    assert story.states("max") == states
    assert Decimal(told["fee"]) * 10**8 == story.journal("max")[which].fee
    assert story.do("max", "tx", "resume") == []
    story.mine(5)
    assert story.verdict()["status"] == "trusted"
    assert story.verdict()["certificate"]["txid"] == txids[which]


def test_the_command_itself_finds_what_was_mined(story: Story) -> None:
    old = waiting(story)
    bump(story)
    mine_only(story, raw_of(story, old))
    answer = story.certify("max", METER, "--fund", "0.1")
    assert (answer["txid"], answer["confirmations"]) == (old, 1)
    assert len(story.meter_writes()) == 1
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == PAID


def test_the_replaced_one_is_mined_while_it_waits(story: Story) -> None:
    old = waiting(story)
    bump(story)
    real = Devnet.advance

    def advance(devnet: Devnet) -> bool:
        devnet.mine_with([raw_of(story, old)])
        return real(devnet)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devnet, "advance", advance)
        (told,) = story.do("max", "tx", "resume")
    assert (told["txid"], told["confirmations"]) == (old, 1)


def test_of_a_row_only_the_last_is_signed_again_and_pays_for_all(story: Story) -> None:
    """The second spends the change of the first: to replace that would throw it away."""
    assert len(coins_of(story)) == 1
    first, second = waiting(story), waiting(story, OTHER_METER)
    parent = tx(story, first)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devnet, "fee_rate", lambda _: 4 * MIN_FEE_RATE)
        told = bump(story)
    assert [each["txid"] == first for each in told] == [True, False]
    assert told[1]["replaced"] == second
    assert story.waiting() == [first, told[1]["txid"]]
    child = tx(story, told[1]["txid"])
    paid = sum(entry.fee for entry in story.journal("max") if entry.is_open)
    assert paid * 1000 >= 4 * MIN_FEE_RATE * (vsize(parent) + vsize(child))
    story.mine(6)
    assert [story.verdict(meter)["status"] for meter in (METER, OTHER_METER)] == ["trusted", "trusted"]


def test_more_coins_are_taken_where_the_change_is_too_small(story: Story) -> None:
    waiting(story)
    story.mine(1)
    story.do("max", "tx", "resume")
    (coin,) = coins_of(story)
    amount = f"{Decimal(coin.value - 1_000_000 - 60_000) / 10**8:f}"
    story.certify("max", OTHER_METER, "--fund", amount, "--no-wait")
    ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    assert (ran.status, "not enough DOI" in ran.value[0]["error"]) == (1, True)
    (old,) = story.waiting()  # the first is still there
    story.fund(keys("max")["member"]["address"], "0.5")
    ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    (bumped,) = ran.value
    assert bumped["error"] is None, ran
    assert bumped["replaced"] == old
    assert len(tx(story, bumped["txid"]).inputs) == 2
    assert story.waiting() == [bumped["txid"]]


def test_a_new_organisations_root_moves_along(story: Story) -> None:
    arguments = ("org", "create", "Zweite", "--member", key_of("eve"), "--no-wait")
    old = story.do("admin", *arguments)["root"]
    (bumped,) = bump(story, "admin")
    assert story.do("admin", "org", "share", "Zweite")["root"] == bumped["txid"] != old
    mine_only(story, raw_of(story, old, "admin"))
    story.do("admin", "tx", "resume")
    assert story.do("admin", "org", "share", "Zweite")["root"] == old
    assert story.do("admin", "org", "show", "Zweite")["root"] == old


def test_a_revocation_is_replaced(story: Story) -> None:
    waiting(story)
    story.mine(6)
    story.do("max", "tx", "resume")
    revoke = ("meter", "revoke", METER, "--org", ORG, "--reason", "seal broken", "--no-wait")
    old = story.do("max", *revoke)["txid"]
    (bumped,) = bump(story)
    assert (bumped["replaced"], bumped["error"]) == (old, None)
    assert story.waiting() == [bumped["txid"]]
    assert story.verdict()["status"] == "revoked"
    story.mine(1)
    assert story.verdict()["status"] == "revoked"
    assert len(story.meter_writes()) == 2


def test_a_payment_from_a_seal_is_replaced(story: Story) -> None:
    node = pairing_of().node.hex()
    where = story.do("client", "seal", "address", "--node", node, "--client", client_key().hex())["address"]
    story.fund(where, "0.5")
    story.mine(1)
    receiver = keys("eve")["client"]["address"]
    story.do("client", "seal", "spend", where, "--to", receiver, "--amount", "0.1", "--no-wait")
    (bumped,) = bump(story, "client")
    assert bumped["error"] is None
    story.mine(1)
    assert story.paid(script_of(receiver, DEVNET)) == PAID
    assert story.paid(script_of(where, DEVNET)) == 4 * PAID - int(Decimal(bumped["fee"]) * 10**8)


def test_a_boards_write_is_replaced_by_psbt(story: Story) -> None:
    descriptor = board_of("p2wsh", "one", "two", "three")
    story.fund(Descriptor.parse(descriptor, DEVNET).address())
    story.mine(1)
    file = story.folder / "board.psbt"
    by_file = ("--signer", f"psbt:{file}", "--from", descriptor)
    story.do("one", "org", "create", "Verband", "--member", key_of("max"), *by_file)
    for who in ("one", "two"):
        story.do(who, "tx", "sign", file)
    old = story.do("one", "tx", "send", file, "--no-wait")["txid"]
    (drafted,) = story.do("one", "tx", "resume", "--bump", "--signer", f"psbt:{file}")
    assert (drafted["psbt"], drafted["error"]) == (str(file), None)
    assert story.waiting() == [old]
    for who in ("two", "three"):
        story.do(who, "tx", "sign", file)
    new = story.do("one", "tx", "send", file, "--no-wait")["txid"]
    assert story.waiting() == [new]
    assert story.states("one") == [REPLACED, SENT]
    story.mine(1)
    assert [txid for txid, _ in story.org_writes("Verband")] == [new]
    assert story.do("one", "org", "share", "Verband")["root"] == new


def test_a_psbt_holds_one(story: Story) -> None:
    waiting(story)
    waiting(story, OTHER_METER)
    file = story.folder / "both.psbt"
    error = story.fail(
        "max", "tx", "resume", "--bump", "--signer", f"psbt:{file}", "--from", key_of("max"), status=2
    )
    assert "one transaction" in error["message"]
    assert not file.exists()


def test_somebody_elses_key_replaces_nothing(story: Story) -> None:
    old = waiting(story)
    ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json", env={"DOITRUST_SIGNER": "psbt:x"})
    assert ran.status == 1
    assert "not yours" in ran.value[0]["error"]
    assert story.waiting() == [old]
    assert story.states("max") == [SENT]


def test_a_meter_revoked_meanwhile_is_not_certified_for_more(story: Story) -> None:
    """What is replaced is judged again, as what is sent again."""
    old = waiting(story)
    mia = story.do("mia", "meter", "revoke", METER, "--org", ORG, "--reason", "no", "--no-wait")["txid"]
    ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    assert ran.status == 1
    assert "revoked" in ran.value[0]["error"]
    assert set(story.waiting()) == {old, mia}


def test_nothing_is_bumped_that_is_in_the_chain(story: Story) -> None:
    old = waiting(story)
    story.mine(1)
    (told,) = bump(story)
    assert (told["txid"], told["confirmations"]) == (old, 1)
    assert story.states("max") == [DONE]


def test_more_than_a_signer_pays_is_refused(story: Story) -> None:
    old = waiting(story)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devnet, "fee_rate", lambda _: 200 * MIN_FEE_RATE)
        ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    assert ran.status == 1
    assert "its fee of" in ran.value[0]["error"]
    assert story.waiting() == [old]
    assert story.states("max") == [SENT]


def test_it_asks_before_it_pays_more(story: Story) -> None:
    old = waiting(story)
    error = story.fail("max", "tx", "resume", "--bump", "--no-wait", status=2, ask=True)
    assert "instead of" in error["message"]
    ran = story.run("max", "tx", "resume", "--bump", "--no-wait", typed="n\n")
    assert ran.status == 5
    assert story.waiting() == [old]


STEPS = [
    (Wallet, "replace", False),
    (Wallet, "replace", True),
    (Devnet, "broadcast", False),
    (Devnet, "broadcast", True),
    (Wallet, "mark", False),
    (Wallet, "mark", True),
    (App, "answer", False),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda s: f"{'after' if s[2] else 'before'} {s[1]}")
@pytest.mark.parametrize("way", ["resume", "bump", "again"])
def test_killed_anywhere_it_is_paid_once(story: Story, step: tuple[type, str, bool], way: str) -> None:
    waiting(story)
    owner, name, after = step
    with pytest.raises(Killed), killed(owner, name, after=after):
        story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    if way == "again":
        story.certify("max", METER, "--fund", "0.1", "--no-wait")
    else:
        story.do("max", "tx", "resume", "--no-wait", *(["--bump"] if way == "bump" else []))
    assert len(story.waiting()) == 1
    (kept,) = [entry for entry in story.journal("max") if entry.is_open]
    assert story.waiting() == [kept.tx.txid]
    story.mine(1)
    story.do("max", "tx", "resume")
    assert len(story.meter_writes()) == 1
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == PAID
    assert sorted(set(story.states("max")) - {REPLACED}) == [DONE]
