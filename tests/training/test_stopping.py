import json
import math

import pytest

from nmt.training.state import Best, Stopping, TrainingState


def after(metric, values, keep=2):
    state, news = Stopping(), []
    for number, value in enumerate(values, start=1):
        state = state.observe(metric, Best(100 * number, value), keep=keep)
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


def simulate(history, metric="bleu", keep=3):
    """Observe (value, chrF, loss) at updates 1, 2, ...; return the states after each."""
    states = [Stopping()]
    for update, (value, chrf, loss) in enumerate(history, start=1):
        found = Best(update, value, loss, chrf)
        states.append(states[-1].observe(metric, found, keep=keep))
    return states[1:]


def test_equal_bleu_is_decided_by_chrf_and_then_by_the_loss():
    last = simulate([(20.0, 40.0, 3.0), (20.0, 41.0, 3.5), (20.0, 41.0, 3.2), (20.0, 40.0, 1.0)])[
        -1
    ]
    assert [best.update for best in last.best] == [3, 2, 4]


@pytest.mark.parametrize(("metric", "noise"), [("bleu", 0.9), ("chrf", 19.0)])
def test_scores_near_0_leave_the_choice_to_the_loss(metric, noise):
    """An untrained model may have more chrF than one that has begun to learn."""
    states = simulate([(noise, 17.0, 5.0), (0.2, 9.0, 4.8), (noise / 2, 1.0, 4.9)], metric)
    assert [state.best[0].update for state in states] == [1, 2, 2]
    assert [state.waited for state in states] == [0, 0, 1]


def test_noise_near_0_neither_delays_nor_hastens_the_end():
    """BLEU jumps up and down; chrF and the loss stand still, so each validation is a wait."""
    states = simulate([(bleu, 10.0, 5.0) for bleu in (0.0, 0.9, 0.1, 0.95, 0.3)])
    assert [state.waited for state in states] == [0, 1, 2, 3, 4]


def test_above_noise_only_bleu_counts():
    states = simulate([(0.5, 20.0, 5.0), (1.2, 18.0, 4.0), (1.1, 30.0, 3.0), (0.2, 40.0, 2.0)])
    assert [state.is_new_best for state in states] == [True, True, False, False]
    assert states[-1].waited == 2


def test_a_loss_is_never_noise():
    states = simulate([(0.5, 0.0, 0.5), (0.4, 0.0, 0.4), (0.45, 0.0, 0.45)], metric="loss")
    assert [state.waited for state in states] == [0, 0, 1]


def test_a_saved_state_decides_as_the_one_that_went_on():
    history = [(0.4, 12.0, 5.0), (0.1, 11.0, 4.5), (2.0, 10.0, 4.8), (1.9, 9.0, 4.3)]
    states = simulate(history)
    saved = TrainingState(stopping=states[1]).to_json()
    state = TrainingState.from_json(json.loads(json.dumps(saved))).stopping
    for update, (value, chrf, loss) in enumerate(history[2:], start=3):
        state = state.observe("bleu", Best(update, value, loss, chrf), keep=3)
    assert state == states[-1]


def test_equal_scores_are_ranked_by_their_loss():
    """As in the first thousand updates, when BLEU is still 0."""
    state = Stopping()
    for number, loss in enumerate([5.0, 4.0, 6.0], start=1):
        state = state.observe("bleu", Best(number, 0.0, loss), keep=3)
    assert [best.update for best in state.best] == [2, 1, 3]
    assert state.waited == 1
    assert not state.is_new_best


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
    state = state.observe("bleu", Best(100, 11.0), keep=3)
    assert state.best == (Best(100, 11.0),)


# --- a least improvement -------------------------------------------------------------------


def waits(metric, values, least):
    state, found = Stopping(), []
    for number, value in enumerate(values, start=1):
        state = state.observe(metric, Best(number, value), keep=1, least_improvement=least)
        found.append((state.waited, state.is_new_best))
    return state, found


def test_a_small_improvement_is_the_best_but_does_not_count_for_patience():
    state, found = waits("bleu", [10.0, 10.25, 10.125], 0.5)
    assert found == [(0, True), (1, True), (2, False)]
    assert state.best[0].value == 10.25
    assert state.should_stop(2)


def test_small_improvements_count_when_they_add_up():
    _, found = waits("bleu", [10.0, 10.25, 10.5, 10.75], 0.5)
    assert [waited for waited, _ in found] == [0, 1, 0, 1]


def test_the_least_improvement_of_a_loss_is_a_fall():
    _, found = waits("loss", [3.0, 2.75, 2.5, 2.75], 0.5)
    assert [waited for waited, _ in found] == [0, 1, 0, 1]


def test_a_least_improvement_leaves_the_loss_of_young_models_alone():
    """Below 1, BLEU is noise: a lower loss counts, whatever the least improvement of BLEU."""
    state = Stopping()
    for update, (value, loss) in enumerate([(0.5, 5.0), (0.25, 4.0), (0.125, 3.0)], start=1):
        state = state.observe("bleu", Best(update, value, loss), keep=1, least_improvement=0.5)
        assert state.waited == 0
