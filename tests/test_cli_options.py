"""Global options wherever they stand, their environment variables, and the configuration file."""

from pathlib import Path

import click
import pytest
from cli import (
    BILLIG,
    BILLIG_ROOT,
    MUELLER,
    MUELLER_ROOT,
    NOUNS,
    PASSAU,
    accepted,
    commands,
    failure,
    home,
    load,
    meter,
    run,
    told,
    verdict,
)
from devnet_world import recorded_file

NOWHERE = {"DOITRUST_NETWORK": None}


@pytest.mark.parametrize(
    "line",
    [
        "--json --network devnet --yes org list",
        "--json org --network devnet list --yes",
        "org --json --yes list --network devnet",
        "--yes org list --network=devnet --json",
        "--network devnet --network mainnet org --network devnet list --json",
        "--json -v --signer keystore:me --yes org -v list --signer ledger --network devnet -vv",
    ],
)
def test_global_options_may_stand_before_between_and_after_the_commands(line: str) -> None:
    load(1)
    names = [entry["name"] for entry in run(*line.split(), env=NOWHERE).value]
    assert {PASSAU, MUELLER} <= set(names)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_folders_may_be_named_at_each_place(tmp_path: Path, at: int) -> None:
    load(1, tmp_path / "elsewhere")
    line = ["org", "accepted", "--json"]
    line[at:at] = ["--home", str(tmp_path / "elsewhere")]
    assert len(run(*line).value) == 2
    assert not home().exists()


@pytest.mark.parametrize("noun", NOUNS)
def test_every_option_has_an_environment_variable_of_its_name(noun: str) -> None:
    for line, command in commands(noun):
        for option in command.params:
            if isinstance(option, click.Option) and option.name not in ("help", "version"):
                flag = max(option.opts, key=len).removeprefix("--")
                assert option.envvar == "DOITRUST_" + flag.replace("-", "_").upper(), line


def test_the_environment_speaks_for_each_global_option(tmp_path: Path) -> None:
    load(1, tmp_path / "other")
    config = tmp_path / "my.toml"
    config.write_text("min_confirmations = 7\n", "utf-8")
    env = {
        "DOITRUST_HOME": str(tmp_path / "home"),
        "DOITRUST_DEVNET": str(tmp_path / "other" / "devnet"),
        "DOITRUST_CONFIG": str(config),
        "DOITRUST_JSON": "1",
        "DOITRUST_YES": "1",
        "DOITRUST_VERBOSE": "1",
        "DOITRUST_SIGNER": "keystore:me",
    }
    shown = run("config", "show", env=env).value
    assert shown["settings"] == {"min_confirmations": 7}
    assert (shown["file"], shown["home"]) == (str(config), env["DOITRUST_HOME"])
    assert run("devnet", "status", env=env).value["blocks"] == 543
    assert run("devnet", "reset", env=env).value == {}
    assert run("devnet", "status", env=env).value["blocks"] == 0


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("MIN_CONFIRMATIONS", "1", "trusted"),
        ("MAX_WRITES", "1", "undetermined"),
        ("EVIDENCE", "{evidence}", "undetermined"),
    ],
)
def test_the_environment_speaks_for_a_commands_own_options(
    tmp_path: Path, name: str, value: str, status: str
) -> None:
    load(1)
    waiting, evidence = meter(23), tmp_path / "evidence.json"
    assert verdict(waiting)["status"] == "unconfirmed"
    verdict(meter(2), "--save-evidence", evidence)
    asked = meter(2) if name == "EVIDENCE" else waiting
    assert verdict(asked, env={f"DOITRUST_{name}": value.format(evidence=evidence)})["status"] == status


def test_a_root_may_come_from_the_environment_too() -> None:
    load(1)
    assert run("org", "accept", BILLIG, env={"DOITRUST_ROOT": BILLIG_ROOT}).status == 0
    assert accepted() == [PASSAU, MUELLER, BILLIG]


def test_an_empty_variable_says_nothing() -> None:
    load(1)
    empty = dict.fromkeys(("DOITRUST_JSON", "DOITRUST_CONFIG", "DOITRUST_DEVNET", "DOITRUST_YES"), "")
    assert "TRUSTED" in run("verify", meter(1), env=empty).out


