"""`doitrust key` as people and scripts use it, and that no secret is found where it must not be."""

import base64
import contextlib
import errno
import hashlib
import hmac
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import segno
from btclib import base58
from cli import Environment, Ran, environment, failure, files_below, home, load, run, told
from devnet_world import ROOT, recorded_json
from terminal import Terminal

from doitrust.adapters import phrases
from doitrust.adapters.devnet import Devnet
from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import Account, key_path
from doitrust.chain.address import hash160
from doitrust.chain.amounts import doi
from doitrust.chain.bip32 import ExtendedKey
from doitrust.chain.scripts import p2wpkh
from doitrust.cli.qr import qr_lines
from doitrust.ports import UnspentCoin

WEAK = Kdf(16, 1, 1)
ABOUT = "abandon " * 11 + "about"
#: 24 words that differ from all that the program says.
PHRASE = (
    "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis "
    "maple dilemma loan word shrug inflict delay length"
)
PASSPHRASE = "zwoelf-boxkaempfer-jagen"
GIVEN = {"DOITRUST_PASSPHRASE": PASSPHRASE}

#: The command line with a scrypt that takes no time, for processes that a test starts.
QUICK = (
    "-c",
    "import sys\n"
    "from doitrust.adapters.keystore import Keystore\n"
    "from doitrust.adapters.keyfile import Kdf\n"
    "Keystore.__init__.__kwdefaults__['kdf'] = Kdf(16, 1, 1)\n"
    "from doitrust.cli.main import main\n"
    "main()",
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the keystore's constructor ask for a scrypt that takes no time."""
    defaults = Keystore.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "kdf", WEAK)


@pytest.fixture
def alice() -> Path:
    """The file of a key made of the recorded chain's phrase."""
    keep("alice", ABOUT)
    return home() / "keys" / "alice.json"


def keep(name: str, phrase: str, passphrase: str = PASSPHRASE) -> None:
    Keystore(home() / "keys").add(
        name, phrases.entropy_of(Secret(phrase.encode())), Secret(passphrase.encode())
    )


def piped(text: str | bytes, *arguments: object, env: Environment = GIVEN) -> Ran:
    """Run with something on stdin, where there is no terminal."""
    data = text if isinstance(text, bytes) else text.encode()
    stdin = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    with patch("cli.io.StringIO", lambda: stdin):
        return run(*arguments, env=env)


def terminal(*arguments: object, env: Environment | None = None, **more: Any) -> Terminal:
    """Run at a terminal."""
    return Terminal(*arguments, env=environment(env), code=QUICK, **more)


# ---- show, list


#: The keys of the recorded chain's file that are the first of their accounts.
FIRST = {"member": "E1", "owner": "admin", "board": "board1"}


def test_the_public_parts_are_those_of_the_recorded_chain(alice: Path) -> None:
    shown = run("key", "show", "alice", "--json").value
    assert shown.keys() == {"name", "fingerprint", "keys"}
    assert (shown["name"], shown["fingerprint"]) == ("alice", "73c5da0a")
    assert list(shown["keys"]) == ["member", "owner", "board", "client"]
    for label, name in FIRST.items():
        known = recorded_json(1)["keys"][name]
        found = shown["keys"][label]
        assert (found["path"], found["key"], found["address"]) == tuple(known.values())
    for label, found in shown["keys"].items():
        assert found.keys() == {"path", "key", "address"} | (
            {"xpub", "descriptor_key"} if label == "board" else set()
        )
    xpub = ExtendedKey.parse(shown["keys"]["board"]["xpub"])
    assert shown["keys"]["board"]["xpub"].startswith("tpub")
    for index, name in enumerate(("board1", "board2", "board3")):
        assert xpub.child(0).child(index).key.hex() == recorded_json(1)["keys"][name]["pubkey"]


