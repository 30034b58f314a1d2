"""Meters: rules C1 to C6, L1 and L4, the order of verdicts and of reasons, and what missing data changes."""
# ruff: noqa: N802  the rules' names are capitals

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from made import (
    METER,
    NONE,
    ODD_FORMS,
    ORG,
    SCRIPT_KINDS,
    SINGLE_KINDS,
    By,
    MadeChain,
    Spend,
    Wallet,
    address,
    certificate,
    decided_by,
    key_bytes,
    key_of,
    multisig,
    name_output,
    organised,
    p2wpkh,
    p2wsh,
    revocation,
    said,
)

from doitrust.trust.evidence import Missing
from doitrust.trust.reports import Fate

NAME = f"bp/{METER}"
TRUSTED = ("trusted", None)
REVOKED = ("revoked", None)
UNCONFIRMED = ("unconfirmed", None)
UNKNOWN = ("unknown", None)
MALFORMED = ("untrusted", "malformed_record")
NOT_A_MEMBER = ("untrusted", "not_a_member")
MISMATCH = ("untrusted", "multisig_mismatch")
MISSING = ("undetermined", "transaction_missing")
LIST_MISSING = ("undetermined", "list_missing")

E1_WALLETS = [
    *(Wallet(kind, ("E1",)) for kind in SINGLE_KINDS),
    *(Wallet(kind, ("board", "E1")) for kind in SCRIPT_KINDS),
]


def spend_e1(wallet: Wallet) -> Spend:
    return Spend(wallet, by=("E1",))


@pytest.fixture
def made() -> MadeChain:
    """E1 to E3 are members, E4 and the thief aren't."""
    return organised()


def verdict_of(made: MadeChain, meter: str = METER) -> tuple[str, str | None]:
    """What is said of a meter where one confirmation is enough."""
    return said(made.judge(meter, min_confirmations=1))


def last_reason(made: MadeChain) -> str | None:
    """Why the last write did not count."""
    return made.judge(min_confirmations=1).writes[-1].reason


# ---- C1: the record


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(certificate()), **fields}).encode()


def without(name: str) -> bytes:
    return json.dumps(
        {key: value for key, value in json.loads(certificate()).items() if key != name}
    ).encode()


CID = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
MALFORMED_RECORDS = {
    "nothing": b"",
    "text": b"certified",
    "an array": b"[" + certificate() + b"]",
    "cut": certificate()[:-1],
    "something behind": certificate() + b"x",
    "two": certificate() + certificate(),
    "a byte order mark": b"\xef\xbb\xbf" + certificate(),
    "UTF-16": revocation().decode().encode("utf-16"),
    "not UTF-8": certificate().replace(b"Org", b"Org\xff"),
    "a lone surrogate": changed(note="\ud800"),
    "a lone surrogate as a key": certificate()[:-1] + b',"\\udfff":1}',
    "a key twice": certificate().replace(b'"org"', b'"org":"Org","org"'),
    "a key twice, once escaped": certificate().replace(b'"org"', b'"\\u006frg":"Org","org"'),
    "NaN": certificate()[:-1] + b',"x":NaN}',
    "Infinity": certificate()[:-1] + b',"x":Infinity}',
    "nested too deep": certificate()[:-1] + b',"x":' + b"[" * 8 + b"]" * 8 + b"}",
    "over 520 bytes": certificate() + b" " * (521 - len(certificate())),
    "v true": changed(v=True),
    "v 1.0": changed(v=1.0),
    "v 1e0": certificate().replace(b'"v": 1', b'"v": 1e0'),
    "v 2": changed(v=2),
    "v text": changed(v="1"),
    "no v": without("v"),
    "no org": without("org"),
    "org null": changed(org=None),
    "no node": without("node"),
    "no client": without("client"),
    "no ms": without("ms"),
    "ms null": changed(ms=None),
    "equal keys": certificate("client"),
    "node in upper case": changed(node=key_of("node").upper()),
    "node cut": changed(node=key_of("node")[:-2]),
    "node uncompressed": changed(node=key_bytes("node", "uncompressed").hex()),
    "node with another first byte": changed(node="04" + key_of("node")[2:]),
    "node off the curve": changed(node="02" + "ff" * 32),
    "client in full-width digits": changed(client=key_of("client").replace("0", "\uff10")),
    "seal text": changed(seal="A-1001"),
    "seal of numbers": changed(seal=[1]),
    "seal null": changed(seal=None),
    "doc no CID": changed(doc="Qm"),
    "doc null": changed(doc=None),
    "after too short": changed(after="0" * 15),
    "after too long": changed(after="0" * 65),
    "after in upper case": changed(after="A" * 16),
    "after null": changed(after=None),
    "after empty": changed(after=""),
    "a revocation with v 2": revocation(v=2),
    "a revocation without org": b'{"v":1,"revoked":""}',
    "a revocation with another form": b'{"v":1,"org":"Org","revoked":true}',
    "a revocation with null": b'{"v":1,"org":"Org","revoked":null}',
    "a revocation over 520 bytes": revocation(reason="x" * 500),
}


@pytest.mark.parametrize("value", MALFORMED_RECORDS.values(), ids=MALFORMED_RECORDS.keys())
def test_C1_a_record_is_read_strictly(made: MadeChain, value: bytes) -> None:
    made.write(NAME, value, "E1")
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == MALFORMED
    assert (verdict.contested, verdict.foreign_writes) == (True, 0)
    made.certify("E1")
    assert verdict_of(made) == TRUSTED


WELL_FORMED_RECORDS = {
    "exactly 520 bytes": certificate() + b" " * (520 - len(certificate())),
    "white space": b"\t\r\n " + certificate() + b"\n",
    "unknown fields": changed(note=[{"a": None}], V=2, revoked_by="x"),
    "nested as deep as may be": certificate()[:-1] + b',"x":' + b"[" * 7 + b"]" * 7 + b"}",
    "seals": changed(seal=["A-1001", ""]),
    "no seals": changed(seal=[]),
    "a document": changed(doc=CID),
    "a document as CIDv0": changed(doc="QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"),
    "after without a revocation": changed(after="0" * 16),
    "escaped": certificate().replace(b'"org"', b'"\\u006frg"'),
}


