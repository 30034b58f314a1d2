"""Making foreign text safe to show.

Strings from the chain, IPFS, a meter, a device or a file reach a terminal only through `visible`: control,
bidirectional and escape characters could rewrite what the reader sees.
"""

import unicodedata

# Cc control, Cf format (bidi overrides, zero width), Cs surrogates, Co private use, Cn unassigned,
# Zl and Zp line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


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
    return category in _HIDDEN or (category == "Zs" and char != " ")


def _escape(char: str) -> str:
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
