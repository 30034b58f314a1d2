"""What organisations and meters may be called, pins and fingerprints, and the links that carry them."""

import sys
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import attempt, refusal

from doitrust.chain.networks import DEVNET, MAINNET, NETWORKS, REGTEST, network_named
from doitrust.errors import BadData, DoitrustError, Usage
from doitrust.meters.link import MeterLink, read_meter
from doitrust.meters.link import write_link as write_meter_link
from doitrust.meters.number import meter_number, number_of_record
from doitrust.meters.number import record_name as meter_record
from doitrust.orgs.link import OrganisationLink, read_link, write_link
from doitrust.orgs.names import check_name, name_of_record, record_name
from doitrust.orgs.pins import Pin, Segment, check_txid, fingerprint, matching_root

ROOT = "ab" * 32
NAME = "Elektriker Müller & Söhne"
# Every character, but of the Han, Hangul, private and unassigned ones a sample.
EVERYTHING = [
    chr(point)
    for point in range(sys.maxunicode + 1)
    if point < 0x3000 or point % 257 == 0 or unicodedata.category(chr(point)) not in ("Lo", "Co", "Cn", "Cs")
]

# ---- organisations

NAMES = [
    "A",
    "7",
    NAME,
    "Elektro-Innung Passau",
    "Defunct e.V.",
    "O'Neill, Ltd. (UK) + Co.",
    "Łódź Ærø Œuvre ß ẞ \u0131 İ \u017f Ǆ",
    "Tiếng Việt",
    "q\u0323\u0307",
    "a" * 64,
    "ü" * 32,
    "a b c",
    "&.,-'()+",
    "-",
]
REFUSED_NAMES = {
    "nothing": "",
    "65 bytes": "a" * 65,
    "33 letters of two bytes": "ü" * 33,
    "64 characters of 65 bytes": "a" * 63 + "ü",
    "a leading space": " a",
    "a trailing space": "a ",
    "two spaces": "a  b",
    "only a space": " ",
    "not in normal form C": "Mu\u0308ller",
    "the Kelvin sign": "\u212aabel",
    "the Angstrom sign": "\u212bngstrom",
    "marks in another order": "x\u0307\u0323",
    "a tab": "a\tb",
    "a line end": "a\n",
    "a null": "a\0b",
    "an escape": "\x1b[31m",
    "a no-break space": "a\u00a0b",
    "an em space": "a\u2003b",
    "a zero-width space": "a\u200bb",
    "a zero-width joiner": "a\u200db",
    "a soft hyphen": "a\u00adb",
    "right to left": "a\u202eb",
    "a byte order mark": "\ufeffa",
    "a lone surrogate": "a\ud800",
    "a private letter": "\ue000",
    "Cyrillic": "\u0415lektro",
    "Greek": "Elektr\u03bf",
    "Armenian": "\u0585",
    "Cherokee": "\u13aa",
    "Hebrew": "א",
    "Arabic": "\u0627",
    "Han": "電",
    "full width": "\uff21",
    "mathematical": "\U0001d400",
    "in a circle": "Ⓐ",
    "a Roman numeral": "Ⅷ",
    "a superscript": "²",
    "an Arabic digit": "\u0661",
    "an ordinal": "ª",
    "a slash": "a/b",
    "a colon": "a:b",
    "quotes": 'a"b',
    "an at": "a@b",
    "an underscore": "a_b",
    "an asterisk": "a*b",
    "a percent": "a%b",
    "a question mark": "a?b",
    "a backslash": "a\\b",
    "angle brackets": "<a>",
    "an apostrophe of print": "O’Neill",
    "an en dash": "a–b",
    "an emoji": "⚡",
}


@pytest.mark.parametrize("name", NAMES)
def test_what_an_organisation_may_be_called(name: str) -> None:
    assert check_name(name) == name
    assert record_name(name) == b"bp_organization/" + name.encode()
    assert name_of_record(record_name(name)) == name


@pytest.mark.parametrize("case", REFUSED_NAMES)
def test_what_an_organisation_may_not_be_called(case: str) -> None:
    name = REFUSED_NAMES[case]
    refusal(lambda: check_name(name))
    refusal(lambda: record_name(name))
    refusal(lambda: Pin(name, (Segment(ROOT),)))
    assert name_of_record(b"bp_organization/" + name.encode("utf-8", "surrogatepass")) is None


