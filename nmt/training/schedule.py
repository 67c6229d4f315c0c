"""The learning rate of each update: pure functions of the update's number, from 1.

Only the plateau schedule remembers anything; what it remembers is a `Plateau`, which travels in
the checkpoint.
"""

import math
from dataclasses import dataclass, replace

from nmt.config.training import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    ExponentialScheduleConfig,
    InverseSqrtScheduleConfig,
    PlateauScheduleConfig,
    ScheduleConfig,
)


@dataclass(frozen=True)
class Plateau:
    """What the plateau schedule remembers between validations."""

    scale: float = 1.0
    """Product of all falls so far."""
    waited: int = 0
    """Validations since the last new best or the last fall."""
    just_fell: bool = False
    """The last validation lowered the rate."""


def learning_rate(config: ScheduleConfig, base: float, update: int, plateau: Plateau) -> float:
    """Return the learning rate with which update number `update` (from 1) is made.

    Args:
        config: the schedule.
        base: the peak, `training.learning_rate`.
        update: number of the update about to be made.
        plateau: state of the plateau schedule; the others leave it as it is.
    """
    warmup = min(1.0, update / config.warmup) if config.warmup else 1.0
    return base * warmup * _decay(config, update, plateau)


def _decay(config: ScheduleConfig, update: int, plateau: Plateau) -> float:
    match config:
        case ConstantScheduleConfig():
            return 1.0
        case InverseSqrtScheduleConfig(warmup=warmup):
            return math.sqrt(warmup / max(update, warmup))
        case CosineScheduleConfig(warmup=warmup, updates=updates, end=end):
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
    """Return the state after a validation; other schedules than "plateau" never change it.

    Args:
        config: the schedule.
        plateau: the state before.
        improved: the validation was a new best.
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
    """Say whether to go back to the best weights now, since the rate has just fallen.

    Weights and optimizer state go back; update number, sampler position and `plateau` do not.
    """
    return isinstance(config, PlateauScheduleConfig) and config.reload_best and plateau.just_fell
