"""QR codes on the terminal, two rows of modules in a line of text."""

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

#: Light modules around the code (ISO/IEC 18004).
_QUIET = 4
#: A character by whether its upper and its lower half are light.
_BLOCKS = {(True, True): "█", (True, False): "▀", (False, True): "▄", (False, False): " "}


def qr_lines(text: str) -> list[str]:
    """Return the code of `text` as lines of half blocks, the *light* modules drawn.

    So it is right where light text stands on a dark ground; where it is the other way round, scanners see the
    negative, which most of them read.
    """
    import segno

    rows = [
        [not dark for dark in row]
        for row in segno.make_qr(text, error="l", boost_error=True).matrix_iter(border=_QUIET)
    ]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_BLOCKS[both] for both in zip(*pair, strict=True)) for pair in pairs]


def print_qr(console: "Console", text: str) -> None:
    """Print the code of `text`, white on black whatever the terminal's colours are; nothing where it can't fit."""
    lines = qr_lines(text)
    if len(lines[0]) <= console.width and console.encoding.startswith("utf"):
        for line in lines:
            console.print(Text(line, "bright_white on black"), no_wrap=True)
