"""Content from everywhere: what is near first, then an IPFS node of one's own, then gateways."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from doitrust.adapters.blocks import LocalBlocks
from doitrust.content.cid import Cid
from doitrust.content.unixfs import read_file
from doitrust.errors import Unavailable
from doitrust.ports import ContentSource, Place
from doitrust.text import visible

#: Seconds that may be spent in one run on content that nobody has.
MOST_VAIN = 120.0
#: Seconds to tell the network where something is: a node does it by itself, too, a while later.
_ANNOUNCING = 10.0


class IpfsNode(ContentSource, Protocol):
    """An IPFS node of one's own, from which others can fetch what is put there. All methods raise `Unavailable`."""

    def has(self, cid: Cid) -> bool:
        """Whether it has the block itself, without asking anybody."""

    def put_blocks(self, root: Cid, blocks: Sequence[tuple[Cid, bytes]]) -> None:
        """Store finished blocks, `root` the last, and pin what hangs on it."""

    def provide(self, root: Cid, *, timeout: float | None = None) -> str | None:
        """Tell the network that it has `root`; returns why that failed, or None."""


class Contents:
    """A `ContentStore`: `near` is a folder, `node` an IPFS node, `others` are only read from.

    What was fetched once is kept near, so that it is never lost again. A place that can't be asked is told once, by
    `tell`, and passed over. `shared`: whether others can fetch what is near, as on the devnet.
    """

    def __init__(
        self,
        near: LocalBlocks,
        tell: Callable[[str], None],
        *,
        name: str = "this home",
        node: tuple[str, IpfsNode] | None = None,
        others: Sequence[Place] = (),
        shared: bool = False,
    ) -> None:
        self._near = near
        self._name = name
        self._node = node
        self._others = list(others)
        self._tell = tell
        self._told: set[str] = set()
        #: Seconds spent on what nobody had: an organisation may name thousands of lists that never were.
        self._vain = 0.0
        self.shared = shared

    def get(self, cid: Cid) -> bytes | None:
        """The block that `cid` names, or None if nobody has it now; raises `Unavailable` if the disk refuses."""
        block = self._near.get(cid)
        if block is not None:
            return block
        if self._vain > MOST_VAIN:
            self._say("all", "so much was looked for in vain that nobody is asked any more")
            return None
        began = time.monotonic()
        for name, ask in self._ways():
            try:
                block = ask(cid)
            except Unavailable as error:
                self._say(name, error.message)
                continue
            if block is not None and cid.matches(block):  # N1
                self._keep(cid, block)
                return block
        self._vain += time.monotonic() - began
        return None

    def _ways(self) -> Iterator[tuple[str, Callable[[Cid], bytes | None]]]:
        """Who is asked, in this order: a node that has to search for it takes longest to say that nobody has it."""
        others = [(place.name, place.source.get) for place in self._others]
        if self._node is None:
            yield from others
            return
        name, node = self._node
        yield name, lambda cid: node.get(cid) if node.has(cid) else None
        yield from others
        yield name, node.get

    def put_file(self, data: bytes) -> Cid:
        """Store a file near."""
        return self._near.put_file(data)

    def share(self, cid: Cid, max_size: int) -> None:
        """Hand the blocks of a file to the IPFS node, if there is one; raises `Unavailable`."""
        if self._node is None:
            return
        name, node = self._node
        blocks: dict[Cid, bytes] = {}

        def taken(wanted: Cid) -> bytes | None:
            block = self.get(wanted)
            if block is not None:
                blocks[wanted] = block
            return block

        read_file(cid, taken, max_size)
        node.put_blocks(cid, list(blocks.items())[::-1])  # the root was the first to be read
        why = node.provide(cid, timeout=_ANNOUNCING)
        if why is not None:
            self._say(name, f"it keeps {cid}, and told nobody yet: {why}")

    def places(self) -> list[Place]:
        """Where content is looked for, the nearest first."""
        node = [] if self._node is None else [Place(*self._node)]
        return [Place(self._name, self._near), *node, *self._others]

    def _keep(self, cid: Cid, block: bytes) -> None:
        try:
            self._near.put(block, cid.codec)
        except Unavailable as error:  # it was had, all the same
            self._say(self._name, error.message)

    def _say(self, name: str, what: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._tell(f"IPFS, {name}: {visible(what, 300)}")
