"""What the devnet refuses, each with the node's reason, and what it takes although one might not think so."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from devnet_world import (
    ALICE,
    BOB,
    FEE,
    FINAL,
    MINER,
    NAME_AMOUNT,
    Coin,
    Key,
    World,
    coin_of,
    recorded_blocks,
    transaction,
    written,
)

from doitrust.adapters.devnet import params
from doitrust.adapters.devnet.connect import height_push
from doitrust.adapters.devnet.miner import BLOCK_VERSION, Chosen, coinbase, solve
from doitrust.adapters.devnet.policy import dust_limit, fee_at
from doitrust.adapters.devnet.reject import Rejected
from doitrust.adapters.devnet.rules import Next, check_form
from doitrust.adapters.devnet.work import check_work, target
from doitrust.chain.address import hash160, sha256
from doitrust.chain.block import AuxPow, Block, Branch, Header, merkle_root
from doitrust.chain.engine import STANDARD_FLAGS, ScriptFailed, ScriptFlag, Spend, is_witness_program
from doitrust.chain.names import (
    NAME_TX_VERSION,
    OP_NAME_FIRSTUPDATE,
    OP_NAME_NEW,
    OP_NAME_UPDATE,
    name_script,
)
from doitrust.chain.scripts import multisig_script, p2sh, p2wpkh, p2wsh, push
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import BadData, Refused

#: The rules of every block, at whatever height.
CONSENSUS = params.block_flags(10_000)
ANYONE = b"\x51"  # OP_TRUE


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "devnet")
    world.devnet.automine(False)
    yield world
    world.devnet.close()


def reason(action: Callable[[], object]) -> str:
    with pytest.raises(Refused) as caught:
        action()
    assert caught.value.message.startswith(caught.value.code)
    return caught.value.code


# ---- the form of a transaction


def made(inputs: Sequence[Input], outputs: Sequence[Output]) -> Transaction:
    return Transaction.build(2, 0, [(spent, FINAL) for spent in inputs], outputs)


SOME = Input("11" * 32, 0, b"", ())
NULL = Input("00" * 32, FINAL, b"\x01\x02", ())
PAID = Output(10**8, ALICE.p2wpkh)


@pytest.mark.parametrize(
    ("inputs", "outputs", "why"),
    [
        ([SOME], [], "bad-txns-vout-empty"),
        ([SOME], [Output(0, b"\x6a" + bytes(1_000_000))], "bad-txns-oversize"),
        ([SOME], [PAID, Output(params.MAX_MONEY + 1, ANYONE)], "bad-txns-vout-toolarge"),
        ([SOME], [PAID, Output(params.MAX_MONEY, ANYONE)], "bad-txns-txouttotal-toolarge"),
        ([SOME, SOME], [PAID], "bad-txns-inputs-duplicate"),
        ([SOME, NULL], [PAID], "bad-txns-prevout-null"),
        ([NULL._replace(script_sig=b"\x01")], [PAID], "bad-cb-length"),
        ([NULL._replace(script_sig=bytes(101))], [PAID], "bad-cb-length"),
    ],
)
def test_form(inputs: list[Input], outputs: list[Output], why: str) -> None:
    tx = made(inputs, outputs)
    assert reason(lambda: check_form(tx)) == why


def test_negative_amounts() -> None:
    raw = made([SOME], [PAID]).raw.replace((10**8).to_bytes(8, "little"), b"\xff" * 8)
    bad = Transaction.parse(raw)
    assert reason(lambda: check_form(bad)) == "bad-txns-vout-negative"


def test_a_good_form_passes() -> None:
    for tx in (made([SOME], [PAID]), made([NULL], [PAID])):
        check_form(tx)


# ---- sending


def test_what_a_mempool_refuses(world: World) -> None:
    coin = world.coin(index=9)  # the median time of the first blocks is the genesis block's
    whole = coin.value

    def sends(*outputs: Output, version: int = 2, lock_time: int = 0, **change: object) -> str:
        spent = replace(coin, **change)  # type: ignore[arg-type]
        tx = transaction([spent], outputs, version=version, lock_time=lock_time)
        return reason(lambda: world.send(tx))

    def rest(output: Output) -> Output:
        return Output(whole - output.value - FEE, MINER.p2wpkh)

    nearly = Output(whole - FEE, ALICE.p2wpkh)
    assert sends(nearly, version=3) == "version"
    assert sends(nearly, version=0) == "version"
    for script, why in [
        (ANYONE, "scriptpubkey"),
        (b"\x00\x03abc", "scriptpubkey"),
        (b"\x6a" + push(bytes(90)), "scriptpubkey"),
        (multisig_script(1, [ALICE.public] * 4), "scriptpubkey"),
        (push(bytes(33)) + b"\xac", "scriptpubkey"),
    ]:
        assert sends(Output(10**6, script), rest(Output(10**6, script))) == why
    data = Output(0, b"\x6a" + push(b"note"))
    assert sends(data, data, rest(data)) == "multi-op-return"
    assert sends(Output(293, ALICE.p2wpkh), rest(Output(293, ALICE.p2wpkh))) == "dust"
    assert sends(Output(whole - FEE, b"\x6a")) == "tx-size-small"
    assert sends(nearly, lock_time=params.COINBASE_MATURITY + 100, sequence=0) == "non-final"
    assert sends(nearly, lock_time=2 * 10**9, sequence=0) == "non-final"
    assert sends(nearly, sequence=world.devnet.tip().height) == "non-BIP68-final"
    assert sends(nearly, sequence=(1 << 22) | 0xFFFF) == "non-BIP68-final"
    assert sends(nearly, vout=1) == "bad-txns-inputs-missingorspent"
    assert sends(nearly, txid="11" * 32) == "bad-txns-inputs-missingorspent"
    assert sends(Output(whole + 1, ALICE.p2wpkh)) == "bad-txns-in-belowout"
    assert sends(Output(whole - 1, ALICE.p2wpkh)) == "min relay fee not met"
    assert sends(Output(whole - 10**7, ALICE.p2wpkh)) == "absurdly-high-fee"
    assert sends(nearly, key=ALICE) == "non-mandatory-script-verify-flag"
    assert sends(nearly, value=whole - 1) == "non-mandatory-script-verify-flag"
    assert world.devnet.waiting() == []
    world.send(transaction([coin], [nearly]))


def test_locks_that_are_over_pass(world: World) -> None:
    tip = world.devnet.tip().height
    first, second, third = (world.coin(index=i) for i in range(3))
    paid = Output(first.value - FEE, ALICE.p2wpkh)
    made_at = 1  # the oldest coin's height
    world.send(transaction([replace(first, sequence=tip + 1 - made_at)], [paid]))
    world.send(transaction([replace(second, sequence=0)], [paid], lock_time=tip))
    world.send(transaction([replace(third, sequence=FINAL)], [paid], lock_time=tip + 5))  # final sequences
    assert len(world.devnet.waiting()) == 3
    # A lock says nothing in version 1.
    fourth = replace(world.coin(), sequence=0xFFFF)
    world.send(transaction([fourth], [paid], version=1))


def test_immature_coinbases(world: World) -> None:
    young = next(c for c in world.devnet.coins(MINER.p2wpkh) if not c.mature)
    tx = world.pay(PAID, coins=[world.of(young, MINER)])
    assert reason(lambda: world.send(tx)) == "bad-txns-premature-spend-of-coinbase"
    assert reason(lambda: world.devnet.mine_with([tx.raw])) == "bad-txns-premature-spend-of-coinbase"
    world.devnet.mine(1)
    world.send(tx)


def test_a_coinbase_can_not_be_sent(world: World) -> None:
    raw = coinbase(200, Chosen((), 0), 7).raw
    assert reason(lambda: world.devnet.broadcast(raw)) == "coinbase"
    with pytest.raises(BadData):
        world.devnet.broadcast(raw[:-1])
    with pytest.raises(BadData):
        world.devnet.broadcast(b"")


def test_script_sigs_that_are_not_relayed(world: World) -> None:
    tx = world.pay(Output(10**9, ALICE.p2pkh))
    world.send(tx)
    world.devnet.mine(1)
    spend = transaction([coin_of(tx, 0, ALICE)], [Output(10**9 - FEE, BOB.p2wpkh)])
    changed = {
        extra: made([spend.inputs[0]._replace(script_sig=extra + spend.inputs[0].script_sig)], spend.outputs)
        for extra in (b"\x61", push(bytes(1600)), b"\x51")
    }
    whys = [reason(lambda tx=tx: world.send(tx)) for tx in changed.values()]  # type: ignore[misc]
    assert whys == ["scriptsig-not-pushonly", "scriptsig-size", "non-mandatory-script-verify-flag"]
    world.devnet.mine_with([changed[b"\x61"].raw])  # a miner may do that


def _owned(world: World, script: bytes) -> Coin:
    tx = world.pay(Output(10**9, script))
    world.devnet.mine_with([tx.raw])
    return coin_of(tx, 0, ALICE)


def _spent(coin: Coin, script_sig: bytes, *witness: bytes) -> Transaction:
    return made(
        [Input(coin.txid, coin.vout, script_sig, witness)], [Output(coin.value - 3 * FEE, BOB.p2wpkh)]
    )


def test_p2sh_without_a_redeem_script_is_not_relayed(world: World) -> None:
    for script in (p2sh(hash160(b"\x51")), name_script(b"bp/x", b"v", p2sh(hash160(b"\x51")))):
        version = NAME_TX_VERSION if script[0] == 0x5A else 2
        tx = world.pay(Output(NAME_AMOUNT, script), version=version)
        world.devnet.mine_with([tx.raw])
        coin = coin_of(tx, 0, ALICE)
        outputs = [written("bp/x", "2", BOB)] if version != 2 else [Output(NAME_AMOUNT - FEE, BOB.p2wpkh)]
        fee = world.coin()
        bare = transaction([coin, fee], [*outputs, Output(fee.value - FEE, BOB.p2wpkh)], version=version)
        inputs = [(bare.inputs[0]._replace(witness=()), FINAL), (bare.inputs[1], FINAL)]
        spend = Transaction.build(version, 0, inputs, bare.outputs)
        assert reason(partial(world.send, spend)) == "bad-txns-nonstandard-inputs"
        assert reason(partial(world.devnet.mine_with, [spend.raw])) == "mandatory-script-verify-flag-failed"


def test_witnesses_that_are_not_relayed(world: World) -> None:
    long = (push(bytes(520)) + b"\x75") * 6 + push(bytes(451)) + b"\x75\x51"
    assert len(long) == 3600
    for script_sig, witness, fine in [
        (b"", (bytes(80), b"\x75\x51"), True),
        (b"", (bytes(81), b"\x75\x51"), False),
        (b"", (*[b""] * 100, b"\x75" * 100 + b"\x51"), True),
        (b"", (*[b""] * 101, b"\x75" * 101 + b"\x51"), False),
        (b"", (long,), True),
        (b"", (long + b"\x61",), False),
        (push(p2wsh(sha256(b"\x75\x51"))), (bytes(81), b"\x75\x51"), False),
    ]:
        script = p2wsh(sha256(witness[-1]))
        tx = _spent(_owned(world, p2sh(hash160(script)) if script_sig else script), script_sig, *witness)
        if fine:
            world.send(tx)
        else:
            assert reason(lambda tx=tx: world.send(tx)) == "bad-witness-nonstandard"  # type: ignore[misc]
            world.devnet.mine_with([tx.raw])
    seen = _spent(_owned(world, ALICE.p2pkh), b"\x51", b"x")
    assert reason(lambda: world.send(seen)) == "bad-witness-nonstandard"


def test_too_many_signature_operations_are_not_relayed(world: World) -> None:
    one = Output(2000, multisig_script(1, [ALICE.public]))
    world.send(world.pay(*[one] * 199, fee=10**7))
    many = world.pay(*[one] * 200, fee=10**7, coins=[world.coin(index=1)])
    assert reason(lambda: world.send(many)) == "bad-txns-too-many-sigops"
    world.devnet.mine_with([many.raw])


def test_script_errors_have_the_words_of_the_node(world: World) -> None:
    coin = _owned(world, ALICE.p2pkh)
    spend = transaction([coin], [Output(coin.value - FEE, BOB.p2wpkh)])
    padded = made([spend.inputs[0]._replace(script_sig=b"\x51" + spend.inputs[0].script_sig)], spend.outputs)
    with pytest.raises(Rejected) as caught:
        world.send(padded)
    assert caught.value.detail == "input 0: Extra items left on stack after execution"


def test_a_bad_legacy_signature_is_called_mandatory(world: World) -> None:
    tx = world.pay(Output(10**9, ALICE.p2pkh))
    world.send(tx)
    spend = transaction([coin_of(tx, 0, ALICE)], [Output(10**9 - FEE, BOB.p2wpkh)])
    other = made([spend.inputs[0]], [Output(10**9 - FEE, ALICE.p2wpkh)])
    assert reason(lambda: world.send(other)) == "mandatory-script-verify-flag-failed"
    world.send(spend)


def test_high_s_is_for_miners_only(world: World) -> None:
    tx = world.pay(PAID)
    signature, public = tx.inputs[0].witness
    high = made([tx.inputs[0]._replace(witness=(_high_s(signature), public))], tx.outputs)
    assert high.txid == tx.txid
    assert reason(lambda: world.send(high)) == "non-mandatory-script-verify-flag"
    world.devnet.mine_with([high.raw])
    located = world.devnet.transaction(tx.txid)
    assert located is not None
    assert located.tx.raw == high.raw


def _high_s(signature: bytes) -> bytes:
    r_size = signature[3]
    r, s = signature[4 : 4 + r_size], int.from_bytes(signature[6 + r_size : -1])
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    flipped = (order - s).to_bytes(33)
    body = b"\x02" + bytes([r_size]) + r + b"\x02" + bytes([33]) + flipped
    return b"\x30" + bytes([len(body)]) + body + signature[-1:]


@pytest.mark.parametrize(
    ("script", "least"),
    [(ALICE.p2wpkh, 294), (ALICE.p2pkh, 546), (p2wsh(bytes(32)), 330), (p2sh(bytes(20)), 540)],
)
def test_dust_limits(script: bytes, least: int) -> None:
    assert dust_limit(script) == least


def test_fee_rates_round_down_and_never_to_nothing() -> None:
    assert (fee_at(100_000, 141), fee_at(3000, 1), fee_at(1, 10), fee_at(1, 0)) == (14_100, 3, 1, 0)


# ---- names


def _new(hash_: bytes, key: Key = ALICE) -> Output:
    return Output(NAME_AMOUNT, bytes([OP_NAME_NEW]) + push(hash_) + b"\x6d" + key.p2wpkh)


def _first(name: bytes, rand: bytes, key: Key = ALICE) -> Output:
    args = push(name) + push(rand) + push(b"value")
    return Output(NAME_AMOUNT, bytes([OP_NAME_FIRSTUPDATE]) + args + b"\x6d\x6d" + key.p2wpkh)


def _update(name: bytes, key: Key = ALICE) -> Output:
    return Output(NAME_AMOUNT, bytes([OP_NAME_UPDATE]) + push(name) + push(b"new") + b"\x6d\x75" + key.p2wpkh)


def _named(world: World, *outputs: Output, coins: Sequence[Coin] = ()) -> Transaction:
    return world.pay(*outputs, coins=[*coins, world.coin()], version=NAME_TX_VERSION)


def test_name_rules_that_need_no_name_input(world: World) -> None:
    good, other = written("bp/x", "1", ALICE), written("bp/y", "1", ALICE)
    long_name, long_value = (name_script(bytes(n), bytes(v), ALICE.p2wpkh) for n, v in [(256, 1), (1, 1024)])
    for tx, why in [
        (world.pay(good), "tx-nonname-with-name-output"),
        (world.pay(PAID, version=NAME_TX_VERSION), "tx-name-without-name-output"),
        (_named(world, good, other), "tx-multiple-name-outputs"),
        (_named(world, good._replace(value=NAME_AMOUNT - 1)), "tx-name-greedy"),
        (_named(world, Output(NAME_AMOUNT, long_name)), "tx-name-invalid"),
        (_named(world, Output(NAME_AMOUNT, long_value)), "tx-value-invalid"),
        (_named(world, _new(bytes(19))), "tx-namenew-wrong-size"),
        (_named(world, _update(b"bp/x")), "tx-nameupdate-invalid-prev"),
        (_named(world, _first(b"bp/x", b"rand")), "tx-firstupdate-nonnew-input"),
    ]:
        assert reason(lambda tx=tx: world.send(tx)) == why  # type: ignore[misc]
        assert reason(lambda tx=tx: world.devnet.mine_with([tx.raw])) == why  # type: ignore[misc]
    for size, value in ((255, 520), (0, 0), (1, 1023)):
        output = Output(NAME_AMOUNT, name_script(bytes(size), bytes(value), ALICE.p2wpkh))
        world.devnet.mine_with([_named(world, output).raw])


def test_name_rules_that_need_a_name_input(world: World) -> None:
    firsts = []
    for name in ("bp/x", "bp/y"):
        firsts.append(world.write(name, "1"))
        world.devnet.mine_with([firsts[-1].raw])
    fresh = _named(world, _new(bytes(20)))
    world.devnet.mine_with([fresh.raw])
    x, y, new = (coin_of(tx, 0, ALICE) for tx in (*firsts, fresh))
    good = written("bp/x", "2", ALICE)
    for tx, why in [
        (world.pay(PAID, coins=[x, world.coin()]), "tx-nonname-with-name-input"),
        (_named(world, good, coins=[x, y]), "tx-multiple-name-inputs"),
        (_named(world, written("bp/none", "1", ALICE), coins=[x]), "tx-nameupdate-nonexistant"),
        (_named(world, good, coins=[new]), "tx-name-doi-not-name-doi-input"),
        (_named(world, _new(bytes(20)), coins=[x]), "tx-namenew-with-name-input"),
        (_named(world, _update(b"bp/x"), coins=[new]), "tx-nameupdate-invalid-prev"),
        (_named(world, _update(b"bp/y"), coins=[x]), "tx-nameupdate-name-mismatch"),
        (_named(world, _first(b"bp/z", b"rand"), coins=[new]), "tx-firstupdate-immature"),
    ]:
        assert reason(lambda tx=tx: world.devnet.mine_with([tx.raw])) == why  # type: ignore[misc]
    # A name_update may take a name_doi's name over; the other way round it may not.
    updated = _named(world, _update(b"bp/x"), coins=[x])
    world.devnet.mine_with([updated.raw])
    back = _named(world, good, coins=[coin_of(updated, 0, ALICE)])
    assert reason(lambda: world.send(back)) == "tx-name-doi-not-name-doi-input"


def test_a_name_update_of_a_name_that_was_overwritten(world: World) -> None:
    """Here a node stops by an assertion."""
    first = world.write("bp/x", "1")
    world.devnet.mine_with([first.raw])
    world.devnet.mine_with([world.write("bp/x", "2", BOB).raw])
    update = _named(world, _update(b"bp/x"), coins=[coin_of(first, 0, ALICE)])
    assert reason(lambda: world.send(update)) == "tx-nameupdate-invalid-prev"


def test_a_name_is_registered_in_two_steps(world: World) -> None:
    name, rand = b"id/x", b"some salt"
    new = _named(world, _new(hash160(rand + name)))
    world.send(new)
    early = _named(world, _first(name, rand), coins=[coin_of(new, 0, ALICE)])
    world.send(early)  # it may wait in the mempool
    world.devnet.mine(1)
    assert world.devnet.waiting() == [early.txid]
    world.devnet.mine(11)
    assert world.devnet.history(name, 9) == []
    for outputs, why in [
        (_first(b"id/y", rand), "tx-firstupdate-hash-mismatch"),
        (_first(name, bytes(21)), "tx-firstupdate-invalid-rand"),
    ]:
        wrong = _named(world, outputs, coins=[coin_of(new, 0, ALICE)])
        assert reason(lambda tx=wrong: world.devnet.mine_with([tx.raw])) == why  # type: ignore[misc]
    world.devnet.mine(1)
    assert world.devnet.history(name, 9) == [early.txid]
    again = _named(world, _new(hash160(rand + name)))
    world.devnet.mine_with([again.raw])
    world.devnet.mine(12)
    late = _named(world, _first(name, rand), coins=[coin_of(again, 0, ALICE)])
    assert reason(lambda: world.devnet.mine_with([late.raw])) == "tx-firstupdate-existing-name"
    world.devnet.mine(20)
    world.devnet.mine_with([late.raw])  # after it has expired
    assert world.devnet.history(name, 9) == [early.txid, late.txid]


def test_domains_are_relayed(world: World) -> None:
    """The node's test against names of `d/` looks at the name in quotation marks, and never finds one."""
    world.send(world.write("d/example", "1"))


