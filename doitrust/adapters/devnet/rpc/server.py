"""The devnet served as Doichain Core serves its chain: JSON-RPC over HTTP on 127.0.0.1, with a cookie.

Source: src/httprpc.cpp, src/httpserver.cpp. A Devnet is for one thread, so each request opens its own.
"""

import base64
import binascii
import hmac
import io
import os
import signal
import socket
import socketserver
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from doitrust.adapters.devnet.chain import Devnet
from doitrust.adapters.devnet.rpc.call import Node
from doitrust.adapters.devnet.rpc.cookie import COOKIE, cookie, locked
from doitrust.adapters.devnet.rpc.dispatch import Answer, answer
from doitrust.adapters.devnet.rpc.stream import Deadline
from doitrust.errors import Unavailable, Usage

#: Loopback, and nothing else ever: whoever has the cookie may do what they like with the chain.
HOST = "127.0.0.1"
#: Bytes of a request's body (src/serialize.h, MAX_SIZE).
MAX_BODY = 0x02000000
#: Seconds for a request to arrive, and that an idle connection is kept (src/httpserver.h,
#: DEFAULT_HTTP_SERVER_TIMEOUT).
TIMEOUT = 30.0
#: Connections at a time; a node queues 16 requests.
MAX_CONNECTIONS = 64
#: Seconds that a wrong password costs (src/httprpc.cpp).
_WRONG_PASSWORD_SECONDS = 0.25
#: Seconds that requests under way have to end when the server does.
_LAST_SECONDS = 5.0
#: Of a body that nobody wants this much is read, so that the client hears why.
_MAX_DRAINED = 1 << 16
_WALLET_PATH = "/wallet/"
_INTERNAL = '{"result":null,"error":{"code":-32603,"message":"Internal error"},"id":null}\n'


