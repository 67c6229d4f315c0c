"""One step of a recurrent layer: the reference that every faster path is tested against.

A cell maps an input and a state to the next state. Its state is a tuple of tensors, each
[rows, hidden], of which the first is what the layer shows to the outside. The product with the
input is a method of its own, `project`, because it can be taken for a whole sequence at once;
`forward` is what has to wait for the step before.

`kernel` is what torch has for a whole sequence, or None; `compiled` names what
`nmt.layers.compiled` has; `slopes` are the largest slopes of the
gates' activations, in the order of their blocks.

All gates share one weight matrix, block after block in the order that torch uses, so that the
fused kernels of torch run on the very same parameters. One bias is enough: torch's second one
adds nothing but a second name for the same number (and, in the GRU, a bias inside the reset
gate, which the published equations do not have).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nmt.layers.compiled import CompiledCell
from nmt.layers.products import Multiply, multiply_plainly
from nmt.native.kernels import Kind

State = tuple[Tensor, ...]
"""What a cell carries from step to step: tensors [rows, hidden]; the first is the output."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
Kernel = Callable[..., Any] | None
"""What torch computes a whole sequence with; None where it has nothing."""

KERNELS: dict[str, Kernel] = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
SLOPES = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25, "identity": 1.0}
"""Largest derivative of each activation: gamma of Pascanu et al. (2013)."""


class RnnCell(nn.Module):
    """h' = phi(W_x x + W_h h + b) (Elman, 1990).

    Args:
        input_size: values of the input.
        hidden_size: values of the state.
        activation: phi: "tanh", "relu", "sigmoid" or "identity".
    """

    states = 1

    def __init__(self, input_size: int, hidden_size: int, *, activation: str = "tanh") -> None:
        super().__init__()
        self.multiply: Multiply = multiply_plainly
        self.hidden_size = hidden_size
        self.activation = activation
        self.kernel = KERNELS.get(activation)
        self.compiled: Kind | None = None
        self.slopes = (SLOPES[activation],)
        self.weight_input = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_hidden = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))

    def project(self, inputs: Tensor) -> Tensor:
        """Map inputs [..., input] to their share of the step, [..., hidden]."""
        return self.multiply(inputs, self.weight_input, self.bias)

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next state from `project`'s output [rows, hidden] and the state.

        `dropped` replaces the state inside the recurrent product (recurrent dropout).
        """
        hidden = state[0] if dropped is None else dropped  # [rows, hidden]
        total = projected + self.multiply(hidden, self.weight_hidden)  # [rows, hidden]
        return (ACTIVATIONS[self.activation](total),)


class GruCell(nn.Module):
    """Gated recurrent unit (Cho et al., 2014): z keeps, 1 - z writes.

        r = sigma(W_r x + U_r h + b_r)
        z = sigma(W_z x + U_z h + b_z)
        n = tanh(W_n x + r * (U_n h) + b_n)         reset "after" the product
        n = tanh(W_n x + U_n (r * h) + b_n)         reset "before" the product
        h' = (1 - z) * n + z * h

    Papers in which z writes (Chung et al., 2014; Bahdanau et al., 2015) are the same cell with
    W_z, U_z and b_z negated.

    Args:
        input_size: values of the input.
        hidden_size: values of the state.
        reset: where the reset gate acts; "after" is what torch and cuDNN compute.
    """

    states = 1
    slopes = (0.25, 0.25, 1.0)

    def __init__(self, input_size: int, hidden_size: int, *, reset: str = "after") -> None:
        super().__init__()
        self.multiply: Multiply = multiply_plainly
        self.hidden_size = hidden_size
        self.reset = reset
        self.kernel: Kernel = torch.gru if reset == "after" else None
        self.compiled: Kind | None = "gru" if reset == "after" else None
        self.weight_input = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_hidden = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(3 * hidden_size))

    def project(self, inputs: Tensor) -> Tensor:
        """Map inputs [..., input] to their share of the gates, [..., 3 * hidden]."""
        return self.multiply(inputs, self.weight_input, self.bias)

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next state from `project`'s output [rows, 3 * hidden] and the state.

        `dropped` replaces the state inside the recurrent products (recurrent dropout).
        """
        hidden = state[0]  # [rows, hidden]
        read = hidden if dropped is None else dropped
        input_r, input_z, input_n = projected.chunk(3, dim=-1)  # each [rows, hidden]
        if self.reset == "after":
            recurrent = self.multiply(read, self.weight_hidden)  # [rows, 3 * hidden]
            if compiled := CompiledCell.of(self.compiled, hidden, projected, recurrent):
                summed_up = compiled.step(projected, recurrent, hidden)[1]  # float32
                return (summed_up.to(self.weight_hidden.dtype),)
            hidden_r, hidden_z, hidden_n = recurrent.chunk(3, dim=-1)
            r, z = torch.sigmoid(input_r + hidden_r), torch.sigmoid(input_z + hidden_z)
            n = torch.tanh(input_n + r * hidden_n)
        else:
            gates, candidate = torch.split(
                self.weight_hidden, [2 * self.hidden_size, self.hidden_size]
            )
            hidden_r, hidden_z = self.multiply(read, gates).chunk(2, dim=-1)
            r, z = torch.sigmoid(input_r + hidden_r), torch.sigmoid(input_z + hidden_z)
            n = torch.tanh(input_n + self.multiply(r * read, candidate))
        return (n + z * (hidden.to(self.bias.dtype) - n),)  # in fp32 under autocast


class LstmCell(nn.Module):
    """Long short-term memory with a forget gate (Gers et al., 2000).

        i, f, o = sigma(W x + U h + b),  g = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g,  h' = o * tanh(c')

    Args:
        input_size: values of the input.
        hidden_size: values of the state.
        forget_bias: first value of the forget gate's bias.
    """

    states = 2
    slopes = (0.25, 0.25, 1.0, 0.25)

    def __init__(self, input_size: int, hidden_size: int, *, forget_bias: float = 1.0) -> None:
        super().__init__()
        self.multiply: Multiply = multiply_plainly
        self.hidden_size = hidden_size
        self.kernel: Kernel = torch.lstm
        self.compiled: Kind | None = "lstm"
        self.weight_input = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hidden = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size].fill_(forget_bias)

    def project(self, inputs: Tensor) -> Tensor:
        """Map inputs [..., input] to their share of the gates, [..., 4 * hidden]."""
        return self.multiply(inputs, self.weight_input, self.bias)

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next (h, c) from `project`'s output [rows, 4 * hidden] and the state.

        `dropped` replaces h inside the recurrent product (recurrent dropout).
        """
        hidden, cell = state  # each [rows, hidden]
        read = hidden if dropped is None else dropped
        recurrent = self.multiply(read, self.weight_hidden)  # [rows, 4 * hidden]
        if compiled := CompiledCell.of(self.compiled, cell, projected, recurrent):
            return compiled.step(projected, recurrent, cell)
        i, f, g, o = (projected + recurrent).chunk(4, dim=-1)
        cell = torch.sigmoid(f) * _widened(cell) + torch.sigmoid(i) * torch.tanh(g)
        return (torch.sigmoid(o) * torch.tanh(cell)).to(projected.dtype), cell


def _widened(values: Tensor) -> Tensor:
    """Return `values` in float32, or in float64 if they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


Cell = RnnCell | GruCell | LstmCell


def zero_state(cell: Cell, rows: int) -> State:
    """Return the all-zero state of `rows` rows."""
    return tuple(cell.weight_hidden.new_zeros(rows, cell.hidden_size) for _ in range(cell.states))
