"""How often the decoder reads the reference rather than its own output (Bengio et al., 2015)."""

import math

from nmt.config.training import (
    ConstantSamplingConfig,
    ExponentialSamplingConfig,
    InverseSigmoidSamplingConfig,
    LinearSamplingConfig,
    NoSamplingConfig,
    ScheduledSamplingConfig,
)


def reference_probability(config: ScheduledSamplingConfig, update: int) -> float:
    """Return the probability of reading the reference piece after `update` updates (from 0).

    A coin with this probability is thrown for each target position. The values are those of
    section 2.4 of the paper, never below the configured minimum.
    """
    match config:
        case NoSamplingConfig():
            return 1.0
        case ConstantSamplingConfig(probability=probability):
            return probability
        case LinearSamplingConfig(k=k, c=c, minimum=minimum):
            return max(minimum, k - c * update)
        case ExponentialSamplingConfig(k=k, minimum=minimum):
            return max(minimum, k**update)
        case InverseSigmoidSamplingConfig(k=k, minimum=minimum):
            # k / (k + exp(i / k)), written so that late updates do not overflow the exponential.
            return max(minimum, _sigmoid(math.log(k) - update / k))


def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))
