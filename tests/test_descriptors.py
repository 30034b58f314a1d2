"""Descriptors and extended keys: the vectors of BIP 32, 67 and 380 to 383, embit as an oracle, and damage."""

import itertools

import pytest
from embit.bip32 import HDKey  # type: ignore[import-untyped]
from embit.descriptor import Descriptor as EmbitDescriptor  # type: ignore[import-untyped]
from embit.descriptor.checksum import add_checksum  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from support import attempt, key_of, refusal

from doitrust.chain.address import address_of, script_of, sha256
from doitrust.chain.bip32 import HARDENED, ExtendedKey, KeyOrigin, parse_steps, print_steps
from doitrust.chain.descriptors import MAX_LENGTH, Descriptor, KeyExpression, checksum
from doitrust.chain.networks import MAINNET, NETWORKS, REGTEST, TESTNET, Network
from doitrust.chain.scripts import p2wsh
from doitrust.errors import Usage

# ---- BIP 32

#: The chains of BIP 32's test vectors as far as public keys derive them: parent, index, child.
CHAINS = [
    (
        "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
        1,
        "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
    ),
    (
        "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
        2,
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
    ),
    (
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
        1_000_000_000,
        "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
    ),
    (
        "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
        0,
        "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
    ),
    (
        "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
        1,
        "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
    ),
    (
        "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
        2,
        "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
    ),
]
#: BIP 32's test vector 5, beside the private ones.
INVALID_KEYS = [
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm",
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Txnt3siSujt9RCVYsx4qHZGc62TG4McvMGcAUjeuwZdduYEvFn",
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6N8ZMMXctdiCjxTNq964yKkwrkBJJwpzZS4HS2fxvyYUA4q2Xe4",
    "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ",
    "xpub661MyMwAuDcm6CRQ5N4qiHKrJ39Xe1R1NyfouMKTTWcguwVcfrZJaNvhpebzGerh7gucBvzEQWRugZDuDXjNDRmXzSZe4c7mnTK97pTvGS8",
    "DMwo58pR1QLEFihHiXPVykYB6fJmsTeHvyTp7hRThAtCX8CvYzgPcn8XnmdfHGMQzT7ayAmfo4z3gY5KfbrZWZ6St24UVf2Qgo6oujFktLHdHY4",
    "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY",
]
PRIVATE = (
    "xprvA1RpRA33e1JQ7ifknakTFpgNXPmW2YvmhqLQYMmrj4xJXXWYpDPS3xz7iAxn8L39njGVyuoseXzU6rcxFLJ8HFsTjSyQbLYnMpCqE2Vb"
    "FWc"
)
WIF = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1"


@pytest.mark.parametrize(("parent", "index", "child"), CHAINS)
def test_children(parent: str, index: int, child: str) -> None:
    key = ExtendedKey.parse(parent)
    assert str(key) == parent
    assert str(key.child(index)) == child
    assert ExtendedKey.parse(child).parent == key.fingerprint
    assert ExtendedKey.from_bytes(key.serialize()) == key


@pytest.mark.parametrize("text", [*INVALID_KEYS, CHAINS[0][0][:-1] + "x", "", "1" * 112, "x" * 113, "xpüb"])
def test_what_is_no_extended_key(text: str) -> None:
    refusal(ExtendedKey.parse, text)


def test_a_private_key_is_refused_and_not_repeated() -> None:
    for text in (f"wpkh({PRIVATE})", f"wpkh({PRIVATE}/0/*)", f"wpkh([deadbeef/0h]{PRIVATE})"):
        message = refusal(Descriptor.parse, text, MAINNET)
        assert message == "a private key where a public one is wanted"
    for text in (f"wpkh({WIF})", f"pkh({WIF}/0)", f"wsh(sortedmulti(1,{WIF}))"):
        assert WIF[1:10] not in refusal(Descriptor.parse, text, MAINNET)


def test_the_deepest_key_has_no_children() -> None:
    raw = ExtendedKey.parse(CHAINS[0][0]).serialize()
    deepest = ExtendedKey.from_bytes(raw[:4] + b"\xfe" + raw[5:]).child(0)
    assert deepest.depth == 255
    refusal(deepest.child, 0)
    refusal(Descriptor.parse, f"pkh({deepest}/0)", MAINNET)
    for index in (-1, HARDENED):
        assert "hardened" in refusal(ExtendedKey.parse(CHAINS[0][0]).child, index)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20).map(tuple), st.binary(min_size=4, max_size=4))
