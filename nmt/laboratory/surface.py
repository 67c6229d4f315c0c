"""The error of a recurrent network with one unit, over its two parameters: a plain with a cliff.

    x <- w sigma(x) + b, 50 times;   E(w, b) = (sigma(x_50) - 0.7)^2

It is the example of Pascanu et al. (2013, figure 6). Along a line in the (w, b) plane the unit
changes from one fixed point to another; there, gradient and curvature explode together.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import grad_and_value, jacrev, vmap

TARGET = 0.7
"""What the output should be after the last step."""


def final_error(parameters: Tensor, *, start: float = 0.5, steps: int = 50) -> Tensor:
    """Return E for `parameters` (w, b), [2], a scalar."""
    w, b = parameters
    x = torch.full_like(w, start)
    for _ in range(steps):
        x = w * torch.sigmoid(x) + b
    return (torch.sigmoid(x) - TARGET).square()


@dataclass(frozen=True)
class Surface:
    """The error and its derivatives at the points of a grid, all [w, b] unless noted."""

    w: Tensor
    """Values of w, [w]."""
    b: Tensor
    """Values of b, [b]."""
    error: Tensor
    gradient: Tensor
    """[w, b, 2]."""
    curvature: Tensor
    """Largest absolute eigenvalue of the Hessian."""
    direction: Tensor
    """Its eigenvector, of length 1, [w, b, 2]."""

    @property
    def slope(self) -> Tensor:
        """Norm of the gradient."""
        slope: Tensor = torch.linalg.vector_norm(self.gradient, dim=-1)
        return slope

    def alignment(self, points: int) -> float:
        """Return the mean |cosine| between gradient and direction of curvature.

        Args:
            points: how many of the points with the steepest slopes are included.
        """
        cosines = (self.gradient * self.direction).sum(dim=-1).abs() / self.slope
        steepest = self.slope.flatten().topk(points).indices
        return float(cosines.flatten()[steepest].mean())

    def rank_correlation(self) -> float:
        """Return Spearman's correlation between the slope and the curvature."""
        return rank_correlation(self.slope.flatten(), self.curvature.flatten())


def measure_surface(
    w: tuple[float, float] = (4.5, 6.5),
    b: tuple[float, float] = (-3.6, -1.8),
    points: tuple[int, int] = (41, 73),
) -> Surface:
    """Return the error, its gradient and its curvature on a grid, in float64.

    Args:
        w: first and last value of w.
        b: first and last value of b.
        points: number of values of w and of b.
    """
    each_w, each_b = (
        torch.linspace(*ends, count, dtype=torch.float64)
        for ends, count in zip((w, b), points, strict=True)
    )
    grid = torch.cartesian_prod(each_w, each_b)  # [w * b, 2]
    gradients, errors = vmap(grad_and_value(final_error))(grid)
    hessians = vmap(jacrev(jacrev(final_error)))(grid)
    eigenvalues, eigenvectors = torch.linalg.eigh(hessians)
    largest = eigenvalues.abs().argmax(dim=-1)  # [w * b]
    rows = torch.arange(len(grid))
    return Surface(
        each_w,
        each_b,
        error=errors.reshape(points),
        gradient=gradients.reshape(*points, 2),
        curvature=eigenvalues[rows, largest].abs().reshape(points),
        direction=eigenvectors[rows, :, largest].reshape(*points, 2),
    )


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Return Spearman's rank correlation of two vectors without ties."""
    ranks = torch.stack([values.argsort().argsort().double() for values in (one, other)])
    return float(torch.corrcoef(ranks)[0, 1])
