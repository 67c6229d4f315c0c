"""Pieces that may follow while a translation begins with given text.

The text is compared, not its segmentation: a piece may end within the given text, at its end or
beyond it, as long as the characters are the same. A piece is allowed only if others can complete
the text after it, so no hypothesis comes to a dead end. A character may be spelled by byte pieces.
"""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from nmt.search.banned import spell
from nmt.search.hypothesis import BoolArray, IntArray
from nmt.text.vocabulary import SPECIAL_PIECES


@dataclass(frozen=True)
class Spellings:
    """What the pieces of a vocabulary add to a text."""

    spelled: tuple[bytes, ...]
    """UTF-8 of each piece, nothing for special ones, [vocab]."""
    pieces: dict[bytes, list[int]]
    """The pieces that spell a text."""
    drops_space: BoolArray
    """Whether a space is dropped that a piece would add at the beginning of a text, [vocab]."""

    @cached_property
    def ordered(self) -> list[bytes]:
        """The texts, sorted, so that those with the same beginning are neighbours."""
        return sorted(self.pieces)

    @cached_property
    def longest(self) -> int:
        """Bytes of the longest piece."""
        return max(map(len, self.spelled))

    @cached_property
    def lengths(self) -> IntArray:
        """Bytes of each piece, [vocab]."""
        return np.array([len(text) for text in self.spelled], dtype=np.int64)

    def beyond(self, text: bytes) -> list[int]:
        """Return the pieces that begin with `text`."""
        found, place = [], bisect_left(self.ordered, text)
        while place < len(self.ordered) and self.ordered[place].startswith(text):
            found += self.pieces[self.ordered[place]]
            place += 1
        return found


@lru_cache(maxsize=4)
def spellings_of(pieces: tuple[str, ...]) -> Spellings:
    """Return what each piece adds to the text; `pieces` as sentencepiece spells them, by id."""
    spelled = [
        b"" if piece < len(SPECIAL_PIECES) else spell(name) for piece, name in enumerate(pieces)
    ]
    by_text: dict[bytes, list[int]] = defaultdict(list)
    for piece, text in enumerate(spelled):
        if text:
            by_text[text].append(piece)
    drops_space = np.array([name.startswith("▁") for name in pieces], dtype=np.bool_)
    return Spellings(tuple(spelled), dict(by_text), drops_space)


class Beginning:
    """The text that a translation must begin with, and which pieces may spell it.

    Positions are bytes of the text with a space before it, as sentencepiece writes every text. The
    first piece may leave this space out.

    Args:
        text: normalised; "" = any.
        spellings: of the vocabulary.
    """

    def __init__(self, text: str, spellings: Spellings) -> None:
        self._text = f" {text.replace('▁', ' ')}".encode() if text else b""
        self._spellings = spellings
        self._masks: dict[int, BoolArray] = {}
        self._can_finish = [True] * (len(self._text) + 1)
        for place in reversed(range(len(self._text))):
            self._can_finish[place] = bool(self._pieces_from(place))

    @property
    def length(self) -> int:
        """Position after the whole text; 0 if there is none."""
        return len(self._text)

    @property
    def unspellable(self) -> str | None:
        """The first character that no pieces can spell, or after a space the first word.

        None if the text can be written.
        """
        if not self.length or self.allowed(0).any():
            return None
        reached = {0, 1}
        for place in range(self.length):
            if place in reached:
                reached.update(self._ends(place))
        before = self._text[: max(reached)].decode("utf-8", "ignore")
        rest = self._text.decode()[len(before) :] or self._text.decode()
        return rest.split()[0] if rest[0] == " " and rest.strip() else rest[0]

    def allowed(self, place: int) -> BoolArray:
        """Return which pieces may follow at a position before the end, [vocab]."""
        if place not in self._masks:
            mask = np.zeros(len(self._spellings.spelled), dtype=np.bool_)
            mask[self._pieces_from(place)] = True
            if place == 0:
                without_space = np.zeros_like(mask)
                without_space[self._pieces_from(1)] = True
                mask = np.where(self._spellings.drops_space, mask, without_space)
            self._masks[place] = mask
        return self._masks[place]

    def _pieces_from(self, place: int) -> list[int]:
        """Return the pieces at a position after which the text can be completed."""
        inside = [
            piece
            for end in self._ends(place)
            if self._can_finish[end]
            for piece in self._spellings.pieces[self._text[place:end]]
        ]
        return inside + self._spellings.beyond(self._text[place:])

    def _ends(self, place: int) -> list[int]:
        """Return the positions before the end of the text that a piece can lead to."""
        last = min(place + self._spellings.longest, self.length - 1)
        return [
            end
            for end in range(place + 1, last + 1)
            if self._text[place:end] in self._spellings.pieces
        ]
