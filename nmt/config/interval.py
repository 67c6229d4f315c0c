"""Intervals: a number of updates, or a time."""

import re
from dataclasses import dataclass

from nmt.errors import ConfigError

EXPECTED = 'must be a number of updates above 0, or a time such as "90s", "10m", "2h"'
"""Description of a valid interval, for error messages."""

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_TIME = re.compile(r"(\d+(?:\.\d+)?) *([smh])")


@dataclass(frozen=True)
class Interval:
    """How often something happens: exactly one of the two is given."""

    updates: int | None = None
    seconds: float | None = None


def parse_interval(value: int | str) -> Interval:
    """Read `500` as a number of updates, and "90s", "10m" or "2h" as a time.

    Raises:
        ConfigError: the value is neither, or not above 0.
    """
    if isinstance(value, int) and value > 0:
        return Interval(updates=value)
    time = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if time and float(time[1]) > 0:
        return Interval(seconds=float(time[1]) * _SECONDS[time[2]])
    got = f'"{value}"' if isinstance(value, str) else value
    raise ConfigError(f"{EXPECTED}, got {got}")
