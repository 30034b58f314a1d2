"""Blocks with their AuxPoW (merged mining; src/auxpow.h, src/primitives/block.h)."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from btclib import var_int
from btclib.exceptions import BTClibException

from doitrust.chain.tx import Transaction
from doitrust.chain.wire import hash256
from doitrust.errors import BadData

HEADER_SIZE = 80
#: Version bit that says an AuxPoW follows the header (src/primitives/pureheader.h, VERSION_AUXPOW).
VERSION_AUXPOW = 0x100
#: A serialized block can't be larger (src/consensus/consensus.h, MAX_BLOCK_SERIALIZED_SIZE).
MAX_BLOCK_SIZE = 4_000_000


@dataclass(frozen=True, slots=True)
class Header:
    """The 80 bytes every node hashes. `prev` is as displayed (hex); `merkle_root` in wire order."""

    raw: bytes
    version: int
    prev: str
    merkle_root: bytes
    time: int
    bits: int
    nonce: int

    @classmethod
    def parse(cls, raw: bytes) -> "Header":
        """Parse exactly 80 bytes; raises `BadData` otherwise."""
        if len(raw) != HEADER_SIZE:
            raise BadData("a block header is 80 bytes")
        word = [int.from_bytes(raw[at : at + 4], "little") for at in (0, 68, 72, 76)]
        return cls(raw, word[0], raw[4:36][::-1].hex(), raw[36:68], word[1], word[2], word[3])

    @property
    def hash(self) -> str:
        """The block's hash as displayed."""
        return hash256(self.raw)[::-1].hex()


@dataclass(frozen=True, slots=True)
class Branch:
    """A merkle branch: hashes in wire order and the index as its 4 bytes say, unsigned."""

    hashes: tuple[bytes, ...]
    index: int


@dataclass(frozen=True, slots=True)
class AuxPow:
    """Proof that a parent block's work covers this header."""

    coinbase: Transaction
    parent_hash: bytes
    coinbase_branch: Branch
    chain_branch: Branch
    parent: Header


@dataclass(frozen=True, slots=True)
class Block:
    """A parsed block; `serialize` gives back its exact bytes."""

    header: Header
    auxpow: AuxPow | None
    transactions: tuple[Transaction, ...]

    @classmethod
    def parse(cls, raw: bytes) -> "Block":
        """Parse exactly one block; raises `BadData` for cut, trailing or non-canonical bytes."""
        if len(raw) > MAX_BLOCK_SIZE:
            raise BadData(f"a block of {len(raw)} bytes (the most is {MAX_BLOCK_SIZE})")
        stream = BytesIO(raw)
        header = Header.parse(_take(stream, HEADER_SIZE))
        auxpow = read_auxpow(stream) if header.version & VERSION_AUXPOW else None
        transactions = tuple(Transaction.read_from(stream) for _ in range(_count(stream)))
        if stream.tell() != len(raw):
            raise BadData("a block with trailing bytes")
        return cls(header, auxpow, transactions)

    def serialize(self) -> bytes:
        """Return the block's bytes."""
        parts = [self.header.raw]
        if self.auxpow is not None:
            aux = self.auxpow
            parts += [aux.coinbase.raw, aux.parent_hash]
            for branch in (aux.coinbase_branch, aux.chain_branch):
                parts += [var_int.serialize(len(branch.hashes)), *branch.hashes]
                parts.append(branch.index.to_bytes(4, "little"))
            parts.append(aux.parent.raw)
        parts.append(var_int.serialize(len(self.transactions)))
        parts += [transaction.raw for transaction in self.transactions]
        return b"".join(parts)


def block_work(bits: int) -> int:
    """Return how many hashes a block with the compact target `bits` takes on average (src/chain.cpp, GetBlockProof).

    0 for a target that no block can have.
    """
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000 or exponent > 34:
        return 0
    target = mantissa << 8 * (exponent - 3) if exponent >= 3 else mantissa >> 8 * (3 - exponent)
    return (1 << 256) // (target + 1) if 0 < target < 1 << 256 else 0


def merkle_root(hashes: Sequence[bytes]) -> tuple[bytes, bool]:
    """Return the merkle root over hashes in wire order, and whether the tree was mutated.

    A level whose neighbours are equal allows a second list with the same root (CVE-2012-2459,
    src/consensus/merkle.cpp); such a block must not be accepted.
    """
    level = list(hashes)
    mutated = False
    while len(level) > 1:
        mutated = mutated or any(level[i] == level[i + 1] for i in range(0, len(level) - 1, 2))
        if len(level) % 2:
            level.append(level[-1])
        level = [hash256(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
    return (level[0] if level else bytes(32)), mutated


def read_auxpow(stream: BytesIO) -> AuxPow:
    """Read the AuxPoW that follows a header; raises `BadData`."""
    coinbase = Transaction.read_from(stream, witness=False)
    parent_hash = _take(stream, 32)
    branches = []
    for _ in range(2):
        hashes = tuple(_take(stream, 32) for _ in range(_count(stream)))
        branches.append(Branch(hashes, int.from_bytes(_take(stream, 4), "little")))
    return AuxPow(coinbase, parent_hash, branches[0], branches[1], Header.parse(_take(stream, HEADER_SIZE)))


def _take(stream: BytesIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise BadData("the block ends early")
    return data


def _count(stream: BytesIO) -> int:
    try:
        return var_int.parse(stream)
    except BTClibException as error:
        raise BadData(f"a bad count in a block: {error}") from None