@pytest.mark.parametrize("value", WELL_FORMED_RECORDS.values(), ids=WELL_FORMED_RECORDS.keys())
def test_C1_well_formed_certificates(made: MadeChain, value: bytes) -> None:
    made.write(NAME, value, "E1")
    assert verdict_of(made) == TRUSTED


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"node": 1, "client": None, "ms": [], "seal": 0, "after": "x"},
        json.loads(certificate()) | {"revoked": "x"},
    ],
    ids=["short", "with fields that no certificate may have", "with a whole certificate"],
)
def test_C1_revoked_makes_it_a_revocation_whatever_else_it_holds(
    made: MadeChain, fields: dict[str, Any]
) -> None:
    made.certify("E1")
    made.write(NAME, json.dumps({"v": 1, "org": ORG, "revoked": "", **fields}).encode(), "E1")
    assert verdict_of(made) == REVOKED


@pytest.mark.parametrize(
    "name", ["bp/m123", "BP/M123", "bp/M123 ", "bp/M1234", "bp_M123", "bp//M123", "M123"]
)
def test_C1_only_the_meter_s_own_record_speaks_of_it(made: MadeChain, name: str) -> None:
    made.write(name, certificate(), "E1")
    assert verdict_of(made) == UNKNOWN


@pytest.mark.parametrize("form", ODD_FORMS)
def test_C1_odd_forms_are_as_if_absent(made: MadeChain, form: str) -> None:
    for value in (certificate(), b"short", revocation()):
        made.write(NAME, value[: 250 if "pushdata2" in form else None], "E1", form=ODD_FORMS[form])
    assert verdict_of(made) == UNKNOWN


def test_C1_coinbases_and_other_versions_are_as_if_absent(made: MadeChain) -> None:
    made.write(NAME, certificate(), ())
    for version in (1, 2, 0x7101):
        made.write(NAME, certificate(), "E1", version=version)
    assert verdict_of(made) == UNKNOWN
    made.certify("E1")
    made.write(NAME, revocation(), "E1", version=1)
    made.write(NAME, revocation(), ())
    assert verdict_of(made) == TRUSTED


def test_C1_several_writes_of_one_transaction_come_in_the_order_of_its_outputs(made: MadeChain) -> None:
    for meter, nodes in (("FIRST", ("node", "node 2")), ("SECOND", ("node 2", "node"))):
        name = f"bp/{meter}"
        second = name_output(name.encode(), certificate(nodes[1]), b"\x51")
        made.write(name, certificate(nodes[0]), "E1", more=[second])
        by = made.judge(meter, min_confirmations=1).decided_by
        assert by is not None
        assert by.certificate is not None
        assert by.certificate.node == key_bytes(nodes[1])


# ---- C2: certificates


@pytest.mark.parametrize("wallet", E1_WALLETS, ids=lambda wallet: wallet.kind)
def test_C2_a_member_certifies_from_every_type(made: MadeChain, wallet: Wallet) -> None:
    txid = made.certify(spend_e1(wallet))
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == TRUSTED
    assert decided_by(verdict) == txid
    by = verdict.decided_by
    assert by is not None
    assert by.electrician is not None
    assert (by.name, by.electrician.key, by.certificate and by.certificate.node) == (
        ORG, key_bytes("E1"), key_bytes("node"),
    )  # fmt: skip


def test_C2_inputs_of_one_key_may_be_of_different_types(made: MadeChain) -> None:
    made.certify([spend_e1(wallet) for wallet in E1_WALLETS])
    assert verdict_of(made) == TRUSTED


BESIDE: dict[str, Callable[[MadeChain], By]] = {
    "a stranger": lambda _: "thief",
    "another member": lambda _: "E2",
    "the owner": lambda _: "owner",
    "a coin that anyone can spend": lambda made: made.fund_anyone(),
    "a board": lambda _: Wallet("p2wsh", ("E1", "E2"), 2),
    "a 1-of-2 that another signed": lambda _: Spend(Wallet("p2wsh", ("E1", "thief")), by=("thief",)),
}


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
@pytest.mark.parametrize("first", [True, False])
def test_C2_every_input_must_be_the_same_member_s(
    made: MadeChain, beside: Callable[[MadeChain], By], first: bool
) -> None:
    """Whoever adds an input to another's transaction (payjoin, coinjoin, a fee) certifies nothing."""
    other = beside(made)
    made.certify(["E1", other] if first else [other, "E1"])
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == NOT_A_MEMBER
    assert (verdict.contested, verdict.foreign_writes) == (True, 0)


def test_C2_who_is_paid_or_owns_the_record_is_no_certifier(made: MadeChain) -> None:
    made.write(NAME, certificate(), "thief", owner="E1", more=[p2wpkh(key_bytes("E1"))])
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == NOT_A_MEMBER
    assert (verdict.contested, verdict.foreign_writes) == (False, 1)


@pytest.mark.parametrize("who", ["owner", "node", "client", "record", "thief"])
def test_C2_nobody_else_certifies(made: MadeChain, who: str) -> None:
    made.certify(who)
    assert verdict_of(made) == NOT_A_MEMBER


@pytest.mark.parametrize("kind", SCRIPT_KINDS)
def test_C2_the_address_in_its_three_forms(made: MadeChain, kind: str) -> None:
    for number, pair in enumerate([("node", "client"), ("client", "node"), ("E1", "E2")]):
        made.certify("E1", pair[0], client=pair[1], kind=kind, meter=f"METER{number}")
        assert verdict_of(made, f"METER{number}") == TRUSTED


NODE, CLIENT = sorted((key_bytes("node"), key_bytes("client")))
ADDRESS = address(p2wsh(multisig(1, NODE, CLIENT)))
OTHER_ADDRESSES = {
    "empty": "",
    "of others": address(p2wsh(multisig(1, *sorted((NODE, key_bytes("E1")))))),
    "unsorted": address(p2wsh(multisig(1, CLIENT, NODE))),
    "2-of-2": address(p2wsh(multisig(2, NODE, CLIENT))),
    "of the node alone": address(p2wpkh(NODE)),
    "in capitals": ADDRESS.upper(),
    "with a space": ADDRESS + " ",
    "of bitcoin": "bc1" + ADDRESS[5:],
    "of testnet": "td1" + ADDRESS[5:],
    "a wrong checksum": ADDRESS[:-1] + ("q" if ADDRESS[-1] != "q" else "p"),
}


