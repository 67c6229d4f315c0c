"""Speed, measured window by window: one that something disturbed does not move the median."""

import time
from collections.abc import Callable

_PATIENCE = 3  # times as long as all windows should take, before the last ones are left out


def measure(work: Callable[[], int], *, windows: int, seconds: float) -> list[float]:
    """Return how many tokens a second were worked off in each window.

    Args:
        work: does a piece of work and returns its tokens.
        windows: how many; fewer, but at least one, where a piece takes much longer than a window.
        seconds: least length of a window; the work that is under way at its end still counts.
    """
    end = time.perf_counter() + _PATIENCE * windows * seconds
    speeds = [_speed(work, seconds)]
    while len(speeds) < windows and time.perf_counter() < end:
        speeds.append(_speed(work, seconds))
    return speeds


def _speed(work: Callable[[], int], least: float) -> float:
    started = time.perf_counter()
    tokens = work()
    while (passed := time.perf_counter() - started) < least:
        tokens += work()
    return tokens / passed
