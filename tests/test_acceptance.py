"""Ownership acceptances: only who owns the address hands them out, m of n, for one organisation on one network."""

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations
from typing import Any

import pytest
from devnet_world import Key
from hypothesis import given
from hypothesis import strategies as st
from support import attempt, damaged, refusal

from doitrust.chain.address import address_of, hash160
from doitrust.chain.descriptors import Descriptor
from doitrust.chain.messages import encode_signature, message_digest, sign_message
from doitrust.chain.networks import DEVNET, MAINNET, REGTEST, TESTNET, Network
from doitrust.chain.scripts import p2pkh, p2sh, p2wpkh
from doitrust.errors import BadData, DoitrustError, Refused
from doitrust.orgs.acceptance import (
    FORMAT,
    MAX_BYTES,
    Acceptance,
    acceptance_text,
    check_acceptances,
    read_acceptance,
    write_acceptance,
)

ORG = "Elektro Müller & Söhne"
NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
OWNER, OTHER = Key.named("owner"), Key.named("other")
BOARD = tuple(Key.named(f"board {n}") for n in range(3))


def single(key: Key = OWNER, network: Network = DEVNET) -> str:
    return address_of(p2wpkh(hash160(key.public)), network) or ""


def board(form: str = "wsh({})", m: int = 2) -> Descriptor:
    inner = f"sortedmulti({m},{','.join(key.public.hex() for key in BOARD)})"
    return Descriptor.parse(form.format(inner), DEVNET)


def accepted(
    *signers: Key,
    address: str = "",
    descriptor: Descriptor | None = None,
    network: Network = DEVNET,
    org: str = ORG,
    **changes: Any,
) -> Acceptance:
    where = address or (single() if descriptor is None else descriptor.address())
    text = acceptance_text(network, org, where, NOW)
    signatures = {key.public: sign_message(key.secret, text) for key in signers}
    made = Acceptance(text, None if descriptor is None else str(descriptor), signatures)
    return made._replace(**changes)


def missing(*acceptances: Acceptance, address: str = "", network: Network = DEVNET, org: str = ORG) -> str:
    with pytest.raises(Refused) as caught:
        check_acceptances(acceptances, network, org, address or single())
    assert caught.value.code == "acceptance_missing"
    return caught.value.message


# ---- the form


def test_the_text_and_the_file_are_as_the_formats_say() -> None:
    acceptance = accepted(OWNER)
    text = f"doitrust ownership/1\ndevnet\n{ORG}\n{single()}\n2026-11-21T10:00:00Z"
    assert acceptance.text == text
    document = json.loads(write_acceptance(acceptance))
    assert document == {
        "format": "doitrust-ownership/1",
        "text": text,
        "descriptor": None,
        "signatures": {OWNER.public.hex(): sign_message(OWNER.secret, text)},
    }


def test_times_are_told_in_utc() -> None:
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    assert acceptance_text(DEVNET, ORG, single(), berlin).endswith("\n2026-11-21T10:00:00Z")


def test_what_is_written_is_read() -> None:
    for acceptance in (accepted(OWNER), accepted(*BOARD, descriptor=board()), accepted()):
        assert read_acceptance(write_acceptance(acceptance)) == acceptance


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "doitrust-ownership/2"},
        {"format": None},
        {"text": None},
        {"text": ["a"]},
        {"descriptor": 1},
        {"signatures": None},
        {"signatures": []},
        {"signatures": {"02": "x"}},
        {"signatures": {OWNER.public.hex().upper(): "x"}},
        {"signatures": {OWNER.public.hex(): 1}},
        {"signatures": {OWNER.public.hex(): None}},
        {"signatures": {OWNER.public.hex() + "\n": "x"}},
    ],
)
def test_what_is_no_acceptance_is_refused(changes: dict[str, Any]) -> None:
    document = {**json.loads(write_acceptance(accepted(OWNER))), **changes}
    refusal(read_acceptance, json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xef\xbb\xbf{}",
        b'{"format":"doitrust-ownership/1","format":"doitrust-ownership/1"}',
        b" " * (MAX_BYTES + 1),
        b"[" * 100,
    ],
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    refusal(read_acceptance, data)


