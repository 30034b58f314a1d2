"""Links to organisations (formats.md «Links»): what `org share` makes and `org accept` asks about."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from doitrust.errors import BadData, Usage
from doitrust.orgs.names import check_name
from doitrust.orgs.pins import check_txid
from doitrust.text import visible

PREFIX = "doitrust:org/"
_MAX = 1000


class OrganisationLink(NamedTuple):
    """`doitrust:org/<percent-encoded name>?network=…&root=<txid>`."""

    name: str
    network: str
    root: str


def write_link(name: str, network: str, root: str) -> str:
    """Return the link to the organisation with this root."""
    return f"{PREFIX}{quote(name, safe='')}?network={network}&root={root}"


def read_link(text: str) -> OrganisationLink:
    """Read a link; raises `Usage` if it is damaged or lacks a part."""
    match = re.fullmatch(r"doitrust:org/([^?]+)\?(.+)", text) if len(text) <= _MAX else None
    try:
        if match is None:
            raise ValueError
        pairs = parse_qsl(match[2], strict_parsing=True, errors="strict")
        fields = dict(pairs)
        if len(fields) != len(pairs):  # two readers could take two different ones
            raise ValueError
        name = check_name(unquote(match[1], errors="strict"))
        return OrganisationLink(name, fields["network"], check_txid(fields["root"]))
    except (BadData, KeyError, ValueError):
        raise Usage(
            f"{visible(text, 80)!r} is no whole link to an organisation",
            hint=f"it looks like {PREFIX}<name>?network=mainnet&root=<txid>",
        ) from None
