"""Tables and lines for people."""

import unicodedata
from collections.abc import Sequence


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line per row, the first column aligned left and the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]


def printable(text: str) -> str:
    """Return `text` with spaces in place of characters that would steer a terminal."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)


def shorten(text: str, columns: int) -> str:
    """Return printable `text`, cut to this many columns of a terminal and then ending in `…`.

    Wide characters, as of Chinese, take two columns, and marks that combine with a letter none.
    """
    text = printable(text)
    if sum(map(_width, text)) <= columns:
        return text
    kept, left = "", columns - 1
    for character in text:
        left -= _width(character)
        if left < 0:
            break
        kept += character
    return f"{kept.rstrip()}…"


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