@pytest.mark.parametrize(
    ("network", "path", "address", "xpub"),
    [
        ("mainnet", "m/84h/7h/0h/0/0", "dc1q", "xpub"),
        ("testnet", "m/84h/1h/0h/0/0", "td1q", "tpub"),
        ("regtest", "m/84h/1h/0h/0/0", "ncrt1q", "tpub"),
        ("devnet", "m/84h/1h/0h/0/0", "ncrt1q", "tpub"),
    ],
)
def test_the_network_decides_paths_and_addresses(
    alice: Path, network: str, path: str, address: str, xpub: str
) -> None:
    keys = run("key", "show", "alice", "--json", "--network", network).value["keys"]
    assert keys["member"]["path"] == path
    assert all(found["address"].startswith(address) for found in keys.values())
    assert keys["board"]["xpub"].startswith(xpub)
    assert run("key", "list", "--json", "--network", network).value == [
        {
            "name": "alice",
            "fingerprint": "73c5da0a",
            "key": keys["member"]["key"],
            "address": keys["member"]["address"],
            "problem": None,
        }
    ]


def test_a_configured_coin_type_beats_the_networks(alice: Path) -> None:
    run("config", "set", "coin_type", "0")
    keys = run("key", "show", "alice", "--json", "--network", "mainnet").value["keys"]
    # BIP 84's own vector, as Electrum-DOI's seeds have it.
    assert keys["member"]["path"] == "m/84h/0h/0h/0/0"
    assert keys["member"]["key"] == "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c"


def test_another_coin_type_needs_the_passphrase_once(alice: Path) -> None:
    run("config", "set", "coin_type", "42")
    assert "coin type 42" in run("key", "list", "--json").value[0]["problem"]
    assert "passphrase" in failure("key", "show", "alice", status=2)
    first = run("key", "show", "alice", "--json", env=GIVEN).value
    assert first["keys"]["client"]["path"] == "m/84h/42h/5h/0/0"
    assert run("key", "show", "alice", "--json").value == first
    assert run("key", "list", "--json").value[0]["key"] == first["keys"]["member"]["key"]


def test_people_see_the_address_to_pay_to_as_text_and_code(alice: Path) -> None:
    address = recorded_json(1)["keys"]["E1"]["p2wpkh"]
    shown = run("key", "show", "alice").out
    for part in ("alice", "[73c5da0a]", "on devnet", "m/84h/1h/5h/0/0", "tpub", f"the member: {address}"):
        assert part in shown
    lines = qr_lines(address)
    assert "\n".join(lines) in shown
    assert "\x1b" not in shown
    assert run("key", "show", "alice", "--json").out.count("█") == 0


def test_the_code_says_the_address() -> None:
    """Read back module by module against segno's own matrix, light where a block is drawn."""
    lines = qr_lines("ncrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pgf6ugr")
    halves = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}
    rows = [[halves[c][half] for c in line] for line in lines for half in (0, 1)]
    made = segno.make_qr("ncrt1q6rz28mcfaxtmd6v789l9rrlrusdprr9pgf6ugr", error="l")
    expected = [list(row) for row in made.matrix_iter(border=4)]
    assert [[int(bool(module)) for module in row] for row in expected] == rows[: len(expected)]
    assert {len(line) for line in lines} == {len(expected)}
    assert len(expected) <= 80


def test_a_narrow_terminal_gets_no_broken_code(alice: Path) -> None:
    with terminal("key", "show", "alice", env={"COLUMNS": "30"}) as screen:
        screen.expect("To certify, pay DOI")
        assert screen.leave() == 0
        assert "▀" not in screen.shown
    with terminal("key", "show", "alice", env={"COLUMNS": "80"}) as screen:
        assert screen.leave() == 0
        assert "▀" in screen.shown


def test_keys_are_listed_a_damaged_one_too(alice: Path) -> None:
    assert "no key yet" in run("key", "list", env={"DOITRUST_HOME": str(home() / "other")}).out
    assert run("key", "list", "--json", env={"DOITRUST_HOME": str(home() / "other")}).value == []
    keep("bob", PHRASE)
    alice.write_bytes(alice.read_bytes().replace(b"a", b"b", 1))
    one, two = run("key", "list", "--json").value
    assert (one["name"], one["fingerprint"], one["key"], one["address"]) == ("alice", None, None, None)
    assert "damaged" in one["problem"]
    assert (two["name"], two["problem"]) == ("bob", None)
    shown = run("key", "list").out
    assert "damaged" in shown
    assert two["address"] in shown
    for command in (["key", "show"], ["key", "balance"], ["key", "passphrase"]):
        assert "damaged" in failure(
            *command, "alice", env={**GIVEN, "DOITRUST_NEW_PASSPHRASE": "another one"}
        )


