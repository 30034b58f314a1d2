"""`doitrust org`, what an organisation's admin does: lists that lose nothing, boards, and handing over."""

import json
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from story import (
    METER,
    ORG,
    Story,
    board_of,
    key_of,
    keys,
    organised,
    root_of,
)

from doitrust.adapters.devnet import Devnet
from doitrust.chain.address import address_of, hash160, script_of
from doitrust.chain.descriptors import Descriptor
from doitrust.chain.networks import DEVNET, MAINNET
from doitrust.chain.scripts import p2pkh
from doitrust.content.cid import parse_cid
from doitrust.errors import Unavailable
from doitrust.orgs.members import read_members
from doitrust.orgs.pins import fingerprint

MAX, MIA, EVE = (key_of(who) for who in ("max", "mia", "eve"))
NOBODY: dict[str, str | None] = {"DOITRUST_PASSPHRASE": None}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return organised(tmp_path)


def document(story: Story, cid: str) -> Any:
    with story.devnet() as devnet:
        return json.loads(devnet.contents.get_file(parse_cid(cid), 4 * 2**20))


def members(story: Story, who: str = "max") -> dict[str, bool]:
    """Who is a member now, by the rules that everybody judges by."""
    return {m["key"]: m["member"] for m in story.do(who, "org", "members", ORG)}


def address(who: str, account: str = "owner") -> str:
    return keys(who)[account]["address"]


# ---- create


def test_create_prints_what_everybody_needs(story: Story) -> None:
    answer = story.do("admin", "org", "create", "Zweite", "--member", f"{EVE}=Eve Ähre", "--member", MIA)
    assert {"txid", "confirmations", "fee", "cid", "root"} <= answer.keys()
    assert answer["root"] == answer["txid"]
    assert answer["confirmations"] == 1
    ((txid, write),) = story.org_writes("Zweite")
    assert (txid, write.value.decode()) == (answer["root"], answer["cid"])
    assert write.owner_script == script_of(address("admin"), DEVNET)
    assert document(story, answer["cid"]) == {
        "format": "doitrust-members/1",
        "members": [{"key": EVE, "name": "Eve Ähre"}, {"key": MIA}],
        "organization": "Zweite",
        "previous": None,
        "sequence": 1,
    }
    assert answer["cid"].startswith("bafkrei")


def test_create_pins_nothing_and_says_how_to_accept(story: Story) -> None:
    ran = story.run("admin", "org", "create", "Zweite & Co", "--member", EVE)
    ((root, _),) = story.org_writes("Zweite & Co")
    assert f"doitrust org accept 'Zweite & Co' --root {root}" in ran.out.replace("\n", "")
    assert fingerprint(DEVNET, "Zweite & Co", root) in ran.out
    assert [pin["name"] for pin in story.do("admin", "org", "accepted")] == [ORG]


def test_what_is_ones_own_is_not_created_again(story: Story) -> None:
    """A first list after the last would lose what that withdrew."""
    error = story.fail("admin", "org", "create", ORG, "--member", EVE, env=NOBODY)
    assert error["code"] == "owned_already"
    assert len(story.org_writes()) == 1


def test_a_strangers_name_can_be_written_and_changes_nothing(story: Story) -> None:
    """The chain lets anybody; whoever pinned the root goes on with it."""
    story.fund(address("eve"))
    story.do("eve", "org", "create", ORG, "--member", EVE)
    assert members(story) == {MAX: True, MIA: True}
    added = story.do("admin", "org", "add-member", ORG, key_of("one"))
    assert added["root"] == root_of(story)
    assert members(story)[key_of("one")] is True


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "Zweite"),
        ("create", "Zweite", "--member", "02" + "00" * 32),
        ("create", "Zweite", "--member", "=Eve"),
        ("create", "Zweite", "--member", f"{EVE}="),
        ("create", "Zweite", "--member", f"{EVE}=a\u202eb"),
        ("create", " Zweite", "--member", EVE),
        ("create", "Zweite\n", "--member", EVE),
        ("create", "Z" * 65, "--member", EVE),
        ("create", "Zweite", "--member", EVE, "--owner", "nonsense"),
        ("create", "Zweite", "--member", EVE, "--owner", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
        ("add-member", ORG, "nonsense"),
        ("add-member", ORG),
        ("remove-member", ORG, "nonsense"),
        ("revoke-member", ORG, MAX, "--reason", "left"),
        ("revoke-member", ORG, MAX, "--height", "-1", "--reason", "left"),
        ("revoke-member", ORG, MAX, "--height", "1", "--reason", "because"),
        ("transfer", ORG, "nonsense"),
    ],
)
def test_mistakes_of_use_are_2_and_write_nothing(story: Story, arguments: tuple[str, ...]) -> None:
    story.fail("admin", "org", *arguments, status=2)
    assert len(story.org_writes()) == 1
    assert not story.org_writes("Zweite")


