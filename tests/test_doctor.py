"""The doctor: everything is well, and then one thing after the other isn't."""

import io
import json
import re
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from email.utils import formatdate
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from cli import MUELLER, copy_of, load, run, spawn, temporary_folder
from devnet_world import recorded_json
from rpc_node import SECRET, served
from support import recorded
from test_cli_disk import forgets_to_be_root, locked
from test_kubo_hostile import Answer, pinned, serving

from doitrust.adapters.devnet import Devnet
from doitrust.adapters.doctor import (
    look_at_contents,
    look_at_home,
    look_at_libraries,
    look_at_signatures,
    look_at_terminal,
)
from doitrust.adapters.doctor_chain import look_at_clock, server_time
from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.nodekey import NodeKey
from doitrust.adapters.phrases import new_entropy
from doitrust.adapters.pins import PinStore
from doitrust.adapters.restore import work_folder
from doitrust.adapters.secret import Secret
from doitrust.adapters.wallet import Wallet
from doitrust.chain.networks import DEVNET, MAINNET, REGTEST
from doitrust.orgs.pins import Pin, Segment
from doitrust.trust.evidence import Tip

#: The checks of a real node.
NODE = ("node", "network", "sync", "pruned", "tip", "txindex", "namehistory")


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """A scrypt that takes no time."""
    with patch.dict(Keystore.__init__.__kwdefaults__ or {}, kdf=Kdf(16, 1, 1)):
        yield


class Seen:
    """What the doctor said."""

    def __init__(self, status: int, value: list[dict[str, Any]]) -> None:
        self.status = status
        self.value = value

    def __getitem__(self, check: str) -> dict[str, Any]:
        (found,) = [row for row in self.value if row["check"] == check]
        return found

    @property
    def wrong(self) -> list[str]:
        return [row["check"] for row in self.value if row["ok"] is False]


def examined(network: str = "devnet", **env: str) -> Seen:
    ran = run("doctor", "--json", env={"DOITRUST_NETWORK": network, **env})
    assert ran.err == ""
    for row in ran.value:
        assert row.keys() == {"check", "ok", "detail", "cure"}
        assert row["detail"]
        assert row["ok"] is not False or row["cure"], row
    seen = Seen(ran.status, ran.value)
    assert seen.status == (1 if seen.wrong else 0)
    return seen


def wrong(check: str, *words: str, **options: Any) -> dict[str, Any]:
    """Exactly this check fails, with these words in what it says."""
    seen = examined(**options)
    assert seen.wrong == [check], seen.value
    found = seen[check]
    for word in words:
        assert word in f"{found['detail']} → {found['cure']}"
    return found


def key(home: Path, name: str = "alice") -> Path:
    with new_entropy() as entropy, Secret(b"words that nobody puts together") as passphrase:
        Keystore(home / "keys").add(name, entropy, passphrase)
    return home / "keys" / f"{name}.json"


# ---- all is well


def test_a_new_home_has_nothing_wrong(home: Path) -> None:
    seen = examined()
    assert seen.wrong == []
    assert {row["check"] for row in seen.value if row["ok"] is None} >= {
        "keystore",
        "node_key",
        "devnet",
        "pins",
    }
    assert not home.exists()


def test_a_used_home_has_nothing_wrong(home: Path) -> None:
    load(1)
    key(home)
    NodeKey(home).create()
    seen = examined()
    assert seen.wrong == []
    assert seen["devnet"]["detail"].startswith("block 543 ")
    assert [row["ok"] for row in seen.value if row["check"] == "pins"] == [True, True]
    shown = run("doctor")
    assert shown.status == 0
    assert shown.out.endswith("Nothing is wrong.\n")
    assert "✔ keystore      alice [" in shown.out


def test_people_see_what_to_do(home: Path) -> None:
    key(home).chmod(0o644)
    shown = run("doctor")
    assert shown.status == 1
    assert re.search(r"✘ keystore .*\n +→ chmod 600 .*alice.json", shown.out)
    assert shown.out.endswith("1 to mend, see the arrows.\n")


# ---- this machine


def test_another_version_of_what_judges() -> None:
    assert look_at_libraries().ok is True
    found = look_at_libraries(lambda _name: "2020.1.1")
    assert found.ok is False
    assert "only " in found.detail


