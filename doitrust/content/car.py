"""CARv1: a root's CID and then blocks, one after the other, as gateways stream them.

The format is ipld.io/specs/transport/car/carv1; the header is DAG-CBOR (ipld.io/specs/codecs/dag-cbor/spec).

`read_car` is strict and bounded: a block is hashed before anybody else sees it, one section is held at a time, and
what isn't a CARv1 of sha2-256 blocks within the limits to its last byte is `NoCar`. Which blocks come, in which order
and how often, is the caller's business. So are the roots of the header, of which the trustless gateway's specification
says that clients may ignore them: they must be well-formed, and nobody is told what they are.
"""

from collections.abc import Iterable, Iterator

from doitrust.content.cid import Cid, parse_binary_cid, varint
from doitrust.content.unixfs import MAX_BLOCK_SIZE
from doitrust.errors import BadData

MAX_HEADER = 1024
"""Bytes of the header; one with one root has 58."""
#: Of a CID in front of a block: version, codec of up to nine bytes, multihash (see `content/cid.py`).
_MAX_CID = 1 + 9 + 2 + 32
#: DAG-CBOR has one form for each value: the shorter key first, and no length longer than it must be.
_HEADER_START, _HEADER_END = b"\xa2\x65roots", b"\x67version\x01"
_ARRAY, _BYTES = 4, 2
#: Tag 42, by which DAG-CBOR marks a CID.
_TAG_CID = b"\xd8\x2a"


class NoCar(BadData):
    """The bytes are no CARv1, or it is larger than allowed, or a block isn't what its CID says."""

    code = "no_car"


class CarCutShort(NoCar):
    """It ends within the header or a section: what came before may be all right."""


def read_car(chunks: Iterable[bytes], *, max_size: int, max_blocks: int) -> Iterator[tuple[Cid, bytes]]:
    """Yield the blocks of a CARv1 with their CIDs, each as soon as it is there and matches.

    `chunks` are its bytes, cut anywhere; no more of them are taken than are needed, so whoever stops asking stops
    the stream. What they raise passes through. Raises `NoCar`, which says nothing about the blocks before.
    """
    stream = _Stream(chunks, max_size)
    size = stream.varint()
    if size is None or not 0 < size <= MAX_HEADER:
        raise NoCar(f"no CAR: it begins without a header of up to {MAX_HEADER} bytes")
    _check_header(stream.take(size))
    for _ in range(max_blocks):
        size = stream.varint()
        if size is None:
            return
        if not 0 < size <= _MAX_CID + MAX_BLOCK_SIZE:
            raise NoCar(f"a section of {size} bytes in a CAR")
        yield _block(stream.take(size))
    if stream.varint() is not None:
        raise NoCar(f"a CAR of more than {max_blocks} blocks")


def write_car(root: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> Iterator[bytes]:
    """Yield a CARv1 with one root and `blocks`, in pieces: what `read_car` reads."""
    binary = b"\x00" + root.binary
    header = _HEADER_START + _head(_ARRAY, 1) + _TAG_CID + _head(_BYTES, len(binary)) + binary + _HEADER_END
    yield varint(len(header)) + header
    for cid, block in blocks:
        yield varint(len(cid.binary) + len(block)) + cid.binary + block


def _block(section: bytes) -> tuple[Cid, bytes]:
    """Part a section into CID and block, and compare them."""
    if section[:1] == b"\x01":
        # Behind the version comes the codec, a varint, which ends with the first byte that has no high bit.
        end = next((at for at in range(1, min(10, len(section))) if section[at] < 0x80), 0) + 1 + 2 + 32
    else:
        end = 2 + 32
    try:
        cid = parse_binary_cid(section[:end])
    except BadData:
        raise NoCar("a block in a CAR whose CID is not of sha2-256") from None
    block = section[end:]
    if len(block) > MAX_BLOCK_SIZE:
        raise NoCar(f"a block of {len(block)} bytes in a CAR")
    if not cid.matches(block):
        raise NoCar(f"other bytes than those of {cid} in a CAR")
    return cid, block


def _check_header(header: bytes) -> None:
    """Raise `NoCar` unless it is {"roots": [CIDs], "version": 1} in DAG-CBOR, in its only form."""
    if not (header.startswith(_HEADER_START) and header.endswith(_HEADER_END)):
        raise NoCar("no CAR: its header is not that of version 1")
    roots = header[len(_HEADER_START) : -len(_HEADER_END)]
    count, at = _read_head(roots, 0, _ARRAY)
    for _ in range(count):
        if roots[at : at + 2] != _TAG_CID:
            raise NoCar("no CAR: a root that is no CID")
        size, at = _read_head(roots, at + 2, _BYTES)
        # The bytes of a CID stand behind a zero (multibase's mark of bare bytes); an empty one is none.
        if size < 2 or roots[at : at + 1] != b"\x00":
            raise NoCar("no CAR: a root that is no CID")
        at += size
        if at > len(roots):
            break
    if at != len(roots):
        raise NoCar("no CAR: its header is longer or shorter than it says")


def _head(kind: int, number: int) -> bytes:
    """Write the start of a CBOR item: its major type and a number below 65536 (RFC 8949, section 3)."""
    if number < 24:
        return bytes([kind << 5 | number])
    if number < 0x100:
        return bytes([kind << 5 | 24, number])
    return bytes([kind << 5 | 25]) + number.to_bytes(2, "big")


def _read_head(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Read the start of a CBOR item at `at`; return its number and where it ends."""
    size = {24: 1, 25: 2}.get(data[at] & 0x1F, 0) if at < len(data) else 0
    number = (
        int.from_bytes(data[at + 1 : at + 1 + size], "big")
        if size
        else (data[at : at + 1] or b"\0")[0] & 0x1F
    )
    # Written again it must be the same: no longer form, no other type, nothing cut short.
    end = at + 1 + size
    if data[at:end] != _head(kind, number):
        raise NoCar("no CAR: its header is no DAG-CBOR")
    return number, end


class _Stream:
    """The bytes of chunks, however they were cut, up to `most`."""

    def __init__(self, chunks: Iterable[bytes], most: int) -> None:
        self._chunks = iter(chunks)
        self._left = self._most = most
        self._chunk = memoryview(b"")

    def take(self, size: int) -> bytes:
        """The next `size` bytes; raises `NoCar` if there are fewer."""
        taken = bytearray()
        while len(taken) < size:
            if not self._chunk and not self._next():
                raise CarCutShort("a CAR that is cut short")
            part = self._chunk[: size - len(taken)]
            self._chunk = self._chunk[len(part) :]
            taken += part
        return bytes(taken)

    def varint(self) -> int | None:
        """The next number, or None at the end."""
        if not self._chunk and not self._next():
            return None
        number = 0
        # Four bytes hold any size that is allowed, so a longer number is none whatever it is.
        for place in range(4):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if place and not byte:
                    break
                return number
        raise NoCar("a CAR with a size that is padded or far too large")

    def _next(self) -> bool:
        """Go on to the next chunk that isn't empty; False at the end."""
        for chunk in self._chunks:
            self._left -= len(chunk)
            if self._left < 0:
                raise NoCar(f"a CAR of more than {self._most} bytes")
            if chunk:
                self._chunk = memoryview(chunk)
                return True
        return False
