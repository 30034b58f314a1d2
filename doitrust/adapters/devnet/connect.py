"""What the chain accepts of a block, and what a block changes.

Pure. Source: src/validation.cpp (CheckBlock, ContextualCheckBlockHeader, ContextualCheckBlock, ConnectBlock),
and the files named in `rules.py`, `names.py` and `work.py`. Left out: that a block's time is at most two hours
ahead of the clock, because a recorded chain must load whatever the clock says; and the checkpoints, of which
regtest has only a wrong one for block 0.
"""

from collections.abc import Sequence
from hashlib import sha256

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.names import expiring_coins
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.rules import (
    Next,
    apply,
    check_form,
    check_scripts,
    check_transaction,
    is_final,
)
from doitrust.adapters.devnet.view import Overlay, View
from doitrust.adapters.devnet.work import check_work
from doitrust.chain.block import Block, merkle_root
from doitrust.chain.engine import Spend
from doitrust.chain.names import NAME_TX_VERSION
from doitrust.chain.scripts import OP_1, push
from doitrust.chain.tx import Transaction

#: How the output begins in which a coinbase commits to the witnesses (BIP 141).
WITNESS_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"
#: The most transaction ids and names that a block may touch (CheckDbLockLimit).
MAX_LOCKS = 4500


def connect(block: Block, at: Next, view: View) -> Overlay:
    """Check `block` as the next one and return what it changes; raises `Rejected`.

    The genesis block is not for this: its coinbase makes no coin.
    """
    check_work(block)
    _check_header(block, at)
    size = len(block.serialize())  # header and AuxPoW count
    stripped = size - sum(len(tx.raw) - tx.stripped_size for tx in block.transactions)
    _check_block(block, stripped)
    cutoff = at.median_time if at.height >= params.CSV_HEIGHT else block.header.time
    if not all(is_final(tx, at.height, cutoff) for tx in block.transactions):
        raise Rejected("bad-txns-nonfinal", "non-final transaction")
    _check_coinbase_height(block.transactions[0], at.height)
    _check_witnesses(block.transactions)
    if 3 * stripped + size > params.MAX_BLOCK_WEIGHT:
        raise Rejected("bad-blk-weight", "weight limit failed")
    return _connect_transactions(block.transactions, at, view)


def height_push(height: int) -> bytes:
    """Return how a coinbase's scriptSig begins: its height as a script pushes it (BIP 34)."""
    if 1 <= height <= 16:
        return bytes([OP_1 + height - 1])
    return push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def witness_commitment(witness_hashes: Sequence[bytes], reserved: bytes) -> bytes:
    """Return the 32 bytes that commit to the witnesses (BIP 141).

    `witness_hashes` are those of all transactions but the coinbase, in wire order, `reserved` is the coinbase's
    witness.
    """
    root, _ = merkle_root([bytes(32), *witness_hashes])
    return sha256(sha256(root + reserved).digest()).digest()


def lock_ids(tx: Transaction) -> set[str]:
    """Return what a transaction adds to the ids counted against `MAX_LOCKS`, its name standing for itself."""
    ids = {tx.txid, *(spent.txid for spent in tx.inputs)}
    return ids | {f"name of {tx.txid}"} if tx.version == NAME_TX_VERSION else ids


def _check_block(block: Block, stripped: int) -> None:
    """CheckBlock: what needs no chain. `stripped`: the block's bytes without witnesses."""
    root, mutated = merkle_root([bytes.fromhex(tx.txid)[::-1] for tx in block.transactions])
    if root != block.header.merkle_root:
        raise Rejected("bad-txnmrklroot", "hashMerkleRoot mismatch")
    if mutated:
        raise Rejected("bad-txns-duplicate", "duplicate transaction")
    if not block.transactions or params.WITNESS_SCALE * stripped > params.MAX_BLOCK_WEIGHT:
        raise Rejected("bad-blk-length", "size limits failed")
    ids: set[str] = set().union(*(lock_ids(tx) for tx in block.transactions))
    if len(ids) > MAX_LOCKS:
        raise Rejected("bad-db-locks", "DB lock limit exceeded")
    if not block.transactions[0].is_coinbase:
        raise Rejected("bad-cb-missing", "the first transaction is no coinbase")
    if any(tx.is_coinbase for tx in block.transactions[1:]):
        raise Rejected("bad-cb-multiple", "more than one coinbase")
    for tx in block.transactions:
        check_form(tx)


def _check_header(block: Block, at: Next) -> None:
    """ContextualCheckBlockHeader."""
    header = block.header
    if header.prev != at.prev:
        raise Rejected("prev-blk-not-found", f"the block before is {header.prev}, the tip {at.prev}")
    if header.version == 1:
        raise Rejected("late-legacy-block", "a block without a chain id")
    if header.time <= at.median_time:
        raise Rejected("time-too-old", f"{header.time} is not after {at.median_time}")
    base = header.version % 0x100
    needed = ((2, params.BIP34_HEIGHT), (3, params.BIP66_HEIGHT), (4, params.BIP65_HEIGHT))
    if any(base < version and at.height >= height for version, height in needed):
        raise Rejected(f"bad-version({header.version:#010x})", f"too old for block {at.height}")


def _check_coinbase_height(coinbase: Transaction, height: int) -> None:
    """BIP 34 (ContextualCheckBlock)."""
    if height >= params.BIP34_HEIGHT and not coinbase.inputs[0].script_sig.startswith(height_push(height)):
        raise Rejected("bad-cb-height", "the coinbase names another height")


def _check_witnesses(transactions: Sequence[Transaction]) -> None:
    """BIP 141 (ContextualCheckBlock): the last commitment in the coinbase counts; without one no witnesses."""
    coinbase = transactions[0]
    commitments = [
        output.script[6:38]
        for output in coinbase.outputs
        if len(output.script) >= 38 and output.script.startswith(WITNESS_COMMITMENT)
    ]
    if not commitments:
        if any(tx.has_witness for tx in transactions):
            raise Rejected("unexpected-witness")
        return
    reserved = coinbase.inputs[0].witness
    if len(reserved) != 1 or len(reserved[0]) != 32:
        raise Rejected("bad-witness-nonce-size")
    if witness_commitment([tx.wtxid for tx in transactions[1:]], reserved[0]) != commitments[-1]:
        raise Rejected("bad-witness-merkle-match")


def _connect_transactions(transactions: Sequence[Transaction], at: Next, view: View) -> Overlay:
    """ConnectBlock: each transaction on top of what those before it in the block made."""
    overlay = Overlay(view)
    flags = params.block_flags(at.height)
    fees, sigops = 0, Spend(transactions[0], ()).sigop_cost(flags)
    apply(transactions[0], overlay, at.height)
    for tx in transactions[1:]:
        checked = check_transaction(tx, overlay, at)
        fees += checked.fee
        sigops += checked.spend.sigop_cost(flags)
        check_scripts(checked, flags)
        apply(tx, overlay, at.height)
    if sigops > params.MAX_BLOCK_SIGOPS_COST:
        raise Rejected("bad-blk-sigops", "too many signature operations")
    made, allowed = sum(o.value for o in transactions[0].outputs), fees + params.subsidy(at.height)
    if fees > params.MAX_MONEY:
        raise Rejected("bad-txns-accumulated-fee-outofrange")
    if made > allowed:
        raise Rejected("bad-cb-amount", f"the coinbase pays {made} schwartz, {allowed} are allowed")
    for outpoint in expiring_coins(at.height, overlay):
        overlay.coins[outpoint] = None
    return overlay
