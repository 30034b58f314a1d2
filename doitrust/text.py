"""Making foreign text safe to show.

Strings from the chain, IPFS, a meter, a device or a file reach a terminal only through `visible`: control,
bidirectional and escape characters could rewrite what the reader sees.
"""

import unicodedata

# Cc control, Cf format (bidi overrides, zero width), Cs surrogates, Co private use, Cn unassigned,
# Zl and Zp line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Marks and letters that no font draws (Unicode, DerivedCoreProperties.txt, Default_Ignorable_Code_Point): the
# grapheme joiner, Hangul and Khmer fillers, variation selectors.
_UNDRAWN = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0000, 0xE0FFF),
)


def visible(text: str, limit: int = 400) -> str:
    r"""Return `text` with every character that can't be seen written as an escape (`\x1b`, `\u202e`).

    The result holds only printable characters, one line, at most `limit` characters of the original.
    """
    shown = text[:limit]
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(_escape(c) if _is_hidden(c) else c for c in shown)
    return shown if len(text) <= limit else shown + f"… ({len(text)} characters)"


def _is_hidden(char: str) -> bool:
    category = unicodedata.category(char)
    if category in _HIDDEN or (category == "Zs" and char != " "):
        return True
    return any(first <= ord(char) <= last for first, last in _UNDRAWN)


def _escape(char: str) -> str:
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
