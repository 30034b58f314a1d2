"""Public keys and ECDSA signatures, checked by libsecp256k1 (through coincurve)."""

from functools import lru_cache

from coincurve import PublicKey
from coincurve.ecdsa import cdata_to_der, der_to_cdata, signature_normalize

from doitrust.chain.scripts import COMPRESSED_KEY_SIZE


def is_compressed_key(key: bytes) -> bool:
    """Whether `key` is 33 bytes that name a point of secp256k1 in compressed form."""
    return len(key) == COMPRESSED_KEY_SIZE and key[0] in (2, 3) and _point(key) is not None


def verify_signature(key: bytes, der: bytes, message_hash: bytes) -> bool:
    """Whether `der` is `key`'s ECDSA signature over the 32-byte `message_hash` (rule S4).

    The key is the 33 bytes as pushed; the signature strict DER (BIP 66); a high S counts, because anyone can
    flip it. Never raises.
    """
    if len(key) != COMPRESSED_KEY_SIZE:
        return False
    point = _point(key)
    if point is None:
        return False
    try:
        parsed = der_to_cdata(der)
        if cdata_to_der(parsed) != der:
            return False
        # libsecp256k1 verifies only the lower S.
        high, normal = signature_normalize(parsed)
        return point.verify(cdata_to_der(normal) if high else der, message_hash, hasher=None)
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def _point(key: bytes) -> PublicKey | None:
    try:
        return PublicKey(key)
    except ValueError:
        return None
