"""Pins: which organisation a user means (rule O2)."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from doitrust.chain.networks import Network
from doitrust.errors import BadData
from doitrust.orgs.names import check_name

_TXID = re.compile(r"[0-9a-f]{64}")
_FINGERPRINT = re.compile(r"[a-z2-7]{16}")


def check_txid(text: object) -> str:
    """Return `text` lower-cased if it is a txid (64 hex digits); raises `BadData` otherwise."""
    txid = text.strip().lower() if isinstance(text, str) else ""
    if not _TXID.fullmatch(txid):
        raise BadData("a txid has 64 hex digits")
    return txid


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of an organisation's record: from the write `root` to the write `until` (txids), or open."""

    root: str
    until: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", check_txid(self.root))
        if self.until is not None:
            object.__setattr__(self, "until", check_txid(self.until))


@dataclass(frozen=True, slots=True)
class Pin:
    """An accepted organisation: its name and at least one segment, in chain order (rule O2)."""

    name: str
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.segments:
            raise BadData("a pin needs a root")


def fingerprint(network: Network, name: str, root: str) -> str:
    """Return the root's fingerprint, `xxxx-xxxx-xxxx-xxxx`.

    The first 80 bits of sha256 over `doitrust root\\n<network>\\n<name>\\n<txid>`, RFC 4648 base32, lower case.
    """
    digest = sha256(f"doitrust root\n{network.name}\n{name}\n{root}".encode()).digest()
    text = base64.b32encode(digest[:10]).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def matching_root(wanted: str, network: Network, name: str, roots: Sequence[str]) -> list[str]:
    """Return those of `roots` whose fingerprint is `wanted` (dashes, spaces and case don't matter)."""
    text = re.sub(r"[\s-]", "", wanted).lower()
    if not _FINGERPRINT.fullmatch(text):
        raise BadData("a fingerprint has 16 letters and digits, as in 3dcg-n73q-fc4f-znmd")
    return [root for root in roots if fingerprint(network, name, root).replace("-", "") == text]
