"""The oracle itself: recorded chains, the rules they don't reach (on a chain made here), strict parsers."""

import json
from collections.abc import Callable
from typing import Any

import oracle
import pytest
from btclib.script.engine import verify_input
from btclib.tx.tx import Tx
from btclib.tx.tx_out import TxOut
from made import (
    ORG,
    RECORDED,
    MadeChain,
    Spend,
    Wallet,
    certificate,
    key_bytes,
    key_of,
    multisig,
    name_output,
    organised,
    p2wpkh,
    recorded,
    secret,
)

CHECKED = ("status", "reason", "contested", "foreign_writes", "organization", "txid")


# The recorded chains


def judge_recorded(number: int, meter: str, **changes: Any) -> oracle.OracleVerdict:
    chain = recorded(number)
    blocks = changes.pop("blocks", chain.chain)
    lists = changes.pop("lists", chain.lists)
    return oracle.judge_chain(blocks, lists, chain.oracle_pins, meter, **changes)


@pytest.mark.parametrize(
    ("number", "meter"), [(number, meter) for number in RECORDED for meter in recorded(number).expected]
)
def test_recorded_verdicts(number: int, meter: str) -> None:
    expected = recorded(number).expected[meter]
    verdict = judge_recorded(number, meter, min_confirmations=recorded(number).policy.min_confirmations)
    asserted = [name for name in CHECKED if name in expected]
    assert {name: getattr(verdict, name) for name in asserted} == {name: expected[name] for name in asserted}


@pytest.mark.parametrize("number", RECORDED)
def test_the_signing_keys_are_those_that_btclib_s_engine_reports(number: int) -> None:
    chain = recorded(number).chain
    compared = 0
    for write in (write for writes in chain.writes.values() for write in writes):
        for index, tx_in in enumerate(write.tx.vin):
            previous = chain.transactions[tx_in.prev_out.tx_id.hex()]
            output = previous.vout[tx_in.prev_out.vout]
            signer = oracle.input_signer(write.tx, index, previous, write.height, oracle.REGTEST)
            assert isinstance(signer, oracle.Signed)
            name = oracle.split_name_output(output.script_pub_key.script)
            if name and oracle.script_type(name[2]) != "p2pkh":
                output = TxOut(output.value, name[2])
            reported: list[tuple[bytes, bytes]] = []
            verify_input([output] * len(write.tx.vin), write.tx, index, oracle.CONSENSUS, signatures=reported)
            keys = {key.hex() for key, _ in reported if len(key) == 33}
            if signer.key is not None:
                assert keys == {signer.key}
                compared += 1
            elif signer.script is not None:
                assert len(keys) > 1
    assert compared > 10


def test_a_missing_list_makes_undetermined_only_whom_it_concerns() -> None:
    lists = dict(recorded(1).lists)
    del lists[
        "bafkreif3s5zwyydk66ia3ruexmjfdohcl57hpqenlveaodzbs7ofvfrcxm"
    ]  # the last of Elektro-Innung Passau
    verdict = judge_recorded(1, "1EMH0012345001", lists=lists)
    assert (verdict.status, verdict.reason) == ("undetermined", "list_missing")
    assert judge_recorded(1, "1EMH0012345003", lists=lists).status == "trusted"
    assert judge_recorded(1, "1EMH0012345005", lists=lists).reason == "organization_not_accepted"
    # a revocation signed while its signer was a member stays one, unless the list voids it
    assert judge_recorded(1, "1EMH0012345017", lists=lists).status == "undetermined"
    del lists["bafkreiapkdnfci74sh7pfetw5rgekpe5gpgl6xunfs5lzgfio4mhm6umz4"]  # a squatter's
    assert judge_recorded(1, "1EMH0012345003", lists=lists).status == "trusted"


def test_a_later_withdrawal_undoes_revocations_only_where_it_says_so() -> None:
    cid = "bafkreicwj5s3qlvloaj3w2eheo74lqogqanbj32e2pmpw2sq3hzy6wwaxu"
    lists = dict(recorded(2).lists)
    assert judge_recorded(2, "1REV0000099002", lists=lists).status == "revoked"
    lists[cid] = lists[cid].replace(b'"height":461', b'"height":0')
    assert judge_recorded(2, "1REV0000099002", lists=lists).status == "revoked"
    lists[cid] = lists[cid].replace(b'"height":0', b'"height":0,"voids_revocations":true')
    assert judge_recorded(2, "1REV0000099002", lists=lists).status == "trusted"


