"""Following the tip: which verdicts change, judging again only what can have changed."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from doitrust.meters.number import number_of_record
from doitrust.orgs.names import record_name
from doitrust.ports import ContentSource, MeterIndex
from doitrust.trust.evidence import Missing, Tip
from doitrust.trust.policy import Policy
from doitrust.trust.reports import Status
from doitrust.trust.verdict import Verdict
from doitrust.workflows.audit import PART
from doitrust.workflows.gather import Survey


class Change(NamedTuple):
    """A verdict that is another than before; `before` is None where it is the first."""

    verdict: Verdict
    before: Status | None


class _Known(NamedTuple):
    """What was said of a meter, and whether time or a list alone can change it."""

    status: Status
    rest: tuple[Any, ...]
    waits: bool


class Watch:
    """Watches `meters`, or all there are. `index` is asked for at each look, and may be the same each time."""

    def __init__(
        self,
        index: Callable[[], MeterIndex],
        contents: ContentSource,
        policy: Policy,
        meters: Sequence[str] = (),
    ) -> None:
        self._index = index
        self._contents = contents
        self._policy = policy
        self._meters = tuple(dict.fromkeys(meters))
        self._known: dict[str, _Known] = {}
        self._tip: Tip | None = None
        self._waiting: set[tuple[bytes, str]] = set()
        self._missing: tuple[Missing, ...] = ()

    def look(self) -> Iterator[Change]:
        """What changed since the last look. Raises `Unavailable`; nothing is lost then."""
        index = self._index()
        tip, waiting = index.tip(), index.waiting()
        if self._tip is not None and tip.hash == self._tip.hash and waiting == self._waiting:
            return
        survey = Survey(index, self._contents, self._policy)
        waiting = index.waiting()
        touched = self._touched(index, survey, waiting)
        # Until all is judged it isn't known what was missed.
        self._tip = None
        for part in _parts(touched):
            verdicts = survey.verdicts(part)
            if verdicts is None:
                return
            for verdict in verdicts:
                yield from self._compared(verdict)
        self._tip, self._waiting, self._missing = survey.tip, waiting, survey.missing

    def _touched(self, index: MeterIndex, survey: Survey, waiting: set[tuple[bytes, str]]) -> Iterable[str]:
        """The meters whose verdict can be another now."""
        if self._tip is None or not index.standing([self._tip.hash]) or survey.missing != self._missing:
            return self._all(index)
        written = index.written(self._tip.height)
        if any(record_name(pin.name) in written for pin in self._policy.pins):
            return self._all(index)
        written |= {name for name, _ in waiting ^ self._waiting}
        found = {number for name in written if (number := number_of_record(name)) is not None}
        if self._meters:
            found &= set(self._meters)
        return sorted(found | {meter for meter, known in self._known.items() if known.waits})

    def _all(self, index: MeterIndex) -> Iterator[str]:
        """Every watched meter, those too that a reorganisation took off the chain."""
        if self._meters:
            yield from self._meters
            return
        gone = set(self._known)
        for meter in index.meters():
            gone.discard(meter)
            yield meter
        yield from sorted(gone)

    def _compared(self, verdict: Verdict) -> Iterator[Change]:
        known, now = self._known.get(verdict.meter), _known(verdict)
        self._known[verdict.meter] = now
        if known is None or known[:2] != now[:2]:
            yield Change(verdict, None if known is None else known.status)


def _known(verdict: Verdict) -> _Known:
    by = verdict.decided_by
    certificate = None if by is None else by.certificate
    said = (
        verdict.reason,
        None if by is None else by.name,
        None if by is None or by.deciding is None else by.deciding.txid,
        None if certificate is None else (certificate.node, certificate.client),
        verdict.contested,
        tuple(
            (o.name, o.state, None if o.pending is None else o.pending.txid) for o in verdict.organizations
        ),
    )
    waits = (
        verdict.status is Status.UNDETERMINED
        or bool(verdict.waiting)
        or any(
            o.pending is not None or o.state in ("unconfirmed", "undetermined") for o in verdict.organizations
        )
    )
    return _Known(verdict.status, said, waits)


def _parts(meters: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(meters)
    while part := list(islice(rest, PART)):
        yield part
