"""Translations that repeat themselves: how to see them, and how to keep a search from them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from nmt.search.candidates import forbid
from nmt.search.hypothesis import BoolArray, IntArray
from nmt.search.scorer import ScorerStep

LONGEST_UNIT = 16
"""Pieces that are looked for as one thing said again and again."""
FEWEST_COPIES = 4
"""So often in a row is a loop: once more than people say a thing three times."""


def most_copies(tokens: Sequence[int]) -> int:
    """Return how often the most repeated run of up to `LONGEST_UNIT` pieces stands in a row."""
    pieces = np.asarray(tokens)
    most = min(1, len(pieces))
    for unit in range(1, min(LONGEST_UNIT, len(pieces) // 2) + 1):
        repeats = np.concatenate([[False], pieces[unit:] == pieces[:-unit], [False]])
        edges = np.flatnonzero(repeats[1:] != repeats[:-1])
        longest = int((edges[1::2] - edges[::2]).max(initial=0))
        most = max(most, 1 + longest // unit)
    return most


def is_loop(translation: Sequence[int], source: Sequence[int]) -> bool:
    """Say whether a translation repeats itself more often than its source does."""
    if len(translation) - len(set(translation)) < FEWEST_COPIES - 1:
        return False  # what is repeated so often is counted so often, and nearly all end here
    copies = most_copies(translation)
    return copies >= FEWEST_COPIES and copies > most_copies(source)


class RepetitionBlock:
    """Rules out pieces that would complete an n-gram which the hypothesis holds already.

    A row to which this leaves nothing may repeat itself: no beam dies of the rule. Decisions
    about a row use that row's pieces alone.

    Args:
        size: n; 0 = nothing is ruled out, and nothing is recorded.
        rows: of the first step.
    """

    def __init__(self, size: int, rows: int) -> None:
        self.size = size
        self._written: IntArray = np.zeros((rows, 0), dtype=np.int64)

    def apply(self, scored: ScorerStep, may_end: BoolArray) -> ScorerStep:
        """Return what the scorer says with -inf at what is ruled out.

        Args:
            scored: of the next piece of each row.
            may_end: whether the sentence is long enough for EOS, [batch].
        """
        length = self._written.shape[1]
        if self.size == 0 or length < self.size:
            return scored
        grams = np.lib.stride_tricks.sliding_window_view(self._written, self.size, axis=1)
        ends = self._written[:, length - self.size + 1 :]  # [rows, size - 1]
        row, place = np.nonzero((grams[:, :, :-1] == ends[:, None]).all(axis=2))
        if not len(row):
            return scored
        scores = scored.scores.clone()
        index = torch.from_numpy(np.stack([row, grams[row, place, -1]])).to(scores.device)
        scores[index[0], index[1]] = -torch.inf
        left = scores.clone().view(len(may_end), -1, scores.shape[1])
        forbid(left, may_end)
        is_empty = left.flatten(0, 1).amax(dim=1).isneginf()
        scores[is_empty] = scored.scores[is_empty]
        return replace(scored, scores=scores)

    def add(self, pieces: IntArray, origins: IntArray) -> None:
        """Note the last piece of each row of the next step, and the row it was appended to."""
        if self.size:
            self._written = np.concatenate([self._written[origins], pieces[:, None]], axis=1)
