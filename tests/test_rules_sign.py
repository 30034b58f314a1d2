"""Who signed: rules S1 to S5, each on a made chain, and the attacks that they answer."""
# ruff: noqa: N802  the rules' names are capitals

import pytest
from made import (
    ALL_ANYONECANPAY,
    BARE,
    METER,
    NONE,
    SCRIPT_KINDS,
    SINGLE,
    SINGLE_KINDS,
    Coin,
    MadeChain,
    Spend,
    Wallet,
    certificate,
    flip_s,
    key_bytes,
    multisig,
    name_output,
    organised,
    p2wpkh,
    push,
    said,
)

LEGACY = (Wallet("p2pkh", ("E1",)), Wallet("p2sh", ("E1", "other")))
SEGWIT = (
    Wallet("p2wpkh", ("E1",)),
    Wallet("p2sh-p2wpkh", ("E1",)),
    Wallet("p2wsh", ("E1", "other")),
    Wallet("p2sh-p2wsh", ("E1", "other")),
)
TRUSTED = ("trusted", None)
NOBODY = ("untrusted", "not_a_member")
BAD = ("undetermined", "bad_data")


def name_of(wallet: Wallet) -> str:
    return f"{wallet.kind} {wallet.m}-of-{len(wallet.people)}"


each_wallet = pytest.mark.parametrize("wallet", LEGACY + SEGWIT, ids=name_of)
each_legacy = pytest.mark.parametrize("wallet", LEGACY, ids=name_of)
each_segwit = pytest.mark.parametrize("wallet", SEGWIT, ids=name_of)


@pytest.fixture
def made() -> MadeChain:
    return organised()


def verdict_of(made: MadeChain) -> tuple[str, str | None]:
    """Is a certificate that was just written trusted, or why not?"""
    return said(made.judge(min_confirmations=1))


def rewritten(made: MadeChain, coin: Coin, script_sig: bytes) -> None:
    """The same certificate with another scriptSig, which changes its txid but nothing that was signed."""
    made.reorg(1)
    made.certify(Spend(coin, script_sig=script_sig))


# ---- S1: the previous transaction


@each_wallet
def test_S1_a_withheld_previous_transaction_is_undetermined_not_nobodys(
    made: MadeChain, wallet: Wallet
) -> None:
    coin = made.fund(wallet)
    made.certify(coin)
    assert verdict_of(made) == TRUSTED
    made.withhold(coin.txid)
    assert verdict_of(made) == ("undetermined", "transaction_missing")


def test_S1_each_input_needs_its_previous_transaction(made: MadeChain) -> None:
    coins = [made.fund("E1") for _ in range(3)]
    made.certify(coins)
    made.withhold(coins[1].txid)
    assert verdict_of(made) == ("undetermined", "transaction_missing")


@pytest.mark.parametrize("other", ["thief", "E2"])
def test_S1_what_could_not_count_anyway_is_not_undetermined(made: MadeChain, other: str) -> None:
    coins = [made.fund(who) for who in ("E1", "E1", other)]
    made.certify(coins)
    made.withhold(coins[0].txid)
    assert verdict_of(made) == NOBODY


def test_S1_an_output_that_the_previous_transaction_lacks_is_nobodys(made: MadeChain) -> None:
    made.certify(made.fund("E1")._replace(vout=1))
    assert verdict_of(made) == NOBODY


@each_wallet
def test_S1_the_prefix_of_a_name_coin_is_stripped(made: MadeChain, wallet: Wallet) -> None:
    coin = made.coin(made.write("d/mine", b"value", "E1", owner=wallet))
    made.certify(coin)
    assert verdict_of(made) == TRUSTED


@pytest.mark.parametrize("kind", [*SINGLE_KINDS, *SCRIPT_KINDS])
def test_S1_a_name_coin_of_the_owner_writes_the_list(kind: str) -> None:
    made = organised("E2", owner=Wallet(kind, ("owner",)))
    made.record("Org", made.store(key_bytes("E1").hex().encode()), made.coin(made.pins["Org"][0][0]))
    made.certify("E1")
    assert verdict_of(made) == TRUSTED


