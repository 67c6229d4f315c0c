"""How much of the source has been read, and what is taken off for the rest."""

import numpy as np
from torch import Tensor

from nmt.errors import UsageError
from nmt.search.hypothesis import FloatArray

FLOOR = 1e-9
"""Attention that a wholly unread source position is taken to have: keeps its logarithm finite."""


class Coverage:
    """Attention that each source position has received, row by row (Wu et al., 2016, eq. 15).

    Args:
        source_mask: [batch, src_len].
        copies: rows per sentence.
        weight: beta; with 0 nothing is recorded and every penalty is 0.
    """

    def __init__(self, source_mask: Tensor, *, copies: int, weight: float) -> None:
        self.weight = weight
        self.rows = source_mask.shape[0] * copies
        self._mask = source_mask.repeat_interleave(copies, dim=0)  # [rows, src_len]
        self._received: Tensor | None = None

    def add(self, attention: Tensor | None) -> None:
        """Take in where the rows looked in one step, [rows, src_len].

        Raises:
            UsageError: the model has no attention, and the penalty is asked for.
        """
        if self.weight == 0.0:
            return
        if attention is None:
            raise UsageError(
                "coverage_penalty: the model has no attention, so coverage is unknown; set it to 0."
            )
        self._received = attention if self._received is None else self._received + attention

    def penalties(self) -> FloatArray:
        """Return weight x sum over source positions of log min(received, 1), at most 0, [rows]."""
        if self._received is None:
            return np.zeros(self.rows)
        read = self._received.double().clamp(FLOOR, 1.0).log().masked_fill(~self._mask, 0.0)
        penalties: FloatArray = (self.weight * read.sum(dim=1)).cpu().numpy()
        return penalties

    def select(self, rows: Tensor) -> None:
        """Let row i be what row `rows[i]` was."""
        self.rows = rows.shape[0]
        if self._received is not None:
            self._received = self._received[rows]
            self._mask = self._mask[rows]
