"""Targets that are some lines before or behind their sources."""

import random

import pytest

from nmt.data.shift import Shift, find_shifts


def lengths_of(pairs: int, *, spread: float = 0.2) -> tuple[list[int], list[int]]:
    chance = random.Random(5)
    source = [chance.randint(10, 200) for _ in range(pairs)]
    return source, [round(length * chance.uniform(1 - spread, 1 + spread)) for length in source]


def moved(lines: list[int], *, lost: int, added: int) -> list[int]:
    """Return `lines` without the one at `lost`, and with another at `added`."""
    left = lines[:lost] + lines[lost + 1 :]
    return [*left[:added], 30, *left[added:]]


@pytest.mark.parametrize("spread", [0.0, 0.3])
@pytest.mark.parametrize(("first", "end"), [(0, 1000), (100, 1000), (400, 520), (0, 90)])
def test_a_part_behind_a_lost_line_is_found(first, end, spread):
    source, target = lengths_of(1000, spread=spread)
    (shift,) = find_shifts(source, moved(target, lost=first, added=end - 1))
    assert shift.lines == -1
    assert abs(shift.first - first) <= 3
    assert abs(shift.end - end) <= 3


def test_each_part_is_found_with_its_direction():
    source, target = lengths_of(2000)
    target = moved(moved(target, lost=300, added=500), lost=1400, added=1000)
    up, down = find_shifts(source, target)
    assert (up.lines, down.lines) == (-1, 1)
    assert (up.first, down.first) == (pytest.approx(300, abs=3), pytest.approx(1000, abs=3))


def test_several_lines_at_once_are_found():
    source, target = lengths_of(300)
    (shift,) = find_shifts(source, [30, 40, 50, *target[:-3]])
    assert shift == Shift(lines=3, first=0, end=297)


def test_right_pairs_are_not_shifted():
    source, target = lengths_of(5000, spread=0.6)
    assert find_shifts(source, target) == []
    in_order = sorted(zip(source, target, strict=True))  # neighbours are as long
    assert find_shifts(*zip(*in_order, strict=True)) == []


@pytest.mark.parametrize("pairs", [0, 1, 49, 60, 1000, 20_000])
def test_lengths_that_say_nothing_are_no_shift(pairs):
    chance = random.Random(1)
    source, target = ([chance.randint(3, 9) for _ in range(pairs)] for _ in range(2))
    assert find_shifts(source, target) == []
    assert find_shifts([5] * pairs, [7] * pairs) == []