# ---- one key


def test_the_key_of_the_address_accepts() -> None:
    digest = hash160(OWNER.public)
    for script in (p2wpkh(digest), p2pkh(digest), p2sh(hash160(p2wpkh(digest)))):
        address = address_of(script, DEVNET) or ""
        check_acceptances([accepted(OWNER, address=address)], DEVNET, ORG, address)


def test_its_descriptor_may_be_named() -> None:
    descriptor = Descriptor.parse(f"wpkh({OWNER.public.hex()})", DEVNET)
    check_acceptances([accepted(OWNER, descriptor=descriptor)], DEVNET, ORG, single())


def test_nobody_accepts_nothing() -> None:
    assert missing().startswith("0 of the 1 signatures")
    missing(accepted())


def test_anybody_elses_signature_is_none() -> None:
    missing(accepted(OTHER))
    assert missing(accepted(OTHER, signatures={OWNER.public: sign_message(OTHER.secret, accepted().text)}))
    missing(accepted(OTHER, descriptor=None, address=single()))


def test_a_signature_under_another_key_is_none() -> None:
    (signature,) = accepted(OWNER).signatures.values()
    missing(accepted(signatures={OTHER.public: signature}))


def test_it_is_for_one_organisation_network_and_address() -> None:
    missing(accepted(OWNER, org="Andere"))
    missing(accepted(OWNER, org=ORG + " "))
    missing(accepted(OWNER, network=REGTEST))  # the same addresses, another chain
    missing(accepted(OWNER), network=REGTEST)
    missing(accepted(OWNER, network=TESTNET))
    missing(accepted(OWNER, address=single(OTHER)))
    missing(accepted(OWNER), address=single(OTHER))
    missing(accepted(OWNER, network=MAINNET, address=single(network=MAINNET)))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text + "\nand more",
        lambda text: text.rpartition("\n")[0],
        lambda text: text.replace("ownership/1", "ownership/2"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: " " + text,
        lambda _text: "",
    ],
)
def test_another_text_is_no_acceptance_however_well_signed(change: Any) -> None:
    text = change(accepted().text)
    signed = {OWNER.public: sign_message(OWNER.secret, text)}
    missing(Acceptance(text, None, signed))


def test_a_signature_of_another_time_is_none() -> None:
    other = accepted(OWNER).text.replace("10:00:00", "10:00:01")
    missing(accepted(OWNER)._replace(text=other))


# ---- m of n


@pytest.mark.parametrize("form", ["wsh({})", "sh(wsh({}))", "sh({})"])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_m_of_n_in_one_file_or_in_several(form: str, m: int) -> None:
    descriptor = board(form, m)
    where = descriptor.address()
    for count in range(4):
        for signers in combinations(BOARD, count):
            together = [accepted(*signers, descriptor=descriptor)]
            apart = [accepted(key, descriptor=descriptor) for key in signers]
            for acceptances in (together, apart) if apart else (together,):
                if count >= m:
                    check_acceptances(acceptances, DEVNET, ORG, where)
                else:
                    assert missing(*acceptances, address=where).startswith(f"{count} of the {m}")


def test_one_signer_twice_is_one() -> None:
    descriptor = board()
    one = accepted(BOARD[0], descriptor=descriptor)
    later = acceptance_text(DEVNET, ORG, descriptor.address(), NOW + timedelta(days=1))
    again = Acceptance(later, str(descriptor), {BOARD[0].public: sign_message(BOARD[0].secret, later)})
    missing(one, one, again, address=descriptor.address())


def test_a_stranger_makes_no_second_signature() -> None:
    descriptor = board()
    missing(accepted(BOARD[0], OTHER, descriptor=descriptor), address=descriptor.address())


