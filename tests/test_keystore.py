"""The keystore: published vectors, files that were damaged, edited or made to harm, and several processes."""

import errno
import hashlib
import hmac
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from coincurve.ecdsa import der_to_cdata, signature_normalize
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from devnet_world import ROOT, recorded_json
from hypothesis import given
from hypothesis import strategies as st
from support import refusal

from doitrust.adapters import keyfile, keystore, phrases
from doitrust.adapters.keyfile import Kdf, read, unseal
from doitrust.adapters.keystore import COIN_TYPES, Keystore, UnlockedKey, check_name
from doitrust.adapters.secret import Secret
from doitrust.chain.accounts import Account, account_path, coin_type_of, key_path, of_network, print_path
from doitrust.chain.address import address_of, hash160
from doitrust.chain.bip32 import HARDENED, parse_steps
from doitrust.chain.keys import verify_signature
from doitrust.chain.networks import DEVNET, MAINNET, NETWORKS, REGTEST, TESTNET
from doitrust.chain.scripts import p2wpkh
from doitrust.chain.signing import sign_digest
from doitrust.errors import BadData, DoitrustError, Refused, Unavailable, Usage

#: scrypt in no time; only the constructor can ask for it.
WEAK = Kdf(16, 1, 1)
ABOUT = "abandon " * 11 + "about"
PHRASE = (
    "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel "
    + ("tennis maple dilemma loan word shrug inflict delay length")
)
PASSPHRASE = b"Zw\xc3\xb6lf Boxk\xc3\xa4mpfer"


def secret(data: bytes = PASSPHRASE) -> Secret:
    """A passphrase; each call makes its own, since whoever takes one wipes it."""
    return Secret(data)


def entropy(phrase: str = PHRASE) -> Secret:
    return phrases.entropy_of(Secret(phrase.encode()))


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys", kdf=WEAK)


@pytest.fixture
def alice(store: Keystore, tmp_path: Path) -> Path:
    """The file of a key called alice, in the store."""
    store.add("alice", entropy(), secret())
    return tmp_path / "keys" / "alice.json"


def seed_of(phrase: str) -> Secret:
    return phrases.seed_of(entropy(phrase))


def steps(path: str) -> tuple[int, ...]:
    return parse_steps([step for step in path.split("/")[1:] if step])


# ---- published vectors

#: BIP 39's test vectors (github.com/trezor/python-mnemonic, vectors.json): entropy and words.
BIP39 = [
    ("00" * 16, ABOUT),
    ("7f" * 16, "legal winner thank year wave sausage worth useful legal winner thank yellow"),
    ("80" * 16, "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"),
    ("ff" * 16, "zoo " * 11 + "wrong"),
    ("00" * 24, "abandon " * 17 + "agent"),
    (
        "7f" * 24,
        "legal winner thank year wave sausage worth useful " * 2 + "legal will",
    ),
    ("ff" * 24, "zoo " * 17 + "when"),
    ("00" * 32, "abandon " * 23 + "art"),
    (
        "7f" * 32,
        "legal winner thank year wave sausage worth useful " * 2
        + "legal winner thank year wave sausage worth title",
    ),
    ("ff" * 32, "zoo " * 23 + "vote"),
    (
        "0ce452419635c1a5faf44d60f2029f73fdc43419b4de1f03",
        "artefact card motor cluster foster spray type meadow genius mosquito pond tree sword borrow grocery "
        "orange business burger",
    ),
    (
        "3edc83b60740d77af3afa2fcb82c2f1bc541ee4e2518ddef4996d32453f54a3c",
        "disagree tomato unique attend aspect runway solid violin witness scrap armed daring favorite warm "
        "decade perfect target kid grant play early wide cigar night",
    ),
]


@pytest.mark.parametrize(("made_from", "phrase"), BIP39)
def test_phrases_are_those_of_bip_39(made_from: str, phrase: str) -> None:
    assert entropy(phrase).data.hex() == made_from
    assert " ".join(phrases.phrase_of(Secret(bytes.fromhex(made_from)))) == phrase.strip()


def test_the_seed_is_that_of_bip_39_without_a_passphrase() -> None:
    for _, phrase in BIP39[:4]:
        plain = hashlib.pbkdf2_hmac("sha512", phrase.encode(), b"mnemonic", 2048)
        assert seed_of(phrase).data == plain


