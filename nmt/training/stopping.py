"""Which validations were the best, and when to stop waiting for a better one."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Metric = Literal["loss", "bleu", "chrf"]
"""What chooses the best checkpoint."""
UpdateNumber = Annotated[int, Field(ge=0, lt=2**63)]
"""Counted from 1; 0 = before the first. What is read from a file is held to this."""


@dataclass(frozen=True)
class Best:
    """One of the best validations."""

    update: UpdateNumber
    value: float
    """Of the metric that chooses."""
    loss: float = 0.0
    """Which of two equal values is the better."""


@dataclass(frozen=True)
class Stopping:
    """What early stopping and the best list remember; it travels in the checkpoint."""

    best: tuple[Best, ...] = ()
    """The best validations, best first."""
    waited: int = 0
    """Validations since the last new best."""

    @property
    def is_new_best(self) -> bool:
        """The last validation was better than all before it."""
        return bool(self.best) and self.waited == 0

    def observe(
        self, metric: Metric, value: float, *, loss: float, update: int, keep: int
    ) -> "Stopping":
        """Return the state after a validation.

        Of equal values the one with the lower loss is the better: a young model whose BLEU is
        still 0 is learning all the same. What is equal in both stays in order of time.

        Args:
            metric: a loss is better when lower, a score when higher.
            value: the validation's value; NaN is never good.
            loss: the validation's loss.
            update: when it was made.
            keep: length of the best list.
        """

        def rank(best: Best) -> tuple[float, float]:
            return best.value if metric == "loss" else -best.value, best.loss

        found = Best(update, value, loss)
        is_good = not math.isnan(value)
        is_better = is_good and (not self.best or rank(found) < rank(self.best[0]))
        others = [best for best in self.best if best.update != update]
        ranked = sorted([*others, *([found] if is_good else [])], key=rank)
        return Stopping(best=tuple(ranked[:keep]), waited=0 if is_better else self.waited + 1)

    def should_stop(self, patience: int) -> bool:
        """Say whether `patience` validations (0 = endless) have passed without a new best."""
        return 0 < patience <= self.waited