def test_a_library_that_signs_or_verifies_wrongly() -> None:
    assert look_at_signatures().ok is True
    for sign, verify in (
        (lambda _s, _d: b"0", None),
        (None, lambda _k, _s, _d: True),
        (None, lambda _k, _s, _d: False),
    ):
        more: dict[str, Any] = {name: f for name, f in (("sign", sign), ("verify", verify)) if f is not None}
        assert look_at_signatures(**more).ok is False


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_cannot_show_names(encoding: str) -> None:
    assert look_at_terminal(io.TextIOWrapper(io.BytesIO(), encoding=encoding)).ok is False
    ran = spawn("doctor", "--json", env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert [row["check"] for row in ran.value if row["ok"] is False] == ["terminal"]


NOW = 1_790_000_000
DAY = 24 * 60 * 60


@pytest.mark.parametrize(
    ("now", "tip", "node", "ok"),
    [
        (NOW, NOW - 600, NOW, True),
        (NOW, NOW - 600, None, True),
        (NOW, NOW + 3600, None, True),
        (NOW, None, NOW, True),
        (NOW, None, None, None),
        (NOW, NOW - DAY, None, None),
        (NOW, NOW - DAY, NOW, True),
        (NOW - DAY, NOW, None, False),
        (NOW - DAY, NOW - DAY, NOW, False),
        (NOW + DAY, NOW, NOW, False),
        (0, None, None, False),
        (0, 0, 0, False),
    ],
)
def test_a_clock(now: int, tip: int | None, node: int | None, ok: bool | None) -> None:
    found = look_at_clock(now, None if tip is None else Tip(1, "00" * 32, tip, 1), node, MAINNET)
    assert found.ok is ok
    assert ok is not False or (found.cure or "").startswith("set the clock")


# ---- the home


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_home_that_others_can_change(home: Path, mode: int) -> None:
    load(1)
    home.chmod(mode)
    if mode == 0o777:
        wrong("home", "chmod 700")
    else:
        assert examined()["home"]["ok"] is None


def test_a_home_that_may_not_be_written(home: Path) -> None:
    load(1)
    with locked(home):
        ran = spawn("doctor", "--json", before=forgets_to_be_root)
    seen = Seen(ran.status, ran.value)
    assert seen.status == 1
    assert "can't be written" in seen["home"]["detail"]
    assert {"home"} <= set(seen.wrong) <= {"home", "devnet", "contents", "pins"}


def test_a_home_that_may_not_even_be_read(home: Path) -> None:
    load(1)
    key(home)
    modes = (home.stat().st_mode, (home / "keys").stat().st_mode)
    for folder in (home / "keys", home):
        folder.chmod(0)
    try:
        ran = spawn("doctor", "--json", before=forgets_to_be_root)
    finally:
        for folder, mode in zip((home, home / "keys"), modes, strict=True):
            folder.chmod(mode)
    assert (ran.status, ran.err) == (1, "")
    assert {"home", "keystore", "configuration"} <= set(Seen(ran.status, ran.value).wrong)


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    with locked(tmp_path):
        home = tmp_path / "inner" / "home"
        ran = spawn("doctor", "--json", "--home", home, before=forgets_to_be_root)
    assert "home" in Seen(ran.status, ran.value).wrong
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert "home" in examined(DOITRUST_HOME=str(file)).wrong


def test_a_disk_that_is_full(home: Path) -> None:
    home.mkdir()
    assert look_at_home(home).ok is True
    assert look_at_home(home, 2**60)[::2] == (False, "free some space")


def test_a_restore_that_was_cut_off(home: Path) -> None:
    (work_folder(home) / "new").mkdir(parents=True)
    wrong("home", "doitrust restore FILE")


@pytest.mark.parametrize("text", ["[[", "x = 1", "network = 'moon'", "min_confirmations = 0"])
def test_a_configuration_that_is_none(home: Path, text: str) -> None:
    home.mkdir()
    (home / "config.toml").write_text(text)
    wrong("configuration", "config.toml")
    wrong("configuration", "there is no configuration file", DOITRUST_CONFIG=str(home / "other.toml"))


def test_key_files_that_others_can_read_or_that_are_damaged(home: Path) -> None:
    file = key(home)
    key(home, "bob")
    file.chmod(0o644)
    seen = examined()
    assert [row["ok"] for row in seen.value if row["check"] == "keystore"] == [False, True]
    file.chmod(0o600)
    (home / "keys").chmod(0o755)
    assert "chmod 700" in str([row["cure"] for row in examined().value if row["check"] == "keystore"])
    (home / "keys").chmod(0o700)
    assert examined().wrong == []
    file.write_bytes(file.read_bytes()[:-5] + b"xxxxx")
    assert examined().wrong == ["keystore"]


def test_a_node_key_that_others_can_read_or_that_is_not_whole(home: Path) -> None:
    NodeKey(home).create()
    (home / "node.key").chmod(0o640)
    wrong("node_key", "chmod 600")
    (home / "node.key").chmod(0o600)
    (home / "device.key").unlink()
    wrong("node_key", "device.key")


@pytest.mark.parametrize("name", ["state.db", "wallet.db"])
def test_a_damaged_database(home: Path, name: str) -> None:
    load(1)
    Wallet(home / "wallet.db", DEVNET).keep_root("Gilde", "ab" * 32)
    data = (home / name).read_bytes()
    (home / name).write_bytes(data[:4096] + b"\xff" * 3000 + data[7096:])
    found = wrong({"state.db": "pins", "wallet.db": "wallet"}[name], name, "restore")
    assert "damaged" in found["detail"]
    (home / name).write_bytes(b"no database at all" * 300)
    wrong({"state.db": "pins", "wallet.db": "wallet"}[name], name)


def test_transactions_under_way(home: Path) -> None:
    load(1)
    Wallet(home / "wallet.db", DEVNET).record(recorded(1).payments[0], "send", "x", 1, NOW, {})
    seen = examined()["wallet"]
    assert (seen["ok"], seen["cure"]) == (None, "doitrust tx resume")


def test_a_damaged_block_of_a_list(home: Path) -> None:
    load(1)
    block = next((home / "devnet" / "ipfs").glob("*/*"))
    block.write_bytes(b"x")
    wrong("contents", block.name)
    assert look_at_contents(home / "nowhere").ok is True


def test_a_damaged_embedded_chain(home: Path) -> None:
    load(1)
    file = home / "devnet" / "chain.sqlite"
    with closing(sqlite3.connect(file)) as database, database:
        ((height, raw),) = database.execute("SELECT max(height), raw FROM blocks").fetchall()
        changed = raw[:40] + bytes([raw[40] ^ 1]) + raw[41:]
        database.execute("UPDATE blocks SET raw = ? WHERE height = ?", (changed, height))
    assert "devnet" in examined().wrong
    file.write_bytes(b"no database at all" * 300)
    assert "devnet reset" in examined()["devnet"]["cure"]


# ---- pins


def test_pins_that_are_not_of_this_chain(home: Path) -> None:
    load(1)
    store = PinStore(home / "state.db", DEVNET)
    (pin,) = [pin for pin in store.all() if pin.name == MUELLER]
    other = recorded_json(1)["organizations"]["Billig-Siegel"]["root"]
    for root, said in (("ab" * 32, "is not in this chain"), (other, "writes another name")):
        store.accept(Pin(MUELLER, (Segment(root),)))
        assert said in next(
            r["detail"] for r in examined().value if r["check"] == "pins" and r["ok"] is False
        )
    store.accept(pin)
    assert examined().wrong == []
    run("config", "set", "min_confirmations", "91")
    assert "90 of 91" in next(
        r["detail"] for r in examined().value if r["check"] == "pins" and r["ok"] is False
    )


# ---- a node


#: Where the chain of a served node lies, by its port.
FOLDERS: dict[int, Path] = {}


class Proxy(BaseHTTPRequestHandler):
    """Hands on to a served devnet, and changes single answers."""

    port: ClassVar[int]
    changes: ClassVar[Mapping[str, Callable[[dict[str, Any]], object]]]
    date: ClassVar[str | None]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        line = HTTPConnection("127.0.0.1", self.port, timeout=20)
        wanted = {
            name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers
        }
        line.request("POST", self.path, body, wanted)
        answer = line.getresponse()
        data, kind = answer.read(), answer.getheader("Content-Type", "")
        line.close()
        if kind == "application/json":
            data = json.dumps(self._changed(json.loads(body), json.loads(data))).encode()
        self._answer(answer.status, data, kind)

    def do_GET(self) -> None:
        self._answer(405, b"", "text/html")

    def _changed(self, asked: Any, answered: Any) -> Any:
        if isinstance(asked, list):
            return [self._changed(*pair) for pair in zip(asked, answered, strict=True)]
        change = self.changes.get(asked["method"])
        if change is not None:
            change(answered)
        return answered

    def _answer(self, status: int, data: bytes, kind: str) -> None:
        self.send_response_only(status)
        if self.date is not None:
            self.send_header("Date", self.date)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def result(value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda answer: answer.update(result=value, error=None)


def field(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda answer: answer["result"].update(values)


def error(number: int, message: str) -> Callable[[dict[str, Any]], object]:
    return lambda answer: answer.update(result=None, error={"code": number, "message": message})


@contextmanager
def node(
    home: Path, changes: Mapping[str, Callable[[dict[str, Any]], object]] | None = None, prefix: str = "node"
) -> Iterator[int]:
    """A node with the first recorded chain, behind a proxy, and the settings to ask it."""
    folder = temporary_folder()
    copy_of(load(1, folder) / "devnet", folder / "net")
    with served(folder / "net") as (client, _server):
        FOLDERS[client.port] = folder / "net"
        with proxied(client.port, changes) as port:
            cookie = home.parent / f"{prefix}.cookie"
            cookie.write_text(SECRET)
            run("config", "set", f"{prefix}.url", f"http://127.0.0.1:{port}")
            run("config", "set", f"{prefix}.cookie", cookie)
            yield client.port


@contextmanager
def proxied(
    port: int,
    changes: Mapping[str, Callable[[dict[str, Any]], object]] | None = None,
    date: str | None = None,
) -> Iterator[int]:
    handler = type("Handler", (Proxy,), {"port": port, "changes": changes or {}, "date": date})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_node_that_has_everything(home: Path) -> None:
    with node(home), node(home, prefix="node2"):
        PinStore(home / "state.db", REGTEST).accept(
            Pin(MUELLER, (Segment(recorded_json(1)["organizations"][MUELLER]["root"]),))
        )
        seen = examined("regtest")
    assert seen.wrong == []
    assert [seen[check]["ok"] for check in (*NODE, "node2", "pins", "clock", "contents")] == [True] * 11
    assert seen["ipfs"]["ok"] is None


WARMING_UP = error(-28, "Loading block index...")


@pytest.mark.parametrize(
    ("check", "words", "changes"),
    [
        ("network", "another chain", {"getblockhash": result("00" * 32)}),
        ("sync", "still syncing", {"getblockchaininfo": field(initialblockdownload=True, headers=900)}),
        ("pruned", "prune=", {"getblockchaininfo": field(pruned=True)}),
        (
            "txindex",
            "txindex=1",
            {
                "getrawtransaction": error(
                    -5,
                    "No such mempool transaction. Use -txindex or provide a block hash to enable blockchain "
                    "transaction queries. Use gettransaction for wallet transactions.",
                )
            },
        ),
        ("namehistory", "namehistory=1", {"name_history": error(-1, "-namehistory is not enabled")}),
        ("namehistory", "mine one", {"name_history": error(-10, "Doichain is downloading blocks...")}),
        # It says of a name that there is none before it misses a wallet.
        ("namehistory", "createwallet", {"name_pending": error(-32601, "no wallet is loaded")}),
        ("node", "still starting", {"getblockchaininfo": WARMING_UP, "getblockhash": WARMING_UP}),
        ("node", "", {"getbestblockhash": result("rubbish")}),
    ],
)
def test_a_node_that_lacks_something(
    home: Path, check: str, words: str, changes: dict[str, Callable[[dict[str, Any]], object]]
) -> None:
    with node(home, changes):
        wrong(check, words, network="regtest")
        found = examined("regtest")
    before = NODE[: NODE.index(check)]
    assert [found[name]["ok"] for name in before] == [True] * len(before)


def test_nobody_at_the_port_and_a_wrong_cookie_and_no_cookie(home: Path) -> None:
    with node(home):
        cookie = home.parent / "node.cookie"
        cookie.write_text("__cookie__:" + "00" * 32)
        wrong("node", "refuses the login", network="regtest")
        cookie.unlink()
        wrong("node", "cookie", network="regtest")
        cookie.write_text(SECRET)
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            run("config", "set", "node.url", f"http://127.0.0.1:{taken.getsockname()[1]}")
            found = wrong("node", "no node answers", network="regtest")
        assert "doichaind" in found["cure"]
        run("config", "set", "node.url", "ftp://x")
        wrong("node", "no address", network="regtest")


def test_what_answers_is_no_node(home: Path) -> None:
    with node(home) as port, proxied(port, {"getblockchaininfo": lambda answer: answer.clear()}) as other:
        run("config", "set", "node.url", f"http://127.0.0.1:{other}")
        assert examined("regtest").status == 1


def test_a_last_block_that_is_old(home: Path) -> None:
    changes = {"getblockhash": result(MAINNET.genesis)}
    with node(home, changes):
        seen = examined("mainnet")
    assert seen.wrong == ["tip"]
    assert "connected" in seen["tip"]["cure"]


def test_a_second_node_behind_and_on_another_branch(home: Path) -> None:
    with node(home) as first, node(home, prefix="node2"):
        folder = FOLDERS[first]
        with closing(Devnet(folder)) as own:
            own.mine(2)
            assert examined("regtest")["node2"]["ok"] is True
            own.reorg(3)
        wrong("node2", "another branch", network="regtest")
    changes = {"getblockhash": result("00" * 32)}
    with node(home), node(home, changes, prefix="node2"):
        wrong("node2", "another chain", network="regtest")
    run("config", "set", "node2.url", "http://127.0.0.1:1")
    with node(home):
        wrong("node2", "no node answers", network="regtest")


def test_an_ipfs_node(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with node(home), serving(pinned) as kubo:
        assert "ipfs.api" in examined("regtest")["ipfs"]["cure"]
        run("config", "set", "ipfs.api", kubo.api)
        found = examined("regtest")["ipfs"]
        assert (found["ok"], found["cure"]) == (True, None)
        assert found["detail"] == f"Kubo 0.42.0 answers at 127.0.0.1:{kubo.port}"
        monkeypatch.setitem(sys.modules, "ipfshttpclient", None)
        monkeypatch.delitem(sys.modules, "doitrust.adapters.kubo_line")
        wrong("ipfs", "not installed → pip install 'doitrust[ipfs]'", network="regtest")


def test_an_ipfs_node_that_is_none(home: Path) -> None:
    with node(home):
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", 0))
            run("config", "set", "ipfs.api", f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}")
            wrong("ipfs", "no IPFS node answers", "ipfs daemon", network="regtest")
        refused = run("config", "set", "ipfs.api", "127.0.0.1:5001", "--json")
        assert (refused.status, "/ip4/127.0.0.1/tcp/5001" in refused.error["hint"]) == (2, True)
        with serving(lambda handler: handler.http(b"404 page not found", 404)) as gateway:
            run("config", "set", "ipfs.api", gateway.api)
            wrong("ipfs", "its gateway", "Addresses.API", network="regtest")
        only_reads: dict[str, Answer] = {"pin_ls": lambda handler: handler.http(b"404", 404)}
        with serving(lambda handler: pinned(handler, **only_reads)) as gateway:
            run("config", "set", "ipfs.api", gateway.api)
            wrong("ipfs", "its gateway", network="regtest")
        with serving(lambda handler: handler.http(b"", 403)) as closed:
            run("config", "set", "ipfs.api", closed.api)
            wrong("ipfs", "authorization", network="regtest")


def test_the_clock_of_a_node(home: Path) -> None:
    with node(home) as port:
        with proxied(port, date=formatdate(time.time() - 3 * 60 * 60, usegmt=True)) as other:
            run("config", "set", "node.url", f"http://127.0.0.1:{other}")
            wrong("clock", "the node's", network="regtest")
        for date in ("rubbish", None):
            with proxied(port, date=date) as other:
                assert server_time(f"http://127.0.0.1:{other}") is None
        assert server_time("http://127.0.0.1:1") is None
        assert server_time("http://[") is None


def test_the_doctor_changes_nothing(home: Path) -> None:
    load(1)
    key(home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    examined()
    after = {path: path.stat().st_mtime_ns for path in home.rglob("*") if path.is_file()}
    assert before == after
