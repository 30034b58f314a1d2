"""Every meter on the chain, judged part by part at one tip, in an order that is the same each time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from doitrust.ports import ContentSource, MeterIndex
from doitrust.trust.policy import Policy
from doitrust.trust.verdict import Verdict
from doitrust.workflows.gather import Survey

#: Meters that are judged together: what they take is all that is in memory.
PART = 250


class Listed(NamedTuple):
    """A meter on the chain; `replaced` if accepted organisations' records certify it for several pairs."""

    meter: str
    replaced: bool


class Audited(NamedTuple):
    """A meter's verdict."""

    verdict: Verdict
    replaced: bool


class ChainMoved(Exception):
    """A reorganisation took the tip away: what was judged is of a chain that is no more (N4)."""


class Audit:
    """The meters that `index` knows, or those with a record that names `organisation`, at the index's next tip."""

    def __init__(
        self, index: MeterIndex, contents: ContentSource, policy: Policy, organisation: str | None = None
    ) -> None:
        self._index = index
        self._policy = policy
        self._organisation = organisation
        self._survey = Survey(index, contents, policy)
        self.tip = self._survey.tip

    def count(self) -> int:
        """How many meters there are, or a few more."""
        return self._index.count(self._organisation)

    def meters(self) -> Iterator[Listed]:
        """All of them, those that were replaced first; by number."""
        yield from (listed for listed in self._listed() if listed.replaced)
        yield from (listed for listed in self._listed() if not listed.replaced)

    def judged(self, meters: Iterable[Listed], *, moving: bool = False) -> Iterator[list[Audited]]:
        """Judge `meters` part by part. Raises `ChainMoved`; with `moving` the verdicts are undetermined then."""
        rest = iter(meters)
        while part := list(islice(rest, PART)):
            verdicts = self._survey.verdicts([listed.meter for listed in part], moving=moving)
            if verdicts is None:
                raise ChainMoved
            yield [Audited(verdict, listed.replaced) for verdict, listed in zip(verdicts, part, strict=True)]

    def _listed(self) -> Iterator[Listed]:
        """Every meter with its mark; both come sorted, so neither is held."""
        replaced = self._index.replaced([pin.name for pin in self._policy.pins])
        marked = next(replaced, None)
        for meter in self._index.meters(self._organisation):
            while marked is not None and marked < meter:
                marked = next(replaced, None)
            yield Listed(meter, meter == marked)