def test_origins_and_paths(path: tuple[int, ...], fingerprint: bytes) -> None:
    origin = KeyOrigin(fingerprint, path)
    assert KeyOrigin.parse(str(origin)) == KeyOrigin.from_bytes(origin.serialize()) == origin
    assert KeyOrigin.parse(str(origin).replace("h", "'")) == origin
    assert parse_steps(print_steps(path).split("/")[1:]) == path


@pytest.mark.parametrize("raw", [b"", b"abc", b"abcde", bytes(4 * 257)])
def test_what_is_no_origin_s_bytes(raw: bytes) -> None:
    refusal(KeyOrigin.from_bytes, raw)


# ---- BIP 380

PLAIN = "0260b2003c386519fc9eadf2b5cf124dd8eea4c4e68d5e154050a9346ea98ce600"
XPUB = CHAINS[5][0]


def test_the_checksum_vectors() -> None:
    assert checksum("raw(deadbeef)") == "89f8spxm"
    assert checksum("raw(deedbeef)") != "89f8spxm"
    refusal(checksum, "raw(Ü)")


@pytest.mark.parametrize("damage", ["{}#", "{}#{}x", "{}#{:.7}", "{}##{:.7}", "x{}#{}", "{} #{}", "{}#{}#{}"])
def test_a_wrong_checksum_is_refused(damage: str) -> None:
    body, mark, given_ = str(Descriptor.parse(f"wpkh({PLAIN})", MAINNET)).partition("#")
    assert mark == "#"
    assert Descriptor.parse(f"{body}#{given_}", MAINNET) == Descriptor.parse(body, MAINNET)
    refusal(Descriptor.parse, damage.format(body, given_, given_), MAINNET)


@given(st.data())
def test_one_wrong_character_is_always_found(data: st.DataObject) -> None:
    text = str(Descriptor.parse(f"sh(wsh(sortedmulti(1,{PLAIN},[deadbeef/7h]{XPUB}/0/*)))", MAINNET))
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != text[at]))
    changed = text[:at] + other + text[at + 1 :]
    refusal(Descriptor.parse, changed, MAINNET)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (PLAIN, PLAIN),
        (PLAIN.upper(), PLAIN),
        (f"[deadbeef]{PLAIN}", f"[deadbeef]{PLAIN}"),
        (f"[DEADBEEF/0h/0h/0h]{PLAIN}", f"[deadbeef/0h/0h/0h]{PLAIN}"),
        (f"[deadbeef/0'/0'/0']{PLAIN}", f"[deadbeef/0h/0h/0h]{PLAIN}"),
        (f"[deadbeef/0'/0h/0']{PLAIN}", f"[deadbeef/0h/0h/0h]{PLAIN}"),
        (XPUB, XPUB),
        (f"[deadbeef/0h/1h/2h]{XPUB}", f"[deadbeef/0h/1h/2h]{XPUB}"),
        (f"[deadbeef/0h/1h/2h]{XPUB}/3/4/5", f"[deadbeef/0h/1h/2h]{XPUB}/3/4/5"),
        (f"[deadbeef/0h/1h/2h]{XPUB}/3/4/5/*", f"[deadbeef/0h/1h/2h]{XPUB}/3/4/5/*"),
        (f"{XPUB}/2147483647", f"{XPUB}/2147483647"),
    ],
)
def test_key_expressions(text: str, canonical: str) -> None:
    key = KeyExpression.parse(text, MAINNET)
    assert str(key) == canonical
    assert KeyExpression.parse(canonical, MAINNET) == key


