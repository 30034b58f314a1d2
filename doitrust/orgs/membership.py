"""Who is a member at a height, and whose signature still holds (rules O5, M1, M2, C3)."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from doitrust.chain.signers import Signatures, Signing
from doitrust.orgs.members import Member, MemberList
from doitrust.orgs.timeline import Step, Timeline


class Standing(Enum):
    """A key's standing at a height."""

    MEMBER = "member"
    NOT_A_MEMBER = "not_a_member"
    REVOKED = "member_revoked"
    UNKNOWN = "unknown"  #: a list that could change it can't be had


@dataclass(frozen=True, slots=True)
class Membership:
    """An organisation's lists along its timeline.

    `lists` goes with `timeline.steps`, None where the list can't be had; `ever` holds every key that is or was in
    one of them. `doubt` is the reason code for any `UNKNOWN`.
    """

    timeline: Timeline
    lists: Sequence[MemberList | None]
    doubt: str | None
    ever: frozenset[bytes]
    _heights: tuple[int, ...]

    @classmethod
    def along(cls, timeline: Timeline, lists: Sequence[MemberList | None]) -> "Membership":
        """Combine a timeline with the lists its steps name."""
        doubt = timeline.doubt or ("list_missing" if any(found is None for found in lists) else None)
        ever = frozenset(key for found in lists if found is not None for key in found.members)
        return cls(timeline, lists, doubt, ever, tuple(step.write.height for step in timeline.steps))

    def index_at(self, height: int) -> int | None:
        """Index of the step in force at `height`: the timeline's last write at or below it (rule O5)."""
        found = bisect_right(self._heights, height)
        return found - 1 if found else None

    def step_at(self, height: int) -> Step | None:
        """The step in force at `height`, or None before the root."""
        index = self.index_at(height)
        return None if index is None else self.timeline.steps[index]

    def member(self, key: bytes, height: int) -> Member | None:
        """The entry for `key` in the list in force at `height`."""
        index = self.index_at(height)
        found = None if index is None else self.lists[index]
        return None if found is None else found.members.get(key)

    def owner_signed(self, signatures: Signatures, height: int) -> Signing | None:
        """Whether the owner at `height` is among the signer scripts; None if the owner can't be told."""
        if self._unsure_at(height):
            return None
        step = self.step_at(height)
        return Signing.NOBODY if step is None or step.owner is None else signatures.by_script(step.owner)

    def certifier(self, key: bytes, height: int) -> Standing:
        """Standing of a key that certified at `height`: every list of the timeline counts (M1, M2)."""
        present = self._listed(key, height)
        if present is Standing.NOT_A_MEMBER:
            return present
        withdrawn = self._withdrawn(key, height, len(self.lists), doubtful=self.timeline.doubt is not None)
        return withdrawn if withdrawn is not Standing.MEMBER else present

    def revoker(self, key: bytes, height: int) -> Standing:
        """Standing of a key that revoked at `height`: the lists up to there, and later `voids_revocations` (C3)."""
        present = self._listed(key, height)
        if present is Standing.NOT_A_MEMBER:
            return present
        doubtful = self.timeline.doubt is not None
        voided = self._withdrawn(key, height, len(self.lists), doubtful=doubtful, voiding=True)
        if voided is Standing.REVOKED:
            return voided  # whatever the lists before say
        until = bisect_right(self._heights, height)
        withdrawn = self._withdrawn(key, height, until, doubtful=self._unsure_at(height))
        if withdrawn is not Standing.MEMBER:
            return withdrawn
        return voided if voided is not Standing.MEMBER else present

    def withdrawn_from(self, key: bytes, height: int, *, revoking: bool) -> int:
        """From which height on a key is withdrawn whose standing at `height` is `REVOKED`: the lowest named."""
        if revoking:
            until = bisect_right(self._heights, height)
            named = self._withdrawals(key, until) or self._withdrawals(key, len(self.lists), voiding=True)
        else:
            named = self._withdrawals(key, len(self.lists))
        return min(named, default=height)

    def _withdrawals(self, key: bytes, until: int, *, voiding: bool = False) -> list[int]:
        """The heights that the first `until` lists withdraw the key from, since one last reinstated it."""
        named: list[int] = []
        for found in self.lists[:until]:
            entry = None if found is None else found.marked.get(key)
            if entry is None:
                continue
            if entry.withdrawal is None:
                named = []
            elif entry.withdrawal.voids_revocations or not voiding:
                named.append(entry.withdrawal.height)
        return named

    def _unsure_at(self, height: int) -> bool:
        return self.timeline.doubt is not None and self.timeline.doubt_height <= height

    def _listed(self, key: bytes, height: int) -> Standing:
        """M1: the list in force at `height` has the key."""
        if self._unsure_at(height):
            return Standing.UNKNOWN
        index = self.index_at(height)
        if index is None:
            return Standing.NOT_A_MEMBER
        found = self.lists[index]
        if found is None:
            return Standing.UNKNOWN
        return Standing.MEMBER if key in found.members else Standing.NOT_A_MEMBER

    def _withdrawn(
        self, key: bytes, height: int, until: int, *, doubtful: bool, voiding: bool = False
    ) -> Standing:
        """M2: whether the first `until` lists withdraw `key` at `height`: `REVOKED`, `MEMBER` (no) or `UNKNOWN`.

        A list that can't be had may withdraw the key or reinstate it: what was known before it is unsure, what
        is said after it holds. With `voiding` only entries that void revocations withdraw.
        """
        if doubtful:
            return Standing.UNKNOWN
        state = Standing.MEMBER
        for found in self.lists[:until]:
            if found is None:
                state = Standing.UNKNOWN
                continue
            entry = found.marked.get(key)
            if entry is None:
                continue
            if entry.withdrawal is None:
                state = Standing.MEMBER  # reinstated, for all heights
            elif entry.withdrawal.height <= height and (entry.withdrawal.voids_revocations or not voiding):
                state = Standing.REVOKED
        return state
