"""Each rule closes pieces and changes scores by its definition."""

import math

import numpy as np
import pytest
import torch

from nmt.errors import UsageError
from nmt.search.banned import find_banned_pieces
from nmt.search.hypothesis import History
from nmt.search.rules import FLOOR, Banned, Coverage, NoRepeat, NoSpecials, Rule, ShortestLength
from nmt.search.scorers import ScorerStep
from nmt.text.vocabulary import BOS, EOS, PAD, SPECIAL_PIECES, UNK


def history_of(*rows: list[int]) -> History:
    """The history of rows that have generated the given pieces."""
    width = max(map(len, rows)) + 1
    pieces = [[PAD] * (width - 1 - len(row)) + [BOS, *row] for row in rows]
    written, length = np.array(pieces), np.array([len(row) for row in rows])
    return History(written, np.zeros(written.shape), length, None)


def closed_by(rule: Rule, history: History, pieces: torch.Tensor | None = None) -> list[list[int]]:
    """The columns that a rule closes to each row, of eight."""
    scores = torch.randn(len(history.length), 8)
    scored = ScorerStep(scores, torch.zeros(len(scores)), None, None, pieces)
    rule.restrict(scored, history)
    return [row.isneginf().nonzero().squeeze(1).tolist() for row in scored.scores]


def test_special_pieces_except_eos_are_closed():
    assert closed_by(NoSpecials(), history_of([], [4, 5])) == [sorted([PAD, UNK, BOS])] * 2


def test_eos_is_closed_until_the_minimum_length():
    rule, history = ShortestLength(np.array([3, 3, 1])), history_of([4], [4, 5], [])
    assert closed_by(rule, history) == [[EOS], [], []]
    both = rule.select(np.array([1])).concat(rule.select(np.array([0])))
    assert closed_by(both, history_of([], [4, 5])) == [[EOS], []]


def test_pieces_that_would_repeat_an_ngram_are_closed():
    history = history_of([4, 5, 4], [6, 4, 4], [4, 6, 7, 4, 5, 4], [])
    assert closed_by(NoRepeat(2), history) == [[5], [4], [5, 6], []]
    assert closed_by(NoRepeat(3), history_of([4, 5, 6, 4, 5], [5])) == [[6], []]


def test_columns_of_a_shortlist_are_found_by_their_pieces():
    pieces = torch.tensor([0, 1, 2, 3, 10, 20, 30, 40])
    assert closed_by(NoRepeat(2), history_of([20, 30, 20], [40, 40]), pieces) == [[6], [7]]


def test_banned_pieces_of_a_shortlist_are_closed_in_their_columns():
    names = (*SPECIAL_PIECES, *["▁x"] * 6, "▁cat", *["▁x"] * 9, "s", *["▁x"] * 9, "▁a", *["▁x"] * 9)
    pieces = torch.tensor([0, 1, 2, 3, 10, 20, 30])  # "▁cat", "s", "▁a"
    scored = ScorerStep(torch.zeros(2, 7), torch.zeros(2), None, None, pieces)
    Banned(find_banned_pieces(("cat",), names)).restrict(scored, history_of([10], [30]))
    closed = [row.isneginf().nonzero().squeeze(1).tolist() for row in scored.scores]
    assert closed == [[EOS, 4, 6], []]


def test_the_coverage_penalty_is_the_sum_of_log_coverage():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    coverage = Coverage(0.5, mask, torch.zeros(2, 3))
    first = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0]])
    second = torch.tensor([[0.2, 0.8, 0.0], [0.3, 0.2, 0.5]])
    rows, pieces = np.arange(2), np.array([4, 4])
    coverage = coverage.advance(rows, pieces, first)
    expected = [0.5 * (math.log(0.7) + math.log(FLOOR)), 0.5 * math.log(0.3)]
    np.testing.assert_allclose(coverage.adjustment(second), expected, rtol=1e-6)

    one = coverage.advance(rows, pieces, second).select(np.array([1]))
    nothing = torch.zeros(1, 3)
    np.testing.assert_allclose(one.adjustment(nothing), expected[1:], rtol=1e-6)
    narrow = Coverage(0.5, torch.ones(1, 1, dtype=torch.bool), torch.tensor([[0.2]]))
    joined = narrow.concat(one).adjustment(torch.zeros(2, 3))
    np.testing.assert_allclose(joined, [0.5 * math.log(0.2), expected[1]], rtol=1e-6)


def test_a_model_without_attention_has_no_coverage():
    coverage = Coverage(0.1, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2))
    refusal = (
        r"^coverage_penalty: the model has no attention, so coverage is unknown; set it to 0\.$"
    )
    with pytest.raises(UsageError, match=refusal):
        coverage.adjustment(None)
