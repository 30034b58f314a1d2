"""Where telegrams come from: files, serial ports, TCP connections and standard input, by URL.

    file:///path  or a bare path      serial:///dev/ttyUSB0?baud=9600      tcp://host:port      -

A regular file is a recording: of it the last reading is asked for. Anything else is live, a pipe too: the next one
counts. However much comes, only a telegram's worth of it is held.
"""

import errno
import os
import select
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from doitrust.errors import BadData, Unavailable, Usage
from doitrust.meters.reading import Reading
from doitrust.pi.sml import read_telegram
from doitrust.pi.transport import Splitter
from doitrust.text import visible

#: What a USB reading head is called on the node.
DEFAULT_SOURCE = "serial:///dev/ttyUSB0"
#: The speed of the meters' optical interface for telegrams that they send unasked.
_BAUD = 9600
_BAUDS = range(300, 4_000_001)
_CONNECT_SECONDS = 10.0
#: Longest wait at a time, in seconds, before the time is looked at again.
_TICK = 1.0
_CHUNK = 4096
_FORMS = "file:///path, serial:///dev/ttyUSB0?baud=9600, tcp://host:port, or - for standard input"

_CURES = {
    errno.ENOENT: f"name another with --source: {_FORMS}",
    errno.EACCES: "for a serial port: sudo usermod -aG dialout $USER, then log in anew",
    errno.EAGAIN: "another program is reading it: end that, or let doitrust read from it",
}


class Source(Protocol):
    """A stream of bytes. Its errors are `Unavailable`."""

    @property
    def recorded(self) -> bool:
        """Whether it is a recording, whose last reading counts, not the next."""

    def read(self, seconds: float) -> bytes | None:
        """The next bytes; none if none came within `seconds`, None once the source has ended."""

    def close(self) -> None:
        """Give it back."""


class _Descriptor:
    """A file, a pipe or a connection: what the operating system numbers."""

    def __init__(self, number: int, name: str, close: Callable[[], None]) -> None:
        self._number = number
        self._name = name
        self.close = close
        self.recorded = stat.S_ISREG(os.fstat(number).st_mode)

    def read(self, seconds: float) -> bytes | None:
        """Read what there is; a recording is always there."""
        try:
            if not self.recorded and not select.select([self._number], [], [], seconds)[0]:
                return b""
            return os.read(self._number, _CHUNK) or None
        except OSError as error:
            raise _failed("read", self._name, error) from None


class _SerialPort:
    """A serial port, 8 data bits, no parity, one stop bit; nobody else may have it open."""

    recorded = False

    def __init__(self, device: str, baud: int) -> None:
        try:
            import serial  # noqa: PLC0415  # an extra: only who reads a serial port needs it
        except ImportError:
            raise Unavailable(
                "reading a serial port needs pyserial, which is not installed",
                hint="pip install 'doitrust[pi]'",
                code="missing_extra",
            ) from None
        self._name = device
        try:
            self._port: Any = serial.Serial(device, baud, exclusive=True)
        except (OSError, ValueError) as error:
            raise _failed("open", device, error) from None

    def read(self, seconds: float) -> bytes | None:
        """Wait for a byte and take those behind it. A port has no end."""
        try:
            self._port.timeout = seconds
            first: bytes = self._port.read(1)
            more: bytes = self._port.read(min(self._port.in_waiting, _CHUNK)) if first else b""
            return first + more
        except OSError as error:
            raise _failed("read", self._name, error) from None

    def close(self) -> None:
        """Close the port."""
        self._port.close()


def open_source(source: str) -> Source:
    """Open a source; raises `Usage` for what is none, `Unavailable` for one that can't be had."""
    if source == "-":
        return _standard_input()
    scheme, is_url, rest = source.partition("://")
    if source and not is_url:
        return _open_file(source)
    if scheme == "file" and rest.removeprefix("localhost").startswith("/"):
        return _open_file(unquote(rest.removeprefix("localhost")))
    if scheme == "serial" and rest:
        return _SerialPort(*_serial(source, rest))
    if scheme == "tcp":
        return _connect(source)
    raise _no_source(source)