# ---- S2: the types


@each_wallet
def test_S2_every_supported_type_signs(made: MadeChain, wallet: Wallet) -> None:
    made.certify(wallet)
    assert verdict_of(made) == TRUSTED


@pytest.mark.parametrize("kind", SCRIPT_KINDS)
@pytest.mark.parametrize("people", [("E1",), ("E1", "other"), ("other", "E1"), ("a", "b", "E1")])
def test_S2_of_several_keys_the_one_that_signed_is_the_signer(kind: str, people: tuple[str, ...]) -> None:
    made = organised("E1", "other")
    wallet = Wallet(kind, people)
    made.certify(Spend(wallet, by=("E1",)))
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == TRUSTED
    assert verdict.writes[-1].key == key_bytes("E1")


@pytest.mark.parametrize("kind", SCRIPT_KINDS)
def test_S2_a_key_that_is_merely_named_in_a_1_of_2_is_nobody(made: MadeChain, kind: str) -> None:
    made.certify(Spend(Wallet(kind, ("E1", "thief")), by=("thief",)))
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == NOBODY
    assert (verdict.contested, verdict.foreign_writes) == (False, 1)


@pytest.mark.parametrize("kind", SCRIPT_KINDS)
def test_S2_where_two_must_sign_no_single_key_did(made: MadeChain, kind: str) -> None:
    made.certify(Wallet(kind, ("E1", "E2", "E3"), 2))
    assert verdict_of(made) == NOBODY


@pytest.mark.parametrize(("kind", "most"), [("p2sh", 15), ("p2wsh", 16), ("p2sh-p2wsh", 16)])
def test_S2_16_keys_are_the_most_and_15_in_p2sh(made: MadeChain, kind: str, most: int) -> None:
    for count, expected in ((most + 1, NOBODY), (most, TRUSTED)):
        made.certify(Wallet(kind, ("E1", *(f"other {number}" for number in range(count - 1)))))
        assert verdict_of(made) == expected


E1, E2 = key_bytes("E1"), key_bytes("other")
#: Scripts that E1 alone can spend, and none of them is `OP_m <key>×n OP_n OP_CHECKMULTISIG`.
LOOK_ALIKES = {
    "pay to key": push(E1) + b"\xac",
    "a nop behind": multisig(1, E1, E2) + b"\x61",
    "a nop before": b"\x61" + multisig(1, E1, E2),
    "verify": multisig(1, E1, E2)[:-1] + b"\xaf\x51",
    "a key twice": multisig(1, E1, E1),
    "an uncompressed key": multisig(1, E1, key_bytes("other", "uncompressed")),
    "a key pushed with pushdata1": b"\x51\x4c" + push(E1) + b"\x51\xae",
    "numbers pushed": b"\x01\x01" + push(E1) + b"\x01\x01\xae",
    "more signatures than keys": b"\x52" + multisig(1, E1)[1:],
    "fewer keys than said": multisig(1, E1)[:-2] + b"\x52\xae",
    "no signature": b"\x00" + multisig(1, E1)[1:],
    "a reserved number": b"\x50" + multisig(1, E1)[1:],
    "two checks": push(E1) + b"\xad" + push(E1) + b"\xac",
}


@pytest.mark.parametrize("script", LOOK_ALIKES.values(), ids=LOOK_ALIKES.keys())
@pytest.mark.parametrize("kind", [*SCRIPT_KINDS, BARE])
def test_S2_any_other_script_is_nobodys(made: MadeChain, kind: str, script: bytes) -> None:
    made.certify(Wallet(kind, ("E1",), own_script=script))
    assert verdict_of(made) == NOBODY


@pytest.mark.parametrize("script", LOOK_ALIKES.values(), ids=LOOK_ALIKES.keys())
@pytest.mark.parametrize("kind", SCRIPT_KINDS)
def test_S2_any_other_script_signs_for_no_owner(kind: str, script: bytes) -> None:
    made = organised("E1", owner=Wallet(kind, ("E1",), own_script=script))
    made.publish(["E2"])
    made.certify("E2")
    assert verdict_of(made) == NOBODY


