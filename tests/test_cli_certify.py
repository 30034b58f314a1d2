"""`doitrust meter certify`, `revoke`, `renew`: what is refused unsigned, and what the chain has after."""

import io
import json
import signal
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from cli import files_below
from devnet_world import Key
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from story import (
    METER,
    ORG,
    OTHER_METER,
    Story,
    client_key,
    key_of,
    keys,
    organised,
    pairing_of,
)
from support import attempt, damaged, refusal

from doitrust.adapters.photos import clean_photo
from doitrust.chain.address import script_of
from doitrust.chain.networks import DEVNET, REGTEST
from doitrust.content.cid import parse_cid
from doitrust.meters.pairing import short_fingerprint
from doitrust.meters.record import Certificate, Revocation, read_record
from doitrust.workflows import spending

DAY = 24 * 3600


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return organised(tmp_path)


def certify(
    story: Story, who: str, file: Path, *more: object, org: str = ORG, seal: bool = True
) -> tuple[object, ...]:
    return ("meter", "certify", file, "--org", org, *(("--seal", "A-1") if seal else ()), *more)


def all_files(story: Story) -> dict[str, bytes]:
    """Everything in all homes, without SQLite's own leftovers."""
    return {
        name: data
        for name, data in files_below(story.folder).items()
        if not name.endswith(("-journal", "-wal", "-shm")) and not name.startswith("world/")
    }


def untouched(story: Story, meter: str = METER) -> bool:
    """Whether nothing was written or sent, and nothing waits."""
    return not story.meter_writes(meter) and not story.waiting() and not story.journal("max")


# ---- what is written


def test_a_certificate_is_written_as_the_formats_say(story: Story) -> None:
    paired = pairing_of()
    answer = story.certify("max", METER, "--seal", "A-2", "--fund", "0.1")
    assert answer.keys() == {"meter", "fingerprint", "txid", "confirmations", "fee", "sent", "verdict"}
    assert (answer["meter"], answer["confirmations"]) == (METER, 1)
    assert answer["fingerprint"] == short_fingerprint(paired.node, paired.client)
    ((txid, write),) = story.meter_writes()
    assert txid == answer["txid"]
    assert read_record(write.value) == Certificate(ORG, paired.node, paired.client, paired.ms, ("A-1", "A-2"))
    assert json.loads(write.value)["v"] == 1
    assert write.owner_script == script_of(keys("max")["member"]["address"], DEVNET)
    assert story.paid(script_of(paired.ms, DEVNET)) == 10_000_000
    assert story.states("max") == ["done"]


def test_its_verdict_is_the_one_that_verify_will_give(story: Story) -> None:
    foretold = story.certify()["verdict"]
    assert foretold["status"] == "trusted"
    assert story.verdict()["status"] == "unconfirmed"
    story.mine(5)
    found = story.verdict()
    assert (found["status"], found["reason"]) == (foretold["status"], foretold["reason"])
    for field in ("organization", "electrician", "node", "client", "address", "contested", "foreign_writes"):
        assert found[field] == foretold[field], field
    assert found["certificate"]["txid"] == foretold["certificate"]["txid"]
    assert found["electrician"]["name"] == "Max Maier"


def test_every_input_is_the_members_and_segwit(story: Story) -> None:
    answer = story.certify("max", METER, "--fund", "0.1")
    member = script_of(keys("max")["member"]["address"], DEVNET)
    with story.devnet() as devnet:
        located = devnet.transaction(answer["txid"])
        assert located is not None
        for spent in located.tx.inputs:
            previous = devnet.transaction(spent.txid)
            assert previous is not None
            assert previous.tx.outputs[spent.vout].script == member
            assert spent.witness
    scripts = [output.script for output in located.tx.outputs]
    assert len(scripts) == 3
    assert scripts[-1] == member  # the change


def test_the_same_again_writes_and_pays_nothing(story: Story) -> None:
    first = story.certify("max", METER, "--fund", "0.1")
    story.mine(2)
    again = story.certify("max", METER, "--fund", "0.1")
    assert again["already"] is True
    assert (again["txid"], again["confirmations"], again["fee"]) == (first["txid"], 3, first["fee"])
    assert again["verdict"]["status"] == "trusted"
    assert len(story.meter_writes()) == 1
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == 10_000_000