@pytest.mark.parametrize(
    "text",
    [
        f"[deadbeef/0h/0h/0h/*]{PLAIN}",
        f"[deadbeef/0h/0h/0h/]{PLAIN}",
        f"[deadbef/0h/0h/0h]{PLAIN}",
        f"[deadbeeef/0h/0h/0h]{PLAIN}",
        f"[deadbeef/0f/0f/0f]{PLAIN}",
        f"[deadbeef/-0/-0/-0]{PLAIN}",
        f"[deadbeef/0H/0H/0H]{PLAIN}",
        f"[deadbeef/0h/1h/2]{XPUB}/3H/4h/5h/*H",
        f"{PLAIN}/0",
        f"{PLAIN}/*",
        f"{XPUB}/2147483648",
        f"{XPUB}/1aa",
        f"[aaaaaaaa][aaaaaaaa]{XPUB}/2147483647/0",
        f"aaaaaaaa]{XPUB}/2147483647/0",
        f"[gaaaaaaa]{XPUB}/2147483647/0",
        "[deadbeef]",
        # beyond BIP 380's own: what it allows and only a private key can do, what isn't canonical, what is cut
        f"{XPUB}/3h/4h/5h/*",
        f"{XPUB}/0h",
        f"{XPUB}/*h",
        f"[deadbeef/2147483648]{PLAIN}",
        f"{XPUB}/*/0",
        f"{XPUB}/",
        f"{XPUB}//0",
        f"{XPUB}/00",
        f"{XPUB}/٣",
        f"[deadbeef/٣]{PLAIN}",
        f"[deadbeef{PLAIN}",
        f"[deadbeef/{'/'.join(['0'] * 256)}]{PLAIN}",
        f" {PLAIN}",
        PLAIN[:-1],
        PLAIN + "0",
        "05" + PLAIN[2:],
        "02" + "00" * 31 + "07",
        "04a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd"
        "5b8dec5235a0fa8722476c7709c02559e3aa73aa03918ba2d492eea75abea235",
        "",
    ],
)
def test_what_is_no_key_expression(text: str) -> None:
    refusal(KeyExpression.parse, text, MAINNET)
    refusal(Descriptor.parse, f"wpkh({text})", MAINNET)


# ---- BIP 381 to 383 and BIP 67: scripts

KEY = "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd"


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        (f"pkh([deadbeef/1/2'/3/4']{KEY})", ["76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac"]),
        (f"pkh([deadbeef/1/2h/3/4h]{KEY})", ["76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac"]),
        (
            "pkh([bd16bee5/2147483647h]xpub69H7F5dQzmVd3vPuLKtcXJziMEQByuDidnX3YdwgtNsecY5HRGtAAQC5mXTt4dsv9RzyjgDjAQs9VGVV6ydYCHnprc9vvaA5YtqWyL6hyds/0)",
            ["76a914ebdc90806a9c4356c1c88e42216611e1cb4c1c1788ac"],
        ),
        (f"wpkh({KEY})", ["00149a1c78a507689f6f54b847ad1cef1e614ee23f1e"]),
        (
            f"wpkh([ffffffff/13']{CHAINS[3][2]}/1/2/*)",
            [
                "0014326b2249e3a25d5dc60935f044ee835d090ba859",
                "0014af0bd98abc2f2cae66e36896a39ffe2d32984fb7",
                "00141fa798efd1cbf95cebf912c031b8a4a6e9fb9f27",
            ],
        ),
    ],
)
def test_the_scripts_of_single_keys(text: str, scripts: list[str]) -> None:
    descriptor = Descriptor.parse(text, MAINNET)
    assert [descriptor.at(index).script.hex() for index in range(len(scripts))] == scripts
    assert descriptor.ranged is (len(scripts) > 1)


def test_the_published_sortedmulti_in_each_wrapping() -> None:
    inner = (
        f"sortedmulti(2,{XPUB}/*,xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4Cj"
        "NLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y/0/0/*)"
    )
    scripts = [
        "5221025d5fc65ebb8d44a5274b53bac21ff8307fec2334a32df05553459f8b1f7fe1b62102fbd47cc8034098f0e6a94c6aeee8528abf0a2153a5d8e46d325b7284c046784652ae",
        "52210264fd4d1f5dea8ded94c61e9641309349b62f27fbffe807291f664e286bfbe6472103f4ece6dfccfa37b211eb3d0af4d0c61dba9ef698622dc17eecdf764beeb005a652ae",
        "5221022ccabda84c30bad578b13c89eb3b9544ce149787e5b538175b1d1ba259cbb83321024d902e1a2fc7a8755ab5b694c575fce742c48d9ff192e63df5193e4c7afe1f9c52ae",
    ]
    legacy, native, nested = (
        Descriptor.parse(form.format(inner), MAINNET) for form in ("sh({})", "wsh({})", "sh(wsh({}))")
    )
    refusal(Descriptor.parse, inner, MAINNET)  # bare: no address script
    for index, text in enumerate(scripts):
        code = bytes.fromhex(text)
        program = p2wsh(sha256(code))
        assert legacy.at(index)[1:3] == (code, None)
        assert native.at(index)[:3] == (program, None, code)
        assert nested.at(index)[1:3] == (program, code)
        assert native.address(index) == address_of(program, MAINNET)


