"""Successive halving: how many runs a budget allows, how long each trains, and which go on.

All runs train for the same time, then the better half trains on, until two are left (Karnin et
al., 2013, sequential halving; Jamieson and Talwalkar, 2016, for training). All rungs get the same
share of the time, so a run trains about twice as long in each as in the one before.
"""

import math
from collections.abc import Mapping, Sequence

MOST_RUNS = 32
"""Of the first rung. More would only find what is best by chance."""


def rung_sizes(runs: int) -> list[int]:
    """Return how many runs each rung has, half of those before until two: 12, 6, 3, 2."""
    sizes = [runs]
    while sizes[-1] > 2:
        sizes.append(math.ceil(sizes[-1] / 2))
    return sizes


def seconds_each(seconds: float, sizes: Sequence[int]) -> float:
    """Return the time for each run of the first of the rungs among which `seconds` are divided."""
    return seconds / len(sizes) / sizes[0]


def affordable_runs(seconds: float, least: float) -> int:
    """Return the most runs that get `least` seconds each in the first rung; 0 if not even two."""
    counts = range(MOST_RUNS, 1, -1)
    return next((n for n in counts if seconds_each(seconds, rung_sizes(n)) >= least), 0)


def survivors(losses: Mapping[int, float | None], size: int, *, baseline: int) -> list[int]:
    """Return the `size` runs of lowest loss, and the baseline if it is not among them.

    Args:
        losses: of the runs of a rung; None = it failed.
        size: of the next rung.
        baseline: the run with which the others are compared at the end.
    """
    ranked = sorted((loss, run) for run, loss in losses.items() if loss is not None)
    best = [run for _, run in ranked[:size]]
    return best if baseline in best else [*best, baseline]
