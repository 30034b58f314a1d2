"""Descriptors: text that names a wallet or an owner (BIP 380 to 383 and 385, the part that rule S can sign for).

`pkh(KEY)`, `wpkh(KEY)`, `sh(wpkh(KEY))`, `sortedmulti(m,KEY,…)` in `sh`, `wsh` or `sh(wsh(…))`, and
`addr(ADDRESS)`. KEY is a compressed public key in hex or an extended public key with a path below it, `/*` at its
end for every index; an origin in brackets may stand before it. Private keys are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from btclib.hashes import hash160, sha256

from doitrust.chain.address import address_of, script_of
from doitrust.chain.bip32 import HARDENED, ExtendedKey, KeyOrigin, parse_steps, print_steps
from doitrust.chain.keys import is_compressed_key
from doitrust.chain.networks import Network
from doitrust.chain.scripts import (
    MAX_MULTISIG_KEYS,
    MAX_P2SH_MULTISIG_KEYS,
    multisig_script,
    p2pkh,
    p2sh,
    p2wpkh,
    p2wsh,
)
from doitrust.errors import BadData, Usage

#: Longer ones are refused unread; sixteen extended keys with long origins and paths need 4,000.
MAX_LENGTH = 6_000

# What stands before the arguments; each opens one more bracket than it shows.
_FORMS = (
    "pkh",
    "wpkh",
    "sh(wpkh",
    "sh(sortedmulti",
    "wsh(sortedmulti",
    "sh(wsh(sortedmulti",
    "addr",
)
_KNOWN = "pkh(…), wpkh(…), sh(wpkh(…)), addr(…), and sortedmulti(m,…) in sh(…), wsh(…) or sh(wsh(…))"
_MULTISIG = "sortedmulti"
_HEX_KEY = re.compile(r"[0-9a-fA-F]{66}", re.ASCII)
_THRESHOLD = re.compile(r"[1-9][0-9]?", re.ASCII)

# BIP 380 «Character Set» and «Checksum»: three groups of 32 characters, the checksum's own alphabet, and the
# generator of its code.
_CHARACTERS = (
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
)
_CHECKSUM_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
_CHECKSUM_SIZE = 8


class OwnScript(NamedTuple):
    """An address script and what its owner knows of it: what it takes to sign for it (BIP 174's fields).

    `origins` by public key, in the script's order.
    """

    script: bytes
    redeem_script: bytes | None = None
    witness_script: bytes | None = None
    origins: Mapping[bytes, KeyOrigin] = MappingProxyType({})


class DerivedKey(NamedTuple):
    """A public key and where it comes from."""

    key: bytes
    origin: KeyOrigin


def checksum(text: str) -> str:
    """Return the 8 characters that follow `#` (BIP 380); raises `BadData` for a character that can't stand there."""
    symbols: list[int] = []
    groups: list[int] = []
    for char in text:
        place = _CHARACTERS.find(char)
        if place < 0:
            raise BadData("a character that no descriptor has")
        symbols.append(place & 31)
        groups.append(place >> 5)
        if len(groups) == 3:
            symbols.append(9 * groups[0] + 3 * groups[1] + groups[2])
            groups.clear()
    if groups:
        symbols.append(groups[0] if len(groups) == 1 else 3 * groups[0] + groups[1])
    value = 1
    for symbol in [*symbols, *[0] * _CHECKSUM_SIZE]:
        top, value = value >> 35, ((value & 0x7FFFFFFFF) << 5) ^ symbol
        for bit, term in enumerate(_GENERATOR):
            value ^= term if top >> bit & 1 else 0
    value ^= 1
    places = (value >> 5 * (_CHECKSUM_SIZE - 1 - at) & 31 for at in range(_CHECKSUM_SIZE))
    return "".join(_CHECKSUM_CHARACTERS[place] for place in places)


@dataclass(frozen=True, slots=True)
class KeyExpression:
    """A KEY: a public key, or an extended one with `steps` below it and, if `ranged`, any index below those."""

    origin: KeyOrigin | None
    key: bytes | ExtendedKey
    steps: tuple[int, ...] = ()
    ranged: bool = False

    @classmethod
    def parse(cls, text: str, network: Network) -> "KeyExpression":
        """Read a KEY of `network`; raises `BadData`."""
        origin = None
        if text.startswith("["):
            inside, bracket, text = text[1:].partition("]")
            if not bracket:
                raise BadData("a key origin without its closing bracket")
            origin = KeyOrigin.parse(inside)
        word, *steps = text.split("/")
        if _HEX_KEY.fullmatch(word):
            key = bytes.fromhex(word)
            if not is_compressed_key(key):
                raise BadData("a public key that is no point of the curve")
            if steps:
                raise BadData("a path below a key that is not an extended one")
            return cls(origin, key)
        extended = ExtendedKey.parse(word)
        if not extended.is_of(network):
            raise BadData(f"an extended key of another network than {network.name}")
        ranged = steps[-1:] == ["*"]
        path = parse_steps(steps[:-1] if ranged else steps)
        if any(step >= HARDENED for step in path):
            raise BadData("a hardened key can't be derived from a public one")
        return cls(origin, extended, path, ranged)

    def __str__(self) -> str:
        origin = "" if self.origin is None else f"[{self.origin}]"
        key = self.key.hex() if isinstance(self.key, bytes) else str(self.key)
        return origin + key + print_steps(self.steps) + ("/*" if self.ranged else "")

    def at(self, index: int) -> DerivedKey:
        """The public key at `index`. Without an origin the key itself is taken for the master, as wallets do."""
        if isinstance(self.key, bytes):
            return DerivedKey(self.key, self.origin or KeyOrigin(hash160(self.key)[:4]))
        steps = (*self.steps, index) if self.ranged else self.steps
        key = self.key
        for step in steps:
            key = key.child(step)
        return DerivedKey(key.key, (self.origin or KeyOrigin(self.key.fingerprint)).below(*steps))


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A parsed descriptor of one network. `str` gives its canonical text, with the checksum.

    `form` is what stands before the arguments (`sh(wsh(sortedmulti`); `m` the signatures a multisig needs, 1 for a
    single key and 0 for an address, which alone has no `keys`.
    """

    network: Network
    form: str
    keys: tuple[KeyExpression, ...]
    m: int
    address_text: str = ""

    @classmethod
    def parse(cls, text: str, network: Network) -> "Descriptor":
        """Read a descriptor of `network`, with or without its checksum; raises `BadData`."""
        if len(text) > MAX_LENGTH:
            raise BadData(f"a descriptor of {len(text)} characters (the most is {MAX_LENGTH})")
        body, mark, given = text.partition("#")
        if mark and given != checksum(body):
            raise BadData("the descriptor's checksum is wrong", hint="a character is wrong or missing")
        for form in _FORMS:
            closing = ")" * (form.count("(") + 1)
            if body.startswith(form + "(") and body.endswith(closing):
                return cls._read(form, body[len(form) + 1 : -len(closing)], network)
        raise BadData("not a descriptor that is known here", hint=f"those that are: {_KNOWN}")

    @classmethod
    def _read(cls, form: str, inner: str, network: Network) -> "Descriptor":
        if "(" in inner or ")" in inner:
            raise BadData(f"a descriptor with brackets inside {form}(…)")
        if form == "addr":
            script_of(inner, network)
            return cls(network, form, (), 0, inner)
        if not form.endswith(_MULTISIG):
            return cls._tried(cls(network, form, (KeyExpression.parse(inner, network),), 1))
        threshold, *texts = inner.split(",")
        most = MAX_P2SH_MULTISIG_KEYS if form == "sh(sortedmulti" else MAX_MULTISIG_KEYS
        if not _THRESHOLD.fullmatch(threshold) or not int(threshold) <= len(texts) <= most:
            raise BadData(f"{form}(m,KEY,…) takes 1 to {most} keys, and of them m")
        keys = tuple(KeyExpression.parse(text, network) for text in texts)
        return cls._tried(cls(network, form, keys, int(threshold)))

    @staticmethod
    def _tried(found: "Descriptor") -> "Descriptor":
        """Make one script now, so that keys that are the same, or lie too deep, are refused at once."""
        found.at(0)
        return found

    def __str__(self) -> str:
        arguments = self.address_text or ",".join(map(str, self.keys))
        if self.form.endswith(_MULTISIG):
            arguments = f"{self.m},{arguments}"
        text = f"{self.form}({arguments}" + ")" * (self.form.count("(") + 1)
        return f"{text}#{checksum(text)}"

    @property
    def ranged(self) -> bool:
        """Whether there is a script for each index, and not only one."""
        return any(key.ranged for key in self.keys)

    def at(self, index: int = 0) -> OwnScript:
        """The script at `index`, and what it takes to spend it.

        Raises `Usage` for an index that the descriptor doesn't have, `BadData` where it has no script.
        """
        if not 0 <= index < HARDENED or (index and not self.ranged):
            raise Usage(f"this descriptor has no index {index}")
        if not self.keys:
            return OwnScript(script_of(self.address_text, self.network))
        derived = dict(key.at(index) for key in self.keys)
        if not self.form.endswith(_MULTISIG):
            return _of_key(self.form, derived)
        if len(derived) != len(self.keys):
            raise BadData("a multisig in which a key stands twice")
        code = multisig_script(self.m, sorted(derived))
        return _of_multisig(self.form, code, {key: derived[key] for key in sorted(derived)})

    def address(self, index: int = 0) -> str:
        """The address at `index`; raises as `at` does."""
        return address_of(self.at(index).script, self.network) or ""


def _of_key(form: str, origins: Mapping[bytes, KeyOrigin]) -> OwnScript:
    key_hash = hash160(next(iter(origins)))
    if form == "pkh":
        return OwnScript(p2pkh(key_hash), origins=origins)
    program = p2wpkh(key_hash)
    if form == "wpkh":
        return OwnScript(program, origins=origins)
    return OwnScript(p2sh(hash160(program)), program, origins=origins)


def _of_multisig(form: str, code: bytes, origins: Mapping[bytes, KeyOrigin]) -> OwnScript:
    if form == "sh(sortedmulti":
        return OwnScript(p2sh(hash160(code)), code, None, origins)
    program = p2wsh(sha256(code))
    if form == "wsh(sortedmulti":
        return OwnScript(program, None, code, origins)
    return OwnScript(p2sh(hash160(program)), program, code, origins)