def _standard_input() -> Source:
    if sys.stdin is None or sys.stdin.isatty():
        raise Usage("nothing is piped into standard input", hint=_FORMS)
    return _Descriptor(sys.stdin.fileno(), "standard input", lambda: None)


def _open_file(path: str) -> Source:
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0))
    except (OSError, ValueError) as error:
        raise _failed("open", path, error) from None
    if os.isatty(number):
        os.close(number)
        raise Usage(
            f"{visible(path)} is a serial port", hint=f"--source serial://{visible(path)}?baud={_BAUD}"
        )
    return _Descriptor(number, path, lambda: os.close(number))


def _serial(source: str, rest: str) -> tuple[str, int]:
    """Return device and speed."""
    device, _, query = rest.partition("?")
    try:
        fields = dict(parse_qsl(query, strict_parsing=True)) if query else {}
        baud = int(fields.pop("baud", _BAUD))
    except ValueError:
        raise _no_source(source) from None
    if fields or baud not in _BAUDS or not device:
        raise _no_source(source)
    return unquote(device), baud


def _connect(source: str) -> Source:
    try:
        url = urlsplit(source)
        host, port = url.hostname, url.port
    except ValueError:
        raise _no_source(source) from None
    if not host or not port or url.path or url.query or url.fragment or url.username is not None:
        raise _no_source(source)
    try:
        connection = socket.create_connection((host, port), _CONNECT_SECONDS)
        connection.settimeout(None)
    except (OSError, UnicodeError) as error:
        raise _failed("connect to", f"{host}:{port}", error) from None
    return _Descriptor(connection.fileno(), f"{host}:{port}", connection.close)


def _no_source(source: str) -> Usage:
    return Usage(f"{visible(source, 80)!r} is no source to read a meter from", hint=_FORMS)


def _failed(what: str, name: str, error: Exception) -> Unavailable:
    number = error.errno if isinstance(error, OSError) else None
    # The libraries' own texts repeat name and number; those of name resolution have numbers of their own.
    reason = os.strerror(number) if number and number > 0 else getattr(error, "strerror", None) or str(error)
    return Unavailable(f"can't {what} {visible(name)}: {visible(reason)}", hint=_CURES.get(number or 0, ""))


class Reader:
    """Reads meters from a source; `clock` tells Unix time."""

    def __init__(self, source: Source, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._splitter = Splitter()
        self._problem = ""

    def follow(self, seconds: float | None = None) -> Iterator[Reading]:
        """Yield every reading as it comes, until the source ends or `seconds` are over."""
        end = None if seconds is None else time.monotonic() + seconds
        left = _TICK if seconds is None else seconds
        while left > 0 and (data := self._source.read(min(left, _TICK))) is not None:
            for telegram in self._splitter.feed(data):
                try:
                    reading = read_telegram(telegram, int(self._clock()))
                except BadData as error:
                    self._problem = error.message
                    continue
                yield reading
            left = _TICK if end is None else end - time.monotonic()

    def one(self, seconds: float) -> Reading:
        """Return a recording's last reading, or a live source's next one within `seconds`.

        Raises `Unavailable` if there is none.
        """
        readings = self.follow(None if self._source.recorded else seconds)
        reading = next(readings, None)
        if self._source.recorded:
            for later in readings:
                reading = later
        if reading is None:
            raise self.nothing()
        return reading

    def nothing(self) -> Unavailable:
        """The error that says why there was no reading."""
        if self._problem:
            message = f"no valid telegram: {self._problem}"
            hint = "doitrust may not know this meter yet: a recording of it would help"
        elif self._splitter.begun:
            message = f"no valid telegram: {self._splitter.begun} began, none arrived whole"
            hint = "check that the reading head sits straight and nothing else shines on it"
        else:
            message = "no telegram came"
            hint = "check source and speed; some meters send nothing before their PIN was entered"
        return Unavailable(message, hint=hint, code="no_telegram")
