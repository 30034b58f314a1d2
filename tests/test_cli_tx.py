"""`doitrust tx`: what others drafted is shown, signed, combined and sent; and the journal is gone on with."""

import base64
import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from story import METER, ORG, Story, key_of, keys, organised, pairing_of

from doitrust.chain.address import script_of
from doitrust.chain.names import NAME_TX_VERSION, name_script
from doitrust.chain.networks import DEVNET
from doitrust.chain.psbt import Psbt
from doitrust.chain.tx import Input, Output, Transaction

NOBODY: dict[str, str | None] = {"DOITRUST_PASSPHRASE": None}


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return organised(tmp_path)


def drafted(story: Story, who: str = "max", file: str = "draft.psbt", *more: object) -> Path:
    """A certificate as PSBT."""
    path = story.folder / file
    story.do(
        who, "meter", "certify", story.pairing(), "--org", ORG, "--seal", "A-1", "--fund", "0.1",
        "--signer", f"psbt:{path}", "--from", key_of(who), *more,
    )  # fmt: skip
    return path


# ---- show


def test_show_says_what_it_would_do(story: Story) -> None:
    file = drafted(story)
    shown = story.do("eve", "tx", "show", file)
    assert shown["complete"] is False
    (spent,) = shown["inputs"]
    assert (spent["needs"], spent["signed"]) == (1, [])
    assert spent["address"] == keys("max")["member"]["address"]
    write, fund, change = shown["outputs"]
    assert write["name"] == f"bp/{METER}"
    assert json.loads(write["value"])["org"] == ORG
    assert (fund["amount"], fund["address"]) == ("0.10000000", pairing_of().ms)
    assert change["address"] == keys("max")["member"]["address"]
    text = story.run("eve", "tx", "show", file).out
    assert f"writes bp/{METER}" in text
    assert "input 0: 0 of 1 signatures" in text


@pytest.mark.parametrize("data", [b"", b"psbt", b"psbt\xff", b"not base64!", b"cHNidP8=", b"\xff" * 100])
def test_what_is_no_psbt_is_refused_in_one_line(story: Story, data: bytes) -> None:
    file = story.folder / "bad"
    file.write_bytes(data)
    for command in ("show", "sign", "send"):
        assert story.fail("max", "tx", command, file, env=NOBODY)["code"] == "bad_data"


def test_a_file_that_is_not_there(story: Story) -> None:
    for command in ("show", "sign", "send"):
        assert story.fail("max", "tx", command, story.folder / "none", env=NOBODY)["code"] == "unavailable"


# ---- sign


def test_sign_writes_in_place_and_send_sends(story: Story) -> None:
    file = drafted(story)
    signed = story.do("max", "tx", "sign", file)
    assert (signed["complete"], signed["inputs"][0]["signed"]) == (True, [key_of("max")])
    assert Psbt.read(file.read_bytes()).inputs[0].partial_signatures
    assert file.read_text().startswith("cHNidP8")
    assert not list(story.folder.glob(".draft*"))
    sent = story.do("max", "tx", "send", file)
    assert {"txid", "confirmations", "fee", "verdict"} <= sent.keys()
    assert sent["verdict"]["status"] == "trusted"
    assert len(story.meter_writes()) == 1
    (listed,) = story.do("max", "tx", "list")
    assert (listed["txid"], listed["state"], listed["command"]) == (sent["txid"], "done", "send")


def test_sign_to_another_file_leaves_the_first(story: Story) -> None:
    file, out = drafted(story), story.folder / "out.psbt"
    before = file.read_bytes()
    assert story.do("max", "tx", "sign", file, "--out", out)["file"] == str(out)
    assert file.read_bytes() == before
    assert Psbt.read(out.read_bytes()).inputs[0].partial_signatures


def test_a_binary_file_stays_binary(story: Story) -> None:
    file = drafted(story)
    file.write_bytes(base64.b64decode(file.read_text()))
    story.do("max", "tx", "sign", file)
    assert file.read_bytes().startswith(b"psbt\xff")
    assert story.do("max", "tx", "send", file)["confirmations"] == 1


def test_signing_is_asked_about_and_shows_what(story: Story) -> None:
    file = drafted(story)
    before = file.read_bytes()
    ran = story.run("max", "tx", "sign", file, typed="n\n")
    assert (ran.status, file.read_bytes()) == (5, before)
    assert f"writes bp/{METER}" in ran.err
    assert "pays   0.10000000 DOI" in ran.err
    ran = story.run("max", "tx", "sign", file, "--json", ask=True)
    assert (ran.status, file.read_bytes()) == (2, before)
    assert story.run("max", "tx", "sign", file, typed="y\n").status == 0


def test_a_read_only_folder_leaves_the_file(story: Story) -> None:
    if Path("/").stat().st_uid == 0 and _is_root():
        pytest.skip("cannot be had here: root writes everywhere")
    file = drafted(story)
    before = file.read_bytes()
    mode = stat.S_IMODE(story.folder.stat().st_mode)
    story.folder.chmod(0o500)
    try:
        story.fail("max", "tx", "sign", file)
    finally:
        story.folder.chmod(mode)
    assert file.read_bytes() == before