@pytest.mark.parametrize("kind", ["p2wsh", "p2sh", "p2sh-p2wsh"])
def test_each_kind_of_pairing_address(story: Story, kind: str) -> None:
    assert story.certify("max", METER, type=kind)["verdict"]["status"] == "trusted"


def test_people_read_what_was_done(story: Story) -> None:
    ran = story.run("max", *certify(story, "max", story.pairing()))
    assert ran.status == 0
    assert f"{METER} is certified." in ran.out
    assert "1 confirmation, fee 0.000" in ran.out
    assert (
        f"fingerprint of node and wallet: {short_fingerprint(Key.named('node').public, client_key())}"
        in ran.out
    )


# ---- what is refused before a passphrase is asked for


def no_passphrase() -> dict[str, str | None]:
    """Whoever asks for the passphrase now fails with status 2."""
    return {"DOITRUST_PASSPHRASE": None}


EARLY: dict[str, tuple[Callable[[Story], tuple[object, ...]], str, str]] = {
    "a pairing older than 24 hours": (
        lambda s: certify(s, "max", s.pairing(created=int(time.time()) - DAY - 60)),
        "max",
        "pairing_too_old",
    ),
    "a pairing from the future": (
        lambda s: certify(s, "max", s.pairing(created=int(time.time()) + 3600)),
        "max",
        "pairing_too_new",
    ),
    "a pairing of another network": (
        lambda s: certify(s, "max", s.pairing(network=REGTEST)),
        "max",
        "refused",
    ),
    "a number that is unique by agreement only": (
        lambda s: certify(s, "max", s.pairing("EMH12345678", server_id="01a815785634120102")),
        "max",
        "legacy_number",
    ),
    "somebody who is no member": (lambda s: certify(s, "eve", s.pairing()), "eve", "not_a_member"),
    "an organisation that is not accepted": (
        lambda s: certify(s, "max", s.pairing(), org="Nobody"),
        "max",
        "organization_not_accepted",
    ),
    "a seal without a number": (
        lambda s: certify(s, "max", s.pairing(), "--seal", " "),
        "max",
        "refused",
    ),
    "a seal that can't be shown": (
        lambda s: certify(s, "max", s.pairing(), "--seal", "A\u202e1"),
        "max",
        "refused",
    ),
    "seals that fill the record": (
        lambda s: certify(s, "max", s.pairing(), "--seal", "A" * 400),
        "max",
        "refused",
    ),
    "--after without a revocation": (
        lambda s: certify(s, "max", s.pairing(), "--after", "a" * 64),
        "max",
        "refused",
    ),
    "a pairing whose keys are equal": (lambda s: certify(s, "max", equal_keys(s)), "max", "bad_data"),
    "a pairing with a flipped bit": (lambda s: certify(s, "max", flipped(s)), "max", "bad_data"),
    "a pairing that isn't there": (lambda s: certify(s, "max", s.folder / "none"), "max", "unavailable"),
    "too little DOI": (
        lambda s: certify(s, "max", s.pairing(), "--fund", "1"),
        "max",
        "not_enough_doi",
    ),
    "dust": (lambda s: certify(s, "max", s.pairing(), "--fund", "0.00000545"), "max", "dust"),
    "a photograph that is none": (
        lambda s: certify(s, "max", s.pairing(), "--photo", s.pairing()),
        "max",
        "bad_data",
    ),
}


def equal_keys(story: Story) -> Path:
    path = story.pairing()
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "client": document["node"]}))
    return path


def flipped(story: Story) -> Path:
    path = story.pairing()
    path.write_text(path.read_text().replace('"client":"02', '"client":"03').replace('"A', '"B'))
    document = json.loads(path.read_text())
    document["created"] = document["created"][:-2] + ("1Z" if document["created"][-2] != "1" else "2Z")
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("what", EARLY)
def test_refused_before_anything_is_unlocked(story: Story, what: str) -> None:
    arguments, who, code = EARLY[what]
    command = arguments(story)
    before = all_files(story)
    error = story.fail(who, *command, env=no_passphrase())
    assert error["code"] == code, error
    assert untouched(story)
    assert all_files(story) == before


def test_a_member_who_was_withdrawn_is_refused(story: Story) -> None:
    story.do(
        "admin", "org", "revoke-member", ORG, key_of("max"), "--height", "1", "--reason", "key-compromise"
    )
    error = story.fail("max", *certify(story, "max", story.pairing()), env=no_passphrase())
    assert error["code"] == "member_revoked"