def test_what_a_file_shows_can_be_checked(alice: Path) -> None:
    assert run("key", "show", "alice", "--check", env=GIVEN).status == 0
    keep("mallory", PHRASE)
    document, hers = (json.loads(path.read_text()) for path in (alice, alice.with_name("mallory.json")))
    document["accounts"] = hers["accounts"]
    del document["sum"]
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    document["sum"] = hashlib.sha256(text.encode()).hexdigest()
    alice.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    hers_shown = run("key", "show", "mallory", "--json").value["keys"]
    shown = run("key", "show", "alice", "--json").value["keys"]
    for keys in (shown, hers_shown):
        del keys["board"]["descriptor_key"]  # it begins with the master key's fingerprint
    assert shown == hers_shown  # nothing can notice
    assert "somebody changed" in failure("key", "show", "alice", "--check", env=GIVEN)
    new = {**GIVEN, "DOITRUST_NEW_PASSPHRASE": "another one"}
    assert "somebody changed" in failure("key", "passphrase", "alice", env=new)


@pytest.mark.parametrize("command", ["show", "balance", "passphrase", "delete"])
def test_a_key_that_is_not_there_is_told(command: str) -> None:
    env = {**GIVEN, "DOITRUST_NEW_PASSPHRASE": "another one"}
    assert "no key bob" in failure("key", command, "bob", env=env)
    assert run("key", command, "bob", "--json", env=env).error["code"] == "no_such_key"
    assert "no name for a key" in failure("key", command, "../bob", env=env, status=2)
    assert not (home() / "keys").exists()


# ---- import


def test_a_phrase_is_taken_from_stdin() -> None:
    ran = piped(ABOUT.upper() + "\n", "key", "import", "alice", "--json")
    assert ran.status == 0
    assert ran.value == run("key", "show", "alice", "--json").value
    assert (ran.value["fingerprint"], ran.err) == ("73c5da0a", "")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("abandon " * 11, "not 11"),
        (ABOUT.replace("about", "abuot"), "word 12"),
        ("abandon " * 12, "checksum"),
        ("abandon " * 1000, "no phrase"),
        (b"\xff\xfe", "no phrase"),
    ],
)
def test_a_phrase_that_is_none_is_refused_without_repeating_it(typed: str | bytes, said: str) -> None:
    ran = piped(typed, "key", "import", "alice")
    assert ran.status in (1, 2)
    assert said in told(ran, ran.status)
    assert not {"abandon", "abuot"} & set(ran.err.split())
    assert not home().exists()


@pytest.mark.parametrize("typed", ["", " \n\n"])
def test_without_a_phrase_it_says_what_it_would_have_asked(typed: str) -> None:
    assert "recovery phrase" in told(piped(typed, "key", "import", "alice"), 2)


def test_without_a_passphrase_the_phrase_is_not_even_read() -> None:
    assert "passphrase" in told(piped(ABOUT, "key", "import", "alice", env={}), 2)
    assert not home().exists()


def test_a_name_that_is_taken_is_refused_first(alice: Path) -> None:
    before = alice.read_bytes()
    assert "already" in told(piped(PHRASE, "key", "import", "ALICE"))
    assert run("key", "new", "alice", "--json").error["code"] == "key_exists"
    assert alice.read_bytes() == before


def test_a_phrase_on_the_command_line_is_refused_and_not_repeated() -> None:
    ran = piped("", "key", "import", "alice", *ABOUT.split())
    assert "command line" in told(ran, 2)
    assert "abandon" not in ran.err
    assert piped("", "key", "import", "alice", ABOUT).status == 2
    assert "abandon" not in piped("", "key", "import", ABOUT).err


def test_a_phrase_is_asked_for_without_an_echo() -> None:
    with terminal("key", "import", "alice") as screen:
        screen.expect("Recovery phrase .*: ")
        screen.enter(PHRASE)
        screen.expect("New passphrase for alice: ")
        screen.enter(PASSPHRASE)
        screen.expect("again: ")
        screen.enter(PASSPHRASE)
        screen.expect("To certify, pay DOI")
        assert screen.leave() == 0
        assert PASSPHRASE not in screen.shown
        assert not [word for word in PHRASE.split() if f" {word} " in screen.shown]
    assert run("key", "show", "alice", "--check", env=GIVEN).status == 0


# ---- new


_WORDS = re.compile(r"(\d+) ([a-z]+)")


