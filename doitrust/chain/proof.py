"""Proofs that transactions stand in a block: its header and part of its merkle tree (BIP 37; src/merkleblock.h)."""

from io import BytesIO
from typing import NamedTuple

from btclib.block.partial_merkle_tree import PartialMerkleTree
from btclib.exceptions import BTClibException

from doitrust.chain.block import HEADER_SIZE, VERSION_AUXPOW, Header, read_auxpow
from doitrust.errors import BadData

#: A proof of one transaction in the largest block takes about 1 KiB, an AuxPoW as much, a parent's coinbase more; one
#: of all 16,000 transactions that fit takes half a megabyte.
MAX_PROOF = 1024 * 1024


class Proof(NamedTuple):
    """A block's header, and the positions of the transactions that the proof is about, by txid as displayed."""

    header: Header
    positions: dict[str, int]


def read_proof(raw: bytes) -> Proof:
    """Read the answer of `gettxoutproof`, to its last byte; raises `BadData` unless the header commits to it.

    Whether the header is one of the chain's is for the caller to find out.
    """
    if len(raw) > MAX_PROOF:
        raise BadData(f"a proof of {len(raw)} bytes (the most is {MAX_PROOF})")
    stream = BytesIO(raw)
    header = Header.parse(stream.read(HEADER_SIZE))
    if header.version & VERSION_AUXPOW:
        read_auxpow(stream)
    try:
        tree = PartialMerkleTree.parse(stream)
        root, matches = tree.merkle_root, tree.matches
    except BTClibException as error:
        raise BadData(f"a proof that can't be read: {error}") from None
    if stream.read(1):
        raise BadData("a proof with trailing bytes")
    if root[::-1] != header.merkle_root:
        raise BadData("a proof of another block than its header's")
    positions = {txid.hex(): position for position, txid in matches}
    if len(positions) < len(matches):
        raise BadData("a proof of the same transaction twice")
    return Proof(header, positions)
