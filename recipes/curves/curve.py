"""How time grows with one quantity: a curve and its slopes on log-log axes."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from curves.points import Quantity, Task


@dataclass(frozen=True)
class Slope:
    """The exponent p of time ~ quantity^p over a part of a curve."""

    smallest: int
    """First value of the part."""
    largest: int
    """Last value of the part."""
    measured: float
    """Of the seconds."""
    predicted: float
    """Of the operations."""


@dataclass(frozen=True)
class Curve:
    """What was measured at each value of a quantity."""

    task: Task
    varied: Quantity
    at: Sequence[int]
    """Values of the quantity, ascending, two at least."""
    seconds: Sequence[float]
    """Measured there."""
    megaflop: Sequence[float]
    """What had to be computed there, up to a factor."""

    @property
    def slopes(self) -> tuple[Slope, Slope]:
        """Of the whole curve, and between its two largest values, where overhead matters least."""
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
    """Return the slope of the line nearest to the logarithms, by least squares."""
    return statistics.linear_regression(
        [math.log(x) for x in at], [math.log(value) for value in values]
    ).slope