def test_a_member_twice_is_refused(story: Story) -> None:
    error = story.fail("admin", "org", "create", "Zweite", "--member", EVE, "--member", EVE, env=NOBODY)
    assert "already" in error["message"]


# ---- the list


def test_add_remove_and_the_next_numbers(story: Story) -> None:
    first = document(story, story.org_writes()[0][1].value.decode())
    added = story.do("admin", "org", "add-member", ORG, f"{EVE}=Eve", key_of("one"))
    second = document(story, added["cid"])
    assert second["members"] == [*first["members"], {"key": EVE, "name": "Eve"}, {"key": key_of("one")}]
    assert (second["sequence"], second["previous"]) == (2, story.org_writes()[0][1].value.decode())
    removed = story.do("admin", "org", "remove-member", ORG, MAX, EVE)
    third = document(story, removed["cid"])
    assert [m["key"] for m in third["members"]] == [MIA, key_of("one")]
    assert (third["sequence"], third["previous"]) == (3, added["cid"])
    assert members(story) == {MIA: True, key_of("one"): True}
    shown = story.do("max", "org", "show", ORG)
    assert [write["counts"] for write in shown["writes"]] == [True] * 3


def test_who_leaves_keeps_what_he_certified(story: Story) -> None:
    story.certify()
    story.do("admin", "org", "remove-member", ORG, MAX)
    story.mine(5)
    assert story.verdict()["status"] == "trusted"


def test_who_is_withdrawn_loses_it_and_gets_it_back_when_reinstated(story: Story) -> None:
    story.certify()
    story.mine(5)
    revoked = story.do("admin", "org", "revoke-member", ORG, MAX, "--height", "1", "--reason", "error")
    assert document(story, revoked["cid"])["members"][0]["revoked"] == {"height": 1, "reason": "error"}
    verdict = story.verdict()
    assert (verdict["status"], verdict["reason"]) == ("untrusted", "member_revoked")
    story.do("admin", "org", "reinstate-member", ORG, MAX)
    assert story.verdict()["status"] == "trusted"


def test_a_withdrawn_key_stays_in_every_later_list(story: Story) -> None:
    story.do("admin", "org", "revoke-member", ORG, MAX, "--height", "1", "--reason", "key-compromise")
    assert "was withdrawn" in story.fail("admin", "org", "remove-member", ORG, MAX, env=NOBODY)["message"]
    assert "was withdrawn" in story.fail("admin", "org", "add-member", ORG, MAX, env=NOBODY)["message"]
    reinstated = story.fail("admin", "org", "reinstate-member", ORG, MAX, env=NOBODY)
    assert "compromised" in reinstated["message"]
    added = story.do("admin", "org", "add-member", ORG, EVE)
    entry = next(m for m in document(story, added["cid"])["members"] if m["key"] == MAX)
    assert entry["revoked"]["reason"] == "key-compromise"
    assert entry["name"] == "Max Maier"


def test_voiding_revocations(story: Story) -> None:
    story.certify("mia")
    story.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "spite")
    story.do(
        "admin", "org", "revoke-member", ORG, MAX, "--height", "1", "--reason", "left", "--voids-revocations"
    )
    story.mine(5)
    assert story.verdict(who="mia")["status"] == "trusted"


