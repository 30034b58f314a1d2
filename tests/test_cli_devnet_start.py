"""`doitrust devnet start`: served until somebody says stop, with the cookie beside the chain."""

import base64
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli import failure, home, run, spawn, start
from devnet_world import ALICE, recorded_file
from rpc_node import Client

from doitrust.chain.address import address_of
from doitrust.chain.networks import DEVNET

ADDRESS = address_of(ALICE.p2wpkh, DEVNET)


class Started:
    """A running `devnet start`."""

    def __init__(self, process: "subprocess.Popen[bytes]", told: dict[str, Any]) -> None:
        self.process = process
        self.told = told
        self.client = Client(told["port"], Path(told["cookie"]).read_text())

    def end(self, how: int | None = None) -> int:
        """Wait for the end, after a signal if one is given; returns the exit status."""
        if how is not None:
            self.process.send_signal(how)
        return self.process.wait(timeout=20)


@contextmanager
def serving(*arguments: object) -> Iterator[Started]:
    """Start on a free port, and wait for the JSON that says where."""
    process = start(
        "devnet", "start", "--port", 0, "--json", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        text = b""
        while not text.endswith(b"}\n"):
            line = process.stdout.readline()
            assert line, process.stderr.read().decode()
            text += line
        yield Started(process, json.loads(text))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def cookie_file() -> Path:
    return home() / "devnet" / ".cookie"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(how: signal.Signals) -> None:
    with serving() as server:
        assert server.told.keys() == {"url", "port", "cookie"}
        assert server.told["url"] == f"http://127.0.0.1:{server.told['port']}"
        assert server.told["cookie"] == str(cookie_file())
        assert cookie_file().stat().st_mode & 0o777 == 0o600
        assert server.client("getblockcount") == 0
        assert server.end(how) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == b""
        assert not cookie_file().exists()


def test_it_stops_by_rpc_with_connections_open() -> None:
    with serving() as server:
        idle = socket.create_connection(("127.0.0.1", server.told["port"]), timeout=20)
        proxy = server.client.proxy()
        assert proxy.uptime() >= 0
        assert "stopping" in proxy.stop()
        assert server.end() == 0
        proxy._AuthServiceProxy__conn.close()
        idle.close()
    assert not cookie_file().exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.told["port"]), timeout=5)


def test_what_other_processes_do_is_seen_at_once() -> None:
    with serving() as server:
        run("devnet", "import", recorded_file(1))
        assert server.client("getblockcount") == 543
        run("devnet", "mine", 2)
        assert server.client("getblockcount") == 545
        paid = run("devnet", "fund", ADDRESS, "1", "--json").value
        (coin,) = server.client("scantxoutset", "start", [f"addr({ADDRESS})"])["unspents"]
        assert (coin["txid"], coin["amount"]) == (paid["txid"], 1)
        run("devnet", "reset", "--yes")
        assert server.client("getblockcount") == 0


def test_only_loopback_is_served() -> None:
    with serving() as server:
        port = server.told["port"]
        listening = [
            line.split()[1]
            for table in ("/proc/net/tcp", "/proc/net/tcp6")
            if Path(table).exists()
            for line in Path(table).read_text().splitlines()[1:]
            if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
        ]
        assert listening in ([], [f"0100007F:{port:04X}"])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=5)


def test_people_are_told_where_it_is() -> None:
    process = start("devnet", "start", "--port", 0, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().decode() for _ in range(3)]
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert re.fullmatch(r"url     http://127\.0\.0\.1:\d+\n", lines[0])
    assert lines[1] == f"cookie  {cookie_file()}\n"
    assert "Ctrl-C" in lines[2]


def test_a_devnet_is_served_by_one_process_only() -> None:
    with serving() as server:
        before = cookie_file().read_text()
        ran = spawn("devnet", "start", "--port", 0, "--json")
        assert (ran.status, ran.error["code"]) == (1, "unavailable")
        assert "served already" in ran.error["message"]
        assert cookie_file().read_text() == before
        assert server.client("getblockcount") == 0


def test_a_killed_server_leaves_nothing_that_matters() -> None:
    with serving() as server:
        server.end(signal.SIGKILL)
        assert cookie_file().exists()
    with serving() as server:
        assert server.client("getblockcount") == 0
        assert server.end(signal.SIGTERM) == 0
    assert not cookie_file().exists()


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in failure("devnet", "start", "--port", port)
    assert not cookie_file().exists()


@pytest.mark.parametrize("port", ["-1", "65536", "x", "1.5", ""])
def test_what_is_no_port_is_a_mistake_of_use(port: str) -> None:
    failure("devnet", "start", f"--port={port}", status=2)


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    failure("devnet", "start", "--port", 0, "--devnet", file)


def test_the_cookie_is_what_lets_in() -> None:
    with serving() as server:
        told = server.client.http("POST", "/", '{"method":"getblockcount"}', {"Authorization": "Basic eDp5"})
        assert told.status == 401
        secret = base64.b64encode(cookie_file().read_bytes()).decode()
        told = server.client.http(
            "POST", "/", '{"method":"getblockcount"}', {"Authorization": f"Basic {secret}"}
        )
        assert told.status == 200
