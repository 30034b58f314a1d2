"""What waits too long is replaced by the same for more: paid once, and whichever of them is mined is told."""

import json
import shutil
import time
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
from doitrust.chain.mandate import MIN_FEE_RATE
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Transaction
from doitrust.cli.app import App
from doitrust.errors import Refused, UserRefused
from doitrust.ports import DONE, REFUSED, REPLACED, SENT, SIGNED, UnspentCoin

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
    assert second.fee >= first.fee + MIN_FEE_RATE * after.vsize // 1000
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
    states = [REPLACED, REPLACED, REPLACED]
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
    assert paid * 1000 >= 4 * MIN_FEE_RATE * (parent.vsize + child.vsize)
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
    story.fund(keys("max")["member"]["address"])
    txids = [waiting(story), waiting(story, OTHER_METER)]
    file = story.folder / "one.psbt"
    by_file = ("--bump", "--no-wait", "--signer", f"psbt:{file}", "--from", key_of("max"))
    error = story.fail("max", "tx", "resume", *by_file, status=2)
    assert "one transaction" in error["message"]
    assert not file.exists()
    (drafted,) = story.do("max", "tx", "resume", txids[1][:12], *by_file)
    assert (drafted["txid"], drafted["psbt"]) == (txids[1], str(file))
    error = story.fail("max", "tx", "resume", "00" * 32, *by_file, status=2)
    assert "tx list" in error["hint"]


def test_of_a_row_a_psbt_holds_the_last(story: Story) -> None:
    txids = [waiting(story), waiting(story, OTHER_METER)]
    file = story.folder / "last.psbt"
    by_file = ("--bump", "--no-wait", "--signer", f"psbt:{file}", "--from", key_of("max"))
    told = story.do("max", "tx", "resume", *by_file)
    assert [(each["txid"], each["psbt"]) for each in told] == [(txids[0], None), (txids[1], str(file))]


def test_somebody_elses_key_replaces_nothing(story: Story) -> None:
    old = waiting(story)
    shutil.copy(story.home("eve") / "keys" / "eve.json", story.home("max") / "keys")
    (told,) = story.do("max", "tx", "resume", "--bump", "--no-wait", "--signer", "keystore:eve")
    assert (told["txid"], told["replaced"]) == (old, None)
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


# ---- what an attacker found: nothing is lost, nothing paid twice, whoever else acts


def test_another_machine_that_was_faster_costs_nothing(story: Story) -> None:
    """The node refuses our version: the journal goes on, and the same command writes nothing beside it."""
    old = waiting(story)
    shutil.copytree(story.home("max"), story.home("laptop"))
    bump(story, "laptop")
    bump(story, "laptop")
    ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    assert (ran.status, "insufficient fee" in ran.value[0]["error"]) == (1, True)
    assert story.states("max") == [SENT, REFUSED]
    ran = story.run(
        "max",
        "meter",
        "certify",
        story.pairing(),
        "--org",
        ORG,
        "--seal",
        "A-1",
        "--fund",
        "0.1",
        "--no-wait",
    )
    assert ran.status == 1  # ours is evicted, and said so
    story.mine(1)
    assert len(story.meter_writes()) == 1
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == PAID
    assert old not in [txid for txid, _ in story.meter_writes()]


def test_a_write_that_waits_from_another_home_is_not_written_again(story: Story) -> None:
    shutil.copytree(story.home("max"), story.home("laptop"))
    file = story.pairing()
    certify = ("meter", "certify", file, "--org", ORG, "--seal", "A-1", "--no-wait")
    told = story.do("laptop", *certify)
    error = story.fail("max", *certify)
    assert (error["code"], told["txid"] in error["message"]) == ("under_way", True)
    assert len(story.waiting()) == 1


def test_a_replacement_with_another_coin_has_a_higher_rate_too(story: Story) -> None:
    """It is larger, so a fee that is only higher would be refused."""
    (coin,) = coins_of(story)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devnet, "fee_rate", lambda _: 20 * MIN_FEE_RATE)
        amount = f"{Decimal(coin.value - 2_010_000) / 10**8:f}"
        old = story.certify("max", METER, "--fund", amount, "--no-wait")["txid"]
    story.fund(keys("max")["member"]["address"], "3")
    (bumped,) = bump(story)
    assert (bumped["replaced"], bumped["error"]) == (old, None)
    assert story.waiting() == [bumped["txid"]]