def test_only_reinstated_lifts_a_withdrawal() -> None:
    cid = "bafkreigpqf2bh6777ydvohjisik7qyp6s4z6yc6maugwjezoyf3akxxvvq"
    lists, key = (
        dict(recorded(2).lists),
        b"038966c9c6a9a5b2d2b8e4316b2cb7487de76cad6a0716722efba48f0d63e3aa04",
    )
    for added, status in ((b"", "untrusted"), (b',"reinstated":true', "trusted")):
        entry = b'{"key":"' + key + b'"' + added + b"},"
        changed = {**lists, cid: lists[cid].replace(b'"members":[', b'"members":[' + entry)}
        assert judge_recorded(2, "1REV0000099001", lists=changed).status == status


def test_a_revocation_counts_from_the_mempool_of_an_own_node() -> None:
    revocation = judge_recorded(2, "1REV0000099021")
    chain = recorded(2).chain
    assert revocation.txid is not None
    raw = chain.transactions[revocation.txid].serialize(include_witness=True)
    before = recorded(2).blocks[:-1]
    arguments: dict[str, Any] = {"blocks": oracle.Chain(before), "min_confirmations": 1}
    assert judge_recorded(2, "1REV0000099021", **arguments).status == "trusted"
    pending = judge_recorded(2, "1REV0000099021", **arguments, mempool=[raw])
    assert (pending.status, pending.txid) == ("revoked", revocation.txid)
    foreign = judge_recorded(2, "1REV0000099021", **arguments, mempool=[raw], own_source=False)
    assert (foreign.status, foreign.reason) == ("undetermined", "single_source")


def test_a_damaged_witness_is_bad_data_where_it_matters() -> None:
    verdict = judge_recorded(1, "1EMH0012345001")
    chain = recorded(1).chain
    assert verdict.txid is not None
    witness = chain.transactions[verdict.txid].vin[0].script_witness.stack
    damaged = bytes([*witness[0][:20], witness[0][20] ^ 1, *witness[0][21:]])
    blocks = recorded(1).blocks
    changed = oracle.Chain([block.replace(witness[0], damaged) for block in blocks])
    verdict = judge_recorded(1, "1EMH0012345001", blocks=changed)
    assert (verdict.status, verdict.reason) == ("undetermined", "bad_data")
    assert judge_recorded(1, "1EMH0012345002", blocks=changed).status == "trusted"


# A chain made here


@pytest.fixture
def made() -> MadeChain:
    return organised()


def test_a_certificate_waits_for_six_confirmations(made: MadeChain) -> None:
    txid = made.certify("E1")
    made.mine(4)
    verdict = made.ask_oracle()
    assert (verdict.status, verdict.txid, verdict.foreign_writes) == ("unconfirmed", txid, 0)
    made.mine(1)
    assert (made.ask_oracle().status, made.ask_oracle().organizations) == ("trusted", {"Org": "trusted"})


def test_another_s_replacement_waits_for_144_confirmations(made: MadeChain) -> None:
    first = made.certify("E1")
    made.mine(6)
    second = made.certify("E2", "other node")
    made.mine(142)
    verdict = made.ask_oracle()
    assert (verdict.status, verdict.txid, verdict.replacement_pending) == ("trusted", first, True)
    made.mine(1)
    verdict = made.ask_oracle()
    assert (verdict.status, verdict.txid, verdict.replacement_pending) == ("trusted", second, False)


def test_as_written_a_renewal_does_not_end_a_pending_replacement(made: MadeChain) -> None:
    """Not what C6 wants either: the old signer's renewal stands at once, and steps back for a while later."""
    made.certify("E1")
    made.mine(5)
    replacement = made.certify("E2", "other node")
    made.mine(50)
    renewal = made.certify("E1")
    made.mine(10)
    assert (made.ask_oracle().txid, made.ask_oracle().replacement_pending) == (renewal, True)
    made.mine(84)
    assert (made.ask_oracle().txid, made.ask_oracle().replacement_pending) == (replacement, True)
    made.mine(51)
    assert (made.ask_oracle().txid, made.ask_oracle().replacement_pending) == (renewal, False)