def test_a_member_who_was_removed_is_refused_and_told_what_to_do(story: Story) -> None:
    story.do("admin", "org", "remove-member", ORG, key_of("max"))
    error = story.fail("max", *certify(story, "max", story.pairing()), env=no_passphrase())
    assert error["code"] == "not_a_member"
    assert f'doitrust org add-member "{ORG}" {key_of("max")}' in error["hint"]


def test_a_legacy_number_is_certified_where_it_is_said_so(story: Story) -> None:
    file = story.pairing("EMH12345678", server_id="01a815785634120102")
    answer = story.do("max", *certify(story, "max", file, "--legacy-number"))
    assert answer["verdict"]["status"] == "trusted"
    assert len(story.meter_writes("EMH12345678")) == 1


def test_almost_24_hours_are_not_too_old(story: Story) -> None:
    file = story.pairing(created=int(time.time()) - DAY + 60)
    assert story.do("max", *certify(story, "max", file))["confirmations"] == 1


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "0.000000001", "21000001", "0,1", "", "٣"])
def test_an_amount_that_is_none_is_a_mistake_of_use(story: Story, amount: str) -> None:
    story.fail("max", *certify(story, "max", story.pairing(), "--fund", amount), status=2)
    assert untouched(story)


@pytest.mark.parametrize("after", ["", "abc", "g" * 64, "a" * 65, "a" * 15])
def test_an_after_that_is_no_txid_is_a_mistake_of_use(story: Story, after: str) -> None:
    story.fail("max", *certify(story, "max", story.pairing(), "--after", after), status=2)


def test_a_certificate_names_a_seal(story: Story) -> None:
    story.fail("max", *certify(story, "max", story.pairing(), seal=False), status=2)
    assert untouched(story)


def test_without_a_signer_it_says_who_is_missing(story: Story) -> None:
    error = story.fail("consumer", *certify(story, "max", story.pairing()), status=2)
    assert "--signer" in error["hint"]


@pytest.mark.parametrize("signer", ["nobody", "psbt:", "keystore"])
def test_what_is_no_signer_is_a_mistake_of_use(story: Story, signer: str) -> None:
    story.fail("max", *certify(story, "max", story.pairing(), "--signer", signer), status=2)


def test_a_wrong_passphrase_signs_nothing(story: Story) -> None:
    file = story.pairing()
    error = story.fail("max", *certify(story, "max", file), env={"DOITRUST_PASSPHRASE": "wrong-passphrase"})
    assert "passphrase" in error["message"]
    assert untouched(story)


# ---- questions


def test_at_the_prompt_no_is_5_and_nothing_is_signed(story: Story) -> None:
    before = all_files(story) | {"pairing.json": story.pairing().read_bytes()}
    ran = story.run("max", *certify(story, "max", story.folder / "pairing.json"), typed="n\n")
    assert (ran.status, ran.out) == (5, "")
    assert short_fingerprint(Key.named("node").public, client_key()) in ran.err.replace("\n", "")
    assert untouched(story)
    assert all_files(story) == before


def test_at_the_prompt_yes_signs(story: Story) -> None:
    ran = story.run("max", *certify(story, "max", story.pairing()), typed="y\n")
    assert ran.status == 0, ran
    assert len(story.meter_writes()) == 1


def test_without_anybody_to_ask_it_is_a_mistake_of_use(story: Story) -> None:
    error = story.fail("max", *certify(story, "max", story.pairing()), status=2, ask=True)
    assert METER in error["message"]
    assert untouched(story)


# ---- dry run


def test_a_dry_run_signs_and_writes_nothing(story: Story) -> None:
    photo = picture(story)
    file = story.pairing()
    before = all_files(story)
    world = sorted((story.world / "ipfs").rglob("*"))
    answer = story.do(
        "max",
        *certify(story, "max", file, "--fund", "0.1", "--photo", photo, "--dry-run"),
        env=no_passphrase(),
    )
    assert answer["dry_run"] is True
    assert "txid" not in answer
    record = read_record(answer["record"].encode())
    assert isinstance(record, Certificate)
    assert [output["name"] for output in answer["outputs"]] == [f"bp/{METER}", None, None]
    assert answer["outputs"][0]["amount"] == "0.01000000"
    assert answer["outputs"][1] == {
        "amount": "0.10000000",
        "address": pairing_of().ms,
        "name": None,
        "value": None,
    }
    assert untouched(story)
    assert all_files(story) == before
    assert sorted((story.world / "ipfs").rglob("*")) == world


