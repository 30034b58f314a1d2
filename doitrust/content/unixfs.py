"""Files as blocks: what doitrust writes, and a strict reader of what any IPFS node may have written.

Specs: UnixFS (specs.ipfs.tech/unixfs) inside dag-pb (ipld.io/specs/codecs/dag-pb/spec), both protobuf.

**Writing.** Up to 256 KiB a file is one raw block. Beyond, its raw chunks of 256 KiB are the leaves of a
balanced tree with 174 links a node. The same bytes always get the same CID, whatever Kubo's version.

**Reading.** `read_file` has four ends, and the last two are final: they follow from blocks that were checked
against their CIDs, so everyone who has these blocks decides the same, and nobody needs the rest.

* bytes: the whole file.
* `MissingBlock`: a block can't be had now, so nothing is known.
* `NoFile`: the blocks are genuine, and they are no file.
* `TooLarge`: the file says itself that it is larger than allowed. If it lies, it is `NoFile`: never a file.
"""

import io
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from doitrust.content.cid import DAG_PB, RAW, Cid, cid_of, parse_binary_cid, varint
from doitrust.errors import BadData, Unavailable

CHUNK_SIZE = 256 * 1024
"""Bytes in a leaf (Kubo's `size-262144`), and the largest file that is one raw block."""
LINKS_PER_NODE = 174
"""Links in a full node that doitrust writes (Kubo's `--max-file-links` of the profile unixfs-v0-2015)."""

# The limits below decide what is a file, so they belong to the format, and they count the file's own
# structure, never what a cache or a network did.
MAX_BLOCK_SIZE = 2 * 1024 * 1024
"""Bytes in a block: IPFS nodes exchange none that are larger (bitswap spec, "Block Sizes")."""
MAX_DEPTH = 8
"""Levels of links below the root. Even two links a node reach 64 MiB with it, 174 reach any file there is;
deeper trees exist only to keep a reader busy."""
MAX_LINKS = 16_384
"""Links followed in one file, a block that is linked twice counting twice: 4 MiB in chunks of 256 bytes.
Without it, eight levels of nodes that declare no bytes at all would mean 174^8 visits."""
MAX_OVERHEAD = 128 * MAX_LINKS
"""Bytes of blocks that are not bytes of the file; a link with its size takes about 50."""

# Protobuf tags: field number << 3 | wire type (0 varint, 2 length-delimited).
_NODE_DATA, _NODE_LINK = 0x0A, 0x12
_LINK_HASH, _LINK_NAME, _LINK_TSIZE = 0x0A, 0x12, 0x18
_FILE_TYPE, _FILE_DATA, _FILE_SIZE, _FILE_BLOCK_SIZE = 0x08, 0x12, 0x18, 0x20
_LAST_KNOWN_FIELD = 4
# hashType, fanout, mode and mtime are the fields 5 to 8 of UnixFS; room for as many more to come.
_MAX_IGNORED_FIELDS = 8
# UnixFS DataType
_TYPE_RAW, _TYPE_FILE = 0, 2
_OTHER_TYPES = {1: "a directory", 3: "metadata", 4: "a symlink", 5: "a shard of a directory (HAMT)"}


class MissingBlock(Unavailable):
    """The block `cid` can't be had now, or what was delivered for it were other bytes."""

    code = "missing_block"

    def __init__(self, cid: Cid) -> None:
        super().__init__(
            f"the block {cid} can't be had", hint="try again when an IPFS node that has it is online"
        )
        self.cid = cid


class NoFile(BadData):
    """The blocks are genuine but make no file; `cid` is the block that shows it, `why` the reason."""

    code = "no_file"

    def __init__(self, cid: Cid, why: str) -> None:
        super().__init__(f"not a file: {why} (block {cid})")
        self.cid = cid
        self.why = why


class TooLarge(BadData):
    """The file `cid` declares `size` bytes, more than the caller's limit."""

    code = "too_large"

    def __init__(self, cid: Cid, size: int, max_size: int) -> None:
        super().__init__(f"the file {cid} has {size} bytes, allowed are {max_size}")
        self.cid = cid
        self.size = size


def cid_of_file(source: bytes | BinaryIO) -> Cid:
    """Return the CID that `source` (bytes, or a binary stream read to its end) has as a file."""
    root, _ = deque(blocks_of_file(source), maxlen=1).pop()
    return root


def blocks_of_file(source: bytes | BinaryIO) -> Iterator[tuple[Cid, bytes]]:
    """Yield the finished blocks of a file with their CIDs, each node after what it links to, the root last.

    `source` is the file's bytes or a binary stream, which is read to its end; one chunk and the links of
    unfinished nodes are all that is held. A block may come more than once. Errors of the stream are its own.
    """
    chunks = _chunks(io.BytesIO(source) if isinstance(source, bytes) else source)
    first = next(chunks, b"")
    second = next(chunks, None)
    if second is None:
        yield cid_of(first, RAW), first
        return
    levels: list[list[_Child]] = [[]]
    for chunk in chain((first, second), chunks):
        child = _Child(cid_of(chunk, RAW), len(chunk), len(chunk))
        yield child.cid, chunk
        yield from _add(levels, child)
    # What is left on each level becomes a node of the next, up to the level where one node stands alone.
    height = 0
    while height + 1 < len(levels) or len(levels[height]) > 1:
        if levels[height]:
            child, block = _node(levels[height])
            yield child.cid, block
            if height + 1 == len(levels):
                levels.append([])
            levels[height + 1].append(child)
        height += 1


