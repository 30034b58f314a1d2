"""Addresses: four kinds on four networks go round; whatever is not exactly one of them is refused."""

from collections.abc import Callable

import oracle
import pytest
from btclib import base58, bech32
from btclib.b32 import power_of_2_base_conversion
from hypothesis import given
from hypothesis import strategies as st
from support import attempt, damaged, recorded, refusal

from doitrust.chain.address import address_of, hash160, script_of, sha256
from doitrust.chain.networks import DEVNET, MAINNET, NETWORKS, REGTEST, TESTNET, Network
from doitrust.chain.scripts import p2pkh, p2sh, p2wpkh, p2wsh, script_type

HASH = bytes(range(20))
PROGRAM = bytes(range(32))
VERSIONS = {
    "mainnet": (52, 13, "dc"),
    "testnet": (111, 196, "td"),
    "regtest": (111, 196, "ncrt"),
    "devnet": (111, 196, "ncrt"),
}
KINDS: dict[str, Callable[[Network], tuple[bytes, str]]] = {
    # By the oracle's own base58 and bech32, with the numbers of doichain.md.
    "p2pkh": lambda n: (p2pkh(HASH), oracle._base58check(VERSIONS[n.name][0], HASH)),
    "p2sh": lambda n: (p2sh(HASH), oracle._base58check(VERSIONS[n.name][1], HASH)),
    "p2wpkh": lambda n: (p2wpkh(HASH), oracle._bech32(VERSIONS[n.name][2], HASH)),
    "p2wsh": lambda n: (p2wsh(PROGRAM), oracle._bech32(VERSIONS[n.name][2], PROGRAM)),
}
networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=list(NETWORKS))
kinds = pytest.mark.parametrize("kind", KINDS)


@networks
@kinds
def test_each_kind_goes_round_on_each_network(kind: str, network: Network) -> None:
    script, address = KINDS[kind](network)
    assert address_of(script, network) == address
    assert script_of(address, network) == script


@given(
    st.sampled_from(list(NETWORKS.values())),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=32, max_size=32),
)
def test_every_hash_goes_round(network: Network, short: bytes, long: bytes) -> None:
    for script in (p2pkh(short), p2sh(short), p2wpkh(short), p2wsh(long)):
        address = address_of(script, network)
        assert address is not None
        assert script_of(address, network) == script


def test_the_addresses_of_the_recorded_keys_are_known() -> None:
    keys = recorded(1).document["keys"].values()
    for key in keys:
        script = p2wpkh(hash160(bytes.fromhex(key["pubkey"])))
        assert address_of(script, REGTEST) == key["p2wpkh"]
        assert script_of(key["p2wpkh"], REGTEST) == script
    assert len(keys) == 9


def test_every_recorded_output_has_the_address_of_its_type_or_none() -> None:
    scripts = {write.owner_script for tx in recorded(1).payments for _, write in tx.writes}
    scripts |= {output.script for tx in recorded(1).payments for output in tx.outputs}
    found = {script_type(script)[0]: address_of(script, REGTEST) for script in scripts}
    assert [address is None for kind, address in found.items()] == [kind.value == "other" for kind in found]
    assert len(found) >= 4


@pytest.mark.parametrize(
    "script", [b"", b"\x51", p2pkh(HASH) + b"\0", b"\x00\x13" + HASH[:19], b"\x51\x20" + PROGRAM]
)
@networks
def test_other_scripts_have_no_address(script: bytes, network: Network) -> None:
    assert address_of(script, network) is None


@kinds
@networks
def test_an_address_of_another_network_is_refused(kind: str, network: Network) -> None:
    """Testnet and regtest share their base58 versions; everything else differs. The devnet is regtest's."""
    script, address = KINDS[kind](network)
    for other in (MAINNET, TESTNET, REGTEST, DEVNET):
        versions, others = VERSIONS[network.name], VERSIONS[other.name]
        same = versions[2] == others[2] if kind in ("p2wpkh", "p2wsh") else versions[:2] == others[:2]
        if same:
            assert script_of(address, other) == script
        else:
            assert address in refusal(script_of, address, other)