def write_down(screen: Terminal) -> dict[int, str]:
    """Read the words on the screen, as with paper and pencil."""
    start = screen.expect("The 24 words of the key alice").end()
    end = screen.expect("Press Enter when they are on paper ").start()
    words = {int(number): word for number, word in _WORDS.findall(screen.shown[start:end])}
    assert sorted(words) == list(range(1, 25))
    return words


def answer(screen: Terminal, words: Mapping[int, str]) -> int:
    """Answer the next question for a word; returns its number."""
    number = int(screen.expect(r"Word (\d+): ")[1])
    screen.enter(words[number])
    return number


def test_a_new_key_is_written_down_asked_back_and_kept() -> None:
    with terminal("key", "new", "alice") as screen:
        for prompt in ("New passphrase for alice: ", "The same again: "):
            screen.expect(prompt)
            screen.enter(PASSPHRASE)
        words = write_down(screen)
        opened = screen.shown.index("\x1b[?1049h")
        screen.enter("")
        screen.expect(r"\x1b\[2J")
        asked = {answer(screen, words), answer(screen, words)}
        closed = screen.expect(r"\x1b\[2J\x1b\[H\x1b\[\?1049l").start()
        assert screen.leave() == 0
    assert len(asked) == 2
    assert opened < screen.shown.index(f" 1 {words[1]} ") < closed
    phrase = " ".join(words[number] for number in range(1, 25))
    outside = screen.shown[:opened] + screen.shown[closed:]
    assert PASSPHRASE not in screen.shown
    assert not [word for number, word in words.items() if f" {number} {word}" in outside]
    assert not [word for word in words.values() if len(word) > 6 and word in outside.split()]
    other = {"DOITRUST_HOME": str(home() / "other"), **GIVEN}
    imported = piped(phrase, "key", "import", "alice", "--json", env=other).value
    assert imported == run("key", "show", "alice", "--json").value
    assert imported["fingerprint"] in screen.shown
    assert run("key", "show", "alice", "--check", env=GIVEN).status == 0


def test_new_keys_have_new_phrases_and_any_two_words_are_asked_for() -> None:
    seen, asked = set(), set()
    for _ in range(2):
        with terminal("key", "new", "alice", env=GIVEN) as screen:
            words = write_down(screen)
            seen.add(tuple(words.values()))
            screen.enter("")
            asked.add(answer(screen, words))
            screen.expect("Word")
            screen.press(b"\x03")
            assert screen.leave() == 5
    assert len(seen) == 2
    assert asked <= set(range(1, 25))
    assert files_below(home()) == {}


@pytest.mark.parametrize("wrong", [1, 2])
def test_a_wrong_word_and_nothing_is_kept(wrong: int) -> None:
    with terminal("key", "new", "alice", env=GIVEN) as screen:
        words = write_down(screen)
        screen.enter("")
        if wrong == 2:
            answer(screen, words)
        others = {number: next(w for w in words.values() if w != word) for number, word in words.items()}
        answer(screen, others)
        screen.expect("Error: that is not word")
        assert screen.leave() == 1
        assert screen.shown.index("Error") > screen.shown.index("\x1b[?1049l")
    assert files_below(home()) == {}


@pytest.mark.parametrize("key", [b"\x03", b"\x04"])
@pytest.mark.parametrize("at", ["passphrase", "phrase", "word"])
def test_leaving_at_any_prompt_keeps_nothing(key: bytes, at: str) -> None:
    with terminal("key", "new", "alice", env=GIVEN if at != "passphrase" else None) as screen:
        if at == "passphrase":
            screen.expect("New passphrase for alice: ")
        else:
            write_down(screen)
            if at == "word":
                screen.enter("")
                screen.expect("Word ")
        screen.press(key)
        screen.expect("Error: ")
        assert screen.leave() == 5
        assert "Traceback" not in screen.shown
        assert screen.shown.count("\x1b[?1049h") == screen.shown.count("\x1b[?1049l")
    assert files_below(home()) == {}


def test_a_terminal_that_knows_no_second_page_pushes_the_phrase_away() -> None:
    with terminal("key", "new", "alice", env={**GIVEN, "TERM": "dumb"}) as screen:
        words = write_down(screen)
        screen.enter("")
        screen.expect(r"(\r\n){24}")
        answer(screen, words)
        answer(screen, words)
        assert screen.leave() == 0
    assert "\x1b" not in screen.shown