def test_what_cannot_be_changed_is_refused_before_anything_is_signed(story: Story) -> None:
    for arguments, said in [
        (("add-member", ORG, MAX), "already"),
        (("remove-member", ORG, EVE), "not in the list"),
        (("revoke-member", ORG, EVE, "--height", "1", "--reason", "left"), "never was a member"),
        (("reinstate-member", ORG, MAX), "not withdrawn"),
        (("reinstate-member", ORG, EVE), "not in the list"),
        (("add-member", "Unknown", MAX), "no organisation"),
    ]:
        assert said in story.fail("admin", "org", *arguments, env=NOBODY)["message"]
    assert len(story.org_writes()) == 1


def test_who_is_not_the_owner_is_refused(story: Story) -> None:
    story.fund(address("eve"))
    error = story.fail("eve", "org", "add-member", ORG, EVE, env=NOBODY)
    assert error["code"] == "not_the_owner"
    assert len(story.org_writes()) == 1


# ---- publish


def published(story: Story, text: str, *more: object, **options: Any) -> Any:
    file = story.folder / "list"
    file.write_text(text, encoding="utf-8")
    return story.run("admin", "org", "publish", ORG, file, "--json", *more, **options)


def test_a_file_is_published_as_it_is(story: Story) -> None:
    text = f"# by hand\n{EVE}\n"
    answer = published(story, text).value
    with story.devnet() as devnet:
        assert devnet.contents.get_file(parse_cid(answer["cid"]), 1000) == text.encode()
    assert members(story) == {EVE: True}


def test_after_a_text_list_the_next_is_json_again(story: Story) -> None:
    published(story, f"{EVE}\n")
    answer = story.do("admin", "org", "add-member", ORG, MAX)
    assert [m["key"] for m in document(story, answer["cid"])["members"]] == [EVE, MAX]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "{}",
        "not a list",
        json.dumps({"format": "doitrust-members/1", "members": []}),
        json.dumps({"format": "doitrust-members/1", "members": [{"key": EVE}, {"key": "02"}]}),
        json.dumps({"format": "doitrust-members/1", "members": [{"key": EVE}, {"key": EVE}]}),
        '{"format":"doitrust-members/1","members":[],"members":[]}',
        "\ufeff" + EVE,
    ],
)
def test_what_is_no_list_is_not_published(story: Story, text: str) -> None:
    assert published(story, text, env=NOBODY).status == 1
    assert len(story.org_writes()) == 1


def test_a_list_that_lost_a_revoked_entry_is_not_published(story: Story) -> None:
    story.do("admin", "org", "revoke-member", ORG, MAX, "--height", "7", "--reason", "left")
    ran = published(story, f"{MIA}\n", env=NOBODY)
    assert (ran.status, ran.error["code"]) == (1, "lost_revocation")
    assert MAX in ran.error["message"]
    kept = {"format": "doitrust-members/1", "members": [{"key": MIA}, {"key": MAX}]}
    assert published(story, json.dumps(kept), env=NOBODY).error["code"] == "lost_revocation"
    kept["members"][1]["revoked"] = {"height": 7}  # type: ignore[index]
    assert published(story, json.dumps(kept)).status == 0


@pytest.mark.parametrize(
    "weaker", [{"height": 8}, {"height": 7, "voids_revocations": False}, {"height": 2**53}]
)
def test_a_weaker_revoked_entry_is_no_loss_as_the_rules_add_them_up(
    story: Story, weaker: dict[str, Any]
) -> None:
    """M2: an entry in any list withdraws; a later one with a higher height lifts nothing."""
    story.certify()
    story.do("admin", "org", "revoke-member", ORG, MAX, "--height", "7", "--reason", "left")
    entries = [{"key": MIA}, {"key": MAX, "revoked": weaker}]
    ran = published(story, json.dumps({"format": "doitrust-members/1", "members": entries}))
    assert ran.status == 0
    story.mine(6)
    assert story.verdict()["reason"] == "member_revoked"


