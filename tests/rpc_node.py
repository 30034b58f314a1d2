"""A served devnet for tests: in this process, and the real client for it."""

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from bitcoinrpc.authproxy import AuthServiceProxy
from bitcoinrpc.authproxy import JSONRPCException as JSONRPCException

from doitrust.adapters.devnet.rpc.server import Server, running

SECRET = "__cookie__:" + "5e" * 32


class Raw(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


class Client:
    """Asks a server."""

    def __init__(self, port: int, secret: str = SECRET) -> None:
        self.port = port
        self.secret = secret

    def proxy(self, path: str = "") -> Any:
        """The client that Doichain's programs use."""
        return AuthServiceProxy(f"http://{self.secret}@127.0.0.1:{self.port}{path}")

    def __call__(self, method: str, *params: Any) -> Any:
        """Ask for a result, on a connection of its own."""
        proxy = self.proxy()
        try:
            return getattr(proxy, method)(*params)
        finally:
            proxy._AuthServiceProxy__conn.close()

    def error(self, method: str, *params: Any) -> tuple[int, str]:
        """Ask for what must fail."""
        try:
            result = self(method, *params)
        except JSONRPCException as error:
            return error.code, error.message
        raise AssertionError(f"{method} answered {result}")

    def post(self, body: bytes | str, *, path: str = "/", headers: dict[str, str] | None = None) -> Raw:
        """Post a body with the right password."""
        return self.http("POST", path, body, {**self.authorization, **(headers or {})})

    def http(
        self, method: str, path: str, body: bytes | str = b"", headers: dict[str, str] | None = None
    ) -> Raw:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Raw(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(self.secret.encode()).decode()}

    def send(self, data: bytes, *, end: bool = True) -> bytes:
        """Send bytes and return all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
            found = b""
            while True:
                try:
                    part = connection.recv(65536)
                except ConnectionResetError:
                    return found
                if not part:
                    return found
                found += part


@contextmanager
def served(directory: Path, *, timeout: float = 20.0) -> Iterator[tuple[Client, Server]]:
    """Serve the devnet in `directory` on a free port."""
    with running(directory, 0, SECRET, timeout=timeout) as server:
        yield Client(server.server_address[1]), server