@pytest.mark.parametrize("arguments", [[], ["--yes"], ["--json"]])
def test_without_a_terminal_no_key_is_made(arguments: list[str]) -> None:
    ran = run("key", "new", "alice", *arguments, env=GIVEN)
    assert ran.status == 2
    assert "terminal" in (ran.error["message"] if arguments == ["--json"] else told(ran, 2))
    assert not home().exists()


def test_no_phrase_goes_where_output_is_redirected_to(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        out.open("wb") as file,
        terminal("key", "new", "alice", "--json", env=GIVEN, elsewhere={"stdout": file.fileno()}) as screen,
    ):
        words = write_down(screen)
        screen.enter("")
        answer(screen, words)
        answer(screen, words)
        assert screen.leave() == 0
    assert json.loads(out.read_text()) == run("key", "show", "alice", "--json").value


@pytest.mark.parametrize("elsewhere", [("stdout", "stderr"), ("stdin",)])
def test_without_a_whole_terminal_no_key_is_made(tmp_path: Path, elsewhere: Sequence[str]) -> None:
    with (
        (tmp_path / "file").open("wb+") as file,
        terminal("key", "new", "bob", env=GIVEN, elsewhere=dict.fromkeys(elsewhere, file.fileno())) as screen,
    ):
        assert screen.leave() == 2
    assert "is shown on a terminal only" in screen.shown + (tmp_path / "file").read_text()
    assert files_below(home()) == {}


# ---- passphrases


def test_a_passphrase_is_typed_twice_until_both_are_the_same(alice: Path) -> None:
    with terminal("key", "passphrase", "alice", env=GIVEN) as screen:
        for first, second in (("one", "two"), ("a new one", "a new one")):
            screen.expect("New passphrase for alice: ")
            screen.enter(first)
            screen.expect("The same again: ")
            screen.enter(second)
        assert screen.leave() == 0
        assert "not the same" in screen.shown
    assert run("key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE": "a new one"}).status == 0
    assert "wrong passphrase" in failure("key", "show", "alice", "--check", env=GIVEN)


def test_a_wrong_passphrase_may_be_typed_again(alice: Path) -> None:
    with terminal("key", "show", "alice", "--check") as screen:
        for typed in ("wrong", "also wrong", PASSPHRASE):
            screen.expect("Passphrase of alice: ")
            screen.enter(typed)
        assert screen.leave() == 0
    with terminal("key", "show", "alice", "--check") as screen:
        for _ in range(3):
            screen.expect("Passphrase of alice: ")
            screen.enter("wrong")
        screen.expect("Error: wrong passphrase")
        assert screen.leave() == 1


def test_an_empty_passphrase_protects_nothing(alice: Path) -> None:
    with terminal("key", "passphrase", "alice", env=GIVEN) as screen:
        screen.expect("New passphrase")
        screen.enter("")
        screen.expect("empty")
        assert screen.leave() == 2


def test_a_terminal_that_cannot_hide_is_not_asked(alice: Path) -> None:
    """As in an editor's shell: it says that it is a terminal, and can't switch its echo off."""
    code = (*QUICK[:1], "import getpass, termios\ntermios.tcsetattr = None\n" + QUICK[1])
    broken = code[1].replace(
        "tcsetattr = None", "tcgetattr = lambda *_: (_ for _ in ()).throw(termios.error)"
    )
    with Terminal("key", "show", "alice", "--check", env=environment(), code=("-c", broken)) as screen:
        screen.expect("would show what you type")
        assert screen.leave() == 1


@pytest.mark.parametrize("arguments", [["show", "--check"], ["passphrase"]])
def test_without_a_terminal_or_a_passphrase_it_says_what_it_would_have_asked(
    alice: Path, arguments: list[str]
) -> None:
    env = {"DOITRUST_NEW_PASSPHRASE": "another one"}
    message = failure("key", *arguments, "alice", env=env, status=2)
    assert "passphrase of alice" in message
    assert "DOITRUST_PASSPHRASE_FILE" in message
    assert "DOITRUST_NEW_PASSPHRASE" in failure("key", "passphrase", "alice", env=GIVEN, status=2)


