"""Real-time recurrent learning: gradients that travel forward with the states.

    S_t = J_t S_{t-1} + B_t,   J_t = ds_t / ds_{t-1},   B_t = d+s_t / dtheta (immediate)
    dL_t / dtheta = (dL_t / ds_t) S_t

S_t = ds_t / dtheta is kept instead of the past states, and nothing is propagated back (Williams and
Zipser, 1989). It is exact as long as theta does not change, and costs a product of [state, state]
with [state, parameters] at each step: O(k^4) for k units.
"""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from nmt.laboratory.parameters import as_function, parameter_vector
from nmt.layers.cells import Cell, zero_state


@dataclass(frozen=True)
class Step:
    """One step of a cell and its derivatives, for each row."""

    state: Tensor
    """All parts of the state after the step, concatenated, [rows, state]."""
    by_state: Tensor
    """J: its derivative with respect to the previous state, [rows, state, state]."""
    by_parameters: Tensor
    """B: its immediate derivative with respect to the cell's parameters, [rows, state, parameters];
    these are in the order of `parameter_vector`."""


def differentiate_step(cell: Cell, inputs: Tensor, state: Tensor) -> Step:
    """Return the next state of a cell with its derivatives.

    Args:
        cell: any cell.
        inputs: its input x, [rows, input].
        state: all parts of the previous state, concatenated, [rows, state].
    """
    sizes = [part.shape[-1] for part in zero_state(cell, 1)]

    def whole(cell: Cell, x: Tensor, state: Tensor) -> Tensor:
        return torch.cat(cell(cell.project(x), torch.split(state, sizes, dim=-1)), dim=-1)

    step = as_function(cell, whole)

    def twice(theta: Tensor, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        after = step(theta, x, state)
        return after, after  # one to be differentiated, one to be kept

    derivatives = vmap(jacrev(twice, argnums=(0, 2), has_aux=True), in_dims=(None, 0, 0))
    (by_parameters, by_state), after = derivatives(parameter_vector(cell), inputs, state)
    return Step(after, by_state, by_parameters)


class Rtrl:
    """The exact gradient, carried forward."""

    def __init__(self) -> None:
        self.influence: Tensor | None = None
        """S: derivative of the state with respect to the parameters, [rows, state, parameters]."""

    def advance(self, step: Step) -> None:
        """Follow the cell by one step."""
        if self.influence is None:
            self.influence = step.by_parameters
        else:
            self.influence = step.by_state @ self.influence + step.by_parameters

    def gradient(self, grad_state: Tensor) -> Tensor:
        """Return dL/dtheta [rows, parameters] from dL/ds of the latest state, [rows, state]."""
        if self.influence is None:
            raise RuntimeError("there is no state yet: call `advance` first.")
        return torch.einsum("rs,rsp->rp", grad_state, self.influence)


class Truncated:
    """Backpropagation through the latest `steps` steps only.

    Args:
        steps: how many immediate derivatives are included; 1 ignores the recurrence.
    """

    def __init__(self, steps: int) -> None:
        self.latest: deque[Step] = deque(maxlen=steps)

    def advance(self, step: Step) -> None:
        """Follow the cell by one step."""
        self.latest.append(step)

    def gradient(self, grad_state: Tensor) -> Tensor:
        """Return the truncated dL/dtheta [rows, parameters] from dL/ds of the latest state."""
        if not self.latest:
            raise RuntimeError("there is no state yet: call `advance` first.")
        total = torch.zeros_like(self.latest[0].by_parameters[:, 0])
        for step in reversed(self.latest):
            total = total + torch.einsum("rs,rsp->rp", grad_state, step.by_parameters)
            grad_state = torch.einsum("rs,rst->rt", grad_state, step.by_state)
        return total