@pytest.mark.parametrize(
    ("keys", "order", "bitcoin_address"),
    [
        (
            [
                "02ff12471208c14bd580709cb2358d98975247d8765f92bc25eab3b2763ed605f8",
                "02fe6f0a5a297eb38c391581c4413e084773ea23954d93f7753db7dc0adc188b2f",
            ],
            [1, 0],
            "39bgKC7RFbpoCRbtD5KEdkYKtNyhpsNa3Z",
        ),
        (
            [
                "02632b12f4ac5b1d1b72b2a3b508c19172de44f6f46bcee50ba33f3f9291e47ed0",
                "027735a29bae7780a9755fae7a1c4374c656ac6a69ea9f3697fda61bb99a4f3e77",
                "02e2cc6bd5f45edd43bebe7cb9b675f0ce9ed3efe613b177588290ad188d11b404",
            ],
            [0, 1, 2],
            "3CKHTjBKxCARLzwABMu9yD85kvtm7WnMfH",
        ),
        (
            [
                "030000000000000000000000000000000000004141414141414141414141414141",
                "020000000000000000000000000000000000004141414141414141414141414141",
                "020000000000000000000000000000000000004141414141414141414141414140",
                "030000000000000000000000000000000000004141414141414141414141414140",
            ],
            [2, 1, 3, 0],
            "32V85igBri9zcfBRVupVvwK18NFtS37FuD",
        ),
        (
            [
                "022df8750480ad5b26950b25c7ba79d3e37d75f640f8e5d9bcd5b150a0f85014da",
                "03e3818b65bcc73a7d64064106a859cc1a5a728c4345ff0b641209fba0d90de6e9",
                "021f2f6e1e50cb6a953935c3601284925decd3fd21bc445712576873fb8c6ebc18",
            ],
            [2, 0, 1],
            "3Q4sF6tv9wsdqu2NtARzNCpQgwifm2rAba",
        ),
    ],
)
def test_keys_are_sorted_as_bip_67_wants(keys: list[str], order: list[int], bitcoin_address: str) -> None:
    own = Descriptor.parse(f"sh(sortedmulti(2,{','.join(keys)}))", MAINNET).at()
    # Bitcoin's version byte: everything before the address is the same.
    bitcoin = Network("mainnet", 0, 5, 128, "bc", "", 0, 0)
    assert address_of(own.script, bitcoin) == bitcoin_address
    assert [key.hex() for key in own.origins] == [keys[place] for place in order]