# ---- scripts, as the node runs them


def _spends(script: bytes, build: Callable[[Transaction], Input], flags: ScriptFlag = CONSENSUS) -> None:
    """Run a spend of an output with `script`; `build` makes the input from the unsigned transaction."""
    bare = made([Input("11" * 32, 0, b"", ())], [PAID])
    tx = made([build(bare)], [PAID])
    Spend(tx, [Output(NAME_AMOUNT, script)]).verify(0, flags)


def _p2wpkh(bare: Transaction) -> Input:
    digest = bare.signature_hash(0, ALICE.p2pkh, NAME_AMOUNT, 1)
    return bare.inputs[0]._replace(witness=(ALICE.sign(digest), ALICE.public))


def _p2pkh(code: bytes) -> Callable[[Transaction], Input]:
    def build(bare: Transaction) -> Input:
        signature = ALICE.sign(bare.signature_hash(0, code, None, 1))
        return bare.inputs[0]._replace(script_sig=push(signature) + push(ALICE.public))

    return build


REDEEM = multisig_script(1, [ALICE.public, BOB.public])


def _p2wsh(bare: Transaction) -> Input:
    return bare.inputs[0]._replace(
        witness=(b"", BOB.sign(bare.signature_hash(0, REDEEM, NAME_AMOUNT, 1)), REDEEM)
    )


