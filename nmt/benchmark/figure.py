"""One measured number, as a line for programs and as a line for people."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

Name = Literal[
    "matrix_gflops",
    "train_floor_tokens_per_second",
    "train_floor_with_optimizer_tokens_per_second",
    "train_tokens_per_second",
    "train_fraction_of_floor",
    "train_fraction_of_floor_with_optimizer",
    "translate_tokens_per_second",
    "startup_seconds",
    "peak_rss_mb",
]
FRACTIONS: dict[str, Name] = {
    "train_floor_tokens_per_second": "train_fraction_of_floor",
    "train_floor_with_optimizer_tokens_per_second": "train_fraction_of_floor_with_optimizer",
}
"""What the share of a floor is called that a speed reaches."""
_DIGITS = 4  # of a value; the machine does not repeat more


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number and what it belongs to."""

    figure: Name
    """What was measured, with its unit."""
    config: str
    """Sizes of the model."""
    precision: str
    """Of the matrix products: fp32, bf16 or, in translation, int8."""
    task: str | None = None
    """What needed this memory."""
    beam: int | None = None
    """Hypotheses kept; 1 = greedy."""
    batch: int | None = None
    """Sentences translated together."""
    threads: int
    """CPU threads."""
    values: Sequence[float]
    """What was measured, once or several times."""

    @property
    def value(self) -> float:
        """The median of what was measured."""
        return statistics.median(self.values)

    def as_json(self) -> str:
        """Return the line for programs."""
        told = {"figure": self.figure, "system": "nmt"}
        told |= {name: value for name, value in self._known().items() if value is not None}
        windows = [rounded(value) for value in self.values]
        return json.dumps(told | {"value": rounded(self.value), "windows": windows})

    def describe(self) -> str:
        """Return the line for people."""
        known = self._known()
        what = [self.figure.replace("_", " "), str(known["precision"])]
        what += [f"{key} {known[key]}" for key in ("task", "beam", "batch") if known[key]]
        text = f"{', '.join(what)}: {rounded(self.value):,}"
        if len(self.values) > 1:
            text += f"   ({rounded(min(self.values)):,} to {rounded(max(self.values)):,})"
        return text

    def _known(self) -> dict[str, Any]:
        """Return what the value belongs to, in the order of the fields."""
        names = [field.name for field in fields(self) if field.name not in ("figure", "values")]
        return {name: getattr(self, name) for name in names}


def rounded(value: float) -> float | int:
    """Return a measured value with the digits that are worth telling."""
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short >= 10 ** (_DIGITS - 1) else short
