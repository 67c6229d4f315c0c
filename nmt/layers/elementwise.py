"""Cells whose gates read the input alone: no product with the previous state.

All their products span the whole sequence; what is left of a step are sums and products of single
units. `recurrent` is None.
"""

import torch
from torch import Tensor, nn

from nmt.layers.cell_basics import State
from nmt.layers.linear import Linear


class SsruCell(nn.Module):
    """Simpler simple recurrent unit (Kim et al., 2019, sec. 3.2).

        f = sigma(W_f x + b_f)
        c' = f * c + (1 - f) * (W x + b),  h' = relu(c')

    Args:
        input_size: size of the input.
        hidden_size: size of h and c.
    """

    states = 2
    slopes = (0.25, 1.0)
    recurrent: None = None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.input = Linear(input_size, 2 * hidden_size)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x + b of inputs x [..., input], [..., 2 * hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next (h, c) from `project`'s output [rows, 2 * hidden] and the state.

        `dropped` is not read: there is no recurrent product.
        """
        f, candidate = projected.chunk(2, dim=-1)  # each [rows, hidden]
        memory = candidate + torch.sigmoid(f) * (state[1] - candidate)
        return torch.relu(memory), memory


class MinGruCell(nn.Module):
    """Minimal gated recurrent unit (Feng et al., 2024, sec. 3.1): z writes.

        z = sigma(W_z x + b_z)
        h' = (1 - z) * h + z * (W x + b)

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
    """

    states = 1
    slopes = (0.25, 1.0)
    recurrent: None = None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.input = Linear(input_size, 2 * hidden_size)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x + b of inputs x [..., input], [..., 2 * hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next state from `project`'s output [rows, 2 * hidden] and the state.

        `dropped` is not read: there is no recurrent product.
        """
        z, candidate = projected.chunk(2, dim=-1)  # each [rows, hidden]
        return (state[0] + torch.sigmoid(z) * (candidate - state[0]),)
