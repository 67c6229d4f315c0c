"""Translations that repeat themselves."""

from collections.abc import Sequence

LONGEST_UNIT = 16
"""Longest repeated run of pieces that is detected."""
FEWEST_COPIES = 4
"""Consecutive copies that count as a loop: one more than people write."""


def most_copies(tokens: Sequence[int], *, least: int = 2) -> int:
    """Return the most consecutive copies of any run of up to `LONGEST_UNIT` pieces.

    Args:
        tokens: the pieces.
        least: number of copies that matters, at least 2; below it, the number may be too low.
    """
    most = min(1, len(tokens))
    for unit in range(1, min(LONGEST_UNIT, len(tokens) // least) + 1):
        equal = longest = 0
        for earlier, later in zip(tokens, tokens[unit:], strict=False):
            equal = equal + 1 if earlier == later else 0
            if equal > longest:
                longest = equal
        most = max(most, 1 + longest // unit)
    return most


def is_loop(translation: Sequence[int], source: Sequence[int]) -> bool:
    """Whether a translation repeats itself more often than its source does."""
    if len(translation) - len(set(translation)) < FEWEST_COPIES - 1:
        return False  # a cheap test that nearly every translation passes
    copies = most_copies(translation, least=FEWEST_COPIES)
    return copies >= FEWEST_COPIES and copies > most_copies(source)
