"""Evidence files at the command line: saved, judged alone, damaged, hostile."""

import json
import os
import random
import shutil
import socket
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cli import BILLIG, BILLIG_ROOT, failure, files_below, home, load, meter, run, spawn, verdict

from doitrust.adapters.files import write_atomic
from doitrust.chain.tx import Transaction
from doitrust.cli import verify as verify_command

#: Certified by a segwit transaction in block 477, and written once.
CERTIFIED, HEIGHT = meter(12), 477


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The evidence of a certified meter, saved; its chain is in the home."""
    load(1)
    path = tmp_path / "evidence.json"
    assert verdict(CERTIFIED, "--save-evidence", path)["status"] == "trusted"
    return path


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the file's document in place."""
    document = json.loads(file.read_bytes())
    change(document)
    file.write_text(json.dumps(document), "utf-8")


def judged(file: Path, *more: str) -> tuple[str, str | None]:
    """Status and reason of the file's own verdict."""
    told = verdict(CERTIFIED, "--evidence", file, "--trust-source", *more)
    return told["status"], told["reason"]


# ---- saved and judged alone


def test_a_saved_file_is_what_formats_md_says(file: Path) -> None:
    document = json.loads(file.read_bytes())
    assert document["format"] == "doitrust-evidence/1"
    assert document["network"] == "devnet"
    assert document.keys() >= {"tip", "transactions", "lists", "missing", "sources", "headers", "proofs"}
    for txid, entry in document["transactions"].items():
        assert Transaction.parse(bytes.fromhex(entry["hex"])).txid == txid
        assert entry.keys() >= {"block", "height", "position"}


def test_what_was_saved_is_confirmed_beside_the_answer(tmp_path: Path) -> None:
    load(1)
    path = tmp_path / "evidence.json"
    for form in ([], ["--json"]):
        ran = run("verify", CERTIFIED, "--save-evidence", path, *form)
        assert ran.out == run("verify", CERTIFIED, *form).out
        assert ran.err == f"The evidence about 1 meter is in {path} ({path.stat().st_size:,} bytes).\n"
    failed = run("verify", CERTIFIED, "--save-evidence", tmp_path)
    assert "The evidence about" not in failed.err


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o027, 0o640)])
def test_the_umask_says_who_may_read_what_is_saved(tmp_path: Path, umask: int, mode: int) -> None:
    load(1)
    path = tmp_path / "evidence.json"
    for _ in range(2):
        ran = spawn("verify", CERTIFIED, "--save-evidence", path, before=lambda: os.umask(umask))
        assert ran.status == 0, ran.err
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [each.name for each in tmp_path.iterdir()] == ["evidence.json"]


@pytest.mark.parametrize("umask", [0o022, 0o000, 0o277])
def test_a_mode_that_is_asked_for_holds_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "key", b"secret", "the key", mode=0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_the_same_question_saves_the_same_bytes(file: Path) -> None:
    before = file.read_bytes()
    run("verify", CERTIFIED, "--save-evidence", file)
    assert file.read_bytes() == before
    run("verify", CERTIFIED, "--evidence", file, "--save-evidence", file)
    assert json.loads(file.read_bytes())["transactions"] == json.loads(before)["transactions"]


def test_a_file_is_judged_without_the_chain(file: Path) -> None:
    shutil.rmtree(home() / "devnet")
    assert judged(file) == ("trusted", None)
    assert not (home() / "devnet").exists()


