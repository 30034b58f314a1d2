"""Partially signed transactions: the container, every kind of coin signed and finished, attacks, embit, a chain."""

import base64
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import pytest
from devnet_world import FINAL, World
from embit import ec  # type: ignore[import-untyped]
from embit import psbt as embit_psbt
from embit.finalizer import finalize_psbt  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDED, attempt, compact, counted, damaged, key_of, recorded, refusal, secret

from doitrust.chain.address import hash160, sha256
from doitrust.chain.bip32 import ExtendedKey, KeyOrigin
from doitrust.chain.descriptors import Descriptor, OwnScript
from doitrust.chain.keys import verify_signature
from doitrust.chain.names import NAME_TX_VERSION, name_script, strip_name
from doitrust.chain.networks import REGTEST
from doitrust.chain.psbt import MAGIC, MAX_INPUTS, MAX_MONEY, MAX_SIZE, MAX_UNSIGNED_SIZE, Psbt
from doitrust.chain.psbt_records import In, Records
from doitrust.chain.psbt_sign import (
    INCOMPLETE,
    add_signature,
    combine,
    estimated_vsize,
    extract,
    finalise,
    lock_of,
    sign,
    signature_hash,
    state,
)
from doitrust.chain.scripts import ScriptType, p2sh, p2wsh, push, script_sig_pushes, script_type
from doitrust.chain.tx import Input, Output, Transaction
from doitrust.errors import BadData, Unavailable

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
BOARD = ("ann", "ben", "cleo")
_SORTEDMULTI = "sortedmulti(2,{},{},{})"
FORMS = {
    "p2pkh": "pkh({})",
    "p2wpkh": "wpkh({})",
    "p2sh-p2wpkh": "sh(wpkh({}))",
    "p2sh": f"sh({_SORTEDMULTI})",
    "p2wsh": f"wsh({_SORTEDMULTI})",
    "p2sh-p2wsh": f"sh(wsh({_SORTEDMULTI}))",
}
MULTISIGS = ("p2sh", "p2wsh", "p2sh-p2wsh")
KINDS = tuple(FORMS)
STRANGER = Descriptor.parse(f"wpkh({key_of('stranger').hex()})", REGTEST).at()
VALUE, PAID = 5_000_000, 4_900_000
EXTENDED = (
    "tpubD6NzVbkrYhZ4WaWSyoBvQwbpLkojyoTZPRsgXELWz3Popb3qkjcJyJUGLnL4qHHoQvao8ESaAstxYSnhyswJ76uZPStJRJCTKvosUCJZ"
    "L5B"
)


def nothing(txid: str) -> None:
    """Find no transaction."""


def owner(kind: str, *people: str) -> OwnScript:
    """Ann's script, or the board's."""
    return Descriptor.parse(FORMS[kind].format(*(key_of(who).hex() for who in people or BOARD)), REGTEST).at()


def coin(own: OwnScript, *, name: bytes | None = None, value: int = VALUE, n: int = 0) -> Transaction:
    """A transaction that pays to `own` at output 1, behind a name if there is one."""
    script = own.script if name is None else name_script(name, b"value", own.script)
    spent = Input(f"{n:064x}", 7, b"", ())
    return Transaction.build(
        NAME_TX_VERSION, 0, [(spent, FINAL)], [Output(1000, b"\x51"), Output(value, script)]
    )


def unsigned(*coins: Transaction, outputs: tuple[Output, ...] = ()) -> Transaction:
    """A transaction that spends output 1 of each, and pays to a stranger what is not a fee."""
    inputs = [(Input(tx.txid, 1, b"", ()), 0xFFFFFFFD) for tx in coins]
    return Transaction.build(
        NAME_TX_VERSION, 0, inputs, outputs or [Output(PAID * len(coins), STRANGER.script)]
    )


def spending(*owners: OwnScript, name: bytes | None = None) -> Psbt:
    """A PSBT that spends a coin of each of these, with all that it takes to sign."""
    coins = [coin(own, name=name if not n else None, n=n) for n, own in enumerate(owners)]
    return Psbt.unsigned(unsigned(*coins)).updated({tx.txid: tx for tx in coins}.get, owners)


def signer(who: str) -> Callable[[bytes], bytes]:
    return lambda digest: secret(who).sign(digest, hasher=None)


def signed(psbt: Psbt, *people: str, index: int = 0) -> Psbt:
    for who in people:
        psbt = sign(psbt, index, key_of(who), signer(who))
    return psbt


def changed(psbt: Psbt, index: int, **records: bytes | None) -> Psbt:
    """The same with records of an input set, or removed; names are those of `In`."""
    kept = dict(psbt.inputs[index].records)
    for kind, value in records.items():
        key = bytes([In[kind]])
        kept.pop(key, None)
        if value is not None:
            kept[key] = value
    return psbt.with_input(index, kept)


def with_partial(psbt: Psbt, key: bytes, signature: bytes, index: int = 0) -> Psbt:
    """Put a signature in without looking at it, as a hostile wallet would."""
    return psbt.with_input(index, {**psbt.inputs[index].records, b"\2" + key: signature})


def signers_of(kind: str) -> tuple[str, ...]:
    return BOARD[:2] if kind in MULTISIGS else BOARD[:1]


# ---- every kind of coin, signed and finished