def test_the_passphrase_may_come_from_a_files_first_line(alice: Path, tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    env = {"DOITRUST_PASSPHRASE_FILE": str(file)}
    for content in (PASSPHRASE, f"{PASSPHRASE}\n", f"{PASSPHRASE}\r\nmore\n"):
        file.write_text(content, newline="")
        file.chmod(0o600)
        assert run("key", "show", "alice", "--check", env=env).status == 0
    file.write_text(f" {PASSPHRASE}\n")
    assert "wrong" in failure("key", "show", "alice", "--check", env=env)


@pytest.mark.parametrize(
    ("content", "said", "status"),
    [
        (b"", "is empty", 2),
        (b"\n", "is empty", 2),
        (b"\xff\n", "not UTF-8", 2),
        (b"a\0b\n", "control character", 2),
        (b"x" * 5000, "more than", 2),
    ],
)
def test_a_passphrase_file_that_cannot_be_meant_is_told(
    alice: Path, tmp_path: Path, content: bytes, said: str, status: int
) -> None:
    file = tmp_path / "passphrase"
    file.write_bytes(content)
    file.chmod(0o600)
    message = failure(
        "key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE_FILE": str(file)}, status=status
    )
    assert said in message
    assert "DOITRUST_PASSPHRASE_FILE" in message


@pytest.mark.skipif(os.name != "posix", reason="cannot be had here: modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o666, 0o601])
def test_a_passphrase_file_that_others_can_use_is_refused(alice: Path, tmp_path: Path, mode: int) -> None:
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE)
    file.chmod(mode)
    message = failure("key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE_FILE": str(file)})
    assert f"mode {mode:03o}" in message
    assert "chmod 600" in message
    file.chmod(0o400)
    assert run("key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE_FILE": str(file)}).status == 0


def test_a_passphrase_file_that_is_not_there_is_told(alice: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path / "\x1b[31m"):
        message = failure("key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE_FILE": str(path)})
        assert "No such file" in message
    tmp_path.chmod(0o700)
    assert "directory" in failure(
        "key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE_FILE": str(tmp_path)}
    )


def test_two_places_for_one_passphrase_are_one_too_many(alice: Path, tmp_path: Path) -> None:
    both = {**GIVEN, "DOITRUST_PASSPHRASE_FILE": str(tmp_path / "x")}
    assert "both" in failure("key", "show", "alice", "--check", env=both, status=2)
    empty = {**GIVEN, "DOITRUST_PASSPHRASE_FILE": ""}
    assert run("key", "show", "alice", "--check", env=empty).status == 0


def test_a_passphrase_is_the_same_from_every_keyboard() -> None:
    keep("alice", ABOUT, "Gr\u00fc\u00dfe aus Passau")
    for typed in ("Gr\u00fc\u00dfe aus Passau", "Gru\u0308\u00dfe aus Passau"):
        assert run("key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE": typed}).status == 0


def test_a_short_passphrase_is_taken_with_a_warning() -> None:
    ran = piped(ABOUT, "key", "import", "alice", env={"DOITRUST_PASSPHRASE": "short"})
    assert ran.status == 0
    assert "short" in ran.err
    assert piped(PHRASE, "key", "import", "bob").err == ""


def test_a_passphrase_is_changed_by_a_script(alice: Path) -> None:
    env = {**GIVEN, "DOITRUST_NEW_PASSPHRASE": "quite another one"}
    ran = run("key", "passphrase", "alice", "--json", env=env)
    assert (ran.status, ran.value) == (0, {})
    assert (
        run("key", "show", "alice", "--check", env={"DOITRUST_PASSPHRASE": "quite another one"}).status == 0
    )
    assert "wrong passphrase" in failure("key", "passphrase", "alice", env=env)


# ---- delete, balance


def test_deleting_is_asked_about(alice: Path) -> None:
    assert "Remove the key alice [73c5da0a]" in failure("key", "delete", "alice", status=2)
    refused = run("key", "delete", "alice", typed="n\n")
    assert (refused.status, alice.exists()) == (5, True)
    assert run("key", "delete", "alice", typed="y\n").status == 0
    assert not alice.exists()
    assert run("key", "list", "--json").value == []
    keep("alice", ABOUT)
    assert run("key", "delete", "alice", "--yes", "--json").value == {}


def test_a_damaged_key_can_be_deleted(alice: Path) -> None:
    alice.write_bytes(b"damaged")
    assert run("key", "delete", "alice", "--yes").status == 0
    assert not alice.exists()


