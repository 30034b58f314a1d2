"""What reaches the terminal: nothing that moves its cursor or turns its text around, no line over 80 columns."""

import gc
import json
import os
import pty
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cli import (
    BILLIG,
    MUELLER,
    PASSAU,
    Ran,
    copy_of,
    home,
    load,
    meter,
    run,
    spawn,
    start,
    temporary_folder,
    verdict,
)
from devnet_world import FEE, NAME_AMOUNT, Key, World, coin_of, recorded_file, recorded_json

from doitrust.chain.address import address_of
from doitrust.chain.names import NAME_TX_VERSION, name_script
from doitrust.chain.networks import DEVNET
from doitrust.chain.tx import Output
from doitrust.content.unixfs import cid_of_file
from doitrust.meters.multisig import pairing_outputs

#: Colour, clear the screen, a bell, an 8-bit escape, a turn to the left, an isolate, nothing wide, a tab, lines.
EVIL = "\x1b[31mred\x1b[2J\x07\x9b1A\u202etfel\u2066\u200b\x7f\t\r\n\u2028end"
GILDE = "Gilde"
OWNER, MEMBER, LEFT, STRANGER, NODE, CLIENT = (
    Key.named(who) for who in ("owner", "member", "left", "stranger", "node", "client")
)
#: Meters of the hostile world, by what is evil about them.
SEALED, REVOKED, UNKNOWN_ORG, WRONG_ADDRESS, DUPLICATE, NO_JSON, LONG_ORG = (f"EVIL{n}" for n in range(7))
METERS = (SEALED, REVOKED, UNKNOWN_ORG, WRONG_ADDRESS, DUPLICATE, NO_JSON, LONG_ORG)


class Hostile(World):
    """A world of people who write what they like."""

    def publish(self, name: bytes, value: bytes, key: Key) -> str:
        paid = self.pay(Output(NAME_AMOUNT + 2 * FEE, key.p2wpkh))
        self.send(paid)
        output = Output(NAME_AMOUNT, name_script(name, value, key.p2wpkh))
        tx = self.pay(output, coins=[coin_of(paid, 0, key)], version=NAME_TX_VERSION)
        self.devnet.mine_with([tx.raw])
        return tx.txid

    def list(self, data: bytes) -> bytes:
        self.devnet.contents.put_file(data)
        return cid_of_file(data).text.encode()

    def certify(self, meter: str, **fields: Any) -> None:
        record = {
            "v": 1,
            "org": GILDE,
            "node": NODE.public.hex(),
            "client": CLIENT.public.hex(),
            "ms": ADDRESS,
        }
        self.publish(f"bp/{meter}".encode(), json.dumps(record | fields).encode(), MEMBER)


ADDRESS = address_of(pairing_outputs(NODE.public, CLIENT.public)["p2wsh"], DEVNET)


def member_list(**fields: Any) -> bytes:
    """A list in which everything that can be evil is."""
    members: list[Mapping[str, Any]] = [
        {"key": MEMBER.public.hex(), "name": f"E. {EVIL}", "licence": f"L {EVIL}"},
        {"key": LEFT.public.hex(), "name": EVIL, "revoked": {"height": 5, "reason": EVIL}},
        {"key": EVIL},
    ]
    document = {"format": "doitrust-members/1", "members": members, "organization": EVIL, "previous": EVIL}
    return json.dumps(document | fields).encode()


