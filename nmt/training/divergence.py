"""When training has gone wrong, and what to say of it."""

import math
import sys
from itertools import chain

from torch import Tensor

from nmt.config.training import TrainingConfig
from nmt.errors import DivergenceError
from nmt.models.weights import weights_of
from nmt.training.checkpoint import Trainee
from nmt.training.optimizer_state import optimizer_tensors

_HOPELESS = math.log(sys.float_info.max)
"""Nats per token whose perplexity no number can hold."""


def diverged(update: int, what: str, config: TrainingConfig) -> DivergenceError:
    """Return the error that says what went wrong after `update` updates, and what to try."""
    return DivergenceError(
        f"update {update}: {what}",
        "What was saved before is intact; lower training.learning_rate "
        f"(now {config.learning_rate:g}) or training.clip_norm (now {config.clip_norm:g}, "
        "0 = off) and start again in another folder.",
    )


def require_finite(trainee: Trainee, update: int, config: TrainingConfig) -> None:
    """Refuse weights or moments with NaN or infinity: they never recover, so never keep them.

    Raises:
        DivergenceError: there are some; it names the first.
    """
    moments = optimizer_tensors(trainee.optimizer, trainee.model)
    average = {} if trainee.average is None else trainee.average.weights
    averaged = ((f"the average of {name}", tensor) for name, tensor in average.items())
    for name, tensor in chain(weights_of(trainee.model).items(), moments.items(), averaged):
        if not _is_finite(tensor):
            raise diverged(update, f"{name} is no longer finite", config)


def is_hopeless(loss: float) -> bool:
    """Say whether a loss is not finite, or its perplexity is not."""
    return not loss < _HOPELESS


def _is_finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())
