"""`doitrust pi read`: every kind of source, once and following, for people and scripts."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, ClassVar

import pytest
from cli import environment, run, told

from doitrust.errors import Unavailable
from doitrust.pi.sources import Reader, open_source

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "fixtures" / "telegrams"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text("utf-8"))
#: A recorder's file with noise: one telegram of one meter, two of another.
STREAM = FOLDER / "stream-with-noise.bin"
GOOD = FOLDER / "dzg-importing.bin"
SIGN = FOLDER / "dzg-dvs74-sign.bin"
NUMBER = "1DZG0012345678"


def error(*arguments: object, status: int = 1) -> dict[str, str]:
    ran = run("pi", "read", "--json", *arguments)
    assert ran.status == status
    return ran.error


def without_time(value: dict[str, Any]) -> dict[str, Any]:
    return {name: field for name, field in value.items() if name != "taken"}


# ---- files


@pytest.mark.parametrize("name", EXPECTED)
def test_a_file_gives_its_last_reading(name: str) -> None:
    ran = run("pi", "read", "--source", f"file://{FOLDER / name}", "--json")
    last = EXPECTED[name]["last"]
    if last is None:
        assert ran.status == 1
        assert ran.error["code"] == "no_telegram"
        assert ran.error["message"].startswith("no ")
    else:
        assert ran.status == 0
        assert without_time(ran.value) == last


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.startswith("stream-")])
def test_following_gives_every_reading_a_line(name: str) -> None:
    ran = run("pi", "read", "--source", FOLDER / name, "--json", "--follow")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    if EXPECTED[name]["readings"]:
        assert ran.status == 0
        assert len(lines) == EXPECTED[name]["readings"]
        assert without_time(lines[-1]) == EXPECTED[name]["last"]
    else:
        assert (ran.status, lines) == (1, [{"error": ran.error}])


def test_the_time_is_the_host_s() -> None:
    with closing(open_source(str(GOOD))) as source:
        assert Reader(source, clock=lambda: 1_795_255_200.9).one(1).taken == 1_795_255_200


def test_a_path_may_be_written_in_any_way(tmp_path: Path) -> None:
    odd = tmp_path / "a b%20#?.bin"
    odd.write_bytes(GOOD.read_bytes())
    escaped = str(odd).replace("%", "%25").replace(" ", "%20")
    for source in (odd, f"file://{escaped}", f"file://localhost{escaped}"):
        assert run("pi", "read", "--json", "--source", source).value["meter"] == NUMBER
    ran = run("pi", "read", "--json", env={"DOITRUST_SOURCE": str(odd)})
    assert ran.value["meter"] == NUMBER


def test_people_get_a_table() -> None:
    ran = run("pi", "read", "--source", SIGN)
    assert ran.status == 0
    assert ran.out.splitlines()[0] == f"meter {NUMBER}"
    assert "DZG, server id 0a01445a470000bc614e, read 20" in ran.out
    rows = [line.split()[:3] for line in ran.out.splitlines()]
    assert ["1-0:1.8.0*255", "1234567.8", "Wh"] in rows
    assert ["1-0:16.7.0*255", "356.24", "W"] in rows
    assert "1-0:16.7.0*255 was sent as -299.12" in ran.out


def test_people_following_get_a_line_each() -> None:
    ran = run("pi", "read", "--source", STREAM, "--follow")
    lines = ran.out.splitlines()
    assert [NUMBER in line for line in lines] == [True, False, False]
    assert lines[0].endswith("1.8.0 1234567.8 Wh, 2.8.0 0.0 Wh, 16.7.0 5.79 W")


def test_a_meter_without_the_usual_registers_shows_those_it_has() -> None:
    ran = run("pi", "read", "--source", FOLDER / "emh-ehz-gw-text.bin", "--follow")
    assert "1.8.1 12345678.9 Wh" in ran.out
    ran = run("pi", "read", "--source", FOLDER / "made-up-unknown-server.bin")
    assert ran.out.startswith("meter with server id 0f010203\n")


def test_a_maker_can_not_rewrite_the_terminal() -> None:
    for name in EXPECTED:
        ran = run("pi", "read", "--source", FOLDER / name)
        assert all(line.isprintable() for line in (ran.out + ran.err).splitlines())


# ---- what can go wrong


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stream-nothing.bin", "no telegram came"),
        ("stream-without-telegrams.bin", "no telegram came"),
        ("stream-damaged-only.bin", "no valid telegram: 3 began, none arrived whole"),
        ("damaged-no-list.bin", "no valid telegram: the telegram is not one list between"),
    ],
)
def test_no_telegram_is_explained(name: str, message: str) -> None:
    assert told(run("pi", "read", "--source", FOLDER / name)).startswith(f"Error: {message}")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "http://host/",
        "file://",
        "file://host/path",
        "tcp://",
        "tcp://host",
        "tcp://host:0",
        "tcp://host:99999",
        "tcp://host:1/path",
        "tcp://host:1?x=1",
        "tcp://user@host:1",
        "tcp://[::1:1",
        "serial://",
        "serial://?baud=9600",
        "serial:///dev/ttyUSB0?baud=fast",
        "serial:///dev/ttyUSB0?baud=1",
        "serial:///dev/ttyUSB0?baud",
        "serial:///dev/ttyUSB0?parity=even",
    ],
)
def test_what_is_no_source_is_a_mistake_of_use(source: str) -> None:
    assert error("--source", source, status=2)["code"] == "usage"


def test_a_file_that_can_not_be_had(tmp_path: Path) -> None:
    missing = told(run("pi", "read", "--source", tmp_path / "missing"))
    assert "No such file" in missing
    assert "--source" in missing
    assert "Is a directory" in told(run("pi", "read", "--source", tmp_path))
    assert "null" in told(run("pi", "read", "--source", "file:///%00"))


def test_a_serial_port_given_as_a_file_is_explained() -> None:
    master, slave = os.openpty()
    try:
        ran = run("pi", "read", "--source", os.ttyname(slave))
        assert f"serial://{os.ttyname(slave)}?baud=9600" in told(ran, 2)
    finally:
        os.close(master)
        os.close(slave)


# ---- standard input, pipes


@contextmanager
def process(*arguments: str, stdin: int | BinaryIO = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own that reads what comes on its standard input."""
    with subprocess.Popen(
        [sys.executable, "-m", "doitrust.cli.main", "pi", "read", "--source", "-", "--json", *arguments],
        env={**environment(), "PYTHONPATH": str(ROOT)},
        stdin=stdin,
        stdout=subprocess.PIPE,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def test_a_recording_on_standard_input_gives_its_last_reading() -> None:
    with STREAM.open("rb") as recording, process(stdin=recording) as reading:
        assert json.loads(reading.communicate(timeout=60)[0])["meter"] == "1ISK160112345678"


def test_a_pipe_gives_its_next_reading_without_waiting_for_more() -> None:
    with process() as reading:
        assert reading.stdin is not None
        reading.stdin.write(STREAM.read_bytes())
        reading.stdin.flush()  # and stays open
        assert reading.wait(timeout=60) == 0
        assert reading.stdout is not None
        assert json.loads(reading.stdout.read())["meter"] == NUMBER


def test_following_a_pipe_prints_each_reading_as_it_comes() -> None:
    with process("--follow") as reading:
        assert reading.stdin is not None
        assert reading.stdout is not None
        for part in (GOOD.read_bytes(), STREAM.read_bytes()[:-1]):
            reading.stdin.write(part)
            reading.stdin.flush()
            assert json.loads(reading.stdout.readline())["meter"] == NUMBER
        reading.stdin.close()
        assert len(reading.stdout.readlines()) == 2
        assert reading.wait(timeout=60) == 0


def test_ctrl_c_is_the_way_out_of_a_live_source() -> None:
    with process("--follow") as reading:
        assert reading.stdin is not None
        assert reading.stdout is not None
        reading.stdin.write(GOOD.read_bytes())
        reading.stdin.flush()
        assert reading.stdout.readline()
        reading.send_signal(2)
        assert reading.wait(timeout=60) == 0
        assert reading.stdout.read() == b""


def test_a_silent_source_is_not_waited_for_any_longer_than_told() -> None:
    with process("--timeout", "0.2") as reading:
        assert reading.wait(timeout=60) == 1
        assert reading.stdout is not None
        assert json.loads(reading.stdout.read())["error"]["code"] == "no_telegram"


def test_nothing_is_asked_of_a_person_at_a_terminal() -> None:
    assert "nothing is piped in" in told(run("pi", "read", "--source", "-", typed="x"), 2)


# ---- TCP


@contextmanager
def serving(*pieces: bytes, hang: bool = False) -> Iterator[str]:
    """A meter on the network that sends these pieces to whoever connects; it may then keep the line open."""
    done = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            for piece in pieces:
                connection.sendall(piece)
            if hang:
                done.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def test_a_meter_on_the_network() -> None:
    sent = STREAM.read_bytes()
    with serving(sent, hang=True) as source:
        assert run("pi", "read", "--source", source, "--json").value["meter"] == NUMBER
    with serving(sent[:500], sent[500:]) as source:
        assert len(run("pi", "read", "--source", source, "--json", "--follow").out.splitlines()) == 3
    with serving(b"noise", hang=True) as source:
        assert error("--source", source, "--timeout", "0.2")["code"] == "no_telegram"


def test_a_network_that_can_not_be_had() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "Connection refused" in error("--source", f"tcp://127.0.0.1:{port}")["message"]
    assert error("--source", "tcp://does-not-exist.invalid:1")["code"] == "unavailable"
    assert error("--source", f"tcp://{'a' * 70}.invalid:1")["code"] == "unavailable"


# ---- serial ports


class SerialPort:
    """What pyserial's `Serial` is to us: bytes with a time limit, errors that are `OSError`."""

    opened: ClassVar[list[tuple[str, int, bool]]] = []
    sent: ClassVar[bytes] = b""

    def __init__(self, device: str, baud: int, *, exclusive: bool) -> None:
        if "missing" in device:
            raise FileNotFoundError(2, f"could not open port {device}: [Errno 2] …")
        if "busy" in device:
            raise BlockingIOError(11, "Could not exclusively lock port")
        self.opened.append((device, baud, exclusive))
        self.timeout = 0.0
        self.left = self.sent

    @property
    def in_waiting(self) -> int:
        return len(self.left)

    def read(self, size: int) -> bytes:
        if size and not self.left:
            raise OSError("device reports readiness to read but returned no data (device disconnected?)")
        data, self.left = self.left[:size], self.left[size:]
        return data

    def close(self) -> None:
        self.left = b""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> type[SerialPort]:
    module = ModuleType("serial")
    module.Serial = SerialPort  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "serial", module)
    monkeypatch.setattr(SerialPort, "opened", [])
    monkeypatch.setattr(SerialPort, "sent", STREAM.read_bytes())
    return SerialPort