#: BIP 32's test vectors 1 to 4: seed, and the extended public key at a path. 3 and 4 keep leading zeros.
BIP32 = [
    (
        "000102030405060708090a0b0c0d0e0f",
        {
            "m": (
                "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8Y"
                "tGqsefD265TMg7usUDFdp6W1EGMcet8"
            ),
            "m/0h": (
                "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCd"
                "rfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw"
            ),
            "m/0h/1": (
                "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7"
                "SyYq527Hqck2AxYysAA7xmALppuCkwQ"
            ),
            "m/0h/1/2h/2/1000000000": (
                "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro"
                "49S8yGasTvXEYBVPamhGW6cFJodrTHy"
            ),
        },
    ),
    (
        (
            "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a"
            "8784817e7b7875726f6c696663605d5a5754514e4b484542"
        ),
        {
            "m": (
                "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8ido"
                "c4a6mr8BDzTJY47LJhkJ8UB7WEGuduB"
            ),
            "m/0/2147483647h": (
                "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uN"
                "Rts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a"
            ),
            "m/0/2147483647h/1/2147483646h/2": (
                "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3"
                "emM2rnY5agb9rXpVGyy3bdW6EEgAtqt"
            ),
        },
    ),
    (
        (
            "4b381541583be4423346c643850da4b320e46a87ae3d2a4e6da11eba819cd4acba45d239319ac14f"
            "863b8d5ab5a0d0c64d2e8a1e7d1457df2e5a3c51c73235be"
        ),
        {
            "m": (
                "xpub661MyMwAqRbcEZVB4dScxMAdx6d4nFc9nvyvH3v4gJL378CSRZiYmhRoP7mBy6gSPSCYk6SzXPTf"
                "3ND1cZAceL7SfJ1Z3GC8vBgp2epUt13"
            ),
            "m/0h": (
                "xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9"
                "fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y"
            ),
        },
    ),
    (
        "3ddd5602285899a946114506157c7997e5444528f3003f6134712147db19b678",
        {
            "m/0h": (
                "xpub69AUMk3qDBi3uW1sXgjCmVjJ2G6WQoYSnNHyzkmdCHEhSZ4tBok37xfFEqHd2AddP56Tqp4o56Ae"
                "PAgCjYdvpW2PU2jbUPFKsav5ut6Ch1m"
            ),
            "m/0h/1h": (
                "xpub6BJA1jSqiukeaesWfxe6sNK9CCGaujFFSJLomWHprUL9DePQ4JDkM5d88n49sMGJxrhpjazuXYWd"
                "Mf17C9T5XnxkopaeS7jGk1GyyVziaMt"
            ),
        },
    ),
]


@pytest.mark.parametrize(("seed", "keys"), BIP32)
def test_keys_are_those_of_bip_32(seed: str, keys: dict[str, str]) -> None:
    for path, extended in keys.items():
        found = phrases.extended_key(Secret(bytes.fromhex(seed)), steps(path))
        assert str(found) == extended
        private = phrases.private_key(Secret(bytes.fromhex(seed)), steps(path))
        assert PrivateKey(bytes(private.data)).public_key.format() == found.key


def test_keys_are_those_of_bip_84() -> None:
    seed = seed_of(ABOUT)
    assert phrases.fingerprint_of(seed).hex() == "73c5da0a"
    for path, key in {
        "m/84h/0h/0h/0/0": "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c",
        "m/84h/0h/0h/0/1": "03e775fd51f0dfb8cd865d9ff1cca2a158cf651fe997fdc9fee9c1d3b5e995ea77",
        "m/84h/0h/0h/1/0": "03025324888e429ab8e3dbaf1f7802648b9cd01e9b418485c5fa4c1b9b5700e1a6",
    }.items():
        assert phrases.extended_key(seed, steps(path)).key.hex() == key


def test_keys_are_those_of_the_recorded_chain(store: Keystore) -> None:
    recorded = recorded_json(1)
    store.add("alice", entropy(recorded["mnemonic"]), secret())
    seed = seed_of(recorded["mnemonic"])
    with store.unlock("alice", secret(), 1) as key:
        for known in recorded["keys"].values():
            path = steps(known["path"])
            assert phrases.extended_key(seed, path).key.hex() == known["pubkey"]
            if path[2] - HARDENED in list(Account):
                public = key.public(Account(path[2] - HARDENED), *path[3:])
                assert public.hex() == known["pubkey"]
                assert address_of(p2wpkh(hash160(public)), REGTEST) == known["p2wpkh"]
                assert verify_signature(public, key.sign(known["path"], b"\7" * 32), b"\7" * 32)


#: Signatures with RFC 6979's nonce on secp256k1, as many libraries test them: secret, message, r, s.
RFC6979 = [
    (
        1,
        "Satoshi Nakamoto",
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
    ),
    (
        1,
        "All those moments will be lost in time, like tears in rain. Time to die...",
        "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b",
        "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21",
    ),
    (
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364140,
        "Satoshi Nakamoto",
        "fd567d121db66e382991534ada77a6bd3106f0a1098c231e47993447cd6af2d0",
        "6b39cd0eb1bc8603e159ef5c20a5c8ad685a45b06ce9bebed3f153d10d93bed5",
    ),
]


@pytest.mark.parametrize(("key", "message", "r", "s"), RFC6979)
def test_signatures_are_those_of_rfc_6979(key: int, message: str, r: str, s: str) -> None:
    signature = sign_digest(key.to_bytes(32, "big"), hashlib.sha256(message.encode()).digest())
    assert signature == der(int(r, 16), int(s, 16))


