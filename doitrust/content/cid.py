"""CIDs: names of content that anyone can check (multiformats' CID, multibase and unsigned-varint specs).

Accepted is what the member lists' format allows: CIDv0 and CIDv1 with a sha2-256 digest. Parsing is strict:
a text that isn't exactly what its own multibase would write again is no CID.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from doitrust.errors import BadData

RAW = 0x55
"""Multicodec `raw`: the block is the file's bytes."""
DAG_PB = 0x70
"""Multicodec `dag-pb`: the block is a node with links; UnixFS files and directories are made of them."""

# Multicodec `sha2-256` and the digest's length: how every multihash accepted here begins.
_SHA2_256 = b"\x12\x20"
_DIGEST_SIZE = 32
# Codecs are unsigned varints of at most nine bytes (unsigned-varint spec), so the longest CID has
# 1 + 9 + 2 + 32 bytes: 89 characters in base16. Longer texts cost nothing.
_MAX_TEXT = 120
_MAX_CODEC = 2**63 - 1

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_HINT = "expected a CIDv0 (Qm…) or a CIDv1 with a sha2-256 digest, as `ipfs add` prints it"


@dataclass(frozen=True, slots=True)
class Cid:
    """The name of one block: how to read it and the digest it must have.

    `codec` is the multicodec number (`RAW`, `DAG_PB`, …), `digest` the 32 bytes of the block's sha2-256,
    `version` (0 or 1) how this CID was written. Two CIDs are equal if they name the same block, so a v0
    and its v1 are one key of a dict.
    """

    codec: int
    digest: bytes
    version: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        """Raise `ValueError` for what no CID can be: that is a bug of ours, texts go through `parse_cid`."""
        if len(self.digest) != _DIGEST_SIZE or not 0 <= self.codec <= _MAX_CODEC:
            raise ValueError("a CID has a codec of up to 63 bits and a digest of 32 bytes")
        if self.version not in (0, 1) or (self.version == 0 and self.codec != DAG_PB):
            raise ValueError("a CID has version 1, or version 0 and the codec dag-pb")

    @property
    def binary(self) -> bytes:
        """The canonical bytes, always CIDv1, as links hold them (36 bytes for the usual codecs)."""
        return b"\x01" + varint(self.codec) + _SHA2_256 + self.digest

    @property
    def text(self) -> str:
        """The canonical text: CIDv1 in base32, lower case (`bafkrei…`, `bafybei…`)."""
        return "b" + _encode_base32(self.binary)

    @property
    def is_file_kind(self) -> bool:
        """Whether the block can belong to a file at all; no other codec ever can."""
        return self.codec in (RAW, DAG_PB)

    def matches(self, block: bytes) -> bool:
        """Whether `block` is the block this CID names."""
        return hashlib.sha256(block).digest() == self.digest

    def __str__(self) -> str:
        return self.text


def cid_of(block: bytes, codec: int) -> Cid:
    """Return the CIDv1 of `block`, which is to be read as `codec`."""
    return Cid(codec, hashlib.sha256(block).digest())


def parse_cid(text: str) -> Cid:
    """Parse a CID in base32, base58btc, base16, base36, base64 or base64url, or a bare CIDv0 (`Qm…`).

    Raises `BadData` for everything else: other bases, hashes and digest lengths, and any text that
    differs from what its base writes for the same bytes (padding bits, mixed case, leading zeros).
    """
    if not 1 <= len(text) <= _MAX_TEXT:
        raise _bad(text, f"a CID has 1 to {_MAX_TEXT} characters")
    # A sha2-256 multihash in base58 always begins with Qm (CID spec); Q is no multibase.
    if text.startswith("Qm"):
        binary, version = _decode(_decode_base58, _encode_base58, text, text), 0
    else:
        coders = _MULTIBASES.get(text[0])
        if coders is None:
            raise _bad(text, "its base is not supported")
        binary, version = _decode(*coders, text[1:], text), 1
    cid = _read_binary(binary)
    if cid is None or cid.version != version:
        raise _bad(text, "it is neither version 0 nor version 1 with a sha2-256 digest")
    return cid


