"""Proof of work: a block's own, or that of a parent block (merged mining, AuxPoW). Pure.

Source: src/validation.cpp (CheckProofOfWork of a header), src/pow.cpp, src/auxpow.cpp (CAuxPow::check). That a
block names the target which the blocks before it demand is *not* checked, because the node doesn't either: the
comparison in ContextualCheckBlockHeader is commented out.
"""

from hashlib import sha256

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.reject import Rejected
from doitrust.chain.block import VERSION_AUXPOW, AuxPow, Block, Branch

_VERSION_CHAIN_START = 1 << 16
_MERGED_MINING_HEADER = b"\xfa\xbemm"
_MAX_CHAIN_BRANCH = 30


def chain_id(version: int) -> int:
    """Return the merged-mining id in a version field (CPureBlockHeader::GetChainId; the field is signed)."""
    return version // _VERSION_CHAIN_START if version < 2**31 else -1


def target(bits: int) -> int:
    """Return the target that `bits` writes compactly, or 0 for one that no block may have (arith_uint256)."""
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000:
        return 0
    found = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    return found if found <= params.POW_LIMIT else 0


def meets(block_hash: str, bits: int) -> bool:
    """Whether a hash (as displayed) is at most the target of `bits`."""
    limit = target(bits)
    return limit > 0 and int(block_hash, 16) <= limit


def check_work(block: Block) -> None:
    """Check the work behind `block`; raises `Rejected`, always `high-hash`, as the node does."""
    header, auxpow = block.header, block.auxpow
    # Version 1 is a legacy block's and has no id; `connect.py` refuses it for its own reason.
    if header.version != 1 and chain_id(header.version) != params.CHAIN_ID:
        raise _bad(f"chain id {chain_id(header.version)}")
    if auxpow is None:
        if not meets(header.hash, header.bits):
            raise _bad("proof of work failed")
        return
    if auxpow.parent.version & VERSION_AUXPOW:
        raise _bad("the parent block has an AuxPoW version")
    if not meets(auxpow.parent.hash, header.bits):
        raise _bad("the parent block's proof of work failed")
    why = _auxpow_fault(auxpow, header.hash, chain_id(header.version))
    if why:
        raise _bad(why)


def _auxpow_fault(auxpow: AuxPow, block_hash: str, own_id: int) -> str:
    """Return what is wrong with how the parent block commits to `block_hash`, or an empty text."""
    if chain_id(auxpow.parent.version) == own_id:
        return "the parent block has our chain id"
    if len(auxpow.chain_branch.hashes) > _MAX_CHAIN_BRANCH:
        return "the chain merkle branch is too long"
    # The coinbase's own index isn't read: it is the first transaction.
    coinbase = Branch(auxpow.coinbase_branch.hashes, 0)
    if _root(bytes.fromhex(auxpow.coinbase.txid)[::-1], coinbase) != auxpow.parent.merkle_root:
        return "the parent block's merkle root doesn't fit"
    if not auxpow.coinbase.inputs:
        return "the parent block's coinbase has no inputs"
    root = _root(bytes.fromhex(block_hash)[::-1], auxpow.chain_branch)[::-1]
    return _commitment_fault(auxpow.coinbase.inputs[0].script_sig, root, auxpow.chain_branch, own_id)


def _commitment_fault(script: bytes, root: bytes, branch: Branch, own_id: int) -> str:
    """Check that the coinbase's `script` names `root` once, at its place, with the size and slot of its tree."""
    at, header = script.find(root), script.find(_MERGED_MINING_HEADER)
    if at < 0:
        return "the parent block's coinbase doesn't name this block"
    if header >= 0:
        if script.find(_MERGED_MINING_HEADER, header + 1) >= 0:
            return "several merged mining headers"
        if header + len(_MERGED_MINING_HEADER) != at:
            return "the merged mining header is not just before the root"
    elif at > 20:
        return "the root starts too late in the parent block's coinbase"
    tail = script[at + len(root) :]
    if len(tail) < 8:
        return "the size and nonce of the chain merkle tree are missing"
    height = len(branch.hashes)
    if int.from_bytes(tail[:4], "little") != 1 << height:
        return "the size of the chain merkle tree doesn't fit"
    if branch.index != _slot(int.from_bytes(tail[4:8], "little"), own_id, height):
        return "the wrong slot in the chain merkle tree"
    return ""


def _slot(nonce: int, own_id: int, height: int) -> int:
    """Return the slot that a chain must use in a tree of 2^height (CAuxPow::getExpectedIndex)."""
    number = nonce * 1103515245 + 12345 + own_id
    return (number * 1103515245 + 12345) % (1 << height)


def _root(leaf: bytes, branch: Branch) -> bytes:
    """Return the root above `leaf`; an index of -1 gives zeros (CAuxPow::CheckMerkleBranch)."""
    if branch.index == 0xFFFFFFFF:
        return bytes(32)
    index = branch.index
    for other in branch.hashes:
        pair = other + leaf if index & 1 else leaf + other
        leaf = sha256(sha256(pair).digest()).digest()
        index >>= 1
    return leaf


def _bad(detail: str) -> Rejected:
    return Rejected("high-hash", detail)