def test_a_stale_draft_shows_itself_and_is_asked_about(story: Story) -> None:
    stale = document(story, story.org_writes()[0][1].value.decode())
    story.do("admin", "org", "add-member", ORG, EVE)
    file = story.folder / "stale.json"
    file.write_text(json.dumps({**stale, "sequence": 2, "previous": stale["previous"] or "bafkqaaa"}))
    ran = story.run("admin", "org", "publish", ORG, file, typed="n\n")
    assert ran.status == 5
    assert "stale draft" in " ".join(ran.err.split())
    assert "its sequence is 2, the next one is 3" in " ".join(ran.err.split())
    assert story.run("admin", "org", "publish", ORG, file, "--json", ask=True).status == 2
    assert len(story.org_writes()) == 2


# ---- renew, share


def test_a_renewal_keeps_the_value(story: Story) -> None:
    story.do("admin", "org", "add-member", ORG, EVE)
    answer = story.do("admin", "org", "renew", ORG)
    one, two = story.org_writes()[-2:]
    assert one[1] == two[1]
    assert two[0] == answer["txid"]
    assert answer["cid"] == one[1].value.decode()
    added = story.do("admin", "org", "add-member", ORG, key_of("one"))
    assert document(story, added["cid"])["sequence"] == 3
    assert story.do("max", "org", "show", ORG)["sequence"] == 3
    ran = story.run("max", "org", "members", ORG)
    assert "the list" not in ran.out + ran.err  # it disagrees with nothing


@pytest.mark.parametrize("blocks", [0, 22, 26, 29, 31, 60])
def test_the_owner_goes_on_around_and_after_expiry(story: Story, blocks: int) -> None:
    root = story.org_writes()[0][0]
    with story.devnet() as devnet:
        located = devnet.transaction(root)
        assert located is not None
        assert located.place is not None
        age = devnet.tip().height - located.place.height
    story.mine(max(0, blocks - age))
    answer = story.do("admin", "org", "add-member", ORG, EVE)
    with story.devnet() as devnet:
        sent = devnet.transaction(answer["txid"])
    assert sent is not None
    if blocks in (26, 29, 31, 60):
        assert (root, 0) not in {(spent.txid, spent.vout) for spent in sent.tx.inputs}
    assert members(story)[EVE] is True


def test_share_gives_the_link_that_accept_takes(story: Story) -> None:
    shared = story.do("admin", "org", "share", ORG)
    assert shared["root"] == root_of(story)
    assert shared["fingerprint"] == fingerprint(DEVNET, ORG, shared["root"])
    story.do("consumer", "org", "accept", shared["link"])
    assert [pin["name"] for pin in story.do("consumer", "org", "accepted")] == [ORG]
    assert "root" not in story.fail("consumer", "org", "share", "Unknown")["code"]


# ---- two drafts


def test_a_second_change_has_to_wait_for_the_first(story: Story) -> None:
    story.automine(on=False)
    first = story.do("admin", "org", "add-member", ORG, EVE, "--no-wait")
    error = story.fail("admin", "org", "add-member", ORG, key_of("one"), "--no-wait")
    assert error["code"] == "under_way"
    assert first["txid"] in error["message"]
    story.mine(1)
    story.do("admin", "org", "add-member", ORG, key_of("one"), "--no-wait")
    story.mine(1)
    assert members(story) == {MAX: True, MIA: True, EVE: True, key_of("one"): True}


def test_a_write_that_came_by_psbt_and_waits_is_waited_for(story: Story) -> None:
    """Kept in the journal and not sent yet: a second write beside it could confirm with other coins."""
    file = story.folder / "add.psbt"
    story.do(
        "admin", "org", "add-member", ORG, EVE, "--signer", f"psbt:{file}", "--from", key_of("admin", "owner")
    )
    story.do("admin", "tx", "sign", file)
    story.fund(address("admin"))
    with patch.object(Devnet, "broadcast", side_effect=Unavailable("the node is away")):
        story.fail("admin", "tx", "send", file)
    assert story.fail("admin", "org", "add-member", ORG, key_of("one"), env=NOBODY)["code"] == "under_way"
    story.do("admin", "tx", "resume")
    story.do("admin", "org", "add-member", ORG, key_of("one"))
    assert set(members(story)) == {MAX, MIA, EVE, key_of("one")}


# ---- boards


BOARD = ("one", "two", "three")


