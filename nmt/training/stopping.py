"""Which validations were the best, and when to stop waiting for a better one."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

Metric = Literal["loss", "bleu", "chrf"]
"""What chooses the best checkpoint."""


@dataclass(frozen=True)
class Best:
    """One of the best validations."""

    update: int
    value: float


@dataclass(frozen=True)
class Stopping:
    """What early stopping and the best list remember; it travels in the checkpoint."""

    best: tuple[Best, ...] = ()
    """The best validations, best first; equal values in order of time."""
    waited: int = 0
    """Validations since the last new best."""

    @property
    def is_new_best(self) -> bool:
        """The last validation was better than all before it."""
        return bool(self.best) and self.waited == 0

    def observe(self, metric: Metric, value: float, *, update: int, keep: int) -> "Stopping":
        """Return the state after a validation.

        Args:
            metric: a loss is better when lower, a score when higher.
            value: the validation's value; NaN is never good.
            update: when it was made.
            keep: length of the best list.
        """
        sign = 1.0 if metric == "loss" else -1.0
        is_better = not math.isnan(value) and (
            not self.best or sign * value < sign * self.best[0].value
        )
        ranked = [*(best for best in self.best if best.update != update)]
        if not math.isnan(value):
            ranked.append(Best(update, value))
        ranked.sort(key=lambda best: (sign * best.value, best.update))
        return Stopping(best=tuple(ranked[:keep]), waited=0 if is_better else self.waited + 1)

    def should_stop(self, patience: int) -> bool:
        """Say whether `patience` validations (0 = endless) have passed without a new best."""
        return 0 < patience <= self.waited

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON table."""
        return asdict(self)

    @classmethod
    def from_json(cls, table: dict[str, Any]) -> "Stopping":
        """Restore what `to_json` returned."""
        return cls(tuple(Best(**best) for best in table["best"]), table["waited"])