def test_of_all_single_characters_those_are_names_that_formats_md_lists() -> None:
    """Latin letters, marks, digits and `& . , - ' ( ) +`, in NFC. A space alone leads and trails."""
    accepted = {char for char in EVERYTHING if attempt(check_name, char)}
    ascii_ones = {char for char in accepted if char.isascii()}
    assert "".join(sorted(ascii_ones)) == (
        "&'()+,-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    )
    others = accepted - ascii_ones
    assert {unicodedata.category(char)[0] for char in others} == {"L", "M"}
    assert all("LATIN" in unicodedata.name(char) for char in others if unicodedata.category(char)[0] == "L")
    assert set("äöüßÄÖÜéèêçñøåæœłżšžőűığşțđ") <= others
    assert all(unicodedata.normalize("NFC", char) == char for char in others)


@given(st.text(st.characters(), max_size=70))
def test_any_text_is_a_name_or_refused_and_no_name_is_another_s(name: str) -> None:
    if attempt(check_name, name) is not None:
        assert name_of_record(record_name(name)) == name == unicodedata.normalize("NFC", name)
        assert 1 <= len(name.encode()) <= 64


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"bp_organization",
        b"bp_organization/",
        b"bp/A",
        b"bp_organization/\xff",
        b"BP_organization/A",
        b"xbp_organization/A",
    ],
)
def test_other_records_belong_to_no_organisation(record: bytes) -> None:
    assert name_of_record(record) is None


# ---- meters


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("1EMH0012345678", "1EMH0012345678"),
        ("1emh0012345678", "1EMH0012345678"),
        ("1 EMH 00 1234 5678", "1EMH0012345678"),
        ("1-EMH.00-1234.5678 ", "1EMH0012345678"),
        ("1EMH110002878662", "1EMH110002878662"),
        ("EMH02806498", "EMH02806498"),
        ("02280816", "02280816"),
        ("abcd", "ABCD"),
        ("0000", "0000"),
        ("z" * 32, "Z" * 32),
        (" . - abcd . - ", "ABCD"),
        ("a" * 32 + " " * 100, "A" * 32),
    ],
)
def test_a_meter_number_as_people_type_it(typed: str, number: str) -> None:
    assert meter_number(typed) == number
    assert meter_number(number) == number
    assert number_of_record(meter_record(number)) == number
    assert meter_record(number) == b"bp/" + number.encode()


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "abc",
        "a b c",
        "....",
        "a" * 33,
        "1EMH_0012345678",
        "1EMH/0012345678",
        "1EMH\t0012345678",
        "1EMH0012345678\n",
        "1EMH\u00a00012345678",
        "1EMH\u20110012345678",
        "1EMH\u200b0012345678",
        "1ÉMH0012345678",
        "\x001EMH0012345678",
        "1EMH0012345678\x1b[31m",
        "\ud8001EMH0012345678",
    ],
)
def test_what_is_no_meter_number(typed: str) -> None:
    refusal(lambda: meter_number(typed), kind=Usage)


@pytest.mark.parametrize(
    "char",
    [
        "\u0131",
        "\u017f",
        "\u212a",
        "ﬁ",
        "ß",
        "ŉ",
        "ǰ",
        "\uff21",
        "\uff41",
        "\uff11",
        "¹",
        "²",
        "①",
        "\u0661",
        "\U0001d7cf",
        "Ⅷ",
        "ª",
        "İ",
    ],
)
def test_no_letter_becomes_ascii_on_the_way(char: str) -> None:
    """Upper- or lower-cased, or by compatibility, each of these is ASCII or begins with it; ASCII is asked first."""
    refusal(lambda: meter_number("1EMH001234567" + char), kind=Usage)
    refusal(lambda: meter_number(char + "EMH0012345678"), kind=Usage)
    refusal(lambda: read_meter(f"doitrust:meter/1EMH001234567{quote(char)}"), kind=Usage)


def test_no_character_outside_ascii_is_in_any_meter_number() -> None:
    turning = [
        char
        for char in EVERYTHING[0x80:]
        if any(c.isascii() for c in char.upper() + char.lower() + unicodedata.normalize("NFKC", char))
    ]
    assert len(turning) > 1000
    assert not [char for char in turning if attempt(meter_number, "1EMH" + char, kind=Usage)]


