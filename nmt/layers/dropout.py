"""Dropout as masks that are drawn before they are used.

A mask holds 0 or 1 / (1 - rate). Drawing it for all positions at once is cheaper than step by
step, and a mask that is drawn once can be kept for a whole sentence (variational dropout).
"""

import math

import torch
from torch import Tensor


def keep_mask(shape: tuple[int, ...], rate: float, device: torch.device) -> Tensor:
    """Draw booleans of `shape`, False at `rate`, which is met to 2^-16.

    Sixteen random bits a value are enough, and one draw of the generator gives sixty-four.
    """
    size = math.prod(shape)
    draws = torch.empty((size + 3) // 4, dtype=torch.int64, device=device)
    values = draws.random_(-(2**63), None).view(torch.int16)[:size].view(shape)
    return values >= min(round(rate * 2**16), 2**16 - 1) - 2**15


def dropout_mask(like: Tensor, shape: tuple[int, ...], rate: float) -> Tensor:
    """Draw a mask of `shape` with the type and device of `like`: 0 at `rate`, else scaled up."""
    return keep_mask(shape, rate, like.device).to(like.dtype).mul_(1.0 / (1.0 - rate))


def drop(inputs: Tensor, rate: float, *, training: bool, variational: bool = False) -> Tensor:
    """Drop values of `inputs` [batch, length, size] (Srivastava et al., 2014).

    Args:
        inputs: what to thin out.
        rate: share of values set to 0; the others are scaled up by 1 / (1 - rate).
        training: nothing is dropped outside training.
        variational: the same values at every position of a sentence (Gal and Ghahramani, 2016).
    """
    if not training or rate == 0.0:
        return inputs
    batch, length, size = inputs.shape
    return inputs * dropout_mask(inputs, (batch, 1 if variational else length, size), rate)


def word_mask(like: Tensor, shape: tuple[int, ...], rate: float) -> Tensor:
    """Draw a mask of `shape` for whole words: 0 at `rate`, else 1.

    Unlike `dropout_mask` it does not scale the others up: a missing word leaves a hole, it does
    not make its neighbours louder (Sennrich et al., 2016, sec. 2.3).
    """
    return keep_mask(shape, rate, like.device).to(like.dtype)
