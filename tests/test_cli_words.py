"""What people read: headlines that name the organisation, advice that can be copied into a shell."""

import shlex
from pathlib import Path

import pytest
from cli import BILLIG, MUELLER, PASSAU, accepted, load, meter, run, temporary_folder, verdict
from devnet_world import FEE, NAME_AMOUNT, Key, World, coin_of, recorded_json

from doitrust.chain.tx import Output

#: The certificate of the first chain's last block.
LATE = meter(23)


def headline(*arguments: object) -> str:
    """The verdict's first lines, up to the evidence."""
    return " ".join(run("verify", *arguments).out.split("\n\n")[0].split())


def commands_in(text: str) -> list[list[str]]:
    """The commands that a text advises, as a shell splits them."""
    return [
        shlex.split(line[line.index("doitrust ") :])[1:] for line in text.splitlines() if "doitrust " in line
    ]


@pytest.mark.parametrize("number", [1, 4, 5, 6, 7, 8, 16, 17, 19, 21, 22, 23])
def test_a_headline_names_the_organisation(number: int) -> None:
    load(1)
    names = {PASSAU, MUELLER, BILLIG}
    said = headline(meter(number))
    assert any(name in said for name in names), said
    organization = verdict(meter(number))["organization"]
    assert organization is None or organization in said


def test_a_record_of_an_organisation_not_accepted_names_it_and_how_to_accept_it() -> None:
    load(1)
    run("org", "reject", MUELLER)
    told = run("verify", meter(22)).out
    assert f"names {MUELLER}, which you have not accepted" in " ".join(told.split())
    assert ["org", "accept", MUELLER] in commands_in(told)
    run("org", "reject", PASSAU)
    told = run("verify", meter(22)).out
    assert "accepted no organisation yet" in told
    assert commands_in(told) == [["org", "list"], ["org", "accept", MUELLER]]


def test_a_revocation_s_reason_is_told() -> None:
    load(1)
    assert "seal broken" in headline(meter(17))


def test_contested_says_whose_signature_it_is() -> None:
    load(1)
    assert "signed by an electrician whom an organisation that you accepted lists" in headline(meter(16))


def test_a_key_s_withdrawal_and_its_signature_are_told_by_height() -> None:
    load(1)
    text = " ".join(run("verify", meter(16)).out.split())
    assert "withdrawn from height 484 on, signed at height 485" in text


@pytest.mark.parametrize("line", [["verify"], ["meter", "show"]])
def test_a_certificate_in_the_mempool_is_said_to_wait(line: list[str]) -> None:
    load(1)
    txid = verdict(LATE)["certificate"]["txid"]
    run("devnet", "reorg", 1)
    text = run(*line, LATE).out
    assert "waits unconfirmed" in " ".join(text.split())
    assert "Nobody" not in text
    told = verdict(LATE)
    assert told["status"] == "unknown"
    assert any(txid in warning for warning in told["warnings"])
    assert "Nobody has written" in run(*line, "ABCD").out


def test_a_table_shows_reasons_in_a_column_of_their_own() -> None:
    load(1)
    head, *rows = run("meter", "list").out.splitlines()
    at = head.index("reason")
    shown = {row.split()[0]: row[at:].strip() for row in rows if row.startswith("1EMH")}
    assert shown[meter(4)] == "not_a_member"
    assert shown[meter(5)] == "organization_not_accepted"
    assert shown[meter(1)] == ""
    assert all(PASSAU in row[head.index("organisation") : at] for row in rows if "REVOKED" in row)


# ---- saved evidence


def test_evidence_for_other_meters_says_so_and_names_them(tmp_path: Path) -> None:
    load(1)
    file = tmp_path / "evidence.json"
    run("verify", meter(1), meter(2), "--save-evidence", file)
    text = run("verify", meter(3), "--evidence", file, "--trust-source").out
    assert "made for other meters" in text
    assert meter(1) in text
    assert meter(2) in text
    assert "txindex" not in text
    assert ["verify", meter(3)] in commands_in(text)
    told = verdict(meter(3), "--evidence", file, "--trust-source")
    assert (told["status"], told["reason"]) == ("undetermined", "transaction_missing")
    assert any(meter(1) in warning for warning in told["warnings"])
    assert "made for other meters" not in run("verify", meter(1), "--evidence", file).out


# ---- commands to copy


def gilde(name: str) -> Path:
    """A devnet on which somebody has written under `name`, beside a key called so."""
    folder = temporary_folder()
    world, owner = World(folder), Key.named("owner")
    paid = world.pay(Output(NAME_AMOUNT + 2 * FEE, owner.p2wpkh), fee=FEE)
    world.send(paid)
    world.send(world.write(f"bp_organization/{name}", "x", owner, coins=[coin_of(paid, 0, owner)]))
    world.devnet.close()
    return folder


@pytest.mark.parametrize(
    "name",
    ["Gilde", "Elektro Müller & Söhne", "L'Innung (Nord)", "--yes", "W" * 64, "A & B & C & D " * 4 + "EF"],
)
def test_the_command_under_the_candidates_can_be_copied(name: str) -> None:
    folder = gilde(name)
    for line in (["org", "accept"], ["org", "history"]):
        text = run(*line, "--devnet", folder, "--", name).out
        (command,) = commands_in(text)
        assert command[:4] == ["org", "accept", "--fingerprint", "F"]
        (candidate,) = run(*line, "--devnet", folder, "--json", "--", name).value["candidates"]
        command[3] = candidate["fingerprint"]
        pinned = run("--devnet", folder, "--json", *command)
        assert "confirmations" in pinned.error["message"], pinned
        assert not set("<>") & set(text)
    (command,) = commands_in(run("org", "show", "--devnet", folder, "--", name).out)
    assert run("--devnet", folder, *command).out == run("org", "accept", "--devnet", folder, "--", name).out


def test_counts_of_one_are_not_plural() -> None:
    load(1)
    folder = gilde("Gilde")
    assert "1 write;" in run("org", "show", "Gilde", "--devnet", folder).out
    assert "1 confirmation\n" in run("org", "accept", "Gilde", "--devnet", folder).out
    known = recorded_json(1)["organizations"][BILLIG]["root"]
    for name, root in ((BILLIG, ["--root", known]), (PASSAU, ["--at", "452"])):
        text = run("org", "members", name, *root).out
        number = len(run("org", "members", name, *root, "--json").value)
        assert f"{number} key{'' if number == 1 else 's'}\n" in text
    assert "(1 confirmations" not in run("verify", LATE, "-v").out
    assert accepted() == [PASSAU, MUELLER]
