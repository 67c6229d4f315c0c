"""Padded sentences with hardly any of their padding.

Sentences of a batch are padded to the longest of them, and a cell that reads the padding works for
nothing. Packed, the words stand position by position, and at each position those of the longest
sentences first, so that the rows of one step are the first rows of the step before:

    a1 a2 a3            a1 b1 c1 | a2 b2 | a3
    b1 b2 __      ->
    c1 __ __            3 rows, 2 rows, 1 row

Counts of rows are rounded up, by the padding of sentences that are over.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_MULTIPLE = 16
"""Rows of a step come in these portions: each new shape of a product has its price."""


def reversal(mask: Tensor) -> Tensor:
    """Return indices [batch, length] that reverse each sentence and leave its padding in place."""
    lengths = mask.sum(dim=1, keepdim=True)  # [batch, 1]
    positions = torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)  # [1, length]
    return torch.where(positions < lengths, lengths - 1 - positions, positions)


@dataclass(frozen=True)
class Packing:
    """Where the words of a batch stand when they are packed."""

    counts: list[int]
    """Rows at each position, from the first to the last."""
    forward: Tensor
    """Where a packed word stands in the padded batch, b * length + t, [words]."""
    backward: Tensor
    """Likewise if every sentence is read from its end to its start, [words]."""

    @classmethod
    def of(cls, mask: Tensor) -> "Packing":
        """Pack what `mask` [batch, length] says is real; padding stands at the right.

        Each sentence has a word.
        """
        batch = mask.shape[0]
        longest_first = mask.sum(dim=1).argsort(descending=True, stable=True)  # [batch]
        words = mask.sum(dim=0)  # at each position, [length]
        counts = words.add(_MULTIPLE - 1).div(_MULTIPLE, rounding_mode="floor").mul(_MULTIPLE)
        counts = counts.clamp(max=batch)
        is_taken = torch.arange(batch, device=mask.device) < counts.unsqueeze(1)  # [length, batch]
        places = torch.arange(mask.numel(), device=mask.device).view_as(mask)
        turned = places.gather(1, reversal(mask))
        return cls(
            counts=[count for count in counts.tolist() if count],
            forward=places[longest_first].t()[is_taken],
            backward=turned[longest_first].t()[is_taken],
        )


def pack(padded: Tensor, places: Tensor) -> Tensor:
    """Return the rows of `padded` [batch, length, size] at `places` [words]: [words, size]."""
    packed: Tensor = _Pack.apply(padded, places)  # type: ignore[no-untyped-call]
    return packed


def unpack(packed: Tensor, places: Tensor, batch: int, length: int) -> Tensor:
    """Put `packed` [words, size] where it stood, zeros elsewhere: [batch, length, size]."""
    padded = packed.new_zeros(batch * length, packed.shape[1])
    return padded.index_copy_(0, places, packed).view(batch, length, -1)


class _Pack(torch.autograd.Function):
    """See `pack`: no place is named twice, so that gradients need not be added up."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.shape = padded.shape
        return padded.reshape(-1, padded.shape[-1]).index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        (places,) = ctx.saved_tensors
        return unpack(grad_outputs[0], places, *ctx.shape[:2]), None
