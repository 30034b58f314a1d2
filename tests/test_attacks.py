"""Every attack that trust-model.md and doichain.md name, played on the embedded chain, and the verdict that is due.

What thieves do is built by hand (`world`), what others do goes through the workflows, and the oracle is asked as well.
The most telling ones are played at the command line too, where everybody has a home of their own (`story`).
"""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made
import oracle
import pytest
import story as people
from made import (
    ALL_ANYONECANPAY,
    METER,
    NONE,
    ODD_FORMS,
    ORG,
    SINGLE,
    Spend,
    Wallet,
    certificate,
    decided_by,
    key_bytes,
    key_of,
    person,
    revocation,
    said,
)
from story import Story
from world import Hand, Liar, World, organised, own_script, refused

from doitrust.chain.accounts import Account
from doitrust.chain.mandate import Mandate
from doitrust.chain.names import NameOutput, name_script
from doitrust.chain.networks import MAINNET
from doitrust.chain.psbt import Psbt
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.cli import tree
from doitrust.content.cid import Cid
from doitrust.errors import Refused, Unavailable
from doitrust.orgs.pins import fingerprint
from doitrust.trust.reports import Fate
from doitrust.trust.verdict import Verdict

TRUSTED, REVOKED, UNKNOWN = ("trusted", None), ("revoked", None), ("unknown", None)
UNCONFIRMED = ("unconfirmed", None)
NOT_A_MEMBER = ("untrusted", "not_a_member")
#: Confirmations that a replacement by another signer needs.
LONG = 144
LOOKALIKE = made.push(b"\x30" * 71) + made.push(key_bytes("E1"))
#: A witness version that nobody knows yet: the program may be spent with any witness.
ANY_WITNESS = b"\x51\x20" + b"\x01" * 32
BOARD = Wallet("p2wsh", ("one", "two", "three"), 2)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made_ = organised(tmp_path)
    yield made_
    made_.devnet.close()


def told(world: World, meter: str = METER, **policy: Any) -> tuple[str, str | None]:
    """What a consumer is told; where nobody lies the oracle says the same."""
    found = world.verify(meter, **policy)
    if world.liar.is_honest and world.liar.own and not policy:
        expected = world.ask_oracle(meter)
        assert said(found) == (expected.status, expected.reason)
        assert (found.contested, found.foreign_writes) == (expected.contested, expected.foreign_writes)
        if said(found) in (TRUSTED, REVOKED):
            assert decided_by(found) == expected.txid
    return said(found)


def certified(world: World, who: str = "E1", node: str = "node", **fields: Any) -> str:
    """A certificate with its confirmations."""
    txid = world.certify(who, node, **fields)
    world.mine(world.min_confirmations - 1)
    return txid


# ---- records are nobody's property (doichain.md 1 to 3)


def test_a_stranger_overwrites_a_meters_record(world: World) -> None:
    txid = certified(world)
    world.overwrite(certificate("thief's node", org="Thieves"))
    world.overwrite(b"mine now")
    assert told(world) == TRUSTED
    assert (decided_by(world.verify()), world.verify().foreign_writes) == (txid, 2)


def test_a_stranger_writes_a_perfect_certificate_with_his_own_key(world: World) -> None:
    world.overwrite(certificate("thief's node"), owner="E1")
    world.mine(6)
    assert told(world) == NOT_A_MEMBER
    certified(world)
    assert told(world) == TRUSTED


def test_a_name_of_ones_own_is_spent_under_the_meters(world: World) -> None:
    certified(world)
    own = world.overwrite(b"x", "9THIEF0001")
    world.steal(own, f"bp/{METER}", certificate("thief's node"))
    assert told(world) == TRUSTED


def test_a_squatted_name_blocks_nobody(world: World) -> None:
    for value in (certificate("thief's node"), revocation(), b"for sale"):
        world.overwrite(value)
    certified(world)
    assert told(world) == TRUSTED


def test_an_expired_name_is_registered_by_a_stranger(world: World) -> None:
    certified(world)
    world.mine(40)
    assert told(world) == TRUSTED
    world.overwrite(certificate("thief's node"))
    assert told(world) == TRUSTED
    renewal = world.tx(world.renew())
    assert all(not world.tx(i.txid).outputs[i.vout].script.startswith(b"\x5a") for i in renewal.inputs)
    assert told(world) == TRUSTED


def test_the_members_own_stolen_name_coin_is_no_certificate(world: World) -> None:
    """Whoever owns the meter's record decides nothing, not even by giving it away."""
    txid = certified(world)
    coin = world.coin(txid)
    assert coin.wallet == person("E1")
    world.overwrite(certificate("thief's node"), by=[Spend("thief"), Spend(coin)])
    assert told(world) == TRUSTED
    assert world.verify().contested


# ---- signatures that only look so (doichain.md 4 and 6, S1 to S5)


def test_outputs_that_anyone_can_spend_hold_look_alikes(world: World) -> None:
    bare = Spend(world.anyone(), script_sig=LOOKALIKE)
    unknown = Spend(world.anyone(ANY_WITNESS), witness=(b"\x30" * 71, key_bytes("E1")))
    for by in ([bare], [unknown]):
        world.overwrite(certificate("thief's node"), by=by)
        world.mine(6)
        assert told(world) == NOT_A_MEMBER
    world.overwrite(
        certificate("thief's node"), by=[Spend("E1"), Spend(world.anyone(), script_sig=LOOKALIKE)]
    )
    assert told(world) == NOT_A_MEMBER
    assert world.verify().contested


