"""`doitrust pi init` and `pi pair`: the node's key, and what it signs for the electrician."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from cli import environment, files_below, home, run, told
from devnet_world import ROOT, Key
from terminal import Terminal
from test_nodekey import secret_in

from doitrust.chain.address import address_of, hash160
from doitrust.chain.networks import DEVNET, MAINNET
from doitrust.chain.scripts import p2pkh
from doitrust.meters.pairing import TYPES, Pairing, read_pairing, short_fingerprint

FOLDER = ROOT / "fixtures" / "telegrams"
GOOD = FOLDER / "dzg-importing.bin"
METER = "1DZG0012345678"
CLIENT = Key.named("client").public.hex()


def init() -> str:
    node: str = run("pi", "init", "--json").value["node"]
    return node


def pair(*arguments: object, client: str = CLIENT, source: object = GOOD, **options: Any) -> Any:
    return run("pi", "pair", "--client", client, "--source", source, *arguments, **options)


def paired(*arguments: object, **options: Any) -> Pairing:
    ran = pair("--json", *arguments, **options)
    assert ran.status == 0, ran
    return read_pairing(ran.out.encode())


# ---- pi init


def test_init_makes_a_key_and_tells_it() -> None:
    value = run("pi", "init", "--json").value
    node = bytes.fromhex(value["node"])
    assert value == {"node": node.hex(), "address": address_of(p2pkh(hash160(node)), DEVNET)}
    names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home().iterdir()}
    assert names == {"node.key": 0o600, "device.key": 0o600}
    assert stat.S_IMODE(home().stat().st_mode) == 0o700


def test_people_are_told_how_it_goes_on() -> None:
    ran = run("pi", "init", env={"DOITRUST_NETWORK": "mainnet"})
    node = re.search(r"node key +([0-9a-f]{66})\n", ran.out)
    assert node
    assert str(address_of(p2pkh(hash160(bytes.fromhex(node[1]))), MAINNET)) in ran.out
    assert ran.out.endswith("Try: doitrust pi pair --client KEY\n")


def test_a_second_init_shows_the_key_there_is() -> None:
    node = init()
    before = files_below(home())
    ran = run("pi", "init", "--json")
    assert ran.status == 1
    assert ran.error["code"] == "node_key_exists"
    assert ran.error["message"].endswith(node)
    assert node in told(run("pi", "init"))
    assert files_below(home()) == before


def test_init_takes_a_home_that_is_there_already() -> None:
    home().mkdir(mode=0o755)
    (home() / "config.toml").write_text("")
    init()
    assert stat.S_IMODE(home().stat().st_mode) == 0o700


KILLED = """
import os, signal, sys
from doitrust.cli.main import main
link, left = os.link, int(sys.argv.pop(1))
def killing(*arguments):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    link(*arguments)
os.link = killing
main(["pi", "init"])
"""


@pytest.mark.parametrize("links", [0, 1])
def test_an_init_that_is_killed_can_be_done_again(links: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(links)],
        env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-9, b"")
    assert (home() / "device.key").exists() is (links == 1)
    assert not (home() / "node.key").exists()
    refused = pair("--json")
    assert refused.error["code"] == "no_node_key"
    assert "doitrust pi init" in refused.error["hint"]
    init()
    assert paired().meter == METER


@pytest.mark.parametrize("wait", [0.05, 0.1, 0.15, 0.2, 0.25])
def test_an_init_that_is_killed_at_any_time_can_be_done_again(wait: float) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "doitrust.cli.main", "pi", "init"],
        env={**environment(), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(wait)
        process.kill()
    made = home().exists() and (home() / "node.key").exists()
    assert run("pi", "init").status == (1 if made else 0)
    assert paired().meter == METER


# ---- pi pair


def test_the_pairing_is_what_json_prints() -> None:
    node = init()
    before = int(time.time())
    pairing = paired("--origin", "https://zaehler.local:8443")
    assert (pairing.network, pairing.meter) == (DEVNET, METER)
    assert (pairing.node.hex(), pairing.client.hex()) == (node, CLIENT)
    assert (pairing.type, pairing.origin) == ("p2wsh", "https://zaehler.local:8443")
    assert before <= pairing.reading.taken <= pairing.created <= time.time()
    read = run("pi", "read", "--source", GOOD, "--json").value
    assert pairing.document["reading"] | {"taken": ""} == read | {"taken": ""}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("network", ["mainnet", "testnet", "regtest", "devnet"])
def test_it_is_for_the_network_in_use_and_of_the_type_asked_for(network: str, kind: str) -> None:
    init()
    pairing = paired("--network", network, "--type", kind)
    assert (pairing.network.name, pairing.type) == (network, kind)
    assert pairing.origin is None


def test_people_see_what_to_compare_and_the_pairing() -> None:
    node = init()
    ran = pair()
    *lines, text = ran.out.splitlines()
    pairing = read_pairing(text.encode())
    assert lines[0].split() == ["meter", METER]
    assert lines[1].split() == ["1-of-2", pairing.ms]
    assert lines[2].split()[1] == short_fingerprint(bytes.fromhex(node), bytes.fromhex(CLIENT))
    assert "devnet" in lines[3]
    assert "devnet" not in pair("--network", "mainnet").out


def test_a_file_holds_it(tmp_path: Path) -> None:
    init()
    out = tmp_path / "pairing.json"
    out.write_text("older")
    ran = pair("--out", out)
    assert read_pairing(out.read_bytes()).meter == METER
    assert str(out) in ran.err
    assert "signature" not in ran.out
    assert [path.name for path in tmp_path.iterdir()] == ["pairing.json"]
    printed = paired("--out", out)
    assert json.loads(out.read_text()) == printed.document


def test_a_file_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    init()
    out = tmp_path / "a-file" / "pairing.json"
    out.parent.write_text("")
    assert "can't write the pairing" in told(pair("--out", out))


def test_capitals_in_the_clients_key_are_taken() -> None:
    init()
    assert paired(client=CLIENT.upper()).client.hex() == CLIENT


@pytest.mark.parametrize(
    "client",
    [
        *("", "nonsense", CLIENT[:-2], CLIENT + "00", "04" + CLIENT[2:], CLIENT[:-1] + "g", "02" + "f" * 64),
        *(CLIENT[:64] + "  ", "\u0663" * 66, "\x1b[31m" + CLIENT),
    ],
)
def test_what_is_no_key_is_a_mistake_of_use(client: str) -> None:
    init()
    assert "public key" in told(pair(client=client), 2)


def test_the_node_is_not_its_own_client() -> None:
    ran = pair("--json", client=init())
    assert (ran.status, ran.error["code"]) == (1, "refused")
    assert "the node's own" in ran.error["message"]


def test_without_a_key_the_meter_is_not_waited_for() -> None:
    ran = pair("--json", source="tcp://127.0.0.1:9")
    assert (ran.status, ran.error["code"], ran.error["hint"]) == (1, "no_node_key", "doitrust pi init")
    assert not home().exists()


def test_a_meter_without_a_number_is_explained() -> None:
    init()
    ran = pair("--json", source=FOLDER / "made-up-unknown-server.bin")
    assert (ran.status, ran.error["code"]) == (1, "no_meter_number")
    assert "0f010203" in ran.error["message"]


def test_a_meter_that_says_nothing_is_explained() -> None:
    init()
    assert pair("--json", source=FOLDER / "stream-nothing.bin").error["code"] == "no_telegram"
    assert pair("--json", source="nonsense://").error["code"] == "usage"


@pytest.mark.parametrize("origin", ["", "zaehler.local", "https://a/b", "ftp://a", "https://a:99999"])
def test_what_is_no_origin_is_a_mistake_of_use(origin: str) -> None:
    init()
    assert "origin" in told(pair("--origin", origin), 2)


def test_a_key_that_others_can_read_is_not_used() -> None:
    init()
    (home() / "device.key").chmod(0o644)
    assert "chmod 600" in told(pair())


def test_the_qr_code_is_shown_where_it_fits() -> None:
    init()
    assert on_terminal(200).count("▀") > 100
    narrow = on_terminal(60)
    assert "▀" not in narrow
    assert "the QR code needs a terminal" in narrow
    ran = pair("--qr", "--json")
    assert read_pairing(ran.out.encode()).meter == METER
    assert "QR code" in ran.err


def on_terminal(columns: int) -> str:
    """What is shown on a terminal of so many columns."""
    env = {**environment(), "COLUMNS": str(columns), "PYTHONIOENCODING": "utf-8"}
    with Terminal("pi", "pair", "--client", CLIENT, "--source", GOOD, "--qr", env=env) as terminal:
        assert terminal.leave() == 0
        return terminal.shown


# ---- the secret


def test_the_secret_is_nowhere_on_disk_and_never_printed(tmp_path: Path) -> None:
    printed = []
    for arguments in (
        ["init"],
        ["init", "--json"],
        ["init", "-vv"],
        ["pair", "--client", CLIENT, "--source", str(GOOD), "--out", str(tmp_path / "p.json"), "--qr", "-vv"],
        ["pair", "--client", CLIENT, "--source", str(GOOD), "--json"],
        ["pair", "--client", CLIENT, "--source", str(FOLDER / "stream-nothing.bin")],
    ):
        ran = run("pi", *arguments)
        printed.append((ran.out + ran.err).encode())
    secret = secret_in(home())
    device = (home() / "device.key").read_bytes()
    (home() / "device.key").write_bytes(bytes(32))
    printed.append(run("pi", "pair", "--client", CLIENT, "--source", GOOD).err.encode())
    found = {**files_below(home().parent), **files_below(tmp_path)}
    assert len(found) == 3
    for data in [*printed, *found.values()]:
        for hidden in (secret, device):
            for form in (hidden, hidden[::-1], hidden.hex().encode(), b64encode(hidden)[:-2]):
                assert form not in data.lower() + data
    assert str(int.from_bytes(secret, "big")).encode() not in b"".join(printed)


# ---- time


def test_they_are_quick_to_start() -> None:
    code = "import time; t = time.process_time(); import doitrust.cli.pi, doitrust.adapters.nodekey"
    code += ", doitrust.meters.pairing; print(time.process_time() - t)"
    seconds = min(
        float(
            subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
        )
        for _ in range(3)
    )
    assert seconds < 0.5  # 0.2 on a laptop
