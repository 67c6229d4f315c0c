"""When a beam search ends: with as many finished hypotheses as its beam, or with the best one."""

import math

import pytest
import torch
from stub_scorers import TableScorer, batch_of, random_table

from nmt.config.search import SearchConfig
from nmt.search.search import search
from nmt.text.vocabulary import EOS

ONE, OTHER = 4, 5


def table_of(*positions: dict[int, float]) -> torch.Tensor:
    """One sentence whose pieces have these probabilities at each position, whatever precedes."""
    table = torch.full((1, len(positions), 6, 6), -torch.inf)
    for position, shares in enumerate(positions):
        for piece, share in shares.items():
            table[0, position, :, piece] = math.log(share)
    return table


def options(**changes: object) -> SearchConfig:
    return SearchConfig(**{"max_length_factor": 0.0, "max_length_offset": 4} | changes)


@pytest.mark.parametrize(
    ("stop", "tokens", "score"),
    [("full", (), math.log(0.4)), ("best", (ONE, OTHER), math.log(0.35 * 0.9 * 0.9) / 3)],
)
def test_an_early_end_fills_a_narrow_beam_though_a_better_translation_lives(stop, tokens, score):
    table = table_of(
        {EOS: 0.4, ONE: 0.35, OTHER: 0.25}, {OTHER: 0.9, EOS: 0.1}, {EOS: 0.9, ONE: 0.1}
    )
    ((found,),) = search(TableScorer(table), *batch_of([0], [3]), options(beam=1, stop=stop))
    assert found.tokens == tokens
    assert found.score == pytest.approx(score)


def test_the_best_translation_never_scores_less_and_sometimes_more():
    scorer = TableScorer(random_table(sentences=60, positions=9, vocab=8))
    batch = batch_of(list(range(60)), [3] * 60)
    full, best = (
        [each[0].score for each in search(scorer, *batch, options(beam=2, stop=stop))]
        for stop in ("full", "best")
    )
    assert all(more >= less for more, less in zip(best, full, strict=True))
    assert sum(more > less for more, less in zip(best, full, strict=True)) > 0


def test_a_search_for_the_best_ends_once_no_living_hypothesis_can_win():
    """Sums alone, without a length penalty: the first end outweighs all that is alive."""
    table = table_of({EOS: 0.6, ONE: 0.4}, *[{ONE: 0.5, EOS: 0.5}] * 9)
    scorer = TableScorer(table)
    chosen = options(beam=2, stop="best", length_penalty="none", max_length_offset=10)
    ((found,),) = search(scorer, *batch_of([0], [3]), chosen)
    assert found.tokens == ()
    assert scorer.steps == 1
