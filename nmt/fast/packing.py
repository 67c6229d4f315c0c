"""Remove most of a batch's padding before a recurrent layer reads it.

Computing on padding is wasted work. A packed batch is ordered by position and, within a position,
by decreasing sentence length, so the rows at one time step are the first rows of the step before:

    a1 a2 a3            a1 b1 c1 | a2 b2 | a3
    b1 b2 __      ->
    c1 __ __            3 rows, 2 rows, 1 row

Row counts are rounded up by keeping some padding of finished sentences.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.fast.shapes import rounded
from nmt.layers.recurrent import reversal


@dataclass(frozen=True)
class Packing:
    """How to pack a batch."""

    counts: list[int]
    """Rows at each position, from first to last."""
    forward: Tensor
    """Index of each packed token in the padded batch, b * length + t, [tokens]."""
    backward: Tensor
    """The same if every sentence is read from end to start, [tokens]."""

    @classmethod
    def of(cls, mask: Tensor) -> "Packing":
        """Return the packing for `mask` [batch, length], True at real tokens.

        Padding must be on the right, and every sentence must have at least one token.
        """
        batch = mask.shape[0]
        longest_first = mask.sum(dim=1).argsort(descending=True, stable=True)  # [batch]
        words = mask.sum(dim=0)  # tokens at each position, [length]
        counts = torch.tensor([min(rounded(count), batch) for count in words.tolist()])
        counts = counts.to(mask.device)
        is_taken = torch.arange(batch, device=mask.device) < counts.unsqueeze(1)  # [length, batch]
        places = torch.arange(mask.numel(), device=mask.device).view_as(mask)
        turned = places.gather(1, reversal(mask))
        return cls(
            counts=[count for count in counts.tolist() if count],
            forward=places[longest_first].t()[is_taken],
            backward=turned[longest_first].t()[is_taken],
        )


def pack(padded: Tensor, places: Tensor) -> Tensor:
    """Gather the rows of `padded` [batch, length, size] at `places` [tokens] -> [tokens, size]."""
    packed: Tensor = _Pack.apply(padded, places)  # type: ignore[no-untyped-call]
    return packed


def unpack(packed: Tensor, places: Tensor, batch: int, length: int) -> Tensor:
    """Scatter `packed` [tokens, size] back, zeros elsewhere -> [batch, length, size]."""
    padded = packed.new_zeros(batch * length, packed.shape[1])
    return padded.index_copy_(0, places, packed).view(batch, length, -1)


class _Pack(torch.autograd.Function):
    """Implements `pack`. Indices are unique, so gradients are copied back without accumulation."""

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
