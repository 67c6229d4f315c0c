"""The results of a search, and the record of the pieces each row has written."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from nmt.models.state import concat_padded
from nmt.text.vocabulary import BOS, EOS

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
AnyArray = TypeVar("AnyArray", IntArray, FloatArray)


@dataclass(frozen=True)
class Hypothesis:
    """One translation in pieces."""

    tokens: tuple[int, ...]
    """Piece ids, without the end symbol."""
    log_prob: float
    """Sum of the natural log-probabilities of the pieces and the end symbol."""
    score: float
    """Score that ranks hypotheses: `log_prob` after length penalty and rules."""
    finished: bool
    """Whether it ends with the end symbol; False at the length limit."""
    log_probs: tuple[float, ...] = field(default=(), compare=False, repr=False)
    """Natural log-probability of each piece, and of the end symbol if finished; they sum to
    `log_prob`."""
    attention: Tensor | None = field(default=None, compare=False, repr=False)
    """Attention of each piece to each source position, [tgt_len, src_len]; on the CPU."""
    beyond: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Spelling of the ids beyond the vocabulary, which were copied; see `nmt.text.copied`."""

    def reversed(self) -> "Hypothesis":
        """Return the hypothesis with its pieces from the last to the first; the end symbol stays
        last."""
        count = len(self.tokens)
        return replace(
            self,
            tokens=self.tokens[::-1],
            log_probs=(*self.log_probs[:count][::-1], *self.log_probs[count:]),
            attention=None if self.attention is None else self.attention.flip(0),
        )


@dataclass(frozen=True)
class AttentionHistory:
    """Attention of every step so far; weights are not copied, each row tracks its parents."""

    steps: tuple[Tensor, ...]
    """Attention of all rows at each step, [rows of that step, src_len]."""
    origins: IntArray
    """Which of those rows each row continues, [rows, steps]."""

    def select(self, rows: IntArray) -> "AttentionHistory":
        """Return the history in which row i is what was row `rows[i]`."""
        return AttentionHistory(self.steps, self.origins[rows])

    def trim(self, steps: int) -> "AttentionHistory":
        """Return the history of the last `steps` steps."""
        first = max(len(self.steps) - steps, 0)
        return AttentionHistory(self.steps[first:], self.origins[:, first:])

    def append(self, rows: IntArray, attention: Tensor) -> "AttentionHistory":
        """Add a step: row i continues `rows[i]` of those with `attention` [rows, src_len]."""
        origins = np.concatenate([self.origins[rows], rows[:, None]], axis=1)
        return AttentionHistory((*self.steps, attention), origins)

    def concat(self, other: "AttentionHistory") -> "AttentionHistory":
        """Append the rows of `other`; both end at the same step."""
        count = max(len(self.steps), len(other.steps))
        ours, theirs = (
            [*[None] * (count - len(each.steps)), *each.steps] for each in (self, other)
        )
        steps = [
            concat_padded(*[part for part in pair if part is not None])
            for pair in zip(ours, theirs, strict=True)
        ]
        above = np.array([0 if one is None else len(one) for one in ours], dtype=np.int64)
        origins = [align_right(self.origins, count), align_right(other.origins, count) + above]
        return AttentionHistory(tuple(steps), np.concatenate(origins))

    def read(self, row: int, length: int) -> list[Tensor]:
        """Return the attention of a row's last `length` steps, each [src_len]."""
        first = len(self.steps) - length
        rows = self.origins[row, first:].tolist()
        return [step[origin] for step, origin in zip(self.steps[first:], rows, strict=True)]


def align_right(array: AnyArray, width: int) -> AnyArray:
    """Pad `array` [rows, at most width] with zeros on the left, [rows, width]."""
    return np.pad(array, ((0, 0), (width - array.shape[1], 0)))


