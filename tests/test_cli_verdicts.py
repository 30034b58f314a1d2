"""Verdicts follow the chain: reorganisations, confirmations, limits; links move no question elsewhere."""

import pytest
from cli import MUELLER, PASSAU, failure, load, meter, run, verdict
from devnet_world import recorded_json

#: Of the first chain: certified in block 535 of 543, trusted; and its only write.
LATE = meter(22)
#: Of the second chain: revoked in its last block.
JUST_REVOKED = "1REV0000099021"


def reorg(count: int, *options: str) -> None:
    before = run("devnet", "status", "--json").value["blocks"]
    told = run("devnet", "reorg", count, *options, "--json").value
    assert told["height"] == before + 1
    assert len(told["blocks"]) == count + 1


def mine(count: int) -> None:
    assert run("devnet", "mine", count).status == 0


def test_a_certificate_reorganised_away_waits_to_be_mined_and_confirmed_again() -> None:
    load(1)
    assert verdict(LATE)["status"] == "trusted"
    reorg(543 - 535 + 1)
    assert verdict(LATE)["status"] == "unknown"
    mine(1)
    again = verdict(LATE)
    assert (again["status"], again["certificate"]["confirmations"]) == ("unconfirmed", 1)
    mine(4)
    assert verdict(LATE)["status"] == "unconfirmed"
    mine(1)
    assert verdict(LATE)["status"] == "trusted"


def test_a_certificate_that_was_dropped_is_gone() -> None:
    load(1)
    reorg(543 - 535 + 1, "--drop")
    assert run("devnet", "status", "--json").value["mempool"] == 0
    mine(7)
    assert verdict(LATE)["status"] == "unknown"


def test_a_reorganisation_that_keeps_the_certificate_changes_its_confirmations_only() -> None:
    load(1)
    before = verdict(LATE)
    reorg(543 - 535)
    after = verdict(LATE)
    assert after["status"] == "trusted"
    assert after["certificate"]["confirmations"] == before["certificate"]["confirmations"] + 1
    assert after["certificate"]["txid"] == before["certificate"]["txid"]
    assert after["tip"]["hash"] != before["tip"]["hash"]


def test_a_revocation_reorganised_into_the_mempool_still_revokes() -> None:
    load(2)
    reorg(1)
    told = verdict(JUST_REVOKED)
    assert told["status"] == "revoked"
    assert told["writes"][-1]["height"] is None
    text = run("verify", JUST_REVOKED)
    assert text.status == 3
    assert "not in a block yet" in text.out
    mine(1)
    assert verdict(JUST_REVOKED)["writes"][-1]["confirmations"] == 1


def test_a_revocation_that_was_dropped_revokes_no_more() -> None:
    load(2)
    reorg(1, "--drop")
    assert verdict(JUST_REVOKED)["status"] == "trusted"


def test_a_member_list_reorganised_away_takes_its_members_with_it() -> None:
    load(1)
    assert len(run("org", "members", MUELLER, "--json").value) == 2
    reorg(543 - 531 + 1, "--drop")
    assert len(run("org", "members", MUELLER, "--json").value) == 1
    assert run("org", "show", MUELLER, "--json").value["sequence"] == 1


def test_a_withdrawal_reorganised_away_withdraws_no_more() -> None:
    load(1)
    stolen = meter(16)
    assert verdict(stolen)["reason"] == "member_revoked"
    height = verdict(stolen)["writes"][0]["height"]
    reorg(543 - 484 + 1, "--drop")
    assert height > 484
    assert [m["revoked"] for m in run("org", "members", PASSAU, "--json").value] == [None, None]


def test_a_pinned_root_that_is_not_in_the_chain_any_more_trusts_nobody() -> None:
    load(1)
    reorg(543 - 452 + 1, "--drop")
    mine(3)
    assert verdict(meter(1))["status"] != "trusted"
    assert run("org", "accepted", "--json").value[0]["name"] == PASSAU


@pytest.mark.parametrize(
    ("number", "least", "status"),
    [(23, 1, "trusted"), (23, 2, "unconfirmed"), (1, 86, "trusted"), (1, 87, "unconfirmed")],
)
def test_as_many_confirmations_are_wanted_as_asked_for(number: int, least: int, status: str) -> None:
    load(1)
    told = verdict(meter(number), "--min-confirmations", least)
    assert (told["status"], told["min_confirmations"]) == (status, least)


def test_the_text_says_how_many_confirmations_are_missing() -> None:
    load(1)
    assert "only 1 of 6 blocks deep" in run("verify", meter(23)).out


@pytest.mark.parametrize(("most", "reason"), [(1, "flooded"), (5, "flooded"), (6, None)])
def test_more_writes_than_wanted_leave_the_verdict_open(most: int, reason: str | None) -> None:
    load(1)  # Elektro-Innung Passau's record has 6 writes, the meter's 2
    told = verdict(meter(1), "--max-writes", most)
    assert (told["status"], told["reason"]) == ("undetermined" if reason else "trusted", reason)


def test_a_flooded_meter_says_what_can_be_done() -> None:
    load(1)
    assert "--max-writes" in run("verify", meter(1), "--max-writes", 1).out


# ---- links

LINK = f"doitrust:meter/{LATE}"


@pytest.mark.parametrize(
    "link",
    [LINK, f"{LINK}?network=devnet", f"{LINK}?network=devnet&org=Elektro%20M%C3%BCller%20%26%20S%C3%B6hne"],
)
def test_a_link_is_verified_as_its_number(link: str) -> None:
    load(1)
    told = verdict(link)
    assert (told["meter"], told["status"]) == (LATE, "trusted")


@pytest.mark.parametrize("network", ["mainnet", "regtest", "Devnet", "%1b[31m"])
@pytest.mark.parametrize("line", [["verify"], ["meter", "show"]])
def test_a_link_to_another_network_is_refused(line: list[str], network: str) -> None:
    load(1)
    message = failure(*line, f"{LINK}?network={network}", status=2)
    assert "devnet" in message


def test_a_link_pins_nothing_and_an_organisation_that_does_not_certify_is_told() -> None:
    load(1)
    ran = run("verify", f"{LINK}?network=devnet&org=Billig-Siegel")
    assert ran.status == 0
    assert "Billig-Siegel" in ran.out
    foreign = f"doitrust:meter/{meter(5)}?network=devnet&org=Billig-Siegel"
    assert verdict(foreign)["reason"] == "organization_not_accepted"
    assert [pin["name"] for pin in run("org", "accepted", "--json").value] == [PASSAU, MUELLER]


def test_every_verdict_off_mainnet_says_so() -> None:
    load(1)
    for number, entry in recorded_json(1)["meters"].items():
        ran = run("verify", number)
        assert "not the real market" in ran.out, entry
