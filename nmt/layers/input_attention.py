"""Attention over the values of one input: a gate computed from the input and the state."""

import torch
from torch import Tensor, nn

from nmt.layers.linear import Linear


class InputAttention(nn.Module):
    """g = softmax(alpha a),  a = tanh(W_h h + W_x x + b): how much of each value of x is read.

    The gate of a recurrent network that looks at a part of its input at each step, as the input
    attention of Qin et al. (2017) does. With alpha = 0, g is 1 / n for each of the n values; for
    large alpha it selects one.

    Args:
        input_size: number n of values of the input x.
        hidden_size: size of the state h.
        sharpness: alpha.
    """

    def __init__(self, input_size: int, hidden_size: int, *, sharpness: float = 1.0) -> None:
        super().__init__()
        self.project_input = Linear(input_size, input_size)
        self.project_hidden = Linear(hidden_size, input_size, bias=False)
        self.sharpness = sharpness

    def project(self, inputs: Tensor) -> Tensor:
        """Return W_x x + b of inputs x [..., input], [..., input]."""
        projected: Tensor = self.project_input(inputs)
        return projected

    def forward(self, projected: Tensor, hidden: Tensor) -> Tensor:
        """Return the gate g [rows, input], which sums to 1.

        Args:
            projected: what `project` returned, [rows, input].
            hidden: state h, [rows, hidden].
        """
        scores = torch.tanh(projected + self.project_hidden(hidden))  # [rows, input]
        return (self.sharpness * scores).softmax(dim=-1)