def test_a_serial_port(port: type[SerialPort]) -> None:
    source = "serial:///dev/ttyAMA0?baud=115200"
    assert run("pi", "read", "--source", source, "--json").value["meter"] == NUMBER
    assert run("pi", "read", "--json").value["meter"] == NUMBER
    assert port.opened == [("/dev/ttyAMA0", 115_200, True), ("/dev/ttyUSB0", 9600, True)]


def test_a_serial_port_that_is_pulled_out(port: type[SerialPort]) -> None:
    ran = run("pi", "read", "--json", "--follow")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 1
    assert [next(iter(line)) for line in lines] == ["meter", "meter", "meter", "error"]
    assert "/dev/ttyUSB0" in lines[-1]["error"]["message"]


@pytest.mark.parametrize(("device", "hint"), [("missing", "--source"), ("busy", "another program")])
def test_a_serial_port_that_can_not_be_had(port: type[SerialPort], device: str, hint: str) -> None:
    found = error("--source", f"serial:///dev/{device}")
    assert found["code"] == "unavailable"
    assert hint in found["hint"]


def test_without_the_extra_serial_ports_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "serial", None)
    found = error("--source", "serial:///dev/ttyUSB0")
    assert (found["code"], found["hint"]) == ("missing_extra", "pip install 'doitrust[pi]'")
    assert run("pi", "read", "--source", GOOD).status == 0


def test_a_real_serial_port() -> None:
    """pyserial itself on a pseudo terminal: the bytes arrive unchanged, at any speed that the port takes."""
    pytest.importorskip("serial", reason="cannot be had here: pyserial, which the lock leaves out")
    master, slave = os.openpty()
    try:
        with closing(open_source(f"serial://{os.ttyname(slave)}?baud=115200")) as source:
            reader = Reader(source)
            os.write(master, STREAM.read_bytes())
            assert reader.one(5).meter == NUMBER
            with pytest.raises(Unavailable, match="no telegram came"):
                Reader(source).one(0.1)
    finally:
        os.close(master)
        os.close(slave)
