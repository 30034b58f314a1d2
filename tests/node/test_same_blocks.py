"""Doichain Core and the devnet refuse the same blocks, for the same reasons."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from arena import WITH_AND_WITHOUT_CORE, Arena, arena_in
from core_node import core, needs_core
from devnet_world import ALICE, BOB, FEE, FINAL, MINER, recorded_blocks, transaction
from test_devnet_chain import _next

from doitrust.adapters.devnet import Devnet, params
from doitrust.adapters.devnet.connect import height_push
from doitrust.adapters.devnet.miner import BLOCK_VERSION, Chosen, coinbase, solve
from doitrust.adapters.devnet.reject import Rejected
from doitrust.chain.block import Block, Branch, Header
from doitrust.chain.names import name_script
from doitrust.chain.tx import Input, Output, Transaction

DOI = 100_000_000
ANYONE = b"\x51"
_SUBSIDY = 50 * DOI


def first(*outputs: Output, script_sig: bytes = b"\x01\x02", witness: Sequence[bytes] = ()) -> Transaction:
    spent = Input("00" * 32, FINAL, script_sig, tuple(witness))
    return Transaction.build(2, 0, [(spent, FINAL)], outputs or [Output(DOI, ANYONE)])


class Maker:
    """Makes blocks on top of an arena's tip."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.world = arena.world

    def block(
        self,
        *transactions: Transaction,
        coinbase_: Transaction | None = None,
        time: int = 0,
        version: int = BLOCK_VERSION,
    ) -> Block:
        at = _next(self.world.devnet)
        top = coinbase_ or coinbase(at.height, Chosen(tuple(transactions), 0), 999)
        return solve(at, [top, *transactions], time or at.median_time + 1, version)

    def unsolved(self) -> Block:
        raw = bytearray(self.block().serialize())
        while int(Block.parse(bytes(raw)).header.hash, 16) <= params.POW_LIMIT:
            raw[76] = raw[76] + 1 & 0xFF
        return Block.parse(bytes(raw))

    def with_header(self, block: Block, **fields: bytes) -> Block:
        """The block with other bytes in its header, solved anew."""
        raw = bytearray(block.header.raw)
        for key, value in fields.items():
            at = {"root": 36, "bits": 72}[key]
            raw[at : at + len(value)] = value
        for nonce in range(10_000):
            header = Header.parse(bytes(raw[:76]) + nonce.to_bytes(4, "little"))
            if int(header.hash, 16) <= params.POW_LIMIT:
                return replace(block, header=header)
        raise AssertionError

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """What is wrong with a block, and the block."""
        pay = self.world.pay
        tx, other = (
            pay(Output(DOI, ALICE.p2wpkh)),
            pay(Output(DOI, BOB.p2wpkh), coins=[self.world.coin(index=1)]),
        )
        commitment = Output(0, b"\x6a\x24\xaa\x21\xa9\xed" + bytes(32))
        paid = Output(DOI, ANYONE)
        yield "bad-cb-missing", self.block(coinbase_=tx)
        yield "bad-cb-multiple", self.block(first())
        yield "bad-cb-length", self.block(coinbase_=first(script_sig=b"\x01"))
        yield "bad-cb-length", self.block(coinbase_=first(script_sig=bytes(101)))
        yield "bad-cb-amount", self.block(coinbase_=first(Output(_SUBSIDY + 1, ANYONE)))
        yield "bad-cb-amount", self.block(tx, coinbase_=self.greedy(tx))
        yield "unexpected-witness", self.block(tx, coinbase_=first())
        yield "bad-witness-nonce-size", self.block(tx, coinbase_=first(paid, commitment, witness=[bytes(31)]))
        yield (
            "bad-witness-merkle-match",
            self.block(tx, coinbase_=first(paid, commitment, witness=[bytes(32)])),
        )
        yield "time-too-old", self.block(time=_next(self.world.devnet).median_time)
        yield "late-legacy-block", self.block(version=1)
        yield "high-hash", self.block(version=2 << 16 | 4)
        yield "high-hash", self.block(version=4)
        yield "high-hash", self.unsolved()
        for bits in (0x1D00FFFF, 0, 0x2100FFFF, 0x04923456):
            yield "high-hash", self.with_header(self.block(), bits=bits.to_bytes(4, "little"))
        good = self.block(tx, other)
        yield "bad-txnmrklroot", replace(good, transactions=good.transactions[:1])
        yield "bad-txnmrklroot", self.with_header(good, root=bytes(32))
        yield "bad-txns-duplicate", replace(good, transactions=(*good.transactions, good.transactions[-1]))
        yield "bad-txns-inputs-missingorspent", self.block(tx, tx)
        yield "bad-txns-inputs-missingorspent", self.block(tx, pay(Output(DOI, BOB.p2wpkh)))
        child = transaction(
            [replace(self.world.coin(), txid=tx.txid, value=DOI, script=ALICE.p2wpkh, key=ALICE)], [paid]
        )
        yield "bad-txns-inputs-missingorspent", self.block(child, tx)
        yield "bad-blk-sigops", self.block(coinbase_=first(Output(0, b"\xac" * 20_001)))
        locked = transaction([replace(self.world.coin(), sequence=0)], [paid], lock_time=10**6)
        yield "bad-txns-nonfinal", self.block(locked)
        yield "bad-blk-length", self.block(coinbase_=first(Output(0, b"\x6a" + bytes(1_000_000))))
        yield "bad-txns-vout-toolarge", self.block(coinbase_=first(Output(params.MAX_MONEY + 1, ANYONE)))

    def greedy(self, tx: Transaction) -> Transaction:
        made = coinbase(_next(self.world.devnet).height, Chosen((tx,), FEE + 1), 999)
        return Transaction.build(1, 0, [(made.inputs[0], FINAL)], made.outputs)