def test_the_command_line_beats_the_environment_and_that_the_configuration() -> None:
    load(1)
    (home() / "config.toml").write_text('network = "devnet"\n', "utf-8")
    mainnet = {"DOITRUST_NETWORK": "mainnet"}
    asked = ["org", "list", "--json"]
    assert run(*asked, env=NOWHERE).status == 0
    assert run(*asked, env=mainnet).error["code"] == "no_cookie"
    for line in (["--network", "devnet", *asked], [*asked, "--network", "devnet"]):
        assert run(*line, env=mainnet).status == 0
    assert run("--network", "testnet", *asked, env=NOWHERE).error["code"] == "no_cookie"


def test_an_option_beats_its_setting_in_the_configuration() -> None:
    load(1)
    run("config", "set", "min_confirmations", "1")
    assert verdict(meter(23))["status"] == "trusted"
    assert verdict(meter(23), "--min-confirmations", 2)["status"] == "unconfirmed"
    assert verdict(meter(23), env={"DOITRUST_MIN_CONFIRMATIONS": "2"})["status"] == "unconfirmed"


def test_mainnet_is_asked_unless_told_otherwise() -> None:
    message = failure("verify", meter(1), env=NOWHERE)
    assert "mainnet" in message


@pytest.mark.parametrize("env", [{}, {"DOITRUST_NETWORK": "mars"}])
def test_an_unknown_network_is_a_mistake_of_use(env: dict[str, str]) -> None:
    line = ["org", "list"] if env else ["org", "list", "--network", "mars"]
    message = failure(*line, env=env, status=2)
    assert "mars" in message
    assert "devnet" in message


def test_two_homes_share_a_devnet_and_keep_their_own_pins(tmp_path: Path) -> None:
    world = tmp_path / "world"
    one, two = ({"DOITRUST_HOME": str(tmp_path / name), "DOITRUST_DEVNET": str(world)} for name in "ab")
    assert run("devnet", "import", recorded_file(1), env=one).status == 0
    assert verdict(meter(22), env=one)["status"] == "trusted"
    assert accepted(env=two) == []
    told_to_two = verdict(meter(22), env=two)
    assert (told_to_two["status"], told_to_two["reason"]) == ("untrusted", "organization_not_accepted")
    assert run("org", "accept", MUELLER, "--root", MUELLER_ROOT, env=two).status == 0
    assert verdict(meter(22), env=two)["status"] == "trusted"
    assert (accepted(env=one), accepted(env=two)) == ([PASSAU, MUELLER], [MUELLER])
    run("devnet", "mine", 3, env=two)
    assert run("devnet", "status", "--json", env=one).value["blocks"] == 546


def test_importing_what_another_home_has_imported_accepts_its_organisations_here_too(tmp_path: Path) -> None:
    load(1, tmp_path / "first")
    second = {"DOITRUST_DEVNET": str(tmp_path / "first" / "devnet")}
    told = run("devnet", "import", recorded_file(1), "--json", env=second).value
    assert (told["imported"], told["accepted"]) == (False, [PASSAU, MUELLER])
    assert accepted(env=second) == [PASSAU, MUELLER]


def test_pins_are_kept_by_network() -> None:
    load(1)
    assert accepted(env={"DOITRUST_NETWORK": "regtest"}) == []
    assert accepted() == [PASSAU, MUELLER]


# ---- config

SETTINGS = {
    "network": ("testnet", "testnet"),
    "node.url": ("http://127.0.0.1:8339", "http://127.0.0.1:8339"),
    "node.cookie": ("~/.doichain/.cookie", "~/.doichain/.cookie"),
    "node.user": ("me", "me"),
    "node.own": ("no", False),
    "node2.url": ("https://node.example", "https://node.example"),
    "ipfs.api": ("/ip4/127.0.0.1/tcp/5001", "/ip4/127.0.0.1/tcp/5001"),
    "ipfs.gateways": ("https://a.example, https://b.example", ["https://a.example", "https://b.example"]),
    "min_confirmations": ("12", 12),
    "signer": ("ledger", "ledger"),
    "coin_type": ("0", 0),
}


