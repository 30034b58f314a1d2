"""Making blocks: which waiting transactions go in, the coinbase, the work. Pure; the time is passed in.

As src/miner.cpp does it, but transactions go in as they came, not by fee, and what can't stand in the block is
passed over, where a real node would fail to build any block.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.connect import (
    MAX_LOCKS,
    WITNESS_COMMITMENT,
    height_push,
    lock_ids,
    witness_commitment,
)
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.rules import Next, apply, check_scripts, check_transaction, is_final
from doitrust.adapters.devnet.view import Overlay, View
from doitrust.adapters.devnet.work import meets
from doitrust.chain.address import hash160
from doitrust.chain.block import Block, Header, merkle_root
from doitrust.chain.scripts import p2wpkh, push
from doitrust.chain.tx import Input, Output, Transaction

#: Base version 4 and the chain id, without AuxPoW, which no rule demands (SetBaseVersion).
BLOCK_VERSION = params.CHAIN_ID << 16 | 4
#: What blocks are filled to (src/policy/policy.h, DEFAULT_BLOCK_MAX_WEIGHT), and room for the coinbase's own.
_FULL_WEIGHT = params.MAX_BLOCK_WEIGHT - 4000
_FULL_SIGOPS = params.MAX_BLOCK_SIGOPS_COST - 400
_RESERVED = bytes(32)


class MinerKey(NamedTuple):
    """The key that the devnet's own blocks pay to: 32 and 33 bytes, and its P2WPKH script."""

    secret: bytes
    public: bytes
    script: bytes


def miner_key() -> MinerKey:
    """Return the miner's key. It is no secret: sha256 of a text that everybody can read here."""
    secret = sha256(b"doitrust devnet miner: this key is public, its coins are anyone's").digest()
    public = bytes.fromhex("02b5c5fd40f301c746136bfe295b2739b2bd2855712eac8ea357bfe40280469b83")
    return MinerKey(secret, public, p2wpkh(hash160(public)))


class Chosen(NamedTuple):
    """Transactions for a block, in order, and the schwartz they pay."""

    transactions: tuple[Transaction, ...]
    fees: int


def choose(waiting: Iterable[Transaction], view: View, at: Next) -> Chosen:
    """Return those of `waiting` that can stand in block `at`, in their order, as far as they fit."""
    overlay, flags = Overlay(view), params.block_flags(at.height)
    chosen: list[Transaction] = []
    ids: set[str] = {"00" * 32, "coinbase"}
    fees = weight = sigops = 0
    for tx in waiting:
        try:
            checked = check_transaction(tx, overlay, at)
            check_scripts(checked, flags)
        except Rejected:
            continue
        # By the median time, which is what counts from block 432 on; before, the block's own time is later.
        if not is_final(tx, at.height, at.median_time):
            continue
        weight += tx.weight
        sigops += checked.spend.sigop_cost(flags)
        ids |= lock_ids(tx)
        if weight > _FULL_WEIGHT or sigops > _FULL_SIGOPS or len(ids) > MAX_LOCKS:
            break
        apply(tx, overlay, at.height)
        chosen.append(tx)
        fees += checked.fee
    return Chosen(tuple(chosen), fees)


def build(at: Next, chosen: Chosen, time: int, serial: int, script: bytes | None = None) -> Block:
    """Return block `at` with the `chosen` transactions, paying to `script`, or to the miner's key.

    `time` is Unix time; `serial` a number that no other block had, which keeps empty blocks of the same second
    apart.
    """
    return solve(at, [coinbase(at.height, chosen, serial, script), *chosen.transactions], time)


def coinbase(height: int, chosen: Chosen, serial: int, script: bytes | None = None) -> Transaction:
    """Return the coinbase of block `height`: the subsidy and the fees, and the witness commitment."""
    commitment = witness_commitment([tx.wtxid for tx in chosen.transactions], _RESERVED)
    script_sig = height_push(height) + push(serial.to_bytes(8, "little"))
    outputs = [
        Output(params.subsidy(height) + chosen.fees, script or miner_key().script),
        Output(0, WITNESS_COMMITMENT + commitment),
    ]
    spent = Input("00" * 32, 0xFFFFFFFF, script_sig, (_RESERVED,))
    return Transaction.build(1, 0, [(spent, 0xFFFFFFFF)], outputs)


def solve(at: Next, transactions: Sequence[Transaction], time: int, version: int = BLOCK_VERSION) -> Block:
    """Return the block of exactly these transactions, with a nonce that makes its hash meet the target."""
    root, _ = merkle_root([bytes.fromhex(tx.txid)[::-1] for tx in transactions])
    start = version.to_bytes(4, "little") + bytes.fromhex(at.prev)[::-1] + root
    start += time.to_bytes(4, "little") + params.POW_LIMIT_BITS.to_bytes(4, "little")
    nonce = 0
    while True:  # two attempts on average
        header = Header.parse(start + nonce.to_bytes(4, "little"))
        if meets(header.hash, header.bits):
            return Block(header, None, tuple(transactions))
        nonce += 1