def test_a_record_carries_somebody_elses_real_signature(world: World) -> None:
    """A signature copied from a certificate of E1's is one over another transaction."""
    copied = world.tx(certified(world)).inputs[0].witness
    by = Spend(world.anyone(ANY_WITNESS), witness=tuple(copied))
    world.overwrite(certificate("thief's node"), "2METER", by)
    world.mine(6)
    assert told(world, "2METER") == NOT_A_MEMBER


@pytest.mark.parametrize(
    "own_script_",
    [b"\x51", b"\x75\x51", made.push(key_bytes("E1")) + b"\x75\x51"],
    ids=["true", "drop", "key"],
)
@pytest.mark.parametrize("kind", made.SCRIPT_KINDS)
def test_odd_scripts_behind_a_hash_are_nobodys(world: World, kind: str, own_script_: bytes) -> None:
    wallet = Wallet(kind, ("E1",), own_script=own_script_)
    coin, payment = world.fund(wallet)
    world.devnet.mine_with([payment])
    stack = [key_bytes("E1"), own_script_] if own_script_ == b"\x75\x51" else [own_script_]
    pushed = b"".join(made.push(element) for element in stack)
    script_sig = {"p2sh": pushed, "p2wsh": b""}.get(kind, made.push(wallet.program))
    by = Spend(coin, script_sig=script_sig, witness=() if kind == "p2sh" else tuple(stack))
    world.overwrite(certificate("thief's node"), by=by)
    world.mine(6)
    assert told(world) == NOT_A_MEMBER


@pytest.mark.parametrize("sighash", [NONE, SINGLE, ALL_ANYONECANPAY])
def test_a_signature_for_less_than_everything_is_taken_elsewhere(world: World, sighash: int) -> None:
    world.overwrite(certificate("thief's node"), by=Spend("E1", sighash))
    world.mine(6)
    assert told(world) == ("untrusted", "sighash_not_all")
    assert world.verify().contested


def test_a_miner_flips_s_and_pads_a_script_sig(world: World) -> None:
    """It changes nothing about who signed: such writes count, and no miner can make them void."""
    legacy = Wallet("p2pkh", ("E1",))
    world.overwrite(certificate(), by=Spend("E1", high_s=True))
    world.overwrite(certificate(), "2METER", Spend(legacy, high_s=True, junk=b"\x61\x02xx\x51\x61"))
    world.mine(6)
    assert told(world) == told(world, "2METER") == TRUSTED


def test_coins_of_others_beside_a_members(world: World) -> None:
    for by in (["E1", "thief"], ["thief", "E1"], ["E1", "E2"]):
        world.overwrite(certificate("thief's node"), by=by)
        world.mine(6)
        assert told(world) == NOT_A_MEMBER


def test_who_is_paid_becomes_no_certifier(world: World) -> None:
    world.write(f"bp/{METER}", certificate("thief's node"), "thief", owner="E1")
    world.mine(6)
    assert told(world) == NOT_A_MEMBER


def test_a_certificate_of_two_keys_with_the_address_of_others(world: World) -> None:
    ms = json.loads(certificate("thief's node"))["ms"]
    world.overwrite(certificate(ms=ms), by="E1")
    world.mine(6)
    assert told(world) == ("untrusted", "multisig_mismatch")


def test_a_meters_own_keys_are_one(world: World) -> None:
    world.overwrite(certificate("client"), by="E1")
    assert told(world) == ("untrusted", "malformed_record")


# ---- old transactions come back (doichain.md 5)


def test_a_revoked_certificate_is_mined_again(world: World) -> None:
    txid = certified(world)
    gone = world.revoke("E2")
    world.replay(txid)
    world.mine(6)
    assert world.occurrences(txid) == 2
    assert told(world) == REVOKED
    assert decided_by(world.verify()) == gone


def test_a_lifted_revocation_is_mined_again(world: World) -> None:
    certified(world)
    gone = world.revoke("E2")
    again = certified(world, after=gone)
    world.replay(gone)
    assert world.occurrences(gone) == 2
    assert told(world) == TRUSTED
    assert decided_by(world.verify()) == again


def test_an_old_list_is_mined_again(world: World) -> None:
    added = world.add("E4")
    world.withdraw("E4", 0)
    certified_ = refused(world.certify, "E4")
    assert certified_ is not None
    world.replay(added)
    assert world.occurrences(added) == 2
    world.overwrite(certificate("thief's node"), by="E4")
    world.mine(6)
    assert told(world) == ("untrusted", "member_revoked")


def test_a_root_is_mined_again(world: World) -> None:
    """The pin means its first occurrence: lists written since are not undone."""
    world.add("E4")
    world.replay(world.pins[ORG][0][0])
    certified(world, "E4")
    assert told(world) == TRUSTED


# ---- what the node lists and is no write (doichain.md 7)


@pytest.mark.parametrize("form", [*ODD_FORMS, "canonical"])
def test_a_coinbase_writes_names(world: World, form: str) -> None:
    name = f"bp/{METER}"
    world.write(name, certificate(), (), form=ODD_FORMS.get(form, made.name_output))
    assert world.devnet.history(name.encode(), 9)
    assert told(world) == UNKNOWN
    certified(world)
    world.write(name, revocation(), (), form=ODD_FORMS.get(form, made.name_output))
    assert told(world) == TRUSTED


@pytest.mark.parametrize("form", [form for form in ODD_FORMS if not form.startswith("name_")])
def test_a_member_writes_in_a_form_that_only_nodes_read(world: World, form: str) -> None:
    world.write(f"bp/{METER}", certificate(), "E1", form=ODD_FORMS[form])
    world.mine(6)
    assert told(world) == UNKNOWN


