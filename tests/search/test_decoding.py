"""Sentences may join a running search, and leave it: each gets the same result as alone."""

from functools import partial

import numpy as np
import pytest
import torch
from stub_scorers import TableScorer, batch_of, random_table
from test_scorers import random_choice, real_batch, small_model

from nmt.config.search import SearchConfig
from nmt.search.decoding import start
from nmt.search.hypothesis import Hypothesis
from nmt.search.scorers import EnsembleScorer, FusionScorer, ModelScorer, Scorer
from nmt.search.search import advance, search

LENGTHS = [2, 7, 3, 3, 6, 2, 4, 5, 7, 2, 3, 6]
KINDS = [
    {"beam": 1},
    {"beam": 4, "n_best": 3},
    {"beam": 3, "no_repeat_ngram": 1, "min_length_factor": 0.5},
    {"beam": 3, "no_repeat_ngram": 2, "coverage_penalty": 0.3, "length_penalty": "gnmt"},
    {"sample": True, "n_best": 2, "coverage_penalty": 0.2},
]


def sentence_of(batch: tuple[torch.Tensor, torch.Tensor], row: int):
    length = int(batch[1][row].sum())
    return batch[0][row : row + 1, :length], batch[1][row : row + 1, :length]


def find_while_joining(scorer: Scorer, batch, config: SearchConfig, *, keep_attention: bool):
    """Search with two sentences at first, which another joins at every second step."""
    begin = partial(start, scorer, config=config, keep_attention=keep_attention)
    waiting = list(range(2, len(batch[0])))
    decoding = begin(*sentence_of(batch, 0), keys=[0]).concat(
        begin(*sentence_of(batch, 1), keys=[1])
    )
    found: dict[int, list[Hypothesis]] = {}
    steps, together = 0, 0
    while len(found) < len(batch[0]):
        if waiting and (steps % 2 or not decoding.sentences):
            key = waiting.pop(0)
            decoding = decoding.concat(begin(*sentence_of(batch, key), keys=[key]))
        together = max(together, len(set(decoding.length.tolist())))
        decoding, done = advance(decoding)
        found |= done
        steps += 1
    assert together > 1  # sentences of different age were searched at once
    return found


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_sentences_that_join_get_the_same_result_as_alone(kind):
    scorer = TableScorer(random_table(sentences=12, positions=9, vocab=20))
    config = SearchConfig(**kind, max_length_factor=1.0, max_length_offset=4)
    batch = batch_of(list(range(12)), LENGTHS)
    found = find_while_joining(scorer, batch, config, keep_attention=True)
    for row, length in enumerate(LENGTHS):
        (alone,) = search(
            scorer, *sentence_of(batch, row), config, streams=[row], keep_attention=True
        )
        assert found[row] == alone
        for one, other in zip(found[row], alone, strict=True):
            assert torch.equal(one.attention[:, :length], other.attention)
            assert (one.attention[:, length:] == 0).all()


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("scorer", ["model", "blind", "shortlist", "ensemble", "fusion", "unfed"])
def test_sentences_that_join_get_the_same_result_as_alone_with_models(kind, scorer):
    if scorer == "blind" and "coverage_penalty" in kind:
        pytest.skip("without attention there is no coverage")
    scorers = {
        "model": lambda: ModelScorer(small_model()),
        "blind": lambda: ModelScorer(small_model("none")),
        "shortlist": lambda: ModelScorer(small_model(), random_choice()),
        "ensemble": lambda: EnsembleScorer([ModelScorer(small_model(seed=n)) for n in (1, 2)]),
        "fusion": lambda: FusionScorer(
            ModelScorer(small_model()), ModelScorer(small_model("none", seed=2)), 0.3
        ),
        "unfed": lambda: ModelScorer(small_model(input_feeding=False)),
    }
    who, batch = scorers[scorer](), real_batch()
    config = SearchConfig(**kind, max_length_factor=1.0, max_length_offset=3)
    found = find_while_joining(who, batch, config, keep_attention=scorer != "ensemble")
    for row in range(len(batch[0])):
        (alone,) = search(who, *sentence_of(batch, row), config, streams=[row])
        assert [hyp.tokens for hyp in found[row]] == [hyp.tokens for hyp in alone]
        for one, other in zip(found[row], alone, strict=True):
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert (one.attention is None) == (scorer in ("blind", "ensemble"))


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_sentences_that_leave_do_not_change_the_results_of_the_rest(kind):
    scorer = TableScorer(random_table(sentences=12, positions=9, vocab=20))
    config = SearchConfig(**kind, max_length_factor=1.0, max_length_offset=4)
    batch = batch_of(list(range(12)), LENGTHS)
    keys = range(100, 112)
    decoding = start(scorer, *batch, config, keys=keys, streams=range(12), keep_attention=True)
    found: dict[int, list[Hypothesis]] = {}
    for _ in range(2):
        decoding, done = advance(decoding)
        found |= done
    stay = np.array([n for n, each in enumerate(decoding.sentences) if each.key % 3])
    decoding = decoding.select(stay)
    kept = [each.key for each in decoding.sentences]
    assert 0 < len(kept) < 12
    while decoding.sentences:
        decoding, done = advance(decoding)
        found |= done
    expected = search(scorer, *batch, config, keep_attention=True)
    assert set(kept) <= set(found)
    for key, hypotheses in found.items():
        assert hypotheses == expected[key - 100]
        for one, other in zip(hypotheses, expected[key - 100], strict=True):
            assert torch.equal(one.attention, other.attention)


def test_a_batch_forgets_the_steps_of_sentences_that_have_left():
    table = torch.full((2, 1, 6, 6), -torch.inf)
    table[..., 4] = 0.0  # never ends
    scorer = TableScorer(table)
    config = SearchConfig(beam=1, max_length_factor=0.0, max_length_offset=9)
    begin = partial(start, scorer, config=config, keep_attention=True)
    decoding = begin(*batch_of([0], [3]), keys=[0])
    for _ in range(6):
        decoding, _ = advance(decoding)
    decoding = decoding.concat(begin(*batch_of([1], [3]), keys=[1]))
    for _ in range(3):
        assert decoding.history.pieces.shape[1] > 6
        decoding, found = advance(decoding)
    assert list(found) == [0]
    assert decoding.history.pieces.shape == (1, 4)  # three pieces and the begin symbol
    assert len(decoding.history.attention.steps) == 3


def test_a_decoding_that_all_sentences_have_left_is_empty():
    scorer = TableScorer(random_table(sentences=1, positions=3, vocab=8))
    begin = partial(start, scorer, *batch_of([0], [3]), SearchConfig())
    empty = begin().select(np.array([], dtype=np.int64))
    assert empty.sentences == ()
    full = begin()
    assert empty.concat(full) is full


def test_decodings_that_differ_in_scorer_or_options_cannot_be_joined():
    table = random_table(sentences=1, positions=3, vocab=8)
    scorer, batch = TableScorer(table), batch_of([0], [3])
    one = start(scorer, *batch, SearchConfig())
    for other in (
        start(TableScorer(table), *batch, SearchConfig()),
        start(scorer, *batch, SearchConfig(alpha=0.7)),
    ):
        with pytest.raises(ValueError, match="only decodings of one scorer with the same options"):
            one.concat(other)


def test_decodings_with_and_without_prefixes_cannot_be_joined():
    scorer = TableScorer(random_table(sentences=1, positions=3, vocab=8))
    begin = partial(start, scorer, *batch_of([0], [3]), SearchConfig(), pieces=list("abcdefgh"))
    with pytest.raises(ValueError, match="start both with prefixes"):
        begin(prefixes=["e"]).concat(begin())