def _check(arena: Arena, cases: Iterator[tuple[str, Block]]) -> int:
    wrong, count = [], 0
    for why, block in cases:
        theirs, ours = arena.mined(block)
        count += 1
        if not theirs == ours == why:
            wrong.append(f"{theirs!r} of a block, of the devnet {ours!r}, {why!r} was expected")
    arena.sync()
    assert wrong == [], "\n".join(wrong)
    return count


@WITH_AND_WITHOUT_CORE
def test_blocks_that_are_refused(tmp_path: Path, *, alone: bool) -> None:
    with arena_in(tmp_path, alone=alone) as arena:
        count = _check(arena, Maker(arena).blocks())
        good = Maker(arena).block(arena.world.pay(Output(DOI, ALICE.p2wpkh)))
        assert arena.mined(good) == ("", "")
        arena.sync()
    print(f"compared: {count} blocks")  # noqa: T201  # for whoever looks with -s


@needs_core
def test_coinbases_may_write_names(tmp_path: Path) -> None:
    with arena_in(tmp_path) as arena:
        outputs = [Output(0, name_script(b"bp/n", value, ALICE.p2wpkh)) for value in (b"1", b"2")]
        outputs.append(Output(0, b"\x53\x01m\x013\x6d\x75" + BOB.p2wpkh))
        outputs.append(Output(DOI, b"\x5a\x4e\x01\x00\x00\x00k\x01v\x75\x61\x75" + BOB.p2wpkh))
        assert arena.mined(Maker(arena).block(coinbase_=first(*outputs))) == ("", "")
        questions: list[tuple[Any, ...]] = [("name_scan",), ("getblock", arena.world.devnet.tip().hash, 2)]
        for name in ("bp/n", "m", "k"):
            questions += [("name_show", name), ("name_history", name)]
        assert arena.compare(*questions) == []


@WITH_AND_WITHOUT_CORE
def test_rules_that_begin_later(tmp_path: Path, *, alone: bool) -> None:
    """Versions, heights in coinbases, relative locks, stricter signatures, halvings."""
    with arena_in(tmp_path, alone=alone) as arena:
        maker, devnet = Maker(arena), arena.world.devnet
        coin = replace(arena.world.coin(), sequence=0xFFFF)
        locked = transaction([coin], [Output(_SUBSIDY - FEE, ALICE.p2wpkh)])
        devnet.mine(431 - 110)
        arena.sync()
        _check(arena, iter([("bad-txns-nonfinal", maker.block(locked))]))
        devnet.mine(499 - 431)
        arena.sync()
        refused = [
            ("bad-cb-height", maker.block(coinbase_=first())),
            ("bad-version(0x00010001)", maker.block(version=1 << 16 | 1)),
        ]
        _check(arena, iter(refused))
        fine = first(Output(1, ANYONE), script_sig=height_push(500) + b"\x00")
        assert arena.mined(maker.block(coinbase_=fine, version=1 << 16 | 2)) == ("", "")
        devnet.mine(1250 - 500)
        arena.sync()
        loose = _loose(arena)
        reason = "non-mandatory-script-verify-flag (Non-canonical DER signature)"
        _check(
            arena,
            iter(
                [("bad-version(0x00010002)", maker.block(version=1 << 16 | 2)), (reason, maker.block(loose))]
            ),
        )
        devnet.mine(1350 - 1250)
        arena.sync()
        _check(arena, iter([("bad-version(0x00010003)", maker.block(version=1 << 16 | 3))]))
        assert arena.compare(("getblockchaininfo",), ("getdifficulty",)) == []


def _loose(arena: Arena) -> Transaction:
    """A good signature with a byte too many, which only old blocks may have."""
    tx = transaction([arena.world.coin()], [Output(DOI, MINER.p2wpkh)])
    signature, key = tx.inputs[0].witness
    spent = tx.inputs[0]._replace(witness=(signature[:-1] + b"\x00" + signature[-1:], key))
    return Transaction.build(2, 0, [(spent, FINAL)], tx.outputs)


@needs_core
def test_auxpows_that_are_refused(tmp_path: Path) -> None:
    """Of a recorded block everything that can be wrong with its AuxPoW; then the block itself."""
    raws = recorded_blocks(1)
    parsed = [Block.parse(raw) for raw in raws]
    at, after = [height for height, block in enumerate(parsed) if block.auxpow is not None][:2]
    good = parsed[at]
    aux, other = good.auxpow, parsed[after].auxpow
    assert aux is not None
    assert other is not None

    def changed(**fields: Any) -> Block:
        assert aux is not None
        return replace(good, auxpow=replace(aux, **fields))

    bad = [
        changed(chain_branch=Branch((bytes(32),) * 31, 0)),
        changed(coinbase_branch=Branch((bytes(32),), 0)),
        changed(chain_branch=Branch((bytes(32),), 0)),
        changed(chain_branch=Branch((), 1)),
        changed(parent=other.parent),
        changed(parent=replace(aux.parent, raw=parsed[0].header.raw)),
        changed(coinbase=other.coinbase),
        replace(good, auxpow=other),
    ]
    devnet = Devnet(tmp_path / "devnet")
    with core(tmp_path / "core", now=parsed[-1].header.time) as theirs:
        theirs.take(raws[1:at])
        for raw in raws[1:at]:
            devnet.submit(raw)
        for block in bad:
            raw = block.serialize()
            try:
                devnet.submit(raw)
                ours = ""
            except Rejected as why:
                ours = why.code
            assert (theirs("submitblock", raw.hex()) or "") == ours != ""
        theirs.take([raws[at]])
        devnet.submit(raws[at])
    devnet.close()
