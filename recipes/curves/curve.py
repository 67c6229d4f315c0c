"""How time grows with one quantity: a curve and its slopes on log-log axes."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from curves.points import Quantity, Side, Task


@dataclass(frozen=True)
class Slope:
    """The exponent p in time ~ quantity^p over part of a curve."""

    smallest: int
    """First value of this part."""
    largest: int
    """Last value of this part."""
    measured: float
    """Exponent of the measured seconds."""
    predicted: float
    """Exponent of the number of operations."""


@dataclass(frozen=True)
class Curve:
    """Measurements at each value of a quantity; of attention, at each product of two lengths."""

    task: Task
    varied: Quantity | Side
    at: Sequence[int]
    """Values of the quantity, ascending, at least two."""
    seconds: Sequence[float]
    """Measured time at each value."""
    megaflop: Sequence[float]
    """Predicted operations at each value, up to a constant factor."""

    @property
    def slopes(self) -> tuple[Slope, Slope]:
        """Slope of the whole curve, and between its two largest values, with least overhead."""
        return self._slope(0), self._slope(-2)

    def _slope(self, first: int) -> Slope:
        at = self.at[first:]
        return Slope(
            smallest=at[0],
            largest=at[-1],
            measured=fit_slope(at, self.seconds[first:]),
            predicted=fit_slope(at, self.megaflop[first:]),
        )


def fit_slope(at: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope in log-log space."""
    return statistics.linear_regression(
        [math.log(x) for x in at], [math.log(value) for value in values]
    ).slope