def test_a_coinbase_publishes_a_list(world: World) -> None:
    world.write(f"bp_organization/{ORG}", world.store(made.member_list("thief")), ())
    certified(world)
    assert told(world) == TRUSTED


@pytest.mark.parametrize(
    ("by", "more"), [(["E1"] * 17, []), (["E1"], [b"\x51"] * 32), (["E1"], [b"\x6a" * 20_000])]
)
def test_writes_that_are_too_costly_to_check_do_not_exist(
    world: World, by: list[str], more: list[bytes]
) -> None:
    world.overwrite(certificate(), by=by, more=more)
    world.mine(6)
    assert told(world) == UNKNOWN


def test_a_flooded_record(world: World) -> None:
    certified(world)
    for _ in range(5):
        world.overwrite(b"noise")
    assert told(world, max_writes=5) == ("undetermined", "flooded")
    assert told(world) == TRUSTED


# ---- organisations


def test_a_stranger_overwrites_an_organisation(world: World) -> None:
    world.squat("thief")
    world.overwrite(certificate("thief's node"), by="thief")
    world.mine(6)
    assert told(world) == NOT_A_MEMBER
    certified(world)
    assert told(world) == TRUSTED


def test_the_owner_survives_an_overwrite_and_expiry(world: World) -> None:
    world.squat("thief")
    world.mine(40)
    world.squat("thief")
    world.add("E4")
    certified(world, "E4")
    assert told(world) == TRUSTED


def test_the_oldest_root_is_a_squatters(tmp_path: Path) -> None:
    world = World(tmp_path)
    squatted = world.squat("thief")
    root = world.found("E1", accept=False)
    world.mine(6)
    world.overwrite(certificate("thief's node"), by="thief")
    world.mine(6)
    assert told(world) == ("untrusted", "organization_not_accepted")
    world.accept(ORG, (root, None))
    assert told(world) == NOT_A_MEMBER
    certified(world)
    assert told(world) == TRUSTED
    world.accept(ORG, (squatted, None))  # whoever accepts the thief gets the thief
    assert decided_by(world.verify()) != root
    assert told(world) == TRUSTED
    world.devnet.close()


@pytest.mark.parametrize("sighash", [NONE, ALL_ANYONECANPAY])
def test_an_owners_signature_for_less_is_put_under_a_thiefs_list(world: World, sighash: int) -> None:
    world.overwrite_list("thief", by=["thief", Spend("owner", sighash)])
    certified(world)
    assert told(world) == TRUSTED
    world.overwrite(certificate("thief's node"), "2METER", "thief")
    world.mine(6)
    assert told(world, "2METER") == NOT_A_MEMBER


def test_a_look_alike_of_the_owners(world: World) -> None:
    script_sig = made.push(b"\x30" * 71) + made.push(key_bytes("owner"))
    world.overwrite_list("thief", by=Spend(world.anyone(), script_sig=script_sig))
    certified(world)
    assert told(world) == TRUSTED


def test_the_owners_coins_are_stolen(world: World) -> None:
    """Whoever signs as the owner is the owner: the record was merely overwritten before, and now it is gone."""
    certified(world)
    world.squat("thief")
    assert world.find()[1] == person("owner")
    world.overwrite_list("thief", by="owner", owner="thief")
    assert world.find()[1] == person("thief")
    world.overwrite(revocation(), by="thief")
    assert told(world) == REVOKED


def test_an_organisation_is_followed_past_a_theft(world: World) -> None:
    root = world.pins[ORG][0][0]
    last = world.add("E4")
    txid = certified(world, "E4")
    stolen = world.overwrite_list("thief", by="owner", owner="thief")
    world.overwrite(revocation(), by="thief")
    world.overwrite(certificate("thief's node"), "2METER", "thief")
    world.mine(6)
    assert (told(world), told(world, "2METER")) == (REVOKED, TRUSTED)
    second = world.found("E1", owner=BOARD, accept=False)
    world.mine(6)
    assert refused(world.accept, ORG, (root, None), (second, None)) is not None
    assert refused(world.accept, ORG, (second, None), (root, last)) is not None
    world.accept(ORG, (root, last), (second, None))
    assert (told(world), told(world, "2METER")) == (TRUSTED, NOT_A_MEMBER)
    assert decided_by(world.verify()) == txid
    assert world.find()[1] == BOARD
    world.overwrite_list("thief", by=Spend(world.coin(stolen)))
    certified(world, "E1", meter="2METER")
    assert told(world, "2METER") == TRUSTED
    world.accept(ORG, (root, stolen))
    assert told(world, "2METER") == TRUSTED  # the thief's, again: this pin ends with his own list
    assert decided_by(world.verify("2METER")) != decided_by(world.verify())


def test_a_root_is_too_young_to_be_pinned(tmp_path: Path) -> None:
    world = World(tmp_path)
    root = world.found("E1", accept=False)
    world.mine(4)
    assert refused(world.accept, ORG, (root, None)) is not None
    world.mine(1)
    assert refused(world.accept, ORG, (root, None)) is None
    world.devnet.close()


def test_a_board_hands_over_and_the_old_owner_has_no_say(world: World) -> None:
    world.transfer(BOARD)
    world.overwrite_list("thief", by="owner", owner="thief")
    world.add("E4")
    certified(world, "E4")
    assert told(world) == TRUSTED
    world.overwrite(revocation(), by="owner")
    assert told(world) == TRUSTED
    world.revoke("owner")  # by the board
    assert told(world) == REVOKED