def test_a_file_is_judged_at_its_own_tip(file: Path) -> None:
    run("devnet", "mine", 10)
    assert verdict(CERTIFIED, "--evidence", file)["tip"]["height"] == 543
    assert verdict(CERTIFIED)["tip"]["height"] == 553


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (timedelta(days=3), "3 days old"),
        (timedelta(hours=1, minutes=5), "1 hour old"),
        (timedelta(0), "less"),
    ],
)
def test_the_age_of_saved_evidence_is_told(file: Path, ago: timedelta, told: str) -> None:
    moment = (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:%SZ")
    edit(file, lambda document: document["tip"].update(time=moment))
    ran = run("verify", CERTIFIED, "--evidence", file)
    assert "saved evidence" in ran.out
    assert told in ran.out


def test_a_file_is_a_foreign_source_whatever_it_says_of_itself(file: Path) -> None:
    sources = [{"name": "my own node", "own": True}, {"name": "another", "own": True}]
    edit(file, lambda document: document.update(sources=sources))
    told = verdict(CERTIFIED, "--evidence", file)
    assert (told["status"], told["reason"]) == ("undetermined", "single_source")
    assert [source["own"] for source in told["sources"]] == [False]
    assert "--trust-source" in run("verify", CERTIFIED, "--evidence", file).out


def test_pins_never_come_from_a_file(file: Path, tmp_path: Path) -> None:
    env = {"DOITRUST_HOME": str(tmp_path / "fresh")}
    told = verdict(CERTIFIED, "--evidence", file, "--trust-source", env=env)
    assert (told["status"], told["reason"]) == ("untrusted", "organization_not_accepted")
    assert not (tmp_path / "fresh").exists()


def test_an_organisation_that_was_not_gathered_is_not_judged_from_the_file(tmp_path: Path) -> None:
    load(1)
    path = tmp_path / "evidence.json"
    run("verify", meter(5), "--save-evidence", path)
    run("org", "accept", BILLIG, "--root", BILLIG_ROOT)
    told = verdict(meter(5), "--evidence", path, "--trust-source")
    assert told["status"] == "undetermined"


def test_a_file_does_not_say_that_a_meter_it_was_not_asked_about_is_unknown(file: Path) -> None:
    told = verdict(meter(1), "--evidence", file, "--trust-source")
    assert told["status"] == "undetermined"
    run("verify", meter(24), "--save-evidence", file)
    assert verdict(meter(24), "--evidence", file)["status"] == "unknown"


@pytest.mark.parametrize("network", ["mainnet", "regtest"])
def test_a_file_of_another_network_is_refused(file: Path, network: str) -> None:
    message = failure("verify", CERTIFIED, "--evidence", file, "--network", network, status=2)
    assert "devnet" in message
    edit(file, lambda document: document.update(network=network))
    assert network in failure("verify", CERTIFIED, "--evidence", file, status=2)


def test_a_file_is_judged_with_the_confirmations_asked_for(file: Path) -> None:
    assert judged(file, "--min-confirmations", "67") == ("trusted", None)
    assert judged(file, "--min-confirmations", "68") == ("unconfirmed", None)


def test_more_writes_than_wanted_leave_a_files_verdict_open_too(file: Path) -> None:
    run("verify", meter(1), "--save-evidence", file)
    told = verdict(meter(1), "--evidence", file, "--trust-source", "--max-writes", 1)
    assert (told["status"], told["reason"]) == ("undetermined", "flooded")


# ---- damaged


def certificate(document: dict[str, Any]) -> Transaction:
    """The certificate's transaction."""
    (entry,) = [e for e in document["transactions"].values() if e["height"] == HEIGHT and e["position"] == 1]
    return Transaction.parse(bytes.fromhex(entry["hex"]))


def flip_witness(document: dict[str, Any]) -> None:
    tx = certificate(document)
    signature = tx.inputs[0].witness[0]
    raw = bytearray(tx.raw)
    raw[tx.raw.index(signature) + 20] ^= 1
    document["transactions"][tx.txid]["hex"] = raw.hex()


def test_a_flipped_witness_byte_is_bad_data(file: Path) -> None:
    edit(file, flip_witness)
    assert judged(file) == ("undetermined", "bad_data")


def test_a_removed_previous_transaction_is_missing(file: Path) -> None:
    edit(file, lambda document: document["transactions"].pop(certificate(document).inputs[0].txid))
    assert judged(file) == ("undetermined", "transaction_missing")


def test_a_removed_list_is_missing(file: Path) -> None:
    edit(file, lambda document: document.update(lists={}))
    assert judged(file) == ("undetermined", "list_missing")


def test_a_file_that_knows_what_it_lacks_says_so(file: Path) -> None:
    missing = {"kind": "chain", "id": "tip", "why": "chain_moved"}
    edit(file, lambda document: document["missing"].append(missing))
    assert judged(file) == ("undetermined", "chain_moved")


def test_writes_above_the_tip_do_not_count(file: Path) -> None:
    def lower(document: dict[str, Any]) -> None:
        blocks = {entry["height"]: entry["block"] for entry in document["transactions"].values()}
        document["tip"].update(height=HEIGHT - 1, hash=blocks.get(HEIGHT - 1, "ab" * 32))

    edit(file, lower)
    assert judged(file) == ("unknown", None)


# ---- hostile

ESCAPE = "\x1b[31m\u202e"
BLOCK = {"block": "ab" * 32, "height": 7, "position": 0}


def some(document: dict[str, Any]) -> dict[str, Any]:
    """One of the document's transactions."""
    entry: dict[str, Any] = next(iter(document["transactions"].values()))
    return entry


def rename_transaction(document: dict[str, Any]) -> None:
    document["transactions"]["cd" * 32] = document["transactions"].popitem()[1]


def share_a_place(document: dict[str, Any]) -> None:
    for entry, _ in zip(document["transactions"].values(), range(2), strict=False):
        entry.update(BLOCK)


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no format": lambda d: d.pop("format"),
    "another format": lambda d: d.update(format="doitrust-evidence/2"),
    "no network": lambda d: d.pop("network"),
    "an unknown network": lambda d: d.update(network=ESCAPE),
    "a network that is no text": lambda d: d.update(network=["devnet"]),
    "no tip": lambda d: d.pop("tip"),
    "a tip that is a list": lambda d: d.update(tip=[]),
    "a tip below the ground": lambda d: d["tip"].update(height=-1),
    "a tip of true": lambda d: d["tip"].update(height=True),
    "a tip of 1.5": lambda d: d["tip"].update(height=1.5),
    "a tip in heaven": lambda d: d["tip"].update(height=10**30),
    "a short hash": lambda d: d["tip"].update(hash="ab"),
    "a hash in capitals": lambda d: d["tip"].update(hash="AB" * 32),
    "a time that is none": lambda d: d["tip"].update(time="2026-13-01T00:00:00Z"),
    "a time before time": lambda d: d["tip"].update(time="0001-01-01T00:00:00Z"),
    "a time with escapes": lambda d: d["tip"].update(time=ESCAPE),
    "work that is a number": lambda d: d["tip"].update(work=5),
    "work with escapes": lambda d: d["tip"].update(work=ESCAPE),
    "no transactions": lambda d: d.pop("transactions"),
    "a list of transactions": lambda d: d.update(transactions=[]),
    "a transaction without hex": lambda d: some(d).pop("hex"),
    "a transaction that is no hex": lambda d: some(d).update(hex=ESCAPE),
    "an odd digit": lambda d: some(d).update(hex="0" + some(d)["hex"]),
    "a transaction cut short": lambda d: some(d).update(hex=some(d)["hex"][:-2]),
    "a transaction with more behind it": lambda d: some(d).update(hex=some(d)["hex"] + "00"),
    "another txid": rename_transaction,
    "a txid with escapes": lambda d: d["transactions"].update({ESCAPE: some(d)}),
    "a block without a height": lambda d: some(d).pop("height"),
    "a height without a block": lambda d: some(d).update(block=None),
    "a block that is no hash": lambda d: some(d).update(block=ESCAPE),
    "two blocks at one height": lambda d: some(d).update(BLOCK, height=HEIGHT),
    "two transactions at one place": share_a_place,
    "another block at the tip": lambda d: some(d).update(BLOCK, height=543),
    "no lists": lambda d: d.pop("lists"),
    "a list that is no base64": lambda d: d["lists"].update(dict.fromkeys(d["lists"], "!")),
    "a list that is no text": lambda d: d["lists"].update(dict.fromkeys(d["lists"], 5)),
    "a list of other bytes": lambda d: d["lists"].update(dict.fromkeys(d["lists"], "AAAA")),
    "a CID with escapes": lambda d: d["lists"].update({ESCAPE: ""}),
    "nothing said to be missing": lambda d: d.pop("missing"),
    "something odd missing": lambda d: d["missing"].append({"kind": ESCAPE, "id": "", "why": ""}),
    "names in an object": lambda d: d.update(names={}),
    "a name that is no hex": lambda d: d.update(names=[ESCAPE]),
    "a name that is a number": lambda d: d.update(names=[5]),
    "text missing": lambda d: d["missing"].append("list"),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(
    file: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit(file, change)
    before = files_below(home())
    failure("verify", CERTIFIED, "--evidence", file, "--save-evidence", file.with_name("copy.json"))
    assert run("verify", CERTIFIED, "--evidence", file, "--json").error["code"] == "bad_data"
    assert files_below(home()) == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b'"{}"',
        b"{}",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"\x80",
        b'{"tip": NaN}',
        b'{"format": 1, "format": 1}',
        b'{"format": "\\ud800"}',
        b'{"' + ESCAPE.encode() + b'": 1, "' + ESCAPE.encode() + b'": 2}',
        b'{"tip": ' + b"9" * 5000 + b"}",
        b'{"tip": ' + b"[" * 200_000,
        b'{"tip": ' + b"[" * 9 + b"]" * 9 + b"}",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_file_that_is_no_json_of_ours_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "evidence.json"
    file.write_bytes(content)
    failure("verify", CERTIFIED, "--evidence", file)


def test_a_file_that_is_too_large_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_command, "MAX_BYTES", file.stat().st_size - 1)
    failure("verify", CERTIFIED, "--evidence", file)
    monkeypatch.setattr(verify_command, "MAX_BYTES", file.stat().st_size)
    assert judged(file) == ("trusted", None)


@pytest.mark.parametrize("seed", range(60))
def test_no_damage_leads_to_a_crash_or_to_another_certificate(file: Path, seed: int) -> None:
    chance, data = random.Random(seed), bytearray(file.read_bytes())
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data))
        match seed % 3:
            case 0:
                data[at] ^= 1 << chance.randrange(7)
            case 1:
                del data[at : at + chance.randrange(1, 9)]
            case _:
                data[at] = chance.choice(b'0123456789abcdef"{}[],:')
    file.write_bytes(data)
    ran = run("verify", CERTIFIED, "--evidence", file, "--trust-source", "--json")
    assert ran.status in (1, 2) if "error" in ran.value else ran.status in (0, 3, 4)
    if ran.status == 0:
        assert ran.value["certificate"]["txid"] == verdict(CERTIFIED)["certificate"]["txid"]


