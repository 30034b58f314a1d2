"""Content from everywhere: what is near first, then an IPFS node of one's own, then gateways."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from doitrust.adapters.blocks import LocalBlocks
from doitrust.content.cid import Cid
from doitrust.content.unixfs import read_file
from doitrust.errors import Unavailable
from doitrust.ports import ContentSource, Place
from doitrust.text import visible


class Sharer(ContentSource, Protocol):
    """A place that others can fetch from what is put there."""

    def put_blocks(self, root: Cid, blocks: Mapping[Cid, bytes]) -> None:
        """Store finished blocks, and pin what hangs on `root`; raises `Unavailable`."""


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
        node: tuple[str, Sharer] | None = None,
        others: Sequence[Place] = (),
        shared: bool = False,
    ) -> None:
        self._near = near
        self._name = name
        self._node = node
        self._others = [*([] if node is None else [Place(*node)]), *others]
        self._tell = tell
        self._told: set[str] = set()
        self.shared = shared

    def get(self, cid: Cid) -> bytes | None:
        """The block that `cid` names, or None if nobody has it now; raises `Unavailable` if the disk refuses."""
        block = self._near.get(cid)
        if block is not None:
            return block
        for place in self._others:
            try:
                block = place.source.get(cid)
            except Unavailable as error:
                self._say(place.name, error.message)
                continue
            if block is not None and cid.matches(block):  # N1
                self._keep(cid, block)
                return block
        return None

    def put_file(self, data: bytes) -> Cid:
        """Store a file near."""
        return self._near.put_file(data)

    def share(self, cid: Cid, max_size: int) -> None:
        """Hand the blocks of a file to the IPFS node, if there is one; raises `Unavailable`."""
        if self._node is None:
            return
        blocks: dict[Cid, bytes] = {}

        def taken(wanted: Cid) -> bytes | None:
            block = self.get(wanted)
            if block is not None:
                blocks[wanted] = block
            return block

        read_file(cid, taken, max_size)
        self._node[1].put_blocks(cid, blocks)

    def places(self) -> list[Place]:
        """Where content is looked for, the nearest first."""
        return [Place(self._name, self._near), *self._others]

    def _keep(self, cid: Cid, block: bytes) -> None:
        try:
            self._near.put(block, cid.codec)
        except Unavailable as error:  # it was had, all the same
            self._say(self._name, error.message)

    def _say(self, name: str, what: str) -> None:
        if name not in self._told:
            self._told.add(name)
            self._tell(f"IPFS, {name}: {visible(what, 300)}")