@pytest.mark.parametrize(
    "address",
    [
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        "nc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgkm0rz",
    ],
)
@networks
def test_addresses_of_bitcoin_and_namecoin_are_refused(address: str, network: Network) -> None:
    refusal(lambda: script_of(address, network))


# ---- bech32, in every other form

HRP = "dc"
V0 = [0, *power_of_2_base_conversion(HASH, 8, 5)]
V0_LONG = [0, *power_of_2_base_conversion(PROGRAM, 8, 5)]
GOOD = bech32.encode(HRP, V0).decode()


def encoded(data: list[int], constant: int = bech32.BECH32_1_CONST, hrp: str = HRP) -> str:
    return bech32.encode(hrp, data, constant).decode()


def program(version: int, size: int) -> list[int]:
    return [version, *power_of_2_base_conversion(bytes(range(size)), 8, 5)]


BECH32 = {
    "bech32m for version 0": encoded(V0, bech32.BECH32_M_CONST),
    "bech32m for version 0 of 32 bytes": encoded(V0_LONG, bech32.BECH32_M_CONST),
    "version 1 in bech32": encoded(program(1, 32)),
    "version 1 in bech32m": encoded(program(1, 32), bech32.BECH32_M_CONST),
    "version 1 of 20 bytes in bech32m": encoded(program(1, 20), bech32.BECH32_M_CONST),
    "version 16 in bech32m": encoded(program(16, 32), bech32.BECH32_M_CONST),
    "version 17 in bech32m": encoded(program(17, 32), bech32.BECH32_M_CONST),
    "version 31 in bech32": encoded(program(31, 20)),
    "no data": encoded([]),
    "no data in bech32m": encoded([], bech32.BECH32_M_CONST),
    "only a version": encoded([0]),
    "padding that is not zero": encoded([*V0_LONG[:-1], V0_LONG[-1] | 1]),
    "a whole group of padding": encoded([*V0, 0]),
    "mixed case": GOOD[:-1] + GOOD[-1].upper(),
    "mixed case in the prefix": "Dc" + GOOD[2:],
    "prefix in capitals": "DC" + GOOD[2:],
    "data in capitals": "dc" + GOOD[2:].upper(),
    "another prefix": encoded(V0, hrp="dd"),
    "a longer prefix": encoded(V0, hrp="dc1"),
    "no separator": GOOD.replace("1", "", 1),
    "only the prefix": "dc1",
    "a cut checksum": GOOD[:-1],
    "one more character": GOOD + "q",
    "a character of base58 only": GOOD[:-1] + "b",
    "a space before": " " + GOOD,
    "a space behind": GOOD + " ",
    "a line end": GOOD + "\n",
    "a null": GOOD + "\0",
    **{f"{size} bytes": encoded(program(0, size)) for size in range(2, 41) if size not in (20, 32)},
}


@pytest.mark.parametrize("case", BECH32)
def test_bech32_in_any_other_form_is_refused(case: str) -> None:
    refusal(lambda: script_of(BECH32[case], MAINNET))


def test_bech32_is_accepted_in_capitals_throughout() -> None:
    """BIP 173: for QR codes. Records are compared as they are written, which is another question."""
    assert script_of(GOOD, MAINNET) == script_of(GOOD.upper(), MAINNET) == p2wpkh(HASH)


@pytest.mark.parametrize("kind", KINDS)
def test_no_character_can_be_another(kind: str) -> None:
    _, address = KINDS[kind](MAINNET)
    alphabet = oracle.BASE58 if kind in ("p2pkh", "p2sh") else "023456789acdefghjklmnpqrstuvwxyz"
    for at in range(len(address)):
        for other in set(alphabet) - {address[at]}:
            refusal(script_of, address[:at] + other + address[at + 1 :], MAINNET)


# ---- base58, in every other form

