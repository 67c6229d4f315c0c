"""Where the target of a corpus is some lines before or behind its source, by the lengths of lines.

A line that was lost on one side and another that was added further on leave as many lines on both
sides, and wrong pairs in between.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SHIFT_REMEDY = "look for a line that is missing or too many at either end of this part"
"""What to do about a shift."""
_MOST_LINES = 3
_FURTHEST = 12
"""How many lines away targets are looked at that may fit as well."""
_FEWEST_PAIRS = 50
_CLEARLY = 0.25
"""How much better lengths must correlate with the shift than without it, or with another one."""
_DEVIATIONS = 5.0
"""How far that correlation must be from chance, in standard deviations: about 1 / sqrt(pairs)."""
_MOST_DEVIATIONS = 3.0  # a single line of unusual length must not decide


@dataclass(frozen=True)
class Shift:
    """A part of a corpus whose sides are shifted."""

    lines: int
    """How many lines further down the target of a source line stands; negative if further up."""
    first: int
    """Index of its first source line."""
    end: int
    """Index behind its last."""

    def __str__(self) -> str:
        lines = abs(self.lines)
        return (
            f"the translations of lines {self.first + 1:,} to {self.end:,} seem to be {lines} "
            f"{'line' if lines == 1 else 'lines'} further {'down' if self.lines > 0 else 'up'}"
        )


def find_shifts(source: Sequence[int], target: Sequence[int]) -> list[Shift]:
    """Return the parts of a corpus that are shifted, in their order.

    Args:
        source: length of each source line.
        target: length of each target line.
    """
    if len(source) < _FEWEST_PAIRS:
        return []
    left, right = _standardized(source), _standardized(target)
    found = []
    while shifts := dict(_largest_gains(left, right)):
        shift = shifts[max(shifts)]
        left[shift.first : shift.end] = 0.0  # what is found gains nothing any more
        found.append(shift)
    return sorted(found, key=lambda shift: shift.first)


def _standardized(lengths: Sequence[int]) -> Floats:
    logarithms = np.log1p(np.asarray(lengths, dtype=np.float64))
    deviations: Floats = (logarithms - logarithms.mean()) / (float(logarithms.std()) or 1.0)
    return np.clip(deviations, -_MOST_DEVIATIONS, _MOST_DEVIATIONS)


def _largest_gains(left: Floats, right: Floats) -> Iterator[tuple[float, Shift]]:
    """Yield, for each number of lines, the part that gains most by that shift, if it is clear."""
    for lines in range(-_MOST_LINES, _MOST_LINES + 1):
        least, most = max(0, -lines), len(left) - max(0, lines)
        gains = left[least:most] * (right[least + lines : most + lines] - right[least:most])
        # The part of the largest sum lies between two points of the running sum: the one that is
        # furthest above all before it, and the lowest before that.
        sums = np.concatenate([[0.0], np.cumsum(gains)])
        rises = sums - np.minimum.accumulate(sums)
        stop = int(rises.argmax())
        start = int(sums[: stop + 1].argmin())
        first, end = least + start, least + stop
        shift = Shift(lines, first, end)
        if end - first >= _FEWEST_PAIRS and _is_clear(left, right, shift):
            yield float(rises[stop]), shift


def _is_clear(left: Floats, right: Floats, shift: Shift) -> bool:
    """Whether the sources of a part fit the targets of its shift better than those of others.

    Lines of a pattern that repeats fit several places. Neighbours of the place may fit as well,
    where the shift changes within the part.
    """
    fits = {}
    for lines in range(-_FURTHEST, _FURTHEST + 1):
        first, end = max(shift.first, -lines), min(shift.end, len(left) - max(0, lines))
        if lines in (0, shift.lines) or abs(lines - shift.lines) > 1:
            fits[lines] = _correlation(left[first:end], right[first + lines : end + lines])
    best = fits.pop(shift.lines)
    chance = _DEVIATIONS / math.sqrt(shift.end - shift.first)
    return best >= max(chance, max(fits.values()) + _CLEARLY)


def _correlation(left: Floats, right: Floats) -> float:
    """Return the correlation of two series; 0 if one is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.nan_to_num(np.corrcoef(left, right)[0, 1]))
