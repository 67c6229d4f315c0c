"""The learning rate of each update, and when something is due.

The rate is a pure function of the update's number, from 1. Only the plateau schedule has a state,
a `Plateau`, which is saved in the checkpoint. Times are measured on the monotonic clock, which is
unaffected by changes of the system time.
"""

import math
import time
from dataclasses import dataclass, replace

from nmt.config.interval import parse_interval
from nmt.config.training import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    ExponentialScheduleConfig,
    InverseSqrtScheduleConfig,
    PlateauScheduleConfig,
    ScheduleConfig,
    TrainingConfig,
)
from nmt.errors import ConfigError, UsageError


@dataclass(frozen=True)
class Plateau:
    """State of the plateau schedule between validations."""

    scale: float = 1.0
    """Product of all reductions so far."""
    waited: int = 0
    """Validations since the last improvement or the last reduction."""
    just_fell: bool = False
    """Whether the last validation reduced the rate."""


def learning_rate(config: TrainingConfig, update: int, plateau: Plateau) -> float:
    """Return the learning rate of update number `update`, from 1.

    Args:
        config: the peak and the schedule.
        update: number of the update about to be made.
        plateau: state of the plateau schedule; the others ignore it.
    """
    steps = config.schedule.warmup
    warmup = min(1.0, update / steps) if steps else 1.0
    return config.learning_rate * warmup * _decay(config, update, plateau)


def _decay(config: TrainingConfig, update: int, plateau: Plateau) -> float:
    match config.schedule:
        case ConstantScheduleConfig():
            return 1.0
        case InverseSqrtScheduleConfig(warmup=warmup):
            return math.sqrt(warmup / max(update, warmup))
        case CosineScheduleConfig(warmup=warmup, end=end) as schedule:
            updates = schedule.updates or config.max_updates
            if update >= updates:
                return end
            progress = max(0.0, (update - warmup) / (updates - warmup)) if updates > warmup else 0.0
            return end + (1.0 - end) * (1.0 + math.cos(math.pi * progress)) / 2.0
        case ExponentialScheduleConfig(start=start, every=every, factor=factor):
            falls = 0 if update < start else 1 + (update - start) // every
            return factor**falls
        case PlateauScheduleConfig():
            return plateau.scale


def after_validation(config: ScheduleConfig, plateau: Plateau, *, improved: bool) -> Plateau:
    """Return the state after a validation; only the plateau schedule changes it.

    Args:
        config: the schedule.
        plateau: the state before.
        improved: True if the validation was an improvement.
    """
    if not isinstance(config, PlateauScheduleConfig):
        return plateau
    if improved:
        return replace(plateau, waited=0, just_fell=False)
    waited = plateau.waited + 1
    if waited < config.patience:
        return replace(plateau, waited=waited, just_fell=False)
    return Plateau(scale=plateau.scale * config.factor, waited=0, just_fell=True)


def should_reload_best(config: ScheduleConfig, plateau: Plateau) -> bool:
    """Whether to return to the best weights now, since the rate was just reduced.

    Weights and optimizer state are restored; update number, sampler position and `plateau` are not.
    """
    return isinstance(config, PlateauScheduleConfig) and config.reload_best and plateau.just_fell


class Every:
    """An interval of the configuration: `500` updates, or a time such as "10m".

    In updates, it is due at multiples, so a resumed run keeps the rhythm. In time, it is due when
    that time has passed since it was last due, or since the start.
    """

    def __init__(self, interval: int | str) -> None:
        self.interval = parse_interval(interval)
        self._since = time.monotonic()

    def is_due(self, update: int) -> bool:
        """Whether the interval is due after update number `update`; call once per update."""
        if self.interval.updates is not None:
            return update % self.interval.updates == 0
        now = time.monotonic()
        if self.interval.seconds is None or now - self._since < self.interval.seconds:
            return False
        self._since = now
        return True


class Deadline:
    """The end of the time that `--max-time` allows.

    Args:
        limit: a time such as "55m", counted from now; None = no limit.

    Raises:
        UsageError: `limit` is not a valid time.
    """

    def __init__(self, limit: str | None) -> None:
        self._seconds = None if limit is None else _seconds(limit)
        self._begin = time.monotonic()

    @property
    def seconds_left(self) -> float:
        """Seconds until the allowed time is over, negative afterwards; infinity without limit."""
        if self._seconds is None:
            return math.inf
        return self._begin + self._seconds - time.monotonic()

    def is_over(self, *, reserve: float = 0.0) -> bool:
        """Whether all but `reserve` seconds, and at least half, of the time have passed."""
        return self._seconds is not None and self.seconds_left <= min(reserve, self._seconds / 2)


def _seconds(limit: str) -> float:
    try:
        seconds = parse_interval(limit).seconds
    except ConfigError:
        seconds = None
    if seconds is None:
        raise UsageError(f'--max-time must be a time such as "90s", "55m" or "2h", got "{limit}".')
    return seconds