def test_a_dry_run_refuses_what_would_be_refused(story: Story) -> None:
    assert story.fail("eve", *certify(story, "eve", story.pairing(), "--dry-run"))["code"] == "not_a_member"


# ---- photographs


def picture(story: Story, **saved: Any) -> Path:
    path = story.folder / "photo.jpg"
    exif = Image.Exif()
    exif[0x0110] = "SecretCamera"
    exif[0x8825] = {1: "N", 2: (48.0, 34.0, 0.0)}
    Image.new("RGB", (64, 48), (200, 30, 30)).save(path, "JPEG", exif=exif, **saved)
    assert b"SecretCamera" in path.read_bytes()
    return path


def test_photographs_are_published_without_their_exif_data(story: Story) -> None:
    story.do("max", *certify(story, "max", story.pairing(), "--photo", picture(story)))
    ((_, write),) = story.meter_writes()
    record = read_record(write.value)
    assert isinstance(record, Certificate)
    assert record.doc is not None
    with story.devnet() as devnet:
        document = json.loads(devnet.contents.get_file(parse_cid(record.doc), 100_000))
        photo = devnet.contents.get_file(parse_cid(document["photos"][0]), 100_000)
    assert document["format"] == "doitrust-certificate/1"
    assert document["seals"] == ["A-1"]
    assert document["pairing"]["meter"] == METER
    assert b"SecretCamera" not in photo
    assert b"Exif" not in photo
    with Image.open(io.BytesIO(photo)) as opened:
        assert (opened.format, opened.size, dict(opened.getexif())) == ("JPEG", (64, 48), {})
    for data in files_below(story.world / "ipfs").values():
        assert b"SecretCamera" not in data


def test_a_no_to_photographs_publishes_none(story: Story) -> None:
    world = sorted((story.world / "ipfs").rglob("*"))
    ran = story.run("max", *certify(story, "max", story.pairing(), "--photo", picture(story)), typed="n\n")
    assert ran.status == 5
    assert sorted((story.world / "ipfs").rglob("*")) == world


# ---- revoking


def test_a_member_revokes_and_a_certificate_needs_after_then(story: Story) -> None:
    story.certify()
    story.mine(5)
    revoked = story.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "seal broken")
    assert revoked.keys() == {"meter", "txid", "confirmations", "fee", "sent", "verdict"}
    assert revoked["verdict"]["status"] == "revoked"
    assert read_record(story.meter_writes()[-1][1].value) == Revocation(ORG, "seal broken")
    assert story.verdict()["status"] == "revoked"

    file = story.pairing()
    error = story.fail("max", *certify(story, "max", file), env=no_passphrase())
    assert error["code"] == "revoked"
    assert f"--after {revoked['txid']}" in error["hint"]
    wrong = story.meter_writes()[0][0]
    assert (
        "another transaction" in story.fail("max", *certify(story, "max", file, "--after", wrong))["message"]
    )
    answer = story.do("max", *certify(story, "max", file, "--after", revoked["txid"][:16]))
    assert answer["verdict"]["status"] == "trusted"
    record = read_record(story.meter_writes()[-1][1].value)
    assert isinstance(record, Certificate)
    assert record.after is not None
    assert len(record.after) >= 16
    assert revoked["txid"].startswith(record.after)
    story.mine(5)
    assert story.verdict()["status"] == "trusted"


def test_the_owner_revokes(story: Story) -> None:
    story.certify()
    story.do("admin", "meter", "revoke", METER, "--org", ORG, "--reason", "left")
    assert story.verdict()["status"] == "revoked"


def test_another_member_revokes(story: Story) -> None:
    story.certify()
    story.do("mia", "meter", "revoke", METER, "--org", ORG, "--reason", "left")
    assert story.verdict()["status"] == "revoked"


def test_somebody_else_does_not_revoke(story: Story) -> None:
    story.certify()
    error = story.fail("eve", "meter", "revoke", METER, "--org", ORG, "--reason", "r", env=no_passphrase())
    assert error["code"] == "not_a_member"
    assert len(story.meter_writes()) == 1