@cache
def hostile_home() -> Path:
    folder = temporary_folder()
    world = Hostile(folder / "devnet")
    world.devnet.automine(True)
    record = f"bp_organization/{GILDE}".encode()
    root = world.publish(record, world.list(member_list()), OWNER)
    world.publish(record, EVIL.encode(), STRANGER)
    world.publish(record, b"\xff\xfe" + EVIL.encode(), STRANGER)
    for name in (EVIL.encode(), b"\xff\x1b[31m", b"x" * 200, b"", b"a  b"):
        world.publish(b"bp_organization/" + name, EVIL.encode(), STRANGER)
    world.publish(b"bp_organization/Text", world.list(f"{EVIL}\n".encode()), STRANGER)
    world.publish(b"bp/" + EVIL.encode(), b"{}", STRANGER)
    world.certify(SEALED, seal=[EVIL, "A-1"])
    world.certify(REVOKED)
    world.publish(
        f"bp/{REVOKED}".encode(), json.dumps({"v": 1, "org": GILDE, "revoked": EVIL}).encode(), MEMBER
    )
    world.certify(UNKNOWN_ORG, org=EVIL)
    world.certify(WRONG_ADDRESS, ms=EVIL)
    key = json.dumps(EVIL).encode()
    world.publish(f"bp/{DUPLICATE}".encode(), b"{" + key + b": 1, " + key + b": 2}", MEMBER)
    world.publish(f"bp/{NO_JSON}".encode(), b"\x1b[31m" + EVIL.encode(), MEMBER)
    world.certify(LONG_ORG, org="x" * 200)
    world.devnet.mine(6)
    world.devnet.close()
    ran = run("org", "accept", GILDE, "--root", root, "--home", folder)
    assert ran.status == 0, ran.err
    gc.collect()
    return folder


def harmless(text: str) -> bool:
    """Whether a terminal shows every character where it stands: printable ones and ends of lines."""
    return all(
        char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for char in text
    )


def check(ran: Ran) -> None:
    for text in (ran.out, ran.err):
        assert harmless(text), ascii(text)


# ---- the chain's own strings


def test_the_hostile_world_is_judged_as_any_other() -> None:
    copy_of(hostile_home())
    found = {number: verdict(number) for number in METERS}
    assert {number: (told["status"], told["reason"]) for number, told in found.items()} == {
        SEALED: ("trusted", None),
        REVOKED: ("revoked", None),
        UNKNOWN_ORG: ("untrusted", "organization_not_accepted"),
        WRONG_ADDRESS: ("untrusted", "multisig_mismatch"),
        DUPLICATE: ("untrusted", "malformed_record"),
        NO_JSON: ("untrusted", "malformed_record"),
        LONG_ORG: ("untrusted", "organization_not_accepted"),
    }
    assert found[SEALED]["electrician"]["name"] == f"E. {EVIL}"
    assert found[SEALED]["seal"] == [EVIL, "A-1"]


LOOKING = [
    ["verify", *METERS],
    ["verify", *METERS, "-v"],
    *(["meter", "show", number] for number in METERS),
    ["meter", "list"],
    ["org", "list"],
    ["org", "show", GILDE],
    ["org", "history", GILDE],
    ["org", "members", GILDE],
    ["org", "accept", GILDE],
    ["org", "accept", "Text"],
    ["org", "history", "Text"],
    ["org", "accepted"],
    ["devnet", "status"],
]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("line", LOOKING, ids=" ".join)
def test_nothing_from_the_chain_reaches_the_terminal_as_it_is(line: list[str], form: list[str]) -> None:
    copy_of(hostile_home())
    ran = run(*line, *form)
    assert ran.status in (0, 3)
    check(ran)


def test_a_text_list_with_escapes_tells_its_problem_harmlessly() -> None:
    copy_of(hostile_home())
    (candidate,) = run("org", "accept", "Text", "--json").value["candidates"]
    for form in ([], ["--json"]):
        check(run("org", "members", "Text", "--root", candidate["root"], *form))


def test_what_is_evil_is_shown_all_the_same() -> None:
    copy_of(hostile_home())
    assert "\\x1b[31mred" in run("org", "members", GILDE).out
    assert "\\u202e" in run("verify", SEALED).out
    assert EVIL.encode().hex() in run("org", "list").out.replace("\n", "")


def test_evidence_of_a_hostile_world_is_told_harmlessly(tmp_path: Path) -> None:
    copy_of(hostile_home())
    file = tmp_path / os.fsdecode(b"evil \x1b[31m \xff.json")
    run("verify", *METERS, "--save-evidence", file)
    for form in ([], ["-v"], ["--json"]):
        ran = run("verify", *METERS, "--evidence", file, *form)
        assert ran.status == 3
        check(ran)


