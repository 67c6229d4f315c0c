"""A recurrent cell whose groups of units move at different, regular intervals."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.layers.cell_basics import ACTIVATIONS, SLOPES, State
from nmt.layers.linear import Linear


class ClockworkCell(nn.Module):
    """Clockwork RNN (Koutník et al., 2014): slow units remember, fast units read them.

        h~_t = phi(W x_t + U h_{t-1} + b)
        h_t[i] = h~_t[i] if t mod p_i = 0, else h_{t-1}[i]        t = 0, 1, 2, ...

    Units are divided evenly into one group for each period p. U is zero where a unit would read a
    faster one: the slow groups are a network of their own, whose states the faster groups read.
    The state is (h, t). If all periods are 1, this is an Elman RNN.

    Args:
        input_size: size of the input.
        hidden_size: size of h.
        periods: the period of each group, in ascending order; at most `hidden_size` of them.
        activation: phi: "tanh", "relu", "sigmoid" or "identity".
    """

    states = 1
    unit_periods: Tensor
    """Period of each unit, [hidden]."""
    is_read: Tensor
    """Whether a unit (row) reads another (column), [hidden, hidden]."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        periods: Sequence[int],
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        self.hidden_size, self.activation = hidden_size, activation
        self.periods, self.slopes = tuple(periods), (SLOPES[activation],)
        self.input = Linear(input_size, hidden_size)
        self.recurrent = Linear(hidden_size, hidden_size, bias=False)
        ends = [hidden_size * (group + 1) // len(periods) for group in range(len(periods))]
        self.groups = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
        each = [
            torch.full((group.stop - group.start,), period)
            for group, period in zip(self.groups, periods, strict=True)
        ]
        unit_periods = torch.cat(each)
        self.register_buffer("unit_periods", unit_periods, persistent=False)
        self.register_buffer(
            "is_read", unit_periods.unsqueeze(1) <= unit_periods.unsqueeze(0), persistent=False
        )

    def first_state(self, hidden: Tensor) -> State:
        """Return the state before the first step, when t = 0, from h [rows, hidden]."""
        return hidden, torch.zeros_like(hidden[..., :1], dtype=torch.long)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x + b of inputs x [..., input], [..., hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next (h, t) from `project`'s output [rows, hidden] and the state.

        `dropped` replaces h inside the recurrent product (recurrent dropout).
        """
        hidden, step = state  # [rows, hidden] and [rows, 1]
        read = hidden if dropped is None else dropped
        recurrent = F.linear(read, self.recurrent.weight * self.is_read)
        moved = ACTIVATIONS[self.activation](projected + recurrent)
        is_due = step % self.unit_periods == 0  # [rows, hidden]
        return torch.where(is_due, moved, hidden), step + 1
