"""Organisations at the command line: accepting by root, fingerprint, segments and link; looking; rejecting."""

import base64
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from cli import (
    BILLIG,
    BILLIG_ROOT,
    MUELLER,
    MUELLER_ROOT,
    MUELLER_SECOND,
    MUELLER_STOLEN,
    PASSAU,
    accepted,
    failure,
    home,
    load,
    meter,
    run,
    verdict,
)
from devnet_world import FEE, NAME_AMOUNT, Key, World, coin_of, recorded_json

from doitrust.chain.tx import Output

LINK = f"doitrust:org/{BILLIG}?network=devnet&root={BILLIG_ROOT}"


def fingerprint(name: str, root: str) -> str:
    """The fingerprint as trust-model O2 says it, by hand."""
    digest = sha256(f"doitrust root\ndevnet\n{name}\n{root}".encode()).digest()
    text = base64.b32encode(digest)[:16].decode().lower()
    return "-".join((text[:4], text[4:8], text[8:12], text[12:]))


def pinned(name: str) -> list[tuple[str, str | None]]:
    """The segments of an accepted organisation."""
    (pin,) = [pin for pin in run("org", "accepted", "--json").value if pin["name"] == name]
    return [(segment["root"], segment["until"]) for segment in pin["segments"]]


def accept(*arguments: str) -> None:
    ran = run("org", "accept", *arguments)
    assert ran.status == 0, ran.err


# ---- accepting


@pytest.mark.parametrize("name", [PASSAU, MUELLER, BILLIG])
def test_looking_at_the_candidates_pins_nothing(name: str) -> None:
    load(1)
    run("org", "reject", name)
    before = accepted()
    told = run("org", "accept", name, "--yes", "--json").value
    roots = [candidate["root"] for candidate in told["candidates"]]
    assert recorded_json(1)["organizations"][name]["root"] == roots[0]
    assert told["count"] == len(roots)
    assert [c["fingerprint"] for c in told["candidates"]] == [fingerprint(name, root) for root in roots]
    text = run("org", "accept", name).out
    assert all(fingerprint(name, root) in text and root in text for root in roots)
    assert accepted() == before


def test_a_strangers_write_is_a_candidate_of_its_own_and_the_owners_is_not() -> None:
    load(1)
    told = run("org", "accept", MUELLER, "--json").value
    assert [candidate["root"] for candidate in told["candidates"]] == [MUELLER_ROOT, MUELLER_STOLEN]


def test_the_candidates_of_what_is_accepted_do_not_claim_that_nothing_is() -> None:
    load(1)
    assert "Nothing is accepted yet" not in run("org", "accept", MUELLER).out


def test_twenty_candidates_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    world, devnet = World(tmp_path / "world"), ["--devnet", tmp_path / "world"]
    squatters = [Key.named(f"squatter {number}") for number in range(25)]
    paid = world.pay(*(Output(NAME_AMOUNT + 2 * FEE, each.p2wpkh) for each in squatters), fee=2 * FEE)
    world.send(paid)
    for vout, squatter in enumerate(squatters):
        coins = [coin_of(paid, vout, squatter)]
        world.send(world.write("bp_organization/Gilde", "x", squatter, coins=coins))
    world.devnet.close()
    told = run("org", "accept", "Gilde", *devnet, "--json").value
    assert (len(told["candidates"]), told["count"]) == (20, 25)
    assert "25 candidates" in run("org", "accept", "Gilde", *devnet).out
    assert accepted() == []


def test_a_root_is_accepted_and_its_meters_are_trusted_from_then_on() -> None:
    load(1)
    assert verdict(meter(5))["reason"] == "organization_not_accepted"
    told = run("org", "accept", BILLIG, "--root", BILLIG_ROOT.upper(), "--json").value
    assert (told["name"], told["network"]) == (BILLIG, "devnet")
    assert told["segments"] == [
        {"root": BILLIG_ROOT, "until": None, "fingerprint": fingerprint(BILLIG, BILLIG_ROOT)}
    ]
    assert verdict(meter(5))["status"] == "trusted"
    assert accepted() == [PASSAU, MUELLER, BILLIG]