# ---- lists


_THIEFS = f'{{"key":"{key_of("thief")}"}}'
BAD_LISTS: dict[str, bytes] = {
    "huge": b"#" * (4 * 1024 * 1024) + b"\n" + key_of("thief").encode(),
    "many": (key_of("thief") + "\n").encode() * 20_001,
    "nested": f'{{"format":"doitrust-members/1","x":{"[" * 9}{"]" * 9},"members":[{_THIEFS}]}}'.encode(),
    "very deeply nested": b'{"x":' + b"[" * 100_000,
    "not UTF-8": key_of("thief").encode() + b"\n# \xff\n",
    "a byte order mark": b"\xef\xbb\xbf" + key_of("thief").encode(),
    "JSON, then text": f'{{"format":"doitrust-members/1","members":[{_THIEFS}]}}\n{key_of("thief")}'.encode(),
    "twice the same field": f'{{"format":"doitrust-members/1","members":[],"members":[{_THIEFS}]}}'.encode(),
    "another format": f'{{"format":"doitrust-members/2","members":[{_THIEFS}]}}'.encode(),
    "empty": b"",
}


@pytest.mark.parametrize("bad", BAD_LISTS)
def test_a_list_that_is_none(world: World, bad: str) -> None:
    """It is an empty list: nobody is a member from then on, and what was certified before stays."""
    certified(world)
    world.overwrite_record(BAD_LISTS[bad], by="owner", owner="owner")
    assert told(world) == TRUSTED
    for who in ("thief", "E1"):
        world.overwrite(certificate("thief's node"), "2METER", who)
        world.mine(6)
        assert told(world, "2METER") == NOT_A_MEMBER
    world.publish(lambda draft: draft.add(key_bytes("E1"), "E1"))
    certified(world, meter="2METER")
    assert told(world, "2METER") == TRUSTED


def test_a_list_that_is_text_and_json(world: World) -> None:
    """As text it has one member; the JSON in its remark is none."""
    data = f'# {{"format":"doitrust-members/1","members":[{_THIEFS}]}}\n{key_of("E4")}\n'.encode()
    world.overwrite_record(data, by="owner", owner="owner")
    world.overwrite(certificate("thief's node"), by="thief")
    world.mine(6)
    assert told(world) == NOT_A_MEMBER
    certified(world, "E4")
    assert told(world) == TRUSTED


def test_a_list_that_nobody_has(world: World) -> None:
    txid = world.add("E4")
    certified(world)
    world.withhold(world.list_of(txid))
    assert told(world) == ("undetermined", "list_missing")
    world.revoke("E2")
    assert told(world)[0] in ("undetermined", "revoked")
    world.tell_the_truth()
    assert told(world) == REVOKED


def test_a_strangers_list_that_nobody_has_matters_not(world: World) -> None:
    certified(world)
    txid = world.squat("thief")
    world.withhold(world.list_of(txid))
    assert told(world) == TRUSTED


# ---- members


def test_a_stolen_key_is_withdrawn_from_before_its_use(world: World) -> None:
    good = certified(world, "E2")
    stolen = certified(world, meter="2METER")
    assert told(world, "2METER") == TRUSTED
    world.withdraw("E1", world.place(stolen), reason="key-compromise")
    assert told(world, "2METER") == ("untrusted", "member_revoked")
    assert told(world) == TRUSTED
    assert decided_by(world.verify()) == good
    assert refused(world.reinstate, "E1") is not None
    assert refused(world.certify, "E1", meter="3METER") is not None


def test_what_a_key_certified_before_it_was_stolen_stays(world: World) -> None:
    txid = certified(world)
    world.withdraw("E1", world.place(txid) + 1, reason="key-compromise")
    assert told(world) == TRUSTED


def test_leaving_an_entry_out_lifts_nothing(world: World) -> None:
    world.withdraw("E1", 0)
    world.overwrite_record(made.member_list("E1", "E2"), by="owner", owner="owner")
    world.overwrite(certificate(), by="E1")
    world.mine(6)
    assert told(world) == ("untrusted", "member_revoked")
    assert refused(world.publish, lambda draft: draft.add(key_bytes("E1"), "E1")) is not None


def test_a_withdrawal_that_was_an_error_is_lifted(world: World) -> None:
    certified(world)
    world.withdraw("E1", 0)
    assert told(world) == ("untrusted", "member_revoked")
    world.reinstate("E1")
    assert told(world) == TRUSTED


def test_a_former_member_certifies(world: World) -> None:
    certified(world)
    world.remove("E1")
    assert told(world) == TRUSTED
    world.overwrite(certificate("thief's node"), "2METER", "E1")
    world.mine(6)
    assert told(world, "2METER") == NOT_A_MEMBER
    assert world.verify("2METER").contested


def test_who_is_made_a_member_in_the_same_block_is_one(world: World) -> None:
    with world.holding():
        world.overwrite(certificate(), by="E4", owner="E4")
        world.add("E4")
    world.mine(6)
    assert told(world) == TRUSTED


# ---- revocations


def test_a_revocation_by_a_withdrawn_key(world: World) -> None:
    certified(world, "E2")
    world.withdraw("E1", 0)
    world.overwrite(revocation(), by="E1")
    assert told(world) == TRUSTED
    assert world.verify().contested


def test_a_thief_revokes_everything_before_he_is_found_out(world: World) -> None:
    certified(world, "E2")
    gone = world.revoke("E1")
    world.withdraw("E1", world.place(gone), reason="key-compromise")
    assert told(world) == REVOKED
    world.withdraw("E1", world.place(gone), reason="key-compromise", voids=True)
    assert told(world) == TRUSTED


