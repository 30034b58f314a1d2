"""Who signed: `chain.signers` against btclib's script engine, which runs the scripts as consensus does."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import coincurve
import oracle
import pytest
from btclib.script.engine import verify_input
from btclib.script.script_pub_key import ScriptPubKey
from btclib.tx.tx_out import TxOut
from hypothesis import given
from hypothesis import strategies as st
from support import RECORDED, damaged, key_of, recorded, secret

from doitrust.chain.address import hash160, sha256
from doitrust.chain.engine import STANDARD_FLAGS, ScriptFailed, ScriptFlag, Spend
from doitrust.chain.keys import is_compressed_key, verify_signature
from doitrust.chain.names import name_script
from doitrust.chain.scripts import (
    ScriptType,
    multisig_script,
    p2pkh,
    p2sh,
    p2wpkh,
    p2wsh,
    push,
    read_multisig,
    script_type,
)
from doitrust.chain.signers import InputSigner, Lookup, Signatures, Signing, may_be_of, names_key
from doitrust.chain.tx import SIGHASH_ALL, Input, Output, Transaction

CONSENSUS = oracle.CONSENSUS
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
A, B, C = (key_of(who) for who in "ABC")


def engine_s_signatures(tx: Transaction, index: int, spent: Output) -> list[tuple[bytes, bytes]]:
    """(key, signature with sighash byte) of every check that succeeded; raises `ValueError` for a refused spend.

    The node runs a legacy script whole; witness programs and redeem scripts behind a name run without it.
    """
    name = oracle.split_name_output(spent.script)
    script = spent.script if name is None or oracle.script_type(name[2]) == "p2pkh" else name[2]
    out = TxOut(spent.value, ScriptPubKey(script, "mainnet", check_validity=False), check_validity=False)
    found: list[tuple[bytes, bytes]] = []
    verify_input([out] * len(tx.inputs), tx._tx, index, CONSENSUS, signatures=found)
    return found


def engine_accepts(tx: Transaction, index: int, spent: Output) -> bool:
    try:
        engine_s_signatures(tx, index, spent)
    except ValueError:
        return False
    return True


def signers(tx: Transaction, lookup: Lookup, *, segwit: bool = True) -> tuple[InputSigner, ...]:
    return Signatures(tx, lookup, segwit=segwit).answers()


def said(answer: InputSigner) -> tuple[Signing, bytes | None, bytes | None, bool]:
    """The answer without what only helps where it is `BAD`."""
    return answer.state, answer.script, answer.key, answer.all_


def signer_of(tx: Transaction, index: int, *previous: Transaction, segwit: bool = True) -> InputSigner:
    return signers(tx, {p.txid: p for p in previous}.get, segwit=segwit)[index]


# ---- what was recorded from the node


def address_script(spent: Output) -> bytes:
    """The script behind a canonical name, by the oracle's reading."""
    name = oracle.split_name_output(spent.script)
    return spent.script if name is None else name[2]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (
            1,
            {"p2wpkh signed": 42, "p2pkh signed": 14, "p2sh signed": 1, "p2wsh signed": 1, "other nobody": 2},
        ),
        # The two are uncompressed keys.
        (2, {"p2wpkh signed": 44, "p2pkh signed": 12, "p2pkh nobody": 2}),
    ],
)
def test_every_recorded_spend_has_the_signers_that_the_engine_reports(
    number: int, expected: dict[str, int]
) -> None:
    seen: Counter[str] = Counter()
    for tx, index, spent in recorded(number).spends():
        reported = engine_s_signatures(tx, index, spent)
        signatures = Signatures(tx, recorded(number).evidence.transaction, segwit=True)
        answer, kind = signatures.answers()[index], script_type(address_script(spent))[0]
        if answer.state is Signing.SIGNED:
            signed = {key for key, _ in reported}
            assert answer.script == address_script(spent)
            assert answer.all_ == all(signature[-1] == SIGHASH_ALL for _, signature in reported)
            assert signed == {answer.key} if answer.key is not None else len(signed) > 1
        else:
            assert answer.state is Signing.NOBODY
            assert not reported or not supported(tx, index, kind, [key for key, _ in reported])
        counts = answer.state is Signing.SIGNED and answer.all_
        assert (signatures.by_script(address_script(spent)) is Signing.SIGNED) == counts
        assert (address_script(spent) in signatures.scripts()) == counts
        seen[f"{kind.value} {answer.state.value}"] += 1
    assert seen == expected


def supported(tx: Transaction, index: int, kind: ScriptType, keys: list[bytes]) -> bool:
    """Whether rule S2 knows the kind of script with which these keys signed."""
    if any(len(key) != 33 for key in keys):
        return False
    if kind in (ScriptType.P2PKH, ScriptType.P2WPKH):
        return True
    if kind is ScriptType.P2WSH:
        return read_multisig(tx.inputs[index].witness[-1]) is not None
    return kind is ScriptType.P2SH


@pytest.mark.parametrize("number", RECORDED)
def test_every_recorded_spend_passes_our_own_run_of_the_scripts(number: int) -> None:
    """Name prefixes included; with one flipped bit in a signature of a supported type none does."""
    chain = recorded(number)
    for tx in chain.payments:
        spent = [chain.evidence.transactions[i.txid].tx.outputs[i.vout] for i in tx.inputs]
        for index in range(len(tx.inputs)):
            Spend(tx, spent).verify(index, CONSENSUS)


