"""An accepted organisation as evidence shows it: timeline, lists, membership (rules O2 to O5, M)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from doitrust.chain.signers import Signatures
from doitrust.orgs.membership import Membership
from doitrust.orgs.names import record_name
from doitrust.orgs.pins import Pin
from doitrust.orgs.timeline import OrgWrite, Timeline, follow
from doitrust.trust.evidence import Evidence, NameWrite

#: Gives the signatures of a write's transaction.
Signers = Callable[[NameWrite], Signatures]


def timeline_of(evidence: Evidence, pin: Pin, signers: Signers) -> Timeline:
    """Walk the organisation's record along the pin."""
    writes = [
        OrgWrite(
            write.tx.txid, write.height, write.place.position, write.output.value, write.output.owner_script,
            signers(write),
        )
        for write in evidence.writes(record_name(pin.name))
        if write.place is not None
    ]  # fmt: skip
    timeline = follow(writes, pin.segments)
    why = evidence.gap(record_name(pin.name))
    if why is not None:
        return Timeline(timeline.steps, timeline.judged, why, 0)
    return timeline


@dataclass(frozen=True)
class Organisation:
    """An accepted organisation: its pin and what follows from it."""

    pin: Pin
    membership: Membership

    @property
    def timeline(self) -> Timeline:
        """The walk that the membership rests on."""
        return self.membership.timeline

    # Strangers can write under its name as often as they like: that is counted once, not for each meter.

    @cached_property
    def ignored(self) -> int:
        """How many writes of the record don't belong to the timeline (O4)."""
        return sum(judged.counts is False for judged in self.timeline.judged)

    @cached_property
    def root_height(self) -> int | None:
        """Where the last segment begins, if the chain has it."""
        root = self.pin.segments[-1].root
        return next((step.write.height for step in self.timeline.steps if step.write.txid == root), None)


def read_organisation(evidence: Evidence, pin: Pin, signers: Signers) -> Organisation:
    """Judge one organisation from evidence."""
    timeline = timeline_of(evidence, pin, signers)
    lists = [evidence.member_list(step.write.value) for step in timeline.steps]
    return Organisation(pin, Membership.along(timeline, lists))