def parse_binary_cid(binary: bytes) -> Cid:
    """Parse a CID's bytes, as links in blocks hold them: a bare multihash (v0) or version 1.

    Raises `BadData` unless `binary` is exactly one CID with a sha2-256 digest.
    """
    cid = _read_binary(binary)
    if cid is None:
        raise BadData("not the bytes of a CIDv0 or CIDv1 with a sha2-256 digest", hint=_HINT)
    return cid


def varint(number: int) -> bytes:
    """Write a number from 0 as an unsigned varint (unsigned-varint spec; protobuf's are the same)."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_binary(binary: bytes) -> Cid | None:
    digest = binary[-_DIGEST_SIZE:]
    if len(digest) != _DIGEST_SIZE:
        return None
    if binary == _SHA2_256 + digest:
        return Cid(DAG_PB, digest, version=0)
    codec = 0
    for place, byte in enumerate(binary[1:10]):
        codec |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    # Written again it must be the same: this one comparison covers the version, a varint cut short, endless
    # or padded, another hash, another length of digest, and bytes left over.
    cid = Cid(codec, digest)
    return cid if cid.binary == binary else None


def _decode(decode: Callable[[str], bytes], encode: Callable[[bytes], str], digits: str, text: str) -> bytes:
    """Decode `digits`; raise `BadData` (naming the whole `text`) unless they encode back to the same."""
    try:
        binary = decode(digits)
    except ValueError:  # binascii.Error is one too
        raise _bad(text, "it holds a character that its base doesn't have") from None
    if encode(binary) != digits:
        raise _bad(text, "it is not written as its base writes it")
    return binary


def _bad(text: str, why: str) -> BadData:
    shown = ascii(text[:_MAX_TEXT]) + ("…" if len(text) > _MAX_TEXT else "")
    return BadData(f"not a CID: {shown}: {why}", hint=_HINT)


def _encode_base32(binary: bytes) -> str:
    return base64.b32encode(binary).decode("ascii").rstrip("=").lower()


def _decode_base32(digits: str) -> bytes:
    return base64.b32decode(digits.upper() + "=" * (-len(digits) % 8))


def _encode_base64(binary: bytes) -> str:
    return base64.b64encode(binary).decode("ascii").rstrip("=")


def _decode_base64(digits: str) -> bytes:
    return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)


def _encode_base64url(binary: bytes) -> str:
    return base64.urlsafe_b64encode(binary).decode("ascii").rstrip("=")


def _decode_base64url(digits: str) -> bytes:
    return base64.urlsafe_b64decode(digits + "=" * (-len(digits) % 4))


def _to_digits(binary: bytes, alphabet: str) -> str:
    """Write `binary` as one big number (base58btc, base36). No CID begins with a zero byte, which these
    bases write in a way of its own."""
    number, digits = int.from_bytes(binary), ""
    while number:
        number, digit = divmod(number, len(alphabet))
        digits = alphabet[digit] + digits
    return digits


def _from_digits(digits: str, alphabet: str) -> bytes:
    """Read one big number; quadratic, which the length limit of `parse_cid` makes harmless."""
    number = 0
    for digit in digits:
        number = number * len(alphabet) + alphabet.index(digit)
    return number.to_bytes((number.bit_length() + 7) // 8)


def _encode_base58(binary: bytes) -> str:
    return _to_digits(binary, _BASE58)


def _decode_base58(digits: str) -> bytes:
    return _from_digits(digits, _BASE58)


# Multibase prefix: how to decode the rest, and how to write it again. The upper-case forms of base32, base16
# and base36 are the lower-case ones in capitals.
_MULTIBASES: dict[str, tuple[Callable[[str], bytes], Callable[[bytes], str]]] = {
    "b": (_decode_base32, _encode_base32),
    "B": (_decode_base32, lambda binary: _encode_base32(binary).upper()),
    "f": (bytes.fromhex, bytes.hex),
    "F": (bytes.fromhex, lambda binary: binary.hex().upper()),
    "k": (lambda digits: _from_digits(digits, _BASE36), lambda binary: _to_digits(binary, _BASE36)),
    "K": (
        lambda digits: _from_digits(digits.lower(), _BASE36),
        lambda binary: _to_digits(binary, _BASE36).upper(),
    ),
    "m": (_decode_base64, _encode_base64),
    "u": (_decode_base64url, _encode_base64url),
    "z": (_decode_base58, _encode_base58),
}
