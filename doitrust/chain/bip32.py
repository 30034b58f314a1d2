"""Hierarchical keys as far as public keys go: paths, origins, extended public keys (BIP 32).

Points are added by libsecp256k1 (through coincurve). Private keys have no place here: what looks like one is
refused without being repeated in the message.
"""

import hmac
import re
from dataclasses import dataclass
from typing import NamedTuple

from btclib import base58
from btclib.exceptions import BTClibException
from btclib.hashes import hash160
from coincurve import PublicKey

from doitrust.chain.keys import is_compressed_key
from doitrust.chain.networks import MAINNET, Network
from doitrust.errors import BadData

#: From this index on a child is hardened: only the private key can make it.
HARDENED = 0x80000000
#: The depth is one byte.
MAX_DEPTH = 255
FINGERPRINT_SIZE = 4
EXTENDED_KEY_SIZE = 78

# Version bytes (doichain.md «Networks»; src/chainparams.cpp, EXT_PUBLIC_KEY and EXT_SECRET_KEY).
_MAIN, _TEST = bytes.fromhex("0488b21e"), bytes.fromhex("043587cf")
_SECRET = frozenset({bytes.fromhex("0488ade4"), bytes.fromhex("04358394")})
_STEP = re.compile(r"(0|[1-9][0-9]{0,9})([h']?)", re.ASCII)
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{8}", re.ASCII)


def parse_steps(steps: list[str]) -> tuple[int, ...]:
    """Return the child indices that path steps like `84h`, `0'` or `7` stand for; raises `BadData`."""
    path = []
    if len(steps) > MAX_DEPTH:
        raise BadData(f"a path of {len(steps)} steps (the most is {MAX_DEPTH})")
    for step in steps:
        match = _STEP.fullmatch(step)
        if match is None or int(match[1]) >= HARDENED:
            raise BadData("a path step is a number below 2147483648, followed by h if it is hardened")
        path.append(int(match[1]) + (HARDENED if match[2] else 0))
    return tuple(path)


def print_steps(path: tuple[int, ...]) -> str:
    """Write a path with a slash before each step and `h` behind hardened ones."""
    return "".join(f"/{step - HARDENED}h" if step >= HARDENED else f"/{step}" for step in path)


class KeyOrigin(NamedTuple):
    """Where a key comes from: the fingerprint of the master key and the path from there."""

    fingerprint: bytes
    path: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "KeyOrigin":
        """Read `d34db33f/84h/7h/0h` (BIP 380, without the brackets); raises `BadData`."""
        fingerprint, *steps = text.split("/")
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise BadData("a key origin begins with a fingerprint of 8 hex digits")
        return cls(bytes.fromhex(fingerprint), parse_steps(steps))

    def __str__(self) -> str:
        return self.fingerprint.hex() + print_steps(self.path)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "KeyOrigin":
        """Read the value of a BIP 174 derivation: the fingerprint, then each step's 4 bytes; raises `BadData`."""
        steps, rest = divmod(len(raw), 4)
        if rest or not 1 <= steps <= 1 + MAX_DEPTH:
            raise BadData("a key origin is a fingerprint and steps of 4 bytes each")
        words = (int.from_bytes(raw[at : at + 4], "little") for at in range(4, len(raw), 4))
        return cls(raw[:4], tuple(words))

    def serialize(self) -> bytes:
        """Write what `from_bytes` reads."""
        return self.fingerprint + b"".join(step.to_bytes(4, "little") for step in self.path)

    def below(self, *steps: int) -> "KeyOrigin":
        """The origin of the key that these steps lead to from this one's."""
        return KeyOrigin(self.fingerprint, (*self.path, *steps))


@dataclass(frozen=True, slots=True)
class ExtendedKey:
    """An extended public key. `parent` is the fingerprint of the key it was derived from (zeros for a master)."""

    version: bytes
    depth: int
    parent: bytes
    index: int
    chain_code: bytes
    key: bytes

    @classmethod
    def parse(cls, text: str) -> "ExtendedKey":
        """Read `xpub…` or `tpub…`; raises `BadData`."""
        try:
            return cls.from_bytes(base58.decode(text, EXTENDED_KEY_SIZE))
        except BTClibException:
            raise BadData("not an extended public key (a character wrong or missing?)") from None

    @classmethod
    def from_bytes(cls, raw: bytes) -> "ExtendedKey":
        """Read the 78 bytes; raises `BadData` for anything but a possible public key."""
        if len(raw) != EXTENDED_KEY_SIZE:
            raise BadData(f"an extended key is {EXTENDED_KEY_SIZE} bytes")
        version, depth, parent, index = raw[:4], raw[4], raw[5:9], int.from_bytes(raw[9:13], "big")
        if version in _SECRET:
            raise BadData("a private key where a public one is wanted", hint="tell nobody a private key")
        if version not in (_MAIN, _TEST):
            raise BadData("an extended key of no network that is known here")
        if depth == 0 and (any(parent) or index):
            raise BadData("an extended master key that claims to have a parent")
        if not is_compressed_key(raw[45:]):
            raise BadData("an extended key whose key is no point of the curve")
        return cls(version, depth, parent, index, raw[13:45], raw[45:])

    def serialize(self) -> bytes:
        """Write what `from_bytes` reads."""
        head = self.version + bytes([self.depth]) + self.parent + self.index.to_bytes(4, "big")
        return head + self.chain_code + self.key

    def __str__(self) -> str:
        return base58.encode(self.serialize()).decode()

    @property
    def fingerprint(self) -> bytes:
        """The first 4 bytes of the key's hash."""
        return hash160(self.key)[:FINGERPRINT_SIZE]

    def is_of(self, network: Network) -> bool:
        """Whether the version bytes are those of `network`; the test networks share theirs."""
        return self.version == (_MAIN if network.name == MAINNET.name else _TEST)

    def child(self, index: int) -> "ExtendedKey":
        """The child with this index; raises `BadData` for a hardened one, and where BIP 32 has none."""
        if not 0 <= index < HARDENED:
            raise BadData("a hardened key can't be derived from a public one")
        if self.depth == MAX_DEPTH:
            raise BadData(f"a key below depth {MAX_DEPTH}")
        data = hmac.digest(self.chain_code, self.key + index.to_bytes(4, "big"), "sha512")
        try:
            key = PublicKey(self.key).add(data[:32]).format()
        except ValueError:  # once in 2**127; BIP 32: proceed with the next index
            raise BadData(f"there is no key with index {index}") from None
        return ExtendedKey(self.version, self.depth + 1, self.fingerprint, index, data[32:], key)