@given(st.one_of(st.text(max_size=40), st.text("abzAZ09 .-", max_size=40)))
def test_any_text_is_a_meter_number_or_refused(typed: str) -> None:
    expected = "".join(c for c in typed if c not in " .-").upper()
    valid = typed.isascii() and expected.isalnum() and 4 <= len(expected) <= 32
    assert attempt(meter_number, typed, kind=Usage) == (expected if valid else None)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"bp/",
        b"bp/abc",
        b"bp/abcd",
        b"bp/ABC",
        b"bp/" + b"A" * 33,
        b"bp/ABCD ",
        b"bp/ABCD\n",
        b"BP/ABCD",
        b"bp_organization/ABCD",
        b"bp/ABC\xc9",
        b"bp/ABC\xc3\x89",
        b"bp//ABCD",
        b"bp/AB-CD",
    ],
)
def test_other_records_belong_to_no_meter(record: bytes) -> None:
    """Only normalised numbers: a record under any other spelling is another record."""
    assert number_of_record(record) is None


@given(st.binary(max_size=40))
def test_any_record_belongs_to_one_meter_one_organisation_or_neither(name: bytes) -> None:
    for record in (name, b"bp/" + name, b"bp_organization/" + name):
        number, organisation = number_of_record(record), name_of_record(record)
        assert number is None or organisation is None
        assert number is None or meter_record(number) == record
        assert organisation is None or record_name(organisation) == record


# ---- pins


def test_the_fingerprint_that_formats_md_gives() -> None:
    assert fingerprint(MAINNET, NAME, ROOT) == "3dcg-n73q-fc4f-znmd"


def test_a_fingerprint_tells_networks_names_and_roots_apart() -> None:
    roots = [ROOT, "ab" * 31 + "ac"]
    names = [NAME, "Elektriker Müller & Söhn", "elektriker Müller & Söhne"]
    found = {
        fingerprint(network, name, root) for network in NETWORKS.values() for name in names for root in roots
    }
    assert len(found) == 4 * 3 * 2
    assert fingerprint(REGTEST, NAME, ROOT) != fingerprint(DEVNET, NAME, ROOT)


@pytest.mark.parametrize(
    "wanted",
    [
        "3dcg-n73q-fc4f-znmd",
        "3DCG-N73Q-FC4F-ZNMD",
        "3dcgn73qfc4fznmd",
        " 3dcg n73q fc4f znmd ",
        "3-d-c-g-n73qfc4fznmd\n",
    ],
)
def test_a_fingerprint_as_people_type_it_finds_its_root(wanted: str) -> None:
    assert matching_root(wanted, MAINNET, NAME, ["cd" * 32, ROOT, "ef" * 32]) == [ROOT]
    assert matching_root(wanted, MAINNET, NAME, ["cd" * 32]) == []
    assert matching_root(wanted, REGTEST, NAME, [ROOT]) == []
    assert matching_root(wanted, MAINNET, NAME, [ROOT, ROOT]) == [ROOT, ROOT]


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "3dcg",
        "3dcg-n73q-fc4f-znm",
        "3dcg-n73q-fc4f-znmdd",
        "3dcg-n73q-fc4f-znm1",
        "3dcg-n73q-fc4f-znm0",
        "3dcg-n73q-fc4f-znm8",
        "3dcg_n73q_fc4f_znmd",
        "\uff13dcg-n73q-fc4f-znmd",
        "3dcg-n73q-fc4f-znm\u0501",
        "3dcg–n73q–fc4f–znmd",
        "\ud8003dcgn73qfc4fznmd",
    ],
)
def test_what_is_no_fingerprint_is_refused_and_not_merely_unknown(wanted: str) -> None:
    refusal(lambda: matching_root(wanted, MAINNET, NAME, [ROOT]))


@pytest.mark.parametrize("text", [ROOT, ROOT.upper(), f" {ROOT}\n", "0" * 64, "f" * 64])
def test_a_txid_as_people_paste_it(text: str) -> None:
    assert check_txid(text) == text.strip().lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        ROOT[:-1],
        ROOT + "a",
        "0x" + ROOT[2:],
        ROOT[:-1] + "g",
        ROOT[:32] + " " + ROOT[33:],
        ROOT[:-1] + "\uff11",
        ROOT[:-1] + "\u0430",
        "\ud800" * 64,
    ],
)
def test_what_is_no_txid(text: str) -> None:
    refusal(lambda: check_txid(text))


def pinned(*segments: tuple[str, str | None]) -> Pin:
    return Pin(NAME, tuple(Segment(root, until) for root, until in segments))


def test_a_pin_has_a_name_and_at_least_one_root() -> None:
    pin = pinned((ROOT, "cd" * 32), ("ef" * 32, None))
    assert [segment.root for segment in pin.segments] == [ROOT, "ef" * 32]
    refusal(pinned)
    refusal(Pin, " ", pin.segments)
    for bad in ("", "ab", ROOT + "00"):
        refusal(pinned, (bad, None))
        refusal(pinned, (ROOT, bad))
        refusal(pinned, (ROOT, None), (bad, None))


