"""L1 and L2 penalties on weights."""

from collections.abc import Iterable

import torch
from torch import Tensor


def l1_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """Return sum |w| over all parameters, a scalar; its gradient is sign(w), 0 at 0."""
    return _total([parameter.abs().sum() for parameter in parameters])


def l2_penalty(parameters: Iterable[Tensor]) -> Tensor:
    """Return sum w^2 / 2 over all parameters, a scalar; its gradient is w.

    Weight decay in SGD is equivalent to adding `weight_decay` times this penalty to the loss.
    """
    return _total([parameter.square().sum() / 2 for parameter in parameters])


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum() if terms else torch.zeros(())