@pytest.mark.parametrize("by", ["thief", "E4"])
def test_a_revocation_by_a_stranger(world: World, by: str) -> None:
    certified(world)
    world.overwrite(revocation(), by=by)
    with world.holding():
        world.overwrite(revocation(), by=by)
    assert told(world) == TRUSTED


def test_a_revocation_waits_in_the_mempool(world: World) -> None:
    certified(world)
    with world.holding():
        world.revoke("E2")
    assert told(world) == REVOKED
    world.mine(1)
    assert told(world) == REVOKED


def test_another_organisation_revokes(world: World) -> None:
    world.found("E3", org="Gilde", owner="E4")
    txid = certified(world)
    world.overwrite(revocation("Gilde"), by="E3")
    world.overwrite(revocation("Gilde"), by="E4")
    assert told(world) == TRUSTED
    assert decided_by(world.verify()) == txid
    world.pins = {"Gilde": world.pins["Gilde"]}
    assert told(world) == REVOKED


def test_an_owners_signature_is_not_needed_beside_a_payers(world: World) -> None:
    """An owner's revocation counts whoever pays for it; a member's does not."""
    certified(world)
    world.overwrite(revocation(), by=["thief", "E2"])
    assert told(world) == TRUSTED
    world.overwrite(revocation(), by=["thief", "owner"])
    assert told(world) == REVOKED


def test_a_certificate_signed_before_a_revocation_is_sent_after_it(world: World) -> None:
    letter = world.signed_certificate("E1", "thief's node")
    certified(world, "E2")
    gone = world.revoke("E2")
    world.broadcast(letter)
    world.mine(6)
    assert told(world) == REVOKED
    assert decided_by(world.verify()) == gone


def test_an_automatic_renewal_lifts_no_revocation(world: World) -> None:
    certified(world)
    world.revoke("E2")
    why = refused(world.renew)
    assert why is not None
    assert why.code == "nothing_to_renew"
    world.overwrite(certificate(), by="E1")
    world.mine(6)
    assert told(world) == REVOKED


def test_after_names_an_older_revocation_or_too_little_of_it(world: World) -> None:
    certified(world)
    first = world.revoke("E2")
    last = world.revoke("E3")
    for after in (first, last[:16].upper(), last[:15], "0" * 16):
        assert refused(world.certify, after=after) is not None
        world.overwrite(certificate(after=after), by="E1")
    world.mine(6)
    assert told(world) == REVOKED
    world.overwrite(certificate(after=last[:16]), by="E1")
    world.mine(6)
    assert told(world) == TRUSTED


# ---- replacement by another signer (C6)


def test_a_replacement_by_another_signer_waits_for_144_blocks(world: World) -> None:
    first = certified(world)
    other = world.certify("E2", "thief's node")
    world.mine(LONG - 2)
    assert told(world) == TRUSTED
    assert decided_by(world.verify()) == first
    assert world.verify().organizations[0].pending is not None
    assert any("waits" in warning for warning in world.verify().warnings)
    world.mine(1)
    assert told(world) == TRUSTED
    assert decided_by(world.verify()) == other


@pytest.mark.parametrize(("by", "long"), [("owner", False), ("E1", False), ("E3", True)])
def test_a_replacement_with_the_leave_of_who_may_give_it(world: World, by: str, long: bool) -> None:
    certified(world)
    gone = world.revoke(by)
    world.certify("E2", "node 2", after=gone)
    world.mine(5)
    assert told(world) == (REVOKED if long else TRUSTED)
    world.mine(LONG - 6)
    assert told(world) == TRUSTED


def test_a_new_node_by_the_same_signer_needs_no_leave(world: World) -> None:
    certified(world)
    second = certified(world, node="node 2")
    assert told(world) == TRUSTED
    assert decided_by(world.verify()) == second


def test_a_certificate_has_too_few_confirmations(world: World) -> None:
    with world.holding():
        world.certify()
    assert told(world) == UNKNOWN
    assert world.verify().waiting
    world.mine(5)
    assert told(world) == UNCONFIRMED
    world.mine(1)
    assert told(world) == TRUSTED


# ---- reorganisations


@pytest.mark.parametrize("drop", [False, True])
def test_a_reorganisation_removes_a_certificate(world: World, drop: bool) -> None:
    txid = certified(world)
    before = world.verify().tip
    world.reorg(6, drop=drop)
    assert told(world) == UNKNOWN
    assert world.verify().tip.hash != before.hash
    world.mine(6)
    assert told(world) == (UNKNOWN if drop else TRUSTED)
    assert drop or world.place(txid) > before.height


@pytest.mark.parametrize("drop", [False, True])
def test_a_reorganisation_removes_a_revocation(world: World, drop: bool) -> None:
    certified(world)
    world.revoke("E2")
    world.reorg(1, drop=drop)
    assert told(world) == (TRUSTED if drop else REVOKED)
    world.mine(1)
    assert told(world) == (TRUSTED if drop else REVOKED)


@pytest.mark.parametrize("drop", [False, True])
def test_a_reorganisation_removes_a_list(world: World, drop: bool) -> None:
    world.add("E4")
    certified(world, "E4")
    world.reorg(7, drop=True)
    world.overwrite(certificate(), by="E4")
    world.mine(6)
    assert told(world) == NOT_A_MEMBER
    certified(world, meter="2METER")
    world.withdraw("E1", 0)
    world.reorg(1, drop=drop)
    assert told(world, "2METER") == TRUSTED  # from the mempool no list counts
    world.mine(1)
    assert told(world, "2METER") == (TRUSTED if drop else ("untrusted", "member_revoked"))


