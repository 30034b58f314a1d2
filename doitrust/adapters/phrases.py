"""Recovery phrases and the keys that grow from them (BIP 39, BIP 32), by bip-utils.

This is the only module that uses bip-utils, and it imports it when a secret is first needed: that takes some 150 ms.
What it raises is never passed on, since nobody promises that it leaves the words out.
"""

import secrets
import unicodedata
from collections.abc import Iterable
from typing import Any

from doitrust.adapters.secret import Secret
from doitrust.chain.bip32 import ExtendedKey
from doitrust.errors import BadData

#: BIP 39: 128 to 256 bits of entropy in steps of 32 give 12, 15, 18, 21 or 24 words.
ENTROPY_SIZES = (16, 20, 24, 28, 32)
WORD_COUNTS = (12, 15, 18, 21, 24)
#: Longer input is no phrase; the longest is 24 words of 8 letters.
MAX_PHRASE = 4096

_NEW_ENTROPY = 32
_FINGERPRINT_SIZE = 4


def new_entropy() -> Secret:
    """Make the entropy of a new phrase of 24 words."""
    return Secret(secrets.token_bytes(_NEW_ENTROPY))


def phrase_of(entropy: Secret) -> list[str]:
    """Return the words that stand for `entropy`: the English ones of BIP 39."""
    from bip_utils import Bip39Languages, Bip39MnemonicGenerator  # noqa: PLC0415

    words: list[str] = (
        Bip39MnemonicGenerator(Bip39Languages.ENGLISH).FromEntropy(bytes(entropy.data)).ToList()
    )
    return words


def entropy_of(phrase: Secret) -> Secret:
    """Return the entropy of a phrase of 12 to 24 English words, however they are spaced and in whichever case.

    Raises `BadData`, which says what is wrong with the phrase and repeats none of its words.
    """
    text = _text(phrase)
    words = unicodedata.normalize("NFKD", text).lower().split()
    if len(words) not in WORD_COUNTS:
        raise BadData(f"a phrase has 12, 15, 18, 21 or 24 words, not {len(words)}")
    wrong = [str(at) for at, word in enumerate(words, 1) if not _is_word(word)]
    if wrong:
        which = f"word {wrong[0]} is" if len(wrong) == 1 else f"words {', '.join(wrong)} are"
        raise BadData(
            f"{which} not in BIP 39's English list",
            hint="look for a misspelling; every word is known by its first four letters",
        )
    entropy = _decoded(" ".join(words))
    if entropy is None:
        raise BadData(
            "the words are no phrase: their checksum is wrong", hint="is one wrong, or in another place?"
        )
    return entropy


def seed_of(entropy: Secret) -> Secret:
    """Return the 64 bytes that BIP 39 makes of a phrase, without a BIP 39 passphrase."""
    from bip_utils import Bip39SeedGenerator  # noqa: PLC0415

    return Secret(Bip39SeedGenerator(" ".join(phrase_of(entropy))).Generate())


def fingerprint_of(seed: Secret) -> bytes:
    """Return the first 4 bytes of the master key's hash (BIP 32)."""
    found: bytes = _master(seed).FingerPrint().ToBytes()
    return found[:_FINGERPRINT_SIZE]


def extended_key(seed: Secret, path: Iterable[int]) -> ExtendedKey:
    """Return the extended public key at `path`, with mainnet's version bytes."""
    return ExtendedKey.parse(_derive(seed, path).PublicKey().ToExtended())


def private_key(seed: Secret, path: Iterable[int]) -> Secret:
    """Return the private key at `path`."""
    return Secret(_derive(seed, path).PrivateKey().Raw().ToBytes())


def _text(phrase: Secret) -> str:
    try:
        return phrase.data.decode("utf-8")
    except UnicodeDecodeError:
        pass  # raised below, so that the error doesn't carry the bytes along
    raise BadData("the phrase is not UTF-8")


def _is_word(word: str) -> bool:
    """Whether `word` is in the list: said twelve times over it is a phrase then, but for the checksum."""
    try:
        _decoded(" ".join([word] * WORD_COUNTS[0]))
    except ValueError:
        return False
    return True


def _decoded(phrase: str) -> Secret | None:
    """The entropy of a phrase, None if its checksum is wrong; raises `ValueError` if it has an unknown word."""
    from bip_utils import Bip39Languages, Bip39MnemonicDecoder, MnemonicChecksumError  # noqa: PLC0415

    try:
        return Secret(Bip39MnemonicDecoder(Bip39Languages.ENGLISH).Decode(phrase))
    except MnemonicChecksumError:
        return None


def _master(seed: Secret) -> Any:
    from bip_utils import Bip32Slip10Secp256k1  # noqa: PLC0415

    return Bip32Slip10Secp256k1.FromSeed(bytes(seed.data))


def _derive(seed: Secret, path: Iterable[int]) -> Any:
    key = _master(seed)
    for step in path:
        key = key.ChildKey(step)
    return key