@pytest.mark.parametrize("wrong", OTHER_ADDRESSES.values(), ids=OTHER_ADDRESSES.keys())
def test_C2_any_other_address_is_a_mismatch(made: MadeChain, wrong: str) -> None:
    made.certify("E1", ms=wrong)
    assert verdict_of(made) == MISMATCH


# ---- C3: revocations


@pytest.mark.parametrize("wallet", E1_WALLETS, ids=lambda wallet: wallet.kind)
def test_C3_any_member_revokes_from_every_type(made: MadeChain, wallet: Wallet) -> None:
    made.certify("E2")
    txid = made.revoke(spend_e1(wallet))
    verdict = made.judge(min_confirmations=1)
    assert (said(verdict), decided_by(verdict)) == (REVOKED, txid)


@pytest.mark.parametrize("beside", [*BESIDE.values()], ids=BESIDE.keys())
def test_C3_a_member_revokes_only_alone_and_the_owner_beside_anybody(
    made: MadeChain, beside: Callable[[MadeChain], By]
) -> None:
    made.certify("E1")
    made.revoke(["E3", "E3", *([] if beside(made) == "owner" else [beside(made)])])
    expected = REVOKED if beside(made) == "owner" else TRUSTED
    assert verdict_of(made) == expected
    made.revoke(["thief", beside(made), "owner"])
    assert verdict_of(made) == REVOKED


@pytest.mark.parametrize("who", ["E4", "thief", "node", "client", "record"])
def test_C3_nobody_else_revokes(made: MadeChain, who: str) -> None:
    made.certify("E1")
    made.revoke(who)
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == TRUSTED
    assert (verdict.contested, verdict.foreign_writes) == (False, 1)