def _p2sh(bare: Transaction) -> Input:
    signature = BOB.sign(bare.signature_hash(0, REDEEM, None, 1))
    return bare.inputs[0]._replace(script_sig=b"\x00" + push(signature) + push(REDEEM))


def _p2sh_p2wpkh(bare: Transaction) -> Input:
    return _p2wpkh(bare)._replace(script_sig=push(ALICE.p2wpkh))


NAME = (b"bp/x", b"value")
NESTED = p2sh(hash160(ALICE.p2wpkh))


@pytest.mark.parametrize(
    ("owner", "build"),
    [
        (ALICE.p2wpkh, _p2wpkh),
        (p2wsh(sha256(REDEEM)), _p2wsh),
        (p2sh(hash160(REDEEM)), _p2sh),
        (NESTED, _p2sh_p2wpkh),
        (b"\x52\x02ab", lambda bare: bare.inputs[0]._replace(witness=(b"look", b"alike"))),
        (b"\x6d\x51", lambda bare: bare.inputs[0]._replace(script_sig=b"\x51\x51")),
    ],
)
def test_outputs_with_and_without_a_name_are_spent_alike(
    owner: bytes, build: Callable[[Transaction], Input]
) -> None:
    _spends(owner, build)
    _spends(name_script(*NAME, owner), build)