@pytest.mark.parametrize("text", [ROOT.upper(), f" {ROOT}", f"{ROOT}\n"])
def test_a_pin_keeps_txids_as_the_chain_names_them_or_refuses_them(text: str) -> None:
    """Kept as typed it would pass for a pin and match no write, for ever."""
    for segment in ((text, None), (ROOT, text)):
        pin = attempt(pinned, segment)
        assert pin is None or {pin.segments[0].root, pin.segments[0].until} <= {ROOT, None}


@pytest.mark.parametrize("name", ["", "Mainnet", "bitcoin", "main", " mainnet", "mainnet\n", "\x1b[31m"])
def test_there_are_four_networks(name: str) -> None:
    assert [network_named(known).name for known in NETWORKS] == ["mainnet", "testnet", "regtest", "devnet"]
    refusal(lambda: network_named(name), kind=Usage)


# ---- links to organisations

WHOLE = f"doitrust:org/Gilde?network=mainnet&root={ROOT}"


@pytest.mark.parametrize("name", NAMES)
def test_a_link_to_an_organisation_goes_round(name: str) -> None:
    link = write_link(name, "testnet", ROOT)
    assert link.startswith("doitrust:org/")
    assert link.isascii()
    assert link.count("?") == 1
    assert read_link(link) == OrganisationLink(name, "testnet", ROOT)


def test_a_link_to_an_organisation_as_formats_md_writes_it() -> None:
    encoded = "Elektriker%20M%C3%BCller%20%26%20S%C3%B6hne"
    expected = f"doitrust:org/{encoded}?network=mainnet&root={ROOT}"
    assert write_link(NAME, "mainnet", ROOT) == expected
    assert read_link(expected) == read_link(f"doitrust:org/{NAME}?root={ROOT.upper()}&network=mainnet")


def test_a_plus_in_a_name_is_a_plus() -> None:
    assert read_link(WHOLE.replace("Gilde", "A+B")).name == "A+B"


@pytest.mark.parametrize(
    "link",
    [
        "",
        "doitrust:org/",
        "doitrust:org/Gilde",
        "doitrust:org/Gilde?",
        "doitrust:org/Gilde?network=mainnet",
        f"doitrust:org/Gilde?root={ROOT}",
        f"doitrust:org/?network=mainnet&root={ROOT}",
        f"doitrust:org/Gilde?network=&root={ROOT}",
        f"doitrust:org/Gilde?network=mainnet&root={ROOT[:-1]}",
        f"doitrust:org/Gilde?network=mainnet&root={ROOT}00",
        f"doitrust:org/Gilde?network=mainnet&root={ROOT}#fragment",
        f"doitrust:org/Gilde?network=mainnet;root={ROOT}",
        f"doitrust:org/Gilde?network=mainnet&&root={ROOT}",
        f"doitrust:org/Gilde?network=mainnet&root={ROOT}&x",
        f"doitrust:org/Gilde?network=mainnet&root={ROOT}&x=%ff",
        f"doitrust:org/%20?network=mainnet&root={ROOT}",
        f"doitrust:org/A%20%20B?network=mainnet&root={ROOT}",
        f"doitrust:org/A%2FB?network=mainnet&root={ROOT}",
        f"doitrust:org/A/B?network=mainnet&root={ROOT}",
        f"doitrust:org/%ff?network=mainnet&root={ROOT}",
        f"doitrust:org/%C3?network=mainnet&root={ROOT}",
        f"doitrust:org/%?network=mainnet&root={ROOT}",
        f"doitrust:org/%1b%5b31m?network=mainnet&root={ROOT}",
        f"doitrust:org/%E2%80%AEA?network=mainnet&root={ROOT}",
        f"doitrust:org/M%75%CC%88ller?network=mainnet&root={ROOT}",
        f"doitrust:org/\ud800?network=mainnet&root={ROOT}",
        f"doitrust:org/{'A' * 65}?network=mainnet&root={ROOT}",
        f"doitrust:org/Gilde?network=mainnet&root={ROOT}&x={'y' * 1000}",
        f"doitrust:meter/Gilde?network=mainnet&root={ROOT}",
        f"https://example.org/Gilde?network=mainnet&root={ROOT}",
        f" {WHOLE}",
        f"{WHOLE}\n",
        f"x{WHOLE}",
        WHOLE * 2,
        f"{WHOLE}&root={'cd' * 32}",
        f"{WHOLE}&network=devnet",
    ],
)
def test_a_link_to_an_organisation_that_is_not_whole_is_refused(link: str) -> None:
    refusal(lambda: read_link(link), kind=Usage)