# ---- the user's own strings, which others may have written


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(
    "line",
    [
        [EVIL],
        ["verify", EVIL],
        ["verify", "--" + EVIL],
        ["verify", f"doitrust:meter/{EVIL}"],
        ["verify", "doitrust:meter/ABCD?network=%1b%5b31m"],
        ["verify", "ABCD", "--evidence", EVIL],
        ["verify", "ABCD", "--save-evidence", "/dev/null/" + EVIL],
        ["verify", "ABCD", "--min-confirmations", EVIL],
        ["meter", "show", EVIL],
        ["org", "show", EVIL],
        ["org", "accept", EVIL],
        ["org", "accept", f"doitrust:org/{EVIL}?network=devnet"],
        ["org", "accept", "doitrust:org/Gilde?network=%1b[31m&root=" + "0" * 64],
        ["org", "accept", GILDE, "--root", EVIL],
        ["org", "accept", GILDE, "--fingerprint", EVIL],
        ["org", "members", GILDE, "--at", EVIL],
        ["org", "reject", EVIL],
        ["devnet", "import", EVIL],
        ["devnet", "mine", EVIL],
        ["devnet", "automine", EVIL],
        ["devnet", "status", "--devnet", "/dev/null/" + EVIL],
        ["config", "set", EVIL, "1"],
        ["config", "set", "network", EVIL],
        ["config", "set", "min_confirmations", EVIL],
        ["config", "show", "--config", "/dev/null/" + EVIL],
        ["--network", EVIL, "org", "list"],
        ["--home", "/dev/null/" + EVIL, "devnet", "mine", "1"],
        ["completion", EVIL],
    ],
    ids=lambda line: ascii(line)[:50],
)
def test_nothing_from_the_command_line_reaches_the_terminal_as_it_is(
    line: list[str], form: list[str]
) -> None:
    ran = run(*line, *form)
    assert ran.status != 0 or line[0] == "config"
    check(ran)


def test_settings_and_folders_with_escapes_are_shown_harmlessly(tmp_path: Path) -> None:
    folder = tmp_path / "evil \x1b[31m\u202e"
    for form in ([], ["--json"]):
        for line in (
            ["config", "set", "node.url", EVIL],
            ["config", "show"],
            ["devnet", "status"],
            ["devnet", "reset"],
        ):
            check(run(*line, *form, "--home", folder))
    assert run("config", "show", "--home", folder, "--json").value["settings"] == {"node.url": EVIL}


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_files_with_escapes_in_their_names_and_contents_are_told_harmlessly(
    tmp_path: Path, form: list[str]
) -> None:
    load(1)
    chain = tmp_path / "chain \x1b[31m\u202e.json"
    chain.write_bytes(recorded_file(1).read_bytes())
    check(run("devnet", "import", chain, *form))
    chain.write_text(json.dumps({"network": EVIL}), "utf-8")
    check(run("devnet", "import", chain, *form))
    (home() / "config.toml").write_text(f'{json.dumps(EVIL[:20])} = "1"\n', "utf-8")
    check(run("config", "show", *form))
    (home() / "config.toml").write_text("\x1b[31m = \u202e", "utf-8")
    check(run("config", "show", *form))


def test_the_recorded_file_name_in_the_status_is_harmless(tmp_path: Path) -> None:
    chain = tmp_path / "chain \x1b[31m\u202e.json"
    chain.write_bytes(recorded_file(1).read_bytes())
    for form in ([], ["--json"]):
        run("devnet", "import", chain)
        check(run("devnet", "status", *form))


# ---- 80 columns


