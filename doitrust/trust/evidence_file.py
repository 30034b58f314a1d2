"""Evidence as a file, `doitrust-evidence/1`: the offline input, the bug report, the regression fixture.

Reading is strict and bounded. Transactions are hashed to their txids and blocks of lists to their CIDs before
anything else looks at them (N1). What a file says of its sources is not believed: it is one foreign source (N3).
"""

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import Any

from doitrust.chain.networks import NETWORKS
from doitrust.chain.tx import Transaction
from doitrust.content.cid import Cid, parse_cid
from doitrust.errors import BadData
from doitrust.strictjson import read_object
from doitrust.text import visible
from doitrust.trust.evidence import Evidence, Located, Missing, Place, Source, Tip

FORMAT = "doitrust-evidence/1"
#: No verdict needs more; a larger file is refused before it is read.
MAX_BYTES = 256 * 1024 * 1024
_HASH = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_MAX_HEIGHT = 2**31 - 1
_MAX_TIME = 2**32 - 1
#: Kinds and reason codes of `missing`, as `gather` writes them.
_KINDS = frozenset({"transaction", "list", "history", "chain"})
_WHYS = frozenset({"transaction_missing", "list_missing", "flooded", "chain_moved", "bad_data"})


def iso_time(seconds: int | None) -> str | None:
    """Return Unix `seconds` as RFC 3339 in UTC, to the second."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_evidence(evidence: Evidence) -> bytes:
    """Return the file's bytes; the same evidence gives the same bytes."""
    document = {
        "format": FORMAT,
        "network": evidence.network.name,
        "tip": {
            "height": evidence.tip.height,
            "hash": evidence.tip.hash,
            "time": iso_time(evidence.tip.time),
            "work": _hex(evidence.tip.work),
        },
        "transactions": {
            txid: _located(evidence.transactions[txid]) for txid in sorted(evidence.transactions)
        },
        "lists": {
            cid.text: base64.b64encode(block).decode()
            for cid, block in sorted(evidence.content.items(), key=lambda item: item[0].text)
        },
        "names": None if evidence.covers is None else sorted(name.hex() for name in evidence.covers),
        "missing": [missing._asdict() for missing in evidence.missing],
        "sources": [source._asdict() for source in evidence.sources],
        "headers": [],
        "proofs": {},
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _located(located: Located) -> dict[str, Any]:
    tx, place = located
    if place is None:
        return {"hex": tx.raw.hex(), "block": None, "height": None, "position": None}
    return {
        "hex": tx.raw.hex(),
        "block": place.block,
        "height": place.height,
        "position": place.position,
        "time": iso_time(place.time),
        "below": _hex(place.below),
    }


def _hex(work: int | None) -> str | None:
    """Chain work as nodes write it: 64 hex digits."""
    return None if work is None else f"{work:064x}"


def read_evidence(data: bytes, *, source: str) -> Evidence:
    """Read a file's bytes; `source` is what reports call it. Raises `BadData` naming what is wrong."""
    if len(data) > MAX_BYTES:
        raise BadData(f"the evidence has more than {MAX_BYTES} bytes")
    document = read_object(data, what="the evidence")
    if document.get("format") != FORMAT:
        raise BadData(f"the evidence's format is not {FORMAT}")
    network = NETWORKS.get(_field(document, "network", str))
    if network is None:
        raise BadData("the evidence's network is unknown")
    tip_fields = _field(document, "tip", dict)
    tip = Tip(
        _height(tip_fields, "tip"),
        _hash(tip_fields.get("hash"), "tip"),
        _time(tip_fields, "tip") or 0,
        _work(tip_fields.get("work"), "tip"),
    )
    transactions = {
        txid: _transaction(txid, entry) for txid, entry in _field(document, "transactions", dict).items()
    }
    _one_chain(transactions, tip)
    content = dict(_block(text, entry) for text, entry in _field(document, "lists", dict).items())
    missing = tuple(_missing(entry) for entry in _field(document, "missing", list))
    return Evidence(network, tip, transactions, content, missing, (Source(source, False),), _names(document))


def _field(document: dict[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    if not isinstance(value, kind):
        raise BadData(f"the evidence's field {name!r} is missing or of another type")
    return value


def _hash(value: Any, what: str) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise BadData(f"the evidence's {what} has no hash of 64 lower-case hex digits")
    return value


def _integer(fields: dict[str, Any], name: str, what: str, most: int) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise BadData(f"the evidence's {what} has no valid {name}")
    return value


def _height(fields: dict[str, Any], what: str) -> int:
    return _integer(fields, "height", what, _MAX_HEIGHT)


def _time(fields: dict[str, Any], what: str) -> int | None:
    value = fields.get("time")
    if value is None:
        return None
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise BadData(f"the evidence's {what} has no valid time")
    try:
        seconds = int(datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except (TypeError, ValueError):
        seconds = -1
    if not 0 <= seconds <= _MAX_TIME:
        raise BadData(f"the evidence's {what} has no valid time")
    return seconds


def _work(value: Any, what: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise BadData(f"the evidence's {what} has work that is not 64 lower-case hex digits")
    return int(value, 16)


def _transaction(txid: str, entry: Any) -> Located:
    what = f"transaction {visible(txid, 64)}"
    if not isinstance(entry, dict) or not isinstance(entry.get("hex"), str):
        raise BadData(f"the evidence's {what} has no hex")
    try:
        tx = Transaction.parse(bytes.fromhex(entry["hex"]))
    except (ValueError, BadData):
        raise BadData(f"the evidence's {what} is not a transaction") from None
    if tx.txid != txid:
        raise BadData(f"the evidence's {what} hashes to another txid, {tx.txid}")
    if entry.get("block") is None:
        if entry.get("height") is not None or entry.get("position") is not None:
            raise BadData(f"the evidence's {what} has a height without a block")
        return Located(tx, None)
    position = _integer(entry, "position", what, _MAX_HEIGHT)
    block, below = _hash(entry["block"], what), _work(entry.get("below"), what)
    return Located(tx, Place(block, _height(entry, what), position, _time(entry, what), below))


def _one_chain(transactions: dict[str, Located], tip: Tip) -> None:
    """One block a height, one transaction a position, and the tip on top: otherwise it is no chain."""
    blocks = {tip.height: tip.hash}
    heights = {tip.hash: tip.height}
    positions: set[tuple[int, int]] = set()
    for tx, place in transactions.values():
        if place is None:
            continue
        if heights.setdefault(place.block, place.height) != place.height:
            raise BadData(f"the evidence has one block at two heights, {place.block}")
        if blocks.setdefault(place.height, place.block) != place.block:
            raise BadData(f"the evidence names two blocks at height {place.height}")
        if tip.work is not None and place.below is not None and place.below >= tip.work:
            raise BadData(f"the evidence has more work below block {place.height} than in all")
        if (place.height, place.position) in positions:
            raise BadData(f"the evidence has two transactions at one place, one of them {tx.txid}")
        positions.add((place.height, place.position))


def _block(text: str, entry: Any) -> tuple[Cid, bytes]:
    shown = visible(text, 80)
    try:
        cid = parse_cid(text)
        block = base64.b64decode(entry, validate=True)
    except (BadData, TypeError, ValueError, binascii.Error):
        raise BadData(f"the evidence's list {shown} is no CID with base64 bytes") from None
    if not cid.matches(block):
        raise BadData(f"the evidence's list {shown} does not hash to its CID")
    return cid, block


def _names(document: dict[str, Any]) -> frozenset[bytes] | None:
    """The names that the file covers; a file that doesn't say is taken to cover what is asked."""
    if document.get("names") is None:
        return None
    try:
        return frozenset(bytes.fromhex(name) for name in _field(document, "names", list))
    except (TypeError, ValueError):
        raise BadData("the evidence's field 'names' holds something else than hex") from None


def _missing(entry: Any) -> Missing:
    if not isinstance(entry, dict):
        raise BadData("the evidence's field 'missing' holds something else than objects")
    kind, id_, why = (_text(entry, name) for name in ("kind", "id", "why"))
    if kind not in _KINDS or why not in _WHYS:
        raise BadData("the evidence's field 'missing' holds an entry of unknown form")
    return Missing(kind, id_, why)


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise BadData("the evidence's field 'missing' holds an entry of unknown form")
    return value
