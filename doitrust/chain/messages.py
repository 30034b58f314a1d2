"""Messages signed by a key: text that a node's `verifymessage` checks for the key's P2PKH address (formats.md).

What is signed is the double SHA-256 of the magic and the text, each behind its length (src/util/message.cpp). The
signature names its key: 65 bytes, of which the first says which of the points that fit is meant, and that the key is
a compressed one.
"""

from base64 import b64decode, b64encode

from btclib import var_int
from btclib.hashes import hash256
from coincurve import PrivateKey, PublicKey
from coincurve.ecdsa import der_to_cdata, serialize_compact

from doitrust.errors import BadData

_MAGIC = b"Doichain Signed Message:\n"
_SECRET_SIZE = 32
_SIGNATURE_SIZE = 65
#: The first byte: 27, 4 for a compressed key, and which of four points.
_COMPRESSED = 27 + 4


def public_key(secret: bytes | bytearray) -> bytes:
    """Return the compressed public key of a private key.

    What is no private key is a bug (`ValueError`, which doesn't repeat what was given).
    """
    return _private_key(secret).public_key.format()


def sign_message(secret: bytes | bytearray, text: str) -> str:
    """Return the signature of the private key `secret` under `text`, in base64.

    The nonce is that of RFC 6979. The signature is checked before it is handed out: a bit flipped on the way could
    reveal the key. What is no private key is a bug (`ValueError`, which doesn't repeat what was given).
    """
    key = _private_key(secret)
    made = key.sign_recoverable(_digest(text.encode()), hasher=None)
    signature = b64encode(bytes([_COMPRESSED + made[64]]) + made[:64]).decode()
    if not verify_message(key.public_key.format(), signature, text):
        raise RuntimeError("the signature that was just made does not verify: is the memory damaged?")
    return signature


def verify_message(key: bytes, signature: str, text: str) -> bool:
    """Whether `signature` is that of `key`, 33 bytes, under `text`. Never raises.

    It is 65 bytes in base64 in its one form, of a compressed key. A high S counts, as for a node. White space, which
    a node skips, doesn't.
    """
    try:
        raw = b64decode(signature, validate=True)
        if len(raw) != _SIGNATURE_SIZE or b64encode(raw).decode() != signature:
            return False
        point = raw[0] - _COMPRESSED
        if point not in range(4):
            return False
        digest = _digest(text.encode())
        found = PublicKey.from_signature_and_message(raw[1:] + bytes([point]), digest, hasher=None)
    except ValueError:
        return False
    return found.format() == key


def encode_signature(key: bytes, der: bytes, text: str) -> str:
    """Return the signature of `key` over `message_digest(text)`, made elsewhere and given in DER, in base64.

    Raises `BadData` for one that isn't `key`'s.
    """
    try:
        compact = serialize_compact(der_to_cdata(der))
    except ValueError:
        compact = b""
    for point in range(4):
        signature = b64encode(bytes([_COMPRESSED + point]) + compact).decode()
        if verify_message(key, signature, text):
            return signature
    raise BadData("the signature that was made isn't the key's")


def message_digest(text: str) -> bytes:
    """Return the 32 bytes that are signed for `text`."""
    return _digest(text.encode())


def _digest(text: bytes) -> bytes:
    return hash256(b"".join(var_int.serialize(len(part)) + part for part in (_MAGIC, text)))


def _private_key(secret: bytes | bytearray) -> PrivateKey:
    if len(secret) == _SECRET_SIZE:
        try:
            return PrivateKey(bytes(secret))
        except ValueError:
            pass  # raised below, so that the error carries nothing along
    raise ValueError("a private key has 32 bytes, is at least 1 and below the order of the curve")
