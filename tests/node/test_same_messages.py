"""What a key signs, Doichain Core verifies, for the key's P2PKH address; and the other way round."""

from pathlib import Path

from btclib import base58
from core_node import core, needs_core
from devnet_world import ALICE, BOB

from doitrust.chain.address import address_of
from doitrust.chain.messages import sign_message, verify_message
from doitrust.chain.networks import DEVNET

pytestmark = needs_core

TEXTS = (
    "",
    "a",
    "ü„süß“ 🔒",
    "x" * 252,
    "x" * 253,
    "x" * 70_000,
    "two\nlines\r\n\tand a tab",
    '{"meter":"1EMH0012345678"}',
)


def test_signed_messages(tmp_path: Path) -> None:
    count = 0
    with core(tmp_path / "core", now=1_800_000_000) as node:
        for key in (ALICE, BOB):
            address, other = (address_of(k.p2pkh, DEVNET) for k in (key, BOB if key == ALICE else ALICE))
            for text in TEXTS:
                signature = sign_message(key.secret, text)
                assert node("verifymessage", address, signature, text) is True
                assert node("verifymessage", address, signature, text + " ") is False
                assert node("verifymessage", other, signature, text) is False
                count += 3
            wif = _wif(key.secret)
            for text in TEXTS:
                made = node("signmessagewithprivkey", wif, text)
                assert verify_message(key.public, made, text)
                count += 1
    print(f"compared: {count} messages")  # noqa: T201  # for whoever looks with -s


def _wif(secret: bytes) -> str:
    """A private key as the node reads it."""
    return base58.encode(bytes([239]) + secret + b"\x01").decode()
