"""The figures of pointer networks: how many lines are sorted, and convex hulls found, exactly."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "recipes"))

from lectures.pointer import HULLS, SMALL, SORTING, Task, learn


def exact(task: Task, size: int) -> float:
    """Return the share of lines that a pointer network solves at the end, in per cent."""
    _, curve = learn(task, "pointer", size=size)
    return curve[-1][1]


def test_three_to_five_numbers_of_eight_are_sorted():
    """As small as in the quick form of the lecture."""
    assert exact(SMALL, 32) >= 95


@pytest.mark.slow
def test_five_to_ten_numbers_of_a_hundred_are_sorted():
    assert exact(SORTING, 64) >= 95


@pytest.mark.slow
def test_convex_hulls_of_five_points_are_found():
    assert exact(HULLS, 64) >= 85
