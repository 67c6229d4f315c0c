"""Successive halving: rungs, times, and which runs go on."""

import pytest

from nmt.tuning.halving import MOST_RUNS, affordable_runs, rung_sizes, seconds_each, survivors


@pytest.mark.parametrize(
    ("runs", "sizes"),
    [(2, [2]), (3, [3, 2]), (4, [4, 2]), (5, [5, 3, 2]), (8, [8, 4, 2]), (12, [12, 6, 3, 2])],
)
def test_each_rung_has_half_the_runs_of_the_one_before_until_two(runs, sizes):
    assert rung_sizes(runs) == sizes


@pytest.mark.parametrize("runs", range(2, MOST_RUNS + 1))
def test_the_rungs_use_the_whole_budget_in_equal_shares(runs):
    left, shares, sizes = 3600.0, [], rung_sizes(runs)
    for number, size in enumerate(sizes):
        shares.append(size * seconds_each(left, sizes[number:]))
        left -= shares[-1]
    assert left == pytest.approx(0, abs=1e-6)
    assert shares == pytest.approx([3600 / len(sizes)] * len(sizes))


def test_a_run_of_the_next_rung_trains_twice_as_long():
    assert seconds_each(2400, [8, 4, 2]) == 100
    assert seconds_each(1600, [4, 2]) == 200
    assert seconds_each(800, [2]) == 400


@pytest.mark.parametrize(
    ("seconds", "runs"), [(19, 0), (20, 2), (59, 2), (60, 3), (79, 3), (80, 4)]
)
def test_as_many_runs_as_get_the_least_time_each(seconds, runs):
    assert affordable_runs(seconds, least=10) == runs


def test_there_is_a_limit_to_the_number_of_runs():
    assert affordable_runs(1e9, least=1) == MOST_RUNS


def test_the_runs_of_lowest_loss_survive():
    assert survivors({0: 3.0, 1: 4.0, 2: 1.0, 3: 2.0}, 2, baseline=2) == [2, 3]


def test_the_baseline_survives_beside_the_best():
    assert survivors({0: 9.0, 1: 4.0, 2: 1.0, 3: 2.0}, 2, baseline=0) == [2, 3, 0]


def test_failed_runs_do_not_survive():
    assert survivors({0: 3.0, 1: None, 2: None}, 2, baseline=0) == [0]
