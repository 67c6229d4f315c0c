"""When progress is reported, and what is reported: sums over the updates since the last report."""

import contextlib
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nmt.config.training import TrainingConfig
from nmt.run_folder.journal import UpdateReport
from nmt.training.schedule import Deadline, Every

if TYPE_CHECKING:
    from nmt.data.loader import Update
    from nmt.training.state import TrainingState
    from nmt.training.step import UpdateResult

LONGEST_SILENCE = 60.0
"""Seconds after which progress is reported whatever `training.log_every` says."""
LEAST_SECONDS = 10.0
"""Seconds of training before its end can be estimated: the first updates are the slowest."""


class Meter:
    """Sums losses, tokens and seconds until a report is due.

    A report is due after the first update of a start, then at the interval of the configuration.
    Where that is a number of updates, it is also due after a minute without a report.

    Args:
        state: its training time is updated.
        config: interval of reports, and maximum number of updates and epochs.
        deadline: end of the allowed time.
        loss_name: what the loss is: "nll" or "squared error".
    """

    def __init__(
        self,
        state: "TrainingState",
        config: TrainingConfig,
        deadline: Deadline,
        *,
        loss_name: str = "nll",
    ) -> None:
        self._loss_name = loss_name
        self._state, self._config, self._deadline = state, config, deadline
        self._interval = Every(config.log_every)
        self._is_first = True
        self._seconds_after_first, self._updates_after_first = 0.0, 0
        self._since = time.monotonic()
        self._reset()

    def _reset(self) -> None:
        self._nll, self._tokens, self._seconds = 0.0, 0, 0.0
        self._updates = self._clipped = 0

    def count(
        self, update: "Update", result: "UpdateResult", *, nll: float, at_once: bool = False
    ) -> UpdateReport | None:
        """Include an update that was just made; return a report if one is due.

        Args:
            update: data of the update.
            result: what the update returned on this rank.
            nll: its summed negative log-likelihood over all ranks, in nats.
            at_once: whether a report is due in any case.
        """
        seconds = self._tick()
        self._nll += nll
        self._tokens += update.tokens
        self._updates += 1
        self._clipped += 0 < self._config.clip_norm < result.gradient_norm < math.inf
        if not self._is_first:
            self._seconds_after_first += seconds
            self._updates_after_first += 1
        if not (self._is_due() or at_once):
            return None
        report = self._report(update.progress, result)
        self._reset()
        return report

    def _is_due(self) -> bool:
        is_due, self._is_first = self._interval.is_due(self._state.update) or self._is_first, False
        counts_updates = self._interval.interval.updates is not None
        return is_due or (counts_updates and self._seconds >= LONGEST_SILENCE)

    def _report(self, progress: float, result: "UpdateResult") -> UpdateReport:
        """Return what happened since the last report, after `progress` passes over the corpus."""
        state, clip_norm = self._state, self._config.clip_norm
        return UpdateReport(
            update=state.update,
            epoch=progress,
            loss=self._nll / self._tokens,
            tokens_per_second=self._tokens / self._seconds if self._seconds else 0.0,
            learning_rate=result.learning_rate,
            gradient_norm=result.gradient_norm,
            clip_norm=clip_norm or None,
            clipped=self._clipped / self._updates if clip_norm else None,
            reference_probability=result.reference_probability,
            skipped=state.skipped,
            seconds=state.seconds,
            eta=self._eta(progress),
            loss_name=self._loss_name,
        )

    def _eta(self, progress: float) -> float | None:
        """Return the seconds until the first limit; None before the speed is known."""
        if self._seconds_after_first < LEAST_SECONDS:
            return None
        pace = self._seconds_after_first / self._updates_after_first
        return min(self._updates_left(progress) * pace, self._deadline.seconds_left)

    def _updates_left(self, progress: float) -> float:
        """Return the updates until the first limit, after `progress` passes over the corpus."""
        made = self._state.update
        left: float = self._config.max_updates - made
        if self._config.max_epochs > 0:
            # All passes have about the same number of updates.
            left = min(left, (self._config.max_epochs - progress) * made / progress)
        return left

    def _tick(self) -> float:
        """Add the time since the last tick to the training time, and return it in seconds."""
        now = time.monotonic()
        passed, self._since = now - self._since, now
        self._seconds += passed
        self._state.seconds += passed
        return passed

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time of a block, such as a validation, from the training time."""
        self._tick()
        try:
            yield
        finally:
            self._since = time.monotonic()
