"""One visit at an IPFS gateway over HTTP, which it can neither draw out, nor swell, nor send anywhere it likes.

Python's own http.client reads the answers; a library on top would have to be talked out of redirects, retries, cookies,
decoding and proxies, and its timeouts start again with each byte. Here every wait ends when it has to, and every byte
from the socket counts, headers and chunk sizes too. Addresses are looked up once, checked, and those are dialled: what
a name resolves to later is of no use to anybody. Proxies of the environment are not used: one would look names up
itself. A connection serves one request.
"""

import contextlib
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from doitrust.adapters.gateway_urls import Target, is_public, redirected, target_of
from doitrust.text import visible

#: Bytes of an answer before its body.
_MAX_HEAD = 32 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_REDIRECTS = 3
#: So many addresses of one host are tried.
_MAX_ADDRESSES = 4
_CHUNK = 64 * 1024
#: Read ahead of what is asked for, so that little of a body counts as head.
_BUFFER = 8 * 1024
#: Seconds that everybody gets to be reached, and to answer.
_LEAST = 2.0
#: Seconds after which whoever waits looks whether it still should.
_TICK = 0.1

Resolve = Callable[[str, int], Sequence[str]]
Dial = Callable[[str, int, float], socket.socket]


class Failed(Exception):
    """The gateway can't be had or didn't deliver.

    `pause`: for how many seconds it wants to be left alone, `again`: whether that could soon be over.
    """

    def __init__(self, why: str, pause: float = 0.0, *, again: bool = False) -> None:
        super().__init__(why)
        self.pause = pause
        self.again = again


class Stalled(Failed):
    """It let us wait too long."""


class CutShort(Failed):
    """The answer began well and ended too early."""


class Lied(Exception):
    """What no honest gateway does."""


class GivenUp(Exception):
    """Nobody waits for this any more."""


class Status(Exception):
    """The gateway answered with a status that is no success."""

    def __init__(self, status: int, pause: float) -> None:
        super().__init__(f"it answers with HTTP status {status}")
        self.status = status
        self.pause = pause


@dataclass(frozen=True)
class Patience:
    """How long gateways get, in seconds, and bytes a second."""

    #: For all that one `get` needs, whoever is asked.
    whole: float = 60.0
    #: To be reached, TLS included, and then for the head of the answer: a gateway may have to find the content first.
    connect: float = 8.0
    answer: float = 20.0
    #: A body may stand still for `grace`, and has to come with `rate` otherwise.
    grace: float = 5.0
    rate: int = 8 * 1024
    #: The next gateway is asked beside the others when nobody has answered for so long.
    stagger: float = 0.2
    #: The first pause after a failure, which doubles up to the longest, and what of it a `get` waits for.
    pause: float = 1.0
    longest_pause: float = 600.0
    wait: float = 10.0

    def after(self, stalls: int) -> "Patience":
        """What is left of it for one that kept us waiting so often: each time half, but never under `_LEAST`."""
        half = 0.5 ** min(stalls, 20)
        connect, answer = (max(full * half, min(full, _LEAST)) for full in (self.connect, self.answer))
        return replace(self, connect=connect, answer=answer)


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of `host`."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def dial(address: str, port: int, timeout: float) -> socket.socket:
    """Connect to an IP address."""
    return socket.create_connection((address, port), timeout)


