"""The line to a Doichain Core node: python-bitcoinrpc, with a connection of ours under it.

That library alone loses its connection for good after half a minute's idleness, waits for ever on a node that sends a
byte now and then, takes answers of any size, and gives up a whole batch for one error. All of that is cured from
outside: it is handed a connection that reconnects, has one deadline a call and a limit on size, and its answers are
read here.
"""

import base64
import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from operator import methodcaller
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException

from doitrust.adapters.deadline import Wire
from doitrust.errors import Unavailable
from doitrust.text import visible

#: Seconds for one call, from the first byte sent to the last one read; a scan of all coins takes minutes.
TIMEOUT, LONG_TIMEOUT = 30.0, 600.0
#: Bytes of an answer: the largest block in hex is 8 MB, the history of a flooded name 100 MB.
MAX_ANSWER = 128 * 1024 * 1024
#: Calls in one batch.
_BATCH = 200
#: After so many idle seconds the node has closed the connection, or is about to (src/httpserver.h, 30 s).
_IDLE = 20.0
_CONNECT_SECONDS = 10.0
#: Digits of a number: 2^64 has 20, a difficulty 17 and an exponent of two.
_MAX_DIGITS = 40
#: HTTP statuses with which the node answers calls (src/httprpc.cpp, JSONErrorReply).
_ANSWERS = (200, 400, 404, 500)

#: Errors of the node (src/rpc/protocol.h).
MISC, NOT_FOUND, INVALID_PARAMETER, WARMING_UP, NAMES, NO_METHOD = -1, -5, -8, -28, -4, -32601
DOWNLOADING, NO_WALLET, WHICH_WALLET = -10, -18, -19

Call = Sequence[Any]
Login = Callable[[], tuple[str, str]]
Trace = Callable[[str], None]


class TooMuch(Unavailable):
    """An answer larger than what is read."""

    code = "node_garbage"


class RpcFailure(Unavailable):
    """The node answered a call with an error; `number` is its code."""

    code = "node_error"

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"the node says: {visible(message, 300)} ({number})")
        self.number = number
        self.text = message