def test_the_same_revocation_again_writes_nothing(story: Story) -> None:
    story.certify()
    first = story.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "r")
    again = story.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "r")
    assert (again["txid"], again["already"]) == (first["txid"], True)
    assert len(story.meter_writes()) == 2


def test_a_revocation_needs_a_reason(story: Story) -> None:
    story.certify()
    story.fail("max", "meter", "revoke", METER, "--org", ORG, "--reason", "  ", status=2)
    story.fail("max", "meter", "revoke", METER, "--org", ORG, status=2)


def test_a_revocation_is_possible_while_a_certificate_waits(story: Story) -> None:
    """Whatever order the miner puts them in, the meter ends revoked."""
    story.automine(on=False)
    file = story.pairing()
    story.do("max", *certify(story, "max", file, "--no-wait"))
    story.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "oh no", "--no-wait")
    assert len(story.waiting()) == 2
    story.mine(6)
    assert story.verdict()["status"] == "revoked"


# ---- renewing


def test_a_renewal_writes_the_same_again_and_spends_the_names_coin(story: Story) -> None:
    first = story.certify()
    renewed = story.do("max", "meter", "renew", METER)
    one, two = story.meter_writes()
    assert one[1] == two[1]
    assert two[0] == renewed["txid"] != first["txid"]
    assert renewed["verdict"]["status"] == "trusted"
    with story.devnet() as devnet:
        located = devnet.transaction(renewed["txid"])
    assert located is not None
    assert first["txid"] in {spent.txid for spent in located.tx.inputs}


@pytest.mark.parametrize(
    ("blocks", "spent"), [(23, True), (24, False), (25, False), (29, False), (60, False)]
)
def test_a_names_coin_is_not_spent_near_its_expiry(story: Story, blocks: int, spent: bool) -> None:
    """Regtest's names live 30 blocks; from 5 before their end on they are written without the coin."""
    first = story.certify()
    story.mine(blocks)
    renewed = story.do("max", "meter", "renew", METER)
    with story.devnet() as devnet:
        located = devnet.transaction(renewed["txid"])
    assert located is not None
    assert (first["txid"] in {i.txid for i in located.tx.inputs if i.vout == 0}) is spent
    story.mine(40)
    assert story.verdict()["status"] == "trusted"


def test_another_member_renews_without_waiting_144_confirmations(story: Story) -> None:
    story.certify()
    story.mine(5)
    assert story.do("mia", "meter", "renew", METER)["verdict"]["status"] == "trusted"
    story.mine(5)
    verdict = story.verdict()
    assert (verdict["status"], verdict["electrician"]["key"]) == ("trusted", key_of("mia"))


def test_a_revoked_meter_is_not_renewed(story: Story) -> None:
    story.certify()
    story.do("max", "meter", "revoke", METER, "--org", ORG, "--reason", "r")
    for more in ((), ("--org", ORG)):
        error = story.fail("max", "meter", "renew", METER, *more, env=no_passphrase())
        assert error["code"] == "nothing_to_renew"
        assert "--after" in error["hint"]
    assert len(story.meter_writes()) == 2


def test_a_revocation_that_only_waits_stops_a_renewal_too(story: Story) -> None:
    story.certify()
    story.automine(on=False)
    story.do("mia", "meter", "revoke", METER, "--org", ORG, "--reason", "r", "--no-wait")
    assert story.fail("max", "meter", "renew", METER)["code"] == "nothing_to_renew"


def test_what_was_never_certified_is_not_renewed(story: Story) -> None:
    assert story.fail("max", "meter", "renew", METER)["code"] == "nothing_to_renew"
    assert "never certified" in story.fail("max", "meter", "renew", METER, "--org", ORG)["message"]


# ---- another node


def test_a_replacement_by_another_signer_says_144_and_asks(story: Story) -> None:
    story.certify()
    story.mine(5)
    file = story.pairing(node="another node")
    ran = story.run("mia", *certify(story, "mia", file), typed="y\nn\n")
    assert ran.status == 5
    assert "144 confirmations" in " ".join(ran.err.split())
    assert len(story.meter_writes()) == 1
    assert not story.journal("mia")
    story.do("mia", *certify(story, "mia", file))
    story.mine(5)
    verdict = story.verdict()
    assert (verdict["status"], verdict["electrician"]["key"]) == ("trusted", key_of("max"))
    story.mine(143)
    assert story.verdict()["electrician"]["key"] == key_of("mia")