def test_a_legacy_signature_covers_the_name() -> None:
    script = name_script(*NAME, ALICE.p2pkh)
    _spends(script, _p2pkh(script), STANDARD_FLAGS)
    with pytest.raises(ScriptFailed):
        _spends(script, _p2pkh(ALICE.p2pkh))
    _spends(ALICE.p2pkh, _p2pkh(ALICE.p2pkh), STANDARD_FLAGS)


@pytest.mark.parametrize(
    ("owner", "build"),
    [(ALICE.p2wpkh, _p2wpkh), (p2wsh(sha256(REDEEM)), _p2wsh), (p2sh(hash160(REDEEM)), _p2sh)],
)
def test_a_value_over_520_bytes_can_not_be_spent_by_any_owner(
    owner: bytes, build: Callable[[Transaction], Input]
) -> None:
    _spends(name_script(b"bp/x", bytes(520), owner), build)
    with pytest.raises(ScriptFailed, match="Push value size limit exceeded"):
        _spends(name_script(b"bp/x", bytes(521), owner), build)


def test_a_name_output_without_enough_drops() -> None:
    """One drop leaves the name on the stack, and its hash passes for a redeem script's."""
    script = b"\x5a" + push(b"bp/x") + push(b"v") + b"\x75" + p2sh(hash160(b"bp/x"))
    with pytest.raises(ScriptFailed, match="without a redeem script"):  # a node stops here
        _spends(script, lambda bare: bare.inputs[0])
    _spends(
        script, lambda bare: bare.inputs[0]._replace(script_sig=push(b"\x51"))
    )  # any redeem script will do