def _is_root() -> bool:
    import os  # noqa: PLC0415

    return os.geteuid() == 0


def test_who_has_no_part_in_it_signs_nothing(story: Story) -> None:
    file = drafted(story)
    before = file.read_bytes()
    error = story.fail("eve", "tx", "sign", file, env=NOBODY)
    assert (error["code"], file.read_bytes()) == ("not_ours", before)
    assert "keystore:eve" in error["message"]


def rewritten(story: Story, file: Path, how: str) -> Path:
    """The draft as somebody hostile changed it on the way."""
    psbt = Psbt.read(file.read_bytes())
    outputs, version = list(psbt.tx.outputs), psbt.tx.version
    own = script_of(keys("max")["member"]["address"], DEVNET)
    inputs = [(Input(i.txid, i.vout, b"", ()), 0xFFFFFFFD) for i in psbt.tx.inputs]
    if how == "an organisation's record":
        outputs[0] = Output(outputs[0].value, name_script(f"bp_organization/{ORG}".encode(), b"x", own))
    elif how == "a payment":
        outputs, version = outputs[1:], 2
    elif how == "a whole coin as fee":
        outputs = outputs[:1]
    elif how == "two names":
        outputs[1] = Output(outputs[1].value, name_script(b"bp/OTHER", b"x", own))
    elif how == "a value too long":
        outputs[0] = Output(outputs[0].value, name_script(f"bp/{METER}".encode(), b"x" * 521, own))
    known = {part.previous.txid: part.previous for part in psbt.inputs if part.previous is not None}
    changed = Psbt.unsigned(Transaction.build(version, 0, inputs, outputs)).updated(known.get)
    path = story.folder / "hostile.psbt"
    path.write_text(changed.text)
    return path


@pytest.mark.parametrize(
    "how",
    ["an organisation's record", "a payment", "a whole coin as fee", "two names", "a value too long"],
)
def test_what_our_signers_never_do_is_not_signed_here_either(story: Story, how: str) -> None:
    file = rewritten(story, drafted(story), how)
    before = file.read_bytes()
    story.fail("max", "tx", "sign", file, env=NOBODY)
    assert file.read_bytes() == before


def test_inputs_of_several_people_are_not_signed(story: Story) -> None:
    psbt = Psbt.read(drafted(story).read_bytes())
    with story.devnet() as devnet:
        other = devnet.coins(script_of(keys("mia")["member"]["address"], DEVNET))[0]
        previous = devnet.transaction(other.txid)
    assert previous is not None
    inputs = [
        (Input(i.txid, i.vout, b"", ()), 0xFFFFFFFD)
        for i in [*psbt.tx.inputs, Input(other.txid, other.vout, b"", ())]
    ]
    known = {previous.tx.txid: previous.tx}
    known |= {part.previous.txid: part.previous for part in psbt.inputs if part.previous is not None}
    mixed = Psbt.unsigned(Transaction.build(NAME_TX_VERSION, 0, inputs, psbt.tx.outputs)).updated(known.get)
    file = story.folder / "mixed"
    file.write_text(mixed.text)
    assert story.fail("max", "tx", "sign", file, env=NOBODY)["code"] == "not_ours"


# ---- send


def test_what_would_not_count_is_not_sent(story: Story) -> None:
    """Drafted while Max was a member, sent after he is none."""
    file = drafted(story)
    story.do("max", "tx", "sign", file)
    story.do("admin", "org", "remove-member", ORG, key_of("max"))
    error = story.fail("max", "tx", "send", file)
    assert error["code"] == "not_a_member"
    assert not story.meter_writes()
    assert not story.journal("max")


def test_a_certificate_that_waited_past_a_revocation_is_not_sent(story: Story) -> None:
    file = drafted(story)
    story.do("max", "tx", "sign", file)
    story.certify("mia")
    story.do("mia", "meter", "revoke", METER, "--org", ORG, "--reason", "r")
    assert story.fail("max", "tx", "send", file)["code"] == "revoked"
    assert len(story.meter_writes()) == 2


def test_a_name_coin_that_waited_too_long_for_its_signatures_is_not_sent(story: Story) -> None:
    """In the mempool it would keep miners from building blocks once its name expires."""
    story.certify()
    file = story.folder / "renew.psbt"
    story.do("max", "meter", "renew", METER, "--signer", f"psbt:{file}", "--from", key_of("max"))
    story.do("max", "tx", "sign", file)
    story.mine(24)
    error = story.fail("max", "tx", "send", file)
    assert error["code"] == "near_expiry"
    assert not story.waiting()
    assert story.do("max", "meter", "renew", METER)["confirmations"] == 1  # its coins are free again


def test_sending_again_what_is_there_already_is_no_error(story: Story) -> None:
    file = drafted(story)
    story.do("max", "tx", "sign", file)
    first = story.do("max", "tx", "send", file)
    again = story.do("max", "tx", "send", file, "--wait", "3")
    assert (again["txid"], again["confirmations"]) == (first["txid"], 3)
    assert story.states("max") == ["done"]
    elsewhere = story.do("mia", "tx", "send", file)
    assert elsewhere["txid"] == first["txid"]


