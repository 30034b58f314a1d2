"""Verify: gather, then judge."""

from collections.abc import Sequence
from typing import NamedTuple

from doitrust.ports import ChainView, ContentSource, Progress
from doitrust.trust.evidence import Evidence
from doitrust.trust.judge import Judge
from doitrust.trust.policy import Policy
from doitrust.trust.verdict import Verdict
from doitrust.workflows.gather import gather


class Verification(NamedTuple):
    """Verdicts in the order asked for, and the evidence they rest on."""

    verdicts: list[Verdict]
    evidence: Evidence


def verify(
    chain: ChainView,
    contents: ContentSource,
    policy: Policy,
    meters: Sequence[str],
    *,
    progress: Progress | None = None,
) -> Verification:
    """Gather evidence about `meters` (normalised numbers) and judge each."""
    return judge_all(gather(chain, contents, policy, meters, progress=progress), policy, meters)


def judge_all(evidence: Evidence, policy: Policy, meters: Sequence[str]) -> Verification:
    """Judge `meters` on evidence that is there already."""
    judge = Judge(evidence, policy)
    return Verification([judge.verdict(meter) for meter in meters], evidence)