def board(story: Story, kind: str, name: str = "Verband") -> tuple[str, str]:
    """A board with coins; returns its descriptor and address."""
    descriptor = str(Descriptor.parse(board_of(kind, *BOARD), DEVNET))
    where = Descriptor.parse(descriptor, DEVNET).address()
    story.fund(where)
    return descriptor, where


def sign_and_send(story: Story, file: Path, *who: str) -> Any:
    for person in who:
        story.do(person, "tx", "sign", file)
    return story.do(who[-1], "tx", "send", file)


@pytest.mark.parametrize("kind", ["p2wsh", "p2sh-p2wsh"])
def test_a_board_runs_its_organisation_by_psbt(story: Story, kind: str) -> None:
    descriptor, where = board(story, kind)
    file = story.folder / "create.psbt"
    drafted = story.do(
        "one", "org", "create", "Verband", "--member", f"{MAX}=Max", "--signer", f"psbt:{file}",
        "--from", descriptor,
    )  # fmt: skip
    assert drafted["psbt"] == str(file)
    assert "txid" not in drafted
    assert not story.org_writes("Verband")
    shown = story.do("one", "tx", "show", file)
    assert (shown["complete"], [i["needs"] for i in shown["inputs"]]) == (False, [2])
    root = sign_and_send(story, file, "one", "three")["txid"]
    ((txid, write),) = story.org_writes("Verband")
    assert (txid, write.owner_script) == (root, script_of(where, DEVNET))
    story.confirm_root("one", "Verband", root)

    # The descriptor is kept: from now on nobody has to name it.
    story.do("one", "org", "add-member", "Verband", EVE, "--signer", f"psbt:{file}")
    sign_and_send(story, file, "one", "two")
    assert len(story.do("one", "org", "members", "Verband")) == 2
    story.do(
        "one", "org", "revoke-member", "Verband", EVE, "--height", "1", "--reason", "error",
        "--signer", f"psbt:{file}",
    )  # fmt: skip
    copies = [story.folder / f"{who}.psbt" for who in ("two", "three")]
    for copy, who in zip(copies, ("two", "three"), strict=True):
        shutil.copy(file, copy)
        story.do(who, "tx", "sign", copy)
    sent = story.do("three", "tx", "send", *copies)
    assert sent["confirmations"] == 1
    assert len(story.org_writes("Verband")) == 3


def test_a_board_with_a_legacy_address_is_told_why_nothing_is_signed(story: Story) -> None:
    """P2SH alone can't be segwit: our signers use nothing else for new writes."""
    descriptor, _ = board(story, "p2sh")
    file = story.folder / "create.psbt"
    error = story.fail(
        "one", "org", "create", "Verband", "--member", MAX, "--signer", f"psbt:{file}", "--from", descriptor
    )
    assert (error["code"], file.exists()) == ("forbidden_signature", False)
    assert "not segwit" in error["message"]


def test_two_drafts_of_one_list_cannot_stand_side_by_side(story: Story) -> None:
    descriptor, where = board(story, "p2wsh")
    file = story.folder / "1.psbt"
    story.do(
        "one", "org", "create", "Verband", "--member", MAX, "--signer", f"psbt:{file}", "--from", descriptor
    )
    root = sign_and_send(story, file, "one", "two")["txid"]
    story.confirm_root("one", "Verband", root)
    files = [story.folder / "a.psbt", story.folder / "b.psbt"]
    firsts = []
    for draft, key in zip(files, (EVE, MIA), strict=True):
        value = story.do("one", "org", "add-member", "Verband", key, "--signer", f"psbt:{draft}")
        firsts.append((value["inputs"][0]["txid"], value["inputs"][0]["vout"]))
        story.fund(where)  # a new coin between the drafts
        for who in ("one", "three"):
            story.do(who, "tx", "sign", draft)
    assert firsts[0] == firsts[1]
    story.do("one", "tx", "send", files[0])
    assert story.run("three", "tx", "send", files[1], "--json").status == 1
    assert story.states("three") == ["refused"]
    assert len(story.org_writes("Verband")) == 2


