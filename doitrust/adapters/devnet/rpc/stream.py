"""Reading requests from a socket, each within its time."""

import io
import socket
import time
from collections.abc import Callable
from typing import Any


class Deadline(io.RawIOBase):
    """What a socket sends until a moment that the server sets: `limit` seconds from `renew` on.

    A timeout for each read alone would let a client keep its thread by sending a byte now and then.
    """

    def __init__(self, connection: socket.socket, limit: float, clock: Callable[[], float] = time.monotonic):
        super().__init__()
        self._connection = connection
        self._limit = limit
        self._clock = clock
        self._until = 0.0
        self.renew()

    def renew(self) -> None:
        """Begin the time anew."""
        self._until = self._clock() + self._limit

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, or wait for it; raises `TimeoutError`."""
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError("the request takes too long")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
