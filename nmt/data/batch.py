"""A batch: pairs as tensors, padded to one length."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nmt.errors import explain_lack_of_memory
from nmt.text.vectors import Vectors
from nmt.text.vocabulary import BOS, EOS, PAD

Ids = Sequence[int] | npt.NDArray[np.int64]
"""Ids of one sentence, ending in EOS."""
Side = Ids | Vectors
"""A source or target: ids, or numbers [positions, features]."""


@dataclass(frozen=True)
class Batch:
    """A batch of pairs; the decoder reads `target_in` and predicts `target_out`.

    Attributes:
        source: ids ending in EOS, padded with PAD, int64 [batch, src_len]; or numbers, padded with
            zeros, float32 [batch, src_len, features].
        source_mask: True at real tokens, [batch, src_len].
        target_in: BOS and all ids but the last EOS, others being BOS, padded, int64
            [batch, tgt_len].
        target_out: ids ending in EOS, padded, int64 [batch, tgt_len]; or numbers, float32 [batch,
            1, values].
        target_mask: True at real tokens of `target_in` and `target_out`, [batch, tgt_len].
        indices: number of each pair in its corpus.
    """

    source: Tensor
    source_mask: Tensor
    target_in: Tensor
    target_out: Tensor
    target_mask: Tensor
    indices: tuple[int, ...]

    @cached_property
    def tokens(self) -> int:
        """Number of real tokens of `target_out`."""
        return int(self.target_mask.sum())

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on another device."""
        moved = replace(
            self,
            source=self.source.to(device),
            source_mask=self.source_mask.to(device),
            target_in=self.target_in.to(device),
            target_out=self.target_out.to(device),
            target_mask=self.target_mask.to(device),
        )
        moved.__dict__["tokens"] = self.tokens  # counted here, since on a GPU it would synchronise
        return moved


def make_batch(
    pairs: Sequence[tuple[Side, Side]],
    indices: Sequence[int],
    *,
    round_rows: Callable[[int], int] | None = None,
    reverse: bool = False,
) -> Batch:
    """Return a batch of sources and targets; ids end in EOS.

    Args:
        pairs: at least one.
        indices: number of each pair in its corpus.
        round_rows: maps the number of pairs to the number of rows; rows without a pair have only
            EOS, or a position of zeros, as their source and no target tokens.
        reverse: put the pieces of each target in the order of `right_to_left`.
    """
    if reverse:
        pairs = [(left, np.asarray(right)[right_to_left(len(right))]) for left, right in pairs]
    if round_rows is not None:
        left, right = (np.asarray(side) for side in pairs[0])
        least = np.zeros_like(left[:1]) if left.ndim == 2 else np.array([EOS])
        empty = least, right[:0]
        pairs = [*pairs, *[empty] * (round_rows(len(pairs)) - len(pairs))]
    source, source_mask = _pad([source for source, _ in pairs])
    target_out, target_mask = _pad([target for _, target in pairs])
    target_in, _ = _pad([_inputs_for(target) for _, target in pairs])
    target_in = target_in.masked_fill(target_in == EOS, BOS)  # a further line of a sequence begins
    return Batch(source, source_mask, target_in, target_out, target_mask, tuple(map(int, indices)))


def right_to_left(length: int) -> list[int]:
    """Return the places of a target's ids from its last piece to the first, and then that of EOS.

    The same order turns such a target back.

    Args:
        length: number of ids, with EOS.
    """
    return [*range(length - 2, -1, -1), length - 1]


def _inputs_for(target: Side) -> Ids:
    """Return what a decoder reads to predict `target`: BOS, and all ids but the last."""
    if isinstance(target, np.ndarray) and target.ndim == 2:
        return np.array([BOS])
    return np.concatenate(([BOS], target[:-1])).astype(np.int64)


def _pad(sentences: Sequence[Side]) -> tuple[Tensor, Tensor]:
    """Return ids [batch, longest] or numbers [batch, longest, features], and their mask."""
    lengths = np.array([len(sentence) for sentence in sentences])
    mask = np.arange(lengths.max()) < lengths[:, None]
    real = np.concatenate(sentences)
    is_ids = real.ndim == 1
    padded = np.full(
        (*mask.shape, *real.shape[1:]), PAD if is_ids else 0, np.int64 if is_ids else np.float32
    )
    padded[mask] = real
    return torch.from_numpy(padded), torch.from_numpy(mask)


def explain_large_batch(batch: Batch) -> contextlib.AbstractContextManager[None]:
    """Turn an out-of-memory error inside the block into one that describes the batch."""
    return explain_lack_of_memory(partial(_describe, batch))


def _describe(batch: Batch) -> str:
    sources, targets = batch.source_mask.sum(dim=1), batch.target_mask.sum(dim=1)  # [batch]
    longest = int((sources + targets).argmax())
    return (
        f"{len(batch):,} pairs with {batch.tokens:,} target pieces, the longest of them with "
        f"{sources[longest]:,} and {targets[longest]:,}; lower training.batch_tokens and raise "
        "training.accumulate by as much, or lower data.max_length or the sizes of the model."
    )
