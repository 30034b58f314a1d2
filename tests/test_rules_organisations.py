"""Organisations and their members: rules O1 to O5, M1 and M2, and pins of several segments."""
# ruff: noqa: N802  the rules' names are capitals

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from made import (
    ALL_ANYONECANPAY,
    METER,
    NONE,
    ODD_FORMS,
    ORG,
    SCRIPT_KINDS,
    SINGLE,
    SINGLE_KINDS,
    MadeChain,
    Spend,
    Wallet,
    key_of,
    member_list,
    organised,
    said,
)

from doitrust.chain.networks import DEVNET, MAINNET, REGTEST
from doitrust.content.cid import DAG_PB, Cid, cid_of, varint
from doitrust.errors import BadData
from doitrust.orgs.pins import fingerprint, matching_root

TRUSTED = ("trusted", None)
NOT_A_MEMBER = ("untrusted", "not_a_member")
WITHDRAWN = ("untrusted", "member_revoked")
REVOKED = ("revoked", None)
LIST_MISSING = ("undetermined", "list_missing")

OWNERS = [
    *(Wallet(kind, ("owner",)) for kind in SINGLE_KINDS),
    *(Wallet(kind, ("other", "owner")) for kind in SCRIPT_KINDS),
    *(Wallet(kind, ("b1", "b2", "b3"), 2) for kind in SCRIPT_KINDS),
]
each_owner = pytest.mark.parametrize("owner", OWNERS, ids=lambda w: f"{w.kind} {w.m}-of-{len(w.people)}")


@pytest.fixture
def made() -> MadeChain:
    """E1 to E3 are members, E4 and the thief aren't."""
    return organised()


def verdict_of(made: MadeChain, meter: str = METER) -> tuple[str, str | None]:
    """What is said of a meter where one confirmation is enough."""
    return said(made.judge(meter, min_confirmations=1))


def certified(made: MadeChain, who: str = "E1") -> tuple[str, str | None]:
    """Whether a certificate that somebody writes now, about a meter of its own, is trusted."""
    meter = f"NEW{len(made.raw)}"
    made.certify(who, meter=meter)
    return verdict_of(made, meter)


# ---- O1: the record


def test_O1_the_record_bears_the_organisation_s_exact_name() -> None:
    made = MadeChain()
    made.found("E1", org="Müller & Söhne")
    made.certify("E1", org="Müller & Söhne")
    assert verdict_of(made) == TRUSTED
    for other in ("Müller & Sohne", "müller & söhne", "Mu\u0308ller & So\u0308hne", "Müller & Söhne "):
        made.certify("E1", org=other)
        assert made.judge(min_confirmations=1).writes[-1].reason == "organization_not_accepted"


def test_O1_a_list_under_another_name_says_nothing(made: MadeChain) -> None:
    made.write("bp/Org", made.store(member_list("E4")), "owner", owner="owner")
    made.write("bp_organization/org", made.store(member_list("E4")), "owner", owner="owner")
    assert certified(made, "E4") == NOT_A_MEMBER


# ---- O2: acceptance


def test_O2_nothing_is_accepted_without_a_pin() -> None:
    made = MadeChain()
    made.found("E1", pin=False)
    made.certify("E1")
    verdict = made.judge(min_confirmations=1)
    assert said(verdict) == ("untrusted", "organization_not_accepted")
    assert (verdict.contested, verdict.foreign_writes, verdict.organizations) == (False, 1, ())


def test_O2_an_older_squatter_is_not_the_organisation() -> None:
    made = MadeChain()
    made.record(ORG, made.store(member_list("thief")), "thief", owner="thief")
    made.found("E1")
    made.record(ORG, made.store(member_list("thief")), "thief", owner="thief")
    assert certified(made, "E1") == TRUSTED
    assert certified(made, "thief") == NOT_A_MEMBER


def test_O2_a_write_before_the_root_is_foreign_even_the_owner_s() -> None:
    made = MadeChain()
    made.found("E4")
    early = made.certify("E4")
    root = made.publish(["E1"])
    made.pins[ORG] = [(root, None)]
    assert verdict_of(made) == NOT_A_MEMBER
    made.publish(["E1", "E4"])
    assert verdict_of(made) == NOT_A_MEMBER
    assert made.judge(min_confirmations=1).writes[0].txid == early