@pytest.mark.parametrize("name", [None, b"bp/1EMH0012345678"], ids=["plain", "name"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_coin_is_signed_and_finished(kind: str, name: bytes | None) -> None:
    psbt = spending(owner(kind), name=name)
    people = signers_of(kind)
    assert state(psbt, 0) == (len(people), (), False)
    for who in people:
        assert refusal(finalise, psbt).endswith("are there")
        psbt = Psbt.read(signed(psbt, who).text.encode())
    assert state(psbt, 0) == (len(people), tuple(sorted(map(key_of, people))), False)
    done = finalise(psbt)
    assert state(done, 0) == (0, (), True)
    assert [In(key[0]).name for key in done.inputs[0].records if key[0] > 1] == (
        ["FINAL_SCRIPT_SIG"]
        if kind in ("p2pkh", "p2sh")
        else ["FINAL_SCRIPT_SIG", "FINAL_WITNESS"]
        if "-" in kind
        else ["FINAL_WITNESS"]
    )
    tx = extract(Psbt.parse(done.serialize()))
    assert tx.outputs == psbt.tx.outputs
    assert finalise(done).serialize() == done.serialize()
    assert psbt.fee == VALUE - PAID
    assert 0 <= estimated_vsize(psbt) - tx.vsize <= 2 * len(people) + 1
    assert estimated_vsize(done) == tx.vsize


@pytest.mark.parametrize("kind", ["p2pkh", "p2wpkh"])
def test_only_a_legacy_signature_covers_the_name(kind: str) -> None:
    own = owner(kind)
    psbt = spending(own, name=b"bp/X")
    code = psbt.spent(0).script if kind == "p2pkh" else b"\x76\xa9\x14" + own.script[2:] + b"\x88\xac"
    amount = None if kind == "p2pkh" else VALUE
    assert signature_hash(psbt, 0) == psbt.tx.signature_hash(0, code, amount, 1)
    if kind == "p2pkh":
        digest = psbt.tx.signature_hash(0, own.script, None, 1)
        refusal(add_signature, psbt, 0, key_of("ann"), signer("ann")(digest) + b"\1")


def test_many_kinds_in_one_transaction() -> None:
    owners = [owner(kind) for kind in KINDS]
    psbt = spending(*owners, name=b"bp/X")
    for index, kind in enumerate(KINDS):
        psbt = signed(psbt, *signers_of(kind), index=index)
    tx = extract(finalise(psbt))
    assert len(tx.inputs) == len(KINDS)
    assert 0 <= estimated_vsize(psbt) - tx.vsize <= 12


@pytest.mark.parametrize("kind", MULTISIGS)
@pytest.mark.parametrize("who", [*combinations(BOARD, 2), BOARD])
def test_never_more_signatures_than_needed_and_in_the_order_of_the_keys(
    kind: str, who: tuple[str, ...]
) -> None:
    psbt = signed(spending(owner(kind)), *reversed(who))
    tx = extract(finalise(psbt))
    stack = list(tx.inputs[0].witness) or script_sig_pushes(tx.inputs[0].script_sig) or []
    assert len(stack) == 4
    assert stack[0] == b""
    keys = sorted(map(key_of, who))[:2]
    digest = signature_hash(psbt, 0)
    assert all(verify_signature(key, s[:-1], digest) for key, s in zip(keys, stack[1:3], strict=True))


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 2), (3, 5), (15, 15), (16, 16)])
@pytest.mark.parametrize("form", ["sh({})", "wsh({})", "sh(wsh({}))"])
def test_other_multisigs(form: str, m: int, n: int) -> None:
    if n > 15 and form == "sh({})":
        return  # rule S2
    people = [f"p{i}" for i in range(n)]
    text = form.format(f"sortedmulti({m},{','.join(key_of(who).hex() for who in people)})")
    psbt = signed(spending(Descriptor.parse(text, REGTEST).at()), *people[-m:])
    tx = extract(finalise(psbt))
    assert 0 <= estimated_vsize(psbt) - tx.vsize <= 2 * m + 1


# ---- the container


def test_update_says_what_is_known() -> None:
    descriptor = Descriptor.parse(
        f"wsh(sortedmulti(1,[d34db33f]{EXTENDED}/0/*,{key_of('ann').hex()}))", REGTEST
    )
    own, change = descriptor.at(3), descriptor.at(4)
    previous = coin(own, name=b"bp/X")
    outputs = (Output(1_000_000, name_script(b"bp/X", b"v", change.script)), Output(5, STRANGER.script))
    psbt = Psbt.unsigned(unsigned(previous, outputs=outputs)).updated(
        {previous.txid: previous}.get, [own, change]
    )
    part = psbt.inputs[0]
    assert part.witness_utxo == previous.outputs[1]
    assert part.previous is not None
    assert part.previous.raw == previous.raw
    assert part.one(In.WITNESS_SCRIPT) == own.witness_script
    assert part.origins == dict(own.origins)
    assert "d34db33f/0/3" in map(str, part.origins.values())
    assert psbt.outputs[0].witness_script == change.witness_script
    assert psbt.outputs[0].redeem_script is None
    assert psbt.outputs[0].origins == dict(change.origins)
    assert not psbt.outputs[1].records
    again = psbt.updated(nothing, [own, change])
    assert again.serialize() == psbt.serialize()
    contrary = change._replace(witness_script=own.witness_script)
    assert "contradict" in refusal(psbt.updated, nothing, [contrary])


def test_a_previous_transaction_is_put_in_without_its_witness() -> None:
    own = owner("p2wpkh")
    first = extract(finalise(signed(spending(own), "ann")))
    assert first.has_witness
    tx = Transaction.build(2, 0, [(Input(first.txid, 0, b"", ()), FINAL)], [Output(1, b"\x51")])
    part = Psbt.unsigned(tx).updated({first.txid: first}.get).inputs[0]
    assert part.previous is not None
    assert not part.previous.has_witness
    assert part.previous.txid == first.txid


