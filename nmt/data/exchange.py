"""Whether the two sides of a corpus are exchanged, by the words of each side: from some line on, or
all of them in comparison with another corpus."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from nmt.data.held_out import LETTERS

_PARTS = 20
"""Places where the exchange is looked for first."""
_FEWEST = 2 * _PARTS
_MARGIN = 0.3
"""Of two sums of two cosines each. Text in one language hardly differs in them."""

_FEWEST_COMPARED = 20
"""Pairs of each of two corpora."""

Words = Counter[str]


def find_exchange(pairs: Sequence[tuple[str, str]]) -> int | None:
    """Return the index of the first pair from which the sides are exchanged; None if from none.

    Source words before that place are then more like target words after it than like source words
    after it, and likewise for the target.
    """
    if len(pairs) < _FEWEST:
        return None
    words = _words(pairs)
    places = [len(pairs) * part // _PARTS for part in range(1, _PARTS)]
    gain, place = max((_gain(words[:place], words[place:]), place) for place in places)
    if gain < _MARGIN:
        return None
    (source, target), (later_source, later_target) = _sums(words[:place]), _sums(words[place:])
    source.update(later_target)
    target.update(later_source)
    likely = [
        _likeness(pair[0], source, target) - _likeness(pair[1], source, target) for pair in words
    ]
    sums = [*accumulate(likely, initial=0.0)]
    return max(range(len(pairs)), key=sums.__getitem__)


def are_exchanged(pairs: Sequence[tuple[str, str]], others: Sequence[tuple[str, str]]) -> bool:
    """Whether sources of the one corpus are like targets of the other; False for a few pairs."""
    if min(len(pairs), len(others)) < _FEWEST_COMPARED:
        return False
    return _gain(_words(pairs), _words(others)) >= _MARGIN


def _words(pairs: Sequence[tuple[str, str]]) -> list[tuple[Words, ...]]:
    return [tuple(Counter(LETTERS.findall(side.casefold())) for side in pair) for pair in pairs]


def _sums(words: Sequence[tuple[Words, ...]]) -> tuple[Words, Words]:
    """Return the words of both sides."""
    source, target = Words(), Words()
    for left, right in words:
        source.update(left)
        target.update(right)
    return source, target


def _gain(before: Sequence[tuple[Words, ...]], after: Sequence[tuple[Words, ...]]) -> float:
    """Return how much more alike both parts are if the sides of one are exchanged."""
    (source, target), (other_source, other_target) = _sums(before), _sums(after)
    exchanged = _cosine(source, other_target) + _cosine(target, other_source)
    return exchanged - _cosine(source, other_source) - _cosine(target, other_target)


def _cosine(one: Words, other: Words) -> float:
    product = sum(count * other[word] for word, count in one.items() if word in other)
    return product / (math.hypot(*one.values()) * math.hypot(*other.values()) or 1.0)


def _likeness(words: Words, source: Words, target: Words) -> int:
    """Return how many words are more frequent in the source, less those in the target."""
    differences = ((source[word] - target[word], count) for word, count in words.items())
    return sum(count if more > 0 else -count for more, count in differences if more)
