"""Short pieces of text to show to people, with what cannot be seen spelled out."""

import re

from nmt.text.scripts import is_invisible

_SPACES = re.compile("  +")


def excerpt(text: str, start: int = 0, end: int = 0, *, width: int = 60) -> str:
    """Return up to `width` characters of `text` around the place from `start` to `end`.

    Invisible characters but the plain space are written as code points, ⟨U+200B⟩.
    """
    margin = max(0, width - (end - start)) // 2
    first = max(0, min(start - margin, len(text) - width))
    last = min(len(text), first + width)
    shown = spell_out(text[first:last])
    return f"{'…' if first else ''}{shown}{'…' if last < len(text) else ''}"


def spell_out(text: str) -> str:
    """Return `text` with invisible characters, and spaces beside spaces, as code points."""
    text = _SPACES.sub(lambda spaces: " " + "⟨U+0020⟩" * (len(spaces[0]) - 1), text)
    return "".join(
        f"⟨U+{ord(character):04X}⟩" if character != " " and is_invisible(character) else character
        for character in text
    )