MAIN = base58.encode(bytes([52]) + HASH).decode()
BASE58 = {
    "no version": base58.encode(HASH).decode(),
    "19 bytes": base58.encode(bytes([52]) + HASH[:19]).decode(),
    "21 bytes": base58.encode(bytes([52]) + HASH + b"\0").decode(),
    "32 bytes": base58.encode(bytes([52]) + PROGRAM).decode(),
    "nothing": base58.encode(b"").decode(),
    "only a version": base58.encode(bytes([52])).decode(),
    "a leading 1": "1" + MAIN,
    "cut": MAIN[:-1],
    "cut at the front": MAIN[1:],
    "twice": MAIN + MAIN,
    "0 for o": MAIN[:-1] + "0",
    "O": MAIN[:-1] + "O",
    "I": MAIN[:-1] + "I",
    "l": MAIN[:-1] + "l",
    "lower case": MAIN.lower(),
    "upper case": MAIN.upper(),
    "a space before": " " + MAIN,
    "a line end": MAIN + "\n",
    "a dash": MAIN[:5] + "-" + MAIN[5:],
    "a private key": base58.encode(bytes([180]) + PROGRAM + b"\1").decode(),
    **{f"version {v}": base58.encode(bytes([v]) + HASH).decode() for v in range(256) if v not in (52, 13)},
}


@pytest.mark.parametrize("case", BASE58)
def test_base58_in_any_other_form_is_refused(case: str) -> None:
    refusal(lambda: script_of(BASE58[case], MAINNET))


# ---- anything at all

LONG = encoded(V0_LONG)


def swapped(text: str, plain: str, other: str) -> str:
    """`text` with the first `plain` as `other`; there must be one."""
    before, after = text.split(plain, 1)
    return before + other + after


LOOK_ALIKES = {
    "Cyrillic c": swapped(GOOD, "c", "\u0441"),
    "full width": "".join(chr(ord(c) + 0xFEE0) for c in GOOD),
    "a full-width digit": swapped(GOOD, "1", "\uff11"),
    "an Arabic digit": swapped(GOOD, "1", "\u0661"),
    "a superscript": swapped(LONG, "2", "²"),
    "Kelvin sign": swapped(LONG.upper(), "K", "\u212a"),
    "long s": swapped(LONG, "s", "\u017f"),
    "a Greek o": swapped(MAIN, "o", "\u03bf"),
    "a zero-width space": GOOD[:5] + "\u200b" + GOOD[5:],
    "a soft hyphen": MAIN[:5] + "\u00ad" + MAIN[5:],
    "right to left": "\u202e" + GOOD,
    "a lone surrogate": GOOD + "\ud800",
    "a byte order mark": "\ufeff" + GOOD,
}


@pytest.mark.parametrize("case", LOOK_ALIKES)
def test_look_alikes_are_refused(case: str) -> None:
    refusal(lambda: script_of(LOOK_ALIKES[case], MAINNET))


@pytest.mark.parametrize(
    "text", ["", " ", "dc", "dc1" + "q" * 88, "N" * 91, "1" * 90, "1" * 91, "1" * 10**7, "dc1" + "q" * 10**7]
)
def test_empty_and_over_long_texts_are_refused_at_once(text: str) -> None:
    refusal(lambda: script_of(text, MAINNET))


def test_an_address_has_at_most_90_characters() -> None:
    """BIP 173. The longest of ours has 64: nothing that would be valid is lost."""
    assert max(len(KINDS[kind](n)[1]) for kind in KINDS for n in NETWORKS.values()) == 64


@given(st.sampled_from(list(NETWORKS.values())), st.text(max_size=100))
def test_any_text_is_an_address_or_refused(network: Network, text: str) -> None:
    script = attempt(script_of, text, network)
    assert script is None or address_of(script, network) in (text, text.lower())


@given(st.sampled_from(list(NETWORKS.values())), st.data())
def test_a_damaged_address_is_refused_or_no_other_text_for_the_same_script(
    network: Network, data: st.DataObject
) -> None:
    _, address = data.draw(st.sampled_from(list(KINDS.values())))(network)
    text = data.draw(damaged(address.encode())).decode("latin-1")
    script = attempt(script_of, text, network)
    if script is not None:
        shown = address_of(script, network)
        assert shown in (text, text.lower())
        assert text in (address, address.upper()) or script != script_of(address, network)


def test_the_hashes_offered_here_are_bitcoin_s() -> None:
    """BIP 173's example key, and FIPS 180's example text."""
    key = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    assert hash160(key).hex() == "751e76e8199196d454941c45d1b3a323f1433bd6"
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
