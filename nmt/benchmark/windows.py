"""Speed in several windows: the median is robust against a disturbance in one of them."""

import time
from collections.abc import Callable

_PATIENCE = 3  # the remaining windows are skipped after this multiple of the intended time


def measure(work: Callable[[], int], *, windows: int, seconds: float) -> list[float]:
    """Return the tokens per second in each window.

    Args:
        work: does one unit of work and returns its number of tokens.
        windows: number of windows; fewer, but at least one, if a unit takes much longer than a
            window.
        seconds: minimum length of a window; a unit in progress at its end is finished and counted.
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
