"""Links to meters, for stickers and mail (formats.md «Links»). They name a meter; they never pin anything."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from doitrust.errors import Usage
from doitrust.meters.number import meter_number
from doitrust.text import visible

PREFIX = "doitrust:meter/"
_MAX = 1000


class MeterLink(NamedTuple):
    """`doitrust:meter/<number>?network=…&org=<percent-encoded>`; what it doesn't say is None."""

    meter: str
    network: str | None
    organization: str | None


def write_link(meter: str, network: str, organization: str) -> str:
    """Return the link to `meter`."""
    return f"{PREFIX}{meter}?network={network}&org={quote(organization, safe='')}"


def read_meter(text: str) -> MeterLink:
    """Read a meter number or a link to one; raises `Usage` for anything else."""
    if not text.startswith("doitrust:"):
        return MeterLink(meter_number(text), None, None)
    match = re.fullmatch(r"doitrust:meter/([^?]*)(?:\?(.*))?", text) if len(text) <= _MAX else None
    if match is None:
        raise Usage(
            f"{visible(text, 80)!r} is no link to a meter", hint=f"it looks like {PREFIX}1EMH0012345678"
        )
    try:
        pairs = parse_qsl(match[2] or "", strict_parsing=bool(match[2]), errors="strict")
        fields = dict(pairs)
        if len(fields) != len(pairs):  # two readers could take two different ones
            raise ValueError
        return MeterLink(meter_number(unquote(match[1])), fields.get("network"), fields.get("org"))
    except ValueError:
        raise Usage(f"{visible(text, 80)!r} is a damaged link") from None
