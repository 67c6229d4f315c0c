"""Validation or test texts that should not be in the training data: which of them occur there.

Both `nmt check` and the preparation of training data count by `KnownTexts`, and compare normalised
lines.
"""

import re
from collections import defaultdict

LETTERS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
    r"|[^\W\d_]+"
)
"""Words without punctuation and digits; single characters of scripts without spaces."""
_LETTERS_AND_DIGITS = re.compile(r"\w+")
_FEW_WORDS = 4
_MANY_WORDS = 6
_MANY_LETTERS = 20


class KnownTexts:
    """Texts of a held-out set, and where they occur in the training data.

    A text is one line, or the two lines of a pair. Those with an empty line are left out.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self.found: dict[int, int] = {}
        """For each held-out line that was met, by number, the first training line equal to it."""
        self.lines = 0
        """Number of lines added, empty ones included."""

    def add(self, number: int, *texts: str) -> None:
        """Add held-out line `number`."""
        self.lines += 1
        if all(texts):
            self._numbers[texts].append(number)

    def meet(self, number: int, *texts: str) -> None:
        """Compare training line `number` with the held-out lines."""
        for held_out in self._numbers.get(texts, ()):
            self.found.setdefault(held_out, number)

    def __contains__(self, texts: tuple[str, ...]) -> bool:
        """Whether a held-out line equals `texts`."""
        return texts in self._numbers


class NearPairs:
    """Pairs of a held-out set, and which of them are nearly in the training data.

    Two texts are near if they have the same words, whatever their case and punctuation, and
    - if they have at least 4 words, whatever their digits,
    - if they have at least 6 words of 20 letters, in any order, and up to one word exchanged,
      added or left out.
    A pair is near another if both sides are. Takes about 3 kB of memory per pair of 12 words.
    """

    def __init__(self) -> None:
        self._sources: dict[int, list[int]] = defaultdict(list)
        self._targets: dict[int, list[int]] = defaultdict(list)
        self.found: dict[int, int] = {}
        """For each held-out pair that was met, by number, the first training pair near it."""

    def add(self, number: int, source: str, target: str) -> None:
        """Add held-out pair `number`."""
        for index, text in ((self._sources, source), (self._targets, target)):
            for variant in _variants(text):
                index[variant].append(number)

    def meet(self, number: int, source: str, target: str) -> None:
        """Compare training pair `number` with the held-out pairs."""
        near = _near(self._sources, source)
        if near:
            for held_out in near & _near(self._targets, target):
                self.found.setdefault(held_out, number)


def _near(index: dict[int, list[int]], text: str) -> set[int]:
    """Return the numbers of the lines near `text`."""
    return {number for variant in _variants(text) if variant in index for number in index[variant]}


def _variants(text: str) -> list[int]:
    """Return hashes of a text; two texts that have one in common are near.

    They are of the sequence of words or, if there are many, of the bag of words, and of all words
    but one. The hash of a bag is the sum of those of its words.
    """
    text = text.casefold()
    words = LETTERS.findall(text)
    if len(words) < _FEW_WORDS:
        words = _LETTERS_AND_DIGITS.findall(text)
    if len(words) < _MANY_WORDS or sum(map(len, words)) < _MANY_LETTERS:
        return [hash(tuple(words))] if words else []
    hashes = [*map(hash, words)]
    bag = sum(hashes)
    return [bag, *{bag - word for word in hashes}]
