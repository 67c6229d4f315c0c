"""How long a translation may be, and how hypotheses of different lengths are compared.

Lengths count the end symbol, on both sides.
"""

import math

from nmt.config.search import SearchConfig


def longest(source_length: int, config: SearchConfig) -> int:
    """Return the most pieces a translation may have, at least 1."""
    return math.floor(config.max_length_factor * source_length + config.max_length_offset)


def shortest(source_length: int, config: SearchConfig) -> int:
    """Return the fewest pieces a translation may have, at most `longest`."""
    least = config.min_length_factor * source_length + config.min_length_offset
    return min(math.floor(least), longest(source_length, config))


def divisor(length: int, config: SearchConfig) -> float:
    """Return what a sum of log-probabilities over `length` pieces is divided by.

    1 for "none", the length for "average", ((5 + length) / 6)^alpha for "gnmt" (Wu et al., 2016,
    equation 14). It never falls with the length.
    """
    if config.length_penalty == "average":
        return float(max(length, 1))
    if config.length_penalty == "gnmt":
        return float(((5.0 + length) / 6.0) ** config.alpha)
    return 1.0
