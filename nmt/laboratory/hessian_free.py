"""Hessian-free optimisation: Newton's step on a quadratic that is never written down.

    minimise q(p) = L(theta) + g^T p + p^T (G + lambda I + lambda mu S) p / 2

G is the Gauss-Newton matrix of the loss, and conjugate gradients find p from products with it
(Martens, 2010). lambda follows Levenberg and Marquardt: what the loss fell by, divided by what q
promised, says how far q can be trusted.

S is structural damping (Martens and Sutskever, 2011): the Gauss-Newton matrix of |h(theta + p) -
h(theta)|^2 / 2, where h are all hidden states. It keeps p from changing what the network does far
along the sequence, where a small change of the recurrent weights is a large one of the states.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.func import grad_and_value, vjp

from nmt.laboratory.conjugate_gradients import conjugate_gradients
from nmt.laboratory.curvature import hessian_product, pushforward

Network = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From parameters [parameters] and inputs to outputs and hidden states, batch first."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs and targets to the mean loss of a row, a scalar; convex in the outputs."""


@dataclass(frozen=True)
class Examples:
    """What a loss is computed of: inputs and targets, row by row."""

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Outcome:
    """What one step of Hessian-free optimisation did."""

    before: float
    """Loss before the step."""
    after: float
    """Loss after it; equal to `before` if no length of the step lowers it."""
    ratio: float
    """Fall of the loss divided by the fall that the quadratic promised."""
    damping: float
    """lambda, after its change."""
    products: int
    """Products with the curvature matrix."""


class HessianFree:
    """Minimises a loss step by step.

    Args:
        network: the network as a function of its parameters.
        loss: the mean loss of outputs.
        damping: lambda at the start.
        structural: mu, the share of structural damping; 0 leaves it out.
        steps: largest number of conjugate gradient steps.
        decay: factor of the previous solution from which the next one starts.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        *,
        damping: float = 1.0,
        structural: float = 0.0,
        steps: int = 100,
        decay: float = 0.95,
    ) -> None:
        self.network, self.loss = network, loss
        self.damping, self.structural = damping, structural
        self.steps, self.decay = steps, decay
        self.previous: Tensor | None = None
        """Solution p of the previous step, [parameters]."""

    def value(self, theta: Tensor, batch: Examples) -> Tensor:
        """Return the loss at parameters `theta` [parameters]."""
        return self.loss(self.network(theta, batch.inputs)[0], batch.targets)

    def step(
        self, theta: Tensor, batch: Examples, curvature: Examples | None = None
    ) -> tuple[Tensor, Outcome]:
        """Return new parameters, and what happened.

        Args:
            theta: the parameters, [parameters].
            batch: what gradient and loss are computed of: many sequences, or the quadratic fits
                their noise.
            curvature: a part of them to compute G of; all by default.
        """
        gradient, before = grad_and_value(self.value)(theta, batch)
        product = self.curvature_product(theta, curvature or batch)
        start = None if self.previous is None else self.decay * self.previous
        solution = conjugate_gradients(product, -gradient, start=start, steps=self.steps)
        self.previous = solution.point
        fall = float(self.value(theta + solution.point, batch) - before)
        ratio = fall / solution.value if solution.value else 1.0
        self.damping = adapted_damping(self.damping, ratio)
        theta, after = self.search(theta, solution.point, batch, float(before), gradient)
        outcome = Outcome(float(before), after, ratio, self.damping, solution.products)
        return theta, outcome

    def curvature_product(self, theta: Tensor, batch: Examples) -> Callable[[Tensor], Tensor]:
        """Return v -> (G + lambda I + lambda mu S) v at `theta` [parameters]."""

        def forward(parameters: Tensor) -> tuple[Tensor, Tensor]:
            return self.network(parameters, batch.inputs)

        (outputs, states), pull_back = vjp(forward, theta)[:2]
        push = pushforward(pull_back, outputs, states)
        strength = self.damping * self.structural / outputs.shape[0]  # S is a mean over rows, too

        def product(vector: Tensor) -> Tensor:
            moved_outputs, moved_states = push(vector)
            curved = hessian_product(lambda y: self.loss(y, batch.targets), outputs, moved_outputs)
            damped: Tensor = pull_back((curved, strength * moved_states))[0]
            return damped + self.damping * vector

        return product

    def search(
        self, theta: Tensor, step: Tensor, batch: Examples, before: float, gradient: Tensor
    ) -> tuple[Tensor, float]:
        """Return the first of theta + step, theta + 0.8 step, ... that lowers the loss enough.

        That is by a hundredth of what the gradient promises (Armijo's rule); otherwise theta.
        """
        slope = float(gradient @ step)
        length = 1.0
        for _ in range(40):
            candidate = theta + length * step
            after = float(self.value(candidate, batch))
            if after <= before + 0.01 * length * slope:
                return candidate, after
            length *= 0.8
        return theta, before


def adapted_damping(damping: float, ratio: float) -> float:
    """Return the next lambda (Levenberg and Marquardt; Martens, 2010, section 4.1).

    Args:
        damping: lambda.
        ratio: fall of the loss divided by the fall that the quadratic promised.
    """
    if ratio > 0.75:
        return damping * 2 / 3
    if not ratio >= 0.25:  # or not a number
        return damping * 3 / 2
    return damping