@pytest.mark.parametrize("form", ["{}", "{upper}", "{plain}", "{spaced}", " {} "])
def test_a_fingerprint_may_be_typed_as_it_was_read_out(form: str) -> None:
    load(1)
    mark = fingerprint(BILLIG, BILLIG_ROOT)
    typed = form.format(mark, upper=mark.upper(), plain=mark.replace("-", ""), spaced=mark.replace("-", " "))
    accept(BILLIG, "--fingerprint", typed)
    assert pinned(BILLIG) == [(BILLIG_ROOT, None)]


@pytest.mark.parametrize("mark", ["", "abcd", "aaaa-aaaa-aaaa-aaa1", "aaaa-aaaa-aaaa-aaaa-aaaa", "ä" * 16])
def test_what_is_no_fingerprint_is_a_mistake_of_use(mark: str) -> None:
    load(1)
    failure("org", "accept", BILLIG, "--fingerprint", mark, status=2)


def test_a_fingerprint_of_another_name_or_network_accepts_nothing() -> None:
    load(1)
    failure("org", "accept", BILLIG, "--fingerprint", fingerprint(MUELLER, BILLIG_ROOT))
    assert BILLIG not in accepted()


@pytest.mark.parametrize("root", ["", "12", "g" * 64, "0" * 63, "0" * 65, "\x1b" * 64])
@pytest.mark.parametrize("line", [["accept", MUELLER], ["show", MUELLER]])
def test_what_is_no_txid_is_a_mistake_of_use(line: list[str], root: str) -> None:
    load(1)
    failure("org", *line, "--root", root, status=2)


@pytest.mark.parametrize("root", ["0" * 64, BILLIG_ROOT])
def test_a_root_that_is_no_write_of_this_name_cannot_be_accepted(root: str) -> None:
    load(1)
    failure("org", "accept", MUELLER, "--root", root)
    assert pinned(MUELLER) == [(MUELLER_ROOT, None)]


def test_a_root_with_too_few_confirmations_cannot_be_pinned() -> None:
    load(1)
    run("devnet", "reorg", 543 - 533 + 1)
    run("devnet", "mine", 5)
    message = failure("org", "accept", MUELLER, "--root", MUELLER_STOLEN)
    assert "5 of 6" in message
    failure("org", "accept", MUELLER, "--fingerprint", fingerprint(MUELLER, MUELLER_STOLEN))
    assert pinned(MUELLER) == [(MUELLER_ROOT, None)]
    run("devnet", "mine", 1)
    accept(MUELLER, "--root", MUELLER_STOLEN)


def test_a_root_in_the_mempool_cannot_be_pinned() -> None:
    load(1)
    run("devnet", "reorg", 543 - 533 + 1)
    failure("org", "accept", MUELLER, "--root", MUELLER_STOLEN)


def test_accepting_again_replaces_the_pin_and_keeps_its_rank() -> None:
    load(1)
    accept(PASSAU, "--root", "7d386b02eab28f0dc03cc1ad77f64911f5fd2498eb5e70e31f7cd2e89edaf23b")
    assert accepted() == [PASSAU, MUELLER]
    assert len(pinned(PASSAU)) == 1
    assert verdict(meter(1))["status"] == "untrusted"


def test_what_was_rejected_and_is_accepted_again_comes_last() -> None:
    load(1)
    assert run("org", "reject", PASSAU).status == 0
    assert verdict(meter(1))["reason"] == "organization_not_accepted"
    accept(PASSAU, "--root", recorded_json(1)["organizations"][PASSAU]["root"])
    assert accepted() == [MUELLER, PASSAU]
    assert verdict(meter(1))["status"] == "trusted"


# ---- segments


