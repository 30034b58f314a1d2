"""Recorded chains: files as `doichain-regtest-1.json`, read strictly and within bounds.

Only `network`, `blocks`, `ipfs` and `organizations` are relied on; the rest of a file is ignored.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from doitrust.adapters.devnet.params import GENESIS
from doitrust.chain.block import MAX_BLOCK_SIZE
from doitrust.content.cid import RAW, Cid, parse_cid
from doitrust.content.unixfs import cid_of_file
from doitrust.errors import BadData
from doitrust.orgs.names import check_name
from doitrust.orgs.pins import check_txid
from doitrust.text import visible

#: Bytes of a file, and levels of its JSON (the outermost object is 1).
MAX_FILE_SIZE = 256 * 1024 * 1024
MAX_DEPTH = 32
_NETWORKS = ("regtest", "devnet")


class Content(NamedTuple):
    """A file of the recorded IPFS: its CID and its bytes, which make that CID."""

    cid: Cid
    data: bytes


class Organization(NamedTuple):
    """An organisation of the file: its name, the txid of its root, and whether the file accepts it."""

    name: str
    root: str
    accepted: bool


@dataclass(frozen=True)
class Recorded:
    """A recorded chain. `blocks` are raw, by height; that they connect is found out when they are loaded."""

    source: str
    blocks: tuple[bytes, ...]
    contents: tuple[Content, ...]
    organizations: tuple[Organization, ...]

    @property
    def digest(self) -> str:
        """What tells one chain from another: sha256 over the blocks, hex."""
        return sha256(b"".join(self.blocks)).hexdigest()


def load(path: Path) -> Recorded:
    """Read the file at `path`; raises `BadData` if it is missing or anything but a recorded chain."""
    shown = visible(path.name)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise BadData(f"can't read the recorded chain {shown}: {error.strerror or error}") from None
    return parse(data, shown)


def parse(data: bytes, source: str) -> Recorded:
    """Read a recorded chain from bytes; `source` names it in errors. Raises `BadData`."""
    try:
        return _recorded(_read_json(data), source)
    except BadData as error:
        raise BadData(
            f"{source} is not a recorded chain: {error.message}",
            hint=error.hint or "a file such as vectors/doichain-regtest-1.json is wanted",
        ) from None


def _read_json(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_FILE_SIZE:
        raise BadData(f"it has more than {MAX_FILE_SIZE} bytes")
    try:
        value = json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadData(f"it is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise BadData("its JSON is nested too deeply") from None
    except ValueError as error:
        raise BadData(f"it is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadData("its JSON is not an object")
    _check_depth(value)
    return value


def _check_depth(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        insides = (outer.values() if isinstance(outer, dict) else outer for outer in level)
        level = [inner for inside in insides for inner in inside if isinstance(inner, dict | list)]
        if not level:
            return
    raise BadData(f"its JSON is nested deeper than {MAX_DEPTH}")


def _recorded(value: dict[str, Any], source: str) -> Recorded:
    network = value.get("network")
    if network not in _NETWORKS:
        shown = visible(network, 40) if isinstance(network, str) else type(network).__name__
        raise BadData(f"its network is {shown!r}, only {' and '.join(_NETWORKS)} can be loaded")
    return Recorded(
        source,
        _blocks(value.get("blocks")),
        tuple(_content(*item) for item in _object(value, "ipfs").items()),
        _organizations(_object(value, "organizations")),
    )


def _object(value: dict[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key, {})
    if not isinstance(inner, dict):
        raise BadData(f"its {key!r} is not an object")
    return inner


def _blocks(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not value:
        raise BadData("it has no list of blocks")
    blocks = tuple(_block(height, text) for height, text in enumerate(value))
    if blocks[0] != GENESIS:
        raise BadData("its first block is not regtest's genesis block")
    return blocks


def _block(height: int, text: Any) -> bytes:
    if not isinstance(text, str) or len(text) > 2 * MAX_BLOCK_SIZE:
        raise BadData(f"block {height} is not a text of at most {2 * MAX_BLOCK_SIZE} hex digits")
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise BadData(f"block {height} is not hex") from None
    if 2 * len(raw) != len(text):  # fromhex skips spaces
        raise BadData(f"block {height} is not hex")
    return raw


def _content(cid_text: str, text: Any) -> Content:
    cid = parse_cid(cid_text)
    shown = visible(cid_text)
    if not isinstance(text, str):
        raise BadData(f"the content of {shown} is not a text")
    data = _encoded(text, shown)
    if not cid.is_file_kind:
        raise BadData(f"{shown} is not the CID of a file")
    # A raw block may be larger than those that we write; everything else must be a file as we write it.
    if not (cid.codec == RAW and cid.matches(data)) and cid_of_file(data) != cid:
        raise BadData(f"the content of {shown} makes another CID")
    return Content(cid, data)


def _encoded(text: str, shown: str) -> bytes:
    """Return the text's UTF-8; bytes that were none stand in it as the surrogates that Python reads them as."""
    for errors in ("strict", "surrogateescape"):
        try:
            return text.encode("utf-8", errors)
        except UnicodeEncodeError:
            continue
    raise BadData(f"the content of {shown} can't be written as bytes")


def _organizations(value: dict[str, Any]) -> tuple[Organization, ...]:
    found = []
    for name, entry in value.items():
        shown = visible(name, 80)
        if not isinstance(entry, dict) or not isinstance(entry.get("accepted", False), bool):
            raise BadData(f"the organisation {shown!r} is not an object with `root` and `accepted`")
        accepted, root = entry.get("accepted", False), entry.get("root")
        try:
            if not isinstance(root, str):
                raise BadData("its root is not a text")
            found.append(Organization(check_name(name), check_txid(root), accepted))
        except BadData as error:
            if accepted:
                raise BadData(f"the accepted organisation {shown!r}: {error.message}") from None
    return tuple(found)