@pytest.mark.parametrize("number", RECORDED)
def test_no_recorded_signer_survives_a_flipped_bit(number: int) -> None:
    chain, found = recorded(number), 0
    for tx, index, spent in chain.spends():
        answer = signers(tx, chain.evidence.transaction)[index]
        witness = tuple(tx.inputs[index].witness)
        if answer.state is not Signing.SIGNED or not witness:
            continue
        place = next(at for at, element in enumerate(witness) if element[:1] == b"\x30")
        for byte in (5, len(witness[place]) // 2, len(witness[place]) - 2):
            flipped = bytearray(witness[place])
            flipped[byte] ^= 1
            other = with_input(tx, index, witness=(*witness[:place], bytes(flipped), *witness[place + 1 :]))
            assert signers(other, chain.evidence.transaction)[index].state is Signing.BAD
            assert not engine_accepts(other, index, spent)
        found += 1
    assert found > 20


# ---- spends made here, of every type that rule S2 knows


def with_input(tx: Transaction, index: int, **changes: Any) -> Transaction:
    """`tx` with something else in one of its inputs."""
    inputs = [(i, inner.sequence) for i, inner in zip(tx.inputs, tx._tx.vin, strict=True)]
    inputs[index] = (inputs[index][0]._replace(**changes), inputs[index][1])
    return Transaction.build(tx.version, tx._tx.lock_time, inputs, tx.outputs)


NAME = name_script(b"bp/1EMH0012345678", b'{"v":1}', b"")


def multisig(m: int, *keys: bytes) -> bytes:
    return multisig_script(m, keys)


@dataclass
class Coin:
    """An output and how to spend it: what is signed, and where the signatures go."""

    script: bytes
    code: bytes
    segwit: bool
    place: Callable[[Sequence[bytes]], dict[str, object]]
    who: str = "A"
    name: bytes = b""
    value: int = 1_000_000
    #: The script code of the signature, if not the right one.
    signed_code: bytes | None = None
    previous: Transaction = field(init=False)

    def __post_init__(self) -> None:
        source = (Input("22" * 32, 7, b"", ()), 0)
        others = [Output(5, b"\x51"), Output(self.value, self.name + self.script)]
        self.previous = Transaction.build(0x7100, 0, [source], others)

    @property
    def spent(self) -> Output:
        return self.previous.outputs[1]

    def unsigned(self) -> Transaction:
        """Our coin is the second of two inputs and there are two outputs, so that no index is right by chance."""
        inputs = [(Input("33" * 32, 1, b"", ()), 3), (Input(self.previous.txid, 1, b"", ()), 0xFFFFFFFD)]
        return Transaction.build(0x7100, 9, inputs, [Output(1, b"\x51"), Output(2, NAME + p2wpkh(bytes(20)))])

    def signature(self, who: str, hash_type: int = SIGHASH_ALL) -> bytes:
        code = self.code if self.signed_code is None else self.signed_code
        amount = self.value if self.segwit else None
        digest = self.unsigned().signature_hash(1, code, amount, hash_type)
        return secret(who).sign(digest, hasher=None) + bytes([hash_type])

    def spend(
        self, hash_type: int = SIGHASH_ALL, *, signatures: Sequence[bytes] | None = None
    ) -> Transaction:
        if signatures is None:
            signatures = [self.signature(who, hash_type) for who in self.who]
        return with_input(self.unsigned(), 1, **self.place(signatures))

    def signer(self, tx: Transaction, *, segwit: bool = True) -> InputSigner:
        return signer_of(tx, 1, self.previous, segwit=segwit)

    def scripts(self, tx: Transaction) -> set[bytes]:
        return Signatures(tx, {self.previous.txid: self.previous}.get, segwit=True).scripts()


def key_coin(kind: str, **options: str | bytes | int) -> Coin:
    """A coin of A's key: p2pkh, p2wpkh or p2sh-p2wpkh."""
    program = p2wpkh(hash160(A))
    code = p2pkh(hash160(A))
    name = options.get("name", b"")
    if kind == "p2pkh":
        assert isinstance(name, bytes)
        return Coin(code, name + code, False, lambda s: {"script_sig": push(s[0]) + push(A)}, **options)  # type: ignore[arg-type]
    if kind == "p2wpkh":
        return Coin(program, code, True, lambda s: {"witness": (s[0], A)}, **options)  # type: ignore[arg-type]
    wrapped = p2sh(hash160(program))
    return Coin(wrapped, code, True, lambda s: {"witness": (s[0], A), "script_sig": push(program)}, **options)  # type: ignore[arg-type]


def multisig_coin(kind: str, script: bytes, who: str, name: bytes = b"") -> Coin:
    """A multisig coin: p2sh, p2wsh or p2sh-p2wsh, spent by the keys that `who` names."""
    program = p2wsh(sha256(script))
    if kind == "p2sh":
        return Coin(
            p2sh(hash160(script)), script, False,
            lambda s: {"script_sig": b"\0" + b"".join(map(push, s)) + push(script)}, who, name,
        )  # fmt: skip
    if kind == "p2wsh":
        return Coin(program, script, True, lambda s: {"witness": (b"", *s, script)}, who, name)
    return Coin(
        p2sh(hash160(program)), script, True,
        lambda s: {"witness": (b"", *s, script), "script_sig": push(program)}, who, name,
    )  # fmt: skip


KEY_KINDS = ("p2pkh", "p2wpkh", "p2sh-p2wpkh")
MULTISIG_KINDS = ("p2sh", "p2wsh", "p2sh-p2wsh")
COINS: dict[str, Callable[[bytes], Coin]] = {
    **{kind: (lambda name, kind=kind: key_coin(kind, name=name)) for kind in KEY_KINDS},  # type: ignore[misc]
    **{
        f"{kind} {m} of {len(keys)}": (
            lambda name, kind=kind, m=m, keys=keys, who=who: multisig_coin(
                kind, multisig(m, *keys), who, name
            )  # type: ignore[misc]
        )
        for kind in MULTISIG_KINDS
        for m, keys, who in ((1, (A, B), "B"), (1, (A,), "A"), (2, (A, B, C), "AC"), (3, (A, B, C), "ABC"))
    },
}
coins = pytest.mark.parametrize("coin", COINS)
names = pytest.mark.parametrize("name", [b"", NAME], ids=["payment", "name"])


@names
@coins
def test_a_coin_of_each_supported_type_is_signed_by_whom_the_engine_says(coin: str, name: bytes) -> None:
    made = COINS[coin](name)
    tx = made.spend()
    reported = engine_s_signatures(tx, 1, made.spent)
    assert {key for key, _ in reported} == {key_of(who) for who in made.who}
    Spend(tx, [Output(1, b"\x51"), made.spent]).verify(1, CONSENSUS)
    Spend(tx, [Output(1, b"\x51"), made.spent]).verify(1, STANDARD_FLAGS)
    single = read_multisig(made.code) is None or " 1 of" in coin
    key = key_of(made.who) if single else None
    assert said(made.signer(tx)) == (Signing.SIGNED, made.script, key, True)
    assert made.scripts(tx) == {made.script}
    assert names_key(tx, frozenset({key_of(made.who[0])}))
    assert not names_key(tx, frozenset({key_of("nobody")}))


@names
@coins
def test_every_sighash_byte_is_consensus_and_only_0x01_counts_as_all(coin: str, name: bytes) -> None:
    made = COINS[coin](name)
    for hash_type in (*range(8), 0x1F, 0x41, 0x80, 0x81, 0x82, 0x83, 0x84, 0xC1, 0xFF):
        tx = made.spend(hash_type)
        assert engine_accepts(tx, 1, made.spent)
        answer = made.signer(tx)
        assert (answer.state, answer.all_) == (Signing.SIGNED, hash_type == SIGHASH_ALL)
        assert made.scripts(tx) == ({made.script} if hash_type == SIGHASH_ALL else set())


@coins
def test_one_signature_with_another_sighash_is_enough_not_to_count_as_all(coin: str) -> None:
    made = COINS[coin](b"")
    for other in range(len(made.who)):
        signatures = [made.signature(who, 0x81 if at == other else 1) for at, who in enumerate(made.who)]
        tx = made.spend(signatures=signatures)
        assert engine_accepts(tx, 1, made.spent)
        assert not made.signer(tx).all_


FAILED = {
    kind: Signing.NOBODY if kind in ("p2pkh", "p2sh") else Signing.BAD for kind in KEY_KINDS + MULTISIG_KINDS
}


def failed(coin: str) -> Signing:
    """What a signature that does not verify means: nothing in a legacy type, impossible data in a segwit one."""
    return FAILED[coin.partition(" ")[0]]


@names
@coins
def test_a_signature_of_anything_else_is_nobody_s_or_bad_data(coin: str, name: bytes) -> None:
    made = COINS[coin](name)
    right = [made.signature(who) for who in made.who]
    wrong = {
        "another key's": [made.signature("nobody"), *right[1:]],
        "another sighash byte": [*right[:-1], right[-1][:-1] + b"\x02"],
        "no signature": [b"", *right[1:]],
        "only a sighash byte": [*right[:-1], b"\x01"],
        "a long signature": [*right[:-1], right[-1][:-1] + b"\0" + right[-1][-1:]],
    }
    for why, signatures in wrong.items():
        tx = made.spend(signatures=signatures)
        assert not engine_accepts(tx, 1, made.spent), why
        assert made.signer(tx).state is failed(coin), why
        assert made.signer(tx).key is None, why


@coins
def test_a_signature_of_another_transaction_output_or_amount_is_refused(coin: str) -> None:
    made, right = COINS[coin](b""), COINS[coin](b"").spend()
    moved = Transaction.build(
        right.version, 9, [(i, v.sequence) for i, v in zip(right.inputs, right._tx.vin, strict=True)],
        [right.outputs[0], Output(3, right.outputs[1].script)],
    )  # fmt: skip
    assert made.signer(moved).state is failed(coin)
    assert not engine_accepts(moved, 1, made.spent)
    if made.segwit:
        richer = Transaction.build(
            0x7100,
            0,
            [(Input("22" * 32, 7, b"", ()), 0)],
            [Output(5, b""), Output(made.value + 1, made.script)],
        )
        other = with_input(right, 1, txid=richer.txid)
        resigned = [
            secret(who).sign(other.signature_hash(1, made.code, made.value, 1), hasher=None) + b"\1"
            for who in made.who
        ]
        tx = with_input(other, 1, **made.place(resigned))
        assert signer_of(tx, 1, richer).state is Signing.BAD
        assert not engine_accepts(tx, 1, richer.outputs[1])


def test_a_legacy_signature_covers_the_name_and_a_segwit_one_does_not() -> None:
    """doichain.md, «Signing an input that spends a name output»: proven on the node."""
    bare = p2pkh(hash160(A))
    legacy = key_coin("p2pkh", name=NAME)
    assert legacy.code == NAME + bare
    for code, accepted in ((NAME + bare, True), (bare, False)):
        legacy.signed_code = code
        tx = legacy.spend()
        assert engine_accepts(tx, 1, legacy.spent) is accepted
        assert (legacy.signer(tx).state is Signing.SIGNED) is accepted
    segwit = key_coin("p2wpkh", name=NAME)
    for code, accepted in ((bare, True), (NAME + bare, False)):
        segwit.signed_code = code
        tx = segwit.spend()
        assert engine_accepts(tx, 1, segwit.spent) is accepted
        assert segwit.signer(tx).state is (Signing.SIGNED if accepted else Signing.BAD)


def test_a_name_in_another_form_is_not_stripped() -> None:
    """The node runs the witness program behind it; for us it is no address script."""
    for prefix in (NAME[:-2] + b"\x75\x75", NAME[:-2] + b"\x6d\x61\x75", b"\x53" + NAME[1:]):
        made = key_coin("p2wpkh", name=prefix)
        tx = made.spend()
        Spend(tx, [Output(1, b"\x51"), made.spent]).verify(1, CONSENSUS)
        assert said(made.signer(tx)) == (Signing.NOBODY, None, None, False)


def test_bip143_s_own_example() -> None:
    """BIP 143, «Native P2WPKH»: the hash that the second input's key signs."""
    tx = Transaction.parse(
        bytes.fromhex(
            "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffffef51e1b804"
            "cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001976a9148280"
            "b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa81"
            "5988ac11000000"
        )
    )
    code = p2pkh(bytes.fromhex("1d0f172a0ecb48aee1be1f2687d2963ae33f71a1"))
    digest = "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"
    assert tx.signature_hash(1, code, 600_000_000, SIGHASH_ALL).hex() == digest


def test_single_without_its_output_signs_the_number_one() -> None:
    """The old bug that is consensus: the hash is 1, little-endian, whatever the transaction."""
    tx = Transaction.build(2, 0, [(Input("11" * 32, 0, b"", ()), 0)] * 2, [Output(1, b"")])
    assert tx.signature_hash(1, b"\x51", None, 3) == b"\1" + bytes(31)
    assert tx.signature_hash(0, b"\x51", None, 3) != b"\1" + bytes(31)


# ---- S3: what lies below the signatures, and what else a miner may add


@names
@pytest.mark.parametrize(
    ("junk", "signed"),
    [
        ("61", True),
        ("6161", True),
        ("00", True),
        ("51", True),
        ("4f", True),
        ("4c0411223344", True),
        ("75", False),
        ("5175", False),
        ("ac", False),
        ("6a", False),
        ("50", False),
        ("01", False),
    ],
)
def test_junk_below_a_legacy_signature_is_ignored_and_another_operation_makes_it_nobody_s(
    junk: str, signed: bool, name: bytes
) -> None:
    made = key_coin("p2pkh", name=name)
    right = made.spend()
    tx = with_input(right, 1, script_sig=bytes.fromhex(junk) + right.inputs[1].script_sig)
    assert tx.txid != right.txid
    assert said(made.signer(tx)) == (
        said(made.signer(right)) if signed else (Signing.NOBODY, None, None, False)
    )
    if signed:
        assert engine_accepts(tx, 1, made.spent)


def test_junk_between_or_above_makes_it_nobody_s() -> None:
    made = key_coin("p2pkh")
    signature = made.signature("A")
    for script_sig in (
        push(signature) + b"\0" + push(A),
        push(signature) + push(A) + b"\0",
        push(A) + push(signature),
        push(A),
        push(signature),
        b"",
    ):
        tx = with_input(made.unsigned(), 1, script_sig=script_sig)
        assert said(made.signer(tx)) == (Signing.NOBODY, None, None, False)
        assert not engine_accepts(tx, 1, made.spent)
    nops = b"\x61" + push(signature) + b"\x61\x61" + push(A) + b"\x61"
    tx = with_input(made.unsigned(), 1, script_sig=nops)
    assert made.signer(tx).key == A
    assert engine_accepts(tx, 1, made.spent)


@pytest.mark.parametrize("form", [b"\x4c%c", b"\x4d%c\0", b"\x4e%c\0\0\0"])
def test_pushes_of_any_length_form_are_pushes(form: bytes) -> None:
    made = key_coin("p2pkh")
    signature = made.signature("A")
    script_sig = form % len(signature) + signature + form % len(A) + A
    tx = with_input(made.unsigned(), 1, script_sig=script_sig)
    assert made.signer(tx).key == A
    assert engine_accepts(tx, 1, made.spent)


@pytest.mark.parametrize("junk", ["00", "51", "0411223344"])
def test_junk_below_a_p2sh_multisig_s_dummy_is_ignored(junk: str) -> None:
    made = multisig_coin("p2sh", multisig(2, A, B, C), "AC")
    right = made.spend()
    tx = with_input(right, 1, script_sig=bytes.fromhex(junk) + right.inputs[1].script_sig)
    assert made.signer(tx) == made.signer(right)
    assert engine_accepts(tx, 1, made.spent)


@pytest.mark.parametrize("kind", MULTISIG_KINDS)
def test_a_multisig_is_signed_exactly_where_the_engine_takes_the_signatures_in_their_order(kind: str) -> None:
    made = multisig_coin(kind, multisig(2, A, B, C), "AC")
    by = {who: made.signature(who) for who in "ABC"}
    tried = 0
    for size in (1, 2, 3):
        for people in (*permutations("ABC", size), "AA", "BB"):
            tx = made.spend(signatures=[by[who] for who in people])
            accepted = engine_accepts(tx, 1, made.spent)
            if len(people) == 2:
                assert accepted is ("".join(people) in ("AB", "AC", "BC"))
            if (
                len(people) < 3
            ):  # a third lies below where the dummy belongs, where S3 doesn't look, but consensus
                assert (made.signer(tx).state is Signing.SIGNED) is accepted
            tried += 1
    assert tried > 12


def test_16_keys_sign_in_p2wsh_and_are_too_long_for_p2sh() -> None:
    people = [f"key {number}" for number in range(16)]
    script = multisig(1, *map(key_of, people))
    for kind, keys, signed in (
        ("p2wsh", 16, True),
        ("p2sh-p2wsh", 16, True),
        ("p2sh", 15, True),
        ("p2sh", 16, False),
    ):
        script = multisig(1, *map(key_of, people[:keys]))
        made = multisig_coin(kind, script, "A")
        tx = made.spend(signatures=[made.signature(people[keys - 1])])
        assert engine_accepts(tx, 1, made.spent) is signed
        answer = made.signer(tx)
        assert answer.state is (Signing.SIGNED if signed else Signing.NOBODY)
        assert answer.key == (key_of(people[keys - 1]) if signed else None)


ALIKE = [b"", b"\1", A, B, multisig(1, A, B), p2wpkh(hash160(A)), b"\x30" * 71]


@st.composite
def damaged_spends(draw: st.DrawFn) -> tuple[Coin, Transaction]:
    """A coin of any supported type and a spend of it with something changed in its scriptSig or witness."""
    made = COINS[draw(st.sampled_from(list(COINS)))](draw(st.sampled_from([b"", NAME])))
    tx = made.spend(draw(st.sampled_from([1, 1, 2, 0x81])))
    junk = st.one_of(st.sampled_from(ALIKE), st.binary(max_size=9))
    for _ in range(draw(st.integers(0, 2))):
        spent = tx.inputs[1]
        stack = list(spent.witness)
        at = draw(st.integers(0, len(stack)))
        match draw(st.sampled_from(("element", "insert", "remove", "before", "behind", "script_sig"))):
            case "element" if at < len(stack):
                stack[at] = draw(damaged(stack[at]))
            case "insert":
                stack.insert(at, draw(junk))
            case "remove":
                del stack[at:]
            case "before":
                tx = with_input(
                    tx, 1, script_sig=draw(st.sampled_from([b"\x61", push(draw(junk))])) + spent.script_sig
                )
            case "behind":
                tx = with_input(
                    tx, 1, script_sig=spent.script_sig + draw(st.sampled_from([b"\x61", push(draw(junk))]))
                )
            case "script_sig":
                tx = with_input(tx, 1, script_sig=draw(damaged(spent.script_sig)))
        tx = with_input(tx, 1, witness=tuple(stack))
    return made, tx


@given(damaged_spends())
def test_whatever_the_engine_accepts_is_signed_by_the_keys_it_reports(case: tuple[Coin, Transaction]) -> None:
    """And whatever is nobody's or bad data it refuses."""
    made, tx = case
    answer = made.signer(tx)
    if not engine_accepts(tx, 1, made.spent):
        return
    reported = engine_s_signatures(tx, 1, made.spent)
    assert answer.state is Signing.SIGNED
    assert answer.script == made.script
    assert answer.all_ == all(signature[-1] == SIGHASH_ALL for _, signature in reported)
    keys = {key for key, _ in reported}
    assert keys == {answer.key} if answer.key is not None else len(keys) > 1


# ---- S1, S2, S4, S5: everything that is not a signature of a supported type


def test_without_the_previous_transaction_nothing_is_known() -> None:
    made = key_coin("p2wpkh")
    tx = made.spend()
    assert said(signer_of(tx, 1)) == (Signing.MISSING, None, None, False)
    assert said(signer_of(tx, 0, made.previous)) == (Signing.MISSING, None, None, False)


@pytest.mark.parametrize("vout", [2, 3, 0xFFFFFFFF])
def test_an_output_that_is_not_there_is_nobody_s(vout: int) -> None:
    made = key_coin("p2wpkh")
    assert signer_of(with_input(made.spend(), 1, vout=vout), 1, made.previous).state is Signing.NOBODY


UNSUPPORTED: dict[str, tuple[bytes, dict[str, object]]] = {
    # Look-alikes of A's signature on outputs that anyone can spend (doichain.md, «ownership» 4).
    "anyone": (b"\x51", {"witness": (b"\x30" * 71, A)}),
    "drop and true": (b"\x6d\x51", {"script_sig": push(b"\x30" * 71) + push(A)}),
    "unknown witness version": (b"\x51\x20" + bytes(32), {"witness": (b"\x30" * 71, A)}),
    "bare public key": (b"\x21" + A + b"\xac", {"script_sig": push(b"\x30" * 71)}),
    "bare multisig": (multisig(1, A, B), {"script_sig": b"\0" + push(b"\x30" * 71)}),
    "p2sh of anything": (p2sh(hash160(b"\x51")), {"script_sig": push(b"\x51")}),
    "p2sh of a public key": (
        p2sh(hash160(b"\x21" + A + b"\xac")),
        {"script_sig": push(b"\x21" + A + b"\xac")},
    ),
    "p2wsh of anything": (p2wsh(sha256(b"\x51")), {"witness": (b"\x51",)}),
    "p2wsh of a public key": (
        p2wsh(sha256(b"\x21" + A + b"\xac")),
        {"witness": (b"", b"\x21" + A + b"\xac")},
    ),
    "p2wsh of a key twice": (
        p2wsh(sha256(b"\x51" + b"\x21" + A + b"\x21" + A + b"\x52\xae")),
        {"witness": (b"", b"", b"\x51" + b"\x21" + A + b"\x21" + A + b"\x52\xae")},
    ),
    "p2sh of p2sh": (
        p2sh(hash160(p2sh(hash160(b"\x51")))),
        {"script_sig": push(b"\x51") + push(p2sh(hash160(b"\x51")))},
    ),
    "nothing": (b"", {}),
}


@names
@pytest.mark.parametrize("case", UNSUPPORTED)
def test_what_rule_s2_does_not_name_is_nobody_s(case: str, name: bytes) -> None:
    script, spend = UNSUPPORTED[case]
    made = Coin(script, b"", False, lambda _: spend, name=name)
    for segwit in (True, False):
        assert said(made.signer(made.spend(signatures=[]), segwit=segwit)) == (
            Signing.NOBODY,
            None,
            None,
            False,
        )


@pytest.mark.parametrize("kind", ["p2pkh", "p2wpkh"])
@pytest.mark.parametrize("first", [4, 6, 7])
def test_an_uncompressed_or_hybrid_key_is_consensus_and_nobody_s(kind: str, first: int) -> None:
    whole = secret("A").public_key.format(compressed=False)
    key = bytes([first if first == 4 else 6 + whole[-1] % 2]) + whole[1:]
    code = p2pkh(hash160(key))
    segwit = kind == "p2wpkh"
    made = Coin(
        p2wpkh(hash160(key)) if segwit else code, code, segwit,
        lambda s: {"witness": (s[0], key)} if segwit else {"script_sig": push(s[0]) + push(key)},
    )  # fmt: skip
    tx = made.spend()
    assert engine_s_signatures(tx, 1, made.spent)[0][0] == key
    assert said(made.signer(tx)) == (Signing.NOBODY, None, None, False)


@pytest.mark.parametrize("kind", ["p2wpkh", "p2sh-p2wpkh"])
def test_a_segwit_spend_that_consensus_refuses_is_bad_data(kind: str) -> None:
    """S5. Before witnesses were consensus it is nobody's, and so is everything else in such an output."""
    made = key_coin(kind)
    right = made.spend()
    signature = right.inputs[1].witness[0]
    for witness in (
        (),
        (signature,),
        (signature, A, b""),
        (b"", signature, A),
        (A, signature),
        (signature, B),
    ):
        tx = with_input(right, 1, witness=witness)
        assert not engine_accepts(tx, 1, made.spent)
        assert said(made.signer(tx)) == (Signing.BAD, made.script, None, False)
        assert said(made.signer(tx, segwit=False)) == (Signing.NOBODY, None, None, False)
    assert said(made.signer(right, segwit=False)) == (Signing.NOBODY, None, None, False)


@pytest.mark.parametrize("kind", ["p2wsh", "p2sh-p2wsh"])
def test_a_witness_without_the_script_of_its_hash_is_bad_data(kind: str) -> None:
    made = multisig_coin(kind, multisig(1, A, B), "A")
    right = made.spend()
    _, signature, script = right.inputs[1].witness
    for witness in (
        (),
        (b"", signature),
        (b"", signature, script, b""),
        (b"", signature, multisig(1, A, C)),
        (script,),
    ):
        tx = with_input(right, 1, witness=witness)
        assert not engine_accepts(tx, 1, made.spent)
        assert said(made.signer(tx)) == (Signing.BAD, made.script, None, False)
    assert said(made.signer(right, segwit=False)) == (Signing.NOBODY, None, None, False)


@pytest.mark.parametrize("kind", [k for k in KEY_KINDS + MULTISIG_KINDS if k not in ("p2pkh", "p2sh")])
@pytest.mark.parametrize("extra", [b"\x61", b"\0", b"\x51"])
def test_a_segwit_spend_whose_script_sig_is_not_exactly_the_push_is_bad_data(kind: str, extra: bytes) -> None:
    made = key_coin(kind) if kind in KEY_KINDS else multisig_coin(kind, multisig(1, A, B), "A")
    right = made.spend()
    script_sig = right.inputs[1].script_sig
    for other in (extra + script_sig, script_sig and b"\x4c" + script_sig):
        if other:
            tx = with_input(right, 1, script_sig=other)
            assert not engine_accepts(tx, 1, made.spent)
            assert made.signer(tx).state is Signing.BAD


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("signed",), Signing.SIGNED),
        (("none",), Signing.NOBODY),
        (("other",), Signing.NOBODY),
        (("bad",), Signing.BAD),
        (("missing",), Signing.MISSING),
        (("signed", "missing"), Signing.SIGNED),
        (("missing", "signed"), Signing.SIGNED),
        (("bad", "signed"), Signing.SIGNED),
        (("none", "missing"), Signing.MISSING),
        (("missing", "bad"), Signing.BAD),
        (("bad", "missing"), Signing.BAD),
        (("other", "bad"), Signing.BAD),
        (("someone's bad",), Signing.NOBODY),
        (("no output",), Signing.NOBODY),
    ],
)
def test_whether_an_owner_signed_is_open_only_where_one_of_his_inputs_or_an_unknown_one_is(
    states: tuple[str, ...], expected: Signing
) -> None:
    """Rules O3 and S4, for a transaction whose inputs are in these states; `none` is signed with SIGHASH_NONE."""
    mine, theirs = p2wpkh(hash160(A)), p2wpkh(hash160(B))
    previous = Transaction.build(
        1,
        0,
        [(Input("22" * 32, 0, b"", ()), 0)],
        [Output(7, theirs if s in ("other", "someone's bad") else NAME + mine) for s in states],
    )
    places = [
        (previous.txid if s != "missing" else "44" * 32, 99 if s == "no output" else n)
        for n, s in enumerate(states)
    ]
    tx = Transaction.build(
        2, 0, [(Input(txid, vout, b"", ()), 0) for txid, vout in places], [Output(1, b"\x51")]
    )
    for index, state in enumerate(states):
        who = "B" if state in ("other", "someone's bad") else "A"
        hash_type = 2 if state == "none" else 1
        digest = tx.signature_hash(index, p2pkh(hash160(key_of(who))), 7, hash_type)
        signature = secret("nobody" if "bad" in state else who).sign(digest, hasher=None) + bytes([hash_type])
        tx = with_input(tx, index, witness=(signature, key_of(who)))
    signatures = Signatures(tx, {previous.txid: previous}.get, segwit=True)
    assert signatures.by_script(mine) is expected
    assert (mine in signatures.scripts()) == (expected is Signing.SIGNED)


