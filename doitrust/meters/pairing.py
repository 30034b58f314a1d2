"""Pairings, `doitrust-pairing/1`: what a node at a meter tells the electrician (formats.md «Pairing»). Pure.

It is signed by the node's key: a signed message (`chain/messages.py`) over the canonical JSON (RFC 8785) of all its
fields but the signature, those included that aren't known here. How old it may be is for `meter certify` to say.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NoReturn

import rfc8785

from doitrust.chain.address import address_of
from doitrust.chain.keys import is_compressed_key
from doitrust.chain.messages import verify_message
from doitrust.chain.networks import NETWORKS, Network
from doitrust.errors import BadData, Refused, Usage
from doitrust.meters.multisig import pairing_outputs
from doitrust.meters.number import meter_number
from doitrust.meters.reading import Reading, meter_of_server_id, read_reading, reading_json
from doitrust.strictjson import read_object

FORMAT = "doitrust-pairing/1"
#: A meter with the usual registers takes 1 to 2 KiB.
MAX_BYTES = 64 * 1024
#: The kinds of 1-of-2 address; the first is the default.
TYPES = ("p2wsh", "p2sh", "p2sh-p2wsh")

_KEY = re.compile(r"[0-9a-f]{66}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
#: An origin (RFC 6454) as it is dialled: scheme, host, port, nothing more.
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
#: First bytes of server ids whose numbers nobody else has (DIN 43863-5 and its drafts).
_UNIQUE = frozenset({0x06, 0x09, 0x0A})


@dataclass(frozen=True, slots=True)
class Pairing:
    """A pairing of the keys `node` and `client` at a meter; `created` is Unix time.

    `document` is all of it as it was signed, for those who hand it on; empty while it isn't.
    """

    network: Network
    meter: str
    node: bytes
    client: bytes
    reading: Reading
    created: int
    type: str = TYPES[0]
    origin: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def server_id(self) -> bytes:
        """What the meter calls itself."""
        return self.reading.server_id

    @property
    def ms(self) -> str:
        """The 1-of-2 address of both keys, of this type on this network."""
        address = address_of(pairing_outputs(self.node, self.client)[self.type], self.network)
        assert address is not None, "a hash has an address"  # noqa: S101  # for the reader and mypy
        return address

    @property
    def is_legacy(self) -> bool:
        """Whether the number is unique by agreement only: `meter certify` wants `--legacy-number` then."""
        return self.server_id[0] not in _UNIQUE or meter_of_server_id(self.server_id) is None


def short_fingerprint(node: bytes, client: bytes) -> str:
    """Return what people compare on the screens of node, wallet and electrician, `xxxx-xxxx-xxxx-xxxx`.

    The first 80 bits of sha256 over `doitrust pairing\\n<node>\\n<client>` (keys in lower-case hex), RFC 4648 base32,
    lower case. So many that nobody finds other keys that show the same.
    """
    digest = sha256(f"doitrust pairing\n{node.hex()}\n{client.hex()}".encode()).digest()
    text = base64.b32encode(digest[:10]).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def age(pairing: Pairing, now: int) -> int:
    """Return the seconds since it was made; negative where the node's clock is ahead of `now`."""
    return now - pairing.created


def sign_pairing(pairing: Pairing, sign: Callable[[str], str]) -> Pairing:
    """Return the pairing signed by `sign`, which signs a message with the node's key.

    Raises `Refused` for what no reader would take: equal keys, a meter whose server id stands for no number.
    """
    refuse_one_key(pairing.node, pairing.client)
    if pairing.reading.meter is None:
        raise Refused(
            f"the meter's server id {pairing.server_id.hex()} stands for no meter number",
            hint="doitrust may not know this kind of meter yet: a recording of it would help",
            code="no_meter_number",
        )
    fields = _fields(pairing)
    return read_pairing(_canonical({**fields, "signature": sign(_canonical(fields))}).encode())


def refuse_one_key(node: bytes, client: bytes) -> None:
    """Raise `Refused` if both keys are the same."""
    if node == client:
        raise Refused(
            "the client's key is the node's own: a pairing needs two",
            hint="give the key of the client's wallet",
        )


def write_pairing(pairing: Pairing) -> str:
    """Return a signed pairing as canonical JSON: for a file, or as small as it gets, for a QR code."""
    if not pairing.document:
        raise ValueError("it isn't signed")
    return _canonical(pairing.document)


