"""One measured number, printed as JSON or as a line of text."""

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
    "kernels_compiled_per_update",
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
"""Name of each speed-to-floor ratio."""
_CIRCUMSTANCES = ("task", "update_tokens", "beam", "batch")
_DIGITS = 4  # significant digits; no more are reproducible


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A measured number and the conditions it was measured under."""

    figure: Name
    """What was measured, with its unit."""
    config: str
    """Name of the model size."""
    precision: str
    """Precision of the matrix products: fp32, bf16 or, in translation, int8."""
    task: str | None = None
    """Part of the benchmark whose peak memory this is."""
    beam: int | None = None
    """Beam size; 1 = greedy."""
    batch: int | None = None
    """Sentences translated together."""
    update_tokens: int | None = None
    """Target tokens per update, if different from the configuration."""
    threads: int
    """CPU threads."""
    values: Sequence[float]
    """The measurements, at least one."""

    @property
    def value(self) -> float:
        """Median of the measurements."""
        return statistics.median(self.values)

    def as_json(self) -> str:
        """Return the figure as one line of JSON."""
        told = {"figure": self.figure, "system": "nmt"}
        told |= {name: value for name, value in self._known().items() if value is not None}
        windows = [rounded(value) for value in self.values]
        return json.dumps(told | {"value": rounded(self.value), "windows": windows})

    def describe(self) -> str:
        """Return the figure as one line of text."""
        known = self._known()
        what = [self.figure.replace("_", " "), str(known["precision"])]
        what += [f"{key} {known[key]}" for key in _CIRCUMSTANCES if known[key]]
        text = f"{', '.join(what)}: {rounded(self.value):,}"
        if len(self.values) > 1:
            text += f"   ({rounded(min(self.values)):,} to {rounded(max(self.values)):,})"
        return text

    def _known(self) -> dict[str, Any]:
        """Return the conditions of the measurement, in field order."""
        names = [field.name for field in fields(self) if field.name not in ("figure", "values")]
        return {name: getattr(self, name) for name in names}


def rounded(value: float) -> float | int:
    """Round a measurement to its significant digits."""
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short >= 10 ** (_DIGITS - 1) else short