def test_a_replacement_by_the_same_signer_does_not_wait(story: Story) -> None:
    story.certify()
    story.mine(5)
    file = story.pairing(node="another node")
    ran = story.run("max", *certify(story, "max", file), typed="y\n")
    assert ran.status == 0, ran
    story.mine(5)
    assert story.verdict()["node"] == Key.named("another node").public.hex()


def test_a_node_that_is_certified_elsewhere_is_warned_of(story: Story) -> None:
    story.certify("mia", OTHER_METER)
    ran = story.run("max", *certify(story, "max", story.pairing()))
    assert ran.status == 0
    assert OTHER_METER in ran.err


# ---- strangers


def test_a_strangers_overwrite_is_no_hindrance(story: Story) -> None:
    """Eve owns the record after that; the certificate is written without her coin, and counts."""
    story.certify()
    story.fund(keys("eve")["owner"]["address"])
    eve = story.do("eve", "org", "create", "Eve", "--member", key_of("eve"), "--wait", "6")
    story.do("eve", "org", "accept", "Eve", "--root", eve["root"])
    story.do("eve", "meter", "certify", story.pairing(file="eve.json"), "--org", "Eve", "--seal", "x")
    assert story.do("max", "meter", "renew", METER)["verdict"]["status"] == "trusted"


# ---- waiting


def test_left_with_ctrl_c_it_is_4_with_the_txid_and_resumes(story: Story) -> None:
    story.automine(on=False)
    file = story.pairing()
    process = story.start("max", *certify(story, "max", file, "--json"))
    try:
        deadline = time.monotonic() + 30
        while not story.waiting():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (txid,) = story.waiting()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 4
    error = json.loads(out)["error"]
    assert error["code"] == "waiting"
    assert txid in error["message"]
    assert story.states("max") == ["sent"]
    story.mine(1)
    (resumed,) = story.do("max", "tx", "resume")
    assert (resumed["txid"], resumed["confirmations"], resumed["error"]) == (txid, 1, None)
    assert story.states("max") == ["done"]
    assert len(story.meter_writes()) == 1


def test_no_wait_returns_at_once(story: Story) -> None:
    story.automine(on=False)
    answer = story.do("max", *certify(story, "max", story.pairing(), "--no-wait"))
    assert answer["confirmations"] == 0
    assert story.waiting() == [answer["txid"]]
    assert story.states("max") == ["sent"]


def test_the_same_command_goes_on_with_what_waits(story: Story) -> None:
    story.automine(on=False)
    file = story.pairing()
    first = story.do("max", *certify(story, "max", file, "--fund", "0.1", "--no-wait"))
    again = story.do("max", *certify(story, "max", file, "--fund", "0.1", "--no-wait"), env=no_passphrase())
    assert again["txid"] == first["txid"]
    story.mine(1)
    last = story.do("max", *certify(story, "max", file, "--fund", "0.1"), env=no_passphrase())
    assert (last["txid"], last["confirmations"]) == (first["txid"], 1)
    assert last["verdict"]["status"] == "trusted"
    assert story.states("max") == ["done"]
    assert len(story.meter_writes()) == 1


def test_another_certificate_of_the_same_meter_has_to_wait(story: Story) -> None:
    story.automine(on=False)
    file = story.pairing()
    first = story.do("max", *certify(story, "max", file, "--no-wait"))
    error = story.fail("max", *certify(story, "max", file, "--fund", "0.1", "--no-wait"))
    assert error["code"] == "under_way"
    assert first["txid"] in error["message"]


def test_wait_n_mines_where_automine_is_on(story: Story) -> None:
    answer = story.do("max", *certify(story, "max", story.pairing(), "--wait", "6"))
    assert answer["confirmations"] == 6
    assert story.verdict()["status"] == "trusted"


# ---- at once