@pytest.mark.parametrize("root", ["00" * 32, "another organisation's", "a meter's"])
def test_O2_a_pinned_root_that_the_chain_lacks_leaves_everything_open(made: MadeChain, root: str) -> None:
    txid = made.certify("E1")
    other = made.found("E1", org="Other", pin=False)
    made.pins[ORG] = [({"another organisation's": other, "a meter's": txid}.get(root, root), None)]
    assert verdict_of(made) == ("undetermined", "transaction_missing")
    report = made.judge(min_confirmations=1).organizations[0]
    assert (report.state, report.root_height) == ("undetermined", None)


def test_O2_the_known_fingerprint() -> None:
    name, root = "Elektriker Müller & Söhne", "ab" * 32
    assert fingerprint(MAINNET, name, root) == "3dcg-n73q-fc4f-znmd"
    for other in (
        fingerprint(REGTEST, name, root),
        fingerprint(DEVNET, name, root),
        fingerprint(MAINNET, name + " ", root),
        fingerprint(MAINNET, name, "ac" * 32),
    ):
        assert other != "3dcg-n73q-fc4f-znmd"
    assert matching_root("3DCG n73qfc4f-znmd", MAINNET, name, ["ac" * 32, root]) == [root]
    assert matching_root("3dcg-n73q-fc4f-znme", MAINNET, name, [root]) == []
    for wrong in ("", "3dcg-n73q-fc4f", "3dcg-n73q-fc4f-znm1", "3dcg-n73q-fc4f-znmd-a"):
        with pytest.raises(BadData):
            matching_root(wrong, MAINNET, name, [root])


# ---- O2: segments


def robbed(*, reached: bool = True) -> tuple[MadeChain, list[str]]:
    """The owner's key is stolen after the second list; the txids of root, second list, theft and second root."""
    made = MadeChain()
    root = made.found("E1", "E2")
    last = made.publish(["E1", "E2", "E3"])
    theft = made.publish(["thief"], owner="thief")
    made.publish(["thief", "E4"], "thief", owner="thief")
    second = made.publish(["E1", "E4"], "new owner", owner="new owner") if reached else ""
    return made, [root, last, theft, second]


def test_segments_without_them_the_thief_owns_the_organisation() -> None:
    made, _ = robbed()
    assert certified(made, "thief") == TRUSTED
    assert certified(made, "E1") == NOT_A_MEMBER


def test_segments_an_end_keeps_the_list_before_the_theft_in_force() -> None:
    made, (root, last, *_) = robbed()
    made.pins[ORG] = [(root, last)]
    assert [certified(made, who) for who in ("E1", "E3", "E4", "thief")] == [
        TRUSTED,
        TRUSTED,
        *[NOT_A_MEMBER] * 2,
    ]
    made.publish(["thief"], "owner", owner="owner")
    assert certified(made, "thief") == NOT_A_MEMBER


def test_segments_an_organisation_is_followed_past_a_theft() -> None:
    made, (root, last, _, second) = robbed()
    made.pins[ORG] = [(root, last), (second, None)]
    assert [certified(made, who) for who in ("E1", "E4")] == [TRUSTED] * 2
    assert [certified(made, who) for who in ("E2", "E3", "thief")] == [NOT_A_MEMBER] * 3
    made.owners[ORG] = Wallet("p2wpkh", ("new owner",))
    made.publish(["E2"])
    made.publish(["thief"], "thief", owner="thief")
    made.publish(["thief"], "owner", owner="owner")
    assert [certified(made, who) for who in ("E2", "thief", "E1")] == [TRUSTED, NOT_A_MEMBER, NOT_A_MEMBER]


def test_segments_between_two_the_last_list_of_the_first_is_in_force() -> None:
    made, (root, last, *_) = robbed(reached=False)
    for number, who in enumerate(("E3", "thief", "E4"), 1):
        made.certify(who, meter=f"BETWEEN{number}")
    made.revoke("owner", meter="BETWEEN1")
    made.certify("E2", meter="BETWEEN4")
    made.revoke("thief", meter="BETWEEN4")
    second = made.publish(["E1"], "new owner", owner="new owner")
    made.pins[ORG] = [(root, last), (second, None)]
    assert verdict_of(made, "BETWEEN1") == REVOKED
    assert verdict_of(made, "BETWEEN2") == verdict_of(made, "BETWEEN3") == NOT_A_MEMBER
    assert verdict_of(made, "BETWEEN4") == TRUSTED