def test_a_majority_of_miners_drops_a_withdrawal_and_forges_above_it(world: World) -> None:
    """What a 51 % attack can do; the report tells how deep the verdict lies."""
    world.withdraw("E1", 0)
    world.reorg(1, drop=True)
    world.overwrite(certificate("thief's node"), by="E1")
    world.mine(5)
    verdict = world.verify()
    assert told(world) == TRUSTED
    assert verdict.decided_by is not None
    assert verdict.decided_by.deciding is not None
    assert verdict.decided_by.deciding.confirmations == 6
    assert verdict.work == 6 * 2
    assert any("6 confirmations" in c.detail and "hashes" in c.detail for c in verdict.checks)


def test_the_root_itself_is_reorganised_away(world: World) -> None:
    certified(world)
    world.reorg(world.height - world.place(world.pins[ORG][0][0]) + 1, drop=True)
    world.overwrite(certificate(), by="E1")
    world.mine(6)
    assert world.verify().status != "trusted"


def test_the_chain_changes_while_it_is_read(world: World) -> None:
    certified(world)
    world.mine(3)
    moves = iter([True])
    world.liar.before = lambda: next(moves, False) and world.devnet.reorg(1)
    assert said(world.verify()) == TRUSTED
    world.liar.before = lambda: world.devnet.reorg(1)
    assert said(world.verify()) == ("undetermined", "chain_moved")


# ---- nodes and gateways that lie


def test_a_node_withholds_a_previous_transaction(world: World) -> None:
    world.overwrite(certificate(), by="E1", owner="E1")
    world.mine(6)
    paid = world.tx((world.devnet.history(f"bp/{METER}".encode(), 1) or [""])[0]).inputs[0].txid
    assert told(world) == TRUSTED
    world.withhold(paid)
    assert told(world) == ("undetermined", "transaction_missing")


def test_a_node_withholds_what_it_lists(world: World) -> None:
    certified(world)
    gone = world.revoke("E2")
    world.withhold(gone)
    assert told(world) == ("undetermined", "transaction_missing")


def test_a_node_flips_a_bit_of_a_witness(world: World) -> None:
    txid = certified(world)
    world.damage(txid)
    verdict = world.verify()
    assert said(verdict) == ("undetermined", "bad_data")
    assert world.liar.name in {source.name for source in verdict.sources}
    world.tell_the_truth()
    gone = world.revoke("E2")
    world.damage(gone)
    assert told(world) == ("undetermined", "bad_data")


def test_a_node_flips_a_bit_of_a_strangers_witness(world: World) -> None:
    certified(world)
    world.damage(world.overwrite(revocation()))
    assert told(world) == TRUSTED


def test_a_node_flips_a_bit_of_a_lists_witness(world: World) -> None:
    certified(world)
    txid = world.withdraw("E1", 0)
    for index in range(len(world.tx(txid).inputs)):
        world.damage(txid, index)
    assert told(world) == ("undetermined", "bad_data")


def test_a_node_alters_the_order(world: World) -> None:
    certified(world)
    world.certify("E1", "node 2")
    world.revoke("E2")
    world.liar.listed = lambda txids: [*reversed(txids), *txids]
    assert told(world) == REVOKED


def test_a_node_lists_what_does_not_belong_there(world: World) -> None:
    certified(world)
    other = world.overwrite(b"noise", "2METER")
    world.liar.listed = lambda txids: [other, *txids]
    assert told(world) == TRUSTED


def test_a_node_does_not_answer(world: World) -> None:
    certified(world)
    world.go_offline()
    with pytest.raises(Unavailable):
        world.verify()


def test_one_foreign_node_is_not_enough(world: World) -> None:
    certified(world)
    world.liar = Liar(world.devnet, own=False)
    assert told(world) == ("undetermined", "single_source")
    assert told(world, trust_source=True) == TRUSTED
    world.revoke("E2")
    assert told(world) == REVOKED


def test_a_gateway_hands_out_other_blocks(world: World) -> None:
    """Content is checked against its CID: another list is as good as none."""
    txid = world.add("E4")
    certified(world, "E4")
    assert told(world) == TRUSTED
    assert world.list_of(txid) in world.lists

    class Gateway(Liar):
        def get(self, cid: Cid) -> bytes | None:
            return made.member_list("thief")

    assert said(world.verify(contents=Gateway(world.devnet))) == ("undetermined", "list_missing")


def test_a_node_lags_behind(world: World) -> None:
    """Its tip is told; what it has above it counts as waiting, so a revocation counts."""
    certified(world)
    world.liar.last = world.devnet.tip()
    world.revoke("E2")
    assert said(world.verify()) == REVOKED
    assert world.verify().tip.height == world.height - 1


def test_a_stale_tip_is_told(world: World) -> None:
    certified(world)
    verdict = dataclasses.replace(world.verify(), network=MAINNET.name)
    assert "last block is old" in tree._basis(verdict, verdict.tip.time + 3 * 3600, False)
    assert "last block is old" not in tree._basis(verdict, verdict.tip.time + 3600, False)


# ---- the wrong network


def test_a_certificate_for_another_network(world: World) -> None:
    pair = Wallet("p2wsh", tuple(sorted(("node", "client"), key=key_of)))
    ms = oracle._bech32("dc", pair.script[2:])
    world.overwrite(certificate(ms=ms), by="E1")
    world.mine(6)
    assert told(world) == ("untrusted", "multisig_mismatch")


