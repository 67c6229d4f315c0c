import itertools
import math
import tracemalloc

import pytest
import torch
from stub_scorers import TableScorer, batch_of, changed, random_table, score_by_hand

from nmt.config.search import SearchConfig, change_search
from nmt.errors import ModelError, UsageError
from nmt.search.hypothesis import Hypothesis
from nmt.search.search import search
from nmt.text.vocabulary import BOS, EOS, PAD, UNK

VOCAB = 9
WORDS = range(4, VOCAB)
LIMIT = 4  # pieces, end symbol included
KINDS = [{"beam": 1}, {"beam": 3}, {"sample": True}]


def options(**changes) -> SearchConfig:
    values = {"max_length_factor": 0.0, "max_length_offset": LIMIT} | changes
    return SearchConfig(**values)


@pytest.mark.parametrize("length_penalty", ["none", "average", "gnmt"])
@pytest.mark.parametrize("coverage", [0.0, 0.4])
@pytest.mark.parametrize("shortest", [0, 3])
def test_a_beam_as_wide_as_the_space_finds_what_exhaustive_search_finds(
    length_penalty, coverage, shortest
):
    scorer = TableScorer(random_table(sentences=3, positions=LIMIT, vocab=VOCAB))
    chosen = options(
        beam=len(WORDS) ** LIMIT,
        n_best=6,
        length_penalty=length_penalty,
        alpha=0.8,
        coverage_penalty=coverage,
        min_length_offset=shortest,
    )
    source, mask = batch_of([0, 1, 2], [3, 5, 2])
    found = search(scorer, source, mask, chosen)

    space = [
        tokens
        for length in range(max(shortest - 1, 0), LIMIT)
        for tokens in itertools.product(WORDS, repeat=length)
    ]
    for row in range(3):
        alone = source[row : row + 1], mask[row : row + 1]
        scores = {tokens: score_by_hand(scorer, *alone, tokens, chosen) for tokens in space}
        expected = sorted(space, key=lambda tokens: -scores[tokens][1])[:6]
        assert [hypothesis.tokens for hypothesis in found[row]] == expected
        for hypothesis in found[row]:
            assert hypothesis.finished
            assert (hypothesis.log_prob, hypothesis.score) == pytest.approx(
                scores[hypothesis.tokens], abs=1e-5
            )


def write_greedily(scorer, source, mask, limit: int) -> tuple[list[int], float]:
    """Greedy translation of one sentence: pieces and log-probability."""
    state, pieces, total = scorer.start(source, mask, copies=1), [BOS], 0.0
    while len(pieces) <= limit and pieces[-1] != EOS:
        scored = scorer.step(torch.tensor(pieces[-1:]), state)
        log_probs = scored.log_probs[0].clone()
        log_probs[[PAD, BOS, UNK]] = -torch.inf
        pieces.append(int(log_probs.argmax()))
        total += log_probs.max().item()
        state = scored.state
    return pieces[1:], total


def test_a_beam_of_one_is_greedy():
    scorer = TableScorer(random_table(sentences=20, positions=12, vocab=30))
    source, mask = batch_of(list(range(20)), [4] * 20)
    found = search(scorer, source, mask, options(beam=1, max_length_offset=12))
    for row, (hypothesis,) in enumerate(found):
        pieces, total = write_greedily(scorer, source[row : row + 1], mask[row : row + 1], 12)
        assert [*hypothesis.tokens, *([EOS] if hypothesis.finished else [])] == pieces
        assert hypothesis.log_prob == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("fixed_shape", [False, True])
