"""The cost curves: what lies on them, how it is measured, and what a run makes of it."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "recipes"))

from curves.curve import Curve, fit_slope  # noqa: E402
from curves.points import RANGES, VARIED, Point  # noqa: E402

from nmt.benchmark.sizes import model_of  # noqa: E402


def quadratic_at_last() -> Curve:
    """Return a curve of time ~ length that becomes time ~ length^2."""
    return Curve("train", "length", (5, 10, 20), (1.0, 2.0, 8.0), (3.0, 6.0, 12.0))


# Slopes


@pytest.mark.parametrize("exponent", [-0.5, 0.0, 1.0, 2.0])
def test_the_slope_of_a_power_is_its_exponent(exponent: float) -> None:
    at = (5, 10, 20, 40, 80)
    assert fit_slope(at, [3.0 * x**exponent for x in at]) == pytest.approx(exponent)


def test_the_slope_is_told_of_the_whole_curve_and_of_its_end() -> None:
    whole, last = quadratic_at_last().slopes
    assert (whole.smallest, whole.largest, last.smallest, last.largest) == (5, 20, 10, 20)
    assert whole.measured == pytest.approx(1.5)
    assert last.measured == pytest.approx(2.0)
    assert (whole.predicted, last.predicted) == pytest.approx((1.0, 1.0))


# Points


def test_the_common_point_is_the_size_small_and_lies_on_every_curve() -> None:
    assert Point().model == model_of("small")
    for varied, values in RANGES.items():
        assert getattr(Point(), varied) in values
        assert list(values) == sorted(values)


def test_operations_grow_with_length_a_little_more_than_in_proportion() -> None:
    for task in VARIED:
        once, twice = (Point(length=length).megaflop(task) for length in (40, 80))
        assert 2.0 < twice / once < 2.05  # attention alone is quadratic


def test_the_encoder_is_passed_once_for_all_hypotheses() -> None:
    one, two, three = (Point(beam=beam).megaflop("translate") for beam in (1, 2, 3))
    assert three - two == pytest.approx(two - one)
    assert 2 * one - two > 0  # what does not depend on the beam
    assert Point().megaflop("train") == Point(beam=1).megaflop("train")
    assert Point().megaflop("train") == pytest.approx(3 * one)
