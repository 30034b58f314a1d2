"""CARs, version 1: blocks one after the other, as IPFS nodes take and give them (ipld.io/specs/transport/car/carv1)."""

from collections.abc import Iterable, Iterator

from doitrust.content.cid import Cid, varint


def car_of(root: Cid, blocks: Iterable[tuple[Cid, bytes]]) -> Iterator[bytes]:
    """Yield the CAR whose only root is `root`: its header, then each block in the order given."""
    # DAG-CBOR, {"roots": [root], "version": 1}: a CID is tag 42 with its bytes behind a zero byte.
    cid = b"\0" + root.binary
    header = b"\xa2\x65roots\x81\xd8\x2a\x58" + bytes([len(cid)]) + cid + b"\x67version\x01"
    yield varint(len(header)) + header
    for each, block in blocks:
        yield varint(len(each.binary) + len(block)) + each.binary + block