def test_update_refuses_what_is_not_the_previous_transaction() -> None:
    own = owner("p2wpkh")
    right, other = coin(own), coin(own, n=1)
    psbt = Psbt.unsigned(unsigned(right))
    assert right.txid in refusal(psbt.updated, nothing, kind=Unavailable)
    refusal(psbt.updated, {right.txid: other}.get)
    beyond = Transaction.build(2, 0, [(Input(right.txid, 2, b"", ()), FINAL)], [Output(1, b"\x51")])
    refusal(Psbt.unsigned(beyond).updated, {right.txid: right}.get)
    assert "no output 2" in refusal(Psbt.of, {b"\0": beyond.raw}, [{b"\0": right.raw}], [{}])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a PSBT"),
        ("cHNidP8", "base64"),
        ("cHNid P8=", "base64"),
        ("{}=", "base64"),
        ("{}\n{}", "base64"),
        ("psbt", "not a PSBT"),
        ("\xff", "base64"),
    ],
)
def test_what_is_no_base64(text: str, why: str) -> None:
    good = spending(owner("p2wpkh")).text
    assert why in refusal(Psbt.read, text.format(good, good).encode("latin-1"))


def test_base64_with_bits_behind_its_end_is_refused() -> None:
    raw = next(raw for kind in KINDS if len(raw := spending(owner(kind)).serialize()) % 3)
    text = base64.b64encode(raw).decode()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = len(text.rstrip("=")) - 1
    other = text[:last] + alphabet[alphabet.index(text[last]) + 1] + text[last + 1 :]
    assert base64.b64decode(other) == raw
    refusal(Psbt.read, other.encode())
    assert Psbt.read(f" {text}\r\n".encode()).serialize() == raw


def test_sizes_are_bounded() -> None:
    assert "4000001 bytes" in refusal(Psbt.parse, MAGIC + bytes(MAX_SIZE - 4))
    refusal(Psbt.read, MAGIC + bytes(MAX_SIZE))
    assert "characters" in refusal(Psbt.read, b"A" * (MAX_SIZE // 3 * 4 + 5))
    outputs = tuple(Output(1, bytes(9000)) for _ in range(12))
    too_large = unsigned(coin(owner("p2wpkh")), outputs=outputs)
    assert len(too_large.raw) > MAX_UNSIGNED_SIZE
    assert "unsigned transaction of" in refusal(Psbt.unsigned, too_large)
    inputs = [(Input("ab" * 32, n, b"", ()), FINAL) for n in range(MAX_INPUTS + 1)]
    Psbt.unsigned(Transaction.build(2, 0, inputs[1:], [Output(1, b"")]))
    assert "501 inputs" in refusal(Psbt.unsigned, Transaction.build(2, 0, inputs, [Output(1, b"")]))


def _tx(psbt: Psbt) -> Records:
    return {b"\0": psbt.tx.raw}


GOOD = spending(owner("p2wpkh"))
XPUB = ExtendedKey.parse(EXTENDED)
XPRV = bytes.fromhex("04358394") + XPUB.serialize()[4:45] + b"\0" + bytes(31) + b"\1"
NO_POINT = b"\2" + bytes(31) + b"\7"
SPENT = GOOD.spent(0)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ({b"\xfb": bytes(4)}, None),
        ({b"\xfb": b"\2\0\0\0"}, "another version"),
        ({b"\xfb": b""}, "another version"),
        ({b"\xfb\0": bytes(4)}, "wrong length"),
        ({b"\x02": b"\2\0\0\0"}, "version 0 doesn't have"),
        ({b"\x06": b"\1"}, "version 0 doesn't have"),
        ({b"\x07": b"\1", b"\xfc\3abc": b"", b"\xfd\xfd\0": b"x"}, None),
        ({b"\xfd\xfc\0": b"x"}, "bad length"),
        ({b"\xfd": b"x"}, "bad length"),
        ({b"\1" + XPUB.serialize(): b"abcd"}, None),
        ({b"\1" + XPUB.serialize(): b"abcd\0\0\0\0"}, "not as long as its depth"),
        ({b"\1" + XPUB.serialize(): b"abc"}, "origin"),
        ({b"\1" + XPUB.serialize()[:-1]: b"abcd"}, "wrong length"),
        ({b"\1" + XPRV: b"abcd"}, "a private key"),
    ],
)
def test_records_for_the_whole(records: Records, why: str | None) -> None:
    check(Psbt.of, {**_tx(GOOD), **records}, [GOOD.inputs[0].records], [{}], why=why)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ({b"\x03": b"\1\0\0"}, "4 bytes"),
        ({b"\x03": b"\x81\0\0\0"}, None),
        ({b"\x02" + NO_POINT: b"x"}, "no point"),
        ({b"\x06" + NO_POINT: b"abcd"}, "no point"),
        ({b"\x06" + key_of("ann"): b"abc"}, "origin"),
        ({b"\x06" + key_of("ann"): b"abcd"}, None),
        ({b"\x02\4" + bytes(64): b"x"}, "wrong length"),
        ({b"\x08": b"\1\0"}, None),
        ({b"\x08": b"\1\0\0"}, "trailing"),
        ({b"\x08": b"\1"}, "ends early"),
        ({b"\x08": b""}, "ends early"),
        ({b"\x08": b"\xfe\xff\xff\xff\0"}, "bad length"),
        ({b"\x0e": bytes(32)}, "version 0 doesn't have"),
        ({b"\x12": bytes(4)}, "version 0 doesn't have"),
        ({b"\x09": b"x", b"\x0a" + bytes(20): b"y", b"\x13": bytes(64), b"\xf0abc": b""}, None),
        ({b"\x00": b""}, "not a transaction"),
        ({b"\x00": coin(owner("p2wpkh"), n=1).raw}, "not the one that the input spends from"),
        ({b"\x00": coin(owner("p2wpkh"), value=VALUE + 1).raw}, "not the one that the input spends from"),
        ({b"\x00": coin(owner("p2wpkh")).raw + b"\0"}, "trailing"),
        (
            {b"\x01": (VALUE + 1).to_bytes(8, "little") + counted(SPENT.script)},
            "not the previous transaction's",
        ),
        ({b"\x01": VALUE.to_bytes(8, "little") + counted(STRANGER.script)}, "not the previous transaction's"),
        ({b"\x01": VALUE.to_bytes(8, "little") + counted(SPENT.script) + b"\0"}, "trailing"),
        ({b"\x01": VALUE.to_bytes(8, "little") + counted(SPENT.script)[:-1]}, "ends early"),
        ({b"\x01": bytes(7)}, "ends early"),
    ],
)
def test_records_for_an_input(records: Records, why: str | None) -> None:
    check(Psbt.of, _tx(GOOD), [{**GOOD.inputs[0].records, **records}], [{}], why=why)


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ({b"\x02" + NO_POINT: b"abcd"}, "no point"),
        ({b"\x02" + key_of("ann"): b"abcde"}, "origin"),
        ({b"\x03": bytes(8)}, "version 0 doesn't have"),
        ({b"\x00": b"", b"\x01": b"x", b"\x05": bytes(32), b"\xfc": b""}, None),
    ],
)
def test_records_for_an_output(records: Records, why: str | None) -> None:
    check(Psbt.of, _tx(GOOD), [GOOD.inputs[0].records], [records], why=why)


