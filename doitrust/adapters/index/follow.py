"""Walking a chain into the index, and following its tip.

Every block's hash is that of its header, and its header names the block before. Only blocks that hold the bytes of
one of our names are looked into, after the header's merkle root was found to commit to their transactions.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from doitrust.adapters.index.tables import Block, Entry, Tables, Write
from doitrust.chain.block import HEADER_SIZE, Header
from doitrust.chain.names import read_as_node
from doitrust.chain.scan import Span, scan_block
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Unavailable
from doitrust.meters.number import RECORD_PREFIX as METERS
from doitrust.meters.record import Certificate, read_record
from doitrust.orgs.names import RECORD_PREFIX as ORGANISATIONS
from doitrust.ports import BlockSource, Progress
from doitrust.trust.evidence import Tip, within_limits

#: How often it begins again when the chain changes while it is read.
_ATTEMPTS = 5
#: Blocks and bytes of transactions in one change of the file.
_WINDOW, _WINDOW_BYTES = 500, 8 * 1024 * 1024


def catch_up(tables: Tables, source: BlockSource, progress: Progress | None) -> Tip:
    """Bring the index to the source's tip, and return that.

    Raises `Unavailable` if the source doesn't answer, or not as a chain, and `Damaged` for the file.
    """
    for _ in range(_ATTEMPTS):
        target = source.tip()
        if _reach(tables, source, target, progress):
            return target
    raise Unavailable(
        f"the blocks of {source.name} don't follow one another, or keep changing",
        hint="try again, or ask another source",
        code="lying_source",
    )


def _reach(tables: Tables, source: BlockSource, target: Tip, progress: Progress | None) -> bool:
    """Read up to `target`; False if the chain, or the file, changed meanwhile."""
    top = tables.top()
    if top is not None and top.hash == target.hash:
        return True
    if top is not None and (top.height > target.height or source.hash_at(top.height) != top.hash):
        tables.cut(_fork(tables, source, min(top.height, target.height)))
        top = tables.top()
    start = 0 if top is None else top.height + 1
    coming = source.blocks(start, target.height)
    while True:
        window = _window(coming, top, source)
        if window.blocks and not tables.append(top, window.blocks, window.entries):
            return False  # another process was faster
        top = window.blocks[-1] if window.blocks else top
        if progress is not None and top is not None:
            progress(top.height - start + 1, target.height - start + 1)
        if window.ended:
            return top is not None and top.hash == target.hash


def _fork(tables: Tables, source: BlockSource, most: int) -> int:
    """The height up to which the index and the source have the same blocks, -1 if they have none in common."""
    low, high = -1, most
    while low < high:
        middle = (low + high + 1) // 2
        ours = tables.block(middle)
        if ours is not None and source.hash_at(middle) == ours.hash:
            low = middle
        else:
            high = middle - 1
    return low


class _Window(NamedTuple):
    """Some blocks that follow one another; `ended` if there are no more, or the next doesn't."""

    blocks: list[Block]
    entries: list[Entry]
    ended: bool


def _window(coming: Iterator[tuple[str, bytes]], top: Block | None, source: BlockSource) -> _Window:
    window = _Window([], [], False)
    held = 0
    for block_hash, raw in islice(coming, _WINDOW):
        header = _header(block_hash, raw, source)
        height = 0 if top is None else top.height + 1
        if header.prev != (bytes(32).hex() if top is None else top.hash):
            return window._replace(ended=True)
        if height == 0 and block_hash != source.network.genesis:
            raise _lies(source, "its first block is another network's")
        top = Block(height, block_hash, header.time, header.bits, 0 if top is None else top.tip.work or 0)
        window.blocks.append(top)
        if METERS in raw or ORGANISATIONS in raw:
            found = _entries(raw, height, source)
            window.entries.extend(found)
            held += sum(len(entry.raw) for entry in found)
            if held > _WINDOW_BYTES:
                return window
    return window._replace(ended=len(window.blocks) < _WINDOW)


def _header(block_hash: str, raw: bytes, source: BlockSource) -> Header:
    try:
        header = Header.parse(raw[:HEADER_SIZE])
    except BadData:
        raise _lies(source, f"what it gives for block {block_hash} is none") from None
    if header.hash != block_hash:
        raise _lies(source, f"it gives another block for {block_hash}")
    return header


def _entries(raw: bytes, height: int, source: BlockSource) -> list[Entry]:
    """The transactions of a block that write names of ours."""
    try:
        spans = scan_block(raw)
        found = []
        for position, span in _suspects(raw, spans):
            tx = Transaction.parse(raw[span.start : span.end])
            writes = writes_of(tx)
            if writes:
                found.append(Entry(tx.txid, height, position, tx.raw, writes))
    except BadData as error:
        raise _lies(source, f"its block {height} can't be read: {error.message}") from None
    return found


def _suspects(raw: bytes, spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """The transactions that hold the bytes of one of our names, with their positions."""
    for position, span in enumerate(spans):
        if raw.find(METERS, span.start, span.end) >= 0 or raw.find(ORGANISATIONS, span.start, span.end) >= 0:
            yield position, span


def writes_of(tx: Transaction) -> list[Write]:
    """What a transaction writes under names of ours: all that a node lists, and what the canonical ones say."""
    found: dict[bytes, Write] = {}
    for output in tx.outputs:
        read = read_as_node(output.script)
        if read is not None and read.written is not None:
            found[read.written[0]] = Write(read.written[0], None, None)
    if within_limits(tx):
        found |= {write.output.name: _said(write.output.name, write.output.value) for write in tx.writes}
    return [write for name, write in found.items() if name.startswith((METERS, ORGANISATIONS))]


def _said(name: bytes, value: bytes) -> Write:
    """A canonical write: which organisation a meter's record names, and for whom it certifies."""
    if name.startswith(METERS):
        try:
            record = read_record(value)
        except BadData:
            return Write(name, None, None)
        pair = record.node + record.client if isinstance(record, Certificate) else None
        return Write(name, record.org, pair)
    return Write(name, None, None)


def _lies(source: BlockSource, what: str) -> Unavailable:
    return Unavailable(
        f"{source.name} gives wrong answers: {what}", hint="ask another source", code="lying_source"
    )