def test_segments_withdrawals_of_the_first_hold_in_the_second_and_back() -> None:
    made = MadeChain()
    root = made.found("E1", "E2")
    made.certify("E2")
    last = made.withdraw("E1")
    second = made.publish(["E1", "E2"], "new owner", owner="new owner")
    made.pins[ORG] = [(root, last), (second, None)]
    assert certified(made, "E1") == WITHDRAWN
    assert verdict_of(made) == TRUSTED
    made.publish({"E1": {}, "E2": {"revoked": {}}}, "new owner", owner="new owner")
    assert verdict_of(made) == WITHDRAWN


def test_segments_the_owner_of_the_second_is_not_that_of_the_first() -> None:
    made, (root, last, _, second) = robbed()
    made.pins[ORG] = [(root, last), (second, None)]
    made.certify("E1")
    made.revoke("owner")
    made.revoke("thief")
    assert verdict_of(made) == TRUSTED
    made.revoke("new owner")
    assert verdict_of(made) == REVOKED


def test_segments_a_root_can_be_its_own_end() -> None:
    made = MadeChain()
    root = made.found("E1")
    made.publish(["E2"])
    made.pins[ORG] = [(root, root)]
    assert (certified(made, "E1"), certified(made, "E2")) == (TRUSTED, NOT_A_MEMBER)


def test_segments_an_end_that_the_chain_lacks_leaves_everything_open(made: MadeChain) -> None:
    made.pins[ORG] = [(made.pins[ORG][0][0], "00" * 32)]
    assert certified(made, "E1") == ("undetermined", "transaction_missing")


# ---- O3: the timeline


@each_owner
def test_O3_every_type_of_owner_writes_transfers_and_revokes(owner: Wallet) -> None:
    made = organised("E1", owner=owner)
    made.publish(["E2"])
    assert certified(made, "E2") == TRUSTED
    made.publish(["E3"], owner="next")
    made.publish(["E4"], owner=owner)
    assert certified(made, "E4") == TRUSTED
    made.certify("E4")
    made.revoke(owner)
    assert verdict_of(made) == REVOKED


def test_O3_any_coin_of_the_owner_is_enough_after_overwrites_and_expiry(made: MadeChain) -> None:
    made.publish(["thief"], "thief", owner="thief")
    made.mine(100)  # a name lives 30 blocks on regtest
    made.publish(["thief"], "thief", owner="thief")
    assert certified(made, "E1") == TRUSTED
    made.publish(["E4"])
    assert (certified(made, "E4"), certified(made, "E1")) == (TRUSTED, NOT_A_MEMBER)


def test_O3_the_owner_may_sign_beside_others(made: MadeChain) -> None:
    made.publish(["E4"], ["thief", "E1", "owner", made.fund_anyone()], owner="owner")
    assert certified(made, "E4") == TRUSTED


def test_O3_ownership_moves_with_the_write(made: MadeChain) -> None:
    made.publish(["E1"], owner="next")
    made.publish(["thief"], "owner", owner="owner")
    assert certified(made, "thief") == NOT_A_MEMBER
    made.publish(["E4"])
    assert certified(made, "E4") == TRUSTED


def test_O3_to_spend_the_record_s_coin_is_not_needed_and_not_enough(made: MadeChain) -> None:
    """Once the thief wrote over the record its coin is his; the owner's is still the owner's."""
    stolen = made.publish(["thief"], "thief", owner="thief")
    made.publish(["thief"], made.coin(stolen), owner="thief")
    assert certified(made, "thief") == NOT_A_MEMBER


@pytest.mark.parametrize(
    "script",
    [b"", b"\x51", b"\x6a", b"\x51\x20" + bytes(32), b"\x61" + Wallet("p2wpkh", ("thief",)).script],
    ids=["nothing", "anyone's", "nobody's", "taproot", "a nop and an address"],
)
def test_O3_an_owner_script_of_no_usual_type_counts_and_the_owner_stays(
    made: MadeChain, script: bytes
) -> None:
    made.publish(["E4"], owner=script)
    assert certified(made, "E4") == TRUSTED
    made.publish(["E1"])
    assert (certified(made, "E1"), certified(made, "E4")) == (TRUSTED, NOT_A_MEMBER)