def check(
    make: Callable[..., Psbt],
    whole: Records,
    inputs: list[Mapping[bytes, bytes]],
    outputs: list[Records],
    *,
    why: str | None,
) -> None:
    """What is good comes back byte for byte; what is not is refused, made of maps or of bytes."""
    raw = MAGIC + b"".join(
        b"".join(counted(key) + counted(value) for key, value in part.items()) + b"\0"
        for part in (whole, *inputs, *outputs)
    )
    if why is None:
        assert make(whole, inputs, outputs).serialize() == Psbt.parse(raw).serialize() == raw
    else:
        assert why in refusal(make, whole, inputs, outputs)
        assert why in refusal(Psbt.parse, raw)


@pytest.mark.parametrize(
    ("outputs", "why"),
    [
        ([Output(-1, b"")], "impossible"),
        ([Output(MAX_MONEY + 1, b"")], "impossible"),
        ([Output(MAX_MONEY, b"")], None),
    ],
)
def test_impossible_amounts(outputs: list[Output], why: str | None) -> None:
    tx = Transaction.build(2, 0, [(Input("ab" * 32, 0, b"", ()), FINAL)], outputs)
    if why is None:
        Psbt.unsigned(tx)
    else:
        assert why in refusal(Psbt.unsigned, tx)


def test_the_same_output_twice_is_refused() -> None:
    spent = (Input("ab" * 32, 0, b"", ()), FINAL)
    refusal(Psbt.unsigned, Transaction.build(2, 0, [spent, spent], [Output(1, b"")]))


def test_more_paid_than_there_is() -> None:
    own = owner("p2wpkh")
    previous = coin(own)
    greedy = unsigned(previous, outputs=(Output(VALUE + 1, b""),))
    psbt = Psbt.unsigned(greedy).updated({previous.txid: previous}.get, [own])
    assert "more than the inputs" in refusal(sign, psbt, 0, key_of("ann"), signer("ann"))
    assert "more than the inputs" in refusal(lambda: psbt.fee)
    minus = coin(own, value=-1)
    psbt = Psbt.unsigned(unsigned(minus)).updated({minus.txid: minus}.get, [own])
    assert "impossible" in refusal(lambda: psbt.fee)
    for value, possible in ((0, True), (2_100_000_000_000_000, True), (2_100_000_000_000_001, False)):
        previous = coin(own, value=value)
        tx = unsigned(previous, outputs=(Output(0, b""),))
        psbt = Psbt.unsigned(tx).updated({previous.txid: previous}.get, [own])
        if possible:
            assert psbt.fee == value
        else:
            refusal(lambda psbt=psbt: psbt.fee)


# ---- fuzz

_KEYS = st.binary(min_size=1, max_size=40).filter(lambda key: key[0] in range(0x20, 0xFB))


@st.composite
def psbts(draw: st.DrawFn) -> Psbt:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    psbt = spending(*map(owner, kinds), name=draw(st.sampled_from((None, b"bp/X"))))
    for index in range(len(kinds)):
        for who in draw(st.lists(st.sampled_from(BOARD), max_size=3, unique=True)):
            if lock_of(psbt, index).takes(key_of(who)):
                psbt = signed(psbt, who, index=index)
        more = draw(st.dictionaries(_KEYS, st.binary(max_size=300), max_size=3))
        psbt = psbt.with_input(index, {**more, **psbt.inputs[index].records})
    whole = {**draw(st.dictionaries(_KEYS, st.binary(max_size=20), max_size=2)), **psbt.records}
    return Psbt.of(whole, [i.records for i in psbt.inputs], [o.records for o in psbt.outputs])


