"""`visible`: nothing that comes from outside can control a terminal, hide, or turn the text around."""

import sys
import unicodedata
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doitrust.text import visible

# The planes with scripts and symbols, that of the tags and selectors, and a sample of the vast rest.
EVERYTHING = [
    chr(p) for p in (*range(0x20000), *range(0x20000, sys.maxunicode, 257), *range(0xE0000, 0xE1000))
]

# What no font draws (Unicode 16, DerivedCoreProperties.txt, Default_Ignorable_Code_Point): most are in Cf, but the
# variation selectors, the grapheme joiner and the fillers are marks and letters by category.
IGNORABLE = [
    *((0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3)),
    *((0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
]
UNDRAWN = {chr(point) for first, last in IGNORABLE for point in range(first, last + 1)}
BIDI_CLASSES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI", "BN", "B", "S"}


def escape(char: str) -> str:
    """The escape of a character as Python writes it."""
    return char.encode("unicode-escape").decode() if ord(char) > 0xFF else f"\\x{ord(char):02x}"


@cache
def survivors() -> frozenset[str]:
    """Every character that `visible` shows as it is."""
    return frozenset(char for char in EVERYTHING if visible(char) == char)


@pytest.mark.parametrize("category", sorted({unicodedata.category(char) for char in EVERYTHING}))
def test_every_category_of_characters_is_shown_whole_or_escaped_whole(category: str) -> None:
    """Controls, formats, surrogates, unassigned and private ones and separators never; the others always."""
    members = {char for char in EVERYTHING if unicodedata.category(char) == category} - {" "} - UNDRAWN
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"):
        assert not members & survivors()
    else:
        assert members <= survivors()


def test_what_is_not_shown_is_written_as_python_writes_it() -> None:
    for char in EVERYTHING:
        if char not in survivors():
            assert visible(char) == escape(char)


def test_every_string_of_everything_is_one_line_of_printable_characters() -> None:
    shown = visible("".join(EVERYTHING), limit=len(EVERYTHING))
    assert shown.isprintable()
    assert shown.splitlines() == [shown]
    assert set(shown) <= survivors() | set("\\xuU0123456789abcdef")


def test_nothing_that_steers_the_direction_of_text_survives() -> None:
    assert not {char for char in survivors() if unicodedata.bidirectional(char) in BIDI_CLASSES}


@pytest.mark.parametrize(("first", "last"), IGNORABLE, ids=[f"{first:04X}" for first, _ in IGNORABLE])
def test_nothing_that_no_font_draws_survives(first: int, last: int) -> None:
    """Two names that differ only in these look the same."""
    assert not {chr(point) for point in range(first, last + 1)} & survivors()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a b", "a b"),
        ("Elektriker Müller & Söhne", "Elektriker Müller & Söhne"),
        ("日本 Ω 😀 e\u0301", "日本 Ω 😀 e\u0301"),
        ("a\nb", r"a\x0ab"),
        ("a\r\x1b[2Kb", r"a\x0d\x1b[2Kb"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u200bb\u200db", r"a\u200bb\u200db"),
        ("\ufeffx", r"\ufeffx"),
        ("soft\u00adhyphen", r"soft\xadhyphen"),
        ("no\u00a0break", r"no\xa0break"),
        ("line\u2028end", r"line\u2028end"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("\U0010ffff", r"\U0010ffff"),
        ("\x7f\x85", r"\x7f\x85"),
    ],
)
def test_what_is_shown_for_a_text(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_long_texts_are_cut_and_say_so() -> None:
    assert visible("x" * 400) == "x" * 400
    assert visible("x" * 401) == "x" * 400 + "… (401 characters)"
    assert visible("x\n" * 300, 3) == r"x\x0ax" + "… (600 characters)"
    assert len(visible("\U0010ffff" * 10**6)) < 400 * 10 + 40


@given(st.text(st.characters(), max_size=60), st.integers(0, 70))
def test_any_text_is_safe_and_what_was_safe_is_unchanged(text: str, limit: int) -> None:
    shown = visible(text, limit)
    assert shown.isprintable()
    assert visible(visible(text)) == visible(text)
    shown.encode("utf-8")
    if len(text) <= limit and text.isprintable() and not UNDRAWN & set(text):
        assert shown == text