def test_a_command_that_waits_learns_of_the_bump(story: Story) -> None:
    file = story.pairing()
    process = story.start("max", "meter", "certify", file, "--org", ORG, "--seal", "A-1", "--json")
    until = time.monotonic() + 60
    while story.states("max") != [SENT]:
        assert time.monotonic() < until
        time.sleep(0.1)
    (bumped,) = bump(story)
    story.mine(1)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (json.loads(out)["txid"], json.loads(out)["confirmations"]) == (bumped["txid"], 1)
    assert story.states("max") == [REPLACED, DONE]


def test_a_root_is_the_one_that_was_mined_whoever_looks(story: Story) -> None:
    """`org create` waits in one process, is bumped in another, and the first version is mined."""
    process = story.start("admin", "org", "create", "Zweite", "--member", key_of("eve"), "--json")
    until = time.monotonic() + 60
    while not story.waiting():
        assert time.monotonic() < until
        time.sleep(0.1)
    (old,) = story.waiting()
    bump(story, "admin")
    mine_only(story, raw_of(story, old, "admin"))
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, json.loads(out)["txid"]) == (0, old)
    assert story.do("admin", "org", "share", "Zweite")["root"] == old
    assert story.do("admin", "tx", "resume") == []
    assert sorted(story.states("admin")[-2:]) == [DONE, REPLACED]


def test_a_root_that_was_never_mined_is_not_remembered(story: Story) -> None:
    old = story.do("admin", "org", "create", "Zweite", "--member", key_of("eve"), "--no-wait")["root"]
    shutil.copytree(story.home("admin"), story.home("laptop"))
    bump(story, "laptop")
    bump(story, "laptop")
    assert story.run("admin", "tx", "resume", "--bump", "--no-wait").status == 1
    assert story.do("admin", "org", "share", "Zweite")["root"] == old
    mine_only(story, raw_of(story, old, "admin"))
    (told,) = story.do("admin", "tx", "resume")
    assert (told["txid"], told["root"], told["confirmations"]) == (old, old, 1)


def test_an_accepted_root_is_never_replaced(story: Story) -> None:
    """A reorganisation brought it back into the mempool: another root would be another organisation."""
    story.automine(on=True)
    root = story.do("admin", "org", "create", "Dritte", "--member", key_of("max"))["root"]
    story.confirm_root("admin", "Dritte", root)
    story.automine(on=False)
    with story.devnet() as devnet:
        located = devnet.transaction(root)
        assert located is not None
        assert located.place is not None
        devnet.forbid(located.place.block)
    assert root in story.waiting()
    story.do("admin", "tx", "resume", "--no-wait")
    told = bump(story, "admin")
    assert [each["replaced"] for each in told] == [None] * len(told)
    assert root in story.waiting()


def test_a_new_root_is_told(story: Story) -> None:
    story.do("admin", "org", "create", "Zweite", "--member", key_of("eve"), "--no-wait")
    ran = story.run("admin", "tx", "resume", "--bump", "--no-wait")
    (root,) = story.waiting()
    assert f"org accept Zweite --root {root}" in " ".join(ran.out.split())


def test_a_reorganisation_to_the_other_version_is_noticed(story: Story) -> None:
    where = story.do(
        "client", "seal", "address", "--node", pairing_of().node.hex(), "--client", client_key().hex()
    )["address"]
    story.fund(where, "0.5")
    receiver = keys("eve")["client"]["address"]
    spend = ("seal", "spend", where, "--to", receiver, "--amount", "0.1", "--no-wait")
    old = story.do("client", *spend)["txid"]
    (bumped,) = bump(story, "client")
    mine_only(story, raw_of(story, old, "client"))
    assert story.do("client", "tx", "resume")[0]["txid"] == old
    new = raw_of(story, bumped["txid"], "client")
    with story.devnet() as devnet:
        devnet.forbid(devnet.tip().hash)
        devnet.mine_with([new])
    (told,) = story.do("client", "tx", "resume")
    assert (told["txid"], told["confirmations"], told["error"]) == (bumped["txid"], 1, None)
    assert story.paid(script_of(receiver, DEVNET)) == PAID


