"""SML's transport protocol, version 1: telegrams out of a stream of bytes. Pure.

A telegram (SML 1.04, BSI TR-03109-1 annex IV):

    1b1b1b1b 01010101   start
    …                   the messages; four 1b in a row are sent as eight, wherever they begin
    00 …                0 to 3 bytes that fill up to a multiple of four
    1b1b1b1b 1a NN CCCC end: how many bytes were filled up, checksum over everything before it

A stream may begin and end anywhere and hold noise and damaged telegrams. What isn't exactly a telegram gives
nothing, and the search goes on at its second byte, so that no damage hides the telegram after it.

The checksum is CRC-16/X-25 (ISO/IEC 13239), low byte first. Holley's DTZ541 sends CRC-16/Kermit, high byte first,
on its RS-485 side (SmlLib issue 22, libsml issue 75). Which of the two it was is handed on, because a telegram
has one kind throughout: taking either anywhere would make each checksum weaker.
"""

from binascii import crc_hqx
from collections.abc import Callable, Iterator
from typing import NamedTuple

#: Longest telegram, in bytes as sent. The longest known one has 528.
MAX_SIZE = 8192

_ESCAPE = b"\x1b" * 4
_START = _ESCAPE + b"\x01" * 4
_END = _ESCAPE + b"\x1a"
#: Bytes of the start, and of the end with what follows it.
_MARK = 8

#: Both checksums take each byte's lowest bit first; Python's CRC takes the highest. So bits are turned around.
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _reflected_crc(data: bytes, start: int) -> int:
    """CRC-16 of x¹⁶ + x¹² + x⁵ + 1, lowest bit first, from `start` on (which reads the same turned around)."""
    crc = crc_hqx(data.translate(_MIRRORED), start)
    return _MIRRORED[crc & 0xFF] << 8 | _MIRRORED[crc >> 8]


def x25(data: bytes) -> bytes:
    """CRC-16/X-25 as it is sent: low byte first."""
    return (_reflected_crc(data, 0xFFFF) ^ 0xFFFF).to_bytes(2, "little")


def kermit(data: bytes) -> bytes:
    """CRC-16/Kermit as Holley sends it: high byte first."""
    return _reflected_crc(data, 0).to_bytes(2, "big")


Checksum = Callable[[bytes], bytes]
CHECKSUMS: tuple[Checksum, ...] = (x25, kermit)


class Telegram(NamedTuple):
    """The messages of one telegram whose checksum is right, and the kind of checksum it has."""

    messages: bytes
    checksum: Checksum


def _read(sent: bytes) -> Telegram | None:
    """Return the telegram that `sent` is, start and end included, or None."""
    content, end = sent[_MARK:-_MARK], sent[-_MARK:]
    if len(sent) < 2 * _MARK or len(sent) % 4 or not sent.startswith(_START) or not end.startswith(_END):
        return None
    fill = end[5]
    whole = content[: len(content) - fill]
    if fill > 3 or content != whole + bytes(fill):
        return None
    for checksum in CHECKSUMS:
        if checksum(sent[:-2]) == end[6:]:
            return Telegram(whole.replace(_ESCAPE * 2, _ESCAPE), checksum)
    return None


class Splitter:
    """Finds the telegrams in a stream that comes in pieces of any size. Keeps at most `MAX_SIZE` bytes of it."""

    def __init__(self) -> None:
        #: Telegrams that began; those that were whole are fewer by the damaged ones.
        self.begun = 0
        self._held = bytearray()
        #: Where to look on; at least `_MARK` inside a telegram, 0 while looking for one.
        self._at = 0

    def feed(self, data: bytes) -> Iterator[Telegram]:
        """Take the next bytes of the stream and yield each telegram that they complete."""
        self._held += data
        while self._find_start() and (end := self._find_end()) is not None:
            telegram = _read(bytes(self._held[:end]))
            # Behind something that was none, a telegram may begin anywhere, inside it too.
            del self._held[: end if telegram else 1]
            self._at = 0
            if telegram:
                yield telegram

    def _find_start(self) -> bool:
        """Drop what comes before a start; tell whether there is one."""
        if self._at:
            return True
        start = self._held.find(_START)
        if start < 0:
            del self._held[: -(len(_START) - 1)]
            return False
        del self._held[:start]
        self._at = _MARK
        self.begun += 1
        return True

    def _find_end(self) -> int | None:
        """Return where what began ends, as a telegram or as none; None while that isn't known."""
        held = self._held
        while (escape := held.find(_ESCAPE, self._at, MAX_SIZE - 4)) >= 0:
            self._at = escape
            if len(held) < escape + _MARK:
                return None
            if held[escape + 4 : escape + 8] != _ESCAPE:
                return escape + _MARK
            self._at = escape + _MARK
        if len(held) >= MAX_SIZE:
            return MAX_SIZE
        self._at = max(self._at, len(held) - 3)
        return None