def test_S2_a_bare_multisig_is_nobodys(made: MadeChain) -> None:
    made.certify(Wallet(BARE, ("E1", "other"), own_script=multisig(1, E1, E2)))
    assert verdict_of(made) == NOBODY


@pytest.mark.parametrize(
    "script",
    [b"\x6d\x51", b"\x51\x20" + bytes(32), b"\x60\x02ab", p2wpkh(E1) + b"\x61", b"\x00\x15" + bytes(21)],
    ids=["anyone can spend", "taproot", "unknown version", "longer", "another length"],
)
def test_S2_what_looks_like_a_signature_in_a_coin_anyone_can_spend_is_nobodys(
    made: MadeChain, script: bytes
) -> None:
    """Only the output that is spent tells whose coin it was."""
    signature, key = made.elements(made.certify("E1"))
    made.reorg(1)
    made.certify(Spend(made.fund_anyone(script), witness=(signature, key)))
    made.certify(Spend(made.fund_anyone(script), script_sig=push(signature) + push(key)))
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == NOBODY
    assert (verdict.contested, verdict.foreign_writes) == (False, 2)


@each_legacy
def test_S2_a_scriptsig_for_another_script_is_nobodys(made: MadeChain, wallet: Wallet) -> None:
    elements = made.elements(made.certify(wallet))
    coin = made.fund(Wallet(wallet.kind, ("thief", "thief 2")))
    rewritten(made, coin, b"".join(map(push, elements)))
    assert verdict_of(made) == NOBODY


@each_wallet
def test_S2_a_stranger_s_good_signature_is_not_the_owner_s(wallet: Wallet) -> None:
    """Whose coin it is stands in the output. Such a spend of a segwit program can't be in the chain (S5)."""
    made = organised("E1", owner=wallet)
    other = Wallet(wallet.kind, ("thief", "thief 2"))
    made.publish(["E2"], made.fund(wallet)._replace(wallet=other))
    made.certify("E2")
    assert verdict_of(made) == (BAD if wallet.kind.startswith("p2w") else NOBODY)


# ---- S3: which elements are the signatures


@each_legacy
@pytest.mark.parametrize(
    "junk",
    [
        b"\x61",
        b"\0",
        b"\x51",
        b"\x60",
        b"\x4f",
        b"\x02xx",
        b"\x4c\1x",
        b"\x4d\1\0x",
        b"\x4e\1\0\0\0x",
        b"\x61Q" * 9,
    ],
)
def test_S3_pushes_below_and_nops_are_ignored(made: MadeChain, wallet: Wallet, junk: bytes) -> None:
    made.certify(Spend(wallet, junk=junk))
    assert verdict_of(made) == TRUSTED


@each_legacy
def test_S3_a_nop_between_the_pushes_is_skipped(made: MadeChain, wallet: Wallet) -> None:
    coin = made.fund(wallet)
    elements = made.elements(made.certify(coin))
    rewritten(made, coin, b"\x61".join(map(push, elements)) + b"\x61")
    assert verdict_of(made) == TRUSTED


@each_legacy
@pytest.mark.parametrize("code", [0x50, 0x62, 0x69, 0x75, 0x76, 0xAC, 0xB0, 0xB1, 0xFF], ids=hex)
def test_S3_any_other_operation_makes_it_nobodys(made: MadeChain, wallet: Wallet, code: int) -> None:
    made.certify(Spend(wallet, junk=bytes([code])))
    assert verdict_of(made) == NOBODY


@each_legacy
@pytest.mark.parametrize("cut", [b"\x02x", b"\x4c", b"\x4c\x02x", b"\x4d\x01", b"\x4e\xff\xff\xff\xffx"])
def test_S3_a_cut_push_makes_it_nobodys(made: MadeChain, wallet: Wallet, cut: bytes) -> None:
    coin = made.fund(wallet)
    elements = made.elements(made.certify(coin))
    rewritten(made, coin, b"".join(map(push, elements)) + cut)
    assert verdict_of(made) == NOBODY


