"""The sticker: what a camera reads from it, what a person reads, and that nothing of it is lost unseen."""

import random
import unicodedata
from datetime import date
from typing import Any

import pypdfium2  # type: ignore[import-untyped]
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from doitrust.adapters.label import _drawn, _load_fonts, label_pdf
from doitrust.chain.networks import DEVNET, MAINNET, NETWORKS, REGTEST, Network
from doitrust.errors import Refused
from doitrust.meters.link import read_meter, write_link
from doitrust.orgs.names import check_name

METER = "1EMH0012345678"
NAME = "Elektriker Müller & Söhne"
DAY = date(2026, 11, 21)
MM = 72 / 25.4


def label(
    meter: str = METER, name: str = NAME, seal: tuple[str, ...] = ("A-1001",), network: Network = MAINNET
) -> bytes:
    return label_pdf(meter, name, DAY, write_link(meter, network.name, name), seal=seal, network=network)


def page(pdf: bytes) -> Any:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    return document[0]


def text(pdf: bytes) -> str:
    """What the page says, lines joined by spaces."""
    return " ".join(page(pdf).get_textpage().get_text_range().split())


def picture(pdf: bytes, dots_per_inch: float = 300) -> Any:
    return page(pdf).render(scale=dots_per_inch / 72).to_pil().convert("L")


def scanned(image: Any) -> str | None:
    """The text of the QR code in a picture."""
    found = zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    return found[0].text if found else None


# ---- what a camera reads


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
def test_the_code_is_the_link(network: Network) -> None:
    link = scanned(picture(label(network=network)))
    assert link == write_link(METER, network.name, NAME)
    assert read_meter(link) == (METER, network.name, NAME)


def test_the_longest_link_is_read_too() -> None:
    meter, name = "X" * 32, "Ö" * 32
    assert scanned(picture(label(meter, name, network=REGTEST), 150)) == write_link(meter, "regtest", name)