def test_spends_that_fail() -> None:
    named = name_script(*NAME, ALICE.p2wpkh)
    for script in (ALICE.p2wpkh, named):
        with pytest.raises(ScriptFailed):
            _spends(script, lambda bare: bare.inputs[0])
        with pytest.raises(ScriptFailed):
            _spends(script, lambda bare: _p2wpkh(bare)._replace(script_sig=b"\x51"))
        with pytest.raises(ScriptFailed):
            _spends(script, lambda bare: _p2wpkh(bare)._replace(witness=(b"", ALICE.public)))
    with pytest.raises(ScriptFailed):
        _spends(ALICE.p2pkh, lambda bare: _p2pkh(ALICE.p2pkh)(bare)._replace(witness=(b"x",)))
    with pytest.raises(ScriptFailed):
        _spends(b"\x6a", lambda bare: bare.inputs[0])
    with pytest.raises(ScriptFailed):
        _spends(b"\x4c", lambda bare: bare.inputs[0])  # a cut push


def test_witness_programs() -> None:
    assert is_witness_program(p2wpkh(bytes(20)))
    assert is_witness_program(b"\x60" + push(bytes(40)))
    assert not is_witness_program(b"\x60" + push(bytes(41)))
    assert not is_witness_program(b"\x00\x01\x00")
    assert not is_witness_program(b"\x4f\x02ab")
    assert not is_witness_program(b"")