@each_legacy
def test_S3_a_key_or_script_in_a_cut_push_is_none(made: MadeChain, wallet: Wallet) -> None:
    coin = made.fund(wallet)
    *signatures, last = made.elements(made.certify(coin))
    rewritten(made, coin, b"".join(map(push, signatures)) + b"\x4c" + bytes([len(last) + 1]) + last)
    assert verdict_of(made) == NOBODY


@each_legacy
def test_S3_only_the_topmost_elements_sign(made: MadeChain, wallet: Wallet) -> None:
    coin = made.fund(wallet)
    elements = made.elements(made.certify(coin))
    rewritten(made, coin, b"".join(map(push, [*elements, b"x", elements[-1]])))
    assert verdict_of(made) == NOBODY


@each_legacy
def test_S3_missing_elements_are_nobodys(made: MadeChain, wallet: Wallet) -> None:
    coin = made.fund(wallet)
    elements = made.elements(made.certify(coin))
    for few in ([], elements[-1:], elements[:-1]):
        rewritten(made, coin, b"".join(map(push, few)))
        assert verdict_of(made) == NOBODY


# ---- S4: the signatures


@each_wallet
def test_S4_a_flipped_high_s_still_counts(made: MadeChain, wallet: Wallet) -> None:
    made.certify(Spend(wallet, high_s=True))
    assert verdict_of(made) == TRUSTED


def test_S4_a_miner_who_flips_s_under_the_same_txid_voids_nothing(made: MadeChain) -> None:
    made.certify("E1")
    revocation = made.revoke("E1")
    signature, key = made.elements(revocation)
    made.set_witness(revocation, [flip_s(signature[:-1]) + signature[-1:], key])
    assert verdict_of(made) == ("revoked", None)


@pytest.mark.parametrize(
    "sighash", [NONE, SINGLE, ALL_ANYONECANPAY, 0x82, 0x83, 0x00, 0x04, 0x41, 0xFF], ids=hex
)
@each_wallet
def test_S4_another_sighash_names_the_key_and_does_not_count(
    made: MadeChain, wallet: Wallet, sighash: int
) -> None:
    made.certify(Spend(wallet, sighash=sighash))
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == ("untrusted", "sighash_not_all")
    assert (verdict.contested, verdict.foreign_writes) == (True, 0)


def test_S4_every_signature_must_be_all(made: MadeChain) -> None:
    made.certify([Spend("E1"), Spend("E1", sighash=NONE), Spend("E1")])
    assert verdict_of(made) == ("untrusted", "sighash_not_all")


def test_S4_single_without_an_output_of_its_own_signs_a_constant_and_not_all(made: MadeChain) -> None:
    made.certify([Spend(LEGACY[0]), Spend(LEGACY[0], sighash=SINGLE)])
    assert verdict_of(made) == ("untrusted", "sighash_not_all")


@pytest.mark.parametrize("form", ["uncompressed", "hybrid"])
@pytest.mark.parametrize("kind", [*SINGLE_KINDS, *SCRIPT_KINDS])
def test_S4_uncompressed_and_hybrid_keys_are_nobodys(made: MadeChain, kind: str, form: str) -> None:
    made.certify(Wallet(kind, ("E1",), form=form))
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == NOBODY
    assert (verdict.contested, verdict.foreign_writes) == (False, 1)


@pytest.mark.parametrize("form", ["uncompressed", "hybrid"])
@pytest.mark.parametrize("kind", [*SINGLE_KINDS, *SCRIPT_KINDS])
def test_S4_nor_are_they_an_owner_s(kind: str, form: str) -> None:
    made = organised("E1", owner=Wallet(kind, ("owner",), form=form))
    made.publish(["E2"])
    made.certify("E2")
    assert verdict_of(made) == NOBODY