@pytest.mark.parametrize(
    ("coin", "alone"),
    [
        ("p2wpkh", "A"),
        ("p2sh-p2wpkh", "A"),
        *((f"{kind} 1 of 1", "A") for kind in ("p2wsh", "p2sh-p2wsh")),
        *((f"{kind} 1 of 2", "AB") for kind in ("p2wsh", "p2sh-p2wsh")),
        *((f"{kind} 2 of 3", "") for kind in ("p2wsh", "p2sh-p2wsh")),
    ],
)
@names
def test_hashes_rule_out_who_could_have_signed_what_is_damaged(coin: str, alone: str, name: bytes) -> None:
    """A damaged signature leaves open who signed, but only among those whose key alone would do."""
    made = COINS[coin](name)
    answer = made.signer(made.spend(signatures=[made.signature("nobody") for _ in made.who]))
    assert answer.state is Signing.BAD
    for who in ("A", "B", "C", "D"):
        assert may_be_of(answer, [key_of(who)]) == (who in alone)
    assert may_be_of(answer, [key_of("D"), A, B]) == bool(alone)
    assert not may_be_of(answer, [])


@pytest.mark.parametrize("kind", ["p2wsh", "p2sh-p2wsh"])
def test_without_the_script_behind_a_hash_nobody_is_ruled_out(kind: str) -> None:
    made = multisig_coin(kind, multisig(1, A, B), "A")
    answer = made.signer(with_input(made.spend(), 1, witness=()))
    assert answer.state is Signing.BAD
    assert may_be_of(answer, [key_of("D")])