# ---- where it is written


def test_what_was_there_stays_where_the_file_cannot_be_written(tmp_path: Path) -> None:
    load(1)
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("mine", "utf-8")
    for target in (tmp_path / "folder", tmp_path / "file" / "evidence.json", tmp_path / ("x" * 300)):
        failure("verify", CERTIFIED, "--save-evidence", target)
    assert files_below(tmp_path) == {"file": b"mine"}


def test_a_file_that_can_be_written_replaces_what_was_there(tmp_path: Path) -> None:
    load(1)
    target = tmp_path / "evidence.json"
    target.write_text("mine", "utf-8")
    verdict(CERTIFIED, "--save-evidence", target)
    assert judged(target) == ("trusted", None)
    assert list(tmp_path.iterdir()) == [target]


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    load(1)
    target, link = tmp_path / "evidence.json", tmp_path / "link.json"
    target.write_text("mine", "utf-8")
    link.symlink_to(target)
    run("verify", CERTIFIED, "--save-evidence", link)
    assert link.is_symlink()
    assert judged(target) == ("trusted", None)


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For root `--save-evidence /dev/stdout` would otherwise put a file where the device was."""
    load(1)
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        failure("verify", CERTIFIED, "--save-evidence", "s")
        assert (tmp_path / "s").is_socket()
