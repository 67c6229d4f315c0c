import itertools

import pytest
import torch
from stub_scorers import TableScorer, batch_of, changed, random_table

from nmt.config.search import SearchConfig
from nmt.search.repetition import is_loop, most_copies
from nmt.search.search import search
from nmt.text.vocabulary import EOS

KINDS = [{"beam": 1}, {"beam": 4, "n_best": 4}, {"sample": True, "n_best": 4}]


@pytest.mark.parametrize(
    ("tokens", "copies"),
    [
        ([], 0),
        ([7], 1),
        ([7, 8, 9], 1),
        ([7, 7], 2),
        ([5, 7, 8, 7, 8, 7], 2),
        ([5, 7, 8, 7, 8, 7, 8, 6], 3),
        ([1, 2, 3, 4, 5] * 4, 4),
        ([4] * 40, 40),
        ([1, 1, 2, 3, 3, 3, 3, 2], 4),
        ([3, 3, 3, 3, 2, 1, 1, 2, 5, 5], 4),
    ],
)
def test_consecutive_copies_are_counted(tokens, copies):
    assert most_copies(tokens) == copies


def test_a_repetition_as_long_as_in_the_source_is_not_a_loop():
    assert is_loop([5, 6] * 4, [7, 8, 9])
    assert not is_loop([5, 6] * 3, [7, 8, 9])
    assert not is_loop([5] * 6, [7] * 6)
    assert is_loop([5] * 7, [7] * 6)
    assert is_loop([5] * 4, [7])
    assert not is_loop([5] * 3, [7])
    assert not is_loop([], [])


def options(**changes) -> SearchConfig:
    return SearchConfig(**({"max_length_factor": 0.0, "max_length_offset": 12} | changes))


def has_repeated(tokens, size: int) -> bool:
    grams = list(zip(*(tokens[start:] for start in range(size)), strict=False))
    return len(grams) > len(set(grams))


def never_end(table: torch.Tensor) -> None:
    table[..., EOS] = -torch.inf


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
@pytest.mark.parametrize("fixed_shape", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_occurs_twice_with_no_repeat_ngram(kind, fixed_shape, size):
    scorer = TableScorer(random_table(sentences=8, positions=1, vocab=20, sharpness=4.0))
    batch = batch_of(list(range(8)), [2, 3, 4, 5] * 2)
    plain = search(scorer, *batch, options(**kind))
    blocked = search(scorer, *batch, options(**kind, no_repeat_ngram=size), fixed_shape=fixed_shape)
    written = [hyp.tokens for hypotheses in blocked for hyp in hypotheses]

    assert any(has_repeated(hyp.tokens, size) for hypotheses in plain for hyp in hypotheses)
    assert not any(has_repeated(tokens, size) for tokens in written)


def test_a_wide_beam_finds_the_best_hypotheses_without_repeated_ngrams():
    scorer = TableScorer(random_table(sentences=2, positions=5, vocab=8, seed=3))
    source, mask = batch_of([0, 1], [3, 3])
    wide = options(beam=4**5, n_best=1000, max_length_offset=5, length_penalty="none")
    blocked = options(
        beam=4**5, n_best=5, max_length_offset=5, length_penalty="none", no_repeat_ngram=2
    )
    every, found = (search(scorer, source, mask, chosen) for chosen in (wide, blocked))
    for hypotheses, kept in zip(every, found, strict=True):
        expected = [hyp.tokens for hyp in hypotheses if not has_repeated(hyp.tokens, 2)]
        assert [hyp.tokens for hyp in kept] == expected[:5]


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
def test_a_hypothesis_with_no_other_piece_left_may_repeat_itself(kind):
    """With two words and no end symbol, the rule would leave nothing after both."""
    table = changed(random_table(sentences=3, positions=3, vocab=6), never_end)
    found = search(
        TableScorer(table), *batch_of([0, 1, 2], [3, 3, 3]), options(**kind, no_repeat_ngram=1)
    )
    for hypotheses in found:
        for hypothesis in hypotheses:
            assert len(hypothesis.tokens) == 12
            assert set(hypothesis.tokens[:2]) == {4, 5}
            assert not hypothesis.finished


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
def test_the_rule_ignores_other_sentences(kind):
    scorer = TableScorer(random_table(sentences=9, positions=1, vocab=12, sharpness=4.0))
    chosen = options(**kind, no_repeat_ngram=2, max_length_factor=1.0, max_length_offset=3)
    lengths = [2, 7, 3, 6, 2, 4, 5, 7, 2]
    together = search(scorer, *batch_of(list(range(9)), lengths), chosen)
    for sentence, length in enumerate(lengths):
        alone = search(scorer, *batch_of([sentence], [length]), chosen, streams=[sentence])
        assert alone == [together[sentence]]


def test_ngram_sizes_that_are_never_reached_change_nothing():
    scorer = TableScorer(random_table(sentences=6, positions=1, vocab=12))
    batch = batch_of(list(range(6)), [3] * 6)
    for kind, size in itertools.product(KINDS, (13, 10**9)):
        assert search(scorer, *batch, options(**kind, no_repeat_ngram=size)) == search(
            scorer, *batch, options(**kind)
        )