@pytest.mark.parametrize("beam", [1, 4])
def test_a_sentence_gets_the_same_translation_alone_and_in_any_batch(beam, fixed_shape):
    scorer = TableScorer(random_table(sentences=12, positions=9, vocab=20))
    chosen = options(
        beam=beam,
        n_best=beam,
        max_length_factor=1.0,
        max_length_offset=2,
        coverage_penalty=0.2,
    )
    lengths = [2, 7, 3, 3, 6, 2, 4, 5, 7, 2, 3, 6]
    order = [5, 1, 7, 11, 0, 2, 9, 3, 8, 10, 6, 4]
    batch = batch_of(order, [lengths[i] for i in order])
    together = search(scorer, *batch, chosen, keep_attention=True, fixed_shape=fixed_shape)
    for place, sentence in enumerate(order):
        (alone,) = search(
            *(scorer, *batch_of([sentence], [lengths[sentence]]), chosen),
            keep_attention=True,
            fixed_shape=fixed_shape,
        )
        assert alone == together[place]
        for one, other in zip(alone, together[place], strict=True):
            width = lengths[sentence]
            assert torch.equal(one.attention, other.attention[:, :width])
            assert (other.attention[:, width:] == 0).all()


@pytest.mark.parametrize("stop", ["full", "best"])
@pytest.mark.parametrize("length_penalty", ["none", "average", "gnmt"])
def test_the_best_hypotheses_do_not_depend_on_how_many_are_requested(length_penalty, stop):
    scorer = TableScorer(random_table(sentences=30, positions=10, vocab=15))
    source, mask = batch_of(list(range(30)), [3] * 30)
    every, *fewer = (
        search(
            scorer,
            source,
            mask,
            options(
                beam=5, n_best=n, stop=stop, length_penalty=length_penalty, max_length_offset=10
            ),
        )
        for n in (5, 1, 2, 3)
    )
    for n, found in zip((1, 2, 3), fewer, strict=True):
        assert found == [hypotheses[:n] for hypotheses in every]


