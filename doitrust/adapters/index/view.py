"""The index as a `ChainView`: a chain's `bp/` records as of one tip, and the node for all the rest."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TypeVar

from doitrust.adapters.index.follow import catch_up
from doitrust.adapters.index.tables import Damaged, Tables
from doitrust.adapters.sources import Sources
from doitrust.chain.networks import Network
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, Unavailable
from doitrust.meters.number import RECORD_PREFIX, number_of_record
from doitrust.ports import BlockSource, MeterIndex, Progress
from doitrust.trust.evidence import Located, Source, Tip

T = TypeVar("T")

#: If the source still has one of so many last blocks, it has all below.
_LAST = 6


#: Blocks remembered at a time.
_MOST_HANDED = 10_000
#: A transaction with more bytes is fetched each time anew.
_MOST_KEPT = 20_000


class Moment(NamedTuple):
    """What a view is fixed to: the tip, and what waited then."""

    tip: Tip
    pending: Mapping[bytes, Sequence[str]]


class IndexedView:
    """The chain that `source` shows, by the index in the file `path` (`MeterIndex`).

    `tip` reads what waits, lets the index catch up, and fixes the moment that all other methods see. `tell` is told
    if the index has to be made anew.
    """

    def __init__(
        self,
        source: BlockSource,
        path: Path,
        *,
        progress: Progress | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._tables = Tables(path, source.name)
        self._progress = progress
        self._tell = tell
        self._tip: Tip | None = None
        self._pending: Mapping[bytes, Sequence[str]] = {}
        self._stays = False
        #: Blocks below the last ones that were just told of: they stand as long as the tip does.
        self._handed: set[str] = set()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._tables.close()

    @property
    def moment(self) -> Moment:
        """What all methods see now: another process's view can be fixed to it."""
        return Moment(self._fixed, self._pending)

    def stay_at(self, moment: Moment) -> None:
        """See this moment, which the index has reached, for good."""
        self._tip, self._pending = moment
        self._stays = True

    # ---- ChainView

    @property
    def name(self) -> str:
        """The source's."""
        return self._source.name

    @property
    def own(self) -> bool:
        """The source's (N2): its blocks say what stands where."""
        return self._source.own

    @property
    def network(self) -> Network:
        """The source's."""
        return self._source.network

    def sources(self) -> tuple[Source, ...]:
        """The source: the index says nothing that it didn't."""
        return self._source.sources()

    def tip(self) -> Tip:
        """The source's last block, which the index has reached."""
        if self._stays:
            return self._fixed
        self._handed.clear()
        # The mempool first: what is mined between the two is then in one of them.
        self._pending = dict(self._source.pending()) if self._source.own else {}
        try:
            self._tip = catch_up(self._tables, self._source, self._progress)
        except Damaged as error:
            self._tell(f"The index was damaged ({error}) and is made anew.")
            self._tables.discard()
            self._tip = self._whole(lambda: catch_up(self._tables, self._source, self._progress))
        return self._tip

    def standing(self, blocks: Iterable[str]) -> set[str]:
        """Those of the blocks that are in the chain now: at or below the tip. Of the last ones the source is asked."""
        found, last = set(), []
        for block in blocks:
            if block in self._handed:
                found.add(block)
                continue
            height = self._whole(lambda block=block: self._tables.height_of(block))  # type: ignore[misc]
            if height is None or height > self._fixed.height:
                continue
            if height <= self._fixed.height - _LAST:
                found.add(block)
            else:
                last.append(block)
        return found | self._source.standing(last) if last else found

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that write `name`, in chain order, each once, or None if there are more than `limit`."""
        found = self._whole(lambda: self._tables.history(name, limit + 1, self._fixed.height))
        return found if len(found) <= limit else None

    def transaction(self, txid: str) -> Located | None:
        """One transaction."""
        return self.transactions([txid])[txid]

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        """Several: those that write our names with their places, any other one, from the source, without."""
        found: dict[str, Located | None] = dict.fromkeys(txids)
        found |= self._whole(lambda: self._had(list(found)))
        others = [txid for txid, located in found.items() if located is None]
        if others:
            fetched = self._source.raw_transactions(others)
            found |= {txid: None if tx is None else Located(tx, None) for txid, tx in fetched.items()}
            self._whole(lambda: self._tables.keep_spent(self._worth_keeping(fetched)))
        return found

    def mempool(self, name: bytes) -> list[str]:
        """Txids of transactions that waited when the tip was read and write `name`."""
        return list(self._pending.get(name, ()))

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """Every name in the index that starts with `prefix`, sorted, each once."""
        if self.history(prefix, 0) is None:
            yield prefix
        yield from self._each(self._tables.names(prefix, self._fixed.height))

    # ---- MeterIndex

    def meters(self, organisation: str | None = None) -> Iterator[str]:
        """Every meter with a record, or with one that names `organisation`; sorted."""
        height = self._fixed.height
        tables = self._tables
        names = (
            tables.names(RECORD_PREFIX, height)
            if organisation is None
            else tables.naming(organisation, height)
        )
        return _numbers(self._each(names))

    def count(self, organisation: str | None = None) -> int:
        """How many of them there are at most."""
        return self._whole(lambda: self._tables.count(RECORD_PREFIX, organisation, self._fixed.height))

    def replaced(self, organisations: Sequence[str]) -> Iterator[str]:
        """The meters with certificates in these organisations' names for several pairs of node and client."""
        if not organisations:
            return iter(())
        found = self._tables.replaced(RECORD_PREFIX, organisations, self._fixed.height)
        return _numbers(self._each(found))

    def written(self, above: int) -> set[bytes]:
        """The names written above a height."""
        return self._whole(lambda: self._tables.written(above, self._fixed.height))

    def waiting(self) -> set[tuple[bytes, str]]:
        """(name, txid) of what waiting transactions write."""
        return {(name, txid) for name, txids in self._pending.items() for txid in txids}

    # ---- inside

    @property
    def _fixed(self) -> Tip:
        if self._tip is None:
            raise AssertionError("the tip is read first (N4)")
        return self._tip

    def _had(self, txids: Sequence[str]) -> dict[str, Located]:
        """What the index has of these transactions."""
        rows = self._tables.located(txids, self._fixed.height)
        for _, place in rows.values():
            if place.height <= self._fixed.height - _LAST:
                if len(self._handed) >= _MOST_HANDED:
                    self._handed.clear()
                self._handed.add(place.block)
        kept = self._tables.spent([txid for txid in txids if txid not in rows])
        found = {txid: Located(self._parsed(txid, raw), place) for txid, (raw, place) in rows.items()}
        return found | {txid: Located(self._parsed(txid, raw), None) for txid, raw in kept.items()}

    def _worth_keeping(self, transactions: Mapping[str, Transaction | None]) -> Iterator[tuple[str, bytes]]:
        """What is spent, and small. What waits to write is not: its witness, which no hash holds, will count."""
        waiting = {txid for txids in self._pending.values() for txid in txids}
        for txid, tx in transactions.items():
            if tx is not None and len(tx.raw) <= _MOST_KEPT and txid not in waiting:
                yield txid, tx.raw

    def _parsed(self, txid: str, raw: bytes) -> Transaction:
        try:
            tx = Transaction.parse(raw)
        except BadData:
            tx = None
        if tx is None or tx.txid != txid:  # N1
            raise self._spoilt()
        return tx

    def _whole(self, ask: Callable[[], T]) -> T:
        """Ask the file; one that turns out to be damaged is removed."""
        try:
            return ask()
        except Damaged:
            raise self._spoilt() from None

    def _each(self, rows: Iterator[bytes]) -> Iterator[bytes]:
        while True:
            row = self._whole(lambda: next(rows, None))
            if row is None:
                return
            yield row

    def _spoilt(self) -> Unavailable:
        self._tables.discard()
        return Unavailable(
            "the index was damaged and has been removed", hint="run it again: the index is made anew"
        )