@given(st.text(st.characters(), max_size=60))
def test_any_text_is_a_link_to_an_organisation_or_refused(text: str) -> None:
    hostile = (
        text,
        f"doitrust:org/{text}",
        f"doitrust:org/{text}?network=mainnet&root={ROOT}",
        f"doitrust:org/Gilde?network={text}&root={ROOT}",
        f"doitrust:org/Gilde?network=mainnet&root={ROOT}{text}",
        f"doitrust:org/Gilde?{text}",
    )
    for link in hostile:
        found = attempt(read_link, link, kind=Usage)
        if found is not None:
            assert check_name(found.name) == found.name
            assert check_txid(found.root) == found.root


# ---- links to meters


@pytest.mark.parametrize("name", NAMES)
def test_a_link_to_a_meter_goes_round(name: str) -> None:
    link = write_meter_link("1EMH0012345678", "mainnet", name)
    assert link.isascii()
    assert read_meter(link) == MeterLink("1EMH0012345678", "mainnet", name)


def test_a_link_to_a_meter_as_formats_md_writes_it() -> None:
    link = "doitrust:meter/1EMH0012345678?network=mainnet&org=Elektriker%20M%C3%BCller%20%26%20S%C3%B6hne"
    assert write_meter_link("1EMH0012345678", "mainnet", NAME) == link


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1emh 0012.3456-78", ("1EMH0012345678", None, None)),
        ("doitrust:meter/1EMH0012345678", ("1EMH0012345678", None, None)),
        ("doitrust:meter/1EMH0012345678?", ("1EMH0012345678", None, None)),
        ("doitrust:meter/1emh%200012345678", ("1EMH0012345678", None, None)),
        ("doitrust:meter/1EMH0012345678?network=devnet", ("1EMH0012345678", "devnet", None)),
        ("doitrust:meter/1EMH0012345678?org=A%2BB&root=x", ("1EMH0012345678", None, "A+B")),
    ],
)
def test_a_meter_or_a_link_to_one(text: str, expected: tuple[str, str | None, str | None]) -> None:
    assert read_meter(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "doitrust:",
        "doitrust:meter",
        "doitrust:meter/",
        "doitrust:meter/?network=mainnet",
        "doitrust:meter/abc",
        "doitrust:meter/1EMH0012345678/",
        "doitrust:meter/1EMH0012345678\n",
        "doitrust:meter/1EMH0012345678?network",
        "doitrust:meter/1EMH0012345678?&",
        "doitrust:meter/1EMH0012345678?org=%ff",
        "doitrust:meter/%ff%ff%ff%ff",
        "doitrust:meter/\ud8001EMH0012345678",
        "doitrust:meter/1EMH0012345678?network=mainnet\n&org=A",
        f"doitrust:meter/1EMH0012345678?org={'A' * 1000}",
        "doitrust:meter/1EMH0012345678?org=A&org=B",
        "doitrust:meter/1EMH0012345678?network=mainnet&network=devnet",
        "doitrust:org/1EMH0012345678",
        "DOITRUST:meter/1EMH0012345678",
        "https://example.org/1EMH0012345678",
        WHOLE,
    ],
)
def test_what_is_no_link_to_a_meter(text: str) -> None:
    refusal(lambda: read_meter(text), kind=Usage)


def test_a_link_to_a_meter_never_pins_anything() -> None:
    """Not even where it brings a root along: there is no place for one."""
    assert MeterLink._fields == ("meter", "network", "organization")


@given(st.text(st.characters(), max_size=60))
def test_any_text_is_a_link_to_a_meter_or_refused(text: str) -> None:
    for link in (text, f"doitrust:{text}", f"doitrust:meter/{text}", f"doitrust:meter/1EMH0012345678?{text}"):
        found = attempt(read_meter, link, kind=Usage)
        assert found is None or meter_number(found.meter) == found.meter


def test_no_refusal_here_shows_more_than_a_line_of_what_it_was_given() -> None:
    """Nor any of it raw."""
    huge = "\x1b[31m\n\u202e" * 10_000
    calls: list[tuple[Callable[[str], object], type[DoitrustError]]] = [
        (check_name, BadData),
        (meter_number, Usage),
        (read_link, Usage),
        (read_meter, Usage),
        (check_txid, BadData),
    ]
    for call, kind in calls:
        for text in (huge, "doitrust:" + huge, "doitrust:org/" + huge, "doitrust:meter/" + huge):
            refusal(call, text, kind=kind, most=5000)