def test_the_balance_is_what_can_be_spent_on_the_chain(alice: Path) -> None:
    load(1)
    value = run("key", "balance", "alice", "--json").value
    devnet = Devnet(home() / "devnet")
    for label, name in FIRST.items():
        known = recorded_json(1)["keys"][name]
        coins = devnet.coins(p2wpkh(hash160(bytes.fromhex(known["pubkey"]))))
        spendable = sum(coin.value for coin in coins if coin.mature)
        assert value["keys"][label] == {
            "path": known["path"],
            "address": known["p2wpkh"],
            "spendable": f"{spendable / 10**8:.8f}",
        }
    assert float(value["keys"]["member"]["spendable"]) > 0
    total = sum(round(float(shown["spendable"]) * 10**8) for shown in value["keys"].values())
    assert value["total"] == f"{total / 10**8:.8f}"
    assert (value["name"], value["network"]) == ("alice", "devnet")
    shown = run("key", "balance", "alice").out
    assert f"{value['total']} DOI" in shown
    assert all(found["address"] in shown for found in value["keys"].values())


def test_coins_that_are_not_mature_or_carry_a_name_are_none_to_spend() -> None:
    class Source:
        """A chain that has one coin, just mined."""

        name, own, network = "made", True, None

        def coins(self, script: bytes) -> list[UnspentCoin]:
            return [
                UnspentCoin("00" * 32, 0, 5, 1, 1, mature=False),
                UnspentCoin("11" * 32, 0, 7, 1, 1, mature=True),
            ]

    keep("alice", ABOUT)
    with patch("doitrust.cli.app.App.node", Source()):
        assert run("key", "balance", "alice", "--json").value["total"] == "0.00000028"


def test_the_balance_needs_a_source(alice: Path) -> None:
    env = {"HOME": str(home())}
    failed = run("key", "balance", "alice", "--json", "--network", "mainnet", env=env)
    assert failed.error["code"] in ("no_cookie", "node_not_running")


@pytest.mark.parametrize(
    ("schwartz", "shown"),
    [(0, "0.00000000"), (1, "0.00000001"), (10**8, "1.00000000"), (123_456_789_012, "1234.56789012")],
)
def test_amounts_have_eight_decimals(schwartz: int, shown: str) -> None:
    assert doi(schwartz) == shown


# ---- a full disk