@given(psbts())
def test_what_was_made_comes_back_byte_for_byte(psbt: Psbt) -> None:
    raw = psbt.serialize()
    assert Psbt.parse(raw).serialize() == raw
    assert combine([psbt, Psbt.read(psbt.text.encode())]).serialize() == combine([psbt]).serialize()


@given(st.binary(max_size=400))
def test_any_bytes_are_refused_or_come_back(data: bytes) -> None:
    for raw in (data, MAGIC + data, base64.b64encode(MAGIC + data), GOOD.serialize()[: len(data)] + data):
        read = attempt(Psbt.read, raw)
        assert read is None or read.serialize() in (raw, base64.b64decode(raw))


@given(st.data())
def test_damage_is_refused_or_comes_back_and_pays_the_same(data: st.DataObject) -> None:
    psbt = data.draw(psbts())
    raw = data.draw(damaged(psbt.serialize()))
    read = attempt(Psbt.parse, raw)
    if read is None:
        return
    assert read.serialize() == raw
    for index in range(len(read.inputs)):
        attempt(state, read, index)
    attempt(combine, [read, psbt])
    done = attempt(finalise, read)
    tx = None if done is None else attempt(extract, done)
    if tx is not None:
        assert tx.outputs == psbt.tx.outputs
        assert [spent[:2] for spent in tx.inputs] == [spent[:2] for spent in psbt.tx.inputs]