class Visit:
    """What one thread does at one gateway. Only `give_up`, `is_overdue` and `late` are for others."""

    #: What is said if what is waited for doesn't come in time.
    late: str

    def __init__(
        self, patience: Patience, *, tls: Callable[[], ssl.SSLContext], resolve: Resolve, dial: Dial
    ) -> None:
        self._patience = patience
        self._tls = tls
        self._resolve = resolve
        self._dial = dial
        self._sock: socket.socket | None = None
        self._over = threading.Event()
        self._expect(patience.connect, "it can't be reached in time")
        #: Bytes that may still come.
        self._allowed = 0

    def give_up(self) -> None:
        """Have the visit hang up, within a tick, with `GivenUp`: closing another thread's socket wakes it nowhere."""
        self._over.set()

    def get(self, url: str, kind: str, limit: int) -> Generator[bytes, None, None]:
        """Yield the body of what `url` leads to, at most `limit` bytes, as it comes; hang up at its end.

        `kind` is the media type that is asked for, maybe with parameters, and the only one that will do.
        Raises `Failed`, `Lied`, `Status` and `GivenUp`.
        """
        try:
            yield from self._get(target_of(url), kind, limit)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._check()
            raise _fault(error) from None
        finally:
            self._close()

    def _get(self, target: Target, kind: str, limit: int) -> Iterator[bytes]:
        strange = False
        for _ in range(1 + _MAX_REDIRECTS):
            answer = self._ask(target, kind, strange=strange)
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or location is None:
                yield from self._body(answer, kind.partition(";")[0], limit)
                return
            self._close()
            try:
                target, strange = redirected(target, location), True
            except ValueError:
                raise Lied("it redirects to where it may not") from None
        raise Lied(f"it redirects more than {_MAX_REDIRECTS} times")

    def _ask(self, target: Target, kind: str, *, strange: bool) -> http.client.HTTPResponse:
        """Send a request, and read the head of the answer."""
        self._expect(self._patience.connect, "it can't be reached in time")
        addresses = self._resolve(target.host, target.port)[:_MAX_ADDRESSES]
        if strange and not all(map(is_public, addresses)):
            raise Lied("it redirects to an address that is not public")
        self._connect(target, addresses)
        self._expect(self._patience.answer, "it doesn't answer in time")
        self._allowed = _MAX_HEAD
        request = (
            f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\nUser-Agent: doitrust\r\nAccept: {kind}\r\n"
            "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
        )
        wire = _Wire(self)
        wire.send(request.encode("ascii"))
        answer = http.client.HTTPResponse(wire, method="GET")  # type: ignore[arg-type]  # all it needs is makefile
        answer.begin()
        return answer

    def _connect(self, target: Target, addresses: Sequence[str]) -> None:
        error: OSError | None = None
        for number, address in enumerate(addresses):
            self._check()
            try:
                # So that one that swallows everything leaves time for the others.
                sock = self._dial(address, target.port, self._left() / (len(addresses) - number))
                self._sock = sock
                if target.scheme == "https":
                    self._handshake(sock, target.host.rstrip("."))
            except OSError as failed:
                error = failed
                self._close()
            else:
                return
        raise error or Failed("its name leads nowhere")

    def _handshake(self, sock: socket.socket, host: str) -> None:
        secured = self._tls().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        self._sock = secured
        while True:
            self._check()
            secured.settimeout(_TICK)
            with contextlib.suppress(TimeoutError):
                secured.do_handshake()
                return

    def _body(self, answer: http.client.HTTPResponse, kind: str, limit: int) -> Iterator[bytes]:
        if answer.status != 200:
            raise Status(answer.status, _pause(answer.headers.get("Retry-After", "")))
        if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Lied("it sends an encoded answer, which was not asked for")
        told = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if told != kind:
            raise Lied(f"it answers with {visible(told, 60) or 'an unknown kind of content'}, not {kind}")
        started, got = time.monotonic(), 0
        # Chunk sizes come on top: whoever sends so small chunks that this isn't enough plays with us.
        self._allowed = 2 * limit + _MAX_HEAD
        while True:
            allowance = self._patience.grace + got / self._patience.rate
            self._expect(started + allowance - time.monotonic(), "it sends too slowly")
            chunk = answer.read1(_CHUNK)
            if not chunk:
                break
            got += len(chunk)
            if got > limit:
                raise Lied(f"it sends more than {limit} bytes")
            yield chunk
        if answer.length:
            raise CutShort("its answer is cut short", again=True)

    @property
    def is_overdue(self) -> bool:
        """Whether it is time to give this up: it would have noticed itself, if it weren't hanging somewhere."""
        return time.monotonic() > self._due + 2 * _TICK

    # ---- time, bytes and the socket

    def receive(self, buffer: Any) -> int:
        """Read into `buffer` from the socket as soon as there is something; 0 at the end."""
        while True:
            self._check()
            sock = self._sock
            if sock is None:
                return 0
            sock.settimeout(min(_TICK, self._left()))
            try:
                got = sock.recv_into(buffer)
            except TimeoutError:
                continue
            self._allowed -= got
            if self._allowed < 0:
                raise Lied("it sends more than it may")
            return got

    def send(self, data: bytes) -> None:
        """Send all of `data`: a request, which any socket takes at once."""
        self._check()
        if self._sock is not None:
            self._sock.settimeout(self._left())
            self._sock.sendall(data)

    def _expect(self, seconds: float, late: str) -> None:
        """From now on so many seconds are left, and `late` is said if they aren't enough."""
        self.late = late
        self._due = time.monotonic() + seconds

    def _left(self) -> float:
        return max(0.001, self._due - time.monotonic())

    def _check(self) -> None:
        if self._over.is_set():
            raise GivenUp
        if time.monotonic() >= self._due:
            raise Stalled(self.late)

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None


class _Wire:
    """What http.client takes for a socket."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self.send = visit.send

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What is read."""
        return io.BufferedReader(_Reader(self._visit), _BUFFER)


class _Reader(io.RawIOBase):
    """The visit's bytes as a stream."""

    def __init__(self, visit: Visit) -> None:
        super().__init__()
        self._visit = visit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._visit.receive(buffer)


def _fault(error: Exception) -> Exception:
    """What went wrong, in our words."""
    shown = visible(str(error) or type(error).__name__, 200)
    if isinstance(error, http.client.IncompleteRead | ConnectionResetError | http.client.RemoteDisconnected):
        return CutShort("its answer is cut short", again=True)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Lied(f"its certificate is not valid: {shown}")
    if isinstance(error, TimeoutError):
        return Stalled("it can't be reached in time")
    if isinstance(error, OSError | UnicodeError):  # UnicodeError: a name that no DNS could hold
        return Failed(f"it can't be reached: {shown}")
    return Lied(f"what it answers is no HTTP: {shown}")


def _pause(text: str) -> float:
    """Seconds of a Retry-After; its other form, a date, is rare and would need a right clock."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 6 else 0.0
