"""A proxy on loopback in front of a node, which alters chosen answers: a source that lies, stalls or lags."""

import base64
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rpc_node import SECRET

from doitrust.adapters.core.rpc import RpcFailure

#: By method («*» for all others): from a call to its answer, or to the `RpcFailure` that is told instead.
Lies = Mapping[str, Callable[["Call"], Any]]


class Call:
    """A call on its way; `ask` gives what the node says to it, or to other parameters, or raises `RpcFailure`."""

    def __init__(self, proxy: "Proxy", method: str, params: list[Any]) -> None:
        self.proxy = proxy
        self.method = method
        self.params = params

    def ask(self, *params: Any, method: str | None = None) -> Any:
        body = {"id": 0, "method": method or self.method, "params": list(params) or self.params}
        answer = self.proxy.forward(json.dumps(body).encode())
        if answer["error"] is not None:
            raise RpcFailure(answer["error"]["code"], answer["error"]["message"])
        return answer["result"]


class Proxy(ThreadingHTTPServer):
    """Where to ask, and what was asked: HTTP requests, calls, bytes each way."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: int, lies: Lies, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.lies = dict(lies)
        self.secret = secret
        self.port: int = self.server_address[1]
        self.requests = 0
        self.calls: list[str] = []
        self.sent = self.received = 0
        self.over = threading.Event()

    def reset(self) -> None:
        self.requests, self.calls, self.sent, self.received = 0, [], 0, 0

    def forward(self, body: bytes) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=20)
        try:
            login = base64.b64encode(self.secret.encode()).decode()
            connection.request("POST", "/", body, {"Authorization": f"Basic {login}"})
            return json.loads(connection.getresponse().read(), parse_float=_Number)
        finally:
            connection.close()

    def answer(self, body: bytes) -> bytes:
        asked = json.loads(body)
        self.requests += 1
        found = self._all(asked) if isinstance(asked, list) else self._all([asked])[0]
        said = json.dumps(found, default=_number).encode()
        self.received += len(body)
        self.sent += len(said)
        return said

    def _all(self, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers; those that aren't lied about come together."""
        self.calls += [each["method"] for each in asked]
        honest = [each for each in asked if self._lie(each["method"]) is None]
        answers = iter(self.forward(json.dumps(honest).encode()) if honest else ())
        return [self._one(each) if self._lie(each["method"]) else next(answers) for each in asked]

    def _lie(self, method: str) -> Callable[[Call], Any] | None:
        return self.lies.get(method, self.lies.get("*"))

    def _one(self, asked: dict[str, Any]) -> dict[str, Any]:
        call = Call(self, asked["method"], list(asked["params"]))
        lie = self._lie(call.method)
        try:
            result = call.ask() if lie is None else lie(call)
        except RpcFailure as error:
            result = error
        if isinstance(result, RpcFailure):
            told = {"code": result.number, "message": result.text}
            return {"result": None, "error": told, "id": asked["id"]}
        return {"result": result, "error": None, "id": asked["id"]}


class _Number(Decimal):
    """A number that is sent on as it came."""


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(type(value))


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            said = self.server.answer(body)
        except OSError:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that http.server gives it
        pass


@contextmanager
def lying(target: int, lies: Lies | None = None, *, secret: str = SECRET) -> Iterator[Proxy]:
    """Serve what the node at the port `target` says, altered."""
    proxy = Proxy(target, lies or {}, secret)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.over.set()
        proxy.shutdown()
        thread.join()
        proxy.server_close()
