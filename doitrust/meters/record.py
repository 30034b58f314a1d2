"""Certificate and revocation records, the values of `bp/<meter>` (formats.md, rule C1). Read strictly."""

import re
from dataclasses import dataclass
from typing import Any, NoReturn

import rfc8785

from doitrust.chain.keys import is_compressed_key
from doitrust.chain.names import MAX_VALUE_SIZE
from doitrust.content.cid import parse_cid
from doitrust.errors import BadData, Refused
from doitrust.strictjson import read_object

VERSION = 1
_KEY = re.compile(r"[0-9a-f]{66}")
#: A prefix of a txid as displayed; C4 wants at least 16 digits.
_AFTER = re.compile(r"[0-9a-f]{16,64}")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate record. Keys are 33 bytes; `ms` the 1-of-2 address as written."""

    org: str
    node: bytes
    client: bytes
    ms: str
    seal: tuple[str, ...] = ()
    doc: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revocation record: `reason` is the free text."""

    org: str
    reason: str


Record = Certificate | Revocation


def read_record(value: bytes) -> Record:
    """Read a record's bytes; raises `BadData` naming the field that is wrong."""
    if len(value) > MAX_VALUE_SIZE:
        raise BadData(f"the record has {len(value)} bytes, more than {MAX_VALUE_SIZE}")
    fields = read_object(value, what="the record")
    version = fields.get("v")
    if not isinstance(version, int) or isinstance(version, bool) or version != VERSION:
        _wrong("v", f"is not the integer {VERSION}")
    org = _text(fields, "org")
    if "revoked" in fields:
        return Revocation(org, _text(fields, "revoked"))
    node, client = _key(fields, "node"), _key(fields, "client")
    if node == client:
        _wrong("client", "is the node's key")
    return Certificate(org, node, client, _text(fields, "ms"), _seal(fields), _doc(fields), _after(fields))


def _wrong(field: str, problem: str) -> NoReturn:
    raise BadData(f"the record's field {field!r} {problem}")


def write_record(record: Record) -> bytes:
    """Return a record's bytes (RFC 8785), read back as everybody will; raises `Refused` if it is too long."""
    if isinstance(record, Revocation):
        fields: dict[str, Any] = {"v": 1, "org": record.org, "revoked": record.reason}
    else:
        fields = {
            "v": 1,
            "org": record.org,
            "node": record.node.hex(),
            "client": record.client.hex(),
            "ms": record.ms,
            "seal": list(record.seal),
            "doc": record.doc,
            # The rules want 16 digits at least; all of them leave no room for a doubt, half of them for more seals.
            "after": None if record.after is None else record.after[:32],
        }
    value = rfc8785.dumps({name: field for name, field in fields.items() if field not in (None, [])})
    if len(value) > MAX_VALUE_SIZE:
        raise Refused(
            f"the record would have {len(value)} bytes, more than {MAX_VALUE_SIZE}",
            hint="shorten the seal numbers or the reason",
        )
    try:
        read_record(value)
    except BadData as error:
        raise Refused(f"this can't be a record: {error.message}") from None
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    if name not in fields:
        _wrong(name, "is missing")
    value = fields[name]
    if not isinstance(value, str):
        _wrong(name, "is no text")
    return value


def _key(fields: dict[str, Any], name: str) -> bytes:
    text = _text(fields, name)
    if not _KEY.fullmatch(text) or not is_compressed_key(key := bytes.fromhex(text)):
        _wrong(name, "is no compressed public key in lower-case hex")
    return key


def _seal(fields: dict[str, Any]) -> tuple[str, ...]:
    value = fields.get("seal", [])
    if not isinstance(value, list) or not all(isinstance(number, str) for number in value):
        _wrong("seal", "is no list of texts")
    return tuple(value)


def _doc(fields: dict[str, Any]) -> str | None:
    if "doc" not in fields:
        return None
    text = _text(fields, "doc")
    try:
        parse_cid(text)
    except BadData:
        _wrong("doc", "is no CID")
    return text


def _after(fields: dict[str, Any]) -> str | None:
    if "after" not in fields:
        return None
    text = _text(fields, "after")
    if not _AFTER.fullmatch(text):
        _wrong("after", "is no start of a txid (16 to 64 lower-case hex digits)")
    return text
