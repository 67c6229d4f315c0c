"""A recurrent layer over a plane instead of a line (Graves et al., 2007)."""

import torch
from torch import Tensor, nn

from nmt.layers.cells import ACTIVATIONS
from nmt.layers.linear import Linear


class GridRnn(nn.Module):
    """h_{i,j} = phi(W x_{i,j} + U_1 h_{i-1,j} + U_2 h_{i,j-1} + b); outside the grid h = 0.

    Each state has seen the rectangle above and to the left of it. A grid of one row is an Elman
    network. Its weights are initialised like those of a cell.

    Args:
        input_size: size of an input.
        hidden_size: size of a state.
        activation: phi, as for `RnnCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, *, activation: str = "tanh") -> None:
        super().__init__()
        self.hidden_size, self.activation = hidden_size, activation
        self.input = Linear(input_size, hidden_size)
        self.from_above = Linear(hidden_size, hidden_size, bias=False)
        self.from_left = Linear(hidden_size, hidden_size, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the states [batch, height, width, hidden] of [batch, height, width, input]."""
        activate = ACTIVATIONS[self.activation]
        projected = self.input(inputs)  # [batch, height, width, hidden]
        outside = projected.new_zeros(inputs.shape[0], self.hidden_size)
        above = [outside] * inputs.shape[2]
        rows = []
        for line in projected.unbind(dim=1):
            left, row = outside, []
            for x, up in zip(line.unbind(dim=1), above, strict=True):
                left = activate(x + self.from_above(up) + self.from_left(left))
                row.append(left)
            above = row
            rows.append(torch.stack(row, dim=1))
        return torch.stack(rows, dim=1)
