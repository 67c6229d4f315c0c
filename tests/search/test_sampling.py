import pytest
import torch
from stub_scorers import TableScorer, batch_of, random_table, score_by_hand

from nmt.config.search import SearchConfig
from nmt.errors import ModelError
from nmt.search.sampling import draw_pieces, restrict
from nmt.search.search import search
from nmt.text.vocabulary import BOS, EOS, PAD, UNK


def options(**changes) -> SearchConfig:
    values = {"sample": True, "max_length_factor": 0.0, "max_length_offset": 8} | changes
    return SearchConfig(**values)


def test_samples_depend_neither_on_the_batch_nor_on_their_number():
    scorer = TableScorer(random_table(sentences=9, positions=8, vocab=25))
    source, mask = batch_of(list(range(9)), [3] * 9)
    together = search(scorer, source, mask, options(n_best=3), streams=range(9))
    for row in (8, 2, 5):
        alone = search(
            scorer, source[row : row + 1], mask[row : row + 1], options(n_best=1), streams=[row]
        )
        assert alone == [together[row][:1]]


def test_seed_and_sentence_number_determine_the_samples():
    scorer = TableScorer(random_table(sentences=1, positions=8, vocab=25))
    batch = batch_of([0] * 6, [3] * 6)
    first = search(scorer, *batch, options(), streams=range(6))
    assert search(scorer, *batch, options(), streams=range(6)) == first
    assert len({hypotheses[0].tokens for hypotheses in first}) > 3
    assert search(scorer, *batch, options(seed=2), streams=range(6)) != first


def test_drawing_from_the_best_piece_only_is_greedy():
    scorer = TableScorer(random_table(sentences=10, positions=8, vocab=25))
    batch = batch_of(list(range(10)), [3] * 10)
    chosen = SearchConfig(beam=1, max_length_factor=0, max_length_offset=8)
    greedy = search(scorer, *batch, chosen)
    assert search(scorer, *batch, options(top_k=1)) == greedy
    assert search(scorer, *batch, options(top_p=1e-6)) == greedy
    assert search(scorer, *batch, options(temperature=1e-4)) == greedy


def test_pieces_are_drawn_with_their_probability():
    table = random_table(sentences=1, positions=1, vocab=8, sharpness=1.0)
    found = search(
        TableScorer(table),
        *batch_of([0], [2]),
        options(n_best=20000, max_length_offset=1, temperature=1.5),
    )
    drawn = torch.tensor([hyp.tokens[0] if hyp.tokens else EOS for hyp in found[0]])
    expected = table[0, 0, BOS].double().div(1.5)
    expected[[PAD, BOS, UNK]] = -torch.inf
    frequencies = torch.bincount(drawn, minlength=8).double() / len(drawn)
    torch.testing.assert_close(frequencies, expected.softmax(dim=0), atol=0.012, rtol=0.0)


def test_log_prob_is_the_models_own_whatever_the_temperature():
    scorer = TableScorer(random_table(sentences=1, positions=8, vocab=12))
    batch = batch_of([0], [3])
    ((hypothesis,),) = search(scorer, *batch, options(temperature=3.0))
    total, previous, state = 0.0, BOS, scorer.start(*batch, copies=1)
    ends = [EOS] if hypothesis.finished else []
    for piece in [*hypothesis.tokens, *ends]:
        scored = scorer.step(torch.tensor([previous]), state)
        total += scored.log_probs[0, piece].item()
        state, previous = scored.state, piece
    assert hypothesis.log_prob == pytest.approx(total)


def test_top_k_and_top_p_keep_the_smallest_sufficient_set():
    scores = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]]).log()
    two = restrict(scores, options(top_k=2))
    torch.testing.assert_close(two[0], torch.tensor([0.0, 4 / 7, 0.0, 3 / 7], dtype=torch.double))
    assert (two[1] > 0).tolist() == [True, True, True, True]  # all three tie for second place
    nucleus = restrict(scores, options(top_p=0.65))
    assert (nucleus > 0).tolist() == [[False, True, False, True], [True, False, False, False]]


def test_a_nucleus_ends_where_its_mass_is_reached():
    scores = torch.tensor([[0.25, 0.5, 0.125, 0.125]]).log()
    half, more = (restrict(scores, options(top_p=mass)) for mass in (0.5, 0.500001))
    assert (half > 0).tolist() == [[False, True, False, False]]
    assert (more > 0).tolist() == [[True, True, False, False]]