def test_the_rules_of_scripts_begin_at_their_heights() -> None:
    assert ScriptFlag.CHECKSEQUENCEVERIFY not in params.block_flags(431)
    assert ScriptFlag.CHECKSEQUENCEVERIFY in params.block_flags(432)
    assert ScriptFlag.DERSIG not in params.block_flags(1250)
    assert ScriptFlag.DERSIG in params.block_flags(1251)
    assert ScriptFlag.CHECKLOCKTIMEVERIFY not in params.block_flags(1350)
    assert ScriptFlag.CHECKLOCKTIMEVERIFY in params.block_flags(1351)
    assert ScriptFlag.WITNESS in params.block_flags(0)


# ---- blocks


def _block(
    world: World,
    transactions: Sequence[Transaction] = (),
    *,
    first: Transaction | None = None,
    time: int = 0,
    version: int = BLOCK_VERSION,
) -> Block:
    at = _at(world)
    first = first or coinbase(at.height, Chosen(tuple(transactions), 0), 999)
    return solve(at, [first, *transactions], time or at.median_time + 1000, version)


def _at(world: World) -> Next:
    with world.devnet._store.reading() as session:
        return session.chain.next()


def _cb(*outputs: Output, script_sig: bytes = b"\x01\x02", witness: Sequence[bytes] = ()) -> Transaction:
    return made([Input("00" * 32, FINAL, script_sig, tuple(witness))], outputs or [PAID])


def refused(world: World, block: Block) -> str:
    tip = world.devnet.tip()
    why = reason(lambda: world.devnet.submit(block.serialize()))
    assert world.devnet.tip() == tip
    return why