# ---- attacks


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_can_t_help_is_never_asked(kind: str) -> None:
    asked: list[bytes] = []

    def spy(digest: bytes) -> bytes:
        asked.append(digest)
        return signer("stranger")(digest)

    psbt = spending(owner(kind))
    assert "can't sign for it" in refusal(sign, psbt, 0, key_of("stranger"), spy)
    assert "can't sign for it" in refusal(sign, psbt, 0, b"", spy)
    assert asked == []
    good = signer("stranger")(signature_hash(psbt, 0)) + b"\1"
    assert "can't sign for it" in refusal(add_signature, psbt, 0, key_of("stranger"), good)
    # A signature by the stranger under the owner's name, and one by the owner over something else.
    assert "isn't" in refusal(add_signature, psbt, 0, key_of("ann"), good)
    assert "isn't" in refusal(sign, psbt, 0, key_of("ann"), signer("stranger"))
    assert "isn't" in refusal(sign, psbt, 0, key_of("ann"), lambda _: signer("ann")(bytes(32)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hash_type", [0x00, 0x02, 0x03, 0x81, 0x82, 0x83])
def test_another_sighash_type_is_refused(kind: str, hash_type: int) -> None:
    psbt = spending(owner(kind))
    lock = lock_of(psbt, 0)
    other = psbt.tx.signature_hash(0, lock.code, lock.amount, hash_type)
    signature = signer("ann")(other) + bytes([hash_type])
    assert "another sighash" in refusal(add_signature, psbt, 0, key_of("ann"), signature)
    smuggled = with_partial(psbt, key_of("ann"), signature)
    for step in (finalise, lambda p: state(p, 0), lambda p: combine([p])):
        assert "another sighash" in refusal(step, smuggled)
    asked_for = changed(psbt, 0, SIGHASH_TYPE=bytes([hash_type, 0, 0, 0]))
    assert "another sighash" in refusal(sign, asked_for, 0, key_of("ann"), signer("ann"))
    full = signed(psbt, *signers_of(kind))
    assert "another sighash" in refusal(finalise, changed(full, 0, SIGHASH_TYPE=bytes([hash_type, 0, 0, 0])))
    assert extract(finalise(changed(full, 0, SIGHASH_TYPE=b"\1\0\0\0"))).raw == extract(finalise(full)).raw


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_input_with_another_sighash_is_not_handed_out(kind: str) -> None:
    """Consensus and relay would take it, and anyone could pay the coins elsewhere."""
    psbt = spending(owner(kind))
    lock = lock_of(psbt, 0)
    digest = psbt.tx.signature_hash(0, lock.code, lock.amount, 0x02)
    people = sorted(signers_of(kind), key=key_of)
    script_sig, witness = lock.opened([(key_of(who), signer(who)(digest) + b"\2") for who in people])
    stack = compact(len(witness)) + b"".join(map(counted, witness)) if witness else None
    final = changed(psbt, 0, FINAL_SCRIPT_SIG=script_sig or None, FINAL_WITNESS=stack)
    assert "SIGHASH_ALL" in refusal(extract, final)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_signatures_get_nowhere(kind: str) -> None:
    psbt = signed(spending(owner(kind)), *signers_of(kind))
    key, good = next(iter(psbt.inputs[0].partial_signatures.items()))
    r_size = good[3]
    s = int.from_bytes(good[6 + r_size : -1], "big")
    high = (ORDER - s).to_bytes(33, "big")
    high_s = b"\x30" + bytes([4 + r_size + 33]) + good[2 : 4 + r_size] + b"\x02\x21" + high + b"\1"
    for bad in (
        b"",
        b"\1",
        good[:-1],
        good[:-2] + b"\0\1",
        good[:10] + bytes([good[10] ^ 1]) + good[11:],
        high_s,
    ):
        smuggled = with_partial(psbt, key, bad)
        for step in (finalise, lambda p: state(p, 0), lambda p: combine([p, psbt])):
            refusal(step, smuggled)
    assert "high S" in refusal(finalise, with_partial(psbt, key, high_s))


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_for_another_transaction_is_refused(kind: str) -> None:
    own = owner(kind)
    previous = coin(own)
    ours, theirs = (
        Psbt.unsigned(unsigned(previous, outputs=(Output(PAID, script),))).updated(
            {previous.txid: previous}.get, [own]
        )
        for script in (STRANGER.script, own.script)
    )
    signature = signed(theirs, "ann").inputs[0].partial_signatures[key_of("ann")]
    refusal(add_signature, ours, 0, key_of("ann"), signature)
    assert "one transaction" in refusal(combine, [signed(ours, "ann"), signed(theirs, "ann")])


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_previous_transaction_nothing_is_done(kind: str) -> None:
    """Of any input: a fee could hide in the other one."""
    psbt = spending(owner(kind), owner("p2wpkh"))
    full = signed(signed(psbt, *signers_of(kind)), "ann", index=1)
    for index in (0, 1):
        lacking = changed(psbt, index, PREVIOUS_TX=None)
        for other in (0, 1):
            assert "lacks" in refusal(sign, lacking, other, key_of("ann"), signer("ann"))
        assert "lacks" in refusal(lambda lacking=lacking: lacking.fee)
        assert "lacks" in refusal(estimated_vsize, lacking)
        assert "lacks" in refusal(finalise, changed(full, index, PREVIOUS_TX=None))
        assert "lacks" in refusal(extract, changed(finalise(full), index, PREVIOUS_TX=None))


def test_altered_amounts_and_foreign_transactions_are_refused() -> None:
    """Whatever is put in the place of the spent output, the hash or the comparison finds it."""
    own = owner("p2wpkh")
    psbt = spending(own)
    cheaper = coin(own, value=VALUE - 50_000)
    repeated = (VALUE - 50_000).to_bytes(8, "little") + counted(own.script)
    for records in ({"PREVIOUS_TX": cheaper.raw}, {"WITNESS_UTXO": repeated}):
        refusal(lambda records=records: changed(psbt, 0, **records))
    # Both alike are no better, and the repeated one alone is not believed.
    both = {**psbt.inputs[0].records, b"\0": cheaper.raw, b"\1": repeated}
    refusal(psbt.with_input, 0, both)
    alone = changed(psbt, 0, PREVIOUS_TX=None, WITNESS_UTXO=repeated)
    refusal(sign, alone, 0, key_of("ann"), signer("ann"))


@pytest.mark.parametrize(
    "script",
    [
        b"\x51",
        b"\x51\x20" + bytes(32),
        b"\x21" + key_of("ann") + b"\xac",
        b"\x51\x21" + key_of("ann") + b"\x51\xae",
        b"\x5a\x01a\x01b\x6d\x61\x75" + owner("p2wpkh").script,
        b"\x53\x01a\x01b\x6d\x75" + owner("p2wpkh").script,
        b"\x5a\x4c\x01a\x01b\x6d\x75" + owner("p2pkh").script,
        b"\x5a\x01a\x01b\x6d\x75",
        b"",
    ],
)
def test_other_coins_are_not_signed_for(script: bytes) -> None:
    """Anyone's, other witness versions, bare keys, names in another form than ours."""
    psbt = spending(OwnScript(script))
    assert "none that is signed for here" in refusal(lock_of, psbt, 0)
    refusal(sign, psbt, 0, key_of("ann"), signer("ann"))
    refusal(finalise, psbt)
    for final in (b"", push(b"x")):
        refusal(extract, changed(psbt, 0, FINAL_SCRIPT_SIG=final))


def test_scripts_where_none_belong() -> None:
    for kind in ("p2pkh", "p2wpkh", "p2wsh"):
        refusal(lock_of, changed(spending(owner(kind)), 0, REDEEM_SCRIPT=b"\x51"), 0)
    for kind in ("p2pkh", "p2wpkh", "p2sh-p2wpkh", "p2sh"):
        refusal(lock_of, changed(spending(owner(kind)), 0, WITNESS_SCRIPT=b"\x51"), 0)
    for kind in ("p2sh", "p2sh-p2wpkh", "p2sh-p2wsh"):
        assert "redeem script is missing" in refusal(
            lock_of, changed(spending(owner(kind)), 0, REDEEM_SCRIPT=None), 0
        )
    for kind in ("p2wsh", "p2sh-p2wsh"):
        assert "witness script is missing" in refusal(
            lock_of, changed(spending(owner(kind)), 0, WITNESS_SCRIPT=None), 0
        )


@pytest.mark.parametrize(
    "code", [b"\x51", b"\x21" + key_of("ann") + b"\xac", b"\x52\x21" + key_of("ann") + b"\x51\xae"]
)
def test_scripts_that_are_no_multisig_of_rule_s2(code: bytes) -> None:
    program = p2wsh(sha256(code))
    for own in (
        OwnScript(p2sh(hash160(code)), code),
        OwnScript(program, None, code),
        OwnScript(p2sh(hash160(program)), program, code),
    ):
        assert "no multisig" in refusal(lock_of, spending(own), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_too_long_to_be_spent_is_not_handed_out(kind: str) -> None:
    own = owner(kind)
    spent = Input("00" * 32, 7, b"", ())
    outputs = [Output(1000, b"\x51"), Output(VALUE, name_script(b"n", bytes(521), own.script))]
    previous = Transaction.build(NAME_TX_VERSION, 0, [(spent, FINAL)], outputs)
    psbt = Psbt.unsigned(unsigned(previous)).updated({previous.txid: previous}.get, [own])
    assert "Push value size limit exceeded" in refusal(extract, finalise(signed(psbt, *signers_of(kind))))


def test_what_is_missing_is_told_by_its_code() -> None:
    psbt = signed(spending(owner("p2wsh")), "ann")
    for step in (finalise, extract):
        with pytest.raises(BadData) as caught:
            step(psbt)
        assert caught.value.code == INCOMPLETE
    assert "1 of the 2 signatures" in refusal(finalise, psbt)
    refusal(
        extract,
        Psbt.unsigned(Transaction.build(2, 0, [(Input("ab" * 32, 0, b"", ()), FINAL)], [Output(1, b"")])),
    )


def test_a_finished_input_is_not_signed_again() -> None:
    psbt = spending(owner("p2wpkh"))
    done = finalise(signed(psbt, "ann"))
    assert "finished" in refusal(sign, done, 0, key_of("ann"), signer("ann"))
    once = signed(psbt, "ann")
    assert sign(once, 0, key_of("ann"), lambda digest: b"") is once  # noqa: ARG005
    known = done.updated(nothing, [owner("p2wpkh")._replace(origins={})])
    assert extract(known).raw == extract(done).raw


def test_a_bad_finish_is_not_handed_out() -> None:
    psbt = spending(owner("p2wpkh"))
    good = finalise(signed(psbt, "ann"))
    witness = good.inputs[0].records[b"\x08"]
    for bad in (b"\0", witness[:20] + bytes([witness[20] ^ 1]) + witness[21:]):
        refusal(extract, changed(good, 0, FINAL_WITNESS=bad))
    refusal(extract, changed(good, 0, FINAL_SCRIPT_SIG=b"\x51"))


# ---- combining


def test_the_board_signs_apart_in_any_order() -> None:
    for kind in MULTISIGS:
        psbt = spending(owner(kind), owner("p2wpkh"))
        parts = [signed(psbt, who) for who in BOARD] + [signed(psbt, "ann", index=1)]
        whole = combine(parts)
        assert combine(parts[::-1]).serialize() == whole.serialize()
        assert combine([combine(parts[:2]), combine(parts[2:]), whole]).serialize() == whole.serialize()
        assert state(whole, 0).signed == tuple(sorted(map(key_of, BOARD)))
        assert extract(finalise(whole)).outputs == psbt.tx.outputs


def test_combining_what_contradicts() -> None:
    psbt = spending(owner("p2wsh"))
    for records in ({b"\xf0x": b"1"}, {b"\x06" + key_of("ann"): b"abcd"}):
        other = psbt.with_input(0, {**psbt.inputs[0].records, b"\xf0x": b"0", **records})
        mine = psbt.with_input(0, {**psbt.inputs[0].records, b"\xf0x": b"0"})
        assert "contradict" in refusal(combine, [mine, other])
    assert "contradict" in refusal(combine, _signed_twice(psbt))
    final = [finalise(signed(psbt, *who)) for who in combinations(BOARD, 2)]
    assert "contradict" in refusal(combine, final)
    with pytest.raises(ValueError, match="nothing"):
        combine([])


def _signed_twice(psbt: Psbt) -> list[Psbt]:
    """Two good signatures by one key: embit tries nonces until R is short."""
    for who in BOARD:
        theirs = ec.PrivateKey(secret(who).secret).sign(signature_hash(psbt, 0)).serialize() + b"\1"
        twice = [signed(psbt, who), add_signature(psbt, 0, key_of(who), theirs)]
        if theirs not in twice[0].inputs[0].partial_signatures.values():
            return twice
    raise AssertionError


def test_finished_and_not_combine() -> None:
    psbt = spending(owner("p2wsh"), owner("p2wpkh"))
    board = signed(psbt, "ann", "ben")
    done = psbt.with_input(0, finalise(signed(board, "ann", index=1)).inputs[0].records)
    both = combine([done, signed(psbt, "ann", index=1)])
    assert extract(finalise(both)).raw == extract(finalise(signed(board, "ann", index=1))).raw


# ---- embit


@pytest.mark.parametrize("kind", KINDS)
def test_embit_reads_writes_and_hashes_the_same(kind: str) -> None:
    psbt = spending(owner(kind), owner("p2wpkh"))
    other = embit_psbt.PSBT.parse(psbt.serialize())
    back = Psbt.parse(other.serialize())
    assert [dict(part.records) for part in back.inputs] == [dict(part.records) for part in psbt.inputs]
    assert back.tx.raw == psbt.tx.raw
    for index in (0, 1):
        assert other.sighash(index) == signature_hash(psbt, index)
    assert other.fee() == psbt.fee


@pytest.mark.parametrize("kind", KINDS)
def test_embit_signs_and_finishes_the_same(kind: str) -> None:
    psbt = spending(owner(kind), owner("p2wpkh"))
    theirs = embit_psbt.PSBT.parse(psbt.serialize())
    for who in BOARD[:2]:
        theirs.sign_with(ec.PrivateKey(secret(who).secret))
    by_them = Psbt.parse(theirs.serialize())
    assert state(by_them, 0).signed == tuple(sorted(map(key_of, signers_of(kind))))
    tx = extract(finalise(by_them))
    if kind != "p2sh":  # embit finishes no legacy multisig
        by_us = embit_psbt.PSBT.parse(by_them.serialize())
        assert finalize_psbt(by_us).serialize() == tx.raw


@given(psbts())
def test_embit_keeps_what_we_write(psbt: Psbt) -> None:
    back = Psbt.parse(embit_psbt.PSBT.parse(psbt.serialize()).serialize())
    assert [dict(part.records) for part in back.inputs] == [dict(part.records) for part in psbt.inputs]
    assert [dict(part.records) for part in back.outputs] == [dict(part.records) for part in psbt.outputs]


# ---- the recorded chains


@pytest.mark.parametrize("number", RECORDED)
def test_recorded_spends_come_out_as_they_are_in_the_chain(number: int) -> None:
    """Each input taken apart into a PSBT's records and put together again; what isn't ours to make is refused."""
    chain = recorded(number)
    same: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for tx in chain.payments:
        previous = {spent.txid: chain.evidence.transactions[spent.txid].tx for spent in tx.inputs}
        inputs = [
            (spent._replace(script_sig=b"", witness=()), s)
            for spent, s in zip(tx.inputs, tx.sequences, strict=True)
        ]
        psbt = Psbt.unsigned(Transaction.build(tx.version, tx.lock_time, inputs, tx.outputs)).updated(
            previous.get
        )
        try:
            kinds = []
            for index, spent in enumerate(tx.inputs):
                kind, psbt = _taken_apart(psbt, index, spent)
                kinds.append(kind)
            again = extract(finalise(psbt))
        except BadData as error:
            refused[error.message.partition(": ")[2].partition(" by ")[0]] += 1
        else:
            assert (again.outputs, again.version) == (tx.outputs, tx.version)
            if again.raw != tx.raw:  # junk that a miner put below the signature
                kinds = ["malleated"]
                ours, theirs = (script_sig_pushes(t.inputs[0].script_sig) or [] for t in (again, tx))
                assert ours == theirs[-2:]
            same.update(kinds)
    assert (same, refused) == EXPECTED[number]


def _taken_apart(psbt: Psbt, index: int, spent: Input) -> tuple[str, Psbt]:
    script = psbt.spent(index).script
    kind, _ = script_type(strip_name(script))
    pushed = script_sig_pushes(spent.script_sig) or []
    label, records = kind.value, {}
    if kind is ScriptType.P2SH:
        records["REDEEM_SCRIPT"] = pushed[-1]
        kind, _ = script_type(pushed[-1])
        label += f"-{kind.value}"
    stack = list(spent.witness) or pushed
    if kind is ScriptType.P2WSH:
        records["WITNESS_SCRIPT"] = stack[-1]
    psbt = changed(psbt, index, **records)
    multisig = lock_of(psbt, index).multisig
    digest = signature_hash(psbt, index)
    keys = stack[-1:] if multisig is None else multisig.keys
    for signature in stack[-2:-1] if multisig is None else stack[1:-1]:
        key = next((key for key in keys if verify_signature(key, signature[:-1], digest)), keys[0])
        psbt = add_signature(psbt, index, key, signature)
    return ("name " if strip_name(script) != script else "") + label, psbt


EXPECTED = {
    1: (
        Counter({"p2wpkh": 38, "p2pkh": 14, "name p2wpkh": 3, "p2sh-p2wpkh": 1, "p2wsh": 1}),
        Counter(
            {
                "a coin whose script is none that is signed for here": 2,
                "a signature with another sighash type than ALL": 1,
            }
        ),
    ),
    2: (
        Counter({"p2wpkh": 39, "p2pkh": 10, "name p2wpkh": 3, "malleated": 2}),
        # The last: keys that are not in the compressed form.
        Counter({"a signature with a high S, which no node relays": 2, "a signature": 2}),
    ),
}


# ---- a chain: publish and update a record of each owner


def _send(world: World, psbt: Psbt, people: tuple[str, ...]) -> Transaction:
    """Each signs a copy of their own, as a file; what comes back is combined, finished and mined."""
    files = []
    for who in people:
        copy = Psbt.read(psbt.text.encode())
        for index in range(len(copy.inputs)):
            copy = signed(copy, who, index=index)
        files.append(copy.text.encode())
    tx = extract(finalise(combine([Psbt.read(data) for data in reversed(files)])))
    assert world.devnet.broadcast(tx.raw) == tx.txid
    located = world.devnet.transaction(tx.txid)
    assert located is not None
    assert located.place is not None
    assert 0 <= estimated_vsize(psbt) - tx.vsize <= 8
    return tx


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_published_and_updated_on_the_chain(kind: str, tmp_path: Path) -> None:
    world = World(tmp_path)
    own = owner(kind)
    fund = world.pay(*(Output(20_000_000, own.script) for _ in range(2)))
    world.send(fund)
    lookup = {fund.txid: fund}.get
    people = ("ben", "cleo") if kind in MULTISIGS else ("ann",)
    owned = Output(1_000_000, name_script(b"bp/1EMH0012345678", b"first", own.script))

    spent = (Input(fund.txid, 0, b"", ()), FINAL)
    change = Output(18_950_000, own.script)
    published = Transaction.build(NAME_TX_VERSION, 0, [spent], [owned, change])
    first = _send(world, Psbt.unsigned(published).updated(lookup, [own]), people)
    assert first.writes[0].output.value == b"first"

    name_coin, other = (Input(first.txid, 0, b"", ()), FINAL), (Input(fund.txid, 1, b"", ()), FINAL)
    again = owned._replace(script=name_script(b"bp/1EMH0012345678", b"second", own.script))
    change = Output(19_900_000, own.script)
    update = Transaction.build(NAME_TX_VERSION, 0, [name_coin, other], [again, change])
    known = {fund.txid: fund, first.txid: first}
    second = _send(world, Psbt.unsigned(update).updated(known.get, [own]), people)
    assert second.outputs == (again, change)
    assert world.devnet.history(b"bp/1EMH0012345678", 9) == [first.txid, second.txid]


def test_origins_tell_a_signer_which_key_is_theirs() -> None:
    origin = KeyOrigin(b"abcd", (84 | 1 << 31, 7))
    own = owner("p2wpkh")._replace(origins={key_of("ann"): origin})
    assert spending(own).inputs[0].origins == {key_of("ann"): origin}
