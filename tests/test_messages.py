"""Signed messages: made and checked as a node does it, held against embit and an implementation of the test's own."""

import hashlib
import random
from base64 import b64decode, b64encode

import pytest
from btclib.hashes import hash256
from coincurve import PrivateKey
from embit import ec  # type: ignore[import-untyped]
from embit.util import secp256k1  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from doitrust.chain.messages import public_key, sign_message, verify_message

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
PRIME = 2**256 - 2**32 - 977
SECRET = hashlib.sha256(b"a node").digest()
KEY = public_key(SECRET)
TEXT = "Zähler 1EMH0012345678\nabgelesen"

Point = tuple[int, int] | None


# ---- the curve once more, as simple as it can be written


def add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % PRIME == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, PRIME)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, PRIME)
    x = (slope * slope - a[0] - b[0]) % PRIME
    return x, (slope * (a[0] - x) - a[1]) % PRIME


def times(number: int, point: Point) -> Point:
    total: Point = None
    for bit in f"{number % ORDER:b}":
        total = add(total, total)
        total = add(total, point) if bit == "1" else total
    return total


def lift(x: int, odd: int) -> Point:
    square = (pow(x, 3, PRIME) + 7) % PRIME
    y = pow(square, (PRIME + 1) // 4, PRIME)
    assert y * y % PRIME == square
    return x, y if y % 2 == odd else PRIME - y


GENERATOR = lift(0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798, 0)


def sized(data: bytes) -> bytes:
    """Bitcoin's compact size before the bytes, for up to 64 KiB."""
    size = len(data)
    return (bytes([size]) if size < 253 else b"\xfd" + bytes([size & 255, size >> 8])) + data


def digest(text: str) -> bytes:
    return hash256(sized(b"Doichain Signed Message:\n") + sized(text.encode()))


def recovered(signature: str, text: str) -> bytes:
    """What `verifymessage` does: the compressed key that a signature names (SEC 1, 4.1.6)."""
    raw = b64decode(signature)
    assert len(raw) == 65
    which = raw[0] - 27
    assert which & 4
    r, s = (int.from_bytes(raw[at : at + 32], "big") for at in (1, 33))
    point = lift(r + (ORDER if which & 2 else 0), which & 1)
    inverse = pow(r, -1, ORDER)
    message = int.from_bytes(digest(text), "big")
    found = add(times(s * inverse, point), times(-message * inverse, GENERATOR))
    assert found is not None
    return bytes([2 + found[1] % 2]) + found[0].to_bytes(32, "big")


# ---- signing


@pytest.mark.parametrize("size", [0, 1, 252, 253, 254, 1000, 65_535])
def test_a_node_recovers_the_key(size: int) -> None:
    text = "ä" * (size // 2) + "x" * (size % 2)
    assert len(text.encode()) == size
    signature = sign_message(SECRET, text)
    assert recovered(signature, text) == KEY
    assert verify_message(KEY, signature, text)


def test_longer_texts_than_any_of_ours() -> None:
    text = "x" * 70_000
    signature = sign_message(SECRET, text)
    assert verify_message(KEY, signature, text)
    hashed = hash256(
        sized(b"Doichain Signed Message:\n") + b"\xfe" + (70_000).to_bytes(4, "little") + text.encode()
    )
    assert b64decode(signature)[1:] == PrivateKey(SECRET).sign_recoverable(hashed, hasher=None)[:64]


@given(st.binary(min_size=32, max_size=32).filter(lambda b: 0 < int.from_bytes(b, "big") < ORDER), st.text())
def test_each_key_and_text(secret: bytes, text: str) -> None:
    signature = sign_message(bytearray(secret), text)
    assert signature == sign_message(secret, text)
    assert verify_message(public_key(secret), signature, text)
    assert not verify_message(public_key(secret), signature, text + " ")
    assert not verify_message(KEY, signature, text) or secret == SECRET


def test_both_kinds_of_point_come_up_and_are_those_of_embit() -> None:
    heads = set()
    for number in range(20):
        secret = hashlib.sha256(bytes([number])).digest()
        raw = b64decode(sign_message(secret, TEXT))
        heads.add(raw[0])
        public = ec.PrivateKey(secret).get_public_key()
        assert public.sec() == public_key(secret)
        signature = secp256k1.ecdsa_signature_parse_compact(raw[1:])
        assert secp256k1.ecdsa_verify(signature, digest(TEXT), public._point)
        assert recovered(b64encode(raw).decode(), TEXT) == public.sec()
    assert heads == {31, 32}


def test_what_is_no_private_key_is_a_bug_and_is_not_repeated() -> None:
    for secret in (b"", b"\x11" * 31, b"\x11" * 33, bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32):
        for call in (lambda: sign_message(secret, ""), lambda: public_key(secret)):  # noqa: B023
            with pytest.raises(ValueError, match=r"^a private key has 32 bytes") as caught:
                call()
            assert caught.value.__cause__ is None
            assert str(int.from_bytes(secret, "big")) not in str(caught.value).replace("32", "")


# ---- checking


def test_a_high_s_counts_as_for_a_node() -> None:
    raw = b64decode(sign_message(SECRET, TEXT))
    high = ORDER - int.from_bytes(raw[33:], "big")
    other = b64encode(bytes([31 + (raw[0] - 31 ^ 1)]) + raw[1:33] + high.to_bytes(32, "big")).decode()
    assert recovered(other, TEXT) == KEY
    assert verify_message(KEY, other, TEXT)


def test_any_other_form_is_refused() -> None:
    good = sign_message(SECRET, TEXT)
    raw = b64decode(good)
    bad = [
        "",
        "=",
        good[:-1],
        good + "=",
        good + "\n",
        " " + good,
        good[:40] + "\n" + good[40:],
        good.replace("=", ""),
    ]
    bad += [
        good + good,
        good[:-2] + "é=",
        "\ud800" + good[1:],
        good[:-4] + "\0" + good[-3:],
        "A" * 88,
        "/" * 88,
    ]
    bad += [b64encode(raw[:-1]).decode(), b64encode(raw + b"\0").decode(), raw.hex()]
    bad += [b64encode(bytes([head]) + raw[1:]).decode() for head in range(256) if head != raw[0]]
    bad += [good.translate(str.maketrans("+/", "-_"))] if set(good) & set("+/") else []
    # The last character holds two bits that mean nothing: only one of four is canonical.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    place = alphabet.index(good[-2])
    bad += [good[:-2] + alphabet[place ^ low] + "=" for low in (1, 2, 3)]
    for signature in bad:
        assert not verify_message(KEY, signature, TEXT), signature


def test_numbers_that_no_signature_has_are_refused() -> None:
    raw = b64decode(sign_message(SECRET, TEXT))
    zero, order, most = bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32
    for head in range(31, 35):
        for r in (zero, order, most, raw[1:33], (1).to_bytes(32, "big"), (5).to_bytes(32, "big")):
            for s in (zero, order, most):
                assert not verify_message(KEY, b64encode(bytes([head]) + r + s).decode(), TEXT)


def test_another_key_text_or_kind_of_key_is_refused() -> None:
    good = sign_message(SECRET, TEXT)
    whole = PrivateKey(SECRET).public_key.format(compressed=False)
    for key in (
        b"",
        KEY[1:],
        KEY + b"\0",
        bytes([KEY[0] ^ 1]) + KEY[1:],
        whole,
        b"\0" * 33,
        b"\2" + b"\xff" * 32,
    ):
        assert not verify_message(key, good, TEXT)
    assert not verify_message(KEY, good, TEXT.replace("\n", "\r\n"))
    assert not verify_message(KEY, good, TEXT + "\ud800")
    assert not verify_message(KEY, good, "")


def test_any_bit_flipped_is_refused() -> None:
    raw = b64decode(sign_message(SECRET, TEXT))
    bits = random.Random(1).sample(range(65 * 8), 150)
    for bit in bits:
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        assert not verify_message(KEY, b64encode(flipped).decode(), TEXT)
