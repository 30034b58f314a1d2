"""The sticker for a certified meter, a PDF of 60 × 40 mm: QR code of its link, number, organisation, seals, date.

Text is set in Roboto (Apache 2.0), which draws every Latin letter and mark that an organisation's name can have; what
it doesn't draw is written as an escape, so that nothing is left out unseen. The same input gives the same bytes.
"""

import io
from collections.abc import Iterator, Sequence
from datetime import date
from functools import cache
from typing import Any, NamedTuple

from doitrust.chain.networks import MAINNET, Network
from doitrust.errors import Refused
from doitrust.text import visible

#: Points a millimetre.
_MM = 72 / 25.4
_WIDTH, _HEIGHT, _MARGIN = 60 * _MM, 40 * _MM, 1.5 * _MM
#: The QR code's square with its quiet zone. The smallest code fills 21 of 29 modules of it: 21.7 mm.
_CODE = 30 * _MM
_QUIET = 4
#: The strip below it for the number.
_STRIP = _HEIGHT - _CODE - _MARGIN
_REGULAR, _BOLD = "Roboto", "RobotoBold"
#: Sizes of type, in points; below the smallest a sticker can't be read.
_NUMBER_SIZES = (15.0, 7.0)
_TEXT_SIZES = (9.0, 4.5)
_LEADING = 1.2
_TEST_SIZE = 8.0


class _Line(NamedTuple):
    font: str
    text: str


def label_pdf(
    meter: str,
    organization: str,
    certified: date,
    link: str,
    *,
    seal: Sequence[str] = (),
    network: Network,
) -> bytes:
    """Return the sticker; off mainnet it says that it is for a test.

    Raises `Refused` where the text can't be made small enough to fit and still be read.
    """
    from reportlab.pdfgen.canvas import Canvas  # noqa: PLC0415  # for this one command only

    _load_fonts()
    made = io.BytesIO()
    canvas = Canvas(made, pagesize=(_WIDTH, _HEIGHT), invariant=1, pageCompression=1)
    canvas.setTitle(visible(meter))
    canvas.setAuthor("doitrust")
    canvas.setCreator("doitrust")
    canvas.setSubject("" if network.name == MAINNET.name else _test(network))
    _draw_code(canvas, link)
    _draw_number(canvas, meter)
    bottom = _STRIP
    if network.name != MAINNET.name:
        bottom = _draw_test(canvas, _test(network))
    lines = [_Line(_BOLD, organization)]
    if seal:
        lines.append(_Line(_REGULAR, f"Seal {', '.join(seal)}"))
    lines.append(_Line(_REGULAR, certified.isoformat()))
    _draw_text(canvas, lines, bottom)
    canvas.showPage()
    canvas.save()
    return made.getvalue()


def _test(network: Network) -> str:
    return f"TEST: {network.name}"


@cache
def _load_fonts() -> None:
    from font_roboto import font_files  # noqa: PLC0415
    from reportlab.pdfbase.pdfmetrics import registerFont  # noqa: PLC0415
    from reportlab.pdfbase.ttfonts import TTFont  # noqa: PLC0415

    for name in (_REGULAR, _BOLD):
        registerFont(TTFont(name, font_files[name]))


def _drawn(text: str, font: str) -> str:
    """`text` with each character that the font doesn't have as an escape."""
    from reportlab.pdfbase.pdfmetrics import getFont  # noqa: PLC0415

    glyphs = getFont(font).face.charToGlyph
    return "".join(c if ord(c) in glyphs else _escape(ord(c)) for c in visible(text, len(text)))


def _escape(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def _width(text: str, font: str, size: float) -> float:
    from reportlab.pdfbase.pdfmetrics import stringWidth  # noqa: PLC0415

    return float(stringWidth(text, font, size))


def _draw_code(canvas: Any, link: str) -> None:
    """Draw the QR code at the upper left, with a quarter of it to spare for dirt (level M or better)."""
    import segno  # noqa: PLC0415

    rows = [list(row) for row in segno.make_qr(link, error="m", boost_error=True).matrix]
    module = _CODE / (len(rows) + 2 * _QUIET)
    path = canvas.beginPath()
    for down, row in enumerate(rows):
        y = _HEIGHT - (down + 1 + _QUIET) * module
        for start, length in _runs(row):
            path.rect((start + _QUIET) * module, y, length * module, module)
    canvas.drawPath(path, stroke=0, fill=1)


def _runs(row: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield place and length of each run of dark modules."""
    start = 0
    for at, (dark, after) in enumerate(zip(row, [*row[1:], 0], strict=True)):
        if dark and not (at and row[at - 1]):
            start = at
        if dark and not after:
            yield start, at + 1 - start


def _draw_number(canvas: Any, meter: str) -> None:
    """Draw the number below, as large as it can be."""
    text = _drawn(meter, _BOLD)
    for size in _sizes(_NUMBER_SIZES):
        if _width(text, _BOLD, size) <= _WIDTH - 2 * _MARGIN:
            canvas.setFont(_BOLD, size)
            canvas.drawCentredString(_WIDTH / 2, (_STRIP - 0.7 * size) / 2, text)
            return
    raise Refused("the meter's number is too long for a sticker")


def _draw_test(canvas: Any, text: str) -> float:
    """Draw the warning at the lower right, white on black; returns where it begins."""
    height = _TEST_SIZE * 1.6
    canvas.rect(_CODE, _STRIP, _WIDTH - _CODE - _MARGIN, height, stroke=0, fill=1)
    canvas.setFillGray(1)
    canvas.setFont(_BOLD, _TEST_SIZE)
    middle = _CODE + (_WIDTH - _CODE - _MARGIN) / 2
    canvas.drawCentredString(middle, _STRIP + (height - 0.7 * _TEST_SIZE) / 2, text)
    canvas.setFillGray(0)
    return _STRIP + height + _MARGIN


def _draw_text(canvas: Any, lines: Sequence[_Line], bottom: float) -> None:
    """Draw the lines at the upper right, wrapped, as large as they can be."""
    top = _HEIGHT - _QUIET / 29 * _CODE  # level with the code
    width = _WIDTH - _CODE - _MARGIN
    for size in _sizes(_TEXT_SIZES):
        wrapped = [[_Line(font, part) for part in _wrapped(text, font, size, width)] for font, text in lines]
        gaps = (len(wrapped) - 1) * size / 2
        if sum(map(len, wrapped)) * size * _LEADING + gaps <= top - bottom:
            break
    else:
        raise Refused("organisation and seals are too long for a sticker", hint="leave some of the seals out")
    y = top + 0.2 * size
    for part in wrapped:
        for font, text in part:
            y -= size * _LEADING
            canvas.setFont(font, size)
            canvas.drawString(_CODE, y, text)
        y -= size / 2


def _wrapped(text: str, font: str, size: float, width: float) -> Iterator[str]:
    """Yield lines of at most `width`, broken between words where that is possible."""
    line = ""
    for word in _drawn(text, font).split(" "):
        joined = f"{line} {word}" if line else word
        if _width(joined, font, size) <= width:
            line = joined
            continue
        if line:
            yield line
        line = word
        while _width(line, font, size) > width:
            most = next(n for n in range(len(line), 0, -1) if n == 1 or _width(line[:n], font, size) <= width)
            yield line[:most]
            line = line[most:]
    yield line


def _sizes(largest_and_smallest: tuple[float, float]) -> Iterator[float]:
    """Yield the sizes between in steps of half a point, the largest first."""
    largest, smallest = largest_and_smallest
    for step in range(int((largest - smallest) * 2) + 1):
        yield largest - step / 2