@pytest.mark.parametrize("tilt", [0, 3, -7, 30, 90, 180])
def test_a_telephone_reads_it(tilt: float) -> None:
    """The sticker held so that it is some 340 pixels wide: tilted, out of focus, noisy, in bad light."""
    image = picture(label(), 144).point(lambda grey: 70 + grey // 2)
    image = image.rotate(tilt, expand=True, fillcolor=190, resample=Image.Resampling.BICUBIC)
    image = image.filter(ImageFilter.GaussianBlur(0.7))
    noise = random.Random(1)
    dirty = bytes(max(0, min(255, grey + noise.randint(-25, 25))) for grey in image.tobytes())
    assert scanned(Image.frombytes("L", image.size, dirty)) == write_link(METER, "mainnet", NAME)


def test_dirt_and_scratches_are_survived() -> None:
    """Level M: some 15 % of the code may be lost."""
    image = picture(label())
    left, top, right, bottom = code(image)
    side = right - left
    image.paste(
        0, (left + side // 2, top + side // 2, left + side // 2 + side // 6, top + side // 2 + side // 6)
    )
    image.paste(255, (left + side // 3, top, left + side // 3 + 4, bottom))
    assert scanned(image) == write_link(METER, "mainnet", NAME)


def code(image: Any) -> tuple[int, int, int, int]:
    """Where the code is, in pixels: what is dark at the upper left."""
    width, height = image.size
    area = image.crop((0, 0, width // 2, height * 30 // 40)).point(lambda grey: 255 if grey < 128 else 0)
    box: tuple[int, int, int, int] = area.getbbox()
    return box


@pytest.mark.parametrize(("meter", "name"), [("ABCD", "A"), (METER, NAME), ("X" * 32, "Ö" * 32)])
def test_the_code_is_large_enough_and_has_its_quiet_zone(meter: str, name: str) -> None:
    dots = 600
    image = picture(label(meter, name), dots)
    left, top, right, bottom = code(image)
    a_mm = dots / 25.4
    assert abs((right - left) - (bottom - top)) <= 2
    assert right - left >= 20 * a_mm
    finder = next(x for x in range(left, right) if image.getpixel((x, top + 2)) > 128) - left
    module = finder / 7
    quiet = 4 * module - 2
    assert min(left, top) >= quiet
    around = (int(left - quiet), int(top - quiet), int(right + quiet), int(bottom + quiet))
    below = image.crop((around[0], bottom, around[2], around[3]))
    beside = image.crop((right, around[1], around[2], around[3]))
    assert min(side.getextrema()[0] for side in (below, beside)) > 128  # but for the soft edge of the code


# ---- what a person reads


def test_the_page_is_60_by_40_millimetres() -> None:
    width, height = page(label()).get_size()
    assert (round(width / MM, 2), round(height / MM, 2)) == (60, 40)


def test_it_says_meter_organisation_seals_and_date() -> None:
    assert text(label(seal=("A-1001", "B 2"))) == f"{METER} {NAME} Seal A-1001, B 2 2026-11-21"
    assert text(label(seal=())) == f"{METER} {NAME} 2026-11-21"


@pytest.mark.parametrize("network", NETWORKS.values(), ids=lambda network: network.name)
def test_off_mainnet_it_is_a_test(network: Network) -> None:
    shown = text(label(network=network))
    assert ("TEST" in shown) is (network is not MAINNET)
    assert network is MAINNET or f"TEST: {network.name}" in shown


def test_nothing_is_drawn_over_the_edge_or_over_something_else() -> None:
    for name in ("A", "Ö" * 32, "W" * 64, "W " * 31 + "W", "ÇÅ" * 16):
        for network in (MAINNET, DEVNET):
            image = picture(label("X" * 32, name, tuple(f"A-{n}" for n in range(20)), network), 200)
            width, height = image.size
            box = image.point(lambda grey: 255 - grey).getbbox()
            assert box[0] > 0
            assert box[1] > 0
            assert box[2] < width
            assert box[3] < height
            characters = page(label("X" * 32, name, ("A-1",), network)).get_textpage()
            boxes = [characters.get_charbox(n) for n in range(characters.count_chars())]
            boxes = [(a, b, c, d) for a, b, c, d in boxes if c > a and d > b]
            for n, one in enumerate(boxes):
                for other in boxes[n + 1 :]:
                    across = min(one[2], other[2]) - max(one[0], other[0])
                    down = min(one[3], other[3]) - max(one[1], other[1])
                    assert across < 0.5 or down < 0.5, (name, network.name)


#: Latin letters in use from Iceland to Turkey and Vietnam.
LETTERS = "ÄÖÜäöüßẞÀÉÎÕçñåøæœÐðÞþŁłŐőŰűŠšČčŘřŽžĞğİıĄąĘęŃńŚśŹźŻżȘșȚțĀāĒēĢģĶķĻļŅņĦħĊċŴŵŶŷẤấỢợĿŀŉĸŊŋŦŧ"


def test_latin_letters_print_right() -> None:
    for at in range(0, len(LETTERS), 16):
        name = check_name(unicodedata.normalize("NFC", LETTERS[at : at + 16]))
        assert name in text(label(name=name)).replace(" ", "") + text(label(name=name))


def test_every_latin_letter_and_mark_has_a_glyph() -> None:
    _load_fonts()
    for font in ("Roboto", "RobotoBold"):
        for point in range(0x2000):
            char = chr(point)
            latin = unicodedata.name(char, "").startswith("LATIN") and char.isalpha()
            if latin or 0x300 <= point < 0x330 or (0x20 <= point < 0x7F and char.isprintable()):
                assert _drawn(char, font) == char or unicodedata.name(char) == "LATIN", hex(point)


def test_what_the_font_does_not_draw_is_shown_as_an_escape() -> None:
    shown = text(label(seal=("電A\u202e\x1b\U0001f512",)))
    assert r"Seal\u96fbA\u202e\x1b\U0001f512" in shown.replace(" ", "")


# ---- limits


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Refused, match="too long for a sticker"):
        label(seal=tuple(f"A-{n}" for n in range(1000)))
    with pytest.raises(Refused, match="too long for a sticker"):
        label_pdf("W" * 100, NAME, DAY, "doitrust:meter/X", network=MAINNET)


def test_the_same_input_gives_the_same_bytes() -> None:
    first = label()
    assert label(name="Another") != first
    assert label() == first
    assert b"CreationDate (D:2000" in first


@given(st.text(min_size=1, max_size=30), st.lists(st.text(max_size=12), max_size=4))
def test_any_text_makes_a_page_that_is_read(name: str, seals: list[str]) -> None:
    link = write_link(METER, "mainnet", "A")
    made = label_pdf(METER, name, DAY, link, seal=seals, network=MAINNET)
    assert scanned(picture(made, 150)) == link
    assert text(made).startswith(METER)
