"""The chains recorded from a real node: every verdict is the recorded one, wherever and however it is asked."""

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from made import RECORDED, decided_by, recorded

from doitrust.trust.evidence import Evidence
from doitrust.trust.judge import Judge
from doitrust.trust.verdict import Verdict

METERS = [(number, meter) for number in RECORDED for meter in recorded(number).expected]
#: What the recorded verdicts may tell, beside notes for people.
TOLD = ("status", "reason", "organization", "txid", "contested", "foreign_writes")


def answers(verdict: Verdict) -> dict[str, Any]:
    by = verdict.decided_by
    return {
        "status": verdict.status,
        "reason": verdict.reason,
        "organization": None if by is None else by.name,
        "txid": decided_by(verdict),
        "contested": verdict.contested,
        "foreign_writes": verdict.foreign_writes,
    }


@pytest.mark.parametrize(("number", "meter"), METERS)
def test_the_verdict_is_the_recorded_one(number: int, meter: str) -> None:
    chain = recorded(number)
    expected = {name: value for name, value in chain.expected[meter].items() if name in TOLD}
    found = answers(Judge(chain.evidence, chain.policy).verdict(meter))
    assert {name: found[name] for name in expected} == expected


def test_all_45_meters_are_asked_about() -> None:
    assert len(METERS) == 45
    told = {name for number, meter in METERS for name in recorded(number).expected[meter]}
    assert told <= {*TOLD, "note", "electrician"}


def test_who_certified_is_told() -> None:
    chain = recorded(1)
    judge = Judge(chain.evidence, chain.policy)
    told = {meter: e["electrician"] for meter, e in chain.expected.items() if "electrician" in e}
    assert len(told) > 5
    for meter, who in told.items():
        verdict = judge.verdict(meter)
        assert verdict.decided_by is not None
        assert verdict.decided_by.deciding is not None
        key = verdict.decided_by.deciding.key
        assert key is not None
        assert key.hex() == chain.keys[who]


def everything(evidences: dict[int, Evidence]) -> str:
    """All that is said of all meters, checks and warnings included, as JSON."""
    said = {}
    for number, evidence in evidences.items():
        judge = Judge(evidence, recorded(number).policy)
        for meter in recorded(number).expected:
            verdict = judge.verdict(meter)
            explained = {"checks": verdict.checks, "warnings": verdict.warnings, "work": verdict.work}
            said[meter] = {**dataclasses.asdict(verdict), **explained}
    return json.dumps(said, default=lambda value: value.hex() if isinstance(value, bytes) else repr(value))


@pytest.fixture(scope="module")
def usual() -> str:
    return everything({number: recorded(number).evidence for number in RECORDED})


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_evidence_changes_nothing(seed: int, usual: str) -> None:
    def shuffled(evidence: Evidence) -> Evidence:
        changes: dict[str, Any] = {}
        for name in ("transactions", "content"):
            items = list(getattr(evidence, name).items())
            random.Random(seed).shuffle(items)
            changes[name] = dict(items)
        return dataclasses.replace(evidence, **changes)

    assert everything({number: shuffled(recorded(number).evidence) for number in RECORDED}) == usual


@pytest.mark.parametrize(
    ("zone", "locale", "seed"),
    [("Pacific/Kiritimati", "C", "1"), ("America/St_Johns", "tr_TR.UTF-8", "4294967295")],
)
def test_time_zone_locale_and_hash_seed_change_nothing(zone: str, locale: str, seed: str, usual: str) -> None:
    here = Path(__file__).parent
    program = (
        "import test_recorded as t; print(t.everything({n: t.recorded(n).evidence for n in t.RECORDED}))"
    )
    environment = {
        **os.environ, "TZ": zone, "LC_ALL": locale, "LANG": locale, "PYTHONHASHSEED": seed,
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]), "PYTHONINTMAXSTRDIGITS": "640",
    }  # fmt: skip
    command = [sys.executable, "-W", "error", "-c", program]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == usual