def test_as_written_an_owner_s_revocation_excepts_every_later_replacement(made: MadeChain) -> None:
    """A third: each later certificate must name that revocation, and so each is excepted from the wait."""
    made.certify("E1")
    revocation = made.revoke("owner")
    made.certify("E1", after=revocation)
    made.mine(500)
    taken_over = made.certify("E2", "other node", after=revocation)
    made.mine(5)
    assert made.ask_oracle().txid == taken_over


def test_the_same_signer_replaces_at_once(made: MadeChain) -> None:
    made.certify("E1")
    second = made.certify("E1", "other node")
    made.mine(5)
    assert made.ask_oracle().txid == second


@pytest.mark.parametrize(("revoker", "status"), [("E1", "trusted"), ("owner", "trusted"), ("E3", "revoked")])
def test_who_revoked_decides_how_long_the_next_node_waits(made: MadeChain, revoker: str, status: str) -> None:
    made.certify("E1")
    revocation = made.revoke(revoker)
    made.certify("E2", "other node", after=revocation[:16])
    made.mine(5)
    assert made.ask_oracle().status == status


def test_a_certificate_after_a_revocation_must_name_it(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke("E1")
    last = made.revoke("E1")
    made.certify("E1")
    made.mine(5)
    assert (made.ask_oracle().status, made.ask_oracle().contested) == ("revoked", True)
    made.certify("E1", after=last[:20])
    made.mine(5)
    assert made.ask_oracle().status == "trusted"


def test_as_written_144_is_passed_by_certifying_the_same_node_first(made: MadeChain) -> None:
    """Not what C6 wants, but what it says: a weakness to report, kept here to see when the rule changes."""
    made.certify("E1")
    made.mine(5)
    made.certify("E2")
    taken_over = made.certify("E2", "other node")
    made.mine(5)
    assert made.ask_oracle().txid == taken_over


def test_ownership_moves_and_a_pin_can_end_before_a_theft(made: MadeChain) -> None:
    root = made.pins[ORG][0][0]
    last = made.publish(["E1", "E2"])
    made.publish(b"", "thief", owner="thief")  # a stranger's write changes nothing
    stolen = made.publish(b"", "owner", owner="thief")
    made.publish(["thief"], "thief", owner="thief")
    again = made.publish(["E1"], "owner")  # the owner by now is the thief, so this one is foreign
    made.certify("thief")
    made.mine(5)
    assert made.ask_oracle().status == "trusted"
    made.pins[ORG] = [(root, last)]
    assert (made.ask_oracle().status, made.ask_oracle().reason) == ("untrusted", "not_a_member")
    made.certify("E2")
    made.mine(5)
    assert made.ask_oracle().status == "trusted"
    made.pins[ORG] = [(root, last), (again, None)]
    assert (made.ask_oracle().status, made.ask_oracle().reason) == ("untrusted", "not_a_member")
    made.pins[ORG] = [(root, stolen)]
    assert made.ask_oracle().reason == "not_a_member"
    made.pins[ORG] = [("00" * 32, None)]
    assert made.ask_oracle().reason == "organization_not_accepted"


def test_every_input_must_be_the_same_member_s(made: MadeChain) -> None:
    made.certify(["E1", "E2"])
    assert (made.ask_oracle().reason, made.ask_oracle().contested) == ("not_a_member", True)
    made.certify([Spend("E1", sighash=3)] * 2)
    assert made.ask_oracle().reason == "sighash_not_all"
    made.certify(["E1", "E1"])
    made.mine(5)
    assert made.ask_oracle().status == "trusted"


def test_what_a_missing_list_can_t_change_is_not_undetermined(made: MadeChain) -> None:
    made.certify("E1")
    made.lose(made.publish(b"missing"))
    made.mine(6)
    assert (made.ask_oracle().status, made.ask_oracle().reason) == ("undetermined", "list_missing")
    made.revoke("E2")
    assert (made.ask_oracle().status, made.ask_oracle().organizations) == (
        "undetermined",
        {ORG: "undetermined"},
    )
    # lifts what the missing list withdrew, but a revoker is judged without it
    made.publish({"E1": {"reinstated": True}})
    assert (made.ask_oracle().status, made.ask_oracle().reason) == ("undetermined", "list_missing")
    last = made.revoke("E1")
    assert (made.ask_oracle().status, made.ask_oracle().txid) == ("revoked", last)


def test_a_later_list_can_make_a_missing_one_harmless(made: MadeChain) -> None:
    txid = made.certify("E1")
    made.lose(made.publish(b"missing"))
    made.publish({"E1": {"reinstated": True}})
    made.mine(6)
    assert (made.ask_oracle().status, made.ask_oracle().txid) == ("trusted", txid)


def test_a_write_counts_once_and_within_the_limits(made: MadeChain) -> None:
    certified = made.certify("E1")
    revocation = made.revoke("E1")
    made.replay(certified)
    made.mine(6)
    assert (made.ask_oracle().status, made.ask_oracle().txid) == ("revoked", revocation)
    made.pins = {}
    assert (made.ask_oracle().reason, made.ask_oracle().foreign_writes) == ("organization_not_accepted", 2)
    tx = tx_of(made, certified)
    assert oracle._within_limits(Tx(0x7100, 0, tx.vin * 16, tx.vout * 32, check_validity=False))
    assert not oracle._within_limits(Tx(0x7100, 0, tx.vin * 17, tx.vout, check_validity=False))
    assert not oracle._within_limits(Tx(0x7100, 0, tx.vin, tx.vout * 33, check_validity=False))
    padded = TxOut(0, bytes(20_000 - 4 - 1 - 41 - 1 - 8 - 3 - 4))
    assert oracle._within_limits(Tx(0x7100, 0, tx.vin, [padded], check_validity=False))
    assert not oracle._within_limits(Tx(0x7100, 0, tx.vin, [TxOut(0, padded.script_pub_key.script + b"0")]))


# Signers of every supported type

WALLETS = [
    Wallet("p2pkh", ("a",)),
    Wallet("p2wpkh", ("a",)),
    Wallet("p2sh-p2wpkh", ("a",)),
    *(Wallet(kind, ("b", "a")) for kind in ("p2sh", "p2wsh", "p2sh-p2wsh")),
    *(Wallet(kind, ("a", "b", "c"), 2) for kind in ("p2sh", "p2wsh", "p2sh-p2wsh")),
]
each_wallet = pytest.mark.parametrize("wallet", WALLETS, ids=lambda w: f"{w.kind} {w.m}-of-{len(w.people)}")


def spend_of(wallet: Wallet, named: bool = False, **how: Any) -> tuple[MadeChain, Tx, Tx]:
    """A chain, a previous transaction, and one that spends it."""
    chain = MadeChain()
    coin = chain.coin(chain.write("bp/M123", b"value", owner=wallet)) if named else chain.fund(wallet)
    by = ("a", "c") if wallet.m == 2 else ("a",)
    txid = chain.write("bp/M123", b"value", Spend(coin, by=by, **how))
    return chain, tx_of(chain, coin.txid), tx_of(chain, txid)


def tx_of(chain: MadeChain, txid: str) -> Tx:
    return Tx.parse(chain.raw[txid], check_validity=False)


@each_wallet
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("sighash", "high_s"), [(1, False), (1, True), (2, False), (0x83, True), (0x41, False)]
)
def test_signers(wallet: Wallet, named: bool, sighash: int, high_s: bool) -> None:
    _, previous, tx = spend_of(wallet, named, sighash=sighash, high_s=high_s)
    script = wallet.script if sighash == 1 else None
    expected = oracle.Signed(script, key_of("a") if wallet.m == 1 else None, sighash == 1)
    assert oracle.input_signer(tx, 0, previous, 0, oracle.REGTEST) == expected
    reported: list[tuple[bytes, bytes]] = []
    output = previous.vout[0]
    if wallet.kind != "p2pkh":
        output = TxOut(output.value, wallet.script)
    verify_input([output], tx, 0, oracle.CONSENSUS, signatures=reported)
    assert len(reported) == wallet.m