class Served(NamedTuple):
    """Where the server is: `cookie` is the file."""

    url: str
    port: int
    cookie: Path


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """The server on a socket of its own; `authorization` is the content of the cookie."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    # Elsewhere it would let two servers have the same port.
    allow_reuse_address = os.name == "posix"

    def __init__(self, directory: Path, port: int, authorization: str, *, timeout: float = TIMEOUT) -> None:
        super().__init__((HOST, port), Handler)
        self.directory = directory
        self.authorization = authorization
        self.seconds = timeout
        self.stopping = threading.Event()
        self._started = time.monotonic()
        self._slots = threading.Semaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()

    def uptime(self) -> int:
        """Seconds since the start."""
        return int(time.monotonic() - self._started)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread, or close it if there are too many."""
        if not self._slots.acquire(blocking=False):
            with suppress(OSError):
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            self.shutdown_request(request)
            return
        with self._guard:
            self._open.add(request)
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no more threads
            self._let_go(request)
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._let_go(request)

    def _let_go(self, request: socket.socket) -> None:
        with self._guard:
            self._open.discard(request)
        self._slots.release()

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Tell of a bug of ours; a client that went away, or sent nothing for too long, is none."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()

    def end_connections(self) -> None:
        """Hear no more, and wait for what is under way, but not for ever."""
        until = time.monotonic() + _LAST_SECONDS
        with self._guard:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)
        while self._open and time.monotonic() < until:
            time.sleep(0.01)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Read from the socket by our own clock."""
        super().setup()
        self.rfile.close()
        self._stream = Deadline(self.connection, self.server.seconds)
        self.rfile = io.BufferedReader(self._stream)

    def handle_one_request(self) -> None:
        """Serve one request; the time for it begins now."""
        self._stream.renew()
        try:
            super().handle_one_request()
        except OSError:  # it went away, or takes too long
            self.close_connection = True

    def version_string(self) -> str:
        """What the header `Server` says."""
        return "doitrust-devnet"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that http.server gives it
        """Say nothing: what was asked is nobody's business."""

    def do_POST(self) -> None:
        """Answer JSON-RPC."""
        wallet = self._wallet()
        if wallet is None and self.path != "/":
            self._end(404)
            return
        length = self._length()
        if length is None:
            return
        if not self._authorized():
            self._refuse_password(length)
            return
        if length > MAX_BODY:
            self._end(413)
            return
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        self._reply(self._answer(body, wallet))

    def _other(self) -> None:
        """Refuse other methods; those that a node doesn't know at all are refused by http.server."""
        if self.path != "/" and self._wallet() is None:
            self._end(404)
        else:
            self._end(405, b"JSONRPC server handles only POST requests")

    do_GET = do_HEAD = do_PUT = _other  # noqa: N815  # http.server looks for these

    def do_DELETE(self) -> None:
        """Refuse it whatever the path (http_request_cb)."""
        self._end(405)

    def _wallet(self) -> str | None:
        """The wallet that the path names, or None."""
        if not self.path.startswith(_WALLET_PATH):
            return None
        return unquote(self.path.removeprefix(_WALLET_PATH), errors="replace")

    def _length(self) -> int | None:
        """The length of the body; None, after a refusal, if it isn't said as we can read it."""
        if "Transfer-Encoding" in self.headers:
            self._end(501)
            return None
        lengths = self.headers.get_all("Content-Length", ["0"])
        if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()) or len(lengths[0]) > 18:
            self._end(400)
            return None
        return int(lengths[0])

    def _authorized(self) -> bool:
        """Whether the cookie was shown (RPCAuthorized)."""
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return False
        try:
            shown = base64.b64decode(given.strip().encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return False
        return hmac.compare_digest(shown, self.server.authorization.encode())

    def _refuse_password(self, length: int) -> None:
        if "Authorization" in self.headers:
            time.sleep(_WRONG_PASSWORD_SECONDS)
        if length <= _MAX_DRAINED:
            self.rfile.read(length)
        self._end(401)

    def _answer(self, body: bytes, wallet: str | None) -> Answer:
        server = self.server
        with closing(Devnet(server.directory)) as devnet:
            try:
                return answer(Node(devnet, server.uptime, server.stopping.set, wallet), body)
            except Exception:  # noqa: BLE001  # a bug of ours must not take the connection with it
                traceback.print_exc()
                return Answer(500, _INTERNAL)

    def _reply(self, told: Answer) -> None:
        self._send(told.status, told.body.encode("utf-8", "replace"), "application/json")

    def _end(self, status: int, body: bytes = b"") -> None:
        """Answer, and read no more from this connection."""
        self.close_connection = True
        self._send(status, body)

    def _send(self, status: int, body: bytes = b"", kind: str = "text/html; charset=ISO-8859-1") -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="jsonrpc"')
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.connection.settimeout(self.server.seconds)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def serve(directory: Path, port: int, ready: Callable[[Served], object]) -> None:
    """Serve the devnet in `directory` until somebody says stop: Ctrl-C, SIGTERM, or by RPC.

    `port` 0 takes any that is free. `ready` is called once requests are answered. Raises `Unavailable` if the port
    or the folder can't be had, `Usage` for what is no port.
    """
    if not 0 <= port <= 65535:
        raise Usage(f"{port} is no port")
    with (
        _interruptible(),
        closing(Devnet(directory)) as devnet,
        locked(directory),
        cookie(directory) as secret,
        running(directory, port, secret) as server,
    ):
        devnet.tip()  # makes the chain; and as long as it is open here, closing it elsewhere is quick
        taken = server.server_address[1]
        with suppress(KeyboardInterrupt):
            ready(Served(f"http://{HOST}:{taken}", taken, directory / COOKIE))
            while not server.stopping.wait(1):  # with a limit, or Windows wouldn't hear Ctrl-C
                pass


@contextmanager
def running(directory: Path, port: int, secret: str, *, timeout: float = TIMEOUT) -> Iterator[Server]:
    """Run a server in a thread of its own; raises `Unavailable` if the port can't be had."""
    try:
        server = Server(directory, port, secret, timeout=timeout)
    except OSError as error:
        raise Unavailable(
            f"can't listen on port {port}: {error.strerror or error}",
            hint="name another with --port; 0 takes any that is free",
        ) from None
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="devnet-rpc")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.end_connections()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