def test_blocks_that_are_refused(world: World) -> None:
    tx = world.pay(PAID)
    good = _block(world, [tx])
    commitment = Output(0, b"\x6a\x24\xaa\x21\xa9\xed" + bytes(32))
    assert refused(world, _block(world, first=tx)) == "bad-cb-missing"
    assert refused(world, _block(world, [_cb()])) == "bad-cb-multiple"
    assert refused(world, _block(world, first=_cb(Output(50 * 10**8 + 1, ANYONE)))) == "bad-cb-amount"
    assert refused(world, _block(world, [tx], first=_cb())) == "unexpected-witness"
    assert refused(world, _block(world, [tx], first=_cb(PAID, commitment))) == "bad-witness-nonce-size"
    both = _cb(PAID, commitment, witness=[bytes(32)])
    assert refused(world, _block(world, [tx], first=both)) == "bad-witness-merkle-match"
    assert refused(world, _block(world, time=_at(world).median_time)) == "time-too-old"
    assert refused(world, _block(world, version=1)) == "late-legacy-block"
    assert refused(world, _block(world, version=2 << 16 | 4)) == "high-hash"
    assert refused(world, replace(good, transactions=good.transactions[:1])) == "bad-txnmrklroot"
    three = _block(world, [tx, world.pay(PAID, coins=[world.coin(index=1)])])
    doubled = (*three.transactions, three.transactions[-1])
    assert refused(world, replace(three, transactions=doubled)) == "bad-txns-duplicate"
    assert refused(world, _block(world, [tx, tx])) == "bad-txns-inputs-missingorspent"
    elsewhere = solve(_at(world)._replace(prev="11" * 32), good.transactions, good.header.time)
    assert refused(world, elsewhere) == "prev-blk-not-found"
    assert refused(world, _block(world, first=_cb(Output(0, b"\xac" * 20_001)))) == "bad-blk-sigops"
    locked = transaction([replace(world.coin(), sequence=0)], [PAID], lock_time=10**6)
    assert refused(world, _block(world, [locked])) == "bad-txns-nonfinal"
    none = Block(_solved(world, bytes(32)), None, ())
    assert refused(world, none) == "bad-blk-length"
    assert world.devnet.submit(good.serialize()) == good.header.hash


def _solved(world: World, root: bytes) -> Header:
    at = _at(world)
    start = BLOCK_VERSION.to_bytes(4, "little") + bytes.fromhex(at.prev)[::-1] + root
    start += (at.median_time + 1).to_bytes(4, "little") + params.POW_LIMIT_BITS.to_bytes(4, "little")
    for nonce in range(1000):
        header = Header.parse(start + nonce.to_bytes(4, "little"))
        if int(header.hash, 16) <= params.POW_LIMIT:
            return header
    raise AssertionError


def test_a_hash_over_the_target_is_refused(world: World) -> None:
    raw = bytearray(_block(world).serialize())
    while int(Block.parse(bytes(raw)).header.hash, 16) <= params.POW_LIMIT:
        raw[76] += 1
    assert refused(world, Block.parse(bytes(raw))) == "high-hash"


def test_rules_of_blocks_that_begin_later(world: World) -> None:
    """Versions, heights in coinbases, relative locks."""
    paid = Output(50 * 10**8 - FEE, ALICE.p2wpkh)
    locked = transaction([replace(world.coin(), sequence=0xFFFF)], [paid])
    world.devnet.mine(431 - 110)
    assert refused(world, _block(world, [locked])) == "bad-txns-nonfinal"
    world.devnet.mine(499 - 431)
    assert refused(world, _block(world, first=_cb())) == "bad-cb-height"
    assert refused(world, _block(world, version=1 << 16 | 1)) == "bad-version(0x00010001)"
    fine = _block(
        world, first=_cb(Output(1, ANYONE), script_sig=height_push(500) + b"\x00"), version=1 << 16 | 2
    )
    world.devnet.submit(fine.serialize())


def test_relative_locks_say_nothing_in_early_blocks(world: World) -> None:
    paid = Output(50 * 10**8 - FEE, ALICE.p2wpkh)
    world.devnet.mine_with([transaction([replace(world.coin(), sequence=0xFFFF)], [paid]).raw])


@pytest.mark.parametrize(
    ("height", "pushed"),
    [(1, "51"), (16, "60"), (17, "0111"), (127, "017f"), (128, "028000"), (255, "02ff00"), (256, "020001"),
     (32767, "02ff7f"), (32768, "03008000")],
)  # fmt: skip
def test_heights_in_coinbases(height: int, pushed: str) -> None:
    assert height_push(height).hex() == pushed


def test_heights_in_recorded_coinbases() -> None:
    for height, raw in enumerate(recorded_blocks(1)[1:], 1):
        assert Block.parse(raw).transactions[0].inputs[0].script_sig.startswith(height_push(height))


