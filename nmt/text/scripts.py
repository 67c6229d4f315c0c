"""Writing systems of characters and texts, and what of a text is visible."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

HAN = "CJK"
"""Chinese characters, as Unicode names them."""
SPACELESS = frozenset(
    [HAN, "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE"]
)
"""Scripts, as `script_of` names them, whose words are not separated by spaces."""

_OTHER_NAMES = {"IDEOGRAPHIC": HAN, "FEMININE": "LATIN", "MASCULINE": "LATIN", "MODIFIER": ""}
# Letters and marks without a shape: fillers, blanks, joiners and selectors.
_SHAPELESS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


@lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str | None:
    """Return the script of a letter, the first word of its Unicode name; None for others.

    "LATIN", "CYRILLIC", "CJK", ... Digits, punctuation, marks and symbols belong to no script.
    """
    if not unicodedata.category(character).startswith("L"):
        return None
    words = unicodedata.name(character, "").split(" ")
    if words[0] in ("FULLWIDTH", "HALFWIDTH"):
        del words[0]
    first = words[0].removesuffix("-HIRAGANA")  # the mark of long vowels, of both syllabaries
    return _OTHER_NAMES.get(first, first) or None


def name_of_script(script: str | None) -> str:
    """Return the name of a script for people: "Cyrillic", or "no" for None."""
    return "Chinese or Japanese" if script == HAN else (script or "no").capitalize()


def count_scripts(lines: Iterable[str]) -> Counter[str]:
    """Return the number of letters of each script, most frequent first in `most_common`."""
    characters: Counter[str] = Counter()
    for line in lines:
        characters.update(line)
    scripts: Counter[str] = Counter()
    for character, count in characters.items():
        if script := script_of(character):
            scripts[script] += count
    return scripts


def main_script(lines: Iterable[str]) -> str | None:
    """Return the script of most letters; None for text without letters."""
    scripts = count_scripts(lines)
    return scripts.most_common(1)[0][0] if scripts else None


@lru_cache(maxsize=1 << 16)
def is_invisible(character: str) -> bool:
    """True for spaces, controls, joiners, selectors, fillers and unassigned code points."""
    return (
        unicodedata.category(character) in _INVISIBLE_CATEGORIES
        or character in _SHAPELESS
        or any(ord(character) in selectors for selectors in _SELECTORS)
    )


def has_visible(text: str) -> bool:
    """Whether a reader would see anything of `text`."""
    return not all(map(is_invisible, text))


def has_letters(text: str) -> bool:
    """Whether `text` has a letter, of any script."""
    return any(unicodedata.category(character).startswith("L") for character in text)
