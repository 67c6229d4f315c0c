"""Dropout by masks that are drawn in advance.

A mask contains 0 or 1 / (1 - rate). Drawing it for all positions at once is cheaper than drawing
it step by step, and a mask can be kept for a whole sentence (variational dropout).
"""

import math

import torch
from torch import Tensor


def keep_mask(shape: tuple[int, ...], rate: float, device: torch.device) -> Tensor:
    """Draw booleans of `shape` that are False with probability `rate`, accurate to 2^-16.

    Each value needs 16 random bits, and each draw of the generator yields 64. The masks of a seed
    are the same with and without `nmt.fast`, so the draws cannot be exchanged there.
    """
    size = math.prod(shape)
    draws = torch.empty((size + 3) // 4, dtype=torch.int64, device=device)
    values = draws.random_(-(2**63), None).view(torch.int16)[:size].view(shape)
    return values >= min(round(rate * 2**16), 2**16 - 1) - 2**15


def dropout_mask(like: Tensor, shape: tuple[int, ...], rate: float) -> Tensor:
    """Draw a mask of `shape` with the type and device of `like`: 0 or 1 / (1 - rate)."""
    return keep_mask(shape, rate, like.device).to(like.dtype).mul_(1.0 / (1.0 - rate))


def drop(inputs: Tensor, rate: float, *, training: bool, variational: bool = False) -> Tensor:
    """Apply dropout to `inputs` [batch, length, size] (Srivastava et al., 2014).

    Args:
        inputs: values to drop from.
        rate: probability of setting a value to 0; the others are scaled by 1 / (1 - rate).
        training: False returns `inputs` unchanged.
        variational: True drops the same values at every position of a sentence (Gal and
            Ghahramani, 2016).
    """
    if not training or rate == 0.0:
        return inputs
    batch, length, size = inputs.shape
    return inputs * dropout_mask(inputs, (batch, 1 if variational else length, size), rate)


def word_mask(like: Tensor, shape: tuple[int, ...], rate: float) -> Tensor:
    """Draw a mask of `shape` for whole words: 0 with probability `rate`, else 1.

    Unlike in `dropout_mask`, the remaining values are not scaled: a missing word should not
    amplify its neighbours (Sennrich et al., 2016, sec. 2.3).
    """
    return keep_mask(shape, rate, like.device).to(like.dtype)