class Rpc:
    """Calls to the node at `url`. `login` gives user and password, asked for again when they are refused.

    Every call raises `Unavailable` where the node can't be had, and `RpcFailure` where it answers with an error.
    """

    _proxy: "_Proxy | None" = None

    def __init__(
        self, url: str, login: Login, *, trace: Trace | None = None, timeout: float = TIMEOUT
    ) -> None:
        self.url = url
        self._login = login
        self._trace = trace
        self._timeout = timeout
        self._one_at_a_time = threading.Lock()

    def call(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        """One call."""
        with self._one_at_a_time:
            return self._answered(lambda proxy: getattr(proxy, method)(*params), timeout, [(method, *params)])

    def batch(self, calls: Sequence[Call], timeout: float | None = None) -> list[Any]:
        """Many calls; where one failed its `RpcFailure` stands in the list."""
        answers: list[Any] = []
        for start in range(0, len(calls), _BATCH):
            answers += self._batch(calls[start : start + _BATCH], timeout)
        return answers

    def _batch(self, calls: Sequence[Call], timeout: float | None) -> list[Any]:
        try:
            with self._one_at_a_time:
                answers: list[Any] = self._answered(methodcaller("batch_", calls), timeout, calls)
        except TooMuch:
            if len(calls) == 1:
                raise
            middle = len(calls) // 2  # a miner can make transactions as large as blocks
            return self._batch(calls[:middle], timeout) + self._batch(calls[middle:], timeout)
        for answer in answers:
            if isinstance(answer, RpcFailure):
                self._refuse_not_ready(answer)
        return answers

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._proxy is not None:
            self._proxy.line.close()
            self._proxy = None

    def _answered(self, ask: Callable[[Any], Any], timeout: float | None, calls: Sequence[Call]) -> Any:
        started = time.monotonic()
        try:
            try:
                return self._asked(ask, timeout)
            except _LoginRefused:
                self.close()  # a node that was started anew has a new cookie
                return self._asked(ask, timeout)
        except _LoginRefused:
            self.close()
            raise Unavailable(
                f"the node at {self.url} refuses the login",
                hint="is node.cookie its .cookie file, or node.user with DOITRUST_NODE_PASSWORD what rpcuser says?",
                code="node_login",
            ) from None
        finally:
            if self._trace is not None:
                self._trace(_shown(calls, time.monotonic() - started))

    def _asked(self, ask: Callable[[Any], Any], timeout: float | None) -> Any:
        try:
            proxy = self._connected()
            proxy.line.deadline = time.monotonic() + (timeout or self._timeout)
            return ask(proxy)
        except JSONRPCException as error:
            failure = _failure(error.error)
            self._refuse_not_ready(failure)
            raise failure from None
        except ConnectionRefusedError:
            self.close()
            raise Unavailable(
                f"no node answers at {self.url}",
                hint="start doichaind (server=1), or say where it is: doitrust config set node.url URL",
                code="node_not_running",
            ) from None
        except TimeoutError:
            self.close()
            raise Unavailable(
                f"the node at {self.url} did not answer in time", hint="try again", code="node_timeout"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(
                f"the line to the node at {self.url} broke: {visible(str(error) or type(error).__name__, 200)}",
                hint="try again",
                code="node_broken",
            ) from None
        except (ValueError, RecursionError) as error:
            self.close()
            kind = TooMuch if isinstance(error, _TooLarge) else Unavailable
            raise kind(
                f"what answers at {self.url} is no Doichain node: {visible(str(error), 200)}",
                hint="doitrust config show",
                code="node_garbage",
            ) from None
        except _Busy:
            self.close()
            raise Unavailable(
                f"the node at {self.url} has too much to do", hint="try again", code="node_busy"
            ) from None
        except _Forbidden:
            self.close()
            raise Unavailable(
                f"the node at {self.url} doesn't serve this machine",
                hint="put rpcallowip= with its address into the node's doichain.conf",
                code="node_forbidden",
            ) from None

    def _connected(self) -> "_Proxy":
        if self._proxy is None:
            user, password = self._login()
            parts = urlsplit(self.url)
            line = _TlsLine(parts) if parts.scheme == "https" else _Line(parts)
            self._proxy = _Proxy(parts, None, self._timeout, line, _authorization(user, password))
        return self._proxy

    def _refuse_not_ready(self, failure: RpcFailure) -> None:
        """Raise `Unavailable` for what the node says of all calls, whatever they ask."""
        if failure.number == WARMING_UP:
            raise Unavailable(
                f"the node at {self.url} is still starting: {visible(failure.text, 100)}",
                hint="wait a little",
                code="node_starting",
            ) from None
        if failure.number == DOWNLOADING:
            raise Unavailable(
                f"the node at {self.url} is still syncing: {visible(failure.text, 100)}",
                hint="wait until it has all blocks; on regtest mine one",
                code="node_syncing",
            ) from None


def _authorization(user: str, password: str) -> bytes:
    # What isn't UTF-8 in the environment goes out as it came in.
    pair = f"{user}:{password}".encode("utf-8", "surrogateescape")
    return b"Basic " + base64.b64encode(pair)


def _failure(error: Any) -> RpcFailure:
    number = error.get("code") if isinstance(error, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    if type(number) is not int or not isinstance(message, str):
        raise ValueError("an error that is none")
    return RpcFailure(number, message)


def _read(data: bytes) -> Any:
    """JSON of a size that can be meant; raises `ValueError`, and `RecursionError` for deep nesting."""
    return json.loads(
        data.decode("utf-8"), parse_float=_decimal, parse_int=_integer, parse_constant=_no_number
    )


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= _MAX_DIGITS else _no_number("a longer number")


def _decimal(text: str) -> Decimal:
    found = Decimal(text) if len(text) <= _MAX_DIGITS else Decimal("Infinity")
    if not found.is_finite() or abs(found.adjusted()) > _MAX_DIGITS:
        _no_number("a longer number")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number that a node gives")


def _shown(calls: Sequence[Call], seconds: float) -> str:
    """What `-vv` tells of calls: no secret is ever a parameter of ours."""
    method, *params = calls[0] if calls else ("nothing",)
    arguments = ", ".join(visible(json.dumps(param), 80) for param in params)
    more = f" and {len(calls) - 1} more" if len(calls) > 1 else ""
    return f"{method}({arguments}){more}: {seconds * 1e3:.1f} ms"


class _LoginRefused(Exception):
    """401."""


class _Forbidden(Exception):
    """403: the address is not allowed, whatever the login."""


class _Busy(Exception):
    """503: too many calls wait already."""


class _TooLarge(ValueError):
    """An answer of more bytes than are read."""


class _Line(http.client.HTTPConnection):
    """An HTTP connection with one deadline for all of a call, which opens itself again after idling."""

    def __init__(self, parts: Any) -> None:
        super().__init__(parts.hostname or "", parts.port or self._standard_port(), timeout=_CONNECT_SECONDS)
        self.deadline = 0.0
        self._used = 0.0
        #: The last request, if it went out on a connection that was used before.
        self._last: tuple[tuple[Any, ...], dict[str, Any]] | None = None

    def _standard_port(self) -> int:
        return 80

    def connect(self) -> None:
        """Connect, within the deadline."""
        self.timeout = min(_CONNECT_SECONDS, self.left())
        super().connect()
        self.sock = Wire(self.sock, self.left)  # all that http.client uses of it

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; once more, on a new connection, if the old one turns out to be closed."""
        if self.sock is not None and time.monotonic() - self._used > _IDLE:
            self.close()
        self._last = (args, kwargs) if self.sock is not None else None
        try:
            super().request(*args, **kwargs)
        except (ConnectionError, http.client.CannotSendRequest):
            self._again()

    def getresponse(self) -> http.client.HTTPResponse:
        """Take the answer; a connection that had been closed unnoticed is opened again. No call of ours hurts twice."""
        try:
            answer = super().getresponse()
        except ConnectionError:
            self._again()
            answer = super().getresponse()
        self._used = time.monotonic()
        return answer

    def _again(self) -> None:
        """Send the last request on a new connection; raises what is being handled if it had one already."""
        self.close()
        if self._last is None:
            raise  # noqa: PLE0704  # called where something is being handled
        args, kwargs = self._last
        self._last = None
        super().request(*args, **kwargs)

    def left(self) -> float:
        """Seconds until the deadline; raises `TimeoutError` behind it."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _TlsLine(_Line, http.client.HTTPSConnection):
    """The same with TLS; certificates are checked."""

    def _standard_port(self) -> int:
        return 443

    def connect(self) -> None:
        """Connect and shake hands, within the deadline."""
        self.timeout = min(_CONNECT_SECONDS, self.left())
        http.client.HTTPConnection.connect(self)
        secured = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        self.sock = Wire(secured, self.left)  # all that http.client uses of it


class _Proxy(AuthServiceProxy):  # type: ignore[misc]  # it is not typed
    """python-bitcoinrpc's proxy, with answers read our way. It never learns the password."""

    def __init__(
        self, parts: SplitResult, name: str | None, timeout: float, line: _Line, authorization: bytes
    ) -> None:
        # The library takes user and password out of the URL as they stand there, percent signs included.
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        super().__init__(f"{parts.scheme}://none:none@{host}:{line.port}{parts.path}", name, timeout, line)
        self._AuthServiceProxy__auth_header = authorization
        self._made_of = (parts, timeout, line, authorization)
        self.line = line

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        parts, timeout, line, authorization = self._made_of
        return _Proxy(parts, name, timeout, line, authorization)  # one of its own kind

    def batch_(self, rpc_calls: Sequence[Call]) -> list[Any]:
        """All results in order; an error stands for itself, and doesn't end the others."""
        body = [
            {"jsonrpc": "2.0", "method": method, "params": params, "id": number}
            for number, (method, *params) in enumerate(rpc_calls)
        ]
        parts, _, _, authorization = self._made_of
        headers = {"Authorization": authorization, "Content-type": "application/json"}
        self.line.request("POST", parts.path, json.dumps(body), headers)
        answers = self._answer()
        if not isinstance(answers, list) or len(answers) != len(body):
            raise ValueError("a batch was not answered whole")
        found: dict[int, Any] = {}
        for answer in map(_checked, answers):
            number, error = answer.get("id"), answer.get("error")
            if type(number) is not int:
                raise ValueError("a batch was answered with other numbers")
            found[number] = answer.get("result") if error is None else _failure(error)
        if set(found) != set(range(len(body))):
            raise ValueError("a batch was answered with other numbers")
        return [found[number] for number in range(len(body))]

    def _get_response(self) -> Any:
        """What the library makes a result of, or an exception."""
        return _checked(self._answer())

    def _answer(self) -> Any:
        with self.line.getresponse() as answer:
            if answer.status == 401:
                raise _LoginRefused
            if answer.status == 403:
                raise _Forbidden
            if answer.status == 503:
                raise _Busy
            data = answer.read(MAX_ANSWER + 1)
            if len(data) > MAX_ANSWER or (answer.length or 0) > MAX_ANSWER - len(data):
                raise _TooLarge(f"an answer of more than {MAX_ANSWER} bytes")
            if answer.length:
                raise http.client.IncompleteRead(data, answer.length)
            kind = answer.getheader("Content-Type", "").split(";")[0].strip().lower()
            if answer.status not in _ANSWERS or kind != "application/json":
                raise ValueError(f"it answers with HTTP status {answer.status} and no JSON")
        return _read(data)


def _checked(answer: Any) -> dict[str, Any]:
    """An answer with a result, or with an error that is one; raises `ValueError`."""
    if not isinstance(answer, dict):
        raise ValueError("an answer that is no object")
    if answer.get("error") is not None:
        _failure(answer["error"])
    elif "result" not in answer:
        raise ValueError("an answer without a result")
    return answer