def test_one_of_a_board_cannot_act_alone(story: Story) -> None:
    descriptor, _ = board(story, "p2wsh")
    error = story.fail("one", "org", "create", "Verband", "--member", MAX, "--from", descriptor)
    assert error["code"] == "psbt_incomplete"
    assert "--signer psbt:FILE" in error["hint"]
    file = story.folder / "create.psbt"
    story.do(
        "one", "org", "create", "Verband", "--member", MAX, "--signer", f"psbt:{file}", "--from", descriptor
    )
    story.do("one", "tx", "sign", file)
    assert story.fail("one", "tx", "send", file)["code"] == "psbt_incomplete"
    assert story.fail("one", "tx", "sign", file)["code"] == "not_ours"
    assert story.fail("eve", "tx", "sign", file)["code"] == "not_ours"
    assert not story.org_writes("Verband")
    assert not story.journal("one")


def test_a_psbt_needs_to_know_whose_coins(story: Story) -> None:
    file = story.folder / "x.psbt"
    error = story.fail("eve", "org", "create", "Z", "--member", EVE, "--signer", f"psbt:{file}", status=2)
    assert "--from" in error["hint"]
    assert not file.exists()


def test_a_board_member_does_not_sign_a_list_that_lost_a_revoked_entry(story: Story) -> None:
    """Whoever drafted it: each signer looks."""
    descriptor, _ = board(story, "p2wsh")
    file = story.folder / "1.psbt"
    story.do(
        "one", "org", "create", "Verband", "--member", MAX, "--signer", f"psbt:{file}", "--from", descriptor
    )
    root = sign_and_send(story, file, "one", "two")["txid"]
    story.mine(5)
    for who in ("one", "two"):
        story.do(who, "org", "accept", "Verband", "--root", root)
    stale = story.folder / "stale.psbt"
    story.do("one", "org", "add-member", "Verband", EVE, "--signer", f"psbt:{stale}")
    story.do(
        "one",
        "org",
        "revoke-member",
        "Verband",
        MAX,
        "--height",
        "1",
        "--reason",
        "left",
        "--signer",
        f"psbt:{file}",
    )
    sign_and_send(story, file, "one", "two")
    assert story.fail("two", "tx", "sign", stale, env=NOBODY)["code"] == "lost_revocation"


# ---- handing over


def accept_ownership(
    story: Story, who: str, *more: object, name: str = ORG, file: str = ""
) -> tuple[Path, str]:
    path = story.folder / (file or f"{who}.acceptance")
    answer = story.do(who, "org", "accept-ownership", name, "--out", path, *more)
    return path, answer["address"]


def test_an_organisation_is_handed_over_to_one_key(story: Story) -> None:
    file, where = accept_ownership(story, "eve")
    assert where == address("eve")
    accepted = json.loads(file.read_text())
    assert accepted.keys() == {"format", "text", "descriptor", "signatures"}
    assert accepted["text"].split("\n")[:4] == ["doitrust ownership/1", "devnet", ORG, where]
    assert accepted["descriptor"] is None
    answer = story.do("admin", "org", "transfer", ORG, where, "--acceptance", file)
    assert answer["confirmations"] == 1
    assert story.do("max", "org", "show", ORG)["owner"] == where
    error = story.fail("admin", "org", "add-member", ORG, EVE, env=NOBODY)
    assert error["code"] == "not_the_owner"
    story.fund(where)
    story.do("eve", "org", "add-member", ORG, EVE)
    assert members(story)[EVE] is True


def test_handing_over_is_asked_about(story: Story) -> None:
    file, where = accept_ownership(story, "eve")
    ran = story.run("admin", "org", "transfer", ORG, where, "--acceptance", file, typed="n\n")
    assert ran.status == 5
    assert "You can't take it back" in ran.err
    assert len(story.org_writes()) == 1


def test_without_an_acceptance_nothing_is_handed_over(story: Story) -> None:
    file, where = accept_ownership(story, "eve")
    other, _ = accept_ownership(story, "eve", name="Andere", file="other")
    for arguments in (
        (where,),
        (address("one"), "--acceptance", file),
        (where, "--acceptance", other),
        (where, "--acceptance", by_another_key(story, file)),
    ):
        error = story.fail("admin", "org", "transfer", ORG, *arguments, env=NOBODY)
        assert error["code"] in ("acceptance_missing", "bad_data"), error
    assert len(story.org_writes()) == 1