@pytest.mark.parametrize("first", [True, False])
def test_a_file_without_the_descriptor_does_not_make_one_signature_enough(first: bool) -> None:
    descriptor = board()
    where = descriptor.address()
    one = accepted(BOARD[0], descriptor=descriptor)
    bare = accepted(address=where)
    for more in (bare, accepted(BOARD[1], address=where), accepted(OTHER, address=where)):
        files = (more, one) if first else (one, more)
        assert missing(*files, address=where).startswith("1 of the 2")


def test_a_descriptor_that_does_not_give_the_address_is_refused() -> None:
    weaker = board(m=1)
    where = board().address()
    assert "does not give" in missing(accepted(BOARD[0], descriptor=weaker, address=where), address=where)
    of_one = Descriptor.parse(f"wpkh({BOARD[0].public.hex()})", DEVNET)
    assert "does not give" in missing(accepted(BOARD[0], descriptor=of_one, address=where), address=where)
    only = Descriptor.parse(f"addr({where})", DEVNET)
    assert "does not give" in missing(accepted(BOARD[0], descriptor=only, address=where), address=where)


def test_a_multisigs_address_without_its_descriptor_is_nobodys() -> None:
    where = board().address()
    missing(accepted(*BOARD, address=where), address=where)


@pytest.mark.parametrize("text", ["", "nonsense", "wsh(sortedmulti(1,02))", "wsh(" * 400, "pk(xprv)"])
def test_a_descriptor_that_is_none_is_refused_in_one_line(text: str) -> None:
    acceptance = accepted(OWNER)._replace(descriptor=text)
    refusal(check_acceptances, [acceptance], DEVNET, ORG, single(), kind=BadData)


# ---- any damage

WHOLE = write_acceptance(accepted(OWNER))
HALF = write_acceptance(accepted(BOARD[0], BOARD[1], descriptor=board()))


def stands(data: bytes, address: str) -> bool:
    """Whether a file is still an acceptance; anything but a refusal is a failure."""
    acceptance = attempt(read_acceptance, data)
    if acceptance is None:
        return False

    def check() -> bool:
        check_acceptances([acceptance], DEVNET, ORG, address)
        return True

    return attempt(check, kind=DoitrustError) is True


def same(one: bytes, other: bytes) -> bool:
    """Whether it says the same: white space and unknown fields aside."""
    try:
        return read_acceptance(one) == read_acceptance(other)
    except BadData:
        return False


@pytest.mark.parametrize("bit", range(8))
def test_each_flipped_bit_of_a_file_is_seen_or_makes_no_difference(bit: int) -> None:
    assert stands(WHOLE, single())
    for at in range(len(WHOLE)):
        data = bytearray(WHOLE)
        data[at] ^= 1 << bit
        if stands(bytes(data), single()):
            assert same(bytes(data), WHOLE), (at, bytes(data))


@given(damaged(HALF))
def test_whatever_happens_to_a_boards_file(data: bytes) -> None:
    where = board().address()
    if stands(data, where):
        found, whole = read_acceptance(data), read_acceptance(HALF)
        assert found.text == whole.text
        assert found.signatures.items() <= whole.signatures.items()


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_anything_at_all_is_no_acceptance(data: bytes) -> None:
    assert not stands(data, single())


# ---- signatures made elsewhere


def test_a_signature_made_by_a_device_is_the_same_as_ours() -> None:
    text = accepted().text
    der = OWNER.sign(message_digest(text))[:-1]
    assert encode_signature(OWNER.public, der, text) == sign_message(OWNER.secret, text)


@pytest.mark.parametrize("der", [b"", b"\x30", bytes(70), OTHER.sign(message_digest("x"))[:-1]])
def test_a_devices_signature_that_is_not_the_keys_is_refused(der: bytes) -> None:
    refusal(encode_signature, OWNER.public, der, "x")


def test_the_format_is_named() -> None:
    assert FORMAT == "doitrust-ownership/1"
