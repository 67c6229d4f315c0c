r"""Write a text in a made-up language that is close to its own: some words differ, others do not.

    .venv/bin/python recipes/near_language.py --differ 0.5 < train.en > train.near

A word has the same form wherever it occurs. The share `--differ` of the word forms differs: words
of up to three letters have nothing in common with the original, as little words of related
languages often do, and longer ones are spelled by other rules ("throughout" is "druaut"), unless
none applies. The text and what this writes are a language pair in which many words, names among
them, are the same on both sides.
"""

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence

WORD = re.compile(r"[^\W\d_]+")
LITTLE = 3
"""Letters of the longest words that have nothing in common with the original."""
CHANGES = (
    ("tion", "shon"), ("ough", "u"), ("igh", "ai"), ("th", "d"), ("ph", "f"), ("ck", "k"),
    ("ee", "i"), ("ea", "i"), ("oo", "u"), ("ou", "au"), ("qu", "kw"), ("x", "ks"), ("c", "k"),
    ("z", "s"), ("v", "b"), ("j", "y"), ("er", "a"), ("ing", "in"), ("ed", "t"), ("w", "v"),
)  # fmt: skip
"""Spellings, and what is written instead; in this order."""
CONSONANTS, VOWELS = "bdfgklmnprst", "aeiou"


def rewrite(text: str, differ: float) -> str:
    """Return a text in the made-up language.

    Args:
        text: any text.
        differ: share of the word forms that are others, 0 to 1.
    """
    return WORD.sub(lambda word: translate(word.group(), differ), text)


def translate(word: str, differ: float) -> str:
    """Return the form of a word, with its first letter as large as before."""
    drawn = hashlib.sha256(word.lower().encode()).digest()
    if int.from_bytes(drawn[:4], "big") >= differ * 2**32:
        return word
    new = word.lower()
    if len(new) <= LITTLE:
        new = "".join(
            letters[byte % len(letters)]
            for letters, byte in zip(
                (CONSONANTS, VOWELS) * 2, drawn[4 : 4 + len(new)], strict=False
            )
        )
    for old, changed in CHANGES:
        new = new.replace(old, changed)
    if word.isupper() and len(word) > 1:
        return new.upper()
    return new.capitalize() if word[0].isupper() else new


def main(arguments: Sequence[str] | None = None) -> None:
    """Rewrite standard input to standard output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--differ", type=float, default=0.5, help="share of word forms")
    given = parser.parse_args(arguments)
    if not 0 <= given.differ <= 1:
        parser.error(f"--differ must be between 0 and 1, got {given.differ}")
    for line in sys.stdin:
        sys.stdout.write(rewrite(line, given.differ))


if __name__ == "__main__":
    main()
