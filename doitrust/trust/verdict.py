"""What `judge` answers: the verdict and everything it rests on."""

from dataclasses import dataclass

from doitrust.trust import checks
from doitrust.trust.evidence import Source, Tip
from doitrust.trust.policy import Policy
from doitrust.trust.reports import Check, OrganisationReport, Status, WriteReport


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one meter. `organizations` holds the accepted ones that its writes name, in their order.

    `waiting`: txids of certificates in the mempool, not judged yet. `covered`: the meters that the evidence was
    made for, where this is none of them.
    """

    meter: str
    network: str
    status: Status
    reason: str | None
    decided_by: OrganisationReport | None
    organizations: tuple[OrganisationReport, ...]
    writes: tuple[WriteReport, ...]
    contested: bool
    foreign_writes: int
    sources: tuple[Source, ...]
    tip: Tip
    policy: Policy
    waiting: tuple[str, ...]
    covered: tuple[str, ...] | None

    @property
    def checks(self) -> tuple[Check, ...]:
        """Everything that was checked, by rule."""
        return tuple(checks.explain(self))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know beside the verdict."""
        return tuple(checks.warnings(self))

    @property
    def work(self) -> int | None:
        """Hashes that the deciding write's block and all above it took: what an attacker must outdo.

        Confirmations alone say little, because Doichain Core does not enforce the difficulty (the test of nBits
        in src/validation.cpp is switched off). None where the source doesn't tell.
        """
        write = None if self.decided_by is None else self.decided_by.deciding
        return None if write is None else write.work
