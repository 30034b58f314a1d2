"""Transactions: reading, sending, trying out (src/rpc/rawtransaction.cpp, src/node/transaction.cpp).

With `-txindex`, so to say: every transaction of the chain is found.
"""

from collections.abc import Sequence
from typing import Any

from doitrust.adapters.devnet.policy import MAX_FEE_RATE
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.rpc import show, wire
from doitrust.adapters.devnet.rpc.blocks import found, header_bytes
from doitrust.adapters.devnet.rpc.call import Command, Node, Params
from doitrust.adapters.devnet.rpc.values import (
    ALREADY_IN_CHAIN,
    DESERIALIZATION_ERROR,
    INVALID_ADDRESS_OR_KEY,
    INVALID_PARAMETER,
    VERIFY_ERROR,
    VERIFY_REJECTED,
    Amount,
    Number,
    RpcError,
    as_amount,
    as_hash,
    as_text,
    is_hex,
)
from doitrust.adapters.devnet.store import Session
from doitrust.adapters.devnet.view import MEMPOOL_HEIGHT
from doitrust.chain.address import sha256
from doitrust.chain.block import Block
from doitrust.chain.tx import Transaction

_MISSING = "bad-txns-inputs-missingorspent"
_GENESIS_COINBASE = (
    "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved"
)
_IN_BLOCK = "No such transaction found in the provided block"
_NOWHERE = "No such mempool or blockchain transaction"
#: Reasons after which the node says more, and so do we, in its words where these are but numbers; with all others
#: what we say is dropped. All reasons of names (`names.py`) are of this kind.
_EXPLAINED = frozenset(
    {
        *("min relay fee not met", "absurdly-high-fee", "bad-txns-too-many-sigops"),
        *("bad-txns-in-belowout", "bad-txns-premature-spend-of-coinbase"),
        *("insufficient fee", "replacement-adds-unconfirmed", "bad-txns-spends-conflicting-tx"),
    }
)
_FORMS = frozenset({"tx-size", "tx-size-small"})
_SCRIPT_REASONS = frozenset({"mandatory-script-verify-flag-failed", "non-mandatory-script-verify-flag"})


def getrawtransaction(node: Node, given: Params) -> Any:
    """A transaction, raw or as JSON, from the mempool, the chain or the block that is named."""
    txid = given.digest(0, "parameter 1")
    verbose = False
    if given.has(1):
        verbose = given.integer(1) != 0 if isinstance(given[1], Number) else given.boolean(1, False)
    with node.devnet.session() as session:
        if txid == _block(session, 0).transactions[0].txid:
            raise RpcError(INVALID_ADDRESS_OR_KEY, _GENESIS_COINBASE)
        inside = None
        if given.has(2):
            inside = found(session, given.digest(2, "parameter 3"), "Block hash not found")
        tx, height = _find(session, txid, inside)
        if tx is None:
            why = _NOWHERE if inside is None else _IN_BLOCK
            raise RpcError(INVALID_ADDRESS_OR_KEY, f"{why}. Use gettransaction for wallet transactions.")
        if not verbose:
            return tx.raw.hex()
        shown = {} if inside is None else {"in_active_chain": True}
        return {**shown, **show.transaction(tx, with_hex=True), **_position(session, height)}


def decoderawtransaction(_node: Node, given: Params) -> Any:
    """A transaction as JSON."""
    given.check("string", "bool")
    witness = given.boolean(1, True)
    bare = not given.boolean(1, False)
    tx = _decoded(given.text(0), bare=bare, witness=witness)
    return show.transaction(tx, with_hex=False)


def sendrawtransaction(node: Node, given: Params) -> Any:
    """Take a transaction into the mempool; with automine it is in a block when the answer comes."""
    given.check("string", "")
    tx = _decoded(given.text(0))
    rate = as_amount(given[1]) if given.has(1) else MAX_FEE_RATE
    try:
        return node.devnet.broadcast(tx.raw, max_fee_rate=rate)
    except Rejected as why:
        if why.code == "txn-already-known":
            raise RpcError(ALREADY_IN_CHAIN, "Transaction already in block chain") from None
        code = VERIFY_ERROR if why.code == _MISSING else VERIFY_REJECTED
        raise RpcError(code, _reason(why, detailed=True)) from None


def testmempoolaccept(node: Node, given: Params) -> Any:
    """Whether the mempool would take a transaction."""
    given.check("array", "")
    raws = given.array(0)
    if len(raws) != 1:
        raise RpcError(INVALID_PARAMETER, "Array must contain exactly one raw transaction for now")
    tx = _decoded(as_text(raws[0]))
    rate = as_amount(given[1]) if given.has(1) else MAX_FEE_RATE
    with node.devnet.session() as session:
        try:
            fee = _try(session, tx, rate)
        except Rejected as why:
            reason = "missing-inputs" if why.code == _MISSING else _reason(why, detailed=False)
            return [{"txid": tx.txid, "allowed": False, "reject-reason": reason}]
    size = tx.vsize
    return [{"txid": tx.txid, "allowed": True, "vsize": size, "fees": {"base": Amount(fee)}}]


def gettxout(node: Node, given: Params) -> Any:
    """A coin, or null; by default as the mempool leaves it."""
    outpoint = given.digest(0, "txid"), given.integer(1) % 2**32
    mempool = given.boolean(2, True)
    with node.devnet.session() as session:
        coin = (session.pool if mempool else session.chain).coin(outpoint)
        tip = session.chain.tip()
    if coin is None:
        return None
    return {
        "bestblock": tip.hash,
        "confirmations": 0 if coin.height == MEMPOOL_HEIGHT else tip.height - coin.height + 1,
        "value": Amount(coin.value),
        "scriptPubKey": show.script_pub_key(coin.script),
        "coinbase": coin.coinbase,
    }


