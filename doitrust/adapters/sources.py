"""Two sources asked as one (rules N1 to N4): what either knows counts, and who is caught out is named.

History is the union of both. Where an own node answers, it decides: the tip is its own, and so is every place. Where
two foreign ones don't agree on block, height, position and bytes, nobody's word is taken. A source that fails, stalls,
gives other bytes or denies what the other proves gets a fault: it is named, and trust never rests on it. One that only
lags behind, or is ahead, does nothing wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from doitrust.chain.names import read_as_node
from doitrust.chain.networks import Network
from doitrust.chain.tx import Transaction
from doitrust.errors import BadData, DoitrustError, Unavailable
from doitrust.ports import ChainView
from doitrust.trust.evidence import Located, Place, Source, Tip

T = TypeVar("T")

#: Writes that a foreign source lists and an own node doesn't: so many are looked at before nothing of it is believed.
_MOST_MORE = 100
#: Before a tip was read nothing is above it.
_NO_HEIGHT = 2**32


class Sources:
    """A `ChainView` over `views`, the first of which is preferred. For one gathering after the other."""

    def __init__(self, views: Sequence[ChainView]) -> None:
        self._views = list(views)
        #: What each was found to do wrongly; who fails is asked no more, who stands apart is on another chain.
        self._faults: dict[ChainView, str] = {}
        self._failed: dict[ChainView, str] = {}
        self._apart: set[ChainView] = set()
        self._tips: dict[ChainView, Tip] = {}
        self._height = _NO_HEIGHT
        #: Who left a write out of a name's history, by txid.
        self._unlisted: dict[str, tuple[bytes, set[ChainView]]] = {}

    @property
    def name(self) -> str:
        """All of them."""
        return " and ".join(view.name for view in self._views)

    @property
    def own(self) -> bool:
        """Whether one of them, which answers, is an own node."""
        return bool(self._own())

    @property
    def network(self) -> Network:
        """The network of all of them."""
        return self._views[0].network

    def sources(self) -> tuple[Source, ...]:
        """Every one, with its fault if it has one."""
        return tuple(
            Source(view.name, view.own, self._failed.get(view, self._faults.get(view)))
            for view in self._views
        )

    def tip(self) -> Tip:
        """The own node's tip; of foreign ones the highest block that all have.

        One that has none of the others' is on another chain, and at fault.
        """
        self._faults, self._apart, self._unlisted = {}, set(), {}
        self._tips = tips = self._all(lambda view: view.tip())
        own = [view for view in tips if view.own]
        found = self._tip_of_own(own) if own else self._common_tip()
        self._height = found.height
        return found

    def _tip_of_own(self, own: Sequence[ChainView]) -> Tip:
        first = self._best(own)
        tip = self._tips[first]
        for view in self._tips:
            # It has our tip, or it lags: then we have its.
            if view is not first and not self._has(view, tip) and not self._has(first, self._tips[view]):
                self._stands_apart(view, first)
        return tip

    def _common_tip(self) -> Tip:
        for tip in sorted(self._tips.values(), key=lambda tip: tip.height):
            if all(self._has(view, tip) for view in self._tips):
                return tip
        kept = self._best(self._tips)
        for view in self._tips:
            if view is not kept and not self._has(view, self._tips[kept]):
                self._stands_apart(view, kept)
        return self._tips[kept]

    def _best(self, views: Iterable[ChainView]) -> ChainView:
        """The one whose chain has the most work, as it says."""
        return max(views, key=lambda view: (self._tips[view].work or 0, self._tips[view].height))

    def standing(self, blocks: Iterable[str]) -> set[str]:
        """Those of the blocks that are in the own node's chain now; without one, in the chains of all of them."""
        asked = list(blocks)
        answers = self._each(lambda view: view.standing(asked), self._own())
        return set.intersection(*(answers or self._all(lambda view: view.standing(asked))).values())

    def history(self, name: bytes, limit: int) -> list[str] | None:
        """Txids that write `name` by anybody's word, each once; None if there are more than `limit`."""
        answers = self._all(lambda view: view.history(name, limit))
        own = self._deciding(answers)
        found: dict[str, None] = {}
        if own is not None:
            found.update(dict.fromkeys(answers[own] or ()))
            if answers[own] is None or len(found) > limit:
                return None
        for view, listed in answers.items():
            if own is not None:
                found.update(dict.fromkeys(self._more(view, own, listed, found)))
            elif listed is None:
                return None
            else:
                found.update(dict.fromkeys(listed))
        spoken = {view: set(listed) for view, listed in answers.items() if listed is not None}
        for txid in found:
            silent = {view for view, listed in spoken.items() if txid not in listed}
            if silent:
                self._unlisted[txid] = name, silent
        return list(found) if len(found) <= limit else None

    def _more(
        self, view: ChainView, own: ChainView, listed: Sequence[str] | None, known: Mapping[str, None]
    ) -> list[str]:
        """What `view` lists beyond the own node and may be so: what that has after all, what is mined above our tip."""
        more = None if listed is None else [txid for txid in listed if txid not in known]
        if more is None or len(more) > _MOST_MORE:
            self._fault(view, f"it lists many writes that {own.name} does not have")
            return []
        if not more:
            return []
        had = self._each(lambda asked: asked.transactions(more), [own, view])
        kept = []
        for txid in more:
            here, there = (had.get(asked, {}).get(txid) for asked in (own, view))
            place = _place(there)
            if here is not None or (place is not None and place.height > self._height):
                kept.append(txid)
            elif there is None and view in had:
                self._fault(view, f"it lists {txid}, which nobody has")
            elif place is not None:
                self._fault(view, f"it has {txid} in a block that {own.name} does not have")
        return kept

    def transaction(self, txid: str) -> Located | None:
        """One transaction."""
        return self.transactions([txid])[txid]

    def transactions(self, txids: Sequence[str]) -> dict[str, Located | None]:
        """Several, each with a place that an own node or two sources stand for."""
        answers = self._all(lambda view: view.transactions(txids))
        own = self._deciding(answers)
        found = {}
        for txid in txids:
            seen = {view: self._below(given[txid]) for view, given in answers.items()}
            found[txid] = self._agreed(txid, seen) if own is None else self._decided(txid, seen, own)
        return found

    def mempool(self, name: bytes) -> list[str]:
        """What waits in the mempool of an own node."""
        found: dict[str, None] = {}
        for listed in self._each(lambda view: view.mempool(name), self._own()).values():
            found.update(dict.fromkeys(listed))
        return list(found)

    def names(self, prefix: bytes) -> Iterator[bytes]:
        """Every name that anybody lists, sorted."""
        found: set[bytes] = set()
        for listed in self._all(lambda view: list(view.names(prefix))).values():
            found.update(listed)
        return iter(sorted(found))

    # ---- who is right

    def _decided(self, txid: str, seen: Mapping[ChainView, Located | None], own: ChainView) -> Located | None:
        """What holds of a transaction where an own node answers."""
        believed = seen[own]
        for view, found in seen.items():
            if view is not own:
                self._compare(view, txid, found, believed, own)
        if believed is not None:
            return believed
        # Nobody else's place counts; the signatures in a revocation speak for themselves.
        other = next((found for found in seen.values() if found is not None), None)
        return None if other is None else Located(other.tx, None)

    def _compare(
        self, view: ChainView, txid: str, found: Located | None, believed: Located | None, own: ChainView
    ) -> None:
        place = _place(found)
        if believed is None or believed.place is None:
            if place is not None:
                self._fault(view, f"it has {txid} in a block that {own.name} does not have")
        elif view in self._tips and believed.place.height > self._tips[view].height:
            pass  # it lags
        elif found is None:
            self._fault(view, f"it withholds the transaction {txid}")
        elif place is None:
            self._fault(view, f"it does not know the block of {txid}")
        elif place[:3] != believed.place[:3]:
            self._fault(view, f"it puts {txid} into another place")
        elif _differ(found.tx, believed.tx):
            self._fault(view, f"it gives other signatures for {txid}")
        else:
            self._blame_silence(view, believed.tx)

    def _agreed(self, txid: str, seen: Mapping[ChainView, Located | None]) -> Located | None:
        """What holds of a transaction among foreign sources."""
        placed = {view: found for view, found in seen.items() if found is not None and _place(found)}
        if not placed:
            if txid in self._unlisted and not any(seen.values()):
                for view in seen.keys() - self._unlisted[txid][1]:
                    self._fault(view, f"it lists {txid}, which nobody has")
            return next((found for found in seen.values() if found is not None), None)
        believed = next(iter(placed.values()))
        for view, found in seen.items():
            if (
                view not in placed
                and believed.place is not None
                and self._has_block(view, believed.place.block)
            ):
                # The proof leads into a block of its own chain.
                what = "withholds" if found is None else "denies the block of"
                self._fault(view, f"it {what} the transaction {txid}")
            elif (
                found is None
                or found.place is None
                or found.place[:3] != (believed.place and believed.place[:3])
                or _differ(found.tx, believed.tx)
            ):
                # Somebody is wrong, and nobody can say who.
                for each in seen:
                    self._fault(each, f"it and another disagree about {txid}")
                return None
            else:
                self._blame_silence(view, believed.tx)
        return believed

    def _blame_silence(self, view: ChainView, tx: Transaction) -> None:
        """Name who knows a transaction, and left it out of the history of a name that it writes."""
        name, silent = self._unlisted.get(tx.txid, (b"", set[ChainView]()))
        if view not in silent:
            return
        read = (read_as_node(output.script) for output in tx.outputs)
        if any(found is not None and found.written and found.written[0] == name for found in read):
            self._fault(view, f"it leaves {tx.txid} out of a name's history")

    def _below(self, found: Located | None) -> Located | None:
        """What is mined above our tip still waits, whoever has seen the block already."""
        if found is None or found.place is None or found.place.height <= self._height:
            return found
        return Located(found.tx, None)

    # ---- asking

    def _asked(self) -> list[ChainView]:
        return [view for view in self._views if view not in self._failed and view not in self._apart]

    def _own(self) -> list[ChainView]:
        return [view for view in self._asked() if view.own]

    def _deciding(self, answers: Iterable[ChainView]) -> ChainView | None:
        """The own node, if one answered; of several the one whose tip it is."""
        own = [view for view in answers if view.own and view in self._tips]
        return self._best(own) if own else next((view for view in answers if view.own), None)

    def _all(self, ask: Callable[[ChainView], T]) -> dict[ChainView, T]:
        """Ask every one that has not failed; raises `Unavailable` if nobody is left."""
        answers = self._each(ask, self._asked())
        if not answers:
            raise self._last or Unavailable("no source is left to ask", hint="doitrust config show")
        return answers

    def _each(self, ask: Callable[[ChainView], T], views: Sequence[ChainView]) -> dict[ChainView, T]:
        answers: dict[ChainView, T] = {}
        for view in views:
            try:
                answers[view] = ask(view)
            except (Unavailable, BadData) as error:
                self._failed[view] = error.message
                self._last = error
        return answers

    _last: DoitrustError | None = None

    def _has(self, view: ChainView, tip: Tip) -> bool:
        return view not in self._failed and (self._tips.get(view) == tip or self._has_block(view, tip.hash))

    def _has_block(self, view: ChainView, block: str) -> bool:
        return bool(self._each(lambda asked: asked.standing([block]), [view]).get(view))

    def _stands_apart(self, view: ChainView, kept: ChainView) -> None:
        self._fault(view, f"it is on another chain than {kept.name}")
        self._apart.add(view)

    def _fault(self, view: ChainView, what: str) -> None:
        self._faults.setdefault(view, what)


def _differ(one: Transaction, other: Transaction) -> bool:
    """Whether two with one txid say otherwise who signed: of what writes no name nobody asks that."""
    return bool(one.writes) and one.raw != other.raw


def _place(found: Located | None) -> Place | None:
    return None if found is None else found.place