class IndexedSources(Sources):
    """Two indexes asked as one."""

    def __init__(self, indexes: Sequence[MeterIndex]) -> None:
        super().__init__(indexes)
        self._indexes = list(indexes)

    def meters(self, organisation: str | None = None) -> Iterator[str]:
        """What either knows."""
        return _each_once(merge(*(index.meters(organisation) for index in self._left())))

    def count(self, organisation: str | None = None) -> int:
        """At most so many."""
        return max(index.count(organisation) for index in self._left())

    def replaced(self, organisations: Sequence[str]) -> Iterator[str]:
        """What either knows."""
        return _each_once(merge(*(index.replaced(organisations) for index in self._left())))

    def written(self, above: int) -> set[bytes]:
        """What either knows."""
        return set().union(*(index.written(above) for index in self._left()))

    def waiting(self) -> set[tuple[bytes, str]]:
        """What either knows."""
        return set().union(*(index.waiting() for index in self._left()))

    def _left(self) -> list[MeterIndex]:
        asked = self._asked()
        return [index for index in self._indexes if index in asked]


def _numbers(names: Iterable[bytes]) -> Iterator[str]:
    """The meters among the names."""
    return (number for name in names if (number := number_of_record(name)) is not None)


def _each_once(ordered: Iterable[T]) -> Iterator[T]:
    return (value for value, _ in groupby(ordered))
