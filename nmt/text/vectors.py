"""Lines of numbers: positions between spaces, the features of a position between commas."""

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""Numbers of a line, [positions, features]."""

_LARGEST = float(np.finfo(np.float32).max)


def read_vectors(line: str, features: int) -> Vectors:
    """Return the numbers of a line such as "0.53,1 0.2,0", [positions, features].

    Args:
        line: at least one position.
        features: numbers at each position.

    Raises:
        ValueError: a position has something else than a number, or more or fewer numbers; the text
            says which, and what is needed.
    """
    rows = []
    for place, position in enumerate(line.split(), start=1):
        row = [_number(token) for token in position.split(",")]
        if len(row) != features:
            raise ValueError(
                f'position {place:,}, "{position}", has {len(row):,} numbers, not {features:,}'
            )
        rows.append(row)
    return np.array(rows, dtype=np.float32).reshape(-1, features)


def _number(token: str) -> float:
    try:
        value = float(token) if "_" not in token else math.nan  # Python reads 1_000
    except ValueError:
        value = math.nan
    if not abs(value) <= _LARGEST:  # NaN is not, either
        raise ValueError(f'"{token}" is not a finite number; write numbers such as 0.5 or -1e-3')
    return value


def write_numbers(values: Iterable[float]) -> str:
    """Return numbers as a position of a line, with six significant digits: "0.53,1"."""
    return ",".join(f"{value:.6g}" for value in values)