@pytest.mark.parametrize("height", [1, 149, 150, 300, 10_000])
def test_the_subsidy_is_halved_every_150_blocks(height: int) -> None:
    assert params.subsidy(height) == int(50 * 10**8 / 2 ** (height // 150))


# ---- work


def test_targets() -> None:
    assert target(0x207FFFFF) == 0x7FFFFF << 232
    assert target(0x01120000) == 0x12
    assert target(0x03123456) == 0x123456
    assert target(0x04123456) == 0x12345600
    assert target(0x04923456) == 0  # negative
    assert target(0x2100FFFF) == 0  # over the limit
    assert target(0xFF123456) == 0
    assert target(0) == 0


AUX = Block.parse(recorded_blocks(1)[300])


def _aux(**changes: object) -> Block:
    assert AUX.auxpow is not None
    return replace(AUX, auxpow=replace(AUX.auxpow, **changes))  # type: ignore[arg-type]


def test_a_recorded_auxpow_passes() -> None:
    check_work(AUX)


def test_auxpows_that_are_refused() -> None:
    auxpow = AUX.auxpow
    assert auxpow is not None
    parent = auxpow.parent
    for why, block in {
        "AuxPoW version": _aux(parent=replace(parent, version=0x100)),
        "our chain id": _aux(parent=replace(parent, version=0x10001)),
        "too long": _aux(chain_branch=Branch((bytes(32),) * 31, 0)),
        "merkle root": _aux(parent=replace(parent, merkle_root=bytes(32))),
        "merkle root doesn't": _aux(coinbase_branch=Branch((bytes(32),), 0)),
        "doesn't name this block": _aux(chain_branch=Branch((bytes(32),), 0)),
        "wrong slot": _aux(chain_branch=Branch((), 1)),
        "proof of work": _aux(parent=_unsolved(parent)),
    }.items():
        with pytest.raises(Rejected, match=why) as caught:
            check_work(block)
        assert caught.value.code == "high-hash"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (lambda root: b"\xfa\xbemm" + root + b"\x01" + bytes(7), ""),
        (lambda root: bytes(20) + root + b"\x01" + bytes(7), ""),
        (lambda root: bytes(21) + root + b"\x01" + bytes(7), "too late"),
        (lambda root: b"\xfa\xbemm" + b"x" + root + b"\x01" + bytes(7), "not just before"),
        (lambda root: b"\xfa\xbemm" + root + b"\x01" + bytes(7) + b"\xfa\xbemm", "several"),
        (lambda root: root + b"\x01" + bytes(6), "missing"),
        (lambda root: root + b"\x02" + bytes(7), "size of the chain merkle tree"),
    ],
)
def test_what_a_parent_coinbase_says(script: Callable[[bytes], bytes], why: str) -> None:
    root = bytes.fromhex(AUX.header.hash)
    parent_coinbase = Transaction.build(1, 0, [(NULL._replace(script_sig=script(root)), FINAL)], [PAID])
    block = _aux(coinbase=parent_coinbase, parent=_parent(parent_coinbase))
    if not why:
        check_work(block)
        return
    with pytest.raises(Rejected, match=why):
        check_work(block)


def test_a_block_in_a_tree_of_chains() -> None:
    """Two chains share a parent block: each has its slot."""
    other = bytes(range(32))
    own = bytes.fromhex(AUX.header.hash)[::-1]
    for index in (0, 1):
        leaves = [own, other] if index == 0 else [other, own]
        root = merkle_root(leaves)[0][::-1]
        for nonce in range(4):
            script = b"\xfa\xbemm" + root + (2).to_bytes(4, "little") + nonce.to_bytes(4, "little")
            parent_coinbase = Transaction.build(1, 0, [(NULL._replace(script_sig=script), FINAL)], [PAID])
            block = _aux(
                coinbase=parent_coinbase,
                parent=_parent(parent_coinbase),
                chain_branch=Branch((other,), index),
            )
            slot = ((nonce * 1103515245 + 12345 + 1) * 1103515245 + 12345) % 2**32 % 2
            if slot == index:
                check_work(block)
            else:
                with pytest.raises(Rejected, match="slot"):
                    check_work(block)


def _parent(parent_coinbase: Transaction) -> Header:
    start = (1).to_bytes(4, "little") + bytes(32) + bytes.fromhex(parent_coinbase.txid)[::-1] + bytes(8)
    for nonce in range(1000):
        header = Header.parse(start + nonce.to_bytes(4, "little"))
        if int(header.hash, 16) <= params.POW_LIMIT:
            return header
    raise AssertionError


def _unsolved(parent: Header) -> Header:
    for nonce in range(1000):
        header = Header.parse(parent.raw[:76] + nonce.to_bytes(4, "little"))
        if int(header.hash, 16) > params.POW_LIMIT:
            return header
    raise AssertionError


def test_an_auxpow_is_what_it_was_parsed_as() -> None:
    assert isinstance(AUX.auxpow, AuxPow)
    assert AUX.serialize() == recorded_blocks(1)[300]
