"""What a search returns, and the record from which it is read back."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Hypothesis:
    """One translation in pieces."""

    tokens: tuple[int, ...]
    """Piece ids, without the end symbol."""
    log_prob: float
    """Sum of the natural log-probabilities of the pieces and the end symbol."""
    score: float
    """What hypotheses are compared by: `log_prob` after length and coverage penalty."""
    finished: bool
    """False if the length limit came before the end symbol."""
    attention: Tensor | None = field(default=None, compare=False, repr=False)
    """How much each piece looked at each source position, [tgt_len, src_len]; on the CPU."""

    def renamed(self, names: Sequence[int]) -> "Hypothesis":
        """Return it with the id `names[token]` for each token."""
        return replace(self, tokens=tuple(names[token] for token in self.tokens))


@dataclass(frozen=True)
class Ending:
    """Where a path through the trace stops: a hypothesis before it is read back."""

    step: int
    """The step at which its last piece was proposed, from 0."""
    row: int
    """The row of that step which proposed it."""
    last: int | None
    """That last piece, or None if nothing could follow."""
    log_prob: float
    """See `Hypothesis`."""
    score: float
    """See `Hypothesis`."""
    finished: bool
    """See `Hypothesis`."""


class Trace:
    """From which row each row came, step by step.

    Nothing is copied while a search runs: histories are never reordered, and only the paths that
    are returned are ever followed, backwards, at the end.
    """

    def __init__(self, *, keep_attention: bool) -> None:
        self.keep_attention = keep_attention
        self._tokens: list[list[int]] = []
        self._origins: list[list[int]] = []
        self._attention: list[Tensor] = []

    def add_rows(self, tokens: IntArray, origins: IntArray) -> None:
        """Note what the rows of the next step read, and which rows of this step they continue.

        Args:
            tokens: last piece of each row of the next step, [rows].
            origins: the row of this step that it was appended to, [rows].
        """
        self._tokens.append(tokens.tolist())
        self._origins.append(origins.tolist())

    def add_attention(self, attention: Tensor | None) -> None:
        """Note where the rows of this step looked, [rows, src_len], if that is to be kept."""
        if self.keep_attention and attention is not None:
            self._attention.append(attention)

    def read(self, ending: Ending) -> Hypothesis:
        """Return the hypothesis that stops at `ending`."""
        tokens = [] if ending.last is None or ending.finished else [ending.last]
        rows = [ending.row] if tokens else []
        row = ending.row
        for step in range(ending.step - 1, -1, -1):
            tokens.append(self._tokens[step][row])
            row = self._origins[step][row]
            rows.append(row)
        tokens.reverse()
        rows.reverse()
        return Hypothesis(
            tokens=tuple(tokens),
            log_prob=ending.log_prob,
            score=ending.score,
            finished=ending.finished,
            attention=self._read_attention(rows),
        )

    def _read_attention(self, rows: list[int]) -> Tensor | None:
        """Stack the weights of `rows`, one row per step, [len(rows), src_len]."""
        if not self._attention:
            return None
        if not rows:
            return self._attention[0].new_zeros(0, self._attention[0].shape[1]).float().cpu()
        weights = [self._attention[step][row] for step, row in enumerate(rows)]
        return torch.stack(weights).float().cpu()