def gettxoutproof(node: Node, given: Params) -> Any:
    """A proof that transactions stand in a block: its header, and the part of the merkle tree."""
    txids: list[str] = []
    for value in given.array(0):
        txid = as_hash(value, "txid")
        if txid in txids:
            raise RpcError(INVALID_PARAMETER, f"Invalid parameter, duplicated txid: {value}")
        txids.append(txid)
    with node.devnet.session() as session:
        block = _block(session, _proven_at(session, txids, given))
    if not set(txids) <= {tx.txid for tx in block.transactions}:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Not all transactions found in specified or retrieved block")
    return (header_bytes(block) + _partial_tree(block, set(txids))).hex()


def _decoded(text: str, *, bare: bool = False, witness: bool = True) -> Transaction:
    tx = wire.decode(bytes.fromhex(text), bare=bare, witness=witness) if is_hex(text) else None
    if tx is None:
        raise RpcError(DESERIALIZATION_ERROR, "TX decode failed")
    return tx


def _find(session: Session, txid: str, inside: int | None) -> tuple[Transaction | None, int | None]:
    """Return the transaction and its height: one in the mempool has none."""
    if inside is None:
        waiting = session.pool.transaction(txid)
        if waiting is not None:
            return waiting, None
        heights = session.chain.heights(txid)
        if not heights:
            return None, None
        inside = heights[-1]  # the index keeps the last one
    for tx in _block(session, inside).transactions:
        if tx.txid == txid:
            return tx, inside
    return None, None


def _position(session: Session, height: int | None) -> dict[str, Any]:
    """The block's fields of a transaction (TxToJSON)."""
    if height is None:
        return {}
    header = _block(session, height).header
    confirmations = session.chain.tip().height - height + 1
    times = {"time": header.time, "blocktime": header.time}
    return {"blockhash": header.hash, "confirmations": confirmations, **times}


def _block(session: Session, height: int) -> Block:
    return Block.parse(session.chain.block(height) or b"")


def _try(session: Session, tx: Transaction, rate: int) -> int:
    """Return the fee of a transaction that the mempool would take; raises `Rejected`."""
    if session.pool.transaction(tx.txid) is not None:
        raise Rejected("txn-already-in-mempool")
    try:
        return session.pool.check(tx, relay=True, max_fee_rate=rate).fee
    except Rejected as why:
        if why.code == _MISSING and session.chain.made_by(tx.txid):
            raise Rejected("txn-already-known") from None
        raise


def _reason(why: Rejected, *, detailed: bool) -> str:
    """The reason as the node words it (ValidationState::ToString)."""
    if why.code in _SCRIPT_REASONS:
        return f"{why.code} ({why.detail.partition(': ')[2]})"
    of_names = why.code.startswith("tx-") and why.code not in _FORMS
    if detailed and (why.code in _EXPLAINED or of_names):
        return f"{why.code}, {why.detail.removesuffix(' schwartz')}"
    return why.code


def _proven_at(session: Session, txids: Sequence[str], given: Params) -> int:
    """Return the height of the block that shall hold `txids`."""
    if given.has(1):
        return found(session, given.digest(1, "blockhash"))
    for txid in sorted(txids, key=lambda txid: bytes.fromhex(txid)[::-1]):
        heights = session.chain.made_by(txid)
        if heights:
            return heights[0]
    heights = session.chain.heights(txids[-1]) if txids else []
    if not heights:
        raise RpcError(INVALID_ADDRESS_OR_KEY, "Transaction not yet in block")
    return heights[-1]


def _partial_tree(block: Block, wanted: set[str]) -> bytes:
    """Serialise the partial merkle tree (src/merkleblock.cpp, CPartialMerkleTree)."""
    hashes = [bytes.fromhex(tx.txid)[::-1] for tx in block.transactions]
    levels = [hashes]
    matches = [[tx.txid in wanted for tx in block.transactions]]
    while len(levels[-1]) > 1:
        below, marks = levels[-1], matches[-1]
        pairs = range(0, len(below), 2)
        # The last of an odd number stands for two.
        levels.append([sha256(sha256(below[at] + below[min(at + 1, len(below) - 1)])) for at in pairs])
        matches.append([any(marks[at : at + 2]) for at in pairs])
    bits: list[bool] = []
    kept: list[bytes] = []

    def walk(level: int, at: int) -> None:
        bits.append(matches[level][at])
        if level == 0 or not matches[level][at]:
            kept.append(levels[level][at])
            return
        for child in (2 * at, 2 * at + 1):
            if child < len(levels[level - 1]):
                walk(level - 1, child)

    walk(len(levels) - 1, 0)
    packed = bytes(
        sum(bit << place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
    )
    count = len(hashes).to_bytes(4, "little") + wire.compact(len(kept))
    return count + b"".join(kept) + wire.compact(len(packed)) + packed


COMMANDS = {
    "decoderawtransaction": Command("rawtransactions", decoderawtransaction, ("hexstring", "iswitness"), 1),
    "getrawtransaction": Command("rawtransactions", getrawtransaction, ("txid", "verbose", "blockhash"), 1),
    "gettxout": Command("blockchain", gettxout, ("txid", "n", "include_mempool"), 2),
    "gettxoutproof": Command("blockchain", gettxoutproof, ("txids", "blockhash"), 1),
    "sendrawtransaction": Command("rawtransactions", sendrawtransaction, ("hexstring", "maxfeerate"), 1),
    "testmempoolaccept": Command("rawtransactions", testmempoolaccept, ("rawtxs", "maxfeerate"), 1),
}