def test_segments_follow_an_organisation_past_a_theft() -> None:
    load(1)
    stolen, own = meter(21), meter(22)
    accept(MUELLER, "--root", MUELLER_ROOT, "--until", MUELLER_SECOND, "--root", MUELLER_STOLEN)
    assert pinned(MUELLER) == [(MUELLER_ROOT, MUELLER_SECOND), (MUELLER_STOLEN, None)]
    assert verdict(stolen)["status"] == "trusted"
    assert verdict(own)["status"] == "untrusted"
    counts = [write["counts"] for write in run("org", "show", MUELLER, "--json").value["writes"]]
    assert counts == [True, True, True]


def test_what_comes_after_the_end_of_a_segment_is_foreign() -> None:
    load(1)
    accept(MUELLER, "--root", MUELLER_ROOT, "--until", MUELLER_ROOT)
    counts = [write["counts"] for write in run("org", "show", MUELLER, "--json").value["writes"]]
    assert counts == [True, False, False]
    assert verdict(meter(22))["reason"] == "not_a_member"
    assert verdict(meter(3))["status"] == "trusted"


def test_segments_may_be_named_by_fingerprint_and_with_an_equals_sign() -> None:
    load(1)
    accept(
        MUELLER,
        f"--fingerprint={fingerprint(MUELLER, MUELLER_ROOT)}",
        f"--until={MUELLER_SECOND}",
        "--fingerprint",
        fingerprint(MUELLER, MUELLER_STOLEN),
    )
    assert pinned(MUELLER) == [(MUELLER_ROOT, MUELLER_SECOND), (MUELLER_STOLEN, None)]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (2, ["--until", MUELLER_SECOND]),
        (2, ["--until", MUELLER_SECOND, "--root", MUELLER_ROOT]),
        (2, ["--root", MUELLER_ROOT, "--until", MUELLER_SECOND, "--until", MUELLER_SECOND]),
        (1, ["--root", MUELLER_ROOT, "--root", MUELLER_STOLEN]),
        (1, ["--root", MUELLER_ROOT, "--until", MUELLER_STOLEN]),
        (1, ["--root", MUELLER_ROOT, "--until", BILLIG_ROOT]),
        (1, ["--root", MUELLER_STOLEN, "--until", MUELLER_STOLEN, "--root", MUELLER_ROOT]),
        (1, ["--root", MUELLER_SECOND, "--until", MUELLER_ROOT]),
        (1, ["--root", MUELLER_ROOT, "--until", MUELLER_SECOND, "--root", MUELLER_SECOND]),
    ],
)
def test_segments_that_do_not_follow_each_other_are_refused(status: int, line: Sequence[str]) -> None:
    load(1)
    failure("org", "accept", MUELLER, *line, status=status)
    assert pinned(MUELLER) == [(MUELLER_ROOT, None)]


# ---- links


def test_a_link_shows_its_fingerprint_and_asks() -> None:
    load(1)
    ran = run("org", "accept", LINK, typed="y\n")
    assert ran.status == 0
    assert fingerprint(BILLIG, BILLIG_ROOT) in ran.err
    assert BILLIG_ROOT in ran.err
    assert pinned(BILLIG) == [(BILLIG_ROOT, None)]


def test_a_link_holds_a_name_percent_encoded() -> None:
    load(1)
    run("org", "reject", MUELLER)
    accept(
        "--yes", f"doitrust:org/Elektro%20M%C3%BCller%20%26%20S%C3%B6hne?network=devnet&root={MUELLER_ROOT}"
    )
    assert pinned(MUELLER) == [(MUELLER_ROOT, None)]


@pytest.mark.parametrize(
    "link",
    [
        LINK.replace("devnet", "mainnet"),
        LINK.replace("devnet", "mars"),
        LINK.replace("network=devnet&", ""),
        LINK.split("&", maxsplit=1)[0],
        LINK.replace(BILLIG, ""),
        LINK.replace(BILLIG, "a%20%20b"),
        LINK.replace(BILLIG, "%1b[31m"),
        LINK[:-1],
        LINK + "0",
        f"doitrust:meter/{meter(1)}?network=devnet&org=Gilde",
        "doitrust:",
        "doitrust:org/" + "a" * 2000,
    ],
)
def test_a_link_that_is_damaged_or_of_another_network_is_refused(link: str) -> None:
    load(1)
    failure("org", "accept", link, "--yes", status=2)
    assert accepted() == [PASSAU, MUELLER]


