"""Clipping the gradient by its norm (Pascanu et al., 2013, algorithm 1)."""

from collections.abc import Iterable

import torch
from torch import Tensor


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Shrink all gradients by one factor so that their common norm is at most `max_norm`.

    A smaller gradient is not touched at all. A norm that is not finite changes nothing either:
    the caller must then skip the update, for one Adam step with it would ruin every weight.

    Args:
        parameters: those whose `.grad` to shrink; without a gradient they count as zero.
        max_norm: the largest norm; 0 measures only.

    Returns:
        The norm before clipping.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return 0.0
    norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]
    total = torch.linalg.vector_norm(torch.stack(norms))
    norm = float(total)
    # `max_norm < norm` is False for NaN; an infinite norm would turn the gradient into zeros.
    if 0 < max_norm < norm < float("inf"):
        for gradient in gradients:
            gradient.mul_(max_norm / total)
    return norm
