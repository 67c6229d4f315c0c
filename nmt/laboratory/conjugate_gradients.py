"""Solve A p = b by products with A alone (Hestenes and Stiefel, 1952)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """Where conjugate gradients ended."""

    point: Tensor
    """p, in the shape of b."""
    products: int
    """Products with A that were needed."""
    value: float
    """q(p) = p^T A p / 2 - b^T p, which p minimises."""


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    *,
    start: Tensor | None = None,
    steps: int = 250,
    progress: float = 5e-4,
) -> Solution:
    """Return an approximate solution of A p = b.

    It ends once q fell by less than a share of `progress` per step over the latest steps, a tenth
    of all and at least 10 (Martens, 2010, section 4.4), or once the residual is 0.

    Args:
        product: A p for p [size]; A is symmetric and positive definite.
        right: b, [size].
        start: where to begin; zeros by default.
        steps: largest number of steps.
        progress: 0 goes on until the residual is 0 or `steps` are done.
    """
    point = torch.zeros_like(right) if start is None else start
    residual = right - product(point) if start is not None else right
    direction, square = residual, residual @ residual
    smallest = torch.finfo(right.dtype).eps ** 2 * float(right @ right)
    values = [float(-0.5 * (right + residual) @ point)]
    for step in range(1, steps + 1):
        if float(square) <= smallest:
            break
        moved = product(direction)
        length = square / (direction @ moved)
        point, residual = point + length * direction, residual - length * moved
        previous, square = square, residual @ residual
        direction = residual + (square / previous) * direction
        values.append(float(-0.5 * (right + residual) @ point))
        window = max(10, step // 10)
        if (
            step > window
            and values[step] - values[step - window] > window * progress * values[step]
        ):
            break
    products = len(values) - 1 + (start is not None)
    return Solution(point, products, values[-1])