def test_every_setting_can_be_set_and_is_shown() -> None:
    for key, (text, kept) in SETTINGS.items():
        assert run("config", "set", key, text, "--json").value == {key: kept}
    shown = run("config", "show", "--json", env=NOWHERE).value
    assert shown["settings"] == {key: kept for key, (_, kept) in SETTINGS.items()}
    assert shown["file"] == str(home() / "config.toml")
    text = run("config", "show").out
    assert all(key in text for key in SETTINGS)


def test_changing_a_setting_keeps_the_rest_of_the_file_as_it_was() -> None:
    file = home() / "config.toml"
    home().mkdir()
    file.write_text(
        '# mine\n[node] # the node\nuser = "me"   # who\n\n[ipfs]\napi = "/ip4/127.0.0.1/tcp/5001"\n', "utf-8"
    )
    assert run("config", "set", "node.url", "http://127.0.0.1:1").status == 0
    after = file.read_text("utf-8")
    for line in ("# mine", "[node] # the node", 'user = "me"   # who', 'api = "/ip4/127.0.0.1/tcp/5001"'):
        assert line in after
    assert run("config", "show", "--json").value["settings"]["node.url"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nosuch", "1"),
        ("node", "1"),
        ("node.url.more", "1"),
        ("network", "mars"),
        ("min_confirmations", "0"),
        ("min_confirmations", "-1"),
        ("min_confirmations", "six"),
        ("min_confirmations", "²"),
        ("min_confirmations", "1" * 30),
        ("coin_type", "-1"),
        ("node.own", "maybe"),
        ("ipfs.gateways", "a.example"),
        ("ipfs.gateways", "https://a.example, https://me:secret@b.example"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_and_nothing_is_written(key: str, value: str) -> None:
    told(run("config", "set", "--", key, value), status=2)
    assert not (home() / "config.toml").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"network = devnet",
        b"\xff\xfe",
        b"nosuch = 1\n",
        b'network = "mars"\n',
        b"min_confirmations = 0\n",
        b"min_confirmations = true\n",
        b"min_confirmations = 6.5\n",
        b'network = ["devnet"]\n',
        b'node = "http://127.0.0.1"\n',
        b"node.own = 1979-05-27\n",
        b"ipfs.gateways = [1, 2]\n",
        b"signer = {a = 1}\n",
    ],
)
def test_a_configuration_that_makes_no_sense_is_named_and_left_alone(content: bytes) -> None:
    home().mkdir()
    file = home() / "config.toml"
    file.write_bytes(content)
    assert "config.toml" in failure("config", "show")
    assert "config.toml" in failure("verify", meter(1))
    assert file.read_bytes() == content


def test_another_configuration_file_can_be_named(tmp_path: Path) -> None:
    load(1)
    file = tmp_path / "folder" / "other.toml"
    assert run("config", "set", "min_confirmations", "1", "--config", file).status == 0
    assert not (home() / "config.toml").exists()
    assert verdict(meter(23), "--config", file)["status"] == "trusted"
    assert verdict(meter(23))["status"] == "unconfirmed"


@pytest.mark.parametrize(
    "line", [["org", "list"], ["verify", meter(1)], ["config", "show"], ["devnet", "status"]]
)
@pytest.mark.parametrize("named", ["option", "environment"])
def test_a_configuration_file_that_was_named_and_is_not_there_is_an_error(
    tmp_path: Path, line: list[str], named: str
) -> None:
    load(1)
    file = tmp_path / "mistyped.toml"
    given, env = (
        (["--config", str(file)], None) if named == "option" else ([], {"DOITRUST_CONFIG": str(file)})
    )
    message = failure(*line, *given, env=env)
    assert "mistyped.toml" in message
    assert "Try: " in message
    assert run(*line, env={"DOITRUST_CONFIG": ""}).status == 0, "an empty variable names none"


def test_setting_makes_the_file_that_was_named(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    assert run("config", "set", "min_confirmations", "2", "--config", file).status == 0
    assert run("config", "show", "--json", "--config", file).value["settings"] == {"min_confirmations": 2}