def test_electricians_in_their_homes_certify_at_once(story: Story) -> None:
    """Several processes on one chain: each certifies, nobody's coin is spent by another."""
    numbers = [f"1EMH001234568{n}" for n in range(6)]
    files = [
        (story.pairing(number, f"{number}.json", server_id=f"0a01454d480000bc{0x6150 + n:04x}"), number)
        for n, number in enumerate(numbers)
    ]
    jobs = []
    for number, (file, _) in enumerate(files):
        who = ("max", "mia")[number % 2]
        jobs.append((who, file))

    def certify_all(who: str) -> list[int]:
        found = []
        for person, file in jobs:
            if person == who:
                process = story.start(who, *certify(story, who, file, "--json"))
                out, err = process.communicate(timeout=60)
                assert process.returncode == 0, (out, err)
                found.append(process.returncode)
        return found

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(certify_all, ("max", "mia")))
    assert done == [[0, 0, 0], [0, 0, 0]]
    story.mine(5)
    for meter in numbers:
        assert len(story.meter_writes(meter)) == 1
        assert story.verdict(meter)["status"] == "trusted"
    assert story.states("max") == story.states("mia") == ["done"] * 3


def test_two_processes_of_one_home_write_one_certificate(story: Story) -> None:
    file = story.pairing()
    processes = [
        story.start("max", *certify(story, "max", file, "--fund", "0.1", "--json")) for _ in range(2)
    ]
    outs = [process.communicate(timeout=60) for process in processes]
    assert 0 in {process.returncode for process in processes}, outs
    assert len(story.meter_writes()) == 1
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == 10_000_000
    assert set(story.states("max")) == {"done"}


def test_who_did_the_same_meanwhile_is_noticed(story: Story) -> None:
    """Another process of this home certifies between our look at the chain and our draft."""
    file = story.pairing()
    real = spending.draft
    begun: list[str] = []

    def late(*arguments: Any) -> Any:
        if not begun:
            begun.append("the other one")
            story.do("max", *certify(story, "max", file, "--fund", "0.1"))
        return real(*arguments)

    with patch.object(spending, "draft", late):
        error = story.fail("max", *certify(story, "max", file, "--fund", "0.1"))
    assert error["code"] == "changed"
    assert len(story.meter_writes()) == 1
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == 10_000_000
    assert story.do("max", *certify(story, "max", file, "--fund", "0.1"))["already"] is True


def test_photographs_of_a_draft_for_others_are_published_with_it(story: Story) -> None:
    psbt = story.folder / "draft.psbt"
    file = story.pairing()
    elsewhere = ("--signer", f"psbt:{psbt}", "--from", key_of("max"))
    story.do("max", *certify(story, "max", file, "--photo", picture(story), *elsewhere))
    story.do("max", "tx", "sign", psbt)
    story.do("max", "tx", "send", psbt)
    record = read_record(story.meter_writes()[-1][1].value)
    assert isinstance(record, Certificate)
    assert record.doc is not None
    with story.devnet() as devnet:
        assert json.loads(devnet.contents.get_file(parse_cid(record.doc), 100_000))["photos"]


def test_a_photograph_that_would_not_count_is_not_published(story: Story) -> None:
    """IPFS does not forget: nothing goes there before the certificate is known to count."""
    story.certify("mia")
    story.mine(5)
    world = sorted((story.world / "ipfs").rglob("*"))
    file = story.pairing(node="another node")
    ran = story.run("max", *certify(story, "max", file, "--photo", picture(story)), typed="y\ny\nn\n")
    assert ran.status == 5
    assert "144" in ran.err
    assert sorted((story.world / "ipfs").rglob("*")) == world


@given(data=st.data())
def test_a_damaged_photograph_is_refused_in_one_line(data: st.DataObject, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.jpg"
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"]))
    written = io.BytesIO()
    Image.radial_gradient("L").resize((40, 30)).save(written, kind)
    path.write_bytes(data.draw(damaged(written.getvalue())))
    cleaned = attempt(clean_photo, path)
    if cleaned is not None:
        with Image.open(io.BytesIO(cleaned)) as opened:
            assert (opened.format, dict(opened.getexif())) == ("JPEG", {})


def test_a_picture_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    """A few bytes that would unfold to gigabytes."""
    path = tmp_path / "bomb.png"
    small = io.BytesIO()
    Image.new("1", (1, 1)).save(small, "PNG")
    for side in (8_100, 12_000, 20_000, 2**31 - 1):
        header = b"IHDR" + side.to_bytes(4, "big") * 2 + b"\1\0\0\0\0"
        crc = zlib.crc32(header).to_bytes(4, "big")
        path.write_bytes(small.getvalue()[:12] + header + crc + small.getvalue()[33:])
        refusal(clean_photo, path)
