"""Scheduled sampling: how often the decoder reads the reference, as training goes on."""

import math

from nmt.config.training import (
    ConstantSamplingConfig,
    ExponentialSamplingConfig,
    InverseSigmoidSamplingConfig,
    LinearSamplingConfig,
    NoSamplingConfig,
    ScheduledSamplingConfig,
)


def reference_probability(config: ScheduledSamplingConfig, updates: int) -> float:
    """Return the probability that the decoder reads the reference piece after `updates` updates.

    It is drawn for each target position (Bengio et al., 2015, section 2.4), and never falls below
    the configured minimum.
    """
    match config:
        case NoSamplingConfig():
            return 1.0
        case ConstantSamplingConfig(probability=probability):
            return probability
        case LinearSamplingConfig(k=k, c=c, minimum=minimum):
            return max(minimum, k - c * updates)
        case ExponentialSamplingConfig(k=k, minimum=minimum):
            return max(minimum, k**updates)
        case InverseSigmoidSamplingConfig(k=k, minimum=minimum):
            # k / (k + exp(i / k)), rewritten because exp(i / k) would overflow at late updates.
            return max(minimum, _sigmoid(math.log(k) - updates / k))


def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))