def test_hypotheses_come_best_first_and_differ():
    scorer = TableScorer(random_table(sentences=10, positions=8, vocab=12))
    found = search(
        scorer, *batch_of(list(range(10)), [3] * 10), options(beam=6, n_best=6, max_length_offset=8)
    )
    for hypotheses in found:
        scores = [hypothesis.score for hypothesis in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({hypothesis.tokens for hypothesis in hypotheses}) == len(hypotheses)


@pytest.mark.parametrize("beam", [1, 3])
def test_a_model_that_never_ends_stops_at_the_limit_of_its_sentence(beam):
    def never_end(table: torch.Tensor) -> None:
        table[..., EOS] = -torch.inf

    table = changed(random_table(sentences=2, positions=3, vocab=10), never_end)
    scorer = TableScorer(table)
    chosen = options(beam=beam, max_length_factor=2.0, max_length_offset=1)
    found = search(scorer, *batch_of([0, 1], [2, 5]), chosen, keep_attention=True)

    assert [len(hypotheses[0].tokens) for hypotheses in found] == [5, 11]
    assert not any(hypotheses[0].finished for hypotheses in found)
    assert [tuple(hypotheses[0].attention.shape) for hypotheses in found] == [(5, 5), (11, 5)]
    assert scorer.steps == 11
    assert scorer.rows == [2 * beam] * 5 + [beam] * 6  # the shorter sentence has left the batch
    for (hypothesis,) in found:
        assert hypothesis.score == pytest.approx(hypothesis.log_prob / len(hypothesis.tokens))


@pytest.mark.parametrize("beam", [1, 3])
def test_a_batch_of_fixed_shape_keeps_its_rows(beam):
    table = random_table(sentences=6, positions=9, vocab=10)
    pruned, fixed = TableScorer(table), TableScorer(table)
    batch = batch_of([0, 1, 2, 3, 4, 5], [2, 5, 3, 2, 4, 4])
    chosen = {"beam": beam, "max_length_offset": 9}
    assert search(pruned, *batch, options(**chosen)) == search(
        fixed, *batch, options(**chosen), fixed_shape=True
    )
    assert set(fixed.rows) == {6 * beam}
    assert min(pruned.rows) < 6 * beam


@pytest.mark.parametrize("beam", [1, 3])
def test_special_pieces_are_never_generated(beam):
    def prefer_specials(table: torch.Tensor) -> None:
        table[..., [PAD, BOS, UNK]] = -0.01

    table = changed(random_table(sentences=3, positions=6, vocab=8), prefer_specials)
    found = search(
        TableScorer(table), *batch_of([0, 1, 2], [3, 3, 3]), options(beam=beam, n_best=beam)
    )
    pieces = {piece for hypotheses in found for hyp in hypotheses for piece in hyp.tokens}
    assert pieces
    assert not pieces & {PAD, BOS, UNK, EOS}


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
def test_unk_is_generated_where_nothing_else_is_possible(kind):
    def leave_unknown(table: torch.Tensor) -> None:
        table[:, 1] = -torch.inf
        table[:, 1, :, UNK] = -0.5

    table = changed(random_table(sentences=2, positions=4, vocab=8), leave_unknown)
    found = search(
        TableScorer(table), *batch_of([0, 1], [3, 3]), options(**kind, min_length_offset=3)
    )
    for (hypothesis,) in found:
        assert hypothesis.tokens[1] == UNK
        assert hypothesis.finished or len(hypothesis.tokens) == LIMIT


@pytest.mark.parametrize("kind", KINDS, ids=["greedy", "beam", "sample"])
@pytest.mark.parametrize("position", [0, 2])
def test_a_model_that_allows_no_piece_ends_unfinished(kind, position):
    def close_all(table: torch.Tensor) -> None:
        table[:, position] = -torch.inf

    table = changed(random_table(sentences=1, positions=5, vocab=8), close_all)
    ((hypothesis,),) = search(
        TableScorer(table), *batch_of([0], [3]), options(**kind, min_length_offset=4)
    )
    assert not hypothesis.finished
    assert len(hypothesis.tokens) == position
    assert math.isfinite(hypothesis.score)


@pytest.mark.parametrize("beam", [1, 3])
def test_the_coverage_penalty_applies_to_an_unfinished_translation(beam):
    def close_all(table: torch.Tensor) -> None:
        table[:, 2] = -torch.inf

    table = changed(random_table(sentences=1, positions=5, vocab=8), close_all)
    plain, penalized = (
        search(
            TableScorer(table),
            *batch_of([0], [6]),
            options(beam=beam, min_length_offset=4, coverage_penalty=weight),
        )[0][0]
        for weight in (0.0, 0.5)
    )
    assert plain.tokens == penalized.tokens
    assert penalized.score < plain.score - 0.1


@pytest.mark.parametrize("beam", [1, 3])
def test_nan_is_an_error_that_says_so(beam):
    def break_model(table: torch.Tensor) -> None:
        table[1, 2, :, 5] = torch.nan

    table = changed(random_table(sentences=2, positions=4, vocab=8), break_model)
    with pytest.raises(
        ModelError,
        match=r"NaN log-probabilities at target position 3.*: its weights are damaged or overflow; "
        r"use an earlier checkpoint, or try --precision fp32\.$",
    ):
        search(
            TableScorer(table),
            *batch_of([0, 1], [3, 3]),
            options(beam=beam, min_length_offset=4),
        )


@pytest.mark.parametrize("beam", [1, 4])
def test_ties_go_to_the_lower_piece(beam):
    uniform = torch.full((1, 3, 10, 10), -math.log(10.0))
    uniform[:, 2, :, EOS] = 0.0
    (found,) = search(
        TableScorer(uniform),
        *batch_of([0], [2]),
        options(beam=beam, n_best=beam, min_length_offset=3, max_length_offset=3),
    )
    assert [hypothesis.tokens for hypothesis in found] == [(4, 4), (4, 5), (4, 6), (4, 7)][:beam]


@pytest.mark.parametrize("beam", [1, 3])
def test_lengths_stay_between_the_limits(beam):
    scorer = TableScorer(random_table(sentences=20, positions=9, vocab=8))
    chosen = options(
        beam=beam,
        n_best=beam,
        min_length_factor=1.0,
        min_length_offset=1,
        max_length_factor=1.5,
        max_length_offset=2,
    )
    found = search(scorer, *batch_of(list(range(20)), [2, 4] * 10), chosen)
    for source_length, hypotheses in zip([2, 4] * 10, found, strict=True):
        for hypothesis in hypotheses:
            length = len(hypothesis.tokens) + hypothesis.finished
            assert source_length + 1 <= length <= 1.5 * source_length + 2


def test_an_empty_translation_is_possible():
    def end_at_once(table: torch.Tensor) -> None:
        table[:, 0, :, EOS] = 0.0

    table = changed(random_table(sentences=1, positions=4, vocab=8), end_at_once)
    ((best,),) = search(
        TableScorer(table), *batch_of([0], [3]), options(beam=3), keep_attention=True
    )
    assert best == Hypothesis((), 0.0, 0.0, True)
    assert tuple(best.attention.shape) == (0, 3)


def test_coverage_without_attention_is_an_error():
    class Blind(TableScorer):
        def attention(self, tokens, state):
            return None

    with pytest.raises(UsageError, match=r"coverage_penalty: the model has no attention"):
        search(
            Blind(random_table(sentences=1, positions=4, vocab=8)),
            *batch_of([0], [3]),
            options(coverage_penalty=0.2),
        )


@pytest.mark.parametrize(
    "changes",
    [{"beam": 1}, {"beam": 3, "length_penalty": "none"}, {"sample": True, "n_best": 3}],
    ids=["greedy", "beam", "sample"],
)
def test_an_unreached_length_limit_takes_no_memory_and_changes_nothing(changes):
    scorer = TableScorer(random_table(sentences=4, positions=9, vocab=VOCAB))
    batch = batch_of([0, 1, 2, 3], [3, 5, 2, 4])
    expected = search(scorer, *batch, options(**changes, max_length_offset=200))
    assert all(found.finished for hypotheses in expected for found in hypotheses)

    far = options(**changes, max_length_factor=1000.0, max_length_offset=100_000)
    tracemalloc.start()
    found = search(scorer, *batch, far)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == expected
    assert peak < 500_000  # bytes; a number for each possible length would take more


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beam": 0}, r"^beam: must be at least 1, got 0\.$"),
        ({"top_k": -1}, r"^top_k: must be at least 0, got -1\.$"),
        (
            {"beam": 2, "n_best": 3},
            r"n_best: 3 is more than a beam of 2 can find; ask for at most 2, or for a beam of 3\.",
        ),
        ({"temperature": 0.0}, r"^temperature: must be at least 1e-06, got 0\.0\.$"),
        ({"top_p": 1.5}, r"^top_p: must be at most 1, got 1\.5\.$"),
        ({"top_p": 0.0}, r"^top_p: must be greater than 0, got 0\.0\.$"),
        ({"alpha": 1e30}, r"^alpha: must be at most 10, got 1e\+30\.$"),
        ({"coverage_penalty": math.inf}, r"^coverage_penalty: must be a finite number, got inf\."),
        ({"max_length_factor": 1e4}, r"^max_length_factor: must be at most 1000, got 10000\.0\.$"),
        ({"max_length_offset": 0}, r"^max_length_offset: must be at least 1, got 0\.$"),
        ({"max_length_offset": 10**20}, r"^max_length_offset: must be at most 100000, got 10+\.$"),
        ({"min_length_factor": math.nan}, r"^min_length_factor: must be a finite number, got nan"),
        ({"min_length_offset": 10**8}, r"^min_length_offset: must be at most 100000, got 10+\.$"),
        (
            {"length_penalty": "mean"},
            r'^length_penalty: must be "none", "average" or "gnmt", got "mean"\.$',
        ),
        ({"beem": 3}, r'^beem: unknown key \(did you mean "beam"\?\)\.$'),
        (
            {"beam": 1.5, "seed": "x"},
            "^beam: must be a whole .*\nseed: must be a whole number, got",
        ),
    ],
)
def test_invalid_options_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        change_search(SearchConfig(), changes)


def test_changing_one_option_keeps_the_others():
    config = SearchConfig(beam=4, seed=7)
    changed_config = change_search(config, {"n_best": 2})
    assert changed_config == SearchConfig(beam=4, seed=7, n_best=2)
    assert config.n_best == 1


def test_more_samples_than_the_beam_size_may_be_drawn():
    assert change_search(SearchConfig(beam=2), {"sample": True, "n_best": 9}).n_best == 9
