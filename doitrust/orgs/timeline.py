"""Who owned an organisation's record, write by write (rules O2, O3, O4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from doitrust.chain.scripts import ScriptType, script_type
from doitrust.chain.signers import Signatures, Signing
from doitrust.orgs.pins import Segment


class OrgWrite(NamedTuple):
    """A write of the organisation's name, with who signed it. Writes come in chain order."""

    txid: str
    height: int
    position: int
    value: bytes
    owner_script: bytes
    signatures: Signatures


class Step(NamedTuple):
    """A write of the timeline, and the owner script from it on (None: nobody can follow)."""

    write: OrgWrite
    owner: bytes | None


class JudgedWrite(NamedTuple):
    """Whether a write belongs to the timeline (None: can't be told) and why."""

    write: OrgWrite
    counts: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The pinned stretch of an organisation's record.

    `doubt` is the reason (a code of the verdict's) why it can't be told whole, and `doubt_height` the height from
    which it is unsure (0: all of it).
    """

    steps: tuple[Step, ...]
    judged: tuple[JudgedWrite, ...]
    doubt: str | None = None
    doubt_height: int = 0


def follow(writes: Sequence[OrgWrite], segments: Sequence[Segment]) -> Timeline:
    """Walk all writes of the name, in chain order, along the pinned segments."""
    walk = _Walk(segments)
    for write in writes:
        walk.take(write)
    if walk.ahead or (walk.current is not None and walk.current.until is not None):
        walk.doubtful("transaction_missing", 0)  # a root or an end that the chain doesn't have
    return Timeline(tuple(walk.steps), tuple(walk.judged), walk.doubt, walk.doubt_height)


class _Walk:
    """The state of `follow`: the segment we are in, if any, and those not reached yet."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.ahead = list(segments)
        self.current: Segment | None = None
        self.steps: list[Step] = []
        self.judged: list[JudgedWrite] = []
        self.doubt: str | None = None
        self.doubt_height = 0

    def doubtful(self, reason: str, height: int) -> None:
        if self.doubt is None or height < self.doubt_height:
            self.doubt, self.doubt_height = reason, height

    def take(self, write: OrgWrite) -> None:
        if self._opens(write):
            self._add(write, None, "the pinned root")
        elif self.current is None:
            self.judged.append(JudgedWrite(write, False, "outside the pinned segments"))
        else:
            self._follow(write, self.steps[-1].owner)

    def _opens(self, write: OrgWrite) -> bool:
        """Whether `write` is the next segment's root; a segment without an end of its own ends before it."""
        free = self.current is None or self.current.until is None
        if free and self.ahead and self.ahead[0].root == write.txid:
            self.current = self.ahead.pop(0)
            return True
        return False

    def _follow(self, write: OrgWrite, owner: bytes | None) -> None:
        """Rule O3: the write belongs to the timeline exactly if the owner signed it."""
        signed = Signing.NOBODY if owner is None else write.signatures.by_script(owner)
        if signed is Signing.SIGNED:
            self._add(write, owner, "signed by the owner")
        elif signed is Signing.NOBODY:
            self.judged.append(JudgedWrite(write, False, "not signed by the owner"))
        else:
            self.doubtful("bad_data" if signed is Signing.BAD else "transaction_missing", write.height)
            self.judged.append(JudgedWrite(write, None, "whether the owner signed it can't be checked"))

    def _add(self, write: OrgWrite, owner: bytes | None, why: str) -> None:
        # O3: ownership moves to any of the four address scripts; otherwise it stays where it was.
        if script_type(write.owner_script)[0] is not ScriptType.OTHER:
            owner = write.owner_script
        self.steps.append(Step(write, owner))
        self.judged.append(JudgedWrite(write, True, why))
        if self.current is not None and self.current.until == write.txid:
            self.current = None