@pytest.mark.parametrize("sighash", [NONE, SINGLE, ALL_ANYONECANPAY], ids=hex)
def test_O3_only_sighash_all_writes(made: MadeChain, sighash: int) -> None:
    """Anyone may put another list under a signature that doesn't cover the outputs."""
    made.publish(["thief"], ["thief", Spend("owner", sighash=sighash)], owner="thief")
    assert certified(made, "thief") == NOT_A_MEMBER
    made.publish(["E4"])
    assert certified(made, "E4") == TRUSTED


@pytest.mark.parametrize("kind", ["p2pkh", "p2sh-p2wpkh", *SCRIPT_KINDS])
def test_O3_the_owner_s_key_in_another_script_is_not_the_owner(made: MadeChain, kind: str) -> None:
    made.publish(["E4"], Wallet(kind, ("owner",)), owner="owner")
    assert certified(made, "E4") == NOT_A_MEMBER


def test_O3_one_of_the_board_is_not_the_board() -> None:
    made = organised("E1", owner=Wallet("p2wsh", ("b1", "b2", "b3"), 2))
    for by in ("b1", Wallet("p2wsh", ("b1", "b2", "b3"), 1), Wallet("p2wsh", ("b1", "b2"), 2)):
        made.publish(["thief"], by, owner="thief")
    assert certified(made, "thief") == NOT_A_MEMBER


# ---- O4: what is foreign


def test_O4_a_stranger_s_writes_change_nothing(made: MadeChain) -> None:
    for value in (b"", b"no CID", made.store(member_list("thief")), made.store(b"")):
        made.record(ORG, value, "thief", owner="owner")
    assert (certified(made, "E1"), certified(made, "thief")) == (TRUSTED, NOT_A_MEMBER)


def test_O4_foreign_writes_are_counted_in_the_report(made: MadeChain) -> None:
    made.publish(["thief"], "thief")
    made.publish(["E1"])
    made.certify("E1")
    report = made.judge(min_confirmations=1).organizations[0]
    assert (report.timeline_writes, report.ignored) == (2, 1)


@pytest.mark.parametrize("form", ODD_FORMS)
def test_O4_odd_forms_are_no_writes_even_the_owner_s(made: MadeChain, form: str) -> None:
    made.record(ORG, made.store(member_list("thief")), "owner", owner="thief", form=ODD_FORMS[form])
    made.publish(["E1", "E4"])
    assert (certified(made, "thief"), certified(made, "E4")) == (NOT_A_MEMBER, TRUSTED)


@pytest.mark.parametrize("version", [0, 1, 2, 0x7101, 0x17100, 0xFFFF7100])
def test_O4_another_version_is_no_write(made: MadeChain, version: int) -> None:
    made.record(ORG, made.store(member_list("thief")), "owner", version=version)
    assert (certified(made, "thief"), certified(made, "E1")) == (NOT_A_MEMBER, TRUSTED)


def test_O4_a_coinbase_writes_nothing(made: MadeChain) -> None:
    made.record(ORG, made.store(member_list("thief")), (), owner="owner")
    assert (certified(made, "thief"), certified(made, "E1")) == (NOT_A_MEMBER, TRUSTED)


def test_O4_an_old_list_mined_again_does_not_come_back(made: MadeChain) -> None:
    old = made.publish(["E1", "thief"])
    made.publish(["E1"])
    made.replay(old)
    assert certified(made, "thief") == NOT_A_MEMBER


def test_O4_a_root_mined_again_does_not_give_the_record_back(made: MadeChain) -> None:
    made.publish(["E4"], owner="next")
    made.replay(made.pins[ORG][0][0])
    made.publish(["thief"], "owner", owner="owner")
    assert (certified(made, "E4"), certified(made, "thief")) == (TRUSTED, NOT_A_MEMBER)


def test_O4_a_list_that_waits_in_the_mempool_is_not_in_force(made: MadeChain) -> None:
    with made.mempool():
        made.withdraw("E1")
    made.certify("E1")
    assert verdict_of(made) == TRUSTED


