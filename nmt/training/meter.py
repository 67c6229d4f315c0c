"""How fast and how well training goes, between two lines of the log."""

import contextlib
import time
from collections.abc import Iterator

from nmt.config.training import TrainingConfig
from nmt.data.loader import Update
from nmt.training.journal import UpdateReport
from nmt.training.schedule import learning_rate
from nmt.training.state import TrainingState
from nmt.training.timing import Every


class Meter:
    """Adds up losses, tokens and seconds until a report is due.

    Args:
        state: its time spent training is moved on.
        interval: when a report is due.
        config: for the learning rate, and the updates and epochs to come.
    """

    def __init__(self, state: TrainingState, interval: Every, config: TrainingConfig) -> None:
        self._state, self._interval, self._config = state, interval, config
        self._since = time.monotonic()
        self._begin_again()

    def _begin_again(self) -> None:
        self._nll, self._tokens, self._seconds, self._updates = 0.0, 0, 0.0, 0

    def count(self, update: Update, *, nll: float, norm: float) -> UpdateReport | None:
        """Take in an update that was just made; return a report if one is due.

        Args:
            update: what it was made of.
            nll: its summed negative log-likelihood over all ranks, in nats.
            norm: its gradient's norm.
        """
        self._tick()
        self._nll += nll
        self._tokens += update.tokens
        self._updates += 1
        state = self._state
        if not self._interval.is_due(state.update):
            return None
        rate = learning_rate(
            self._config.schedule, self._config.learning_rate, state.update, state.plateau
        )
        report = UpdateReport(
            update=state.update,
            epoch=update.progress,
            loss=self._nll / self._tokens,
            tokens_per_second=self._tokens / self._seconds if self._seconds else 0.0,
            learning_rate=rate,
            gradient_norm=norm,
            skipped=state.skipped,
            seconds=state.seconds,
            eta=self._updates_left(update.progress) * self._seconds / self._updates,
        )
        self._begin_again()
        return report

    def _updates_left(self, progress: float) -> float:
        """Return how many updates are to come until the limit that is reached first.

        Args:
            progress: passes made over the corpus.
        """
        made = self._state.update
        left: float = self._config.max_updates - made
        if self._config.max_epochs > 0:
            # All passes have about the same number of updates, so those made tell of the others.
            left = min(left, (self._config.max_epochs - progress) * made / progress)
        return left

    def _tick(self) -> None:
        now = time.monotonic()
        self._seconds += now - self._since
        self._state.seconds += now - self._since
        self._since = now

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of a block, such as a validation, out of the training time."""
        self._tick()
        try:
            yield
        finally:
            self._since = time.monotonic()
