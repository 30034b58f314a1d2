"""Certifying where there is no network, and sending later: decided by what was taken along, judged again when sent."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli import Ran
from story import METER, ORG, OTHER_METER, Story, key_of, keys, organised

from doitrust.adapters.devnet import Devnet
from doitrust.chain.address import script_of
from doitrust.chain.networks import DEVNET
from doitrust.errors import Refused
from doitrust.meters.multisig import pairing_outputs
from doitrust.ports import DONE, REFUSED, SIGNED


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return organised(tmp_path)


def cellar(story: Story, who: str, *arguments: object) -> Ran:
    """Run a command where there is no chain: the world's folder can't be one."""
    nowhere = story.folder / "no-network"
    nowhere.write_text("")
    return story.run(who, *arguments, "--json", env={"DOITRUST_DEVNET": str(nowhere)})


def certify(story: Story, meter: str = METER, *more: object) -> Ran:
    file = story.pairing(meter, f"{meter}.json")
    return cellar(story, "max", "meter", "certify", file, "--org", ORG, "--seal", "A-1", "--offline", *more)


def signed(story: Story, meter: str = METER, *more: object) -> dict[str, Any]:
    ran = certify(story, meter, *more)
    assert ran.status == 0, ran
    value: dict[str, Any] = ran.value
    return value


def prepare(story: Story, *meters: str) -> dict[str, Any]:
    value: dict[str, Any] = story.do("max", "meter", "prepare", *meters)
    return value


def test_without_a_network_nothing_else_works(story: Story) -> None:
    """So that the tests below prove something."""
    prepare(story)
    assert cellar(story, "max", "verify", METER).status == 1
    file = story.pairing()
    assert cellar(story, "max", "meter", "certify", file, "--org", ORG, "--seal", "A").status == 1


def test_certified_in_the_cellar_and_sent_in_the_street(story: Story) -> None:
    taken = prepare(story, METER)
    assert (taken["organizations"], taken["meters"], taken["complete"]) == ([ORG], [METER], True)
    told = signed(story, METER, "--fund", "0.1")
    assert (told["sent"], told["confirmations"], told["verdict"]["status"]) == (False, 0, "trusted")
    assert story.states("max") == [SIGNED]
    assert not story.meter_writes()
    again = signed(story, METER, "--fund", "0.1")  # the same again: nothing is signed twice
    assert again["txid"] == told["txid"]
    (sent,) = story.do("max", "tx", "resume")
    assert (sent["txid"], sent["confirmations"], sent["error"], sent["sent"]) == (told["txid"], 1, None, True)
    assert story.states("max") == [DONE]
    story.mine(5)
    assert story.verdict()["status"] == "trusted"


def test_several_meters_live_on_each_others_change(story: Story) -> None:
    prepare(story)
    txids = [signed(story, meter)["txid"] for meter in (METER, OTHER_METER)]
    assert len(set(txids)) == 2
    sent = story.do("max", "tx", "resume")
    assert [each["txid"] for each in sent] == txids
    story.mine(5)
    assert [story.verdict(meter)["status"] for meter in (METER, OTHER_METER)] == ["trusted", "trusted"]


def test_a_revocation_and_a_renewal_too(story: Story) -> None:
    story.certify("max")
    story.certify("max", OTHER_METER)
    story.mine(5)
    prepare(story, METER, OTHER_METER)
    revoke = ("meter", "revoke", METER, "--org", ORG, "--reason", "seal broken", "--offline")
    assert cellar(story, "max", *revoke).value["verdict"]["status"] == "revoked"
    assert cellar(story, "max", "meter", "renew", OTHER_METER, "--offline").value["sent"] is False
    story.do("max", "tx", "resume")
    assert story.verdict(METER)["status"] == "revoked"
    assert len(story.meter_writes(OTHER_METER)) == 2
    story.mine(5)
    assert story.verdict(OTHER_METER)["status"] == "trusted"


def test_what_was_written_before_is_known_of_prepared_meters(story: Story) -> None:
    story.certify("max")
    revocation = story.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "x")["txid"]
    prepare(story, METER)
    ran = certify(story)
    assert (ran.status, ran.error["code"]) == (1, "revoked")
    assert signed(story, METER, "--after", revocation)["verdict"]["status"] == "trusted"


def test_of_others_it_is_said_and_found_when_sent(story: Story) -> None:
    story.certify("mia")
    story.do("mia", "meter", "revoke", METER, "--org", ORG, "--reason", "x")
    prepare(story)
    ran = certify(story)
    assert ran.status == 0
    assert f"Nothing is known here of what was written of {METER}" in " ".join(ran.err.split())
    sent = story.run("max", "tx", "resume", "--json")
    assert sent.status == 1
    assert "(C4)" in sent.value[0]["error"]
    assert story.states("max") == [REFUSED]
    assert len(story.meter_writes()) == 2


def test_who_was_withdrawn_meanwhile_sends_nothing(story: Story) -> None:
    prepare(story, METER)
    signed(story)
    story.do("admin", "org", "remove-member", ORG, key_of("max"))
    sent = story.run("max", "tx", "resume", "--json")
    assert sent.status == 1
    assert not story.meter_writes()
    assert story.states("max") == [REFUSED]


def test_who_was_no_member_then_signs_nothing(story: Story) -> None:
    story.do("eve", "meter", "prepare")
    file = story.pairing()
    ran = cellar(story, "eve", "meter", "certify", file, "--org", ORG, "--seal", "A", "--offline")
    assert (ran.status, ran.error["code"]) == (1, "not_a_member")


def test_a_coin_that_was_spent_meanwhile(story: Story) -> None:
    """With the same key in another home, which knows nothing of this one."""
    prepare(story, METER)
    other = story.folder / "laptop"
    shutil.copytree(story.home("max"), other)
    signed(story)
    file = story.pairing(OTHER_METER, "o.json")
    story.do("laptop", "meter", "certify", file, "--org", ORG, "--seal", "A-1")
    sent = story.run("max", "tx", "resume", "--json")
    assert sent.status == 1
    assert "missingorspent" in sent.value[0]["error"]
    assert story.states("max") == [REFUSED]
    story.certify("max")  # the coins are free again
    assert len(story.meter_writes()) == 1


def test_nothing_was_taken_along(story: Story) -> None:
    ran = certify(story)
    assert (ran.status, ran.error["code"]) == (1, "nothing_prepared")
    assert "meter prepare" in ran.error["hint"]


def test_nobody_is_accepted(story: Story) -> None:
    error = story.fail("client", "meter", "prepare")
    assert "accept" in error["hint"]


def test_what_is_a_week_old_is_too_old(story: Story) -> None:
    prepare(story)
    path = story.home("max") / "offline-devnet.json"
    document = json.loads(path.read_text())
    document["taken"] -= 8 * 24 * 3600
    path.write_text(json.dumps(document))
    ran = certify(story)
    assert (ran.status, ran.error["code"]) == (1, "nothing_prepared")
    assert "8 days old" in ran.error["message"]


def test_another_networks(story: Story) -> None:
    prepare(story)
    ran = cellar(story, "max", "--network", "regtest", "meter", "renew", METER, "--org", ORG, "--offline")
    assert (ran.status, ran.error["code"]) == (1, "nothing_prepared")


def _more_money(document: dict[str, Any]) -> None:
    document["coins"][0]["value"] += 1


def _somebody_elses(document: dict[str, Any]) -> None:
    document["coins"][0]["script"] = script_of(keys("eve")["member"]["address"], DEVNET).hex()


def _no_such_output(document: dict[str, Any]) -> None:
    document["coins"][0]["vout"] = 99


def _above_the_tip(document: dict[str, Any]) -> None:
    document["coins"][0]["height"] = document["tip"]["height"] + 1


def _other_bytes(document: dict[str, Any]) -> None:
    txid = document["coins"][0]["txid"]
    document["transactions"][txid]["hex"] += "00"


CHANGES = [
    _more_money,
    _somebody_elses,
    _no_such_output,
    _above_the_tip,
    _other_bytes,
    lambda d: d.pop("coins"),
    lambda d: d.pop("own"),
    lambda d: d.update(own="yes"),
    lambda d: d.update(fee_rate=-1),
    lambda d: d.update(fee_rate=True),
    lambda d: d.update(taken=None),
    lambda d: d.update(coins=[7]),
    lambda d: d.update(format="doitrust-evidence/2"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_file_is_one_line(story: Story, change: Any) -> None:
    prepare(story)
    path = story.home("max") / "offline-devnet.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    ran = certify(story)
    assert ran.status == 1
    assert ran.error["message"]
    assert "Traceback" not in ran.err
    assert story.states("max") == []


def test_a_fee_that_is_none_of_ours_is_not_signed(story: Story) -> None:
    prepare(story)
    path = story.home("max") / "offline-devnet.json"
    document = json.loads(path.read_text())
    document["fee_rate"] = 50_000_000
    path.write_text(json.dumps(document))
    ran = certify(story)
    assert (ran.status, ran.error["code"]) == (1, "forbidden_signature")


def test_a_foreign_source_stays_foreign(story: Story) -> None:
    """What one stranger said is no more worth in the cellar."""
    prepare(story, METER)
    path = story.home("max") / "offline-devnet.json"
    document = json.loads(path.read_text())
    document["own"] = False
    path.write_text(json.dumps(document))
    assert signed(story)["verdict"]["reason"] == "single_source"


def test_the_funds_arrive(story: Story) -> None:
    prepare(story, METER)
    told = signed(story, METER, "--fund", "0.25")
    story.do("max", "tx", "resume")
    certificate = told["verdict"]
    outputs = pairing_outputs(bytes.fromhex(certificate["node"]), bytes.fromhex(certificate["client"]))
    assert story.paid(outputs["p2wsh"]) == 25_000_000


def test_the_file_is_for_its_owner_alone(story: Story) -> None:
    prepare(story)
    assert (story.home("max") / "offline-devnet.json").stat().st_mode & 0o077 == 0


def test_what_can_not_be_taken_along_is_named(story: Story) -> None:
    shutil.rmtree(story.world / "ipfs")
    ran = story.run("max", "meter", "prepare", METER, "--json")
    assert (ran.status, ran.value["complete"]) == (0, False)
    assert "list_missing" in ran.err
    ran = certify(story)
    assert (ran.status, ran.error["code"]) == (1, "membership_unknown")


# ---- what an attacker found


def test_two_trips_with_one_preparation(story: Story) -> None:
    """What the first trip spent is not spent again."""
    prepare(story, METER, OTHER_METER)
    signed(story)
    story.do("max", "tx", "resume")
    signed(story, OTHER_METER)
    (sent,) = story.do("max", "tx", "resume")
    assert sent["error"] is None
    assert len(story.meter_writes(OTHER_METER)) == 1


def test_what_rests_on_a_given_up_one_is_given_up_too(story: Story) -> None:
    story.certify("mia")
    story.do("mia", "meter", "revoke", METER, "--org", ORG, "--reason", "x")
    prepare(story)
    signed(story)
    signed(story, OTHER_METER)
    sent = story.run("max", "tx", "resume", "--json")
    assert sent.status == 1
    assert [("(C4)" in each["error"], "given up" in each["error"]) for each in sent.value] == [
        (True, False),
        (False, True),
    ]
    assert story.states("max") == [REFUSED, REFUSED]
    story.certify("max", OTHER_METER)  # nothing is in the way
    assert len(story.meter_writes(OTHER_METER)) == 1


def test_what_was_certified_before_is_not_paid_twice(story: Story) -> None:
    story.certify("max", METER, "--fund", "0.1")
    prepare(story)
    file = story.home("max").parent / f"max-{METER}.json"
    arguments = ("meter", "certify", file, "--org", ORG, "--seal", "A-1", "--fund", "0.1", "--offline")
    assert cellar(story, "max", *arguments).status == 0
    sent = story.run("max", "tx", "resume", "--json")
    assert (sent.status, "stands already" in sent.value[0]["error"]) == (1, True)
    assert len(story.meter_writes()) == 1


def test_it_never_says_that_it_stands_by_an_old_picture(story: Story) -> None:
    file = story.pairing()
    certify_it = ("meter", "certify", file, "--org", ORG, "--seal", "A-1")
    story.do("max", *certify_it)
    story.mine(5)
    prepare(story, METER)
    story.do("mia", "meter", "revoke", METER, "--org", ORG, "--reason", "x")
    told = cellar(story, "max", *certify_it, "--offline").value
    assert told["sent"] is False
    sent = story.run("max", "tx", "resume", "--json")
    assert (sent.status, "(C4)" in sent.value[0]["error"]) == (1, True)
    assert story.verdict()["status"] == "revoked"


def test_what_takes_144_confirmations_is_asked_about_when_it_is_sent(story: Story) -> None:
    story.certify("mia")
    story.mine(6)
    prepare(story)
    file = story.pairing(METER, "z.json", node="another-node")
    ran = cellar(story, "max", "meter", "certify", file, "--org", ORG, "--seal", "A-1", "--offline")
    assert ran.status == 0
    error = story.fail("max", "tx", "resume", status=2, ask=True)
    assert "144 confirmations" in error["message"]
    assert story.states("max") == [SIGNED]
    assert story.do("max", "tx", "resume")[0]["sent"] is True


def test_a_mempool_that_is_full_for_now_ends_nothing(story: Story) -> None:
    prepare(story)
    signed(story)
    signed(story, OTHER_METER)

    def refuses(*_: object) -> None:
        raise Refused("too many unconfirmed ancestors", code="too-long-mempool-chain")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Devnet, "broadcast", refuses)
        assert story.run("max", "tx", "resume", "--no-wait").status == 1
    assert story.states("max") == [SIGNED, SIGNED]
    assert [each["error"] for each in story.do("max", "tx", "resume")] == [None, None]


def test_anothers_coins_were_not_taken_along(story: Story) -> None:
    prepare(story, METER)
    shutil.copy(story.home("max") / "offline-devnet.json", story.home("mia"))
    file = story.pairing()
    ran = cellar(story, "mia", "meter", "certify", file, "--org", ORG, "--seal", "A", "--offline")
    assert (ran.status, ran.error["code"]) == (1, "nothing_prepared")


def test_a_time_to_come_is_no_time(story: Story) -> None:
    prepare(story)
    path = story.home("max") / "offline-devnet.json"
    document = json.loads(path.read_text())
    document["taken"] += 10 * 3600
    path.write_text(json.dumps(document))
    assert certify(story).error["code"] == "nothing_prepared"