def not_strict(der: bytes) -> dict[str, bytes]:
    """The same numbers in forms that BIP 66 forbids."""
    size = der[3]
    r, s = der[4 : 4 + size], der[6 + size :]
    return {
        "padded r": bytes([0x30, der[1] + 1, 2, size + 1, 0]) + r + bytes([2, len(s)]) + s,
        "padded s": bytes([0x30, der[1] + 1, 2, size]) + r + bytes([2, len(s) + 1, 0]) + s,
        "long length": b"\x30\x81" + der[1:],
        "something behind": der + b"\x00",
        "something inside": bytes([0x30, der[1] + 1]) + der[2:] + b"\x00",
        "another tag": b"\x31" + der[1:],
        "empty": b"",
    }


@each_wallet
@pytest.mark.parametrize("form", not_strict(bytes.fromhex("3006020101020101")))
def test_S4_der_must_be_strict(made: MadeChain, wallet: Wallet, form: str) -> None:
    coin = made.fund(wallet)
    txid = made.certify(coin)
    elements = made.elements(txid)
    at = -2
    elements[at] = not_strict(elements[at][:-1])[form] + elements[at][-1:]
    if wallet.segwit:
        made.set_witness(txid, elements)
        assert verdict_of(made) == BAD
    else:
        rewritten(made, coin, b"".join(map(push, elements)))
        assert verdict_of(made) == NOBODY


@each_legacy
def test_S4_an_empty_signature_is_none(made: MadeChain, wallet: Wallet) -> None:
    coin = made.fund(wallet)
    elements = made.elements(made.certify(coin))
    rewritten(made, coin, b"".join(map(push, [*elements[:-2], b"", elements[-1]])))
    assert verdict_of(made) == NOBODY


@each_legacy
def test_S4_a_signature_of_another_transaction_is_none(made: MadeChain, wallet: Wallet) -> None:
    elements = made.elements(made.certify(wallet))
    rewritten(made, made.fund(wallet), b"".join(map(push, elements)))
    assert verdict_of(made) == NOBODY


def test_S4_a_legacy_signature_covers_the_name_that_the_coin_carries(made: MadeChain) -> None:
    wallet = LEGACY[0]
    coin = made.coin(made.write("d/mine", b"value", "E1", owner=wallet))
    made.certify(coin._replace(script=wallet.script))  # signed as if the coin carried no name
    assert verdict_of(made) == NOBODY
    made.certify(coin._replace(script=name_output(b"d/mine", b"other", wallet.script)))
    assert verdict_of(made) == NOBODY


def test_S4_a_segwit_signature_covers_the_amount(made: MadeChain) -> None:
    made.certify(made.fund("E1")._replace(value=999))
    assert verdict_of(made) == BAD


@pytest.mark.parametrize("by", [("b1",), ("b2", "b1"), ("b1", "b1"), ("b1", "thief")])
def test_S4_a_board_s_signatures_are_all_needed_in_the_order_of_their_keys(by: tuple[str, ...]) -> None:
    board = Wallet("p2sh", ("b1", "b2", "b3"), 2)
    made = organised("E1", owner=board)
    made.publish(["E2"], Spend(board, by=by))
    made.certify("E2")
    assert verdict_of(made) == NOBODY
    made.publish(["E2"], Spend(board, by=("b1", "b3")))
    made.certify("E2")
    assert verdict_of(made) == TRUSTED


# ---- S5: what can't be in the chain


@each_segwit
def test_S5_a_damaged_witness_is_bad_data_not_nobodys(made: MadeChain, wallet: Wallet) -> None:
    made.damage(made.certify(wallet))
    assert verdict_of(made) == BAD


@each_segwit
def test_S5_a_witness_cut_off_or_of_another_script_is_bad_data(made: MadeChain, wallet: Wallet) -> None:
    txid = made.certify(wallet)
    witness = made.elements(txid)
    other = Wallet(wallet.kind, ("thief", "thief 2"))
    last = other.keys[0] if len(witness) == 2 else other.code
    for changed in ([], witness[:-1], witness[-1:], [*witness[:-1], last], [*witness[:-2], b"", witness[-1]]):
        made.set_witness(txid, changed)
        assert verdict_of(made) == BAD
    made.set_witness(txid, witness)
    assert verdict_of(made) == TRUSTED