# ---- O5: the list


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no CID",
        b"\xff",
        b"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk",
        b"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        b" bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        b"/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    ],
    ids=["empty", "text", "not ASCII", "cut", "dag-cbor", "space", "path"],
)
def test_O5_a_value_that_is_no_cid_of_a_list_is_an_empty_list_not_a_missing_one(
    made: MadeChain, value: bytes
) -> None:
    made.certify("E2")
    made.record(ORG, value, "owner", owner="owner")
    assert (certified(made, "E1"), verdict_of(made)) == (NOT_A_MEMBER, TRUSTED)


def with_block(made: MadeChain, cid: Cid, block: bytes) -> tuple[str, str | None]:
    evidence = made.evidence()
    changed = replace(evidence, content={**evidence.content, cid: block})
    return said(made.judge(evidence=changed, min_confirmations=1))


def test_O5_blocks_that_are_no_file_are_an_empty_list(made: MadeChain) -> None:
    directory = bytes.fromhex("0a020801")
    cid = cid_of(directory, DAG_PB)
    made.record(ORG, cid.text.encode(), "owner", owner="owner")
    made.certify("E1")
    assert verdict_of(made) == LIST_MISSING
    assert with_block(made, cid, directory) == NOT_A_MEMBER


def test_O5_bytes_that_can_t_be_had_are_missing(made: MadeChain) -> None:
    made.lose(made.publish(["E1"]))
    assert certified(made, "E1") == LIST_MISSING
    assert certified(made, "thief") == LIST_MISSING


def test_O5_a_block_with_other_bytes_than_its_cid_says_is_missing(made: MadeChain) -> None:
    txid = made.publish(["E1"])
    made.certify("E1")
    (cid,) = [
        Cid(0x55, sha256(d).digest()) for c, d in made.lists.items() if c.encode() in made.coin(txid).script
    ]
    made.lose(txid)
    assert with_block(made, cid, member_list("E1", "E2")) == LIST_MISSING
    assert with_block(made, cid, member_list("E1")) == TRUSTED


def test_O5_every_block_of_a_large_list_is_needed(made: MadeChain) -> None:
    made.publish(member_list("E1") + b" " * 600_000)
    made.certify("E1")
    assert verdict_of(made) == TRUSTED
    evidence = made.evidence()
    large = [cid for cid, block in evidence.content.items() if len(block) > 70_000 or cid.codec == DAG_PB]
    assert len(large) > 2
    for cid in large:
        content = {other: block for other, block in evidence.content.items() if other != cid}
        lost = replace(evidence, content=content)
        assert said(made.judge(evidence=lost, min_confirmations=1)) == LIST_MISSING


@pytest.mark.parametrize("version", [0, 1])
def test_O5_spellings_of_a_cid_that_are_read(made: MadeChain, version: int) -> None:
    data = member_list("E4")
    inner = b"\x08\x02\x12" + varint(len(data)) + data  # UnixFS: a file whose data is inline
    file = b"\x0a" + varint(len(inner)) + inner
    cid = cid_of(file, DAG_PB)
    spelled = {0: base58(b"\x12\x20" + cid.digest), 1: "f" + cid.binary.hex()}[version]
    made.record(ORG, spelled.encode(), "owner", owner="owner")
    made.certify("E4")
    assert with_block(made, cid, file) == TRUSTED


def base58(data: bytes) -> str:
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return text