def test_nothing_of_ours_is_thrown_away(story: Story) -> None:
    """While the question stands another process certifies on the change of what is bumped."""
    waiting(story)
    real = App.ask
    asked: list[str] = []

    def ask(app: App, question: str, *shown: str) -> None:
        if "instead of" in question and not asked:
            asked.append(question)
            story.certify("max", OTHER_METER, "--no-wait")
        real(app, question, *shown)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "ask", ask)
        ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    assert ran.status == 1
    assert "spends the change" in ran.value[0]["error"]
    assert len(story.waiting()) == 2
    assert story.states("max") == [SENT, SENT]


def test_close_to_its_expiry_it_is_bumped_without_the_names_coin(story: Story) -> None:
    """What waits and spends that coin can stop the chain: its replacement is the cure."""
    story.automine(on=True)
    story.certify("max")
    story.automine(on=False)
    story.mine(18)
    old = story.do("max", "meter", "renew", METER, "--no-wait")["txid"]
    with story.devnet() as devnet:
        for _ in range(6):
            devnet.mine_with([])
    told = bump(story)
    assert [(each["replaced"], each["error"]) for each in told] == [(old, None)]
    assert len(tx(story, told[0]["txid"]).inputs) == len(tx_in(story, old).inputs) - 1
    assert story.waiting() == [told[0]["txid"]]


def tx_in(story: Story, txid: str) -> Transaction:
    return next(entry.tx for entry in story.journal("max") if entry.tx.txid == txid)


def test_a_long_row_is_bumped_as_far_as_a_signer_pays(story: Story) -> None:
    for number in range(6):
        meter = f"1EMH{12345680 + number:010}"
        story.certify("max", meter, "--no-wait", server_id=f"0a01454d48{12345680 + number:010x}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devnet, "fee_rate", lambda _: 25 * MIN_FEE_RATE)
        told = bump(story)
    assert [each["error"] for each in told] == [None] * 6
    assert [each["replaced"] is not None for each in told] == [False] * 5 + [True]


def test_no_to_the_second_leaves_the_first_told(story: Story) -> None:
    story.fund(keys("max")["member"]["address"])
    waiting(story)
    waiting(story, OTHER_METER)
    answers = iter([True, False])

    def ask(_app: App, _question: str, *_shown: str) -> None:
        if not next(answers):
            raise UserRefused("you said no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(App, "ask", ask)
        ran = story.run("max", "tx", "resume", "--bump", "--no-wait", "--json")
    assert ran.status == 5
    assert [each["error"] for each in ran.value] == [None, "you said no"]
    assert ran.value[0]["replaced"] is not None


def test_what_was_never_sent_is_sent_before_more_is_paid(story: Story) -> None:
    story.automine(on=True)
    story.do("max", "meter", "prepare", METER)
    file = story.pairing()
    signed = story.do("max", "meter", "certify", file, "--org", ORG, "--seal", "A-1", "--offline")
    story.automine(on=False)
    (told,) = bump(story)
    assert (told["txid"], told["fee"], told["replaced"]) == (signed["txid"], signed["fee"], None)


def test_what_pays_too_little_for_the_mempool_is_bumped_though_nobody_took_it(story: Story) -> None:
    """Signed offline at a lower rate than nodes take now: without a higher fee it could never be sent."""
    story.automine(on=True)
    story.do("max", "meter", "prepare", METER)
    file = story.pairing()
    signed = story.do("max", "meter", "certify", file, "--org", ORG, "--seal", "A-1", "--offline")
    story.automine(on=False)
    old = raw_of(story, signed["txid"])
    real = Devnet.broadcast

    def broadcast(devnet: Devnet, raw: bytes) -> str:
        if raw == old:
            raise Refused("mempool min fee not met, 448 < 900", code="mempool min fee not met")
        return real(devnet, raw)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devnet, "broadcast", broadcast)
        ran = story.run("max", "tx", "resume", "--no-wait", "--json")
        assert (ran.status, story.states("max")) == (1, [SIGNED])
        (told,) = bump(story)
    assert (told["replaced"], told["error"]) == (signed["txid"], None)
    assert story.waiting() == [told["txid"]]
    assert Decimal(told["fee"]) > Decimal(signed["fee"])