@pytest.mark.parametrize(
    "text",
    [
        f"pkh(pk({KEY}))",
        f"sh({KEY})",
        f"sh(sh(pkh({KEY})))",
        f"wsh(wpkh({KEY}))",
        f"wsh(wsh(pkh({KEY})))",
        f"sh(wsh(wsh(pkh({KEY}))))",
        f"wpkh(wsh(pkh({KEY})))",
        f"wsh({KEY})",
        f"wsh(sortedmulti(a,{KEY},{PLAIN}))",
        f"wsh(sortedmulti(0,{KEY},{PLAIN}))",
        f"wsh(sortedmulti(3,{KEY},{PLAIN}))",
        # not of the published ones
        f"wsh(sortedmulti(-1,{KEY}))",
        f"wsh(sortedmulti(01,{KEY}))",
        f"wsh(sortedmulti(1,{KEY},{KEY}))",
        f"wsh(sortedmulti(1,[deadbeef]{KEY},{KEY}))",
        f"wsh(sortedmulti(1,{XPUB}/0/*,{XPUB}/0/*))",
        f"wsh(sortedmulti(1,{KEY},))",
        "wsh(sortedmulti(1))",
        "wsh(sortedmulti(1,))",
        f"wsh(sortedmulti({KEY}))",
        f"wsh(multi(1,{KEY}))",
        f"multi(1,{KEY})",
        f"pk({KEY})",
        f"combo({KEY})",
        f"tr({KEY})",
        "raw(deadbeef)",
        f"sh(pkh({KEY}))",
        f"sh(wpkh({KEY})",
        f"sh(wpkh({KEY})))",
        f"wpkh({KEY}) ",
        f"wpkh( {KEY})",
        f"WPKH({KEY})",
        f"wpkh({KEY},{PLAIN})",
        KEY,
        "",
        "#",
        "()",
        "wpkh()",
        "addr()",
    ],
)
def test_what_is_no_descriptor(text: str) -> None:
    refusal(Descriptor.parse, text, MAINNET)


@pytest.mark.parametrize(("form", "most"), [("sh({})", 15), ("wsh({})", 16), ("sh(wsh({}))", 16)])
def test_the_most_keys(form: str, most: int) -> None:
    keys = [key_of(str(n)).hex() for n in range(most + 1)]
    for m in (1, most):
        assert Descriptor.parse(form.format(f"sortedmulti({m},{','.join(keys[:most])})"), MAINNET).m == m
    refusal(Descriptor.parse, form.format(f"sortedmulti(1,{','.join(keys)})"), MAINNET)


def test_addresses() -> None:
    for network in NETWORKS.values():
        for form in ("pkh({})", "wpkh({})", "sh(wpkh({}))", "wsh(sortedmulti(1,{}))"):
            address = Descriptor.parse(form.format(KEY), network).address()
            descriptor = Descriptor.parse(f"addr({address})", network)
            assert descriptor.at() == (script_of(address, network), None, None, {})
            assert (descriptor.address(), descriptor.ranged, descriptor.m) == (address, False, 0)
            assert Descriptor.parse(str(descriptor), network) == descriptor
    for text in ("addr(asdf)", "addr(3PUNyaW7M55oKWJ3kDukwk9bsKvryra15j)"):  # BIP 385; Bitcoin's own
        refusal(Descriptor.parse, text, MAINNET)
    main = Descriptor.parse(f"wpkh({KEY})", MAINNET).address()
    refusal(Descriptor.parse, f"addr({main})", TESTNET)
    refusal(Descriptor.parse, f"sh(addr({main}))", MAINNET)
    refusal(Descriptor.parse, f"wsh(addr({main}))", MAINNET)


def test_keys_of_another_network_are_refused() -> None:
    refusal(Descriptor.parse, f"wpkh({XPUB}/0/*)", REGTEST)
    tpub = str(ExtendedKey.from_bytes(bytes.fromhex("043587cf") + ExtendedKey.parse(XPUB).serialize()[4:]))
    assert tpub.startswith("tpub")
    refusal(Descriptor.parse, f"wpkh({tpub}/0/*)", MAINNET)
    assert Descriptor.parse(f"wpkh({tpub}/0/*)", REGTEST).address(5).startswith("ncrt1")


def test_only_a_range_has_indices() -> None:
    fixed, ranged = (Descriptor.parse(f"wpkh({XPUB}/{end})", MAINNET) for end in ("0", "*"))
    assert fixed.at(0) == fixed.at()
    assert ranged.at(HARDENED - 1).script != ranged.at(0).script
    refusal(fixed.at, 1, kind=Usage)
    refusal(ranged.at, -1, kind=Usage)
    refusal(ranged.at, HARDENED, kind=Usage)


def test_origins_say_the_whole_path() -> None:
    own = Descriptor.parse(f"wpkh([deadbeef/84h/7h/0h]{XPUB}/0/*)", MAINNET).at(9)
    assert [str(origin) for origin in own.origins.values()] == ["deadbeef/84h/7h/0h/0/9"]
    bare = Descriptor.parse(f"wsh(sortedmulti(1,{XPUB}/1/*,{KEY}))", MAINNET).at(2)
    extended = ExtendedKey.parse(XPUB)
    assert {key.hex(): str(origin) for key, origin in bare.origins.items()} == {
        extended.child(1).child(2).key.hex(): extended.fingerprint.hex() + "/1/2",
        KEY: "9a1c78a5",
    }
    fixed = Descriptor.parse(f"wpkh([deadbeef/0h]{KEY})", MAINNET).at()
    assert [str(origin) for origin in fixed.origins.values()] == ["deadbeef/0h"]