def read_file(root: Cid, get_block: Callable[[Cid], bytes | None], max_size: int) -> bytes:
    """Return the bytes of the file `root`, at most `max_size` of them.

    `get_block(cid)` returns a block's bytes or None; it is asked once for each block that is needed, and
    what it returns is checked against the CID before anything looks inside. What it raises passes through.

    Raises `TooLarge`, `NoFile` or `MissingBlock`, as the module says. Work is bounded by `MAX_LINKS`,
    `max_size` and `MAX_OVERHEAD`, and nothing here recurses, whatever the blocks hold.
    """
    nodes: dict[Cid, _Node] = {}
    parts: list[bytes] = []
    links = overhead = 0
    to_visit: list[tuple[Cid, int | None, int]] = [(root, None, 0)]
    while to_visit:
        cid, declared, depth = to_visit.pop()
        if cid not in nodes:
            nodes[cid] = _load(cid, get_block)
        node = nodes[cid]
        if declared is None:
            if node.size > max_size:
                raise TooLarge(cid, node.size, max_size)
        elif node.size != declared:
            # With this, and with each node's size the sum of its parts, the root's size can't be a lie.
            raise NoFile(cid, f"it has {node.size} bytes where {declared} were declared")
        links += len(node.links)
        overhead += node.overhead
        if links > MAX_LINKS or overhead > MAX_OVERHEAD:
            raise NoFile(cid, f"more than {MAX_LINKS} links, or {MAX_OVERHEAD} bytes that are not the file's")
        if node.links and depth == MAX_DEPTH:
            raise NoFile(cid, f"more than {MAX_DEPTH} levels of links")
        parts.append(node.data)
        to_visit.extend((link, size, depth + 1) for link, size in reversed(node.links))
    return b"".join(parts)


# ---- writing