def test_psbts_of_two_transactions_are_not_combined(story: Story) -> None:
    one = drafted(story)
    two = drafted(story, "mia", "two.psbt")
    story.do("max", "tx", "sign", one)
    assert story.fail("max", "tx", "send", one, two)["code"] == "bad_data"


def test_send_does_not_wait_if_told_so(story: Story) -> None:
    story.automine(on=False)
    file = drafted(story)
    story.do("max", "tx", "sign", file)
    assert story.do("max", "tx", "send", file, "--no-wait")["confirmations"] == 0
    assert story.states("max") == ["sent"]


def test_a_damaged_signature_is_not_sent(story: Story) -> None:
    file = drafted(story)
    story.do("max", "tx", "sign", file)
    psbt = Psbt.read(file.read_bytes())
    part = psbt.inputs[0]
    ((key, signature),) = part.partial_signatures.items()
    broken = signature[:-2] + bytes([signature[-2] ^ 1]) + signature[-1:]
    records = dict(part.records)
    records[b"\x02" + key] = broken
    changed = replace(psbt, inputs=(replace(part, records=records),))
    file.write_text(changed.text)
    assert story.fail("max", "tx", "send", file)["code"] == "bad_data"
    assert not story.journal("max")


# ---- list, resume


def certify(story: Story, *more: object, **options: Any) -> Any:
    file = story.pairing()
    return story.do(
        "max", "meter", "certify", file, "--org", ORG, "--seal", "A-1", "--fund", "0.1", *more, **options
    )


def test_an_empty_journal(story: Story) -> None:
    assert story.do("client", "tx", "list") == []
    assert story.do("client", "tx", "resume") == []
    assert "Nothing was sent" in story.run("client", "tx", "list").out
    assert "Nothing is under way" in story.run("client", "tx", "resume").out
    assert not (story.home("client") / "wallet.db").exists()


def test_the_list_tells_each_and_its_confirmations(story: Story) -> None:
    sent = certify(story)
    story.mine(2)
    (entry,) = story.do("max", "tx", "list")
    assert entry.keys() == {"txid", "command", "subject", "state", "fee", "created", "note", "confirmations"}
    assert (entry["txid"], entry["fee"], entry["confirmations"]) == (sent["txid"], sent["fee"], 3)
    assert (entry["command"], entry["subject"]) == ("certify", f"{METER} {ORG}")


def test_resume_waits_for_what_was_not_waited_for(story: Story) -> None:
    story.automine(on=False)
    sent = certify(story, "--no-wait")
    assert story.do("max", "tx", "resume", "--no-wait")[0]["confirmations"] == 0
    assert story.states("max") == ["sent"]
    story.automine(on=True)
    (resumed,) = story.do("max", "tx", "resume", "--wait", "2")
    assert (resumed["txid"], resumed["confirmations"], resumed["fee"]) == (sent["txid"], 2, sent["fee"])
    assert story.states("max") == ["done"]
    assert story.do("max", "tx", "resume") == []


def test_resume_sends_what_a_reorganisation_dropped(story: Story) -> None:
    sent = certify(story)
    with story.devnet() as devnet:
        devnet.reorg(1, drop=True)
    assert not story.meter_writes()
    assert "isn't any more: doitrust tx resume" in story.run("max", "tx", "list").out
    (resumed,) = story.do("max", "tx", "resume")
    assert resumed["txid"] == sent["txid"]
    assert len(story.meter_writes()) == 1
    assert story.paid(script_of(pairing_of().ms, DEVNET)) == 10_000_000


def test_resume_that_fails_is_1_and_frees_the_coins(story: Story) -> None:
    sent = certify(story)
    story.do("admin", "org", "remove-member", ORG, key_of("max"))
    with story.devnet() as devnet:
        height = devnet.tip().height
        located = devnet.transaction(sent["txid"])
        assert located is not None
        assert located.place is not None
        kept = [devnet.transaction(txid) for txid, _ in story.org_writes()[1:]]
        devnet.reorg(height - located.place.height + 1, drop=True)
        devnet.mine_with([found.tx.raw for found in kept if found is not None])
    ran = story.run("max", "tx", "resume", "--json")
    assert ran.status == 1, ran
    (value,) = ran.value
    assert value["txid"] == sent["txid"]
    assert value["error"].startswith("this would not count: ")
    assert story.states("max") == ["refused"]
    assert not story.meter_writes()
    assert story.do("max", "tx", "resume") == []
    error = story.fail("max", "meter", "certify", story.pairing(), "--org", ORG, "--seal", "A-1", env=NOBODY)
    assert error["code"] == "not_a_member"


def test_the_home_can_be_copied_and_gone_on_with(story: Story) -> None:
    story.automine(on=False)
    sent = certify(story, "--no-wait")
    shutil.copytree(story.home("max"), story.home("copy"))
    story.mine(1)
    (resumed,) = story.do("copy", "tx", "resume")
    assert (resumed["txid"], resumed["confirmations"]) == (sent["txid"], 1)
