"""Penalties on the size of weights."""

from collections.abc import Iterable

import torch
from torch import Tensor


def l1_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """Return sum |w| over all parameters, a scalar; its gradient is sign(w), 0 at 0."""
    return _total([parameter.abs().sum() for parameter in parameters])


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """Return half of sum w^2 over all parameters, a scalar; its gradient is w.

    Times `weight_decay`, this is what SGD's weight decay adds to the loss.
    """
    return _total([parameter.square().sum() / 2 for parameter in parameters])


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum() if terms else torch.zeros(())
