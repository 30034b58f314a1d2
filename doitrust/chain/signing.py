"""Making ECDSA signatures with libsecp256k1 (through coincurve); checking them is `keys.py`'s."""

from coincurve import PrivateKey

from doitrust.chain.keys import verify_signature

_SECRET_SIZE = 32
_DIGEST_SIZE = 32


def sign_digest(secret: bytes | bytearray, digest: bytes) -> bytes:
    """Return the signature of the private key `secret` over a 32-byte `digest`, in DER and with the lower S.

    The nonce is that of RFC 6979, so that the same key and digest always give the same signature, and no weak
    random number can give the key away. As in Doichain Core (CKey::Sign) the signature is verified before it is
    handed out: a bit flipped on the way could reveal the key. A secret that is no private key, or a digest of
    another size, is a bug (`ValueError`, which doesn't repeat what was given).
    """
    if len(secret) != _SECRET_SIZE or len(digest) != _DIGEST_SIZE:
        raise ValueError("a private key and a digest have 32 bytes each")
    key = _private_key(bytes(secret))
    if key is None:
        raise ValueError("a private key is at least 1 and below the order of the curve")
    signature = key.sign(digest, hasher=None)
    if not verify_signature(key.public_key.format(), signature, digest):
        raise RuntimeError("the signature that was just made does not verify: is the memory damaged?")
    return signature


def _private_key(secret: bytes) -> PrivateKey | None:
    try:
        return PrivateKey(secret)
    except ValueError:
        return None