class _Child(NamedTuple):
    """A finished block as its parent sees it: bytes of the file under it, bytes of all its blocks."""

    cid: Cid
    size: int
    tree_size: int


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield chunks of `CHUNK_SIZE`, the last one shorter, however little the stream gives at a time."""
    while chunk := stream.read(CHUNK_SIZE):
        while len(chunk) < CHUNK_SIZE and (more := stream.read(CHUNK_SIZE - len(chunk))):
            chunk += more
        yield chunk


def _add(levels: list[list[_Child]], child: _Child) -> Iterator[tuple[Cid, bytes]]:
    """Put `child` on the lowest level; yield each node that becomes full, moving it up a level."""
    height = 0
    levels[0].append(child)
    while len(levels[height]) == LINKS_PER_NODE:
        child, block = _node(levels[height])
        yield child.cid, block
        levels[height] = []
        height += 1
        if height == len(levels):
            levels.append([])
        levels[height].append(child)


def _node(children: list[_Child]) -> tuple[_Child, bytes]:
    """Write the dag-pb block of a UnixFS file that consists of `children`, links first as the spec wants."""
    size = sum(child.size for child in children)
    links = b"".join(_field(_NODE_LINK, _link(child)) for child in children)
    file = _number(_FILE_TYPE, _TYPE_FILE) + _number(_FILE_SIZE, size)
    file += b"".join(_number(_FILE_BLOCK_SIZE, child.size) for child in children)
    block = links + _field(_NODE_DATA, file)
    tree_size = len(block) + sum(child.tree_size for child in children)
    return _Child(cid_of(block, DAG_PB), size, tree_size), block


def _link(child: _Child) -> bytes:
    """Write a PBLink; Kubo gives links inside files an empty name, so it belongs to the CID."""
    hash_and_name = _field(_LINK_HASH, child.cid.binary) + _field(_LINK_NAME, b"")
    return hash_and_name + _number(_LINK_TSIZE, child.tree_size)


def _field(tag: int, payload: bytes) -> bytes:
    return varint(tag) + varint(len(payload)) + payload


def _number(tag: int, number: int) -> bytes:
    return varint(tag) + varint(number)


# ---- reading


class _Node(NamedTuple):
    """A checked block: `data` comes before what the `links` (CID, bytes of the file under it) hold."""

    size: int
    data: bytes
    links: tuple[tuple[Cid, int], ...]
    overhead: int


class _Malformed(Exception):
    """The reason why a block is no part of a file; `_load` adds which block."""


def _load(cid: Cid, get_block: Callable[[Cid], bytes | None]) -> _Node:
    if not cid.is_file_kind:
        raise NoFile(cid, f"its codec is 0x{cid.codec:x}, neither raw nor dag-pb")
    block = get_block(cid)
    if block is None or not cid.matches(block):
        raise MissingBlock(cid)
    if len(block) > MAX_BLOCK_SIZE:
        raise NoFile(cid, f"a block of more than {MAX_BLOCK_SIZE} bytes")
    if cid.codec == RAW:
        return _Node(len(block), block, (), 0)
    try:
        return _parse_node(block)
    except _Malformed as error:
        raise NoFile(cid, str(error)) from None


def _parse_node(block: bytes) -> _Node:
    """Parse a dag-pb block (message PBNode): its links, then its data, or the other way round."""
    hashes: list[Cid] = []
    file: bytes | None = None
    links_before = 0
    for tag, _, payload in _fields(block):
        if tag == _NODE_LINK and links_before == 0:
            hashes.append(_parse_link(payload))
            if len(hashes) > MAX_LINKS:
                raise _Malformed(f"more than {MAX_LINKS} links")
        elif tag == _NODE_DATA and file is None:
            file, links_before = payload, len(hashes)
        else:
            raise _Malformed("not a dag-pb node: a field that is unknown, doubled or out of place")
    if file is None:
        raise _Malformed("a dag-pb node without UnixFS data")
    size, data, sizes = _parse_file(file, bool(hashes))
    if len(sizes) != len(hashes):
        raise _Malformed(f"{len(hashes)} links and {len(sizes)} sizes")
    return _Node(size, data, tuple(zip(hashes, sizes, strict=True)), len(block) - len(data))


def _parse_link(link: bytes) -> Cid:
    """Parse a PBLink; its fields come in the order of their numbers, each at most once (dag-pb spec)."""
    last, cid = 0, None
    for tag, _, payload in _fields(link):
        if tag <= last or tag not in (_LINK_HASH, _LINK_NAME, _LINK_TSIZE):
            raise _Malformed("not a dag-pb link: a field that is unknown, doubled or out of place")
        last = tag
        if tag == _LINK_HASH:
            try:
                cid = parse_binary_cid(payload)
            except BadData:
                raise _Malformed("a link whose CID is not of sha2-256") from None
    if cid is None:
        raise _Malformed("a link without a CID")
    if not cid.is_file_kind:
        raise _Malformed(f"a link to codec 0x{cid.codec:x}, neither raw nor dag-pb")
    return cid


def _parse_file(message: bytes, has_links: bool) -> tuple[int, bytes, list[int]]:
    """Parse a file's UnixFS message Data: its size, the bytes held inline, the sizes behind the links."""
    known: dict[int, tuple[int, bytes]] = {}
    sizes: list[int] = []
    ignored = 0
    for tag, number, payload in _fields(message):
        if tag == _FILE_BLOCK_SIZE:
            sizes.append(number)
            if len(sizes) > MAX_LINKS:
                raise _Malformed(f"more than {MAX_LINKS} sizes")
        elif tag in (_FILE_TYPE, _FILE_DATA, _FILE_SIZE) and tag not in known:
            known[tag] = (number, payload)
        elif tag >> 3 > _LAST_KNOWN_FIELD and ignored < _MAX_IGNORED_FIELDS:
            ignored += 1
        else:
            raise _Malformed("not UnixFS: a field that is doubled, of the wrong type, or one too many")
    if _FILE_TYPE not in known:
        raise _Malformed("not UnixFS: no type")
    kind = known[_FILE_TYPE][0]
    if kind not in (_TYPE_RAW, _TYPE_FILE):
        raise _Malformed(_OTHER_TYPES.get(kind, f"UnixFS type {kind}"))
    if kind == _TYPE_RAW and has_links:
        raise _Malformed("UnixFS type Raw with links")
    data = known.get(_FILE_DATA, (0, b""))[1]
    size = len(data) + sum(sizes)
    if known.get(_FILE_SIZE, (size, b""))[0] != size:
        raise _Malformed(f"{known[_FILE_SIZE][0]} bytes declared, its parts have {size}")
    return size, data, sizes


def _fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield a protobuf message's fields as (tag, number, payload): number for varints, payload for the rest.

    Raises `_Malformed` unless the message consists of whole fields to its last byte.
    """
    at = 0
    while at < len(message):
        tag, at = _varint_at(message, at)
        number, length = 0, 0
        match tag & 7:
            case 0:
                number, at = _varint_at(message, at)
            case 1:
                length = 8
            case 2:
                length, at = _varint_at(message, at)
            case 5:
                length = 4
            case _:
                raise _Malformed("not protobuf: a wire type that is none")
        # Tags are 32-bit (protobuf: field numbers from 1 to 2^29 - 1).
        if not 8 <= tag < 2**32 or length > len(message) - at:
            raise _Malformed("not protobuf: a field cut short or without a number")
        yield tag, number, message[at : at + length]
        at += length


def _varint_at(message: bytes, at: int) -> tuple[int, int]:
    """Read the varint at `at`, of up to 64 bits and without padding; return it and where it ends."""
    number = 0
    for place, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if number >= 2**64 or (place and not byte):
                break
            return number, at + place + 1
    raise _Malformed("not protobuf: a number that is cut short, too long or padded")
