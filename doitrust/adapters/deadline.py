"""A socket whose every wait ends at one deadline, for http.client to speak through.

A timeout of Python's is per read, so that whoever sends a byte now and then can keep us for ever.
"""

import io
import socket
from collections.abc import Callable
from typing import Any

#: Bytes asked of the system at once: an answer has up to 128 MiB, often in small chunks.
_BUFFER = 64 * 1024


class Wire:
    """All that http.client uses of a socket; `left` gives the seconds until the deadline, or raises `TimeoutError`."""

    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        self._sock = sock
        self._left = left

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._sock.settimeout(self._left())
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What is read."""
        return io.BufferedReader(_Reader(self._sock, self._left), _BUFFER)

    def settimeout(self, _seconds: float) -> None:
        """The deadline is ours."""

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


class _Reader(io.RawIOBase):
    """Reads on after `Wire.close`, as http.client expects of an answer that is the connection's last."""

    def __init__(self, sock: socket.socket, left: Callable[[], float]) -> None:
        super().__init__()
        self._sock = sock
        self._stream = sock.makefile("rb", buffering=0)
        self._left = left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._left())
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()
