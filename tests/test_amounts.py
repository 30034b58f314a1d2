"""Amounts: DOI as people type and read them, schwartz inside, and nothing in between."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import attempt, refusal

from doitrust.chain.amounts import MAX_MONEY, doi, parse_doi
from doitrust.errors import Usage


@pytest.mark.parametrize(
    ("text", "schwartz"),
    [
        ("1", 10**8),
        ("0.5", 5 * 10**7),
        ("0.00000001", 1),
        ("0.1", 10**7),
        ("00000001.50000000", 15 * 10**7),
        ("20999999.99999999", MAX_MONEY - 1),
        ("21000000", MAX_MONEY),
        (" 1 \n", 10**8),
        ("1\u00a0", 10**8),
    ],
)
def test_amounts_are_exact(text: str, schwartz: int) -> None:
    assert parse_doi(text) == schwartz


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "0", "0.0", "0.00000000", "-1", "+1", "1.", ".5", "1,5", "1e3", "1E-3", "0x10", "1_000", "1 000",
        "0.000000001", "0.123456789", "21000000.00000001", "99999999", "100000000", "nan", "inf", "\u0661",
        "1\u066b5", "½", "1\x00", "\u202e1", "1" * 5000, "1DOI", "1.2.3", "--1",
    ],
)  # fmt: skip
def test_what_is_no_amount_is_a_mistake_of_use_in_one_short_line(text: str) -> None:
    assert "DOI" in refusal(parse_doi, text, kind=Usage, most=120)


@pytest.mark.parametrize(
    ("schwartz", "text"),
    [
        (0, "0.00000000"),
        (1, "0.00000001"),
        (-1, "-0.00000001"),
        (-150_000_000, "-1.50000000"),
        (10**8, "1.00000000"),
        (MAX_MONEY, "21000000.00000000"),
        (10**20, "1000000000000.00000000"),
    ],
)
def test_amounts_are_told_with_all_their_decimals(schwartz: int, text: str) -> None:
    assert doi(schwartz) == text


@given(st.integers(1, MAX_MONEY))
def test_what_is_told_is_read_again(schwartz: int) -> None:
    assert parse_doi(doi(schwartz)) == schwartz
    assert Decimal(doi(schwartz)) * 10**8 == schwartz


@given(st.integers(-(10**18), 10**18))
def test_what_is_told_is_the_number(schwartz: int) -> None:
    assert Decimal(doi(schwartz)) * 10**8 == schwartz


@given(st.text(max_size=20))
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    amount = attempt(parse_doi, text, kind=Usage)
    if amount is not None:
        assert 0 < amount <= MAX_MONEY
        assert Decimal(text.strip()) * 10**8 == amount
