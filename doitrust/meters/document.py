"""Certificate documents, `doitrust-certificate/1`, on IPFS beside a record (formats.md). They decide nothing."""

from collections.abc import Sequence

import rfc8785

from doitrust.meters.pairing import Pairing

FORMAT = "doitrust-certificate/1"


def write_document(pairing: Pairing, seals: Sequence[str], photos: Sequence[str]) -> bytes:
    """Return the document's bytes (RFC 8785); `photos` are CIDs."""
    return rfc8785.dumps(
        {
            "format": FORMAT,
            "pairing": dict(pairing.document),
            "seals": list(seals),
            "photos": list(photos),
        }
    )