def by_another_key(story: Story, file: Path) -> Path:
    path = story.folder / "forged"
    document = json.loads(file.read_text())
    (signature,) = document["signatures"].values()
    document["signatures"] = {EVE: signature}
    path.write_text(json.dumps(document))
    return path


def test_an_organisation_is_handed_over_to_a_board(story: Story) -> None:
    descriptor = str(Descriptor.parse(board_of("p2wsh", *BOARD), DEVNET))
    files = [accept_ownership(story, who, "--owner", descriptor) for who in ("one", "three")]
    ((first, where), (second, same)) = files
    assert where == same == Descriptor.parse(descriptor, DEVNET).address()
    # One signature of two, alone, or twice, or beside a file without the descriptor.
    bare = story.folder / "bare"
    document = json.loads(first.read_text())
    bare.write_text(json.dumps({**document, "descriptor": None, "signatures": {}}))
    for few in ((first,), (first, first), (first, bare), (bare, first)):
        flags = [part for file in few for part in ("--acceptance", file)]
        error = story.fail("admin", "org", "transfer", ORG, where, *flags, env=NOBODY)
        assert error["code"] == "acceptance_missing"
    story.do("admin", "org", "transfer", ORG, where, "--acceptance", first, "--acceptance", second)
    assert story.do("max", "org", "show", ORG)["owner"] == where
    # Its members kept the descriptor when they accepted.
    story.fund(where)
    story.do("one", "org", "accept", ORG, "--root", root_of(story))
    file = story.folder / "next.psbt"
    story.do("one", "org", "add-member", ORG, EVE, "--signer", f"psbt:{file}")
    sign_and_send(story, file, "two", "three")
    assert members(story)[EVE] is True


def test_who_has_no_key_in_the_board_accepts_nothing(story: Story) -> None:
    descriptor = board_of("p2wsh", *BOARD)
    out = story.folder / "no"
    error = story.fail("eve", "org", "accept-ownership", ORG, "--out", out, "--owner", descriptor, env=NOBODY)
    assert (error["code"], out.exists()) == ("not_ours", False)


def test_an_address_of_another_network_is_a_mistake_of_use(story: Story) -> None:
    where = address_of(p2pkh(hash160(b"x")), MAINNET)
    story.fail("admin", "org", "transfer", ORG, where, status=2)


# ---- lists that can't be had


def test_nothing_is_published_while_a_list_is_missing(story: Story) -> None:
    """It may withdraw a key, and the next list would lose it."""
    shutil.rmtree(story.world / "ipfs")
    error = story.fail("admin", "org", "add-member", ORG, EVE, env=NOBODY)
    assert error["code"] == "list_missing"
    assert len(story.org_writes()) == 1


def test_the_list_is_what_everybody_reads(story: Story) -> None:
    answer = story.do("admin", "org", "add-member", ORG, EVE)
    with story.devnet() as devnet:
        data = devnet.contents.get_file(parse_cid(answer["cid"]), 100_000)
    found = read_members(data)
    assert not found.problems
    assert [key.hex() for key in found.members] == [MAX, MIA, EVE]


def test_a_list_is_on_ipfs_only_once_it_is_signed(story: Story) -> None:
    """What fails before, for want of money too, has told nobody a member's name."""
    error = story.fail("max", "org", "create", "Neue", "--member", f"{EVE}=Eve Ähre")  # with an empty account
    assert error["code"] == "not_enough_doi"
    stored = [path.read_bytes() for path in (story.world / "ipfs").rglob("*") if path.is_file()]
    assert stored
    assert not any(EVE.encode() in block for block in stored)


def test_a_draft_that_is_never_sent_takes_no_roots_place(story: Story, tmp_path: Path) -> None:
    root = root_of(story)
    file = tmp_path / "draft.psbt"
    board = board_of("p2wsh", "max", "mia")
    story.fund(Descriptor.parse(board, DEVNET).address())
    drafted = ("org", "create", ORG, "--member", EVE, "--signer", f"psbt:{file}", "--from", board)
    assert story.do("admin", *drafted)["root"] is None
    assert story.do("admin", "org", "share", ORG)["root"] == root