@dataclass(frozen=True)
class History:
    """Pieces written by each row so far, aligned right: all rows end in the last column."""

    pieces: IntArray
    """Piece ids after a begin symbol, PAD before it in younger rows, [rows, steps + 1]."""
    sums: FloatArray
    """Log-probability of the pieces up to each one, of the same shape as `pieces`."""
    length: IntArray
    """Pieces of each row, without the begin symbol, [rows]."""
    attention: AttentionHistory | None
    """Attention of the rows; None if it is not kept."""

    @classmethod
    def start(cls, rows: int, *, keep_attention: bool) -> "History":
        """Return the empty history of `rows` rows."""
        none = np.zeros((rows, 0), dtype=np.int64)
        return cls(
            pieces=np.full((rows, 1), BOS, dtype=np.int64),
            sums=np.zeros((rows, 1)),
            length=np.zeros(rows, dtype=np.int64),
            attention=AttentionHistory((), none) if keep_attention else None,
        )

    def select(self, rows: IntArray) -> "History":
        """Return the history in which row i is what was row `rows[i]`."""
        kept = None if self.attention is None else self.attention.select(rows)
        return History(self.pieces[rows], self.sums[rows], self.length[rows], kept)

    def trim(self) -> "History":
        """Return the history without leading steps at which none of its rows existed."""
        steps = int(self.length.max(initial=0))
        if steps + 1 == self.pieces.shape[1]:
            return self
        kept = None if self.attention is None else self.attention.trim(steps)
        first = self.pieces.shape[1] - steps - 1
        return History(self.pieces[:, first:], self.sums[:, first:], self.length, kept)

    def append(
        self, rows: IntArray, pieces: IntArray, sums: FloatArray, attention: Tensor | None
    ) -> "History":
        """Return the history in which row i continues `rows[i]` by `pieces[i]`.

        Args:
            rows: [new rows].
            pieces: [new rows].
            sums: log-probability of each row with its new piece, [new rows].
            attention: of the step that proposed the pieces, [rows, src_len].
        """
        kept = self.attention
        if kept is not None and attention is not None:
            kept = kept.append(rows, attention)
        written = np.concatenate([self.pieces.take(rows, axis=0), pieces[:, None]], axis=1)
        summed = np.concatenate([self.sums.take(rows, axis=0), sums[:, None]], axis=1)
        return History(written, summed, self.length[rows] + 1, kept)

    def concat(self, other: "History") -> "History":
        """Append the rows of `other`."""
        width = max(self.pieces.shape[1], other.pieces.shape[1])
        pieces = [align_right(each.pieces, width) for each in (self, other)]
        sums = [align_right(each.sums, width) for each in (self, other)]
        kept = None
        if self.attention is not None and other.attention is not None:
            kept = self.attention.concat(other.attention)
        length = np.concatenate([self.length, other.length])
        return History(np.concatenate(pieces), np.concatenate(sums), length, kept)


@dataclass(frozen=True)
class Ending:
    """An ended hypothesis, kept as references; `read` collects its pieces and attention."""

    history: History
    """History of all rows before the last step."""
    row: int
    """The row that ended."""
    last: int | None
    """Piece added by the last step, EOS if finished; None if no piece could follow."""
    attention: Tensor | None
    """Attention of the last step, [rows, src_len]."""
    log_prob: float
    """See `Hypothesis`."""
    score: float
    """See `Hypothesis`."""

    def read(self) -> Hypothesis:
        """Return the whole hypothesis."""
        length = int(self.history.length[self.row])
        written = self.history.pieces.shape[1]
        tokens = self.history.pieces[self.row, written - length :].tolist()
        sums = self.history.sums[self.row, written - length - 1 :].tolist()
        if self.last is not None:
            sums.append(self.log_prob)
        is_cut = self.last is not None and self.last != EOS
        if is_cut:
            tokens.append(self.last)
        return Hypothesis(
            tokens=tuple(tokens),
            log_prob=self.log_prob,
            score=self.score,
            finished=self.last == EOS,
            log_probs=tuple(later - earlier for earlier, later in pairwise(sums)),
            attention=self._read_attention(length, is_cut=is_cut),
        )

    def _read_attention(self, length: int, *, is_cut: bool) -> Tensor | None:
        """Stack the weights of each piece, [tgt_len, src_len]."""
        history = self.history.attention
        if history is None or self.attention is None:
            return None
        last = self.attention[self.row]
        weights = [*history.read(self.row, length), *([last] if is_cut else [])]
        # A wider sentence may have joined the batch since.
        weights = [pad(each, (0, len(last) - len(each))) for each in weights]
        stacked = torch.stack(weights) if weights else last.new_zeros(0, len(last))
        return stacked.float().cpu()