def test_remaining_pieces_are_drawn_in_proportion():
    probabilities = torch.tensor([[0.1, 0.0, 0.3, 0.0]], dtype=torch.double)
    points = torch.arange(0, 1, 0.05, dtype=torch.double)
    drawn = draw_pieces(probabilities.expand(len(points), -1), points)
    assert drawn.tolist() == [0] * 5 + [2] * 15


def test_impossible_pieces_are_never_drawn():
    probabilities = torch.tensor([[0.0, 0.5, 0.0, 0.5, 0.0]], dtype=torch.double).repeat(4, 1)
    points = torch.tensor([0.0, 0.49999999, 0.5, 1.0 - 1e-16], dtype=torch.double)
    assert draw_pieces(probabilities, points).tolist() == [1, 1, 3, 3]


@pytest.mark.parametrize("fixed_shape", [False, True])
def test_samples_of_one_sentence_end_independently(fixed_shape):
    scorer = TableScorer(random_table(sentences=4, positions=8, vocab=8, sharpness=1.0))
    found = search(
        scorer,
        *batch_of([0, 1, 2, 3], [3] * 4),
        options(n_best=4),
        fixed_shape=fixed_shape,
        keep_attention=True,
    )
    lengths = {len(hypothesis.tokens) for hypotheses in found for hypothesis in hypotheses}
    assert len(lengths) > 2
    for hypotheses in found:
        for hypothesis in hypotheses:
            assert hypothesis.attention.shape == (len(hypothesis.tokens), 3)
            assert hypothesis.score == pytest.approx(
                hypothesis.log_prob / (len(hypothesis.tokens) + hypothesis.finished)
            )


def test_a_sample_is_scored_with_its_coverage():
    scorer = TableScorer(random_table(sentences=2, positions=4, vocab=9, sharpness=1.0))
    source, mask = batch_of([0, 1], [3, 5])
    chosen = options(n_best=6, coverage_penalty=0.4, length_penalty="gnmt")
    for row, hypotheses in enumerate(search(scorer, source, mask, chosen)):
        alone = source[row : row + 1], mask[row : row + 1]
        for hypothesis in (one for one in hypotheses if one.finished):
            expected = score_by_hand(scorer, *alone, hypothesis.tokens, chosen)
            assert (hypothesis.log_prob, hypothesis.score) == pytest.approx(expected, abs=1e-5)


def test_the_shortest_samples_have_the_minimum_length():
    scorer = TableScorer(random_table(sentences=1, positions=1, vocab=6, sharpness=0.0))
    found = search(scorer, *batch_of([0], [3]), options(n_best=200, min_length_offset=3))
    assert min(len(hypothesis.tokens) for hypothesis in found[0]) == 2  # and the end symbol


@pytest.mark.parametrize("fixed_shape", [False, True])
def test_sentences_whose_samples_have_ended_leave_the_batch(fixed_shape):
    """The first sentence can only end, the second never does."""
    table = torch.full((2, 1, 6, 6), -torch.inf)
    table[0, ..., EOS] = table[1, ..., 4] = 0.0
    scorer = TableScorer(table)
    search(scorer, *batch_of([0, 1], [3, 3]), options(n_best=2), fixed_shape=fixed_shape)
    assert scorer.rows == [4] + 7 * [4 if fixed_shape else 2]


def test_a_stuck_sentence_does_not_stop_another():
    """After one piece the first sentence has none left; the second continues without UNK."""
    table = torch.full((2, 2, 6, 6), -torch.inf)
    table[:, 0, :, 4] = table[1, 1, :, 5] = 0.0
    (stuck,), (other,) = search(TableScorer(table), *batch_of([0, 1], [3, 3]), options())
    assert (stuck.tokens, stuck.finished, stuck.log_prob, stuck.score) == ((4,), False, 0.0, 0.0)
    assert other.tokens == (4,) + (5,) * 7


def test_a_stuck_translation_is_scored_by_the_pieces_it_has():
    table = torch.full((1, 4, 6, 6), -torch.inf)
    table[0, 0, :, 4] = table[0, 1, :, 5] = -1.0
    ((three,),) = search(TableScorer(table), *batch_of([0], [3]), options())
    assert (three.tokens, three.log_prob, three.score) == ((4, 5), -2.0, -1.0)
    ((one,),) = search(TableScorer(table[:, [0, 2]]), *batch_of([0], [3]), options())
    assert (one.tokens, one.log_prob, one.score) == ((4,), -1.0, -1.0)


def test_the_step_that_yields_nan_is_named():
    table = random_table(sentences=1, positions=3, vocab=6)
    table[0, 2] = torch.nan
    table[..., EOS] = -torch.inf
    with pytest.raises(ModelError, match="at target position 3:"):
        search(TableScorer(table), *batch_of([0], [3]), options())
