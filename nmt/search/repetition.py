"""Translations that repeat themselves."""

from collections.abc import Sequence

import numpy as np

LONGEST_UNIT = 16
"""Longest repeated run of pieces that is detected."""
FEWEST_COPIES = 4
"""Consecutive copies that count as a loop: one more than people write."""


def most_copies(tokens: Sequence[int]) -> int:
    """Return the most consecutive copies of any run of up to `LONGEST_UNIT` pieces."""
    pieces = np.asarray(tokens)
    most = min(1, len(pieces))
    for unit in range(1, min(LONGEST_UNIT, len(pieces) // 2) + 1):
        repeats = np.concatenate([[False], pieces[unit:] == pieces[:-unit], [False]])
        edges = np.flatnonzero(repeats[1:] != repeats[:-1])
        longest = int((edges[1::2] - edges[::2]).max(initial=0))
        most = max(most, 1 + longest // unit)
    return most


def is_loop(translation: Sequence[int], source: Sequence[int]) -> bool:
    """Whether a translation repeats itself more often than its source does."""
    if len(translation) - len(set(translation)) < FEWEST_COPIES - 1:
        return False  # a cheap test that nearly every translation passes
    copies = most_copies(translation)
    return copies >= FEWEST_COPIES and copies > most_copies(source)
