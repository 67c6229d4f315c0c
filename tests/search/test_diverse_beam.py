"""Diverse beam search, against a plain beam and an example by hand; also in test_exhaustive.py."""

import math

import pytest
import torch
from stub_scorers import TableScorer, batch_of, random_table

from nmt.config.search import SearchConfig, change_search
from nmt.errors import ModelError, UsageError
from nmt.fast.ranking import ranking
from nmt.search.ranking import rank_plainly
from nmt.search.search import search
from nmt.text.vocabulary import EOS

BATCH = batch_of(list(range(8)), [3, 5, 2, 4, 3, 6, 2, 3])
KEPT = {"max_length_factor": 0.0, "max_length_offset": 8}


@pytest.fixture
def scorer() -> TableScorer:
    return TableScorer(random_table(sentences=8, positions=8, vocab=20))


@pytest.mark.parametrize("width", [1, 3])
def test_without_a_penalty_each_group_is_a_plain_beam_of_its_own(scorer, width):
    chosen = SearchConfig(beam=3 * width, n_best=3 * width, groups=3, diversity=0.0, **KEPT)
    plain = SearchConfig(beam=width, n_best=width, **KEPT)
    pairs = zip(search(scorer, *BATCH, chosen), search(scorer, *BATCH, plain), strict=True)
    for groups, alone in pairs:
        assert groups == [each for each in alone for _ in range(3)]


def test_one_group_is_a_plain_beam_whatever_the_penalty(scorer):
    one = SearchConfig(beam=4, n_best=4, groups=1, diversity=3.0, **KEPT)
    assert search(scorer, *BATCH, one) == search(
        scorer, *BATCH, SearchConfig(beam=4, n_best=4, **KEPT)
    )


@pytest.mark.parametrize(
    ("diversity", "second"), [(0.3, (4, 4)), (0.45, (4, 5)), (0.6, (5, 5)), (9.0, (5, 5))]
)
def test_a_later_group_avoids_what_an_earlier_one_takes_at_the_same_step(diversity, second):
    """Greedy groups: .5 loses to .3 above log 5/3 = 0.51, and .6 to .4 above log 3/2 = 0.41."""
    shares = [{4: 0.5, 5: 0.3, 6: 0.2}, {4: 0.6, 5: 0.4}, {EOS: 1.0}]
    table = torch.full((1, 3, 7, 7), -torch.inf)
    for position, each in enumerate(shares):
        for piece, share in each.items():
            table[0, position, :, piece] = math.log(share)
    chosen = SearchConfig(beam=2, n_best=2, groups=2, diversity=diversity, **KEPT)
    (found,) = search(TableScorer(table), *batch_of([0], [3]), chosen)
    assert [each.tokens for each in found] == [(4, 4), second]
    expected = math.log(math.prod(shares[step][piece] for step, piece in enumerate(second)))
    assert found[1].log_prob == pytest.approx(expected, abs=1e-6)


def test_groups_find_more_different_pieces(scorer):
    def different(**changes: object) -> int:
        config = SearchConfig(beam=6, n_best=6, **changes, **KEPT)
        return sum(
            len({piece for each in found for piece in each.tokens[:2]})
            for found in search(scorer, *BATCH, config)
        )

    assert different(groups=6, diversity=5.0) > different()


def test_the_compiled_ranking_finds_the_same(scorer):
    chosen = SearchConfig(beam=6, n_best=6, groups=3, diversity=1.0, **KEPT)
    fast = ranking(rank_plainly)
    assert search(scorer, *BATCH, chosen, rank=fast) == search(scorer, *BATCH, chosen)


@pytest.mark.parametrize("rank", [rank_plainly, ranking(rank_plainly)], ids=["plain", "fast"])
def test_nan_in_a_later_group_alone_is_an_error(rank):
    table = random_table(sentences=1, positions=4, vocab=8, sharpness=0.0)
    table[0, 1, 5, 6] = torch.nan  # read after piece 5, which the second group begins with
    chosen = SearchConfig(beam=2, n_best=2, groups=2, diversity=5.0, min_length_offset=4, **KEPT)
    with pytest.raises(ModelError, match="NaN log-probabilities at target position 2"):
        search(TableScorer(table), *batch_of([0], [3]), chosen, rank=rank)


def test_a_beam_that_cannot_be_divided_is_refused_with_one_that_can():
    text = r"groups: a beam of 5 cannot be divided into 2 equal groups; take a beam of 4"
    with pytest.raises(UsageError, match=text):
        change_search(SearchConfig(), {"groups": 2})
    text = r"groups: a beam of 5 cannot be divided into 9 equal groups; take a beam of 9"
    with pytest.raises(UsageError, match=text):
        change_search(SearchConfig(), {"groups": 9})