def test_a_chain_of_another_network(world: World) -> None:
    """The pins are of the user's network; a node on another one has none of their roots."""
    certified(world)
    other = World(world.folder / "other")
    other.found("E1", owner="thief", accept=False)
    other.overwrite(certificate("thief's node"), by="E1")
    other.mine(6)
    assert said(world.verify(chain=other.liar, contents=other.liar))[0] != "trusted"
    other.devnet.close()


# ---- what our own signers never do


def _by_hand(world: World, spent: list[tuple[str, int]], name: bytes, more: list[Output]) -> Psbt:
    wallet = person("E1")
    write = NameOutput(name, certificate(), wallet.script)
    inputs = [(Input(txid, vout, b"", ()), 0xFFFFFFFD) for txid, vout in spent]
    tx = Transaction.build(made.NAME_VERSION, 0, inputs, [Output(1_000_000, name_script(*write)), *more])
    return Psbt.unsigned(tx).updated(world.tx, [own_script(wallet)])


def _signs(world: World, psbt: Psbt, name: bytes, written: dict[tuple[str, int], int]) -> Refused | None:
    wallet = person("E1")
    write = NameOutput(name, certificate(), wallet.script)
    own = frozenset({wallet.script})
    mandate = Mandate(world.devnet.network, Account.MEMBER, own, world.height + 1, write, (), written)
    return refused(Hand(wallet).sign, psbt, mandate)


@pytest.mark.parametrize("what", ["another name", "near expiry", "another input", "another output"])
def test_our_signers_are_asked_to_sign_what_can_stop_the_chain(world: World, what: str) -> None:
    txid = certified(world)
    rich = next((c.txid, c.vout) for c in world.devnet.coins(person("E1").script))
    change = [Output(99_000_000, person("E1").script)]
    name = f"bp/{METER}".encode()
    good = _by_hand(world, [(txid, 0), rich], name, change)
    written = {(txid, 0): world.place(txid)}
    spent = [(txid, 0), rich]
    if what == "another name":
        name = b"bp/2METER"
    elif what == "another input":
        coin, payment = world.fund("thief")
        world.devnet.mine_with([payment])
        spent = [*spent, (coin.txid, 0)]
    elif what == "another output":
        change = [Output(98_000_000, person("E1").script), Output(1_000_000, person("thief").script)]
    else:
        world.mine(20)
    assert what == "near expiry" or _signs(world, good, f"bp/{METER}".encode(), written) is None
    why = _signs(world, _by_hand(world, spent, name, change), name, written)
    assert why is not None
    assert why.code == "forbidden_signature"


def test_two_drafts_of_one_list_do_not_confirm_side_by_side(world: World) -> None:
    with world.holding():
        world.add("E4")
        why = refused(world.remove, "E1")
    assert why is not None
    assert why.code == "under_way"


def test_a_challenge_to_the_rules_leaves_evidence_of_every_write(world: World) -> None:
    """Each write has its fate and, where it did not count, its reason."""
    certified(world)
    world.overwrite(b"noise")
    world.overwrite(revocation(), by="E4")
    found: Verdict = world.verify()
    assert [(w.fate, w.reason) for w in found.writes] == [
        (Fate.STOOD, None),
        (Fate.REFUSED, "malformed_record"),
        (Fate.REFUSED, "not_a_member"),
    ]


# ---- at the command line


class Town:
    """People with homes (`story`), and a thief on the same chain."""

    def __init__(self, folder: Path) -> None:
        self.story: Story = people.organised(folder)
        self.root = people.root_of(self.story)

    def evil(self, do: Callable[[World], Any]) -> Any:
        """Let the thief do something."""
        world = World(self.story.folder, devnet=self.story.world)
        world.know(made.person("thief"))
        try:
            return do(world)
        finally:
            world.devnet.close()

    def verdict(self, meter: str = people.METER, who: str = "eve") -> dict[str, Any]:
        """What a consumer sees; the exit status is the verdict's."""
        ran = self.story.run(who, "verify", meter, "--json")
        value: dict[str, Any] = ran.value
        assert ran.status == {"trusted": 0, "undetermined": 4, "unconfirmed": 4}.get(value["status"], 3)
        return value

    def told(self, meter: str = people.METER, who: str = "eve") -> tuple[str, str | None]:
        value = self.verdict(meter, who)
        return value["status"], value["reason"]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_cli_a_stranger_overwrites_everything(town: Town) -> None:
    before = town.story.certify()
    town.story.mine(5)
    value = certificate("thief's node", org=people.ORG)
    town.evil(lambda w: w.overwrite_list("thief", org=people.ORG))
    town.evil(lambda w: w.overwrite(value, people.METER, "thief"))
    town.evil(lambda w: w.overwrite(value, people.OTHER_METER, "thief"))
    town.story.mine(6)
    found = town.verdict()
    assert (found["status"], found["foreign_writes"]) == ("trusted", 1)
    assert found["certificate"]["txid"] == before["txid"]
    assert town.told(people.OTHER_METER) == NOT_A_MEMBER


def test_cli_a_squatter_is_never_accepted_silently(town: Town) -> None:
    squatted = town.evil(lambda w: w.overwrite_list("thief", org=people.ORG))
    town.story.mine(6)
    who = "client"
    shown = town.story.do(who, "org", "accept", people.ORG)
    assert {c["root"] for c in shown["candidates"]} == {town.root, squatted}
    assert town.story.do(who, "org", "accepted") == []
    wrong = fingerprint(MAINNET, people.ORG, town.root)
    town.story.fail(who, "org", "accept", people.ORG, "--fingerprint", wrong)
    town.story.certify()
    town.story.mine(5)
    assert town.told(who=who) == ("untrusted", "organization_not_accepted")
    mark = town.story.do("admin", "org", "share", people.ORG)["fingerprint"]
    town.story.do(who, "org", "accept", people.ORG, "--fingerprint", mark)
    assert town.told(who=who) == TRUSTED