def der(r: int, s: int) -> bytes:
    """BIP 66, by hand."""
    parts = [number.to_bytes(number.bit_length() // 8 + 1, "big") for number in (r, s)]
    body = b"".join(b"\2" + bytes([len(part)]) + part for part in parts)
    return b"\x30" + bytes([len(body)]) + body


# ---- signing


@given(st.binary(min_size=32, max_size=32), st.integers(1, 2**255))
def test_a_signature_verifies_and_its_s_is_the_lower_one(digest: bytes, number: int) -> None:
    key = number.to_bytes(32, "big")
    signature = sign_digest(bytearray(key), digest)
    assert verify_signature(PrivateKey(key).public_key.format(), signature, digest)
    assert not signature_normalize(der_to_cdata(signature))[0]
    assert sign_digest(key, digest) == signature


@pytest.mark.parametrize(
    ("key", "digest"),
    [(b"", b"\1" * 32), (b"\1" * 31, b"\1" * 32), (b"\1" * 33, b"\1" * 32), (b"\1" * 32, b"\1" * 31)]
    + [(number.to_bytes(32, "big"), b"\1" * 32) for number in (0, RFC6979[2][0] + 1, 2**256 - 1)],
)
def test_what_is_no_private_key_or_digest_is_a_bug_and_not_repeated(key: bytes, digest: bytes) -> None:
    with pytest.raises(ValueError, match=r"32 bytes each|order of the curve") as caught:
        sign_digest(key, digest)
    assert caught.value.__context__ is None
    assert not key.hex() or key.hex() not in str(caught.value)


#: Paths that no account of coin type 7 has.
OUTSIDE = [
    *("m/84h/7h/3h/0/0", "m/84h/1h/0h/0/0", "m/44h/7h/0h/0/0", "m/84h/7h/0h/2/0", "m/84h/7h/0h/0"),
    *("m/84h/7h/0h/0/0/0", "m/84h/7h/0h/0/0h", "m/84h/7h/0h/0h/0", "m/84/7/0/0/0", "m/0"),
]


def test_only_paths_in_the_accounts_are_signed_for(store: Keystore, alice: Path) -> None:
    with store.unlock("alice", secret(), 7) as key:
        for account in Account:
            for change, index in ((0, 0), (1, 0), (0, HARDENED - 1)):
                path = key.origin(account, change, index).path
                assert path == key_path(7, account, change, index)
                assert key.sign(path, b"\1" * 32) == key.sign(print_path(path), b"\1" * 32)
                assert verify_signature(
                    key.public(account, change, index), key.sign(path, b"\1" * 32), b"\1" * 32
                )
        for outside in OUTSIDE:
            assert "none of the accounts" in refusal(key.sign, outside, b"\1" * 32, kind=Refused)
        for wrong in ("m", "", "m/", "m/84h/7h/0h/0/x", "m/-1", "m/84h/7h/0h/0/4294967296"):
            refusal(key.sign, wrong, b"\1" * 32)
        with pytest.raises(ValueError, match="32 bytes each"):
            key.sign(key_path(7, Account.MEMBER), b"\1" * 31)


def test_a_locked_key_signs_no_more_and_shows_nothing(store: Keystore, alice: Path) -> None:
    with store.unlock("alice", secret(), 7) as key:
        seed = key._seed.data
        assert any(seed)
    assert not any(seed)
    with pytest.raises(RuntimeError, match="locked"):
        key.sign(key_path(7, Account.MEMBER), b"\1" * 32)
    assert key.public(Account.MEMBER) == store.get("alice").accounts[7][Account.MEMBER].child(0).child(0).key
    assert repr(key) == f"<key alice [{key.fingerprint.hex()}]>"


def test_a_key_is_locked_after_a_failure_too(store: Keystore, alice: Path) -> None:
    with pytest.raises(ZeroDivisionError), store.unlock("alice", secret(), 7) as key:
        raise ZeroDivisionError
    assert not any(key._seed.data)


def test_secrets_neither_show_nor_travel(store: Keystore, alice: Path) -> None:
    hidden = Secret(b"hidden")
    assert "hidden" not in f"{hidden} {hidden!r} {[hidden]} {vars(type(hidden))}"
    with store.unlock("alice", secret(), 7) as key:
        for each in (hidden, key):
            with pytest.raises(TypeError):
                pickle.dumps(each)
    data = hidden.data
    hidden.wipe()
    assert bytes(data) == bytes(6)
    assert not hidden.data
    hidden.wipe()


def test_a_signature_by_another_key_than_the_file_names_never_leaves(store: Keystore, alice: Path) -> None:
    file = store.get("alice")
    other = {7: {**file.accounts[7], Account.MEMBER: file.accounts[7][Account.OWNER]}}
    wrong = keyfile.KeyFile(
        file.name, file.fingerprint, other, *[getattr(file, n) for n in file.__slots__[3:]]
    )
    with UnlockedKey(wrong, 7, seed_of(PHRASE)) as key:
        assert "use it no more" in refusal(lambda: key.sign(key_path(7, Account.MEMBER), b"\1" * 32))


# ---- paths


def test_coin_types_and_paths_are_those_of_formats_md() -> None:
    assert [coin_type_of(network) for network in NETWORKS.values()] == [7, 1, 1, 1]
    assert [coin_type_of(network, 0) for network in NETWORKS.values()] == [0, 0, 0, 0]
    assert {account.label: account.value for account in Account} == {
        "member": 0,
        "owner": 1,
        "board": 2,
        "client": 5,
    }
    assert print_path(key_path(7, Account.CLIENT)) == "m/84h/7h/5h/0/0"
    refusal(lambda: key_path(HARDENED, Account.MEMBER))
    refusal(lambda: key_path(7, Account.MEMBER, 2))
    refusal(lambda: key_path(7, Account.MEMBER, 0, HARDENED))


def test_extended_keys_have_their_networks_version() -> None:
    key = phrases.extended_key(seed_of(ABOUT), account_path(7, Account.BOARD))
    assert str(of_network(key, MAINNET)).startswith("xpub")
    for network in (TESTNET, REGTEST, DEVNET):
        shown = of_network(key, network)
        assert str(shown).startswith("tpub")
        assert shown.is_of(network)
        assert (shown.key, shown.chain_code) == (key.key, key.chain_code)
        assert of_network(shown, MAINNET) == key


# ---- phrases as people type them


@pytest.mark.parametrize(
    "typed",
    [
        f"  {PHRASE}\n",
        PHRASE.replace(" ", "\n"),
        PHRASE.replace(" ", "\t\r\n  "),
        PHRASE.upper(),
        PHRASE.replace(" ", "\N{IDEOGRAPHIC SPACE}"),
        "".join(chr(ord(c) + 0xFEE0) if c != " " else c for c in PHRASE),  # full width: NFKD
    ],
)
def test_a_phrase_may_be_spaced_and_written_as_one_likes(typed: str) -> None:
    assert entropy(typed).data == entropy().data


@pytest.mark.parametrize("count", [0, 1, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 48])
def test_a_phrase_of_another_length_is_refused(count: int) -> None:
    assert f"not {count}" in refusal(lambda: entropy("abandon " * count))


@pytest.mark.parametrize("count", phrases.WORD_COUNTS)
def test_a_phrase_of_each_length_is_taken(count: int, store: Keystore) -> None:
    made = Secret(os.urandom(count * 4 // 3))
    words = phrases.phrase_of(made)
    assert len(words) == count
    assert entropy(" ".join(words)).data == made.data
    store.add("alice", entropy(" ".join(words)), secret())
    assert unseal(store.get("alice"), secret()).data == made.data


@pytest.mark.parametrize("at", [1, 7, 24])
@pytest.mark.parametrize("typed", ["hamstre", "HAMS", "häm", "\x1b[31m", "zo", "zzz", "a"])
def test_a_word_that_is_none_is_told_by_its_place_alone(at: int, typed: str) -> None:
    words = PHRASE.split()
    words[at - 1] = typed
    message = refusal(lambda: entropy(" ".join(words)))
    assert f"word {at} is not in" in message
    assert typed.lower() not in message.replace(f"word {at} is not in BIP 39's English list", "")


def test_words_in_another_place_are_refused_by_the_checksum() -> None:
    words = PHRASE.split()
    words[0], words[1] = words[1], words[0]
    message = refusal(lambda: entropy(" ".join(words)))
    assert "checksum" in message
    assert not any(word in message.split() for word in words if word not in ("word", "private"))
    refusal(lambda: phrases.entropy_of(Secret(b"\xff" + PHRASE.encode())))


def test_what_bip_utils_raises_is_not_passed_on() -> None:
    for typed in ("abandon " * 12, "x " * 12, "\xff" * 12):
        with pytest.raises(BadData) as caught:
            entropy(typed)
        told = "".join(traceback.format_exception(caught.value))
        assert not {"MnemonicChecksumError", "ValueError"} & set(told.replace(":", " ").split())


def test_new_keys_differ() -> None:
    assert len({bytes(phrases.new_entropy().data) for _ in range(50)}) == 50
    assert len(phrases.new_entropy().data) == 32


# ---- the file


def test_a_key_is_kept_and_opened(store: Keystore, alice: Path) -> None:
    assert store.names() == ["alice"]
    file = store.get("alice")
    assert (file.name, set(file.accounts), file.kdf) == ("alice", set(COIN_TYPES), WEAK)
    assert unseal(file, secret()).data == entropy().data
    for coin_type in COIN_TYPES:
        for account in Account:
            expected = phrases.extended_key(seed_of(PHRASE), account_path(coin_type, account))
            assert file.accounts[coin_type][account] == expected


def test_the_file_is_what_its_description_says(alice: Path) -> None:
    """Opened by hand, with other means than ours."""
    document = json.loads(alice.read_text("ascii"))
    kdf = document["kdf"]
    stretched = hashlib.scrypt(
        PASSPHRASE, salt=bytes.fromhex(kdf["salt"]), n=kdf["n"], r=kdf["r"], p=kdf["p"], dklen=48
    )
    assert document["check"] == stretched[32:].hex()
    covered = {name: value for name, value in document.items() if name not in ("sum", "text")}
    opened = ChaCha20Poly1305(stretched[:32]).decrypt(
        bytes.fromhex(document["nonce"]),
        bytes.fromhex(document["text"]),
        (json.dumps(covered, indent=1, sort_keys=True) + "\n").encode(),
    )
    assert opened == entropy().data
    rest = {name: value for name, value in document.items() if name != "sum"}
    told = hashlib.sha256((json.dumps(rest, indent=1, sort_keys=True) + "\n").encode()).hexdigest()
    assert document["sum"] == told


def test_users_get_the_scrypt_of_the_style_guide(tmp_path: Path) -> None:
    assert tuple(keyfile.STANDARD) == (2**17, 8, 1)
    Keystore(tmp_path).add("alice", entropy(), secret())
    assert json.loads((tmp_path / "alice.json").read_text())["kdf"]["n"] == 2**17


def test_two_files_of_one_key_have_nothing_secret_in_common(store: Keystore, alice: Path) -> None:
    store.add("bob", entropy(), secret())
    one, two = (json.loads(path.read_text()) for path in (alice, alice.with_name("bob.json")))
    for field in ("check", "nonce", "text", "sum"):
        assert one[field] != two[field]
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["accounts"] == two["accounts"]


def test_every_byte_changed_is_noticed_without_a_passphrase(store: Keystore, alice: Path) -> None:
    data = alice.read_bytes()
    for at in range(len(data)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= mask
            with pytest.raises(BadData) as caught:
                read(bytes(damaged), "it", least_memory=0)
            assert caught.value.code == keyfile.DAMAGED
            assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data + b"\n",
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda _: b"[]",
        lambda _: b"{}",
        lambda _: b"{" * 60_000,
        lambda data: json.dumps(json.loads(data)).encode(),
        lambda data: data.replace(b'"name": "alice"', b'"name": "alice",\n "name": "alice"'),
        lambda data: data.replace(b"alice", b"\\u0061lice"),
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data.replace(b"doitrust-key/1", b"doitrust-key/2"),
    ],
)
def test_a_file_in_any_other_form_is_damaged(change: Callable[[bytes], bytes], alice: Path) -> None:
    assert "it" in refusal(lambda: read(change(alice.read_bytes()), "it", least_memory=0))


def resum(document: dict[str, Any]) -> bytes:
    """What a thief does who has read the source: edit and make the sum anew."""
    rest = {name: value for name, value in document.items() if name != "sum"}
    text = json.dumps(rest, indent=1, sort_keys=True) + "\n"
    rest["sum"] = hashlib.sha256(text.encode()).hexdigest()
    return (json.dumps(rest, indent=1, sort_keys=True) + "\n").encode()


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path


def flipped(value: Any) -> Any:
    """The value with its last bit, digit or letter changed."""
    if isinstance(value, int):
        return value * 2
    return value[:-1] + ("1" if value[-1] == "0" else "0")


def test_an_edited_file_with_its_sum_made_anew_is_noticed_when_used(store: Keystore, alice: Path) -> None:
    document = json.loads(alice.read_bytes())
    store.add("mallory", entropy(ABOUT), secret(b"hers"))
    hers = json.loads(alice.with_name("mallory.json").read_bytes())
    codes = set()
    for path in leaves(document):
        if path == ("sum",):
            continue
        for source in ("flip", "hers"):
            edited = json.loads(alice.read_bytes())
            inner = edited
            mallorys = hers
            for name in path[:-1]:
                inner, mallorys = inner[name], mallorys[name]
            changed = flipped(inner[path[-1]]) if source == "flip" else mallorys[path[-1]]
            if changed == inner[path[-1]]:
                continue
            inner[path[-1]] = changed
            with pytest.raises(DoitrustError) as caught:
                unseal(read(resum(edited), "it", least_memory=0), secret())
            codes.add(caught.value.code)
    assert codes == {keyfile.DAMAGED, keyfile.TAMPERED, keyfile.WRONG_PASSPHRASE}


@pytest.mark.parametrize(
    "edit",
    [
        lambda d, h: d["accounts"]["7"].update(member=h["accounts"]["7"]["member"]),
        lambda d, h: d.update(accounts=h["accounts"]),
        lambda d, _: d["accounts"].pop("0"),
        lambda d, h: d["accounts"].update({"42": {k: coin42(k) for k in h["accounts"]["7"]}}),
        lambda d, _: d.update(name="bob"),
        lambda d, h: d.update(fingerprint=h["fingerprint"]),
        lambda d, h: d.update(text=h["text"]),
        lambda d, h: d.update(nonce=h["nonce"]),
    ],
)
def test_a_thief_who_shows_his_address_is_told_from_damage_and_a_wrong_passphrase(
    edit: Callable[[dict[str, Any], dict[str, Any]], object], store: Keystore, alice: Path
) -> None:
    store.add("mallory", entropy(ABOUT), secret(b"hers"))
    document, hers = (json.loads(path.read_bytes()) for path in (alice, alice.with_name("mallory.json")))
    hers["text"] = hers["text"][:2] + document["text"][2:]
    edit(document, hers)
    file = read(resum(document), "it", least_memory=0)
    with pytest.raises(BadData) as caught:
        unseal(file, secret())
    assert caught.value.code == keyfile.TAMPERED
    with pytest.raises(Refused) as refused:
        unseal(file, secret(b"another"))
    assert refused.value.code == keyfile.WRONG_PASSPHRASE


def coin42(label: str) -> str:
    account = Account[label.upper()]
    return str(phrases.extended_key(seed_of(ABOUT), account_path(42, account)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (("fingerprint",), "73c5da0a00"),
        (("fingerprint",), "73C5DA0A"),
        (("fingerprint",), 5),
        (("accounts",), []),
        (("accounts",), {"7": {}}),
        (("accounts",), {"07": None}),
        (("accounts",), {"7": None}),
        (("accounts", "7"), "x"),
        (("accounts", "7", "member"), None),
        (("accounts", "7", "member"), ""),
        (("accounts", "7", "more"), "x"),
        (("accounts", "-1"), {}),
        (("accounts", "9" * 5000), {}),
        (("accounts", "²"), {}),
        (("kdf",), None),
        (("kdf", "name"), "argon2id"),
        (("kdf", "salt"), "00"),
        (("kdf", "salt"), 5),
        (("kdf", "more"), 5),
        (("cipher",), "none"),
        (("nonce",), ""),
        (("check",), "00" * 15),
        (("text",), ""),
        (("text",), "00" * 16),
        (("text",), "00" * 33),
        (("text",), "zz" * 32),
        (("more",), 1),
    ],
)
def test_a_field_that_makes_no_sense_is_damage_and_no_crash(
    field: tuple[str, ...], value: Any, alice: Path
) -> None:
    document = json.loads(alice.read_bytes())
    inner = document
    for name in field[:-1]:
        inner = inner[name]
    inner[field[-1]] = value
    with pytest.raises(BadData) as caught:
        read(resum(document), "it", least_memory=0)
    assert caught.value.code == keyfile.DAMAGED
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("missing", sorted(keyfile._FIELDS))
def test_a_missing_field_is_damage(missing: str, alice: Path) -> None:
    document = json.loads(alice.read_bytes())
    del document[missing]
    data = resum(document) if missing != "sum" else (json.dumps(document, indent=1) + "\n").encode()
    refusal(lambda: read(data, "it", least_memory=0))


MIB = 2**20


@pytest.mark.parametrize(
    ("n", "r", "p"),
    [
        *((2**21, 8, 1), (2**20, 8, 1), (2**20, 5, 1), (2**62, 1, 1), (10**4000, 8, 1)),
        *((2**17, 2**20, 1), (2**14, 33, 1), (2**17, 8, 5), (2**17, 8, 2**30), (2, 2**21, 1)),
        *((0, 8, 1), (1, 8, 1), (-(2**17), 8, 1), (2**17 + 1, 8, 1), (2**17, 0, 1), (2**17, 8, 0)),
        *((2**17, -8, -1), (2, 8, 1), (2**13, 8, 1), (2.0**17, 8, 1), (True, 8, 1), (2**17, True, True)),
        *(("131072", 8, 1), (None, 8, 1), ([131072], 8, 1), (2**17, {}, 1)),
    ],
)
def test_hostile_scrypt_parameters_are_refused_before_scrypt_runs(
    n: Any, r: Any, p: Any, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyfile, "Scrypt", None)
    document = json.loads(alice.read_bytes())
    document["kdf"] |= {"n": n, "r": r, "p": p}
    refusal(lambda: read(resum(document), "it"))


@pytest.mark.parametrize(
    ("n", "r", "p"), [(2**14, 8, 1), (2**17, 8, 1), (2**19, 8, 4), (2**20, 4, 4), (2**17, 32, 1)]
)
def test_scrypt_parameters_within_the_bounds_are_taken(n: int, r: int, p: int, alice: Path) -> None:
    document = json.loads(alice.read_bytes())
    document["kdf"] |= {"n": n, "r": r, "p": p}
    assert read(resum(document), "it").kdf.memory <= 512 * MIB


def test_a_file_made_for_tests_is_too_weak_for_users(alice: Path) -> None:
    assert "scrypt" in refusal(lambda: Keystore(alice.parent).get("alice"))


def test_scrypt_without_memory_is_told(alice: Path, store: Keystore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Greedy:
        def __init__(self, *_: object) -> None: ...

        def derive_into(self, *_: object) -> None:
            raise MemoryError

    monkeypatch.setattr(keyfile, "Scrypt", Greedy)
    assert "memory" in refusal(lambda: store.unlock("alice", secret(), 7), kind=Unavailable)


@pytest.mark.parametrize("wrong", [b"", b"x", PASSPHRASE[:-1], PASSPHRASE + b" ", PASSPHRASE.lower()])
def test_a_wrong_passphrase_is_told_as_such(wrong: bytes, store: Keystore, alice: Path) -> None:
    for call in (
        lambda: store.unlock("alice", secret(wrong), 7),
        lambda: store.check("alice", secret(wrong)),
        lambda: store.add_coin_type("alice", secret(wrong), 42),
        lambda: store.change_passphrase("alice", secret(wrong), lambda: pytest.fail("asked for a new one")),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == keyfile.WRONG_PASSPHRASE
        assert not wrong or wrong.decode() not in f"{caught.value.message} {caught.value.hint}".split()
    assert unseal(store.get("alice"), secret()).data == entropy().data


def test_the_passphrase_is_compared_in_constant_time(
    store: Keystore, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = []

    def never(*both: object) -> bool:
        compared.append(both)
        return False

    monkeypatch.setattr(hmac, "compare_digest", never)
    refusal(lambda: store.unlock("alice", secret(), 7), kind=Refused)
    assert len(compared) == 1


#: A file made by the first version, which must open for ever: the phrase «abandon … about» under «correct horse».
FIRST = ROOT / "fixtures" / "keys" / "first.json"


def test_a_file_of_the_first_version_opens(tmp_path: Path) -> None:
    shutil.copy(FIRST, tmp_path)
    with Keystore(tmp_path).unlock("first", secret(b"correct horse"), 7) as key:
        assert key.fingerprint.hex() == "73c5da0a"
        assert verify_signature(
            key.public(Account.MEMBER), key.sign(key_path(7, Account.MEMBER), b"\1" * 32), b"\1" * 32
        )


# ---- changing


def test_a_passphrase_is_changed(store: Keystore, alice: Path) -> None:
    before = alice.read_bytes()
    store.change_passphrase("alice", secret(), lambda: secret(b"new"))
    refusal(lambda: store.unlock("alice", secret(), 7), kind=Refused)
    with store.unlock("alice", secret(b"new"), 7) as key:
        assert key.name == "alice"
    one, two = json.loads(before), json.loads(alice.read_bytes())
    assert one["kdf"]["salt"] != two["kdf"]["salt"]
    assert one["nonce"] != two["nonce"]
    assert one["accounts"] == two["accounts"]


def test_changing_uses_the_parameters_of_today(store: Keystore, alice: Path) -> None:
    other = Keystore(alice.parent, kdf=Kdf(32, 1, 1))
    with pytest.raises(BadData):
        other.get("alice")  # weaker than what it makes
    weaker = Keystore(alice.parent, kdf=Kdf(8, 1, 1))
    weaker.change_passphrase("alice", secret(), secret)
    assert json.loads(alice.read_bytes())["kdf"]["n"] == 8


def test_a_refusal_while_the_new_passphrase_is_asked_changes_nothing(store: Keystore, alice: Path) -> None:
    before = alice.read_bytes()

    def refuse() -> Secret:
        raise Refused("no")

    refusal(lambda: store.change_passphrase("alice", secret(), refuse), kind=Refused)
    assert alice.read_bytes() == before


def test_one_more_coin_type_is_kept(store: Keystore, alice: Path) -> None:
    with store.unlock("alice", secret(), 42) as key:
        public = key.public(Account.MEMBER)
    file = store.add_coin_type("alice", secret(), 42)
    assert set(file.accounts) == {*COIN_TYPES, 42}
    assert file.accounts[42][Account.MEMBER].child(0).child(0).key == public
    with store.unlock("alice", secret(), 42) as key:
        assert key.public(Account.MEMBER) == public
        assert verify_signature(public, key.sign("m/84h/42h/0h/0/0", b"\1" * 32), b"\1" * 32)


def test_no_file_is_written_that_could_not_be_read(
    store: Keystore, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore, "MAX_BYTES", len(alice.read_bytes()) + 100)
    before = alice.read_bytes()
    assert "too many" in refusal(lambda: store.add_coin_type("alice", secret(), 42), kind=Refused)
    assert alice.read_bytes() == before


def test_a_key_is_deleted_a_damaged_one_too(store: Keystore, alice: Path) -> None:
    alice.write_bytes(b"damaged")
    alice.with_name(".alice.json.left").write_bytes(b"by somebody who was killed")
    store.delete("alice")
    assert [path.name for path in alice.parent.iterdir()] == [".lock"]
    for call in (lambda: store.delete("alice"), lambda: store.get("alice")):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.code == "no_such_key"


def test_a_key_is_never_overwritten(store: Keystore, alice: Path) -> None:
    before = alice.read_bytes()
    for name in ("alice", "ALICE", "Alice"):
        with pytest.raises(Refused) as caught:
            store.add(name, entropy(ABOUT), secret())
        assert caught.value.code == "key_exists"
        assert "alice" in caught.value.message
    assert alice.read_bytes() == before


def test_a_file_under_another_name_is_not_that_key(store: Keystore, alice: Path) -> None:
    alice.rename(alice.with_name("bob.json"))
    assert "alice" in refusal(lambda: store.get("bob"))
    refusal(lambda: store.unlock("bob", secret(), 7))


@pytest.mark.parametrize("name", ["a", "E1", "Anna", "a.b", "0", "x" * 32, "board_1-a", "console", "com10"])
def test_names_that_a_key_can_have(name: str, store: Keystore) -> None:
    assert check_name(name) == name
    store.add(name, entropy(), secret())
    assert store.names() == [name]
    assert store.get(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            ".hidden",
            "-x",
            "_x",
            "a/b",
            "a\\b",
            "../a",
            "a b",
            "a\n",
            "ä",
            "x" * 33,
            "a\0b",
            "a:b",
        ),
        *(
            "con",
            "NUL",
            "Com1",
            "lpt9",
            "aux.x",
            "a.",
            "\N{FULLWIDTH LATIN SMALL LETTER A}",
            "\x1b[31m",
            "a%2fb",
            "*",
        ),
    ],
)
def test_names_that_no_key_can_have(name: str, store: Keystore, tmp_path: Path) -> None:
    for call in (
        lambda: store.add(name, entropy(), secret()),
        lambda: store.get(name),
        lambda: store.delete(name),
        lambda: store.unlock(name, secret(), 7),
    ):
        refusal(call, kind=Usage)
    assert not (tmp_path / "keys").exists()


def test_other_files_in_the_folder_are_no_keys(store: Keystore, alice: Path) -> None:
    for name in ("notes.txt", "a b.json", ".x.json", "ä.json", ".alice.json.abcd"):
        alice.with_name(name).write_text("x")
    assert store.names() == ["alice"]


def test_without_a_folder_there_are_no_keys_and_none_is_made(tmp_path: Path) -> None:
    store = Keystore(tmp_path / "deep" / "keys")
    assert store.names() == []
    refusal(lambda: store.get("alice"), kind=Refused)
    assert list(tmp_path.iterdir()) == []


# ---- the disk


@pytest.mark.skipif(os.name != "posix", reason="cannot be had here: modes")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = Keystore(tmp_path / "home" / "keys", kdf=WEAK)
        store.add("alice", entropy(), secret())
        store.change_passphrase("alice", secret(), secret)
    finally:
        os.umask(before)
    assert mode(tmp_path / "home" / "keys") == 0o700
    assert mode(tmp_path / "home" / "keys" / "alice.json") == 0o600


@pytest.mark.skipif(os.name != "posix", reason="cannot be had here: modes")
def test_a_folder_that_others_can_enter_is_closed(store: Keystore, alice: Path) -> None:
    alice.parent.chmod(0o755)
    alice.chmod(0o644)
    store.change_passphrase("alice", secret(), secret)
    assert (mode(alice.parent), mode(alice)) == (0o700, 0o600)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("call", ["fsync", "replace", "new"])
def test_a_full_disk_leaves_the_old_file(
    call: str, store: Keystore, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = alice.read_bytes()
    new = "doitrust.adapters.files._beside"
    target = {"fsync": "os.fsync", "replace": "pathlib.Path.replace", "new": new}[call]
    monkeypatch.setattr(target, full)
    assert "No space" in refusal(
        lambda: store.change_passphrase("alice", secret(), lambda: secret(b"new")), kind=Unavailable
    )
    refusal(lambda: store.add("bob", entropy(), secret()), kind=Unavailable)
    assert alice.read_bytes() == before
    assert sorted(path.name for path in alice.parent.iterdir()) == [".lock", "alice.json"]


#: Run in a process of its own: change alice's passphrase, and be killed where `{at}` is called.
_KILLED = """
import os, pathlib, signal, sys
sys.path.insert(0, {root!r})
from doitrust.adapters.keystore import Keystore
from doitrust.adapters.keyfile import Kdf
from doitrust.adapters.secret import Secret
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
{at} = die
store = Keystore(pathlib.Path({folder!r}), kdf=Kdf(16, 1, 1))
store.change_passphrase("alice", Secret({passphrase!r}), lambda: Secret(b"new"))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="cannot be had here: SIGKILL")
@pytest.mark.parametrize("at", ["os.fsync", "pathlib.Path.replace"])
def test_a_process_that_is_killed_leaves_the_old_file(at: str, store: Keystore, alice: Path) -> None:
    before = alice.read_bytes()
    script = _KILLED.format(root=str(ROOT), folder=str(alice.parent), passphrase=PASSPHRASE, at=at)
    done = subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert alice.read_bytes() == before
    left = [path.name for path in alice.parent.iterdir() if path.name.startswith(".alice.json.")]
    assert left
    store.change_passphrase("alice", secret(), lambda: secret(b"new"))  # its lock has gone with it
    assert sorted(path.name for path in alice.parent.iterdir()) == [".lock", "alice.json"]


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file")
    store = Keystore(tmp_path / "keys", kdf=WEAK)
    for call in (
        store.names,
        lambda: store.add("alice", entropy(), secret()),
        lambda: store.delete("alice"),
    ):
        refusal(call, kind=Unavailable)
    (tmp_path / "keys").unlink()
    (tmp_path / "keys" / "alice.json").mkdir(parents=True)
    refusal(lambda: store.get("alice"), kind=Unavailable)
    refusal(lambda: store.delete("alice"), kind=Unavailable)
    (tmp_path / "keys" / "bob.json").write_bytes(b" " * (keyfile.MAX_BYTES + 1))
    assert "more than" in refusal(lambda: store.get("bob"), kind=Unavailable)


def test_a_folder_that_may_not_be_entered_is_told(
    store: Keystore, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x")

    monkeypatch.setattr(Path, "lstat", forbidden)
    for call in (lambda: store.get("alice"), lambda: store.delete("alice")):
        assert "Permission denied" in refusal(call, kind=Unavailable)
    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert "Permission denied" in refusal(store.names, kind=Unavailable)


def test_two_who_change_a_key_at_once_do_not_undo_each_other(store: Keystore, alice: Path) -> None:
    def meanwhile() -> Secret:
        Keystore(alice.parent, kdf=WEAK).change_passphrase("alice", secret(), lambda: secret(b"first"))
        return secret(b"second")

    assert "meanwhile" in refusal(lambda: store.change_passphrase("alice", secret(), meanwhile), kind=Refused)
    with store.unlock("alice", secret(b"first"), 7):
        pass


def test_a_key_that_is_deleted_meanwhile_does_not_come_back(store: Keystore, alice: Path) -> None:
    def meanwhile() -> Secret:
        Keystore(alice.parent, kdf=WEAK).delete("alice")
        return secret(b"second")

    refusal(lambda: store.change_passphrase("alice", secret(), meanwhile), kind=Refused)
    assert store.names() == []


def test_only_one_process_changes_keys_at_a_time(
    store: Keystore, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore, "_BUSY_SECONDS", 0.1)
    before = alice.read_bytes()
    with closing(sqlite3.connect(alice.with_name(".lock"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for call in (
            lambda: store.add("bob", entropy(), secret()),
            lambda: store.change_passphrase("alice", secret(), secret),
            lambda: store.delete("alice"),
        ):
            assert "locked" in refusal(call, kind=Unavailable)
        assert store.get("alice").raw == before  # reading needs no lock
    store.delete("alice")


def _add(folder: Path, number: int) -> bool:
    made = Secret(hashlib.sha256(bytes([number])).digest())
    try:
        Keystore(folder, kdf=WEAK).add("alice", made, Secret(bytes([number + 1])))
    except Refused:
        return False
    return True


def test_of_many_processes_that_add_one_name_one_wins(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        won = pool.starmap(_add, [(folder, number) for number in range(4)])
    assert won.count(True) == 1
    with Keystore(folder, kdf=WEAK).unlock("alice", Secret(bytes([won.index(True) + 1])), 7) as key:
        made = phrases.seed_of(Secret(hashlib.sha256(bytes([won.index(True)])).digest()))
        assert key.fingerprint == phrases.fingerprint_of(made)


# ---- what is loaded, and what a traceback shows


def test_bip_utils_is_loaded_only_for_secrets(alice: Path) -> None:
    script = (
        "import sys, pathlib; import doitrust.cli.key\n"
        "from doitrust.adapters.keystore import Keystore; from doitrust.adapters.keyfile import Kdf\n"
        f"Keystore(pathlib.Path({str(alice.parent)!r}), kdf=Kdf(16, 1, 1)).get('alice')\n"
        "sys.exit('bip_utils' in sys.modules or 'segno' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize(
    "breaks", ["Scrypt", "ChaCha20Poly1305", "sign_digest", "_account_keys", "write_atomic"]
)
def test_not_even_a_traceback_with_local_variables_shows_a_secret(
    breaks: str, store: Keystore, alice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    def everything() -> None:
        with store.unlock("alice", secret(), 42) as key:
            key.sign("m/84h/42h/0h/0/0", b"\1" * 32)
        store.change_passphrase("alice", secret(), secret)

    monkeypatch.setattr(keyfile if hasattr(keyfile, breaks) else keystore, breaks, broken)
    with pytest.raises(RuntimeError) as caught:
        everything()
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "a bug" in told
    for hidden in hidden_forms():
        assert hidden not in told.encode()


def hidden_forms() -> list[bytes]:
    """What must never be seen: passphrase, entropy, seed, in forms that a program prints."""
    raw = [PASSPHRASE, bytes(entropy().data), bytes(seed_of(PHRASE).data)]
    return [form for data in raw for form in (data, data.hex().encode(), repr(data)[2:-1].encode())]
