"""n-gram models: counts by hand, distributions that sum to 1, and text that was never seen."""

import math
from fractions import Fraction

import pytest

from nmt.laboratory.n_gram import NGramModel

BEGIN, END, A, B = 0, 1, 2, 3
TEXT = [[A, A, B], [A, B], [B]]


def model(order, discount=0.75, text=TEXT):
    return NGramModel.count(text, order, vocab=3, begin=BEGIN, end=END, discount=discount)


def test_tables_grow_with_the_order_by_what_the_text_has():
    """Unigrams a, b, end; bigrams begin a, begin b, a a, a b, b end."""
    assert [model(order).entries for order in (1, 2)] == [3, 8]


def test_without_a_discount_a_bigram_is_a_ratio_of_counts():
    counted = model(2, discount=0.0)
    for history, word, expected in [
        ([], A, Fraction(2, 3)),
        ([], B, Fraction(1, 3)),
        ([A], A, Fraction(1, 3)),
        ([A], B, Fraction(2, 3)),
        ([B], END, Fraction(1)),
        ([B], A, Fraction(0)),
    ]:
        assert counted.probability(history, word) == pytest.approx(float(expected))


def test_kneser_ney_by_hand():
    """Before the end stands one word, before A two (begin, A), before B two (A, begin)."""
    smoothed, d = model(2, discount=0.5), 0.5
    unigram = {word: (count - d + d * 3 / 3) / 5 for word, count in {END: 1, A: 2, B: 2}.items()}
    assert model(2, discount=0.5).probability([A], B) == pytest.approx(
        (2 - d) / 3 + d * 2 / 3 * unigram[B]
    )
    assert smoothed.probability([B], A) == pytest.approx(d * 1 / 3 * unigram[A])


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("history", [[], [A], [B], [A, A], [B, B, B, A]])
def test_what_may_come_next_sums_to_1(order, history):
    total = sum(model(order).probability(history, word) for word in (END, A, B))
    assert total == pytest.approx(1.0)


def test_only_the_last_words_of_a_history_count():
    assert model(2).probability([B, B, A], B) == model(2).probability([A], B)
    assert model(3).probability([B, A, A], B) == model(3).probability([A, A], B)


def test_a_line_that_the_text_lacks_is_impossible_by_counts_and_possible_when_smoothed():
    assert model(2, discount=0.0).log_prob([B, A]) == -math.inf
    assert model(2, discount=0.0).perplexity([[B, A]]) == math.inf
    assert math.isfinite(model(2).log_prob([B, A]))


def test_an_empty_text_is_uniform():
    empty = model(3, text=[])
    assert empty.perplexity(TEXT) == pytest.approx(3.0)


def test_the_perplexity_is_of_words_and_ends_of_lines():
    one = model(1)
    total = sum(map(one.log_prob, TEXT))
    assert one.perplexity(TEXT) == pytest.approx(math.exp(-total / 9))
    assert one.log_prob([A]) == pytest.approx(
        math.log(one.probability([], A) * one.probability([], END))
    )


def test_wrong_orders_and_discounts_are_refused():
    for order, discount in [(0, 0.5), (2, -0.1), (2, 1.5)]:
        with pytest.raises(ValueError, match="need n >= 1 and 0 <= D <= 1"):
            NGramModel(order, vocab=3, begin=BEGIN, end=END, discount=discount)
