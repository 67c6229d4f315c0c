"""How long a translation may be, and how hypotheses of different lengths are compared.

Lengths count the end symbol, on both sides.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nmt.search.hypothesis import FloatArray, IntArray
from nmt.search.options import SearchOptions


@dataclass(frozen=True)
class Lengths:
    """The limits of each sentence of a batch, and how hypotheses within them are compared."""

    options: SearchOptions
    shortest: IntArray
    """[batch]."""
    longest: IntArray
    """[batch], at least 1 and at least `shortest`."""
    longest_divisors: FloatArray
    """What a sum over the longest translation is divided by, [batch]."""

    @classmethod
    def of(cls, source_mask: Tensor, options: SearchOptions) -> "Lengths":
        """Return the lengths for the sentences under `source_mask`, [batch, src_len]."""
        source = source_mask.sum(dim=1).cpu().numpy().astype(np.float64)
        longest = options.max_length_factor * source + options.max_length_offset
        shortest = options.min_length_factor * source + options.min_length_offset
        limit = np.floor(longest).astype(np.int64)
        return cls(
            options=options,
            shortest=np.minimum(np.floor(shortest).astype(np.int64), limit),
            longest=limit,
            longest_divisors=divisors(limit, options),
        )

    def normalise(self, log_prob: FloatArray, length: IntArray) -> FloatArray:
        """Return sums made comparable between lengths.

        Args:
            log_prob: sums, any shape.
            length: pieces that were summed, broadcast against `log_prob`.
        """
        return log_prob / divisors(length, self.options)

    def best_possible(self, log_prob: FloatArray, sentences: IntArray) -> FloatArray:
        """Return what no continuation of unfinished hypotheses can score more than.

        More pieces can only lower a sum, every divisor grows with the length, and the coverage
        penalty is at most 0: a sum looks best if nothing more is lost up to the greatest length.

        Args:
            log_prob: sums, [sentences].
            sentences: which sentence of the batch each belongs to, [sentences].
        """
        return log_prob / self.longest_divisors[sentences]


def divisors(lengths: IntArray, options: SearchOptions) -> FloatArray:
    """Return what sums over `lengths` pieces are divided by, in the shape of `lengths`.

    They are computed one by one: a vectorised power may differ in the last bit from a single one,
    and then a score would depend on the batch.
    """
    each = [divisor(length, options) for length in lengths.ravel().tolist()]
    return np.array(each).reshape(lengths.shape)


def divisor(length: int, options: SearchOptions) -> float:
    """Return what a sum over `length` pieces is divided by.

    1 for "none", the length for "average", ((5 + length) / 6)^alpha for "gnmt" (Wu et al., 2016,
    equation 14).
    """
    if options.length_penalty == "average":
        return float(max(length, 1))
    if options.length_penalty == "gnmt":
        return float(((5.0 + length) / 6.0) ** options.alpha)
    return 1.0