#: Lists that were had and are invalid: empty ones. Each would name E1 if it were read less strictly.
A_LIST = member_list("E1")
INVALID = {
    "over 4 MiB": A_LIST + b" " * (4 * 1024 * 1024 - len(A_LIST) + 1),
    "over 20,000 members": member_list(*["E1"] * 20_001),
    "over 20,000 lines": (key_of("E1") + "\n").encode() * 20_001,
    "not UTF-8": A_LIST.replace(b'"format"', b'"x":"\xff","format"'),
    "a byte order mark": b"\xef\xbb\xbf" + A_LIST,
    "UTF-16": A_LIST.decode().encode("utf-16"),
    "cut": A_LIST[:-1],
    "something behind": A_LIST + b"x",
    "two objects": A_LIST + A_LIST,
    "an array": b"[" + A_LIST + b"]",
    "another format": A_LIST.replace(b"members/1", b"members/2"),
    "no format": A_LIST.replace(b'"format"', b'"Format"'),
    "members that are no array": A_LIST.replace(b"[", b"").replace(b"]", b""),
    "a key twice": A_LIST.replace(b'"format"', b'"format":"x","format"'),
    "a key twice within": A_LIST.replace(b'"key"', b'"key":1,"key"'),
    "NaN": A_LIST.replace(b'"format"', b'"x":NaN,"format"'),
    "Infinity": A_LIST.replace(b'"format"', b'"x":-Infinity,"format"'),
    "a lone surrogate": A_LIST.replace(b'"format"', b'"x":"\\ud800","format"'),
    "nested too deep": A_LIST.replace(b'"format"', b'"x":' + b"[" * 8 + b"]" * 8 + b',"format"'),
    "nested without end": A_LIST[:-1] + b',"x":' + b"[" * 100_000,
    "JSON with a text list behind": A_LIST + b"\n" + key_of("E1").encode(),
    "text with JSON behind": key_of("E1").encode() + b"\n" + A_LIST,
    "a line that is no key": key_of("E1").encode() + b"\n" + b"no key",
    "a key with a space": key_of("E1").encode() + b" ",
    "a key behind a vertical tab": b"#\x0b\n" + b"\x0b" + key_of("E1").encode(),
    "a carriage return alone": key_of("E1").encode() + b"\r" + key_of("E2").encode(),
    "white space that JSON has not": b"\x0b" + A_LIST,
}  # fmt: skip


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID.keys())
def test_O5_an_invalid_list_that_was_had_is_an_empty_one(made: MadeChain, data: bytes) -> None:
    made.certify("E1")
    made.publish(data)
    assert (certified(made, "E1"), verdict_of(made)) == (NOT_A_MEMBER, TRUSTED)


VALID = {
    "exactly 4 MiB": A_LIST + b" " * (4 * 1024 * 1024 - len(A_LIST)),
    "exactly 20,000 members": member_list(*["E1"] * 20_000),
    "white space around": b" \t\r\n" + A_LIST + b" \t\r\n",
    "unknown fields": A_LIST.replace(b'"format"', b'"new":{"a":[1,{"b":null}]},"format"'),
    "nested as deep as may be": A_LIST.replace(b'"format"', b'"x":' + b"[" * 7 + b"]" * 7 + b',"format"'),
    "an escaped key": A_LIST.replace(b'"key"', b'"\\u006bey"'),
    "a number that is huge": A_LIST.replace(b'"format"', b'"sequence":1' + b"0" * 5000 + b',"format"'),
    "upper case": A_LIST.replace(key_of("E1").encode(), key_of("E1").upper().encode()),
    "entries that are none": A_LIST.replace(b'"members": [', b'"members": [null,1,"x",[],{},{"key":"02"},'),
    "another organisation's": A_LIST.replace(b'"format"', b'"organization":"Else","previous":1,"format"'),
    "text": key_of("E1").encode(),
    "text with comments and CR LF": f"# members\r\n\r\n#{{\r\n{key_of('E1').upper()}\r\n".encode(),
    "text with a key off the curve": f"{'02' + 'ff' * 32}\n{key_of('E1')}\n{'05' + key_of('E2')[2:]}".encode(),
}


@pytest.mark.parametrize("data", VALID.values(), ids=VALID.keys())
def test_O5_a_valid_list_is_read(made: MadeChain, data: bytes) -> None:
    made.publish(data)
    assert (certified(made, "E1"), certified(made, "E2")) == (TRUSTED, NOT_A_MEMBER)


def test_O5_the_list_at_a_height_is_that_of_the_last_write_at_or_below_it(made: MadeChain) -> None:
    """Whole heights: also of a list behind the certificate in the same block."""
    with made.block():
        made.certify("E4", meter="FIRST")
        made.certify("E1", meter="SECOND")
        made.publish(["thief"])
        made.publish(["E4"])
    assert verdict_of(made, "FIRST") == TRUSTED
    assert verdict_of(made, "SECOND") == NOT_A_MEMBER
    assert certified(made, "thief") == NOT_A_MEMBER


# ---- M1: members


def test_M1_a_key_is_a_member_while_the_list_in_force_has_it(made: MadeChain) -> None:
    made.certify("E4", meter="EARLY")
    made.publish(["E4"])
    made.certify("E4", meter="THEN")
    made.publish(["E1"])
    made.certify("E4", meter="LATE")
    assert verdict_of(made, "EARLY") == NOT_A_MEMBER
    assert verdict_of(made, "THEN") == TRUSTED
    assert verdict_of(made, "LATE") == NOT_A_MEMBER


