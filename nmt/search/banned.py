"""Pieces that would complete a banned word.

A banned word may be the beginning of a longer one. So it is not its own last piece that is closed,
but whatever would end it there: the next word, punctuation, the end symbol.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nmt.search.hypothesis import BoolArray
from nmt.text.vocabulary import EOS, SPECIAL_PIECES

_SPACE = "▁"  # how sentencepiece writes a space


@dataclass(frozen=True)
class BannedPieces:
    """Which pieces complete a banned word, by what stands before them."""

    texts: tuple[str, ...]
    """Text of each piece, [vocab]."""
    always: BoolArray
    """Pieces that hold a whole banned word, [vocab]."""
    after: dict[str, BoolArray]
    """Beginning of a banned word, which a row ends with -> pieces that complete it, [vocab]."""
    longest: int
    """Characters of the longest banned word."""

    def closed(self, tail: str) -> BoolArray | None:
        """Return the pieces that must not follow text that ends in `tail`; None if there are none.

        Args:
            tail: the last `longest` + 1 characters or more, beginning with a space if whole.
        """
        found = None
        for start in range(1, len(tail) + 1):
            if not _is_word(tail[start - 1]) and (more := self.after.get(tail[start:])) is not None:
                found = more if found is None else found | more
        return found


@lru_cache(maxsize=4)
def find_banned_pieces(words: tuple[str, ...], pieces: tuple[str, ...]) -> BannedPieces:
    """Return which pieces complete one of `words`, in whatever way it is segmented.

    Args:
        words: words or phrases.
        pieces: target pieces as sentencepiece names them, by id.
    """
    banned = {" ".join(word.split()) for word in words} - {""}
    specials = len(SPECIAL_PIECES)
    texts = ("",) * specials + tuple(p.replace(_SPACE, " ") for p in pieces[specials:])
    always = np.zeros(len(texts), dtype=np.bool_)
    ending: dict[str, BoolArray] = defaultdict(lambda: np.zeros(len(texts), dtype=np.bool_))
    for piece, text in enumerate(texts):
        for start, part in _ended_parts(text):
            if start == 0:
                ending[part][piece] = True
            elif part in banned:
                always[piece] = True
    ending[""][EOS] = True
    after: dict[str, BoolArray] = {}
    for word in banned:
        for length in range(len(word) + 1):
            if (rest := word[length:]) in ending:
                former = after.get(word[:length])
                after[word[:length]] = ending[rest] if former is None else former | ending[rest]
    return BannedPieces(texts, always, after, max(map(len, banned), default=0))


def _ended_parts(text: str) -> Iterator[tuple[int, str]]:
    """Yield each part of a piece that ends before a character of no word, and where it begins.

    It begins with the piece, or behind a character of no word.
    """
    edges = [place for place, character in enumerate(text) if not _is_word(character)]
    for end in edges:
        yield 0, text[:end]
        for start in edges:
            if start + 1 <= end:
                yield start + 1, text[start + 1 : end]


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