# ---- S4: signatures and keys as bytes

DIGEST = sha256(b"message")
SIGNATURE = secret("A").sign(DIGEST, hasher=None)


def numbers(signature: bytes) -> tuple[int, int]:
    found = oracle.parse_strict_der(signature + b"\1")
    assert found is not None
    return found


R, S = numbers(SIGNATURE)


def integer(value: int) -> bytes:
    """The content of a DER integer, as short as can be."""
    return value.to_bytes(value.bit_length() // 8 + 1)


def der(r: bytes, s: bytes, tag: int = 0x30) -> bytes:
    body = b"\2" + bytes([len(r)]) + r + b"\2" + bytes([len(s)]) + s
    return bytes([tag, len(body)]) + body


def positive(value: int) -> bytes:
    """32 bytes whose first bit is set: a negative number where a zero belongs before it."""
    return value.to_bytes(32)


# A signature whose numbers both begin with a set bit, so that dropping the zero makes them negative.
TALL = next(
    (r, ORDER - s if s < ORDER // 2 else s, text)
    for text in map(str, range(100))
    for r, s in [numbers(secret("A").sign(sha256(text.encode()), hasher=None))]
    if r >> 255 and (ORDER - s if s < ORDER // 2 else s) >> 255
)

ENCODINGS = {
    "negative r": (der(positive(TALL[0]), integer(TALL[1])), TALL[2]),
    "negative s": (der(integer(TALL[0]), positive(TALL[1])), TALL[2]),
    "both negative": (der(positive(TALL[0]), positive(TALL[1])), TALL[2]),
    "a zero too many in r": (der(b"\0" + integer(R), integer(S)), None),
    "a zero too many in s": (der(integer(R), b"\0" + integer(S)), None),
    "zeros up to 33 bytes": (der(integer(R), integer(S).rjust(34, b"\0")), None),
    "a length in two bytes": (b"\x30\x81" + SIGNATURE[1:], None),
    "r's length in two bytes": (
        bytes([0x30, SIGNATURE[1] + 1, 2, 0x81]) + SIGNATURE[3:],
        None,
    ),
    "indefinite length": (b"\x30\x80" + SIGNATURE[2:] + b"\0\0", None),
    "a length too long": (bytes([0x30, SIGNATURE[1] + 1]) + SIGNATURE[2:], None),
    "a length too short": (bytes([0x30, SIGNATURE[1] - 1]) + SIGNATURE[2:], None),
    "a byte behind": (SIGNATURE + b"\0", None),
    "a byte behind, counted": (bytes([0x30, SIGNATURE[1] + 1]) + SIGNATURE[2:] + b"\0", None),
    "a third number": (bytes([0x30, SIGNATURE[1] + 3]) + SIGNATURE[2:] + b"\2\1\1", None),
    "cut": (SIGNATURE[:-1], None),
    "no s": (bytes([0x30, len(integer(R)) + 2, 2, len(integer(R))]) + integer(R), None),
    "an empty r": (der(b"", integer(S)), None),
    "an empty s": (der(integer(R), b""), None),
    "another outer tag": (der(integer(R), integer(S), 0x31), None),
    "another tag for r": (SIGNATURE[:2] + b"\3" + SIGNATURE[3:], None),
    "another tag for s": (
        SIGNATURE[: 4 + len(integer(R))] + b"\3" + SIGNATURE[5 + len(integer(R)) :],
        None,
    ),
    "r's length too short": (SIGNATURE[:3] + bytes([SIGNATURE[3] - 1]) + SIGNATURE[4:], None),
    "r's length too long": (SIGNATURE[:3] + bytes([SIGNATURE[3] + 1]) + SIGNATURE[4:], None),
    "r plus the order": (der(integer(R + ORDER), integer(S)), None),
    "s plus the order": (der(integer(R), integer(S + ORDER)), None),
    "r zero": (der(b"\0", integer(S)), None),
    "s zero": (der(integer(R), b"\0"), None),
    "s the order": (der(integer(R), integer(ORDER)), None),
    "numbers exchanged": (der(integer(S), integer(R)), None),
    "empty": (b"", None),
    "a null": (b"\0", None),
    "only a tag": (b"\x30", None),
    "an empty sequence": (b"\x30\0", None),
    "compact": (R.to_bytes(32) + S.to_bytes(32), None),
    "with its sighash byte": (SIGNATURE + b"\1", None),
    "73 bytes": (der(integer(R).rjust(33, b"\0"), integer(S).rjust(34, b"\0")), None),
    "200 bytes": (der(integer(R).rjust(97, b"\0"), integer(S).rjust(97, b"\0")), None),
}


@pytest.mark.parametrize("case", ENCODINGS)
def test_a_signature_in_any_other_encoding_is_refused(case: str) -> None:
    """BIP 66. The numbers behind most of these verify: only the encoding is wrong."""
    signature, text = ENCODINGS[case]
    digest = DIGEST if text is None else sha256(text.encode())
    assert verify_signature(A, signature, digest) is False


def test_the_signatures_that_the_bad_encodings_were_made_of_verify() -> None:
    assert der(integer(R), integer(S)) == SIGNATURE
    assert verify_signature(A, SIGNATURE, DIGEST)
    assert verify_signature(A, der(integer(TALL[0]), integer(TALL[1])), sha256(TALL[2].encode()))


@pytest.mark.parametrize("case", ENCODINGS)
def test_the_engine_refuses_the_same_encodings(case: str) -> None:
    """For its own signature in the same damaged form, so that the table is consensus and not our taste."""
    made = key_coin("p2wpkh")
    signature, text = ENCODINGS[case]
    if text is None:
        tx = made.spend(signatures=[signature + b"\1"])
        assert not engine_accepts(tx, 1, made.spent)
        assert made.signer(tx).state is Signing.BAD


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_high_s_counts(kind: str) -> None:
    """S4: anyone can flip it. libsecp256k1 makes low ones, and the engine takes both."""
    made = key_coin(kind)
    low = made.signature("A")
    r, s = numbers(low[:-1])
    assert s < ORDER // 2
    high = der(integer(r), integer(ORDER - s)) + low[-1:]
    tx = made.spend(signatures=[high])
    assert engine_accepts(tx, 1, made.spent)
    assert made.signer(tx) == made.signer(made.spend())


@given(st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32), st.integers(0, 2))
def test_a_flipped_s_never_changes_the_answer(key: int, digest: bytes, extra: int) -> None:
    signer = coincurve.PrivateKey.from_int(key)
    public = signer.public_key.format()
    r, s = numbers(signer.sign(digest, hasher=None))
    r += extra
    answers = {verify_signature(public, der(integer(r), integer(n)), digest) for n in (s, ORDER - s)}
    assert answers == {extra == 0}


@given(st.data())
def test_any_bytes_are_a_signature_that_the_strict_rule_knows_or_none(data: st.DataObject) -> None:
    signature = data.draw(st.one_of(st.binary(max_size=80), damaged(SIGNATURE)))
    if verify_signature(A, signature, DIGEST):
        assert numbers(signature) in ((R, S), (R, ORDER - S))


@pytest.mark.parametrize(
    "key",
    [
        b"",
        A[:-1],
        A + b"\0",
        b"\0" + A[1:],
        b"\1" + A[1:],
        b"\4" + A[1:],
        b"\5" + A[1:],
        b"\6" + A[1:],
        b"\7" + A[1:],
        bytes([A[0] ^ 1]) + A[1:],
        b"\2" + bytes(32),
        b"\2" + b"\xff" * 32,
        b"\2" + (0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F).to_bytes(32),
        b"\2" + (5).to_bytes(32),
        secret("A").public_key.format(compressed=False),
        B,
    ],
)
def test_any_other_key_is_refused(key: bytes) -> None:
    assert verify_signature(key, SIGNATURE, DIGEST) is False
    if key not in (B, bytes([A[0] ^ 1]) + A[1:]):
        assert not is_compressed_key(key)


@given(st.binary(min_size=30, max_size=70))
def test_any_bytes_are_a_key_or_none(key: bytes) -> None:
    """A point where x³ + 7 is a square (Euler's criterion), and nothing else."""
    p = 2**256 - 2**32 - 977
    for tried in (key, b"\2" + key[:32], b"\3" + key[:32]):
        x = int.from_bytes(tried[1:])
        square = pow(x**3 + 7, (p - 1) // 2, p) == 1
        assert is_compressed_key(tried) == (len(tried) == 33 and tried[0] in (2, 3) and x < p and square)


def test_scripts_fail_in_the_node_s_words() -> None:
    made = key_coin("p2pkh")
    tx = made.spend(signatures=[b""])
    with pytest.raises(ScriptFailed) as caught:
        Spend(tx, [Output(1, b"\x51"), made.spent]).verify(1, CONSENSUS | ScriptFlag.LOW_S)
    assert caught.value.message.isprintable()