def test_M1_before_the_root_nobody_is_a_member() -> None:
    made = MadeChain()
    made.certify("E1")
    made.found("E1")
    assert verdict_of(made) == NOT_A_MEMBER


def test_M1_the_members_of_one_organisation_are_not_those_of_another(made: MadeChain) -> None:
    made.found("E4", org="Other")
    made.certify("E4")
    assert verdict_of(made) == NOT_A_MEMBER
    made.certify("E4", org="Other")
    assert verdict_of(made) == TRUSTED


# ---- M2: withdrawal


def test_M2_a_key_is_withdrawn_from_its_height_on(made: MadeChain) -> None:
    heights = {}
    for meter in ("BEFORE", "AT", "AFTER"):
        made.certify("E1", meter=meter)
        heights[meter] = made.height
    made.withdraw("E1", height=heights["AT"])
    assert verdict_of(made, "BEFORE") == TRUSTED
    assert verdict_of(made, "AT") == verdict_of(made, "AFTER") == WITHDRAWN
    assert certified(made, "E1") == WITHDRAWN
    assert certified(made, "E2") == TRUSTED


def test_M2_a_height_to_come_withdraws_then(made: MadeChain) -> None:
    made.withdraw("E1", height=made.height + 3)
    assert [certified(made, "E1") for _ in range(2)] == [TRUSTED, WITHDRAWN]


@pytest.mark.parametrize("height", [None, True, False, 1.0, 9e9, -1, "999", [], {}], ids=repr)
def test_M2_a_height_that_is_none_is_0(made: MadeChain, height: Any) -> None:
    made.certify("E1")
    made.withdraw("E1", height=height)
    assert verdict_of(made) == WITHDRAWN


@pytest.mark.parametrize("revoked", [{}, [], "", "no", 0, 1, False, True, {"reason": "error"}], ids=repr)
def test_M2_revoked_withdraws_whatever_its_form(made: MadeChain, revoked: Any) -> None:
    made.certify("E1")
    made.publish({"E1": {"revoked": revoked}, "E2": {}})
    assert verdict_of(made) == WITHDRAWN


def test_M2_null_does_not_withdraw(made: MadeChain) -> None:
    made.publish({"E1": {"revoked": None}})
    assert certified(made, "E1") == TRUSTED


@pytest.mark.parametrize("later", [False, True])
def test_M2_an_earlier_list_withdraws_as_a_later_one_does(made: MadeChain, later: bool) -> None:
    if later:
        made.certify("E1")
    made.withdraw("E1")
    made.publish(["E1", "E2"])
    if not later:
        made.certify("E1")
    assert verdict_of(made) == WITHDRAWN


LIFTING: dict[str, Callable[[MadeChain], object]] = {
    "the entry left out": lambda made: made.publish(["E1", "E2"]),
    "the key left out, and listed again": lambda made: (made.publish(["E2"]), made.publish(["E1"])),
    "a text list": lambda made: made.publish(key_of("E1").encode()),
    "an invalid list": lambda made: (made.publish(b"{"), made.publish(["E1"])),
    "a higher height": lambda made: (made.withdraw("E1", height=10_000), made.publish(["E1"])),
    "null": lambda made: made.publish({"E1": {"revoked": None}}),
    "reinstated, not true": lambda made: made.publish({"E1": {"reinstated": 1}}),
    "reinstated in words": lambda made: made.publish({"E1": {"reinstated": "true"}}),
    "reinstated beside revoked": lambda made: made.publish({"E1": {"reinstated": True, "revoked": {}}}),
    "another key reinstated": lambda made: made.publish({"E1": {}, "E2": {"reinstated": True}}),
    "a stranger's list": lambda made: (
        made.publish({"E1": {"reinstated": True}}, "thief"), made.publish(["E1"])
    ),
}  # fmt: skip


@pytest.mark.parametrize("lift", LIFTING.values(), ids=LIFTING.keys())
def test_M2_nothing_but_reinstated_lifts_a_withdrawal(
    made: MadeChain, lift: Callable[[MadeChain], object]
) -> None:
    made.certify("E1")
    made.withdraw("E1")
    lift(made)
    assert (verdict_of(made), certified(made, "E1")) == (WITHDRAWN, WITHDRAWN)