@each_wallet
def test_a_spend_with_another_signature(wallet: Wallet) -> None:
    chain, previous, tx = spend_of(wallet)
    if wallet.segwit:
        chain.damage(tx.id.hex())
        tx = tx_of(chain, tx.id.hex())
        signer = oracle.input_signer(tx, 0, previous, 0, oracle.REGTEST)
        assert isinstance(signer, oracle.Unknown)
        assert (signer.kind, signer.script) == ("bad_data", wallet.script)
        assert oracle.input_signer(tx, 0, previous, 9, oracle.Network("x", 1, 10)) == oracle.NOBODY
    else:
        tx.vin[0].script_sig = spend_of(wallet, True)[2].vin[0].script_sig
        assert oracle.input_signer(tx, 0, previous, 0, oracle.REGTEST) == oracle.NOBODY
    assert oracle.input_signer(tx, 0, None, 0, oracle.REGTEST) == oracle.Unknown("transaction_missing")


@pytest.mark.parametrize(
    ("junk", "signed"),
    [(b"\x61", True), (b"\x51\x00\x4f", True), (b"\x02xx\x61", True), (b"\xb0", False), (b"\x50", False)],
)
def test_what_a_miner_adds_to_a_script_sig(junk: bytes, signed: bool) -> None:
    _, previous, tx = spend_of(WALLETS[0], junk=junk)
    signer = oracle.input_signer(tx, 0, previous, 0, oracle.REGTEST)
    assert isinstance(signer, oracle.Signed)
    assert signer.key == (key_of("a") if signed else None)


