"""Evidence: everything a verdict is made of, gathered first and immutable after (rules N1 to N4, L1).

Transactions were hashed to their txids and content blocks to their CIDs before they got here (N1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from doitrust.chain.names import NameOutput
from doitrust.chain.networks import Network
from doitrust.chain.tx import Transaction
from doitrust.content.cid import Cid, parse_cid
from doitrust.content.unixfs import MissingBlock, NoFile, TooLarge, read_file
from doitrust.errors import BadData
from doitrust.orgs.members import MAX_LIST_BYTES, MemberList, empty_list, read_members

# L1: larger writes are as if absent; prepared bytes keep a verdict from costing more than it is worth.
MAX_WRITE_BYTES = 20_000
MAX_WRITE_INPUTS = 16
MAX_WRITE_OUTPUTS = 32


class Tip(NamedTuple):
    """The block that was the chain's last when gathering began (N4): hash as displayed, Unix time.

    `work` is that of the whole chain: the hashes that all its blocks took on average (nChainWork in
    src/chain.h).
    """

    height: int
    hash: str
    time: int
    work: int | None = None


class Source(NamedTuple):
    """Where data came from; `own` is the user's own node (N2). `fault` says what it was found to do wrongly."""

    name: str
    own: bool
    fault: str | None = None


class Place(NamedTuple):
    """Where a transaction first occurs in the chain: block hash as displayed, height, index, Unix time.

    `below` is the work of the chain below this block; what the tip's exceeds it by would have to be done again.
    """

    block: str
    height: int
    position: int
    time: int | None
    below: int | None = None


class Located(NamedTuple):
    """A transaction and its place; None while it only waits in a mempool, or where nobody looked."""

    tx: Transaction
    place: Place | None


class Missing(NamedTuple):
    """Something that could not be had: `kind` (transaction, list, history, chain), which, and a reason code."""

    kind: str
    id: str
    why: str


class NameWrite(NamedTuple):
    """A write of a name: its transaction, its place (None in the mempool), the height to judge it at."""

    tx: Transaction
    place: Place | None
    height: int
    vout: int
    output: NameOutput


@dataclass(frozen=True)
class Evidence:
    """One consistent picture of a chain up to `tip`.

    `transactions` by txid, `content` blocks by CID. What is in neither was not had; `missing` tells what was asked
    for in vain, and why.
    `covers` holds the names whose whole history was asked for; None if nobody says.
    """

    network: Network
    tip: Tip
    transactions: Mapping[str, Located]
    content: Mapping[Cid, bytes]
    missing: tuple[Missing, ...]
    sources: tuple[Source, ...]
    covers: frozenset[bytes] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_writes", _index(self.transactions.values(), self.tip.height))
        object.__setattr__(self, "_lists", {})

    def writes(self, name: bytes) -> tuple[NameWrite, ...]:
        """The writes of `name`: confirmed ones in chain order, then those in the mempool."""
        index: Mapping[bytes, list[NameWrite]] = self.__dict__["_writes"]
        return tuple(index.get(name, ()))

    def transaction(self, txid: str) -> Transaction | None:
        """The transaction called `txid`, if it was had."""
        found = self.transactions.get(txid)
        return None if found is None else found.tx

    def gap(self, name: bytes) -> str | None:
        """The reason code for which the history of `name` is not whole, or None."""
        if self.covers is not None and name not in self.covers:
            return "transaction_missing"
        return self.lacks("history", name.hex())

    def member_list(self, value: bytes) -> MemberList | None:
        """The member list behind an organisation's record; None if its bytes can't be had (rule O5).

        A value behind which no list can be, and bytes that are no list, are an empty one. Read once.
        """
        read: dict[bytes, MemberList | None] = self.__dict__["_lists"]
        if value not in read:
            read[value] = self._read_list(value)
        return read[value]

    def _read_list(self, value: bytes) -> MemberList | None:
        cid = list_cid(value)
        if cid is None:
            return empty_list("the record's value is no CID of a list")
        try:
            return read_members(read_file(cid, self.content.get, MAX_LIST_BYTES))
        except MissingBlock:
            return None
        except (NoFile, TooLarge) as error:
            return empty_list(error.message)

    def lacks(self, kind: str, id_: str) -> str | None:
        """The reason code for which (`kind`, `id_`) could not be had, or None."""
        return next((m.why for m in self.missing if m.kind == kind and m.id == id_), None)

    @property
    def names(self) -> list[bytes]:
        """Every name written in this evidence, sorted."""
        return sorted(self.__dict__["_writes"])


@lru_cache(maxsize=1024)
def list_cid(value: bytes) -> Cid | None:
    """The CID that an organisation's record names, or None if no list can be behind it (rule O5)."""
    try:
        cid = parse_cid(value.decode("ascii"))
    except (BadData, UnicodeDecodeError):
        return None
    return cid if cid.is_file_kind else None


def within_limits(tx: Transaction) -> bool:
    """Rule L1: whether a write in `tx` exists for us at all."""
    return (
        len(tx.inputs) <= MAX_WRITE_INPUTS
        and len(tx.outputs) <= MAX_WRITE_OUTPUTS
        and tx.unpadded_size <= MAX_WRITE_BYTES
    )


def _index(entries: Iterable[Located], tip_height: int) -> dict[bytes, list[NameWrite]]:
    index: dict[bytes, list[NameWrite]] = {}
    for tx, place in entries:
        if place is not None and place.height > tip_height:
            continue  # N4: not in an ancestor of the tip
        writes = tx.writes
        if not writes or not within_limits(tx):
            continue
        height = tip_height + 1 if place is None else place.height
        for vout, output in writes:
            index.setdefault(output.name, []).append(NameWrite(tx, place, height, vout, output))
    for found in index.values():
        found.sort(key=_order)
    return index


def _order(write: NameWrite) -> tuple[int, int, str, int]:
    position = -1 if write.place is None else write.place.position
    return write.height, position, write.tx.txid, write.vout
