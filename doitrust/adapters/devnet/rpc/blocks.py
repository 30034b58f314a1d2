"""Blocks (src/rpc/blockchain.cpp). A block that a reorganisation took away is forgotten, other than on a node."""

from typing import Any

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.rpc import show, wire
from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.values import INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, Number, RpcError
from doitrust.adapters.devnet.store import Session
from doitrust.chain.block import AuxPow, Block, Header, block_work
from doitrust.chain.networks import REGTEST

#: Height from which a rule holds (src/chainparams.cpp, CRegTestParams).
_SOFTFORKS = {
    "bip16": 0,
    "bip34": params.BIP34_HEIGHT,
    "bip66": params.BIP66_HEIGHT,
    "bip65": params.BIP65_HEIGHT,
    "csv": params.CSV_HEIGHT,
    "segwit": REGTEST.segwit_height,
}


def getblockcount(node: Node, _given: Params) -> Any:
    """The tip's height."""
    return node.devnet.tip().height


def getbestblockhash(node: Node, _given: Params) -> Any:
    """The tip's hash."""
    return node.devnet.tip().hash


def getdifficulty(node: Node, _given: Params) -> Any:
    """The tip's difficulty."""
    with node.devnet.session() as session:
        return _difficulty(_block(session, session.chain.tip().height).header.bits)


def getblockhash(node: Node, given: Params) -> Any:
    """The hash at a height."""
    height = given.integer(0)
    with node.devnet.session() as session:
        found = session.chain.hash_at(height) if height >= 0 else None
    if found is None:
        raise RpcError(INVALID_PARAMETER, "Block height out of range")
    return found


def getblockheader(node: Node, given: Params) -> Any:
    """A header, with its AuxPoW if it is raw."""
    block_hash = given.digest(0, "hash")
    verbose = given.boolean(1, True)
    with node.devnet.session() as session:
        height = found(session, block_hash)
        block = _block(session, height)
        if not verbose:
            return header_bytes(block).hex()
        return {**_head(session, block.header, height), **_tail(session, block, height)}


def getblock(node: Node, given: Params) -> Any:
    """A block: raw (0), with txids (1) or with transactions (2)."""
    block_hash = given.digest(0, "blockhash")
    verbosity = 1
    if given.has(1):
        verbosity = given.integer(1) if isinstance(given[1], Number) else int(given.boolean(1, True))
    with node.devnet.session() as session:
        height = found(session, block_hash)
        block = _block(session, height)
        if verbosity <= 0:
            return block.serialize().hex()
        shown = _head(session, block.header, height)
        tail = _tail(session, block, height)
    size = len(block.serialize())
    stripped = size - sum(len(tx.raw) - tx.stripped_size for tx in block.transactions)
    sizes = {"strippedsize": stripped, "size": size, "weight": 3 * stripped + size}
    details = [show.transaction(tx, with_hex=True) if verbosity > 1 else tx.txid for tx in block.transactions]
    auxpow = {} if block.auxpow is None else {"auxpow": _auxpow(block.auxpow)}
    # In the node's order.
    return {
        **{key: shown.pop(key) for key in ("hash", "confirmations")},
        **sizes,
        **{key: shown.pop(key) for key in ("height", "version", "versionHex", "merkleroot")},
        "tx": details,
        **shown,
        "nTx": tail.pop("nTx"),
        **auxpow,
        **tail,
    }


def getblockchaininfo(node: Node, _given: Params) -> Any:
    """The chain's state."""
    with node.devnet.session() as session:
        tip = session.chain.tip()
        bits = _block(session, tip.height).header.bits
        median = session.chain.median_time(tip.height)
        size = session.chain.size_of_blocks()
    return {
        "chain": REGTEST.name,
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": tip.hash,
        "difficulty": _difficulty(bits),
        "mediantime": median,
        "verificationprogress": 1,
        "initialblockdownload": False,
        "chainwork": f"{tip.work:064x}",
        "size_on_disk": size,
        "pruned": False,
        "softforks": {
            name: {"type": "buried", "active": tip.height + 1 >= height, "height": height}
            for name, height in _SOFTFORKS.items()
        },
        "warnings": "",
    }


def found(session: Session, block_hash: str, message: str = "Block not found") -> int:
    """Return a block's height; raises `RpcError`."""
    height = session.chain.height_of(block_hash)
    if height is None:
        raise RpcError(INVALID_ADDRESS_OR_KEY, message)
    return height


def header_bytes(block: Block) -> bytes:
    """The header as it is sent: with the AuxPoW (src/primitives/block.h, CBlockHeader)."""
    after = wire.compact(len(block.transactions)) + b"".join(tx.raw for tx in block.transactions)
    return block.serialize()[: -len(after)]


def _block(session: Session, height: int) -> Block:
    return Block.parse(session.chain.block(height) or b"")


def _difficulty(bits: int) -> Number:
    """GetDifficulty, with as many digits as the node writes (src/univalue/lib/univalue.cpp, setFloat)."""
    return Number(f"{0xFFFF / (bits & 0xFFFFFF) * 256.0 ** (29 - (bits >> 24)):.16g}")


def _head(session: Session, header: Header, height: int) -> dict[str, Any]:
    """What blockheaderToJSON and blockToJSON share, up to the work."""
    version = header.version - 2**32 if header.version >= 2**31 else header.version
    return {
        "hash": header.hash,
        "confirmations": session.chain.tip().height - height + 1,
        "height": height,
        "version": version,
        "versionHex": f"{header.version:08x}",
        "merkleroot": header.merkle_root[::-1].hex(),
        "time": header.time,
        "mediantime": session.chain.median_time(height),
        "nonce": header.nonce,
        "bits": f"{header.bits:08x}",
        "difficulty": _difficulty(header.bits),
        "chainwork": f"{session.chain.work_below(height) + block_work(header.bits):064x}",
    }


def _tail(session: Session, block: Block, height: int) -> dict[str, Any]:
    """What stands at the end."""
    shown: dict[str, Any] = {"nTx": len(block.transactions)}
    if height > 0:
        shown["previousblockhash"] = block.header.prev
    after = session.chain.hash_at(height + 1)
    return shown if after is None else {**shown, "nextblockhash": after}


def _auxpow(auxpow: AuxPow) -> dict[str, Any]:
    """AuxpowToJSON."""
    raw = auxpow.coinbase.raw.hex()
    shown = {"hex": raw, **show.transaction(auxpow.coinbase, with_hex=False)}
    return {
        "tx": {**shown, "blockhash": auxpow.parent.hash},
        "chainindex": auxpow.chain_branch.index,
        "merklebranch": [node[::-1].hex() for node in auxpow.coinbase_branch.hashes],
        "chainmerklebranch": [node[::-1].hex() for node in auxpow.chain_branch.hashes],
        "parentblock": auxpow.parent.raw.hex(),
    }


COMMANDS = {
    "getbestblockhash": Command("blockchain", getbestblockhash),
    "getblock": Command("blockchain", getblock, ("blockhash", "verbosity|verbose"), 1),
    "getblockchaininfo": Command("blockchain", getblockchaininfo),
    "getblockcount": Command("blockchain", getblockcount),
    "getblockhash": Command("blockchain", getblockhash, ("height",), 1),
    "getblockheader": Command("blockchain", getblockheader, ("blockhash", "verbose"), 1),
    "getdifficulty": Command("blockchain", getdifficulty),
}
