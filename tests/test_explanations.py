"""What a verdict says of itself: from when a key is withdrawn, what waits, what saved evidence was made for."""

from dataclasses import replace

import pytest
from made import METER, MadeChain, organised, said

from doitrust.trust.checks import warnings
from doitrust.trust.reports import Status


@pytest.fixture
def made() -> MadeChain:
    return organised("E1", "E2")


def last_detail(made: MadeChain) -> str:
    return made.judge(min_confirmations=1).writes[-1].detail


def withdrawn(since: int, signed: int) -> str:
    return f"its signer, withdrawn from height {since} on, signed at height {signed}: "


def test_a_late_certificate_names_the_withdrawal_s_height_and_its_own(made: MadeChain) -> None:
    since = made.height
    made.withdraw("E1", height=since)
    made.mine(3)
    made.certify("E1")
    assert last_detail(made).startswith(withdrawn(since, made.height))


def test_of_several_withdrawals_the_lowest_height_is_named(made: MadeChain) -> None:
    for height in (7, 3, 5):
        made.withdraw("E1", height=height)
    made.certify("E1")
    assert last_detail(made).startswith(withdrawn(3, made.height))


def test_a_withdrawal_before_a_reinstatement_is_not_named(made: MadeChain) -> None:
    made.withdraw("E1", height=2)
    made.reinstate("E1")
    made.withdraw("E1", height=6)
    made.certify("E1")
    assert last_detail(made).startswith(withdrawn(6, made.height))


def test_a_revocation_names_the_withdrawal_that_undid_it(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke("E2")
    height = made.height
    made.withdraw("E2", height=height - 1)
    made.withdraw("E2", height=height, voids=True)
    assert last_detail(made).startswith(withdrawn(height, height))


def test_a_revocation_after_the_withdrawal_names_it(made: MadeChain) -> None:
    made.withdraw("E2", height=4)
    made.revoke("E2")
    assert last_detail(made).startswith(withdrawn(4, made.height))


def test_certificates_that_wait_are_told_and_change_nothing(made: MadeChain) -> None:
    with made.mempool():
        made.write(f"bp/{METER}", b"{}", "E1")
        txids = {made.certify("E1"), made.certify("thief")}
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == ("unknown", None)
    assert set(verdict.waiting) == txids
    assert all(any(txid in warning for warning in warnings(verdict)) for txid in txids)


def test_a_flood_in_the_mempool_is_told_in_a_few_lines(made: MadeChain) -> None:
    with made.mempool():
        for _ in range(9):
            made.certify("thief")
    verdict = made.judge()
    assert len(verdict.waiting) == 9
    assert len(list(warnings(verdict))) == 3


def test_what_strangers_send_to_the_mempool_is_not_told_of_a_trusted_meter(made: MadeChain) -> None:
    made.certify("E1")
    made.mine(6)
    with made.mempool():
        made.certify("thief")
    verdict = made.judge()
    assert verdict.status is Status.TRUSTED
    assert list(warnings(verdict)) == []


def test_evidence_made_for_other_meters_names_them(made: MadeChain) -> None:
    made.certify("E1")
    covers = frozenset({f"bp/{METER}".encode(), b"bp/ABCD", b"bp_organization/Org"})
    evidence = replace(made.evidence(), covers=covers)
    assert made.judge(evidence=evidence).covered is None
    verdict = made.judge("WXYZ", evidence=evidence)
    assert said(verdict) == ("undetermined", "transaction_missing")
    assert verdict.covered == ("ABCD", METER)
    assert any(METER in warning and "ABCD" in warning for warning in warnings(verdict))
