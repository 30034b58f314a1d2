"""What a user asks of a verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from doitrust.orgs.pins import Pin
from doitrust.trust.evidence import Source

#: C6: a certificate with fewer adds no trust.
MIN_CONFIRMATIONS = 6
#: C6: how many times as many a replacement by another signer needs.
REPLACEMENT_FACTOR = 24
#: L4: over this many writes of one name the verdict is `flooded`.
MAX_WRITES = 100_000


@dataclass(frozen=True, slots=True)
class Policy:
    """Pins in order of acceptance (none: nothing is ever trusted), and the thresholds.

    `trust_source` takes one foreign source for the truth (N3); its name on the command line says so too.
    """

    pins: tuple[Pin, ...]
    min_confirmations: int = MIN_CONFIRMATIONS
    trust_source: bool = False
    max_writes: int = MAX_WRITES

    def suffices(self, sources: Sequence[Source]) -> bool:
        """N3: whether the sources are enough for trust: an own node, or two, or the user's word."""
        good = [source for source in sources if source.fault is None]
        independent = {source.name for source in good}
        return self.trust_source or any(source.own for source in good) or len(independent) > 1
