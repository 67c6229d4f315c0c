"""Dropout of recurrent weights (Merity et al., 2018, sec. 2; DropConnect of Wan et al., 2013).

    U' = M * U / (1 - rate), each value of M being 0 with probability `rate`

One mask holds for all sentences and steps of a batch, so a whole sequence is still a single call of
any kernel.
"""

import contextlib
from collections.abc import Iterator
from typing import cast

from torch import nn

from nmt.layers.dropout import dropout_mask


@contextlib.contextmanager
def dropped_weight(linear: nn.Linear, rate: float) -> Iterator[None]:
    """Let `linear` multiply by a dropped weight inside the block; gradients reach its parameter.

    Only in training, and if `rate` is above 0.
    """
    if not linear.training or rate == 0.0:
        yield
        return
    weight = linear.weight
    dropped = weight * dropout_mask(weight, tuple(weight.shape), rate)
    del linear.weight
    linear.weight = cast(nn.Parameter, dropped)  # a plain attribute, not a parameter
    try:
        yield
    finally:
        del linear.weight
        linear.weight = weight