def read_pairing(data: bytes) -> Pairing:
    """Read the JSON of a pairing, from a file or a QR code; raises `BadData` naming what is wrong with it."""
    if len(data) > MAX_BYTES:
        raise BadData(f"the pairing has {len(data)} bytes, more than {MAX_BYTES}")
    document = read_object(data, what="the pairing")
    if document.get("format") != FORMAT:
        _wrong("format", f"is not {FORMAT}")
    reading = document.get("reading")
    if not isinstance(reading, dict):
        _wrong("reading", "is no object")
    pairing = Pairing(
        _network(document),
        _meter(document),
        _key(document, "node"),
        _key(document, "client"),
        read_reading(reading),
        _created(document),
        _type(document),
        check_origin(_text(document, "origin")) if "origin" in document else None,
        document,
    )
    _check(pairing, document)
    return pairing


def check_origin(text: str) -> str:
    """Return `text` if it is an origin to dial, `https://host:port`; raises `BadData`."""
    port = text.rpartition(":")[2]
    if not _ORIGIN.fullmatch(text) or (port.isdigit() and not 0 < int(port) < 65536):
        _wrong("origin", "is not like https://host:port")
    return text


def _check(pairing: Pairing, document: Mapping[str, Any]) -> None:
    """Compare what says the same thing twice, and check the signature."""
    if pairing.node == pairing.client:
        _wrong("client", "is the node's key")
    if _text(document, "server_id") != pairing.server_id.hex():
        _wrong("server_id", "is not the reading's")
    if pairing.reading.meter not in (None, pairing.meter):
        _wrong("meter", "is not the number that the server id stands for")
    if _text(document, "ms") != pairing.ms:
        _wrong("ms", f"is not the {pairing.type} address of its keys on {pairing.network.name}")
    signed = {name: value for name, value in document.items() if name != "signature"}
    if not verify_message(pairing.node, _text(document, "signature"), _canonical(signed)):
        _wrong("signature", "is not the node key's")


def _fields(pairing: Pairing) -> dict[str, Any]:
    """What is to be signed."""
    fields = {
        "format": FORMAT,
        "network": pairing.network.name,
        "meter": pairing.meter,
        "server_id": pairing.server_id.hex(),
        "node": pairing.node.hex(),
        "client": pairing.client.hex(),
        "ms": pairing.ms,
        "type": pairing.type,
        "reading": reading_json(pairing.reading),
        "created": datetime.fromtimestamp(pairing.created, UTC).strftime(_TIME_FORMAT),
        "origin": pairing.origin,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _canonical(document: Mapping[str, Any]) -> str:
    try:
        return rfc8785.dumps(dict(document)).decode()
    except rfc8785.CanonicalizationError:
        raise BadData("the pairing holds a number that canonical JSON has no form for") from None


def _network(fields: Mapping[str, Any]) -> Network:
    name = _text(fields, "network")
    if name not in NETWORKS:
        _wrong("network", f"is none of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _meter(fields: Mapping[str, Any]) -> str:
    text = _text(fields, "meter")
    if not _is_meter_number(text):
        _wrong("meter", "is no meter number of A-Z and 0-9")
    return text


def _is_meter_number(text: str) -> bool:
    try:
        return meter_number(text) == text
    except Usage:
        return False


def _key(fields: Mapping[str, Any], name: str) -> bytes:
    text = _text(fields, name)
    if not _KEY.fullmatch(text) or not is_compressed_key(key := bytes.fromhex(text)):
        _wrong(name, "is no compressed public key in lower-case hex")
    return key


def _type(fields: Mapping[str, Any]) -> str:
    text = _text(fields, "type")
    if text not in TYPES:
        _wrong("type", f"is none of {', '.join(TYPES)}")
    return text


def _created(fields: Mapping[str, Any]) -> int:
    text = _text(fields, "created")
    try:
        moment = datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        moment = None
    if moment is None or not _TIME.fullmatch(
        text
    ):  # strptime takes single digits and others than ASCII's too
        _wrong("created", "is no time like 2026-11-21T10:00:00Z")
    return round(moment.timestamp())


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        _wrong(name, "is missing or no text")
    return value


def _wrong(name: str, problem: str) -> NoReturn:
    raise BadData(f"the pairing's field {name!r} {problem}")
