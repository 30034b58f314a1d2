"""Which of an organisation's writes about a meter stands: rules C4 and C6.

Where missing data leaves open whether a write counts, both worlds are followed. Only if they end differently
is the outcome undetermined.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from doitrust.meters.record import Certificate
from doitrust.trust.findings import Finding
from doitrust.trust.policy import REPLACEMENT_FACTOR, Policy
from doitrust.trust.reports import Fate

#: More open questions than this are not followed one by one.
MAX_WORLDS = 64


class World(NamedTuple):
    """Where one way through the writes has led: indices into the organisation's findings.

    `state` is none, certificate or revoked; `decides` the write that made it so; `standing` the last certificate
    that took effect, revoked since or not; `revocation` the last revocation.
    """

    state: str = "none"
    decides: int | None = None
    standing: int | None = None
    revocation: int | None = None


class Outcome(NamedTuple):
    """An organisation's state: certificate, revoked, undetermined, unconfirmed or none; the deciding finding."""

    state: str
    decides: int | None = None
    reason: str | None = None


@dataclass(slots=True)
class Succession:
    """One or several worlds, and the fate, reason and detail of each finding (in their order).

    `waiting` lists the certificates that count and need more confirmations. `overflowed`: there were once more
    worlds than are followed, so that nothing can be said any more.
    """

    findings: Sequence[Finding]
    worlds: list[World] = field(default_factory=lambda: [World()])
    fates: list[Fate] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    overflowed: bool = False

    @property
    def doubt(self) -> str | None:
        """The first reason why a write could not be judged."""
        return next(
            (r for r, fate in zip(self.reasons, self.fates, strict=True) if fate is Fate.UNSURE), None
        )

    def outcome(self) -> Outcome:
        """What holds in every world; `undetermined` if they differ."""
        states = {world.state for world in self.worlds}
        decided = sorted(world.decides for world in self.worlds if world.decides is not None)
        if len(states) > 1 or self.overflowed:
            return Outcome("undetermined", None, self.doubt)
        state = states.pop()
        if state == "revoked":
            return Outcome(state, decided[-1])
        if state == "certificate":
            pairs = {self._pair(index) for index in decided}
            return (
                Outcome(state, decided[0]) if len(pairs) == 1 else Outcome("undetermined", None, self.doubt)
            )
        if self.waiting:
            return Outcome("unconfirmed", self._first_to_stand())
        return Outcome("undetermined", None, self.doubt) if self.doubt else Outcome("none")

    def _pair(self, index: int) -> tuple[bytes, bytes] | None:
        certificate = self.findings[index].certificate
        return None if certificate is None else (certificate.node, certificate.client)

    def _first_to_stand(self) -> int:
        """Of several certificates that wait, the one that will stand: the first, or one that renews it."""
        chosen = self.waiting[0]
        for index in self.waiting[1:]:
            same_key = self.findings[index].key == self.findings[chosen].key
            if same_key or self._pair(index) == self._pair(chosen):
                chosen = index
        return chosen


def succeed(findings: Sequence[Finding], policy: Policy, tip_height: int) -> Succession:
    """Play one organisation's writes of a meter, in chain order."""
    result = Succession(findings)
    for index, finding in enumerate(findings):
        worlds: dict[World, None] = {}
        fates: set[Fate] = set()
        reason, detail = finding.reason, finding.detail
        for world in result.worlds:
            if finding.counts is not False:
                for after, fate, why, seen in _take(world, index, findings, policy, tip_height):
                    worlds[after] = None
                    fates.add(fate)
                    reason, detail = (why, seen) if seen else (reason, detail)
            if finding.counts is not True:
                worlds[world] = None
                fates.add(Fate.REFUSED)
        fate = fates.pop() if len(fates) == 1 else Fate.UNSURE
        if fate is Fate.UNSURE:
            reason = finding.reason or result.doubt
        result.worlds = list(worlds)[:MAX_WORLDS]
        result.overflowed = result.overflowed or len(worlds) > MAX_WORLDS
        result.fates.append(fate)
        result.reasons.append(reason)
        result.details.append(detail)
        if fate is Fate.WAITING:
            result.waiting.append(index)
        elif fate is Fate.STOOD and finding.certificate is None:
            result.waiting.clear()  # what waited is revoked before it took effect
    return result


_Step = tuple[World, Fate, str | None, str]


def _take(
    world: World, index: int, findings: Sequence[Finding], policy: Policy, tip_height: int
) -> Iterator[_Step]:
    """Let a write that counts by itself act on `world`: where it may lead, its fate, reason and what to say."""
    finding = findings[index]
    certificate = finding.certificate
    if certificate is None:
        yield World("revoked", index, world.standing, index), Fate.STOOD, None, ""
        return
    if world.revocation is not None:
        last = findings[world.revocation].write.tx.txid
        if certificate.after is None or not last.startswith(certificate.after):
            yield world, Fate.REFUSED, "revoked", f"it does not name the revocation {last} in `after` (C4)"
            return
    confirmations = tip_height - finding.write.height + 1
    for replaces in _replaces(world, certificate, finding, findings):
        needed = policy.min_confirmations * (REPLACEMENT_FACTOR if replaces else 1)
        if confirmations < needed:
            said = f"has {confirmations} of the {needed} confirmations it needs (C6)"
            yield world, Fate.WAITING, None, said
        else:
            yield World("certificate", index, index, world.revocation), Fate.STOOD, None, ""


def _replaces(
    world: World, certificate: Certificate, finding: Finding, findings: Sequence[Finding]
) -> tuple[bool, ...]:
    """C6: whether this names another node or client than what stood last, by another signer, without their leave.

    The leave: the revocation it names in `after` was signed by that signer or by the organisation's owner. Both
    answers where it can't be told who signed.
    """
    if world.standing is None:
        return (False,)
    standing = findings[world.standing]
    old = standing.certificate
    if old is None or (old.node, old.client) == (certificate.node, certificate.client):
        return (False,)
    signers = [_same(finding.key, standing.key)]
    if world.revocation is not None:
        revocation = findings[world.revocation]
        signers += [revocation.by_owner, _same(revocation.key, standing.key)]
        if revocation.counts is None:  # it counts in this world, but who it was that signed can't be told
            signers.append(None)
    if True in signers:
        return (False,)
    return (True, False) if None in signers else (True,)


def _same(one: bytes | None, other: bytes | None) -> bool | None:
    """Whether two signers are one; None if one of them isn't known."""
    return None if one is None or other is None else one == other