def test_multisig_templates() -> None:
    three = multisig(2, *map(key_bytes, "abc"))
    assert oracle._multisig_template(three, 15) is not None
    assert oracle._multisig_template(three, 2) is None
    assert oracle._multisig_template(multisig(2, *map(key_bytes, "aa")), 15) is None
    assert oracle._multisig_template(b"\x50" + three[1:], 15) is None
    assert oracle._multisig_template(b"\x54" + three[1:], 15) is None
    assert oracle._multisig_template(three + b"\x61", 15) is None
    assert oracle._multisig_template(three[:-1] + b"\xaf", 15) is None
    assert oracle._multisig_template(b"", 15) is None
    many = multisig(1, *(key_bytes(f"key {i}") for i in range(16)))
    assert oracle._multisig_template(many, 16) is not None
    assert oracle._multisig_template(many, 15) is None


# The strict parsers


@pytest.mark.parametrize(
    "value",
    [
        b"\xef\xbb\xbf{}",
        b'"text"',
        b"[]",
        b"{} {}",
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b'{"a":"\n"}',
        b"{'a':1}",
        b'{"a":01}',
        b'{"a":' + b"[" * 8 + b"]" * 8 + b"}",
        b"[" * 100_000,
        b'{"a":1}'.decode().encode("utf-16"),
    ],
)
def test_strict_json_refuses(value: bytes) -> None:
    with pytest.raises(oracle.Malformed):
        oracle.strict_json(value)


def test_strict_json_takes() -> None:
    assert oracle.strict_json(b' {"a":"\\ud83d\\ude00"}\n') == {"a": "\U0001f600"}
    assert oracle.strict_json(b'{"a":' + b"[" * 7 + b"]" * 7 + b"}")
    assert oracle.strict_json(b'{"a":1' + b"0" * 5000 + b"}")["a"] > 10**1000


Fields = dict[str, Any]


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record | {"v": True},
        lambda record: record | {"v": 1.0},
        lambda record: record | {"v": "1"},
        lambda record: record | {"org": None},
        lambda record: record | {"node": record["client"]},
        lambda record: record | {"node": record["node"].upper()},
        lambda record: record | {"client": record["client"] + "00"},
        lambda record: record | {"ms": 1},
        lambda record: record | {"seal": "A-1001"},
        lambda record: record | {"seal": [1]},
        lambda record: record | {"seal": None},
        lambda record: record | {"doc": "Qm"},
        lambda record: record | {"after": "0" * 15},
        lambda record: record | {"after": "A" * 16},
        lambda record: record | {"after": "a" * 65},
        lambda record: record | {"revoked": None},
        lambda record: record | {"note": "x" * 520},
    ],
)
def test_malformed_records(change: Callable[[Fields], Fields]) -> None:
    with pytest.raises(oracle.Malformed):
        oracle.parse_record(json.dumps(change(json.loads(certificate()))).encode())


def test_well_formed_records() -> None:
    cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    value = certificate(seal=["A-1001"], doc=cid, after="0" * 16, unknown=[])
    record = oracle.parse_record(value)
    assert isinstance(record, oracle.Certificate)
    assert record.after == "0" * 16
    fields = json.loads(value) | {"revoked": "stolen", "seal": 1, "node": "?"}
    assert oracle.parse_record(json.dumps(fields).encode()) == oracle.Revocation("Org")


