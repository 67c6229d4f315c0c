"""Parts of lectures: gradients carried back through the steps of one layer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.layers.cells import RnnCell

ROWS = 16
"""Random sequences and directions v over which a norm is averaged."""


@dataclass(frozen=True)
class Curve:
    """Mean norms of v dh_t/dh_{t-l} for random unit vectors v, by lag l from 0."""

    name: str
    norms: tuple[float, ...]

    @property
    def factor(self) -> float:
        """The norm's factor per step, over the last half of the lags; 0 if it underflows."""
        middle, last = len(self.norms) // 2, len(self.norms) - 1
        if self.norms[last] == 0.0 or self.norms[middle] == 0.0:
            return 0.0
        return (self.norms[last] / self.norms[middle]) ** (1.0 / (last - middle))


def back_through(states: Sequence[Tensor], vector: Tensor) -> tuple[float, ...]:
    """Return mean norms of `vector` [rows, units] carried back from the last state, by lag."""
    norms = [float(vector.norm(dim=1).mean())]
    for later, earlier in zip(states[:0:-1], states[-2::-1], strict=True):
        (vector,) = torch.autograd.grad(later, earlier, vector, retain_graph=True)
        norms.append(float(vector.norm(dim=1).mean()))
    return tuple(norms)


def run(cell: RnnCell, inputs: Tensor) -> list[Tensor]:
    """Return h_0, ..., h_T for pre-activation inputs [rows, steps, units]."""
    states = [torch.zeros(len(inputs), cell.hidden_size).double().requires_grad_()]
    for projected in inputs.unbind(dim=1):
        states.append(cell(projected, (states[-1],))[0])
    return states


def directions(units: int) -> Tensor:
    """Return random unit vectors [rows, units]."""
    drawn = torch.randn(ROWS, units).double()
    return drawn / drawn.norm(dim=1, keepdim=True)