def test_C3_the_owner_signs_with_sighash_all_too(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke(Spend("owner", sighash=NONE))
    made.revoke(Spend("E1", sighash=NONE))
    assert verdict_of(made) == TRUSTED


def test_C3_it_is_the_owner_at_that_height(made: MadeChain) -> None:
    made.certify("E1")
    with made.block():
        made.revoke("next")
        made.publish(["E1"], owner="next")
    assert verdict_of(made) == REVOKED
    made.certify("E1", meter="OTHER")
    made.revoke("owner", meter="OTHER")
    assert verdict_of(made, "OTHER") == TRUSTED


def test_C3_who_became_the_owner_later_has_not_revoked(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke("next")
    made.publish(["E1"], owner="next")
    assert verdict_of(made) == TRUSTED


def test_C3_an_organisation_revokes_its_own_certificates_only(made: MadeChain) -> None:
    """A member of another accepted organisation, or its owner, is a stranger here."""
    made.found("E4", org="Other", owner="other owner")
    made.certify("E1")
    for who in ("E4", "other owner"):
        made.revoke(who)
        made.revoke(who, org="Other")
    assert verdict_of(made) == TRUSTED
    made.revoke("E1", org="Other")
    assert verdict_of(made) == TRUSTED


def test_C3_a_withdrawn_member_revokes_nothing(made: MadeChain) -> None:
    made.certify("E1")
    made.withdraw("E2")
    made.revoke("E2")
    assert (verdict_of(made), last_reason(made)) == (TRUSTED, "member_revoked")


def test_C3_a_withdrawal_from_later_on_lets_him_revoke_before(made: MadeChain) -> None:
    made.certify("E1")
    made.withdraw("E2", height=made.height + 3)
    made.revoke("E2")
    assert verdict_of(made) == REVOKED


def test_C3_a_later_withdrawal_undoes_no_revocation(made: MadeChain) -> None:
    """A member who has to be thrown out may have revoked rightly; who throws him out can't undo it by that."""
    made.certify("E1")
    made.revoke("E2")
    made.withdraw("E2")
    assert verdict_of(made) == REVOKED
    made.drop("E2")
    assert verdict_of(made) == REVOKED


def test_C3_in_the_same_block_it_is_not_later(made: MadeChain) -> None:
    made.certify("E1")
    with made.block():
        made.revoke("E2")
        made.withdraw("E2")
    assert verdict_of(made) == TRUSTED


def test_C3_a_later_withdrawal_that_voids_undoes_revocations_from_its_height_on(made: MadeChain) -> None:
    for meter in ("BEFORE", "AFTER"):
        made.certify("E1", meter=meter)
    made.revoke("E2", meter="BEFORE")
    height = made.height
    made.revoke("E2", meter="AFTER")
    made.withdraw("E2", height=height + 1, voids=True)
    assert (verdict_of(made, "BEFORE"), verdict_of(made, "AFTER")) == (REVOKED, TRUSTED)
    made.reinstate("E2")
    assert verdict_of(made, "AFTER") == REVOKED


@pytest.mark.parametrize("voids", [False, None, 1, "true", [True]], ids=repr)
def test_C3_only_true_voids(made: MadeChain, voids: Any) -> None:
    made.certify("E1")
    made.revoke("E2")
    made.publish({"E2": {"revoked": {"height": 0, "voids_revocations": voids}}})
    assert verdict_of(made) == REVOKED


def test_C3_what_the_owner_revoked_is_not_voided_by_a_member_s_withdrawal() -> None:
    made = organised("E1", "E2", owner="E2")
    made.certify("E1")
    made.revoke("E2")
    made.withdraw("E2", voids=True)
    assert verdict_of(made) == REVOKED


def test_C3_a_revocation_that_was_undone_needs_no_after(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke("E2")
    made.withdraw("E2", voids=True)
    last = made.certify("E1")
    verdict = made.judge(min_confirmations=1)
    assert (said(verdict), decided_by(verdict)) == (TRUSTED, last)


# ---- C4: each organisation alone, and `after`


def test_C4_a_meter_can_be_revoked_before_it_is_certified(made: MadeChain) -> None:
    made.revoke("E1")
    made.certify("E1")
    assert (verdict_of(made), last_reason(made)) == (REVOKED, "revoked")


@pytest.mark.parametrize("length", [16, 17, 40, 64])
def test_C4_a_certificate_that_names_the_revocation_lifts_it(made: MadeChain, length: int) -> None:
    made.certify("E1")
    txid = made.revoke("E1")
    made.certify("E1", after=txid[:length])
    assert verdict_of(made) == TRUSTED


def test_C4_a_certificate_sent_late_or_renewed_by_itself_lifts_nothing(made: MadeChain) -> None:
    made.certify("E1")
    first = made.revoke("E1")
    made.certify("E1")
    made.certify("E2")
    for wrong in ("0" * 16, first[1:17], first[-16:], first[:20] + "0" * 44):
        made.certify("E1", after=wrong)
        assert (verdict_of(made), last_reason(made)) == (REVOKED, "revoked")
    assert made.judge(min_confirmations=1).contested


def test_C4_it_must_be_the_last_revocation(made: MadeChain) -> None:
    made.certify("E1")
    first = made.revoke("E1")
    last = made.revoke("E1")
    made.certify("E1", after=first)
    assert verdict_of(made) == REVOKED
    made.certify("E1", after=last)
    assert verdict_of(made) == TRUSTED
    made.certify("E1")
    assert last_reason(made) == "revoked"


def test_C4_what_did_not_count_is_not_the_last_revocation(made: MadeChain) -> None:
    made.found("E4", org="Other")
    made.certify("E1")
    own = made.revoke("E1")
    made.revoke("thief")
    made.revoke("E4", org="Other")
    made.certify("E1", after=own)
    assert verdict_of(made) == TRUSTED


def test_C4_a_revocation_of_another_meter_is_not_that_of_this_one(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke("E1")
    other = made.revoke("E1", meter="OTHER")
    made.certify("E1", after=other)
    assert verdict_of(made) == REVOKED


def test_C4_a_revocation_mined_again_is_not_a_second_one(made: MadeChain) -> None:
    made.certify("E1")
    revoked = made.revoke("E1")
    made.certify("E1", after=revoked)
    made.replay(revoked)
    assert verdict_of(made) == TRUSTED


def test_C4_a_certificate_mined_again_lifts_nothing(made: MadeChain) -> None:
    certified = made.certify("E1")
    made.revoke("E1")
    made.replay(certified)
    assert verdict_of(made) == REVOKED
    assert len(made.judge(min_confirmations=1).writes) == 2


@pytest.mark.parametrize("order", [("A", "B"), ("B", "A")])
def test_C4_the_organisation_accepted_first_decides_and_the_others_are_shown(order: tuple[str, str]) -> None:
    made = MadeChain()
    for org in ("A", "B"):
        made.found("E1", org=org)
    made.pins = {org: made.pins[org] for org in order}
    made.certify("E1", "node 2", org="B")
    made.certify("E1", org="A")
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == TRUSTED
    assert verdict.decided_by is verdict.organizations[0]
    assert [(report.name, report.state) for report in verdict.organizations] == [
        (org, "certificate") for org in order
    ]
    assert any("another node" in warning for warning in verdict.warnings)


def test_C4_one_organisation_s_revocation_leaves_the_other_s_certificate(made: MadeChain) -> None:
    made.found("E4", org="Other")
    made.certify("E1")
    made.certify("E4", org="Other")
    made.revoke("E1")
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == TRUSTED
    assert [(report.name, report.state) for report in verdict.organizations] == [
        (ORG, "revoked"), ("Other", "certificate"),
    ]  # fmt: skip
    assert any(ORG in warning and "revoked" in warning for warning in verdict.warnings)


def test_C4_a_member_of_another_organisation_replaces_nothing(made: MadeChain) -> None:
    made.found("E4", org="Other")
    first = made.certify("E1")
    made.certify("E4", "node 2", org="Other")
    made.certify("E4", "node 2")
    verdict = made.judge(min_confirmations=1)
    assert (said(verdict), decided_by(verdict)) == (TRUSTED, first)


def test_C4_who_owns_the_record_decides_nothing(made: MadeChain) -> None:
    """Nobody can block a meter by squatting, nor take a certificate away by writing over it."""
    squat = made.overwrite(NAME, b"mine")
    made.overwrite(NAME, b"mine", [made.coin(squat)])
    txid = made.certify("E1")
    for value in (b"", revocation(), certificate("node 2"), certificate(org="Nobody's")):
        made.overwrite(NAME, value)
    verdict = made.judge(min_confirmations=1)
    assert (said(verdict), decided_by(verdict)) == (TRUSTED, txid)
    assert (verdict.contested, verdict.foreign_writes) == (False, 6)


def test_C4_the_same_signer_renews_and_replaces_at_once(made: MadeChain) -> None:
    for node, client in (
        ("node", "client"),
        ("node", "client"),
        ("node 2", "client"),
        ("node 2", "client 2"),
    ):
        last = made.certify("E1", node, client=client)
        assert decided_by(made.judge(min_confirmations=1)) == last


# ---- C5: other writes


CONTESTING: dict[str, Callable[[MadeChain], object]] = {
    "malformed": lambda made: made.write(NAME, b"{}", "E1"),
    "another organisation's": lambda made: made.certify("E1", org="Nobody's"),
    "a mismatch": lambda made: made.certify("E1", ms=""),
    "another sighash": lambda made: made.certify(Spend("E1", sighash=NONE)),
    "beside a stranger": lambda made: made.certify(["thief", "E1"]),
    "beside a coin that anyone can spend": lambda made: made.certify([made.fund_anyone(), "E1"]),
    "in a 1-of-2": lambda made: made.certify(Spend(Wallet("p2sh-p2wsh", ("x", "E1")), by=("E1",)), ms=""),
    "in a legacy script": lambda made: made.certify(Spend(Wallet("p2sh", ("x", "E1")), by=("E1",)), ms=""),
    "from a legacy key": lambda made: made.certify(Wallet("p2pkh", ("E1",)), ms=""),
    "withdrawn": lambda made: (made.withdraw("E1"), made.certify("E1")),
    "left": lambda made: (made.drop("E1"), made.certify("E1")),
    "not yet joined": lambda made: (made.certify("E4"), made.publish(["E4"])),
    "after a revocation": lambda made: (made.revoke("E2"), made.certify("E1")),
    "a revocation by a withdrawn member": lambda made: (made.withdraw("E1"), made.revoke("E1")),
    "a member of another accepted organisation": lambda made: (made.found("E4", org="Other"), made.certify("E4")),
}  # fmt: skip


@pytest.mark.parametrize("write", CONTESTING.values(), ids=CONTESTING.keys())
def test_C5_a_write_that_did_not_count_by_a_key_ever_listed_contests(
    made: MadeChain, write: Callable[[MadeChain], object]
) -> None:
    made.certify("E3", meter="OTHER")
    write(made)
    verdict = made.judge(min_confirmations=1)
    assert (verdict.contested, verdict.foreign_writes) == (True, 0)
    assert not made.judge("OTHER", min_confirmations=1).contested


FOREIGN: dict[str, Callable[[MadeChain], object]] = {
    "a stranger's": lambda made: made.certify("thief"),
    "malformed": lambda made: made.write(NAME, b"{}", "thief"),
    "the owner's certificate": lambda made: made.certify("owner"),
    "two members of a board": lambda made: made.certify(Wallet("p2wsh", ("E1", "E2"), 2)),
    "a member merely named": lambda made: made.certify(Spend(Wallet("p2sh", ("E1", "x")), by=("x",))),
    "a member's look-alike": lambda made: made.certify(
        Spend(made.fund_anyone(), witness=(b"\x30" * 71, key_bytes("E1")))
    ),
    "a member's uncompressed key": lambda made: made.certify(Wallet("p2pkh", ("E1",), form="uncompressed")),
    "a key that only a stranger listed": lambda made: (made.publish(["E4"], "thief"), made.certify("E4")),
    "a key of an organisation that is not accepted": lambda made: (
        made.found("E4", org="Other", pin=False), made.certify("E4", org="Other")
    ),
}  # fmt: skip


@pytest.mark.parametrize("write", FOREIGN.values(), ids=FOREIGN.keys())
def test_C5_the_rest_are_counted_as_foreign(made: MadeChain, write: Callable[[MadeChain], object]) -> None:
    write(made)
    verdict = made.judge(min_confirmations=1)
    assert (verdict.contested, verdict.foreign_writes) == (False, 1)


def test_C5_nothing_contests_what_counted_or_waits_or_is_none(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke("E1")
    made.write(NAME, b"{}", "E1", version=1)
    made.write(NAME, b"{}", ["E1"] * 17)
    made.certify("E1", after=made.revoke("E2"))
    verdict = made.judge(min_confirmations=6)
    assert (said(verdict), verdict.contested, verdict.foreign_writes) == (REVOKED, False, 0)
    assert [write.fate for write in verdict.writes][-1] is Fate.WAITING


def test_C5_they_are_counted_beside_any_verdict(made: MadeChain) -> None:
    for _ in range(3):
        made.overwrite(NAME, b"x")
    assert made.judge().foreign_writes == 3
    made.certify("E1")
    assert (said(made.judge()), made.judge().foreign_writes) == (UNCONFIRMED, 3)
    made.mine(5)
    made.write(NAME, b"{}", "E1")
    verdict = made.judge()
    assert (said(verdict), verdict.contested, verdict.foreign_writes) == (TRUSTED, True, 3)


# ---- C6: confirmations


@pytest.mark.parametrize(("min_confirmations", "mined"), [(None, 5), (1, 0), (2, 1), (10, 9)])
def test_C6_a_certificate_waits_for_its_confirmations(
    made: MadeChain, min_confirmations: int | None, mined: int
) -> None:
    policy: dict[str, Any] = {} if min_confirmations is None else {"min_confirmations": min_confirmations}
    txid = made.certify("E1")
    for _ in range(mined):
        verdict = made.judge(**policy)
        assert (said(verdict), decided_by(verdict)) == (UNCONFIRMED, txid)
        made.mine()
    assert said(made.judge(**policy)) == TRUSTED


def test_C6_a_renewal_that_waits_leaves_what_stands(made: MadeChain) -> None:
    first = made.certify("E1")
    made.mine(5)
    second = made.certify("E1")
    assert decided_by(made.judge()) == first
    made.mine(5)
    assert decided_by(made.judge()) == second


def test_C6_a_revocation_counts_at_once_and_from_the_mempool_on(made: MadeChain) -> None:
    made.certify("E1")
    made.mine(5)
    with made.mempool():
        txid = made.revoke("E2")
    verdict = made.judge()
    assert (said(verdict), decided_by(verdict)) == (REVOKED, txid)
    report = verdict.writes[-1]
    assert (report.height, report.position, report.confirmations) == (None, None, 0)
    made.waiting.clear()
    assert said(made.judge()) == TRUSTED
    made.replay(txid)
    assert said(made.judge()) == REVOKED


@pytest.mark.parametrize("by", ["owner", "E1", "thief"])
def test_C6_the_mempool_is_judged_at_the_height_after_the_tip(made: MadeChain, by: str) -> None:
    made.certify("E2")
    made.withdraw("E1", height=made.height + 2)
    with made.mempool():
        made.revoke(by)
    assert verdict_of(made) == (REVOKED if by == "owner" else TRUSTED)
    made.mine()
    assert verdict_of(made) == (REVOKED if by == "owner" else TRUSTED)


def test_C6_a_certificate_in_the_mempool_is_no_write(made: MadeChain) -> None:
    with made.mempool():
        made.certify("E1")
        made.write(NAME, b"{}", "E1")
        made.certify("thief")
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == UNKNOWN
    assert (verdict.contested, verdict.foreign_writes, verdict.writes) == (False, 0, ())


def test_C6_a_stranger_s_revocation_in_the_mempool_changes_nothing(made: MadeChain) -> None:
    made.certify("E1")
    with made.mempool():
        made.revoke("thief")
        made.revoke("E2", org="Nobody's")
    verdict = made.judge(min_confirmations=1)
    assert (said(verdict), verdict.contested, verdict.foreign_writes) == (TRUSTED, True, 1)


def test_C6_a_withdrawal_counts_from_one_confirmation_on(made: MadeChain) -> None:
    made.certify("E1")
    made.mine(5)
    with made.mempool():
        made.withdraw("E1")
    assert said(made.judge()) == TRUSTED
    made.waiting.clear()
    made.withdraw("E1")
    assert said(made.judge()) == ("untrusted", "member_revoked")


REPLACEMENTS = [("node 2", "client"), ("node", "client 2"), ("node 2", "client 2"), ("client", "node")]


@pytest.mark.parametrize(("node", "client"), REPLACEMENTS)
@pytest.mark.parametrize("min_confirmations", [1, 6])
def test_C6_another_signer_s_other_node_waits_24_times_as_long(
    made: MadeChain, node: str, client: str, min_confirmations: int
) -> None:
    """A stolen key can't hand the meter to a thief's node before anybody notices."""
    first = made.certify("E1")
    made.mine(5)
    second = made.certify("E2", node, client=client)
    made.mine(24 * min_confirmations - 2)
    verdict = made.judge(min_confirmations=min_confirmations)
    assert (said(verdict), decided_by(verdict)) == (TRUSTED, first)
    pending = verdict.organizations[0].pending
    assert pending is not None
    assert pending.txid == second
    assert any(second in warning for warning in verdict.warnings)
    made.mine()
    verdict = made.judge(min_confirmations=min_confirmations)
    assert (said(verdict), decided_by(verdict), verdict.organizations[0].pending) == (TRUSTED, second, None)


def test_C6_another_signer_certifies_the_same_node_at_once(made: MadeChain) -> None:
    made.certify("E1")
    second = made.certify("E2")
    assert decided_by(made.judge(min_confirmations=1)) == second


def test_C6_the_first_certificate_never_waits_longer(made: MadeChain) -> None:
    made.certify("thief", "node 2")
    made.certify("E3", "node 3", ms="")
    made.certify("E1")
    assert verdict_of(made) == TRUSTED


def test_C6_the_first_of_two_that_wait_stands_first(made: MadeChain) -> None:
    first = made.certify("E1")
    made.certify("E2", "node 2")
    made.mine(3)
    assert said(made.judge()) == UNCONFIRMED
    made.mine(1)
    assert decided_by(made.judge()) == first


@pytest.mark.parametrize(
    ("revoker", "certifier", "expected"),
    [
        ("E1", "E2", TRUSTED),
        ("owner", "E2", TRUSTED),
        ("E2", "E2", REVOKED),
        ("E3", "E2", REVOKED),
        ("E3", "E1", TRUSTED),
    ],
)
def test_C6_whose_revocation_it_names_decides_how_long_the_next_node_waits(
    made: MadeChain, revoker: str, certifier: str, expected: tuple[str, str | None]
) -> None:
    """Revoking and replacing is no way round the wait; only the signer's or the owner's leave is."""
    made.certify("E1")
    revoked = made.revoke(revoker)
    made.certify(certifier, "node 2", after=revoked)
    assert verdict_of(made) == expected
    made.mine(23)
    assert verdict_of(made) == TRUSTED


def test_C6_after_a_revocation_the_same_node_takes_over_at_once(made: MadeChain) -> None:
    made.certify("E1")
    made.certify("E2", after=made.revoke("E3"))
    assert verdict_of(made) == TRUSTED


def test_C6_it_is_the_last_standing_certificate_that_counts(made: MadeChain) -> None:
    made.certify("E1")
    made.certify("E2")
    last = made.certify("E2", "node 2")
    assert decided_by(made.judge(min_confirmations=1)) == last
    made.certify("E1", "node 3")
    assert decided_by(made.judge(min_confirmations=1)) == last


def test_C6_a_revocation_ends_a_wait(made: MadeChain) -> None:
    made.certify("E1")
    made.certify("E2", "node 2")
    made.revoke("E1")
    for _ in range(2):
        verdict = made.judge(min_confirmations=1)
        assert said(verdict) == REVOKED
        assert verdict.organizations[0].pending is None
        made.mine(30)


def test_C6_a_certificate_that_no_longer_counts_stands_for_nothing(made: MadeChain) -> None:
    """Who was withdrawn for all heights never had a node that could be in the way."""
    made.certify("E1")
    second = made.certify("E2", "node 2")
    made.withdraw("E1")
    verdict = made.judge(min_confirmations=1)
    assert (said(verdict), decided_by(verdict)) == (TRUSTED, second)


# ---- L1 and L4: sizes


def padded_to(made: MadeChain, size: int) -> list[bytes]:
    """One more output, so that the transaction has `size` bytes without scriptSigs and witnesses."""
    empty = 4 + 1 + 41 + 1 + 4 + 8 + 3 + len(name_output(NAME.encode(), certificate(), p2wpkh(NODE))) + 8 + 3
    return [b"\x6a" * (size - empty)]


@pytest.mark.parametrize(
    ("signers", "more", "expected"),
    [
        (16, 0, TRUSTED),
        (17, 0, UNKNOWN),
        (1, 31, TRUSTED),
        (1, 32, UNKNOWN),
        (16, 31, TRUSTED),
    ],
)
def test_L1_at_most_16_inputs_and_32_outputs(
    made: MadeChain, signers: int, more: int, expected: tuple[str, str | None]
) -> None:
    made.write(NAME, certificate(), ["E1"] * signers, more=[b"\x6a"] * more)
    assert verdict_of(made) == expected


def test_L1_at_most_20_000_bytes(made: MadeChain) -> None:
    made.write(NAME, certificate(), "E1", more=padded_to(made, 20_001))
    assert verdict_of(made) == UNKNOWN
    made.write(NAME, certificate(), "E1", more=padded_to(made, 20_000))
    assert verdict_of(made) == TRUSTED


def test_L1_what_a_miner_can_pad_is_not_counted(made: MadeChain) -> None:
    wallet = Wallet("p2pkh", ("E1",))
    made.write(NAME, certificate(), Spend(wallet, junk=b"\x61" * 30_000), more=padded_to(made, 20_000))
    assert verdict_of(made) == TRUSTED


def test_L1_what_is_larger_is_as_if_absent(made: MadeChain) -> None:
    made.certify("E1")
    made.revoke(["E1"] * 17)
    made.publish(["thief"], ["owner"] * 17)
    made.certify("thief")
    verdict = made.judge(min_confirmations=1)
    assert (said(verdict), verdict.contested, verdict.foreign_writes) == (TRUSTED, False, 1)


def test_L4_too_many_writes_of_one_name_are_flooded(made: MadeChain) -> None:
    made.certify("E1")
    for _ in range(3):
        made.overwrite(NAME, b"x")
    assert said(made.judge(min_confirmations=1, max_writes=4)) == TRUSTED
    assert said(made.judge(min_confirmations=1, max_writes=3)) == ("undetermined", "flooded")
    assert said(made.judge("OTHER", max_writes=3)) == UNKNOWN


def test_L4_what_waits_in_the_mempool_and_is_no_write_floods_nothing(made: MadeChain) -> None:
    made.certify("E1")
    with made.mempool():
        for _ in range(3):
            made.certify("thief")
    assert said(made.judge(min_confirmations=1, max_writes=1)) == TRUSTED


# ---- the order of verdicts


def play_certificate(made: MadeChain, org: str) -> None:
    made.certify("E1", org=org)
    made.mine(5)


def play_revoked(made: MadeChain, org: str) -> None:
    made.revoke("E1", org=org)


def play_undetermined(made: MadeChain, org: str) -> None:
    coin = made.fund("E1")
    made.certify(coin, org=org)
    made.withhold(coin.txid)
    made.mine(5)


def play_unconfirmed(made: MadeChain, org: str) -> None:
    made.certify("E1", org=org)


def play_refused(made: MadeChain, org: str) -> None:
    made.certify("thief", org=org)


def play_nothing(_made: MadeChain, _org: str) -> None:
    """Not a write."""


#: In the order of trust-model.md.
PLAYS = {
    TRUSTED: play_certificate,
    REVOKED: play_revoked,
    MISSING: play_undetermined,
    UNCONFIRMED: play_unconfirmed,
    NOT_A_MEMBER: play_refused,
    UNKNOWN: play_nothing,
}
STATES = list(PLAYS)


@pytest.mark.parametrize("one", STATES, ids=str)
@pytest.mark.parametrize("two", STATES, ids=str)
def test_verdicts_of_two_organisations_the_first_that_holds(
    one: tuple[str, str | None], two: tuple[str, str | None]
) -> None:
    made = MadeChain()
    for org in ("A", "B"):
        made.found("E1", org=org, owner=f"owner {org}")
    for org, state in sorted({"A": one, "B": two}.items(), key=lambda pair: STATES.index(pair[1])):
        PLAYS[state](made, org)
    verdict = made.judge()
    assert said(verdict) == min(one, two, key=STATES.index)
    if said(verdict) in STATES[:4]:
        assert verdict.decided_by is not None
        assert verdict.decided_by.name == ("A" if STATES.index(one) <= STATES.index(two) else "B")


# ---- the order of reasons


REASONS = [
    "malformed_record",
    "organization_not_accepted",
    "not_a_member",
    "member_revoked",
    "sighash_not_all",
    "multisig_mismatch",
    "revoked",
]


def flawed(made: MadeChain, flaws: Sequence[str]) -> None:
    """Write a certificate with all these flaws."""
    made.publish({"E1": {}, "E2": {"revoked": {}}})
    made.revoke("E1")
    who = "thief" if "not_a_member" in flaws else "E2" if "member_revoked" in flaws else "E1"
    value = certificate(
        org="Nobody's" if "organization_not_accepted" in flaws else ORG,
        ms="" if "multisig_mismatch" in flaws else None,
        after=None if "revoked" in flaws else made.judge(min_confirmations=1).writes[-1].txid,
    )
    if "malformed_record" in flaws:
        value = value[:-1]
    made.write(NAME, value, Spend(who, sighash=NONE if "sighash_not_all" in flaws else 1))


@pytest.mark.parametrize("number", range(len(REASONS)), ids=REASONS)
def test_reasons_are_tried_in_their_order(made: MadeChain, number: int) -> None:
    """A write with this flaw and all that come after it is told this one."""
    flawed(made, REASONS[number:])
    assert last_reason(made) == REASONS[number]
    flawed(made, [REASONS[number]])
    assert last_reason(made) == REASONS[number]


def test_reasons_a_write_without_flaws_counts(made: MadeChain) -> None:
    flawed(made, [])
    assert verdict_of(made) == TRUSTED


def test_reasons_the_last_write_s_is_the_verdict_s(made: MadeChain) -> None:
    made.certify("thief")
    made.write(NAME, b"{}", "thief")
    assert verdict_of(made) == MALFORMED
    made.certify("E1", ms="")
    assert verdict_of(made) == MISMATCH
    made.certify("E1", org="Nobody's")
    assert verdict_of(made) == ("untrusted", "organization_not_accepted")


# ---- missing data


def unsigned(made: MadeChain, who: str, verb: Callable[..., str], *args: Any, **options: Any) -> None:
    """Write with a coin that nobody can show any more."""
    coin = made.fund(who)
    verb(coin, *args, **options)
    made.withhold(coin.txid)


def test_missing_a_certificate_of_unknown_signature_leaves_it_open(made: MadeChain) -> None:
    unsigned(made, "E1", made.certify)
    assert verdict_of(made) == MISSING
    made.certify("E2")
    assert verdict_of(made) == TRUSTED  # whoever signed the first, this one stands now


def test_missing_a_revocation_of_unknown_signature_leaves_it_open(made: MadeChain) -> None:
    made.certify("E1")
    unsigned(made, "thief", made.revoke)
    assert verdict_of(made) == MISSING
    last = made.revoke("E1")
    assert verdict_of(made) == REVOKED
    made.certify("E1", after=last)
    assert verdict_of(made) == TRUSTED


def test_missing_a_renewal_of_unknown_signature_changes_nothing(made: MadeChain) -> None:
    made.certify("E1")
    unsigned(made, "E1", made.certify)
    assert verdict_of(made) == TRUSTED


def test_missing_another_node_of_unknown_signature_leaves_it_open(made: MadeChain) -> None:
    """Had the first signer signed it, it would stand at once: the old node may be gone for good."""
    made.certify("E1")
    unsigned(made, "E1", made.certify, "node 2")
    assert verdict_of(made) == MISSING


def test_missing_the_first_signer_may_have_revoked_himself(made: MadeChain) -> None:
    """Then E2's node took over at once, and by the second revocation and certificate it is there again."""
    made.certify("E1")
    made.lose(made.publish(["somebody"]))
    revoked = made.revoke("E1")  # if the lost list has him
    made.publish({who: {"reinstated": True} for who in ("E1", "E2", "E3")})
    made.certify("E2", "node 2", after=revoked)
    assert verdict_of(made) == LIST_MISSING
    made.certify("E2", "node 2", after=made.revoke("E3"))
    assert verdict_of(made) == LIST_MISSING


def test_missing_the_owner_may_have_revoked(made: MadeChain) -> None:
    made.certify("E1")
    coin = made.fund("owner")
    revoked = made.revoke(coin)
    made.certify("E2", "node 2", after=revoked)
    made.withhold(coin.txid)
    assert verdict_of(made) == MISSING
    made.certify("E2", "node 2", after=made.revoke("E3"))
    assert verdict_of(made) == MISSING


def test_missing_what_could_not_count_anyway_leaves_nothing_open(made: MadeChain) -> None:
    made.certify("E1")
    unsigned(made, "E2", made.certify, "node 2", ms="")
    unsigned(made, "E2", made.certify, "node 2", org="Nobody's")
    unsigned(made, "E2", lambda coin: made.write(NAME, b"{}", coin))
    unsigned(made, "E2", lambda coin: made.certify([coin, "thief"], "node 2"))
    unsigned(made, "E2", lambda coin: made.write(NAME, revocation(), coin, version=1))
    made.mine(30)
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == TRUSTED


def test_missing_after_a_revocation_what_names_none_leaves_nothing_open(made: MadeChain) -> None:
    made.revoke("E1")
    unsigned(made, "E1", made.certify)
    assert verdict_of(made) == REVOKED


def test_missing_what_would_wait_anyway_leaves_nothing_open(made: MadeChain) -> None:
    made.certify("E1")
    made.mine(5)
    unsigned(made, "E1", made.certify, "node 2")
    assert said(made.judge()) == TRUSTED


def test_missing_one_that_may_wait_is_not_unconfirmed(made: MadeChain) -> None:
    unsigned(made, "E1", made.certify)
    assert said(made.judge()) == MISSING
    made.certify("E1")
    assert said(made.judge()) == UNCONFIRMED


def test_missing_the_owner_s_signature_may_be_what_can_t_be_seen(made: MadeChain) -> None:
    """A stranger's input is no member's; the other may be the owner's, and he may sign beside anybody."""
    made.certify("E1")
    coin = made.fund("x")
    made.revoke(["thief", coin])
    assert verdict_of(made) == TRUSTED
    made.withhold(coin.txid)
    assert verdict_of(made) == MISSING


def test_missing_an_organisation_s_write_of_unknown_signature_leaves_its_meters_open(made: MadeChain) -> None:
    made.certify("E1")
    made.found("E4", org="Other")
    made.certify("E4", org="Other", meter="OTHER")
    unsigned(made, "thief", lambda coin: made.publish(["thief"], coin))
    assert verdict_of(made) == MISSING
    assert verdict_of(made, "OTHER") == TRUSTED
    made.certify("thief")
    assert verdict_of(made) == MISSING


def test_missing_a_member_who_revoked_before_the_missing_list_was_one(made: MadeChain) -> None:
    """A revoker is judged by the lists up to his height, and by later ones only if they void."""
    made.certify("E1")
    made.revoke("E2")
    made.lose(made.publish(["somebody"]))
    assert verdict_of(made) == LIST_MISSING
    made.publish({"E1": {}, "E2": {"reinstated": True}})
    assert verdict_of(made) == REVOKED


def test_missing_a_revocation_that_a_later_list_voids_is_void_whatever_the_missing_list_says(
    made: MadeChain,
) -> None:
    made.certify("E1")
    made.lose(made.publish(["somebody"]))
    made.publish({"E1": {"reinstated": True}, "E2": {}})
    made.revoke("E2")
    assert verdict_of(made) == LIST_MISSING
    made.withdraw("E2", voids=True)
    assert verdict_of(made) == TRUSTED


@pytest.mark.parametrize("count", [3, 70])
def test_missing_many_open_questions_are_not_forgotten(made: MadeChain, count: int) -> None:
    """E4's node may have stood first, and then the last certificate would have to wait."""
    made.lose(made.publish(["E2", "E4", "somebody"]))
    made.certify("E4", "node 2")
    for _ in range(count):
        made.certify("E2")
    made.mine(24)
    made.publish({"E1": {}, "E3": {"reinstated": True}})
    made.certify("E3", after=made.revoke("E3"))
    assert verdict_of(made) == LIST_MISSING


def test_missing_writes_that_are_unsure_contest_nothing_and_are_not_foreign(made: MadeChain) -> None:
    unsigned(made, "E1", made.certify)
    made.lose(made.publish(["somebody"]))
    made.certify("E1")
    verdict = made.judge(min_confirmations=1)
    assert [write.fate for write in verdict.writes] == [Fate.UNSURE, Fate.UNSURE]
    assert (verdict.contested, verdict.foreign_writes) == (False, 0)


def test_missing_each_reason_is_told(made: MadeChain) -> None:
    made.lose(made.publish(["somebody"]))
    made.certify("E1")
    assert verdict_of(made) == LIST_MISSING
    unsigned(made, "E1", made.certify, meter="OTHER")
    assert verdict_of(made, "OTHER") == MISSING
    made.damage(made.certify("E1", meter="THIRD"))
    assert verdict_of(made, "THIRD") == ("undetermined", "bad_data")


def test_missing_data_of_one_meter_leaves_others_alone(made: MadeChain) -> None:
    unsigned(made, "E1", made.certify)
    made.damage(made.certify("E1", meter="OTHER"))
    made.certify("E1", meter="THIRD")
    assert verdict_of(made, "THIRD") == TRUSTED


def test_missing_the_history_of_a_name_leaves_nothing_to_say(made: MadeChain) -> None:
    made.certify("E1")
    for name, why in ((NAME, "flooded"), (f"bp_organization/{ORG}", "transaction_missing")):
        evidence = made.evidence(missing=[Missing("history", name.encode().hex(), why)])
        assert said(made.judge(evidence=evidence, min_confirmations=1)) == ("undetermined", why)