def test_cli_a_stolen_key_is_withdrawn(town: Town) -> None:
    good = town.story.certify("max")
    stolen = town.story.certify("max", people.OTHER_METER, node="thief's node")
    town.story.mine(5)
    assert town.told() == town.told(people.OTHER_METER) == TRUSTED
    height = str(town.verdict(people.OTHER_METER)["certificate"]["height"])
    assert town.verdict()["certificate"]["height"] < int(height)
    key = people.key_of("max")
    arguments = ("org", "revoke-member", people.ORG, key, "--height", height, "--reason", "key-compromise")
    town.story.do("admin", *arguments)
    assert (town.told(), town.told(people.OTHER_METER)) == (TRUSTED, ("untrusted", "member_revoked"))
    assert town.verdict()["certificate"]["txid"] == good["txid"] != stolen["txid"]
    town.story.fail("admin", "org", "reinstate-member", people.ORG, key)


def test_cli_an_old_certificate_is_sent_late_and_again(town: Town) -> None:
    txid = town.story.certify("max")["txid"]
    with town.story.devnet() as devnet:
        located = devnet.transaction(txid)
        assert located is not None
        devnet.reorg(1, drop=True)
    town.story.certify("mia")
    town.story.do("mia", "meter", "revoke", people.METER, "--org", people.ORG, "--reason", "seal broken")
    raw = located.tx.raw
    town.evil(lambda w: w.broadcast(raw))
    town.story.mine(6)
    assert town.told() == REVOKED
    assert town.verdict()["contested"]
    resumed = town.story.run("max", "tx", "resume", "--json")
    assert town.told() == REVOKED, resumed


def test_cli_a_reorganisation_takes_a_list_a_certificate_and_a_revocation(town: Town) -> None:
    story = town.story
    story.certify()
    story.mine(5)
    story.do("mia", "meter", "revoke", people.METER, "--org", people.ORG, "--reason", "seal broken")
    assert town.told() == REVOKED
    story.do("admin", "devnet", "reorg", 1, "--drop")
    assert town.told() == TRUSTED
    height = story.height()
    story.do(
        "admin", "org", "revoke-member", people.ORG, people.key_of("max"), "--height", "0", "--reason", "left"
    )
    assert town.told() == ("untrusted", "member_revoked")
    story.do("admin", "devnet", "reorg", story.height() - height, "--drop")
    assert town.told() == TRUSTED
    with story.devnet() as devnet:
        located = devnet.transaction(town.verdict()["certificate"]["txid"])
    assert located is not None
    assert located.place is not None
    story.do("admin", "devnet", "reorg", story.height() - located.place.height + 1)
    assert town.told() == UNKNOWN
    story.mine(6)
    assert town.told() == TRUSTED


def test_cli_another_electrician_replaces_the_node(town: Town) -> None:
    first = town.story.certify("max")["txid"]
    town.story.mine(5)
    second = town.story.certify("mia", node="thief's node")["txid"]
    town.story.mine(LONG - 2)
    found = town.verdict()
    assert (found["status"], found["certificate"]["txid"]) == ("trusted", first)
    assert any(second in warning for warning in found["warnings"])
    town.story.mine(1)
    assert town.verdict()["certificate"]["txid"] == second


def test_cli_an_organisation_is_followed_past_a_theft(town: Town) -> None:
    story = town.story
    first = story.certify("max")["txid"]
    story.mine(5)
    last = story.org_writes(people.ORG)[-1][0]
    # the thief has the admin's words: he adds a key of his own, and takes the certificate back
    story.do("admin", "org", "add-member", people.ORG, f"{people.key_of('eve')}=Eve")
    story.certify("eve", people.OTHER_METER, node="thief's node")
    story.do("eve", "meter", "revoke", people.METER, "--org", people.ORG, "--reason", "mine")
    story.mine(5)
    assert (town.told(who="mia"), town.told(people.OTHER_METER, "mia")) == (REVOKED, TRUSTED)
    story.fund(people.keys("one")["owner"]["address"])
    again = story.do("one", "org", "create", people.ORG, "--member", f"{people.key_of('mia')}=Mia Meier")
    story.mine(5)
    segments = ("--root", town.root, "--until", last, "--root", again["root"])
    story.do("mia", "org", "accept", people.ORG, *segments)
    assert (town.told(who="mia"), town.told(people.OTHER_METER, "mia")) == (TRUSTED, NOT_A_MEMBER)
    assert town.verdict(who="mia")["certificate"]["txid"] == first
    story.certify("mia", people.OTHER_METER)
    story.mine(5)
    assert town.told(people.OTHER_METER, "mia") == TRUSTED


def test_cli_a_list_that_nobody_has_any_more(town: Town) -> None:
    town.story.certify()
    town.story.mine(5)
    town.story.do("admin", "org", "add-member", people.ORG, f"{people.key_of('eve')}=Eve")
    cid = town.story.org_writes(people.ORG)[-1][1].value.decode()
    (block,) = (town.story.world / "ipfs").rglob(f"*{cid}*")
    block.unlink()
    assert town.told() == ("undetermined", "list_missing")
