import math

import pytest

from nmt.training.state import Best, Stopping


def after(metric, values, keep=2):
    state, news = Stopping(), []
    for number, value in enumerate(values, start=1):
        state = state.observe(metric, value, loss=0.0, update=100 * number, keep=keep)
        news.append(state.is_new_best)
    return state, news


def test_a_score_is_better_when_higher():
    state, news = after("bleu", [10.0, 12.0, 11.0, 12.0])
    assert news == [True, True, False, False]
    assert state.best == (Best(200, 12.0), Best(400, 12.0))
    assert state.waited == 2


def test_a_loss_is_better_when_lower():
    state, news = after("loss", [3.0, 2.0, 2.5])
    assert news == [True, True, False]
    assert state.best == (Best(200, 2.0), Best(300, 2.5))


def test_equal_scores_are_ranked_by_their_loss():
    """As in the first thousand updates, when BLEU is still 0."""
    state = Stopping()
    for number, loss in enumerate([5.0, 4.0, 6.0], start=1):
        state = state.observe("bleu", 0.0, loss=loss, update=number, keep=3)
    assert [best.update for best in state.best] == [2, 1, 3]
    assert state.waited == 1


def test_nan_is_never_the_best():
    state, news = after("chrf", [math.nan, 20.0, math.nan])
    assert news == [False, True, False]
    assert state.best == (Best(200, 20.0),)


@pytest.mark.parametrize(("patience", "stops"), [(0, False), (2, True), (3, False)])
def test_training_stops_after_its_patience(patience, stops):
    state, _ = after("bleu", [10.0, 9.0, 9.5])
    assert state.should_stop(patience) is stops


def test_a_repeated_validation_takes_one_place_in_the_list():
    state, _ = after("bleu", [10.0])
    state = state.observe("bleu", 11.0, loss=0.0, update=100, keep=3)
    assert state.best == (Best(100, 11.0),)
