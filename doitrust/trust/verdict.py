"""What `judge` answers: the verdict and everything it rests on."""

from dataclasses import dataclass

from doitrust.chain.block import block_work
from doitrust.trust import checks
from doitrust.trust.evidence import Source, Tip
from doitrust.trust.policy import Policy
from doitrust.trust.reports import Check, OrganisationReport, Status, WriteReport


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one meter. `organizations` holds the accepted ones that its writes name, in their order."""

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
        """Hashes that would replace the deciding write's block and all above it, at the tip's difficulty.

        What a 51 % attacker must outdo; None where it isn't known.
        """
        write = None if self.decided_by is None else self.decided_by.deciding
        if write is None or self.tip.bits is None:
            return None
        return write.confirmations * block_work(self.tip.bits)