def test_a_full_disk_is_told_and_leaves_what_was_there(alice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = files_below(home())
    monkeypatch.setattr(os, "fsync", full)
    assert "No space" in told(piped(PHRASE, "key", "import", "bob"))
    env = {**GIVEN, "DOITRUST_NEW_PASSPHRASE": "another one"}
    assert "No space" in failure("key", "passphrase", "alice", env=env)
    assert files_below(home()) == before


# ---- secrets stay secret


def needles() -> dict[str, bytes]:
    """Every form of a secret that must not be found anywhere, by what it is."""
    entropy = phrases.entropy_of(Secret(PHRASE.encode()))
    seed = phrases.seed_of(entropy)
    found = {"passphrase": PASSPHRASE.encode(), "new passphrase": NEW.encode()}
    words = PHRASE.split()
    for at in range(len(words) - 1):
        for between in (" ", "\n", ",", '", "', "', '", '",\n    "'):
            found[f"words {at} {between!r}"] = between.join(words[at : at + 2]).encode()
    raw = {"entropy": bytes(entropy.data), "seed": bytes(seed.data)}
    master = hmac.digest(b"Bitcoin seed", bytes(seed.data), "sha512")
    raw |= {"master key": master[:32]}
    for coin_type in (0, 1, 7):
        for account in Account:
            for path in (key_path(coin_type, account), key_path(coin_type, account)[:3]):
                raw[f"key {path}"] = bytes(phrases.private_key(seed, path).data)
    for what, data in raw.items():
        found[what] = data
        found[f"{what} hex"] = data.hex().encode()
        found[f"{what} base64"] = base64.b64encode(data)[:40]
        found[f"{what} repr"] = repr(data)[2:-1].encode()
        for version in (b"\x80", b"\xb4", b"\xef"):  # WIF
            wif = base58.encode(version + data + b"\1") if len(data) == 32 else b""
            if wif:
                found[f"{what} WIF {version.hex()}"] = wif
    found["extended private keys"] = b"xprv"
    found["extended private test keys"] = b"tprv"
    return found


NEW = "vogel-quax-zwickt-pferde"


def watched(*arguments: str, stdin: str | None, env: Environment, code: Sequence[str] = QUICK) -> bytes:
    """Run a process and return all that it shows to others: its output, and what /proc tells of it meanwhile."""
    process = subprocess.Popen(
        [sys.executable, *code, *arguments],
        env={**environment(env), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    seen = set()
    assert process.stdin is not None
    for moment in range(2):
        for place in ("cmdline", "environ"):
            for pid in (process.pid, *_children(process.pid)):
                with contextlib.suppress(OSError):
                    seen.add(Path(f"/proc/{pid}/{place}").read_bytes())
        if moment == 0:
            process.stdin.write((stdin or "").encode())
            process.stdin.close()
            time.sleep(0.2)
    out, err = process.stdout, process.stderr
    assert out is not None
    assert err is not None
    told = out.read() + err.read()
    process.wait()
    out.close()
    err.close()
    return b"\n".join([told, *seen])


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


#: Break something deep inside, so that a traceback is shown.
BROKEN = """
import doitrust.adapters.{module} as module
def broken(*_, **__): raise RuntimeError("a bug")
module.{name} = broken
"""


def test_no_secret_is_found_anywhere(tmp_path: Path) -> None:
    given, new = tmp_path / "given", tmp_path / "new"
    for file, content in ((given, PASSPHRASE), (new, NEW)):
        file.write_text(content)
        file.chmod(0o600)
    env = {"DOITRUST_PASSPHRASE_FILE": str(given), "TMPDIR": str(home().parent)}
    both = {**env, "DOITRUST_NEW_PASSPHRASE_FILE": str(new)}
    wrong = {**env, "DOITRUST_PASSPHRASE_FILE": str(new)}
    seen = [
        watched("key", "import", "alice", stdin=PHRASE, env=env),
        watched("key", "passphrase", "alice", stdin=None, env=both),
    ]
    for module, name in (
        ("phrases", "_master"),
        ("keyfile", "ChaCha20Poly1305"),
        ("keystore", "write_atomic"),
    ):
        code = QUICK[1].replace("main()", BROKEN.format(module=module, name=name) + "main()")
        told = watched("key", "import", "carol", stdin=PHRASE, env=env, code=("-c", code))
        assert b"RuntimeError: a bug" in told
        seen.append(told)
    for ran in (
        piped(PHRASE, "key", "import", "alice", env=env),  # there is one
        piped(PHRASE + " length", "key", "import", "bob", env=env),
        piped(PHRASE.replace("razor", "rasor"), "key", "import", "bob", env=env),
        piped(
            PHRASE.replace("hamster diagram", "diagram hamster"), "key", "import", "bob", "--json", env=env
        ),
        run("key", "show", "alice", "--json", "-vv", env=env),
        run("key", "show", "alice", "--check", "--json", env=env),  # no longer its passphrase
        run("key", "balance", "alice", env=env),
        run("key", "list", env=env),
        run("key", "delete", "nobody", "--yes", env=env),
        run("key", "show", "alice", "--check", env=wrong),
    ):
        seen.append(f"{ran.out}\n{ran.err}".encode())
    assert b"as it was sealed" in seen[-1]  # the last one knew the new passphrase
    written = files_below(home().parent)
    assert "doitrust/keys/alice.json" in written
    places = {**written, **{f"run {at}": shown for at, shown in enumerate(seen)}}
    found = [(what, where) for what, form in needles().items() for where in places if form in places[where]]
    assert found == []


def test_a_crash_writes_no_memory_to_the_disk(alice: Path) -> None:
    before = "import resource as r\nhard = r.getrlimit(r.RLIMIT_CORE)[1]\nr.setrlimit(r.RLIMIT_CORE, (hard, hard))\n"
    after = "\ntry: main()\nfinally: print('core', hard, r.getrlimit(r.RLIMIT_CORE)[0])"
    code = before + QUICK[1].replace("main()", after)
    shown = watched("key", "show", "alice", "--check", "--json", stdin=None, env=GIVEN, code=("-c", code))
    if b"core 0 " in shown:
        pytest.skip("cannot be had here: core dumps")
    assert re.search(rb"core -?\d+ 0\n", shown)