A, B = key_of("a"), key_of("b")


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (f"# members\n{A}\r\n\n{B.upper()}\n", {A, B}),
        (f"{A}\n05{B[2:]}", {A}),
        (f"{A} \n", set()),
        (f"\ufeff{A}", set()),
        (f'# {{"polyglot":1}}\n{A}', {A}),
        (f' {{"format":"doitrust-members/1","members":[{{"key":"{A.upper()}"}},{{"key":1}},3]}}', {A}),
        (f'{{"format":"doitrust-members/2","members":[{{"key":"{A}"}}]}}', set()),
        ('{"format":"doitrust-members/1","members":{}}', set()),
        (f'{{"format":"doitrust-members/1","members":[{{"key":"{A}","key":"{A}"}}]}}', set()),
        (f'{{"format":"doitrust-members/1","members":[{{"key":"{A}"}}]}}\n{B}', set()),
        ("\n".join([A] * 20_000), {A}),
        ("\n".join([A] * 20_001), set()),
        (f"{A}\n#" + "x" * (4 * 1024 * 1024 - 68), {A}),
        (f"{A}\n#" + "x" * (4 * 1024 * 1024 - 67), set()),
    ],
)
def test_member_lists(data: str, keys: set[str]) -> None:
    assert set(oracle.parse_member_list(data.encode())) == keys


@pytest.mark.parametrize(
    ("entries", "entry"),
    [
        ([{}], oracle.Entry()),
        ([{"revoked": {"height": 480}}], oracle.Entry(((480, False),))),
        ([{"revoked": {"height": 480.0, "voids_revocations": True}}], oracle.Entry(((0, True),))),
        ([{"revoked": {"height": -1, "voids_revocations": 1}}], oracle.Entry(((0, False),))),
        ([{"revoked": {"height": True}}], oracle.Entry(((0, False),))),
        ([{"revoked": False}], oracle.Entry(((0, False),))),
        ([{"revoked": None, "reinstated": True}], oracle.Entry((), True)),
        ([{"revoked": {}, "reinstated": True}], oracle.Entry(((0, False),))),
        ([{"reinstated": 1}], oracle.Entry()),
        ([{"revoked": {}}, {}], oracle.Entry(((0, False),))),
        ([{}, {"revoked": {}}, {"reinstated": True}], oracle.Entry(((0, False),))),
    ],
)
def test_entries(entries: list[dict[str, Any]], entry: oracle.Entry) -> None:
    members = [{"key": A, **fields} for fields in entries]
    data = json.dumps({"format": "doitrust-members/1", "members": members}).encode()
    assert oracle.parse_member_list(data) == {A: entry}


def test_cids() -> None:
    empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    binary = oracle._decode_base(empty[1:], oracle.BASE32)
    assert binary is not None
    assert oracle.parse_cid(empty) == empty
    assert oracle.parse_cid("f" + binary.hex()) == empty
    assert oracle.parse_cid("QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH") == (
        "bafybeif7ztnhq65lumvvtr4ekcwd2ifwgm3awq4zfr3srh462rwyinlb4y"
    )
    for wrong in (
        "",
        "b",
        empty[:-1],
        empty + "a",
        " " + empty,
        empty + "\n",
        "Qm" + "1" * 44,
    ):
        assert oracle.parse_cid(wrong) is None
    assert oracle.parse_cid("f" + binary.hex().replace("0155", "0171", 1)) is None


def test_name_outputs() -> None:
    owner = p2wpkh(key_bytes("owner"))
    script = name_output(b"bp/M123", b"v" * 76, owner)
    assert oracle.split_name_output(script) == (b"bp/M123", b"v" * 76, owner)
    assert oracle.split_name_output(script.replace(b"\x4c\x4c", b"\x4d\x4c\x00")) is None
    assert oracle.split_name_output(script.replace(b"\x6d\x75", b"\x75\x6d")) is None
    assert oracle.split_name_output(script.replace(b"\x6d\x75", b"\x61\x6d\x75")) is None
    assert oracle.split_name_output(b"\x52" + script[1:]) is None
    assert oracle.split_name_output(script[:20]) is None
    assert oracle.split_name_output(b"") is None


def test_strict_der() -> None:
    signature = secret("a").sign(bytes(32), hasher=None) + b"\x01"
    numbers = oracle.parse_strict_der(signature)
    assert numbers is not None
    assert oracle._der(*numbers) + b"\x01" == signature
    assert oracle.parse_strict_der(b"") is None
    for cut in range(len(signature)):
        assert oracle.parse_strict_der(signature[:cut]) is None
    assert oracle.parse_strict_der(signature + b"\x01") is None
