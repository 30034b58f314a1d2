"""The line to Kubo: ipfshttpclient, with a connection of ours under it. Whoever imports this needs that library.

That library alone waits for ever on a daemon that sends a byte now and then, takes answers of any size, follows
redirects, obeys proxies of the environment, and asserts what an answer holds. Its `connect` refuses every daemon of the
last years, so only its `Client` is used, and each request of that goes out and comes back through here: one deadline a
call, a limit on size, and what its decoder gets was read here before.
"""

import http.client
import json
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

import ipfshttpclient
from ipfshttpclient.client import DEFAULT_BASE
from ipfshttpclient.http import ClientSync
from ipfshttpclient.http_common import multiaddr_to_url_data

from doitrust.adapters.deadline import Wire
from doitrust.adapters.kubo_errors import (
    KuboFailure,
    WrongPort,
    broken,
    garbage,
    login_wanted,
    not_running,
    too_slow,
)
from doitrust.content.unixfs import MAX_BLOCK_SIZE

#: Bytes of an answer that is no block: one object with a CID or a version. Of the events of a walk through the network.
_MAX_ANSWER, _MAX_EVENTS = 16 * 1024, 4 * 1024 * 1024
#: Objects and lists in an answer: far below the depth at which Python's reader gives up, wherever it is called.
_MAX_NESTED = 100
#: Bytes handed to the connection at once.
_PIECE = 64 * 1024
_CONNECT_SECONDS = 10.0
#: HTTP statuses of Kubo's own errors (go-ipfs-cmds, http/errors.go): the call failed, or made no sense.
_ERRORS = (400, 500)
_RAW, _EVENTS = "/block/get", ("/routing/provide", "/dht/provide")


class KuboClient(ipfshttpclient.Client):  # type: ignore[misc]  # it is not typed
    """The library's client of the API at a multiaddr. Every call raises `Unavailable`, `KuboFailure` among them."""

    def __init__(self, address: str, timeout: float) -> None:
        super().__init__(address, chunk_size=_PIECE, timeout=timeout)
        self._client = _Line(address, DEFAULT_BASE, timeout=timeout)

    def provide(self, cid: str, **more: Any) -> None:
        """Tell the network who has a block, by the name that this has had since Kubo 0.14 or the one before."""
        try:
            self._client.request(_EVENTS[0], (cid,), **more)
        except WrongPort:
            self._client.request(_EVENTS[1], (cid,), **more)


class _Line(ClientSync):  # type: ignore[misc]  # it is not typed
    """The library's way to the daemon, with a request of our own."""

    def __init__(self, address: str, base: str, *, timeout: float) -> None:
        super().__init__(address, base, timeout=timeout)
        self._url = urlsplit(multiaddr_to_url_data(address, base)[0])
        self._seconds = timeout
        self._at = self._url.netloc

    def _request(
        self,
        method: str,
        path: str,
        params: Sequence[tuple[str, str]],
        *,
        data: Iterable[bytes] | None,
        headers: Mapping[str, str] | None,
        timeout: float | None,
        **_more: object,
    ) -> tuple[list[Any], Any]:
        deadline = time.monotonic() + (timeout or self._seconds)
        connection = (_TlsConnection if self._url.scheme == "https" else _Connection)(self._url, deadline)
        target = f"{self._url.path.rstrip('/')}{path}?{urlencode(params)}"
        try:
            status, said = _talked(connection, method, target, data, dict(headers or {}), _limit(path))
        except ConnectionRefusedError:
            raise not_running(self._at) from None
        except TimeoutError:
            raise too_slow(self._at) from None
        except (http.client.RemoteDisconnected, http.client.IncompleteRead) as error:
            raise broken(self._at, str(error)) from None
        except http.client.HTTPException as error:
            raise WrongPort(self._at, str(error) or type(error).__name__) from None
        except (OSError, UnicodeError) as error:
            raise broken(self._at, str(error) or type(error).__name__) from None
        finally:
            connection.close()
        checked = self._checked(path, status, said)
        return [], (part for part in (checked,))  # the library closes what it is given

    def _checked(self, path: str, status: int, said: bytes) -> bytes:
        """What the library may read of an answer: a block, or one JSON object."""
        if status == http.client.OK:
            if len(said) > _limit(path):
                raise garbage(self._at, f"an answer of more than {_limit(path)} bytes")
            if path == _RAW:
                return said
            if path in _EVENTS:
                return self._walked(said)
            found = _object(said)
            if found is None:
                raise WrongPort(self._at, "its answer is no JSON object")
            return json.dumps(found).encode()
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            raise login_wanted(self._at)
        error = _object(said) or {}
        if status in _ERRORS and isinstance(text := error.get("Message"), str):
            raise KuboFailure(self._at, text)
        if status >= http.client.INTERNAL_SERVER_ERROR:
            raise broken(self._at, f"HTTP status {status}")
        raise WrongPort(self._at, f"HTTP status {status}")

    def _walked(self, said: bytes) -> bytes:
        """Nothing of a walk's events, unless the last one is an error."""
        last = _object(said.rstrip().rpartition(b"\n")[2][:_MAX_ANSWER]) or {}
        if isinstance(text := last.get("Message"), str):
            raise KuboFailure(self._at, text)
        return b""


def _limit(path: str) -> int:
    return MAX_BLOCK_SIZE if path == _RAW else _MAX_EVENTS if path in _EVENTS else _MAX_ANSWER


def _talked(
    connection: "_Connection",
    method: str,
    target: str,
    data: Iterable[bytes] | None,
    headers: dict[str, str],
    limit: int,
) -> tuple[int, bytes]:
    """Send a request and take the answer: its status and at most one byte more than `limit`."""
    hung_up: ConnectionError | None = None
    try:
        connection.request(method, target, data, headers)
    except ConnectionError as error:
        if connection.sock is None:
            raise
        hung_up = error  # who refuses a large upload may hang up before its end, and have said why
    try:
        answer = connection.getresponse()
        said = answer.read(limit + 1)
        if answer.length and len(said) <= limit:
            raise http.client.IncompleteRead(said, answer.length)
        return answer.status, said
    except (ConnectionError, http.client.HTTPException):
        if hung_up is not None:
            raise hung_up from None
        raise


def _object(said: bytes) -> dict[str, Any] | None:
    if said.count(b"{") + said.count(b"[") > _MAX_NESTED:
        return None
    try:
        found = json.loads(said.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class _Connection(http.client.HTTPConnection):
    """A connection for one call, all of whose waits end at the deadline."""

    def __init__(self, url: SplitResult, deadline: float) -> None:
        super().__init__(url.hostname or "", url.port)
        self._deadline = deadline

    def connect(self) -> None:
        """Connect, within the deadline."""
        self.timeout = min(_CONNECT_SECONDS, self._left())
        super().connect()
        self.sock = Wire(self.sock, self._left)  # all that http.client uses of it

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _TlsConnection(_Connection):
    """The same with TLS; certificates are checked."""

    def connect(self) -> None:
        """Connect and shake hands, within the deadline."""
        self.timeout = min(_CONNECT_SECONDS, self._left())
        http.client.HTTPConnection.connect(self)
        secured = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        self.sock = Wire(secured, self._left)
