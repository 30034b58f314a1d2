"""What the outside must offer, and the limits it is held to. Adapters implement these; workflows use them."""

from collections.abc import Callable, Iterator
from typing import Protocol

from doitrust.chain.networks import Network
from doitrust.content.cid import Cid
from doitrust.trust.evidence import Located, Tip

#: Tells how far a long piece of work is: (done, of how many).
Progress = Callable[[int, int], None]


class ChainView(Protocol):
    """A view of one chain, from which evidence is gathered. Every call sees the chain as it is then.

    All methods raise `Unavailable` if the source can't answer. A view hands out only transactions that hash to
    their txid (N1) and places that come from blocks (N2).
    """

    @property
    def name(self) -> str:
        """What reports call this source."""

    @property
    def own(self) -> bool:
        """Whether it is the user's own node (N2)."""

    @property
    def network(self) -> Network:
        """The network whose chain this is."""

    def tip(self) -> Tip:
        """The last block."""

    def contains(self, block_hash: str) -> bool:
        """Whether the block is in the chain now (N4)."""

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that write `name` (any form the node lists, each once), or None if there are more than `limit`."""

    def transaction(self, txid: str) -> Located | None:
        """The transaction at its first occurrence in the chain, or from the mempool without a place, or None."""

    def mempool(self, name: bytes) -> list[str]:
        """Txids of waiting transactions that write `name`."""

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """Every name in the chain that starts with `prefix`, sorted, each once."""


class Broadcaster(Protocol):
    """Where signed transactions go."""

    def broadcast(self, raw: bytes) -> str:
        """Hand a transaction to the network and return its txid; raises `Refused` with the node's reason."""


class ContentStore(Protocol):
    """Blocks of content by CID, verified by whoever implements this (N1)."""

    def get(self, cid: Cid) -> bytes | None:
        """The block that `cid` names, or None if it can't be had."""

    def put_file(self, data: bytes) -> Cid:
        """Store a file as finished blocks and return its CID."""