@each_segwit
@pytest.mark.parametrize("junk", [b"\x61", b"\x51"], ids=["nop", "push"])
def test_S5_a_scriptsig_that_segwit_forbids_is_bad_data(made: MadeChain, wallet: Wallet, junk: bytes) -> None:
    coin = made.fund(wallet)
    witness = made.elements(made.certify(coin))
    made.reorg(1)
    program = push(wallet.program) if wallet.kind.startswith("p2sh") else b""
    made.certify(Spend(coin, witness=tuple(witness), script_sig=junk + program))
    assert verdict_of(made) == BAD
    made.reorg(1)
    made.certify(Spend(coin, witness=tuple(witness), script_sig=program))
    assert verdict_of(made) == TRUSTED


@pytest.mark.parametrize("wallet", SEGWIT[:2], ids=name_of)
def test_S5_one_element_more_for_a_single_key_is_bad_data(made: MadeChain, wallet: Wallet) -> None:
    txid = made.certify(wallet)
    made.set_witness(txid, [b"", *made.elements(txid)])
    assert verdict_of(made) == BAD


def test_S5_a_damaged_revocation_is_not_as_if_absent(made: MadeChain) -> None:
    made.certify("E1")
    assert verdict_of(made) == TRUSTED
    made.damage(made.revoke("E1"))
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == BAD
    assert [source.name for source in verdict.sources] == ["own node"]


def test_S5_a_damaged_list_write_is_not_as_if_absent(made: MadeChain) -> None:
    txid = made.withdraw("E1")
    made.certify("E1")
    assert verdict_of(made) == ("untrusted", "member_revoked")
    made.damage(txid)
    assert verdict_of(made) == BAD


@pytest.mark.parametrize(
    "wallet",
    [
        *(Wallet(kind, ("thief",)) for kind in ("p2wpkh", "p2sh-p2wpkh", "p2wsh", "p2sh-p2wsh")),
        Wallet("p2wsh", ("E1", "E2", "E3"), 2),
    ],
    ids=name_of,
)
def test_S5_damage_to_what_no_member_alone_could_sign_changes_nothing(
    made: MadeChain, wallet: Wallet
) -> None:
    """The script that was spent says whose it was, whatever the signatures say."""
    made.certify("E1")
    made.damage(made.revoke(wallet))
    assert verdict_of(made) == TRUSTED


def test_S5_damage_to_a_stranger_s_list_changes_nothing(made: MadeChain) -> None:
    made.damage(made.publish(["thief"], "thief"))
    made.certify("E1")
    assert verdict_of(made) == TRUSTED


def test_S5_another_member_s_good_input_makes_damage_harmless(made: MadeChain) -> None:
    made.damage(made.certify(["E1", "E2", "E3"]), 1)
    assert verdict_of(made) == NOBODY


@each_segwit
def test_S5_before_the_segwit_height_nobody_signs_a_segwit_coin(wallet: Wallet) -> None:
    """Then anyone could spend it with any witness, so even a good one proves nothing, and a bad one is no lie."""
    made = MadeChain(segwit_height=10)
    made.found("E1", owner=Wallet("p2pkh", ("owner",)))
    early = made.certify(wallet)
    assert verdict_of(made) == NOBODY
    made.damage(early)
    assert verdict_of(made) == NOBODY
    made.set_witness(early, [])
    assert verdict_of(made) == NOBODY
    made.mine(9 - made.height)
    made.certify(wallet)
    assert (made.height, verdict_of(made)) == (10, TRUSTED)


@each_legacy
def test_S5_legacy_types_sign_at_any_height(wallet: Wallet) -> None:
    made = MadeChain(segwit_height=10_000)
    made.found("E1", owner=Wallet("p2pkh", ("owner",)))
    made.certify(wallet)
    assert verdict_of(made) == TRUSTED


def test_S_a_certificate_is_the_same_whoever_s_coin_pays(made: MadeChain) -> None:
    """Who is paid, or owns the record, has signed nothing."""
    made.write(f"bp/{METER}", certificate(), "thief", owner="E1", more=[p2wpkh(E1)])
    assert verdict_of(made) == NOBODY