def test_a_link_with_a_root_beside_it_is_a_contradiction() -> None:
    load(1)
    failure("org", "accept", LINK, "--yes", "--root", MUELLER_ROOT, status=2)
    assert BILLIG not in accepted()


def test_a_link_to_a_root_that_is_not_there_accepts_nothing() -> None:
    load(1)
    failure("org", "accept", LINK.replace(BILLIG_ROOT, "0" * 64), "--yes")
    assert BILLIG not in accepted()


# ---- looking and rejecting


def test_rejecting_forgets_the_pin_once() -> None:
    load(1)
    assert run("org", "reject", PASSAU).status == 0
    assert accepted() == [MUELLER]
    failure("org", "reject", PASSAU)


def test_accepted_tells_how_to_begin_where_nothing_is_accepted() -> None:
    ran = run("org", "accepted")
    assert ran.status == 0
    assert "org accept" in ran.out
    assert not home().exists()


@pytest.mark.parametrize(
    "name", ["", " Gilde", "Gilde ", "a  b", "Gilde\n", "Gi\x1b[31mlde", "x" * 65, "\u04c0nnung"]
)
@pytest.mark.parametrize("line", ["show", "members", "history", "accept", "reject"])
def test_a_name_that_no_organisation_can_have_is_a_mistake_of_use(line: str, name: str) -> None:
    load(1)
    failure("org", line, name, status=2)


@pytest.mark.parametrize(
    ("height", "keys"), [(451, []), (452, ["E1", "E2"]), (473, ["E1", "E4"]), (9999, None)]
)
def test_members_are_those_of_the_list_in_force_at_the_height(height: int, keys: list[str] | None) -> None:
    load(1)
    told = run("org", "members", PASSAU, "--at", height, "--json").value
    known = recorded_json(1)["keys"]
    wanted = ["E1", "E2", "E4"] if keys is None else keys
    assert [member["key"] for member in told] == [known[who]["pubkey"] for who in wanted]


def test_a_member_withdrawn_later_is_no_member_from_the_named_height_on() -> None:
    load(1)
    key = recorded_json(1)["keys"]["E4"]["pubkey"]
    standing = {
        height: {m["key"]: m["member"] for m in run("org", "members", PASSAU, "--at", height, "--json").value}
        for height in (483, 484)
    }
    assert (standing[483][key], standing[484][key]) == (True, False)


def test_history_tells_which_writes_count_and_why() -> None:
    load(1)
    told = run("org", "history", MUELLER, "--json").value
    assert [(write["txid"], write["counts"]) for write in told["writes"]] == [
        (MUELLER_ROOT, True),
        (MUELLER_SECOND, True),
        (MUELLER_STOLEN, False),
    ]
    text = run("org", "history", MUELLER).out
    assert all(write["txid"] in text and write["why"] in text for write in told["writes"])


def test_an_organisation_can_be_looked_at_along_another_root_without_accepting_it() -> None:
    load(1)
    told = run("org", "show", MUELLER, "--root", MUELLER_STOLEN, "--json").value
    assert (told["root"], told["accepted"], len(told["writes"])) == (MUELLER_STOLEN, False, 3)
    assert [write["counts"] for write in told["writes"]] == [False, False, True]
    assert pinned(MUELLER) == [(MUELLER_ROOT, None)]


@pytest.mark.parametrize("line", ["show", "history", "members"])
def test_looking_along_a_root_that_is_not_there_is_refused(line: str) -> None:
    load(1)
    failure("org", line, MUELLER, "--root", "0" * 64)


def test_the_list_marks_what_is_accepted() -> None:
    load(1)
    told = {entry["name"]: entry["accepted"] for entry in run("org", "list", "--json").value}
    assert told == {PASSAU: True, MUELLER: True, BILLIG: False}
    marked = {line[2:]: line[0] == "✔" for line in run("org", "list").out.splitlines()}
    assert marked == told
