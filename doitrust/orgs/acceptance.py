"""Ownership acceptances, `doitrust-ownership/1`: the new owner says so before an organisation is handed over.

Without one a mistyped address, or somebody else's, would be the owner for ever (formats.md «Ownership acceptance»).
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from doitrust.chain.address import hash160, script_of
from doitrust.chain.descriptors import Descriptor
from doitrust.chain.messages import verify_message
from doitrust.chain.networks import Network
from doitrust.chain.scripts import p2pkh, p2sh, p2wpkh
from doitrust.errors import BadData, Refused
from doitrust.strictjson import read_object

FORMAT = "doitrust-ownership/1"
_FIRST_LINE = "doitrust ownership/1"
MAX_BYTES = 64 * 1024
_KEY = re.compile(r"0[23][0-9a-f]{64}")


class Acceptance(NamedTuple):
    """One file: the text, the descriptor (None: a single key's address), base64 signatures by key."""

    text: str
    descriptor: str | None
    signatures: Mapping[bytes, str]


def acceptance_text(network: Network, organisation: str, address: str, now: datetime) -> str:
    """The text that a new owner signs."""
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "\n".join((_FIRST_LINE, network.name, organisation, address, time))


def write_acceptance(acceptance: Acceptance) -> bytes:
    """Return the file's bytes."""
    document = {
        "format": FORMAT,
        "text": acceptance.text,
        "descriptor": acceptance.descriptor,
        "signatures": {key.hex(): signature for key, signature in acceptance.signatures.items()},
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def read_acceptance(data: bytes) -> Acceptance:
    """Read a file; raises `BadData` for anything but a well-formed one. Signatures are not checked here."""
    if len(data) > MAX_BYTES:
        raise BadData(f"the acceptance has more than {MAX_BYTES} bytes")
    document = read_object(data, what="the acceptance")
    text, descriptor, signatures = (document.get(k) for k in ("text", "descriptor", "signatures"))
    if document.get("format") != FORMAT or not isinstance(text, str) or not isinstance(signatures, dict):
        raise BadData(f"the acceptance is no {FORMAT}")
    if descriptor is not None and not isinstance(descriptor, str):
        raise BadData("the acceptance's descriptor is no text")
    if not all(_KEY.fullmatch(key) and isinstance(given, str) for key, given in signatures.items()):
        raise BadData("the acceptance's signatures are not base64 by key")
    return Acceptance(text, descriptor, {bytes.fromhex(key): given for key, given in signatures.items()})


def check_acceptances(
    acceptances: Sequence[Acceptance], network: Network, organisation: str, address: str
) -> None:
    """Return if whoever owns `address` accepts `organisation`; raises `Refused` saying what is missing."""
    signers: set[bytes] = set()
    needed = 1
    for acceptance in acceptances:
        _check_text(acceptance.text, network, organisation, address)
        keys, wanted = _owners(acceptance, network, address)
        needed = max(needed, wanted)  # a file without the descriptor doesn't make it fewer
        signers |= {
            key
            for key, signature in acceptance.signatures.items()
            if _is_owner(key, keys, network, address) and verify_message(key, signature, acceptance.text)
        }
    if len(signers) < needed:
        raise Refused(
            f"{len(signers)} of the {needed} signatures of the new owner that it takes are there and good",
            hint="the new owner's part: doitrust org accept-ownership",
            code="acceptance_missing",
        )


def _check_text(text: str, network: Network, organisation: str, address: str) -> None:
    lines = text.split("\n")
    if lines[:4] != [_FIRST_LINE, network.name, organisation, address] or len(lines) != 5:
        raise Refused(
            "the acceptance is for another network, organisation or address", code="acceptance_missing"
        )


def _owners(acceptance: Acceptance, network: Network, address: str) -> tuple[frozenset[bytes], int]:
    """The keys of a multisig and how many have to sign; no keys where the address is a single key's."""
    if acceptance.descriptor is None:
        return frozenset(), 1
    descriptor = Descriptor.parse(acceptance.descriptor, network)
    own = descriptor.at()
    if own.script != script_of(address, network) or not own.origins:
        raise Refused("the acceptance's descriptor does not give the address", code="acceptance_missing")
    return frozenset(own.origins), descriptor.m


def _is_owner(key: bytes, keys: frozenset[bytes], network: Network, address: str) -> bool:
    if keys:
        return key in keys
    digest = hash160(key)
    return script_of(address, network) in (p2wpkh(digest), p2pkh(digest), p2sh(hash160(p2wpkh(digest))))
