"""An IPFS node that lies, stalls, floods or is none: real servers on loopback that answer byte by byte as told."""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support import refusal
from test_core_rpc import _certificate
from test_kubo import unavailable

from doitrust.adapters.kubo import DEFAULT_API, Kubo, multiaddr
from doitrust.content.cid import RAW, cid_of
from doitrust.content.unixfs import MAX_BLOCK_SIZE
from doitrust.errors import Unavailable, Usage

SECOND = 1.0
BLOCK = b"a block"
CID = cid_of(BLOCK, RAW)
Answer = Callable[["Handler"], object]


class Handler(BaseHTTPRequestHandler):
    server: "Server"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        path, _, self.query = self.path.partition("?")
        self.call = path.removeprefix("/api/v0/")
        self.server.calls.append(self.call)
        with suppress(OSError):  # who is too much for the client loses the connection
            self.server.answer(self)
        self.close_connection = True

    def do_GET(self) -> None:
        self.do_POST()

    def upload(self) -> bytes:
        """Read a body in chunks."""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def raw(self, data: bytes) -> None:
        self.wfile.write(data)
        self.server.sent += len(data)

    def http(self, body: bytes, status: int = 200, more: str = "", length: int | None = None) -> None:
        size = len(body) if length is None else length
        self.raw(f"HTTP/1.1 {status} Said\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body)

    def json(self, value: object, status: int = 200) -> None:
        self.http(json.dumps(value).encode(), status)

    def drip(self, data: bytes) -> None:
        """Send byte by byte, as slowly as keeps any timeout of a read from ending."""
        for byte in data:
            if self.server.over.wait(SECOND / 20):
                return
            self.raw(bytes([byte]))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that http.server gives it
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.calls: list[str] = []
        self.sent = 0
        self.over = threading.Event()
        self.port: int = self.server_address[1]
        self.api = f"/ip4/127.0.0.1/tcp/{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def pinned(handler: Handler, **more: Answer) -> None:
    """What a daemon says to each call, but for those in `more`."""
    said = {
        "version": {"Version": "0.42.0"},
        "block/stat": {"Key": CID.text, "Size": len(BLOCK)},
        "pin/add": {"Pins": [CID.text]},
        "pin/ls": {"Keys": {CID.text: {"Type": "recursive"}}},
        "dag/import": {"Root": {"Cid": {"/": CID.text}, "PinErrorMsg": ""}},
    }
    answer = more.get(handler.call.replace("/", "_"))
    if handler.headers.get("Transfer-Encoding") == "chunked" and answer is None:
        handler.upload()
    if answer is not None:
        answer(handler)
    elif handler.call == "block/get":
        handler.http(BLOCK)
    else:
        handler.json(said[handler.call])


def every_call(kubo: Kubo) -> dict[str, Callable[[], object]]:
    return {
        "version": kubo.version,
        "get": lambda: kubo.get(CID),
        "has": lambda: kubo.has(CID),
        "put_file": lambda: kubo.put_file(BLOCK),
        "pin": lambda: kubo.pin(CID),
        "is_pinned": lambda: kubo.is_pinned(CID),
    }


def test_one_that_behaves() -> None:
    with serving(pinned) as server:
        kubo = Kubo(server.api)
        said = {name: call() for name, call in every_call(kubo).items()}
    assert said == {
        "version": "0.42.0",
        "get": BLOCK,
        "has": True,
        "put_file": CID,
        "pin": None,
        "is_pinned": True,
    }


def endless(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\n\r\n")
    while not handler.server.over.is_set():
        handler.raw(bytes(65536))


def endless_chunks(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not handler.server.over.is_set():
        handler.raw(b"10000\r\n" + bytes(65536) + b"\r\n")


def said_to_be_huge(handler: Handler) -> None:
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n")
    while not handler.server.over.is_set():
        handler.raw(bytes(65536))


def refuses_without_reading(handler: Handler) -> None:
    handler.http(b"", 403, "Connection: close\r\n")


#: What an answer is, and the code of the error that tells of it, whatever was called.
NO_API: dict[str, tuple[Answer, str]] = {
    "a page": (lambda h: h.http(b"<html>It works!</html>"), "ipfs_wrong_port"),
    "nothing": (lambda h: h.http(b""), "ipfs_wrong_port"),
    "a list": (lambda h: h.json([1]), "ipfs_wrong_port"),
    "a number": (lambda h: h.json(1), "ipfs_wrong_port"),
    "two objects": (lambda h: h.http(b'{"Version":"1"}\n{"Version":"2"}\n'), "ipfs_wrong_port"),
    "deep nesting": (lambda h: h.http(b"[" * 16000), "ipfs_wrong_port"),
    "deep objects": (lambda h: h.http(b'{"":' * 4000), "ipfs_wrong_port"),
    "lines that never end an object": (lambda h: h.http(b"{" + b"\n" * 16000), "ipfs_wrong_port"),
    "deep objects that end": (lambda h: h.http(b'{"":' * 980 + b"1" + b"}" * 980), "ipfs_wrong_port"),
    "many brackets": (lambda h: h.http(b'{"":[' + b"[]," * 5000 + b"1]}"), "ipfs_wrong_port"),
    "no UTF-8": (lambda h: h.http(b'{"Version":"\xff"}'), "ipfs_wrong_port"),
    "a number of 10,000 digits": (lambda h: h.http(b'{"Size":' + b"9" * 10000 + b"}"), "ipfs_wrong_port"),
    "another status of success": (lambda h: h.json({"Version": "1"}, 204), "ipfs_wrong_port"),
    "not found": (lambda h: h.http(b"404 page not found", 404), "ipfs_wrong_port"),
    "not allowed": (lambda h: h.http(b"", 405), "ipfs_wrong_port"),
    "bad request": (lambda h: h.http(b"<html>", 400), "ipfs_wrong_port"),
    "no HTTP": (lambda h: h.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "ipfs_wrong_port"),
    "a line without end": (lambda h: h.raw(b"HTTP/1.1 200 " + b"x" * 100_000), "ipfs_wrong_port"),
    "a thousand headers": (lambda h: h.http(b"{}", more="X: y\r\n" * 1000), "ipfs_wrong_port"),
    "a header without end": (lambda h: h.http(b"{}", more="X: " + "y" * 100_000 + "\r\n"), "ipfs_wrong_port"),
    "login": (lambda h: h.http(b"", 401), "ipfs_login"),
    "forbidden": (lambda h: h.http(b"403 - Forbidden", 403), "ipfs_login"),
    "forbidden before it was read": (refuses_without_reading, "ipfs_login"),
    "a proxy without a node": (lambda h: h.http(b"<html>Bad Gateway", 502), "ipfs_broken"),
    "an error without words": (lambda h: h.http(b"oops", 500), "ipfs_broken"),
    "an error whose words are none": (lambda h: h.json({"Message": ["x"]}, 500), "ipfs_broken"),
    "an error without end": (lambda h: h.http(bytes(10**6), 500), "ipfs_broken"),
    "silence": (lambda h: h.raw(b""), "ipfs_broken"),
    "less than was promised": (lambda h: h.http(b'{"Version"', length=100), "ipfs_broken"),
    "an error": (lambda h: h.json({"Message": "the disk is full", "Type": "error"}, 500), "ipfs_error"),
    "too much": (endless, "ipfs_garbage"),
    "too many chunks": (endless_chunks, "ipfs_garbage"),
    "too much announced": (said_to_be_huge, "ipfs_garbage"),
}
#: What only a block can be.
FINE_FOR_A_BLOCK = {
    *("a page", "nothing", "a list", "a number", "two objects", "deep nesting", "deep objects", "no UTF-8"),
    *(
        "lines that never end an object",
        "a number of 10,000 digits",
        "deep objects that end",
        "many brackets",
    ),
}


@pytest.mark.parametrize("name", NO_API)
def test_what_is_no_api_is_told_from_every_call(name: str) -> None:
    answer, code = NO_API[name]

    def read_and_answer(handler: Handler) -> None:
        if handler.headers.get("Transfer-Encoding") == "chunked" and answer is not refuses_without_reading:
            handler.upload()
        answer(handler)

    with serving(read_and_answer) as server:
        for call, ask in every_call(Kubo(server.api, timeout=10)).items():
            start = time.monotonic()
            expected = "ipfs_garbage" if call == "get" and name in FINE_FOR_A_BLOCK else code
            unavailable(expected, ask)
            assert time.monotonic() - start < 3, call
        assert isinstance(Kubo(server.api, timeout=10).provide(CID), str) or name in FINE_FOR_A_BLOCK


@pytest.mark.parametrize("answer", [endless, endless_chunks, said_to_be_huge])
def test_no_flood_is_held_in_memory(answer: Answer) -> None:
    with serving(answer) as server:
        kubo = Kubo(server.api)
        kubo.provide(CID)  # loads everything
        server.sent = 0
        tracemalloc.start()
        try:
            unavailable("ipfs_garbage", kubo.get, CID)
            unavailable("ipfs_garbage", kubo.has, CID)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 4 * MAX_BLOCK_SIZE
        assert server.sent < 16 * MAX_BLOCK_SIZE


def drips(slowly: bytes, at_once: bytes = b"") -> Answer:
    def answer(handler: Handler) -> None:
        handler.raw(at_once)
        handler.drip(slowly)

    return answer


#: How a node keeps us waiting.
STALLING: dict[str, Answer] = {
    "says nothing": lambda handler: handler.server.over.wait(),
    "drips the status": drips(b"HTTP/1.1 200 OK" + b" " * 1000),
    "drips headers": drips(b"X: y\r\n" * 90, b"HTTP/1.1 200 OK\r\n"),
    "drips the body": drips(b"{" * 999, b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
    "drips chunks": drips(b"1\r\n{\r\n" * 200, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "goes on and on": drips(b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "drips an error": drips(b"{" * 999, b"HTTP/1.1 500 No\r\nContent-Length: 999\r\n\r\n"),
}


@pytest.mark.parametrize("name", STALLING)
def test_a_stalling_node_ends_at_the_deadline(name: str) -> None:
    with serving(STALLING[name]) as server:
        kubo = Kubo(server.api, timeout=SECOND)
        for ask in (lambda: kubo.get(CID), kubo.version):
            start = time.monotonic()
            unavailable("ipfs_timeout", ask)
            assert time.monotonic() - start < SECOND + 0.7


def test_a_node_that_does_not_take_an_upload() -> None:
    with serving(lambda handler: handler.server.over.wait()) as server:
        start = time.monotonic()
        unavailable("ipfs_timeout", Kubo(server.api, timeout=0.2).put_file, bytes(2**18 * 2))
        assert time.monotonic() - start < 0.2 + 2 + 1  # as much longer as half a MiB may take


def test_nobody_listens_and_a_name_that_is_none() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        kubo = Kubo(f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}")
        for ask in every_call(kubo).values():
            assert "ipfs daemon" in unavailable("ipfs_not_running", ask).hint
        assert "no IPFS node answers" in (kubo.provide(CID) or "")
    unavailable("ipfs_broken", Kubo("http://nowhere.invalid:5001").version)


# ---- lies


def test_other_bytes_than_the_block() -> None:
    with serving(lambda handler: pinned(handler, block_get=lambda h: h.http(b"another"))) as server:
        error = unavailable("ipfs_garbage", Kubo(server.api).get, CID)
    assert CID.text in error.message


def test_a_block_that_is_too_large_to_be_one() -> None:
    block = bytes(MAX_BLOCK_SIZE + 1)
    with serving(lambda handler: handler.http(block)) as server:
        unavailable("ipfs_garbage", Kubo(server.api).get, cid_of(block, RAW))
    with serving(lambda handler: handler.http(block[:-1])) as server:
        assert Kubo(server.api).get(cid_of(block[:-1], RAW)) == block[:-1]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Root": None},
        {"Root": {"Cid": {"/": cid_of(b"x", RAW).text}, "PinErrorMsg": ""}},
        {"Root": {"Cid": [CID.text]}},
        {"Root": CID.text},
        {"Version": 1, "Pins": CID.text, "Keys": CID.text},
        {"Version": None, "Pins": [cid_of(b"x", RAW).text], "Keys": {CID.text: "recursive"}},
        {"Version": ["0.42.0"], "Pins": [], "Keys": {CID.text: {"Type": ["recursive"]}}},
    ],
)
def test_answers_that_mean_nothing(said: object) -> None:
    def answer(handler: Handler) -> None:
        if handler.headers.get("Transfer-Encoding") == "chunked":
            handler.upload()
        handler.json(said)

    with serving(answer) as server:
        kubo = Kubo(server.api)
        for ask in (lambda: kubo.put_file(BLOCK), lambda: kubo.pin(CID), kubo.version):
            unavailable("ipfs_garbage", ask)
        assert not kubo.is_pinned(CID)


@pytest.mark.parametrize("depths", [range(1, 200, 7), range(900, 1100, 7)])
def test_no_depth_of_nesting_is_too_much(depths: range) -> None:
    """What our reader takes, the library's, called from deeper down, has to take too."""
    bodies = iter([b'{"":' * depth + b"1" + b"}" * depth for depth in depths])
    with serving(lambda handler: handler.http(next(bodies))) as server:
        for _ in depths:
            with pytest.raises(Unavailable, match=r"no API|without a version"):
                Kubo(server.api).version()


def test_a_pin_that_failed() -> None:
    said = {"Root": {"Cid": {"/": CID.text}, "PinErrorMsg": "\x1b[31mno \u202eroom"}}

    def answer(handler: Handler) -> None:
        handler.upload()
        handler.json(said)

    with serving(lambda handler: pinned(handler, dag_import=answer)) as server:
        assert "no \\u202eroom" in unavailable("ipfs_error", Kubo(server.api).put_file, BLOCK).message


def test_words_of_a_node_are_shown_as_they_are() -> None:
    words = "\x1b]0;owned\x07 \u202eevil\n" * 100
    with serving(lambda handler: handler.json({"Message": words}, 500)) as server:
        kubo = Kubo(server.api)
        for ask in every_call(kubo).values():
            assert "\\x1b]0;owned" in unavailable("ipfs_error", ask).message
        reason = kubo.provide(CID)
        assert reason is not None
        assert reason.isprintable()
    with serving(lambda handler: pinned(handler, version=lambda h: h.json({"Version": words}))) as server:
        version = Kubo(server.api).version()
    assert version.isprintable()
    assert len(version) < 200


def test_a_gateway_that_only_reads_is_no_api() -> None:
    """Those of go-ipfs told their version to everybody."""
    with serving(lambda handler: pinned(handler, pin_ls=lambda h: h.http(b"404", 404))) as server:
        unavailable("ipfs_wrong_port", Kubo(server.api).version)


# ---- ways out


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with serving(pinned) as other:
        where = f"Location: http://127.0.0.1:{other.port}/api/v0/version\r\n"
        with serving(lambda handler: handler.http(b"", status, where)) as server:
            unavailable("ipfs_wrong_port", Kubo(server.api).version)
            unavailable("ipfs_wrong_port", Kubo(server.api).get, CID)
        assert other.calls == []


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(pinned) as proxy, serving(pinned) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert Kubo(server.api).get(CID) == BLOCK
        assert proxy.calls == []
        assert server.calls == ["block/get"]


def test_what_is_asked_and_sent() -> None:
    seen: list[tuple[str, str, bytes]] = []

    def answer(handler: Handler) -> None:
        chunked = handler.headers.get("Transfer-Encoding") == "chunked"
        seen.append((handler.command, handler.path, handler.upload() if chunked else b""))
        handler.json({"Root": {"Cid": {"/": CID.text}}}) if chunked else pinned(handler)

    with serving(answer) as server:
        kubo = Kubo(f"http://127.0.0.1:{server.port}/", timeout=10)
        kubo.put_file(BLOCK)
        kubo.has(CID)
    (_, imported, body), (method, stat, _) = seen
    assert (method, stat) == ("POST", f"/api/v0/block/stat?offline=true&timeout=8.000s&arg={CID.text}")
    assert imported.startswith("/api/v0/dag/import?timeout=8.0")
    # By hand: header of 58 bytes with the root, then one block of 36 + 7 bytes.
    root = bytes.fromhex("01551220") + CID.digest
    header = b"\xa2eroots\x81\xd8*X%\x00" + root + b"gversion\x01"
    assert bytes([len(header)]) + header + bytes([len(root) + len(BLOCK)]) + root + BLOCK in body


def test_telling_the_network_and_its_events() -> None:
    events = b'{"Type":4,"ID":"12D3"}\n' * 5000
    with serving(lambda handler: handler.http(events)) as server:
        assert Kubo(server.api).provide(CID) is None
        assert server.calls == ["routing/provide"]
    failed = events + b'{"Message":"no \x1b peers","Type":"error"}\n'.replace(b"\x1b", b"\\u001b")
    with serving(lambda handler: handler.http(failed)) as server:
        assert "no \\x1b peers" in (Kubo(server.api).provide(CID) or "")

    def old(handler: Handler) -> None:
        handler.http(
            b"" if handler.call == "dht/provide" else b"404", 404 if "routing" in handler.call else 200
        )

    with serving(old) as server:
        assert Kubo(server.api).provide(CID) is None
        assert server.calls == ["routing/provide", "dht/provide"]
    with serving(endless) as server:
        assert "more than" in (Kubo(server.api).provide(CID, timeout=20) or "")


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with serving(pinned) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        kubo = Kubo(f"https://localhost:{server.port}")
        assert "certificate" in unavailable("ipfs_broken", kubo.version).message.lower()
        assert server.calls == []
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert kubo.version() == "0.42.0"
        assert kubo.put_file(BLOCK) == CID


def test_threads_share_one() -> None:
    with serving(pinned) as server:
        kubo, found = Kubo(server.api), []
        threads = [threading.Thread(target=lambda: found.append(kubo.get(CID))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [BLOCK] * 8


# ---- addresses and the library


@pytest.mark.parametrize(
    ("text", "found"),
    {
        DEFAULT_API: "/ip4/127.0.0.1/tcp/5001/http",
        "/ip4/127.0.0.1/tcp/05001/": "/ip4/127.0.0.1/tcp/5001/http",
        "/ip6/::1/tcp/1/https": "/ip6/::1/tcp/1/https",
        "/dns/node.example.org/tcp/443/https": "/dns/node.example.org/tcp/443/https",
        "/dns4/localhost/tcp/5001/http": "/dns4/localhost/tcp/5001/http",
        "http://127.0.0.1:5001": "/ip4/127.0.0.1/tcp/5001/http",
        "http://localhost/": "/dns/localhost/tcp/80/http",
        "https://node.example.org": "/dns/node.example.org/tcp/443/https",
        "http://[::1]:5001/api/v0/": "/ip6/::1/tcp/5001/http",
    }.items(),
)
def test_an_address(text: str, found: str) -> None:
    assert multiaddr(text) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "5001", "127.0.0.1:5001", "/", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/5001"),
        *("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/65536", "/ip4/127.0.0.1/tcp/-1", "/ip4/::1/tcp/1"),
        *("/ip4/999.1.1.1/tcp/1", "/ip6/127.0.0.1/tcp/1", "/ip6/fe80::1%eth0/tcp/1", "/dns/a b/tcp/1"),
        *("/dns/a..b/tcp/1", "/dns/a\r\nX: y/tcp/1", "/dns/" + "a" * 64 + "/tcp/1", "/unix/run/ipfs.sock"),
        *("/dns/\u0131.example/tcp/1", "/ip4/127.0.0.1/tcp/\u0661", "/ip4/127.0.0.1/tcp/1/http/p2p/x"),
        *("ftp://127.0.0.1", "http://", "http://me:secret@127.0.0.1:5001", "http://127.0.0.1:5001/x"),
        *(
            "http://127.0.0.1:5001/?a",
            "http://127.0.0.1:99999",
            "http://[::1",
            "http://a/#b",
            "http://\x1b[31m",
        ),
        *("/ip4/127.0.0.1/tcp/5001\n", "http://127.0.0.1:5001\n"),
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert "ipfs.api" in refusal(Kubo, text, kind=Usage)


def test_a_password_in_an_address_is_not_repeated() -> None:
    said = refusal(Kubo, "http://me:secret@127.0.0.1:5001", kind=Usage)
    assert "secret" not in said
    assert "password" in said


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipfshttpclient", None)
    monkeypatch.delitem(sys.modules, "doitrust.adapters.kubo_line", raising=False)
    kubo = Kubo()
    for ask in every_call(kubo).values():
        assert unavailable("missing_extra", ask).hint == "pip install 'doitrust[ipfs]'"
    assert "ipfshttpclient" in (kubo.provide(CID) or "")


def test_the_library_is_loaded_at_the_first_call_and_warns_of_nothing() -> None:
    program = (
        "import sys; from doitrust.adapters.kubo import Kubo; from doitrust.errors import Unavailable\n"
        "kubo = Kubo('/ip4/127.0.0.1/tcp/1')\n"
        "assert 'ipfshttpclient' not in sys.modules and 'requests' not in sys.modules\n"
        "try: kubo.version()\n"
        "except Unavailable as error: print(error.code)\n"
        "assert 'ipfshttpclient' in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("ipfs_not_running\n", "")
