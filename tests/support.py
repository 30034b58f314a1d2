"""What several tests share: the recorded chains, damage to bytes, keys of our own, refusals of the right kind."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import pytest
from coincurve import PrivateKey
from hypothesis import strategies as st

from doitrust.chain.block import Block, block_work
from doitrust.chain.networks import REGTEST
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.content.cid import parse_cid
from doitrust.errors import BadData, DoitrustError
from doitrust.orgs.pins import Pin, Segment
from doitrust.trust.evidence import Evidence, Located, Place, Source, Tip
from doitrust.trust.policy import Policy

Result = TypeVar("Result")

DATA = Path(__file__).parents[1] / "doitrust" / "data"
#: The recorded chains, by the number in their file's name.
RECORDED = (1, 2)


@dataclass(frozen=True)
class Recorded:
    """A chain recorded from Doichain Core: its file, its blocks, and all of it as an own node's evidence."""

    document: dict[str, Any]
    raw_blocks: tuple[bytes, ...]
    blocks: tuple[Block, ...]
    evidence: Evidence
    policy: Policy

    @property
    def meters(self) -> tuple[str, ...]:
        return tuple(self.document["meters"])

    @property
    def payments(self) -> list[Transaction]:
        """Every transaction that is no coinbase, in chain order."""
        return [tx for tx, _ in self.evidence.transactions.values() if not tx.is_coinbase]

    def spends(self) -> Iterator[tuple[Transaction, int, Output]]:
        """Every input of every payment, with the output it spends."""
        for tx in self.payments:
            for index, spent in enumerate(tx.inputs):
                yield tx, index, self.evidence.transactions[spent.txid].tx.outputs[spent.vout]


@cache
def recorded(number: int) -> Recorded:
    document = json.loads((DATA / f"doichain-regtest-{number}.json").read_text("utf-8"))
    raw_blocks = tuple(bytes.fromhex(block) for block in document["blocks"])
    blocks = tuple(Block.parse(raw) for raw in raw_blocks)
    transactions: dict[str, Located] = {}
    work = 0
    for height, block in enumerate(blocks):
        for position, tx in enumerate(block.transactions):
            place = Place(block.header.hash, height, position, block.header.time, work)
            transactions.setdefault(tx.txid, Located(tx, place))
        work += block_work(block.header.bits)
    tip = Tip(len(blocks) - 1, blocks[-1].header.hash, blocks[-1].header.time, work)
    content = {parse_cid(cid): text.encode() for cid, text in document["ipfs"].items()}
    evidence = Evidence(REGTEST, tip, transactions, content, (), (Source("node", True),))
    organizations = document["organizations"].items()
    pins = tuple(Pin(name, (Segment(o["root"]),)) for name, o in organizations if o["accepted"])
    return Recorded(document, raw_blocks, blocks, evidence, Policy(pins, document["min_confirmations"]))


def refusal(
    call: Callable[..., object], *arguments: object, kind: type[DoitrustError] = BadData, most: int = 500
) -> str:
    """Return the message with which `call` refuses; it must be one short line that is safe to show."""
    with pytest.raises(kind) as caught:
        call(*arguments)
    message = caught.value.message
    assert message
    assert message.isprintable()
    assert len(message) <= most
    return message


def attempt(
    call: Callable[..., Result], *arguments: object, kind: type[DoitrustError] = BadData
) -> Result | None:
    """Return what `call` does, or None if it refuses in one line; it may do nothing else."""
    try:
        return call(*arguments)
    except kind as error:
        refused = error.message
    assert refused
    assert refused.isprintable()
    return None


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` after one to four edits: bits flipped, bytes inserted, deleted, replaced, or the end cut off."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(out)))
        match draw(st.sampled_from(("flip", "insert", "delete", "replace", "cut"))):
            case "flip" if at < len(out):
                out[at] ^= 1 << draw(st.integers(0, 7))
            case "insert":
                out[at:at] = draw(st.binary(min_size=1, max_size=9))
            case "delete":
                del out[at : at + draw(st.integers(1, 9))]
            case "replace":
                new = draw(st.binary(min_size=1, max_size=9))
                out[at : at + len(new)] = new
            case "cut":
                del out[at:]
    return bytes(out)


def compact(number: int) -> bytes:
    """Write a count as the wire has it, by hand."""
    if number < 0xFD:
        return bytes([number])
    for mark, size in ((0xFD, 2), (0xFE, 4), (0xFF, 8)):
        if number < 1 << 8 * size:
            return bytes([mark]) + number.to_bytes(size, "little")
    raise ValueError(number)


def counted(data: bytes) -> bytes:
    return compact(len(data)) + data


def wire(tx: Transaction, *, witness: bool = True) -> bytes:
    """Serialise a transaction from its parts, by hand: an oracle for `raw`, `txid` and the parts themselves."""
    marked = witness and any(i.witness for i in tx.inputs)
    parts = [tx.version.to_bytes(4, "little"), b"\0\1" if marked else b"", compact(len(tx.inputs))]
    for spent, inner in zip(tx.inputs, tx._tx.vin, strict=True):
        parts += [bytes.fromhex(spent.txid)[::-1], spent.vout.to_bytes(4, "little")]
        parts += [counted(spent.script_sig), inner.sequence.to_bytes(4, "little")]
    parts.append(compact(len(tx.outputs)))
    parts += [o.value.to_bytes(8, "little", signed=True) + counted(o.script) for o in tx.outputs]
    if marked:
        parts += [compact(len(i.witness)) + b"".join(map(counted, i.witness)) for i in tx.inputs]
    return b"".join([*parts, tx._tx.lock_time.to_bytes(4, "little")])


def hash256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def txid_of(raw: bytes) -> str:
    """Return the txid of bytes without a witness."""
    return hash256(raw)[::-1].hex()


@cache
def secret(who: str) -> PrivateKey:
    """A key that anyone can make again from its name."""
    return PrivateKey(sha256(who.encode()).digest())


@cache
def key_of(who: str) -> bytes:
    return secret(who).public_key.format()


def spend_of(
    previous: Transaction,
    vout: int = 0,
    *outputs: Output,
    script_sig: bytes = b"",
    witness: tuple[bytes, ...] = (),
) -> Transaction:
    """Return a transaction of version 0x7100 with one input, which spends an output of `previous`."""
    spent = Input(previous.txid, vout, script_sig, witness)
    return Transaction.build(0x7100, 0, [(spent, 0xFFFFFFFE)], outputs or [Output(1000, b"\x51")])


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [int(found.getsockname()[1]) for found in sockets]
    finally:
        for found in sockets:
            found.close()