ORDINARY = [
    *(["verify", meter] for meter in recorded_json(1)["meters"]),
    ["verify", meter(1), meter(4), meter(23), "-v"],
    ["meter", "show", meter(16)],
    ["meter", "list"],
    ["org", "list"],
    ["org", "accepted"],
    ["org", "accept", MUELLER],
    *(["org", line, name] for line in ("show", "history") for name in (PASSAU, MUELLER, BILLIG)),
    ["org", "members", PASSAU],
    ["config", "set", "min_confirmations", "7"],
    ["devnet", "import", recorded_file(1)],
    ["devnet", "mine", "1"],
    ["devnet", "reset", "--yes"],
    ["demo"],
]


@pytest.mark.parametrize("line", ORDINARY, ids=lambda line: " ".join(map(str, line))[:50])
def test_no_line_in_a_pipe_is_longer_than_80_columns_or_coloured(line: list[str]) -> None:
    load(1)
    ran = run(*line, env={"COLUMNS": "200", "TERM": "xterm-256color"})
    # Commands to copy stay whole.
    shown = [line for line in ran.out.splitlines() if not line.lstrip().startswith("$ doitrust ")]
    assert max(map(len, shown), default=0) <= 80
    assert "\x1b" not in ran.out + ran.err
    assert ran.err == ""


def test_the_text_in_a_pipe_does_not_depend_on_the_terminal_outside() -> None:
    load(1)
    shown = {run("verify", meter(4), env={"COLUMNS": columns}).out for columns in (None, "20", "200")}
    assert len(shown) == 1


def test_no_line_ends_in_spaces() -> None:
    load(1)
    for line in (["verify", meter(4)], ["verify", meter(16), "-v"], ["meter", "list"], ["demo"]):
        padded = [text for text in run(*line).out.splitlines() if text != text.rstrip()]
        assert padded == [], line


@pytest.mark.parametrize("number", [1, 4, 8, 16, 17, 21, 23])
def test_a_key_or_a_txid_is_never_broken_over_two_lines(number: int) -> None:
    load(1)
    for line in (
        ["verify", meter(number)],
        ["verify", meter(number), "-v"],
        ["meter", "show", meter(number)],
    ):
        long = re.findall(r"\b[0-9a-f]{64,66}\b", run(*line, "--json").out)
        text = run(*line).out
        for word in set(long):
            squeezed = word in re.sub(r"\s", "", text)
            assert not squeezed or word in text, word


@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"TERM": "dumb"},
        {"TERM": None},
    ],
    ids=str,
)
def test_a_terminal_that_cannot_show_a_character_ends_no_verdict(env: dict[str, str | None]) -> None:
    load(1)
    ran = spawn("verify", meter(22), meter(17), env=env)
    assert ran.status == 3
    assert "TRUSTED" in ran.out
    assert "REVOKED" in ran.out
    assert ran.err == ""


def test_errors_in_a_terminal_that_cannot_show_them_are_errors_still() -> None:
    load(1)
    ran = spawn("org", "show", "Bäckerinnung", env={"PYTHONIOENCODING": "ascii"})
    assert ran.status == 1
    assert ran.err.startswith("Error: ")


# ---- a real terminal


def at_a_terminal(*arguments: object, columns: int = 100, env: Mapping[str, str | None]) -> str:
    """What a terminal of that width receives."""
    ours, theirs = pty.openpty()
    width = {"COLUMNS": str(columns), "TERM": "xterm-256color", **env}
    process = start(*arguments, env=width, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    received = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        received += chunk
    os.close(ours)
    process.wait(60)
    return received.decode()


COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]")


def test_a_terminal_gets_colours_unless_it_wants_none() -> None:
    load(1)
    assert COLOUR.search(at_a_terminal("verify", meter(1), env={}))
    assert not COLOUR.search(at_a_terminal("verify", meter(1), env={"NO_COLOR": "1"}))
    assert "\x1b" not in at_a_terminal("verify", meter(1), env={"TERM": "dumb"})


def test_a_terminal_gets_escapes_of_ours_only() -> None:
    copy_of(hostile_home())
    shown = at_a_terminal("verify", *METERS, "-v", env={})
    ours = re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[1A|\x1b\[2K|\r", "", shown)
    assert harmless(ours), ascii(ours)
    assert not re.search(r"\x1b\[31mred", shown)
