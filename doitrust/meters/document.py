"""Certificate documents, `doitrust-certificate/1`, on IPFS beside a record (formats.md). They decide nothing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import rfc8785

from doitrust.content.cid import Cid, parse_cid
from doitrust.errors import BadData
from doitrust.meters.pairing import Pairing
from doitrust.strictjson import read_object

FORMAT = "doitrust-certificate/1"
#: Bytes of a document, and photographs in it.
MAX_BYTES, MAX_PHOTOS = 256 * 1024, 64


class Document(NamedTuple):
    """What a document says: the pairing's meter and keys, the seals, the photographs."""

    meter: str
    node: bytes
    client: bytes
    seals: tuple[str, ...]
    photos: tuple[Cid, ...]


def write_document(pairing: Pairing, seals: Sequence[str], photos: Sequence[str]) -> bytes:
    """Return the document's bytes (RFC 8785); `photos` are CIDs."""
    return rfc8785.dumps(
        {
            "format": FORMAT,
            "pairing": dict(pairing.document),
            "seals": list(seals),
            "photos": list(photos),
        }
    )


def read_document(data: bytes) -> Document:
    """Read a document as strictly as a record; raises `BadData` naming the field.

    The pairing's signature isn't checked again: whoever certified did, and the record holds the keys.
    """
    fields = read_object(data, what="the certificate's document")
    if fields.get("format") != FORMAT:
        raise BadData(f"the document's format is not {FORMAT}")
    pairing = fields.get("pairing")
    if not isinstance(pairing, dict):
        raise BadData("the document has no pairing")
    try:
        node, client = (bytes.fromhex(_text(pairing, name)) for name in ("node", "client"))
    except ValueError:
        raise BadData("the document's pairing has a key that is no hex") from None
    photos = _texts(fields, "photos")
    if len(photos) > MAX_PHOTOS:
        raise BadData(f"the document names more than {MAX_PHOTOS} photographs")
    cids = tuple(dict.fromkeys(parse_cid(photo) for photo in photos))
    return Document(_text(pairing, "meter"), node, client, tuple(_texts(fields, "seals")), cids)


def _texts(fields: dict[str, Any], name: str) -> list[str]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadData(f"the document's field {name!r} is no list of texts")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise BadData(f"the document's pairing has no {name}")
    return value
