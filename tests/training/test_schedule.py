import math

import pytest

from nmt.config.training import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    ExponentialScheduleConfig,
    InverseSqrtScheduleConfig,
    PlateauScheduleConfig,
    TrainingConfig,
)
from nmt.training.schedule import Plateau, after_validation, learning_rate, should_reload_best

START = Plateau()


def rates(config, updates, plateau=START):
    training = TrainingConfig(schedule=config, learning_rate=2.0, max_updates=200)
    return [learning_rate(training, update, plateau) for update in updates]


def test_constant_stays_after_a_linear_warmup():
    assert rates(ConstantScheduleConfig(), [1, 100]) == [2.0, 2.0]
    assert rates(ConstantScheduleConfig(warmup=4), [1, 2, 3, 4, 5]) == [0.5, 1.0, 1.5, 2.0, 2.0]


def test_inverse_sqrt_peaks_at_the_end_of_the_warmup_and_halves_at_four_times_it():
    config = InverseSqrtScheduleConfig(warmup=100)
    assert rates(config, [50, 100, 400, 1600]) == [1.0, 2.0, 1.0, 0.5]


def test_cosine_goes_through_the_middle_and_stays_at_its_end():
    config = CosineScheduleConfig(warmup=10, updates=110, end=0.1)
    assert rates(config, [5, 10, 60, 110, 500]) == pytest.approx([1.0, 2.0, 1.1, 0.2, 0.2])
    quarter = 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    assert rates(config, [35]) == pytest.approx([2 * quarter])


def test_cosine_without_an_end_ends_with_the_training():
    assert rates(CosineScheduleConfig(), [50, 150, 199]) == rates(
        CosineScheduleConfig(updates=200), [50, 150, 199]
    )
    assert rates(CosineScheduleConfig(), [200]) == [0.0]


def test_cosine_that_ends_within_its_warmup_does_not_divide_by_zero():
    assert rates(CosineScheduleConfig(warmup=10, updates=10), [9, 10]) == pytest.approx([1.8, 0.0])


def test_exponential_first_falls_at_its_start_then_at_every_interval():
    config = ExponentialScheduleConfig(start=100, every=50, factor=0.5)
    assert rates(config, [1, 99, 100, 149, 150, 200]) == [2.0, 2.0, 1.0, 1.0, 0.5, 0.25]


def test_plateau_falls_after_its_patience_and_asks_for_the_best_once():
    config = PlateauScheduleConfig(factor=0.5, patience=2)
    seen, reloads, plateau = [], [], START
    for improved in [True, False, True, False, False, False, False]:
        plateau = after_validation(config, plateau, improved=improved)
        seen += rates(config, [1], plateau)
        reloads.append(should_reload_best(config, plateau))
    assert seen == [2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 0.5]
    assert reloads == [False, False, False, False, True, False, True]


def test_plateau_without_reload_never_asks_for_the_best():
    config = PlateauScheduleConfig(patience=1, reload_best=False)
    plateau = after_validation(config, START, improved=False)
    assert plateau.just_fell
    assert not should_reload_best(config, plateau)


def test_other_schedules_ignore_validations():
    config = ConstantScheduleConfig()
    assert after_validation(config, START, improved=False) == START
    assert not should_reload_best(config, START)
