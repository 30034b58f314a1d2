"""The line to a node: what goes wrong on it, played by servers on loopback that answer byte by byte as told."""

import base64
import json
import logging
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cli import home, run
from rpc_node import SECRET, served

from doitrust.adapters.core import rpc as line
from doitrust.adapters.core.rpc import Rpc, RpcFailure
from doitrust.adapters.core.settings import core_node
from doitrust.adapters.devnet import Devnet
from doitrust.chain.networks import DEVNET, MAINNET
from doitrust.errors import BadData, DoitrustError, Unavailable, Usage

Script = Callable[["Talk"], object]
SECOND = 1.0
PASSWORD = "s3cr%t:ü@/#?&'\" 100%25"


class Talk:
    """A connection that a server took: it reads requests and answers as it likes."""

    def __init__(self, connection: socket.socket, server: "Server") -> None:
        self.connection = connection
        self.server = server
        self._read = connection.makefile("rb")

    def request(self) -> Any:
        """The next request's JSON; its headers are kept in `server.headers`. Raises `EOFError`."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._read.read(1)
            if not byte:
                raise EOFError
            head += byte
        headers = dict(text.split(": ", 1) for text in head.decode("latin-1").split("\r\n")[1:] if text)
        self.server.headers.append({name.lower(): value for name, value in headers.items()})
        self.server.requests += 1
        return json.loads(self._read.read(int(self.server.headers[-1]["content-length"])))

    def send(self, data: bytes) -> bool:
        self.connection.sendall(data)
        return True

    def http(
        self,
        body: bytes,
        status: str = "200 OK",
        kind: str = "application/json",
        more: str = "",
        length: int = -1,
    ) -> bool:
        size = len(body) if length < 0 else length
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n{more}\r\n"
        return self.send(head.encode() + body)

    def answer(self, result: Any, asked: Any = None, **more: Any) -> None:
        body = {"result": result, "error": None, "id": asked.get("id") if isinstance(asked, dict) else None}
        self.http(json.dumps(body).encode(), **more)


class Server:
    """A server; each connection runs the next of `scripts`, the last one again and again."""

    def __init__(self, *scripts: Script, host: str = "127.0.0.1") -> None:
        self._scripts = list(scripts)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, 0), family=family)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://[{host}]:{self.port}/" if ":" in host else f"http://{host}:{self.port}/"
        self.connections = self.requests = 0
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._talk, args=(script, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, script: Script, connection: socket.socket) -> None:
        talk = Talk(connection, self)
        with suppress(OSError, EOFError, ValueError):
            script(talk)
        with suppress(OSError):
            talk._read.close()
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@contextmanager
def serving(*scripts: Script, host: str = "127.0.0.1") -> Iterator[Server]:
    server = Server(*scripts, host=host)
    try:
        yield server
    finally:
        server.close()


def client(server: Server, *, timeout: float = SECOND, **more: Any) -> Rpc:
    return Rpc(server.url, more.pop("login", lambda: ("user", PASSWORD)), timeout=timeout, **more)


def always(result: Any) -> Script:
    def script(talk: Talk) -> None:
        while True:
            talk.answer(result, talk.request())

    return script


def once(**http: Any) -> Script:
    """Answer every request with these bytes."""

    def script(talk: Talk) -> None:
        while True:
            talk.request()
            talk.http(**http)

    return script


def body(data: bytes) -> Script:
    return once(body=data)


def failure(
    *scripts: Script, code: str, ask: Callable[[Rpc], object] | None = None, timeout: float = SECOND
) -> Unavailable:
    """The complaint about a server that behaves so, in a line that can be shown."""
    with serving(*scripts) as server:
        rpc = client(server, timeout=timeout)
        with pytest.raises(Unavailable) as caught:
            (ask or (lambda asked: asked.call("getblockcount")))(rpc)
    error = caught.value
    assert error.code == code, error.message
    assert error.message.isprintable()
    assert len(error.message) < 500
    told = "".join(traceback.format_exception(error))
    for secret in (PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode()):
        assert secret not in told + repr(rpc) + repr(rpc.__dict__) + error.hint
    return error


# ---- it works


def test_a_call_and_its_answer() -> None:
    with serving(always({"a": [1, "x", None]})) as server:
        assert client(server).call("any", 1, "two", [3]) == {"a": [1, "x", None]}
        assert server.headers[0]["content-type"] == "application/json"


def test_amounts_are_exact() -> None:
    with serving(body(b'{"result": [0.1, 20999999.97690000, 4.656542373906925e-10], "id": 1}')) as server:
        assert client(server).call("any") == [
            Decimal("0.1"),
            Decimal("20999999.97690000"),
            Decimal("4.656542373906925e-10"),
        ]


def test_one_connection_serves_many_calls() -> None:
    with serving(always(5)) as server:
        rpc = client(server)
        assert [rpc.call("x") for _ in range(20)] == [5] * 20
        assert server.connections == 1


def test_two_threads_share_a_line() -> None:
    def script(talk: Talk) -> None:
        while True:
            asked = talk.request()
            if isinstance(asked, list):
                talk.http(json.dumps([{"id": e["id"], "result": e["params"][0]} for e in asked]).encode())
            else:
                talk.answer(asked["params"][0], asked)

    with serving(script) as server:
        rpc = client(server, timeout=5)
        found: dict[int, Any] = {}

        def work(number: int) -> None:
            found[number] = [rpc.call("x", number), rpc.batch([("x", number), ("y", number)])]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {number: [number, [number, number]] for number in range(20)}


def test_ipv6_on_loopback() -> None:
    with serving(always("six"), host="::1") as server:
        node = core_node({"node.url": f"http://[::1]:{server.port}", "node.user": "x"}, MAINNET, "node")
        assert node is not None
        assert (node.name, node.own) == (f"[::1]:{server.port}", True)
        assert client(server).call("x") == "six"


@pytest.mark.parametrize("user", ["user", "ü%s", "a@b/c"])
@pytest.mark.parametrize("password", [PASSWORD, "", "%", "a:b:c", "日本", "\udcff", "x\ny"])
def test_user_and_password_arrive_as_they_are(user: str, password: str) -> None:
    with serving(always(1)) as server:
        client(server, login=lambda: (user, password)).call("x")
        client(server, login=lambda: (user, password)).batch([])
        (sent,) = {headers["authorization"] for headers in server.headers}
    kind, _, pair = sent.partition(" ")
    assert kind == "Basic"
    assert base64.b64decode(pair) == f"{user}:{password}".encode("utf-8", "surrogateescape")


# ---- connections that end


def closing_after(count: int, *, header: bool = False) -> Script:
    def script(talk: Talk) -> None:
        for _ in range(count):
            talk.answer("fine", talk.request(), more="Connection: close\r\n" if header else "")

    return script


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_connection_that_the_server_closed_is_opened_again(header: bool, pause: float) -> None:
    with serving(closing_after(1, header=header)) as server:
        rpc = client(server)
        for _ in range(4):
            assert rpc.call("x") == "fine"
            time.sleep(pause)
        assert server.connections == 4


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n")
        talk.send(b'{"result": "' + b"x" * 100_000)
        time.sleep(0.02)
        talk.send(b'"}')

    with serving(script) as server:
        assert client(server).call("x") == "x" * 100_000


def test_chunks_are_put_together() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b'{"resu', b'lt": 7}'):
            talk.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        talk.send(b"0\r\n\r\n")

    with serving(script) as server:
        assert client(server).call("x") == 7


def test_after_idling_the_connection_is_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(always(1)) as server:
        rpc = client(server)
        rpc.call("x")
        rpc.call("x")
        assert server.connections == 1
        monkeypatch.setattr(line, "_IDLE", 0.01)
        time.sleep(0.03)
        rpc.call("x")
        assert server.connections == 2


def test_a_fresh_connection_that_breaks_is_not_tried_for_ever() -> None:
    def script(talk: Talk) -> None:
        talk.request()

    with serving(script) as server:
        with pytest.raises(Unavailable) as caught:
            client(server).call("x")
        assert (caught.value.code, server.connections) == ("node_broken", 1)


def test_an_old_connection_that_breaks_is_tried_once_more_and_no_more() -> None:
    with serving(closing_after(1), lambda talk: talk.request()) as server:
        rpc = client(server)
        rpc.call("x")
        with pytest.raises(Unavailable) as caught:
            rpc.call("x")
        assert (caught.value.code, server.connections) == ("node_broken", 2)


def test_after_any_failure_the_line_works_again() -> None:
    with serving(
        body(b"oops"), lambda talk: talk.server.over.wait(5), closing_after(0), always("well")
    ) as server:
        rpc = client(server, timeout=0.2)
        codes = []
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                rpc.call("x")
            codes.append(caught.value.code)
        assert codes == ["node_garbage", "node_timeout", "node_broken"]
        assert rpc.call("x") == "well"


HALF: dict[str, Script] = {
    "headers": lambda talk: (talk.request(), talk.send(b"HTTP/1.1 200 OK\r\nContent-Ty")),
    "body": lambda talk: (talk.request(), talk.http(b'{"result": 1', length=500)),
    "nothing": lambda talk: talk.request(),
    "chunk": lambda talk: (
        talk.request(),
        talk.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n50\r\n{"
        ),
    ),
}


@pytest.mark.parametrize("name", HALF)
def test_half_an_answer(name: str) -> None:
    # The half of a header line is a whole line to http.client; then there is no JSON.
    failure(HALF[name], code="node_garbage" if name == "headers" else "node_broken")


# ---- time


def dripping(data: bytes) -> Script:
    def script(talk: Talk) -> None:
        talk.request()
        for byte in data:
            talk.send(bytes([byte]))
            if talk.server.over.wait(0.02):
                return

    return script


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    "script",
    [
        dripping(HEAD + b'{"result": "' + b"x" * 900),
        dripping(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 900),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 90),
        lambda talk: talk.server.over.wait(5),
        lambda talk: (talk.request(), talk.send(HEAD), talk.server.over.wait(5)),
    ],
    ids=["body", "header", "continue", "silence", "silence after the headers"],
)
@pytest.mark.parametrize("batch", [False, True])
def test_a_call_has_one_deadline(script: Script, batch: bool) -> None:
    started = time.monotonic()
    failure(
        script, code="node_timeout", timeout=0.3, ask=(lambda rpc: rpc.batch([("x",)])) if batch else None
    )
    assert time.monotonic() - started < 1.5


def test_a_call_may_have_another_deadline() -> None:
    def script(talk: Talk) -> None:
        while True:
            asked = talk.request()
            time.sleep(0.4)
            talk.answer(1, asked)

    with serving(script) as server:
        rpc = client(server, timeout=0.1)
        assert rpc.call("slow", timeout=3.0) == 1
        with pytest.raises(Unavailable):
            rpc.call("slow")


def test_a_server_that_reads_nothing() -> None:
    def ask(rpc: Rpc) -> None:
        rpc.call("x", "y" * 30_000_000)

    started = time.monotonic()
    failure(lambda talk: talk.server.over.wait(5), code="node_timeout", timeout=0.3, ask=ask)
    assert time.monotonic() - started < 3


# ---- size


def endless(talk: Talk) -> None:
    talk.request()
    talk.send(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"result": "')
    while not talk.server.over.is_set():
        talk.send(b"x" * 65536)


@pytest.mark.parametrize(
    "script",
    [
        endless,
        lambda talk: (talk.request(), talk.http(b"{", length=10**12)),
        body(b'{"result": "' + b"x" * 200_000 + b'"}'),
    ],
    ids=["endless", "announced", "sent"],
)
def test_an_answer_has_a_limit(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MAX_ANSWER", 100_000)
    error = failure(script, code="node_garbage", timeout=5)
    assert "more than 100000 bytes" in error.message


def test_headers_without_end() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.send(b"HTTP/1.1 200 OK\r\n")
        while not talk.server.over.is_set():
            talk.send(b"X-Y: z\r\n" * 1000)

    failure(script, code="node_broken", timeout=5)
    failure(
        lambda talk: (talk.request(), talk.send(b"HTTP/1.1 200 " + b"O" * 100_000)),
        code="node_broken",
        timeout=5,
    )


# ---- what is no answer

GARBAGE = {
    "html": once(body=b"<html>hello</html>", kind="text/html"),
    "html that says it is json": body(b"<html>hello</html>"),
    "no type": lambda talk: (
        talk.request(), talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + b'{"result": 1}'),
    ),
    "another type": once(body=b'{"result": 1}', kind="application/jsonp"),
    "not http": lambda talk: (talk.request(), talk.send(b"\x00\x01SSH-2.0-OpenSSH\r\n\r\n")),
    "empty": body(b""),
    "half": body(b'{"result": [1, 2'),
    "two": body(b'{"result": 1}{"result": 2}'),
    "latin-1": body('{"result": "ü"}'.encode("latin-1")),
    "utf-16": body('{"result": 1}'.encode("utf-16")),
    "NaN": body(b'{"result": NaN}'),
    "Infinity": body(b'{"result": -Infinity}'),
    "deep": body(b'{"result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a long integer": body(b'{"result": 1' + b"0" * 5000 + b"}"),
    "a longer integer": body(b'{"result": 1' + b"0" * 50 + b"}"),
    "a huge number": body(b'{"result": 1e999999999}'),
    "a tiny number": body(b'{"result": 1e-99999999}'),
    "a long number": body(b'{"result": 0.' + b"1" * 100_000 + b"}"),
    "a list": body(b'[{"result": 1}]'),
    "a text": body(b'"result"'),
    "null": body(b"null"),
    "no result": body(b'{"id": 1, "error": null}'),
    "an error that is a text": body(b'{"error": "code message"}'),
    "an error that is a number": body(b'{"error": 5}'),
    "an error that is a list": body(b'{"error": ["code"]}'),
    "an error without a number": body(b'{"error": {"message": "x"}}'),
    "an error with a text for a number": body(b'{"error": {"code": "x", "message": "x"}}'),
    "an error with true for a number": body(b'{"error": {"code": true, "message": "x"}}'),
    "an error without words": body(b'{"error": {"code": 5, "message": null}}'),
    "a redirect": once(body=b"", status="301 Moved Permanently", more="Location: http://127.0.0.1:1/\r\n"),
    "a redirect in json": once(body=b'{"result": 1}', status="302 Found", more="Location: http://127.0.0.1:1/\r\n"),
    "no content": lambda talk: (talk.request(), talk.send(b"HTTP/1.1 204 No Content\r\n\r\n")),
    "method not allowed": once(body=b"JSONRPC server handles only POST requests", status="405 Not", kind="text/html"),
    "bad gateway": once(body=b"<h1>502</h1>", status="502 Bad Gateway", kind="text/html"),
}  # fmt: skip


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_no_answer(name: str, batch: bool) -> None:
    code = "node_broken" if name == "not http" else "node_garbage"
    failure(GARBAGE[name], code=code, ask=(lambda rpc: rpc.batch([("x",)])) if batch else None)


def test_escape_sequences_are_not_shown() -> None:
    def script(talk: Talk) -> None:
        talk.request()
        talk.http(b'{"error": {"code": -8, "message": "\\u001b[31mred\\u202e' + b"x" * 5000 + b'"}}')

    error = failure(script, code="node_error")
    assert "red" in error.message


def test_an_encoding_and_a_case_of_the_type_are_fine() -> None:
    with serving(once(body=b'{"result": 1}', kind="Application/JSON; charset=utf-8")) as server:
        assert client(server).call("x") == 1


# ---- errors that the node tells


@pytest.mark.parametrize("status", ["200 OK", "400 Bad", "404 Not Found", "500 Internal Server Error"])
def test_an_error_of_the_node(status: str) -> None:
    said = b'{"result":null,"error":{"code":-8,"message":"Block height out of range"},"id":1}'
    with serving(once(body=said, status=status)) as server, pytest.raises(RpcFailure) as caught:
        client(server).call("getblockhash", -1)
    assert (caught.value.number, caught.value.text) == (-8, "Block height out of range")


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(("number", "code"), [(-28, "node_starting"), (-10, "node_syncing")])
def test_a_node_that_is_not_ready(batch: bool, number: int, code: str) -> None:
    one = {"result": None, "error": {"code": number, "message": "Loading block index..."}, "id": 0}
    said = json.dumps([one] if batch else one).encode()
    ask = (lambda rpc: rpc.batch([("x",)])) if batch else None
    error = failure(once(body=said, status="200 OK" if batch else "500 Internal"), code=code, ask=ask)
    assert "Loading block index" in error.message


def test_too_much_to_do() -> None:
    failure(once(body=b"Work queue depth exceeded", status="503 Service", kind="text/html"), code="node_busy")


# ---- batches


def batched(change: Callable[[list[Any]], Any]) -> Script:
    def script(talk: Talk) -> None:
        while True:
            asked = talk.request()
            answers = [{"id": each["id"], "result": each["params"][0], "error": None} for each in asked]
            talk.http(json.dumps(change(answers)).encode())

    return script


def ask_three(rpc: Rpc) -> list[Any]:
    return rpc.batch([("x", number) for number in "abc"])


def test_a_batch_in_any_order() -> None:
    for change in (
        lambda found: found,
        lambda found: found[::-1],
        lambda found: [found[1], found[2], found[0]],
    ):
        with serving(batched(change)) as server:
            assert ask_three(client(server)) == ["a", "b", "c"]


def test_one_error_among_many_stands_for_itself() -> None:
    def change(found: list[Any]) -> list[Any]:
        found[1] = {"id": 1, "result": None, "error": {"code": -5, "message": "not found"}}
        return found

    with serving(batched(change)) as server:
        first, second, third = ask_three(client(server))
    assert (first, third) == ("a", "c")
    assert isinstance(second, RpcFailure)
    assert (second.number, second.text) == (-5, "not found")


SPOILT: dict[str, Callable[[list[Any]], Any]] = {
    "short": lambda found: found[:2],
    "long": lambda found: [*found, found[0]],
    "empty": lambda _: [],
    "one twice": lambda found: [found[0], found[0], found[2]],
    "another number": lambda found: [{**found[0], "id": 7}, *found[1:]],
    "numbers as texts": lambda found: [{**each, "id": str(each["id"])} for each in found],
    "numbers with a point": lambda found: [{**each, "id": float(each["id"])} for each in found],
    "numbers as booleans": lambda found: [{**found[0], "id": False}, {**found[1], "id": True}, found[2]],
    "a list for a number": lambda found: [{**found[0], "id": [0]}, *found[1:]],
    "no number": lambda found: [{"result": 1}, *found[1:]],
    "no object": lambda found: [5, *found[1:]],
    "no result": lambda found: [{"id": 0}, *found[1:]],
    "an error that is none": lambda found: [{"id": 0, "error": "x"}, *found[1:]],
    "an object": lambda _: {"result": 1, "error": None, "id": 0},
    "an error for all": lambda _: {
        "result": None,
        "error": {"code": -32700, "message": "Parse error"},
        "id": None,
    },
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_batch_that_was_not_answered_so(name: str) -> None:
    failure(batched(SPOILT[name]), code="node_garbage", ask=ask_three)


def test_large_batches_go_in_parts_and_none_at_all() -> None:
    with serving(batched(lambda found: found)) as server:
        rpc = client(server, timeout=5)
        assert rpc.batch([("x", number) for number in range(1001)]) == list(range(1001))
        assert server.requests == 6
        assert rpc.batch([]) == []
        assert server.requests == 6


def test_a_batch_too_large_to_answer_at_once_is_asked_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "MAX_ANSWER", 1_000)
    with serving(batched(lambda found: found)) as server:
        rpc = client(server, timeout=5)
        calls = [("x", str(number) * 20) for number in range(10, 50)]
        assert rpc.batch(calls) == [each for _, each in calls]
        with pytest.raises(Unavailable) as caught:
            rpc.batch([("x", "y" * 2000)])
        assert caught.value.code == "node_garbage"


# ---- who may ask


def guarded(wanted: Callable[[], str], *, close: bool) -> Script:
    def script(talk: Talk) -> None:
        while True:
            asked = talk.request()
            sent = base64.b64decode(talk.server.headers[-1]["authorization"].partition(" ")[2]).decode()
            if sent == wanted():
                talk.answer("in", asked)
            else:
                talk.http(b"", "401 Unauthorized", "text/html", "Connection: close\r\n" if close else "")
                if close:
                    return

    return script


@pytest.mark.parametrize("close", [False, True])
def test_a_node_started_anew_has_a_new_cookie(tmp_path: Path, close: bool) -> None:
    cookie = tmp_path / ".cookie"
    cookie.write_text("__cookie__:one\n")
    current = ["__cookie__:one"]
    with serving(guarded(lambda: current[0], close=close)) as server:
        settings = {"node.url": server.url, "node.cookie": str(cookie)}
        node = core_node(settings, DEVNET, "node")
        assert node is not None
        assert node._rpc.call("x") == "in"
        current[0] = "__cookie__:two"
        with pytest.raises(Unavailable) as caught:  # it is written after the node has ended
            node._rpc.call("x")
        assert caught.value.code == "node_login"
        cookie.write_text(current[0])
        assert node._rpc.call("x") == "in"
        assert node._rpc.call("x") == "in"
        cookie.unlink()
        assert node._rpc.call("x") == "in"
        current[0] = "__cookie__:three"
        with pytest.raises(Unavailable) as caught:
            node._rpc.call("x")
        assert caught.value.code == "no_cookie"


@pytest.mark.parametrize("batch", [False, True])
def test_a_wrong_login(batch: bool) -> None:
    ask = (lambda rpc: rpc.batch([("x",)])) if batch else None
    error = failure(guarded(lambda: "someone:else", close=True), code="node_login", ask=ask)
    assert "DOITRUST_NODE_PASSWORD" in error.hint


def test_a_machine_that_is_not_allowed() -> None:
    error = failure(once(body=b"", status="403 Forbidden", kind="text/html"), code="node_forbidden")
    assert "rpcallowip" in error.hint


@pytest.mark.parametrize("content", [b"", b"user", b"user:", b"\xff:x", b"x" * 5000])
def test_a_cookie_that_is_none(tmp_path: Path, content: bytes) -> None:
    cookie = tmp_path / ".cookie"
    cookie.write_bytes(content)
    node = core_node({"node.url": "127.0.0.1:1", "node.cookie": str(cookie)}, DEVNET, "node")
    assert node is not None
    with pytest.raises((BadData, Unavailable)) as caught:
        node.tip()
    assert caught.value.message.isprintable()


def test_a_password_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    with serving(guarded(lambda: f"ü:{PASSWORD}", close=False)) as server:
        node = core_node({"node.url": server.url, "node.user": "ü"}, DEVNET, "node")
        assert node is not None
        with pytest.raises(Usage, match="no password"):
            node._rpc.call("x")
        monkeypatch.setenv("DOITRUST_NODE_PASSWORD_FILE", str(tmp_path / "password"))
        assert node._rpc.call("x") == "in"
        monkeypatch.setenv("DOITRUST_NODE_PASSWORD", PASSWORD)
        assert node._rpc.call("x") == "in"


# ---- where it is


@pytest.mark.parametrize(
    ("url", "dialled", "own"),
    [
        (None, "http://127.0.0.1:8339/", True),
        ("localhost", "http://localhost:8339/", True),
        ("10.0.0.7:9000", "http://10.0.0.7:9000/", False),
        ("http://node.example", "http://node.example:8339/", False),
        ("https://node.example", "https://node.example:443/", False),
        ("https://node.example/wallet/x", "https://node.example:443/wallet/x", False),
        ("http://[::1]", "http://[::1]:8339/", True),
    ],
)
def test_the_address_of_a_node(url: str | None, dialled: str, own: bool) -> None:
    node = core_node({} if url is None else {"node.url": url}, MAINNET, "node")
    assert node is not None
    assert (node._rpc.url, node.own) == (dialled, own)
    assert core_node({}, MAINNET, "node2") is None
    declared = core_node({"node2.url": url or "x", "node2.own": not own}, MAINNET, "node2")
    assert declared is not None
    assert declared.own is not own


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "http://", "http://x:y", "http://x:99999", "http://u:p@x", "http://x/?a", "http://[x", ""],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Usage) as caught:
        core_node({"node.url": url or "http://"}, MAINNET, "node")
    assert "u:p" not in caught.value.message


@pytest.mark.parametrize(
    "url", ["http://a b", "http://a\tb", "http://..", "http://" + "x" * 300, "http://ü/ü", "http://x/a b"]
)
def test_an_address_that_leads_nowhere(url: str) -> None:
    try:
        node = core_node({"node.url": url, "node.user": "x"}, MAINNET, "node")
    except DoitrustError:
        return
    assert node is not None
    rpc = Rpc(node._rpc.url, lambda: ("u", "p"), timeout=2)
    with pytest.raises(Unavailable):
        rpc.call("x")


def test_nobody_listens() -> None:
    with serving() as server:
        rpc = client(server)
    with pytest.raises(Unavailable) as caught:
        rpc.call("x")
    assert caught.value.code == "node_not_running"
    assert "server=1" in caught.value.hint


def test_tls_on_a_port_without() -> None:
    with serving(always(1)) as server:
        rpc = Rpc(server.url.replace("http:", "https:"), lambda: ("u", "p"), timeout=SECOND)
        with pytest.raises(Unavailable) as caught:
            rpc.call("x")
    assert caught.value.code in ("node_broken", "node_timeout")
    assert server.requests == 0


def test_a_handshake_has_a_deadline_too() -> None:
    with serving(lambda talk: talk.server.over.wait(5)) as server:
        rpc = Rpc(server.url.replace("http:", "https:"), lambda: ("u", "p"), timeout=0.3)
        started = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            rpc.call("x")
    assert caught.value.code == "node_timeout"
    assert time.monotonic() - started < 2


def test_tls_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def script(talk: Talk) -> None:
        with context.wrap_socket(talk.connection, server_side=True) as secured:
            always("secret")(Talk(secured, talk.server))

    with serving(script) as server:
        url = server.url.replace("http:", "https:").replace("127.0.0.1", "localhost")
        rpc = Rpc(url, lambda: ("u", "p"), timeout=SECOND)
        with pytest.raises(Unavailable, match=r"(?i)certificate") as caught:
            rpc.call("x")
        assert caught.value.code == "node_broken"
        assert server.requests == 0
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert rpc.call("x") == "secret"
        assert rpc.call("x") == "secret"
        assert server.connections == 2
        rpc.close()


def _certificate(folder: Path) -> Path:
    import datetime  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = folder / "tls.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


# ---- secrets


def test_no_secret_in_what_is_traced_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lines: list[str] = []
    with serving(always(1)) as server:
        rpc = client(server, trace=lines.append)
        rpc.call("getblock", "ab" * 32, 0)
        with pytest.raises(Unavailable):
            rpc.batch([("first", "\x1b[31m"), ("second",)])
        rpc._proxy = rpc._connected()
        shown = (
            repr(rpc)
            + repr(rpc._proxy)
            + repr(rpc._proxy.line)
            + str(rpc._proxy.__dict__["_AuthServiceProxy__service_url"])
        )
    assert len(lines) == 2
    assert lines[0].startswith(f'getblock("{"ab" * 32}", 0): ')
    assert lines[1].startswith("first(")
    assert "and 1 more" in lines[1]
    assert all(text.isprintable() for text in lines)
    for secret in (PASSWORD, "s3cr", base64.b64encode(f"user:{PASSWORD}".encode()).decode()):
        assert secret not in "".join(lines) + shown + caplog.text


def test_the_command_line_traces_calls_and_no_secret(tmp_path: Path) -> None:
    devnet = Devnet(tmp_path)
    devnet.mine(1)
    devnet.close()
    with served(tmp_path) as (served_at, _):
        home().mkdir(exist_ok=True)
        user, _, password = SECRET.partition(":")
        (home() / "config.toml").write_text(
            f'[node]\nurl = "http://127.0.0.1:{served_at.port}"\nuser = "{user}"\n'
        )
        env = {"DOITRUST_NETWORK": "regtest", "DOITRUST_NODE_PASSWORD": password}
        ran = run("-vv", "verify", "1EMH0012345678", env=env)
        assert ran.status == 3, ran
        assert "getblockchaininfo()" in ran.err
        wrong = run("-vv", "verify", "1EMH0012345678", env={**env, "DOITRUST_NODE_PASSWORD": "s3cr%t"})
        assert (wrong.status, "refuses the login" in wrong.err) == (1, True)
    for shown in (ran.err + ran.out, wrong.err + wrong.out):
        assert password not in shown
        assert "s3cr" not in shown