def test_M2_reinstated_lifts_for_all_heights_and_a_later_list_may_withdraw_anew(made: MadeChain) -> None:
    made.certify("E1")
    made.withdraw("E1")
    during = made.height
    made.certify("E1", meter="DURING")
    made.reinstate("E1")
    assert verdict_of(made) == verdict_of(made, "DURING") == certified(made, "E1") == TRUSTED
    made.publish(["E1"])
    assert verdict_of(made) == TRUSTED
    made.withdraw("E1", height=during)
    assert (verdict_of(made), verdict_of(made, "DURING")) == (TRUSTED, WITHDRAWN)


def test_M2_reinstated_in_an_earlier_list_prevents_nothing(made: MadeChain) -> None:
    made.reinstate("E1")
    made.withdraw("E1")
    assert certified(made, "E1") == WITHDRAWN


def test_M2_a_reinstated_key_that_is_in_no_list_is_no_member(made: MadeChain) -> None:
    made.withdraw("E1")
    made.reinstate("E1")
    made.publish(["E2"])
    assert certified(made, "E1") == NOT_A_MEMBER


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("second", [{}, {"reinstated": True}, {"revoked": {"height": 10_000}}])
def test_M2_of_a_key_listed_twice_a_revoked_entry_holds(
    made: MadeChain, order: tuple[int, int], second: dict[str, Any]
) -> None:
    entries = [{"key": key_of("E1"), "revoked": {"height": 0}}, {"key": key_of("E1").upper(), **second}]
    listed = {"format": "doitrust-members/1", "members": [entries[number] for number in order]}
    made.publish(json.dumps(listed).encode())
    assert certified(made, "E1") == WITHDRAWN


def test_M2_merely_leaving_withdraws_nothing_from_the_past(made: MadeChain) -> None:
    made.certify("E1")
    made.drop("E1")
    assert (verdict_of(made), certified(made, "E1")) == (TRUSTED, NOT_A_MEMBER)


def test_M2_only_this_organisation_s_certificates_are_withdrawn(made: MadeChain) -> None:
    made.found("E1", org="Other")
    made.certify("E1", org="Other")
    made.withdraw("E1")
    assert verdict_of(made) == TRUSTED


# ---- a list that can't be had


def lose_a_list(made: MadeChain) -> None:
    """Publish a list that nobody has any more; who is in it is not known."""
    made.lose(made.publish(["somebody"]))


def test_M2_a_missing_list_may_withdraw_any_member(made: MadeChain) -> None:
    made.certify("E1")
    lose_a_list(made)
    assert verdict_of(made) == LIST_MISSING
    made.publish(["E1"])
    assert verdict_of(made) == certified(made, "E1") == LIST_MISSING
    assert certified(made, "thief") == NOT_A_MEMBER


def test_M2_a_missing_list_may_have_reinstated(made: MadeChain) -> None:
    made.certify("E1")
    made.withdraw("E1")
    assert verdict_of(made) == WITHDRAWN
    lose_a_list(made)
    assert verdict_of(made) == LIST_MISSING


def test_M2_what_a_missing_list_can_t_change_is_decided(made: MadeChain) -> None:
    for who in ("E1", "E2", "E3", "E4"):
        made.certify(who, meter=f"OF{who}")
    lose_a_list(made)
    made.publish({"E1": {"reinstated": True}, "E2": {"revoked": {}}, "E3": {}, "E4": {}})
    assert verdict_of(made, "OFE1") == TRUSTED
    assert verdict_of(made, "OFE2") == WITHDRAWN
    assert verdict_of(made, "OFE3") == LIST_MISSING
    assert verdict_of(made, "OFE4") == NOT_A_MEMBER


def test_M2_a_missing_list_of_one_organisation_leaves_others_alone(made: MadeChain) -> None:
    made.found("E4", org="Other")
    made.certify("E4", org="Other")
    lose_a_list(made)
    assert verdict_of(made) == TRUSTED


def test_M2_a_missing_list_of_a_stranger_changes_nothing(made: MadeChain) -> None:
    made.lose(made.publish(["thief"], "thief"))
    assert certified(made, "E1") == TRUSTED
