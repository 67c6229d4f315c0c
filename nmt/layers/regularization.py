"""L1 and L2 penalties on weights, and on the divergence of two predictions."""

from collections.abc import Iterable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class PairWeights:
    """Weights of the loss of two predictions p and q of the same target.

    a CE(p) + b CE(q) + u KL(p || q) + v KL(q || p)
    """

    a: float
    b: float
    u: float
    v: float


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(p || q) = sum_j p_j (log p_j - log q_j) of each row in nats, [rows].

    Gradients flow through both; what has the probability 0 in either adds nothing.

    Args:
        log_p: [rows, vocab].
        log_q: [rows, vocab].
    """
    apart = torch.nan_to_num(log_p - log_q, nan=0.0, posinf=0.0, neginf=0.0)
    return (log_p.exp() * apart).sum(dim=-1)


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum() if terms else torch.zeros(())