def test_the_length_is_bounded() -> None:
    refusal(Descriptor.parse, "wpkh(" + "0" * MAX_LENGTH + ")", MAINNET)
    path = "/".join(["2147483647h"] * 6)
    key = f"[deadbeef/{path}]{XPUB}/2147483647/2147483647/*"
    longest = ",".join(key.replace("/*", f"/{n}/*") for n in range(16))
    text = str(Descriptor.parse(f"sh(wsh(sortedmulti(16,{longest})))", MAINNET))
    assert len(text) < MAX_LENGTH


# ---- embit as an oracle

PATHS = st.lists(st.integers(0, HARDENED - 1), max_size=3)
HARD_PATHS = st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)


@st.composite
def key_expressions(draw: st.DrawFn) -> str:
    origin = ""
    if draw(st.booleans()):
        origin = f"[{KeyOrigin(draw(st.binary(min_size=4, max_size=4)), draw(HARD_PATHS))}]"
    if draw(st.integers(0, 3)) == 0:
        return origin + key_of(draw(st.text("abc", max_size=3))).hex()
    hd = HDKey.from_seed(draw(st.binary(min_size=32, max_size=32))).to_public()
    path = "".join(f"/{step}" for step in draw(PATHS))
    return f"{origin}{hd.to_base58()}{path}{draw(st.sampled_from(('', '/*')))}"


@st.composite
def descriptors(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return draw(st.sampled_from(("pkh({})", "wpkh({})", "sh(wpkh({}))"))).format(draw(key_expressions()))
    keys = draw(st.lists(key_expressions(), min_size=1, max_size=5))
    inner = f"sortedmulti({draw(st.integers(1, len(keys)))},{','.join(keys)})"
    return draw(st.sampled_from(("sh({})", "wsh({})", "sh(wsh({}))"))).format(inner)


@given(descriptors(), st.integers(0, HARDENED - 1))
def test_embit_makes_the_same_scripts(text: str, index: int) -> None:
    descriptor = attempt(Descriptor.parse, text, MAINNET)
    if descriptor is None:
        return  # a key twice
    assert str(descriptor) == add_checksum(text)
    own = descriptor.at(index if descriptor.ranged else 0)
    other = EmbitDescriptor.from_string(text)
    other = other.derive(index)  # even without a range: before, its paths are not gone
    assert own.script == other.script_pubkey().data
    assert own.redeem_script == (other.redeem_script().data if other.redeem_script() else None)
    assert own.witness_script == (other.witness_script().data if other.witness_script() else None)


def test_embit_derives_the_same_keys() -> None:
    for parent, index in itertools.product((chain[0] for chain in CHAINS), (0, 1, 2**31 - 1)):
        assert (
            str(ExtendedKey.parse(parent).child(index)) == HDKey.from_string(parent).child(index).to_base58()
        )


# ---- damage


@given(st.text(max_size=300))
def test_any_text_is_refused_or_read(text: str) -> None:
    attempt(Descriptor.parse, text, REGTEST)
    attempt(KeyOrigin.parse, text)
    attempt(ExtendedKey.parse, text)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_or_read(raw: bytes) -> None:
    for read in (attempt(ExtendedKey.from_bytes, raw), attempt(KeyOrigin.from_bytes, raw)):
        assert read is None or read.serialize() == raw


@given(descriptors(), st.data())
def test_damage_is_refused_or_read_the_same_again(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    insert = data.draw(st.text("0123456789abcdefh'/*[](),#pubwxs é\u202e", max_size=3))
    changed = text[:at] + insert + text[at + data.draw(st.integers(0, 3)) :]
    read = attempt(Descriptor.parse, changed, MAINNET)
    assert read is None or Descriptor.parse(str(read), MAINNET) == read
