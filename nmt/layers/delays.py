"""A recurrent cell with delays: shortcuts through time."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nmt.layers.cell_basics import ACTIVATIONS, SLOPES, State
from nmt.layers.linear import Linear


class DelaysCell(nn.Module):
    """h_t = phi(W x_t + sum_d U_d h_{t-d} + b) over a set of delays d (Lin et al., 1996).

    A gradient that travels T steps passes through as few as T / D matrices, D being the longest
    delay. The state is (h_{t-1}, ..., h_{t-D}). With the single delay 1, this is `RnnCell`.

    Args:
        input_size: size of the input.
        hidden_size: size of h.
        delays: the delays d, in ascending order.
        activation: phi: "tanh", "relu", "sigmoid" or "identity".
    """

    states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        delays: Sequence[int],
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.hidden_size, self.activation = hidden_size, activation
        self.delays = tuple(delays)
        self.slopes = (SLOPES[activation],)
        self.input = Linear(input_size, hidden_size)
        self.recurrent = Linear(len(self.delays) * hidden_size, hidden_size, bias=False)

    def first_state(self, hidden: Tensor) -> State:
        """Return the state before the first step: all its parts are `hidden` [rows, hidden]."""
        return (hidden,) * self.delays[-1]

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x + b of inputs x [..., input], [..., hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next state from `project`'s output [rows, hidden] and the state.

        `dropped` replaces h_{t-1} inside the recurrent product (recurrent dropout); states from
        further back are read as they are.
        """
        previous = state if dropped is None else (dropped, *state[1:])
        read = torch.cat([previous[delay - 1] for delay in self.delays], dim=-1)
        hidden = ACTIVATIONS[self.activation](projected + self.recurrent(read))
        # each step has tensors of its own, so that gradients by the states of two steps differ
        return (hidden, *(part.view_as(part) for part in state[:-1]))
