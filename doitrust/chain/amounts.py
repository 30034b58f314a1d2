"""Amounts: schwartz inside, DOI wherever a person reads or types them."""

import re

from doitrust.chain.networks import SCHWARTZ_PER_DOI
from doitrust.errors import Usage
from doitrust.text import visible

#: src/amount.h
MAX_MONEY = 21_000_000 * SCHWARTZ_PER_DOI
_AMOUNT = re.compile(r"([0-9]{1,8})(?:\.([0-9]{1,8}))?", re.ASCII)


def doi(schwartz: int) -> str:
    """An amount in DOI with all its decimals: `0.01000000`."""
    whole, part = divmod(abs(schwartz), SCHWARTZ_PER_DOI)
    return f"{'-' if schwartz < 0 else ''}{whole}.{part:08}"


def parse_doi(text: str) -> int:
    """Read an amount in DOI, more than 0 and with at most 8 decimals; raises `Usage`."""
    match = _AMOUNT.fullmatch(text.strip())
    amount = 0
    if match is not None:
        amount = int(match[1]) * SCHWARTZ_PER_DOI + int((match[2] or "").ljust(8, "0"))
    if not 0 < amount <= MAX_MONEY:
        raise Usage(f"{visible(text, 40)!r} is no amount of DOI", hint="as in 0.5, with at most 8 decimals")
    return amount
