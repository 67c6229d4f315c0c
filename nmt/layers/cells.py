"""One time step of a recurrent layer: the equations, and nothing else.

A cell maps an input x and a state to the next state. The state is a tuple of tensors, each
[rows, hidden]; the first is the output h. The product with the input, `project`, is a method of
its own because it can be computed for a whole sequence at once; `forward` computes what depends on
the previous step.

All gates share one matrix, block after block in torch's order, so that the weights of a torch
layer can be copied unchanged. One bias is enough: torch's second one is redundant (except in the
GRU, where it adds a bias inside the reset gate that the published equations do not have).

`slopes` are the largest derivatives of the gates' activations, in the order of their blocks
(gamma of Pascanu et al., 2013). `states` is the number of tensors [rows, hidden] from which
`first_state` makes the state before the first step: h, and in an LSTM also c. `recurrent` is the
product with h, or None.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.layers.cell_basics import ACTIVATIONS as ACTIVATIONS
from nmt.layers.cell_basics import SLOPES as SLOPES
from nmt.layers.cell_basics import State as State
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.delays import DelaysCell
from nmt.layers.elementwise import MinGruCell, SsruCell
from nmt.layers.input_attention import InputAttention
from nmt.layers.linear import Linear


class RnnCell(nn.Module):
    """h' = phi(W x + U h + b) (Elman, 1990).

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
        activation: phi: "tanh", "relu", "sigmoid" or "identity".
    """

    states = 1

    def __init__(self, input_size: int, hidden_size: int, *, activation: str = "tanh") -> None:
        super().__init__()
        self.hidden_size, self.activation = hidden_size, activation
        self.slopes = (SLOPES[activation],)
        self.input = Linear(input_size, hidden_size)
        self.recurrent = Linear(hidden_size, hidden_size, bias=False)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x + b of inputs x [..., input], [..., hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next state from `project`'s output [rows, hidden] and the state.

        `dropped` replaces h inside the recurrent product (recurrent dropout).
        """
        hidden = state[0] if dropped is None else dropped  # [rows, hidden]
        return (ACTIVATIONS[self.activation](projected + self.recurrent(hidden)),)


class GruCell(nn.Module):
    """Gated recurrent unit (Cho et al., 2014): z keeps, 1 - z writes.

        r = sigma(W_r x + U_r h + b_r)
        z = sigma(W_z x + U_z h + b_z)
        n = tanh(W_n x + r * (U_n h) + b_n)         reset "after" the product
        n = tanh(W_n x + U_n (r * h) + b_n)         reset "before" the product
        h' = (1 - z) * n + z * h

    Papers in which z writes (Chung et al., 2014; Bahdanau et al., 2015) describe the same cell
    with W_z, U_z and b_z negated.

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
        reset: where the reset gate acts; "after" is what torch and cuDNN compute.
    """

    states = 1
    slopes = (0.25, 0.25, 1.0)

    def __init__(self, input_size: int, hidden_size: int, *, reset: str = "after") -> None:
        super().__init__()
        self.hidden_size, self.reset = hidden_size, reset
        self.input = Linear(input_size, 3 * hidden_size)
        self.recurrent = Linear(hidden_size, 3 * hidden_size, bias=False)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x + b of inputs x [..., input], [..., 3 * hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next state from `project`'s output [rows, 3 * hidden] and the state.

        `dropped` replaces h inside the recurrent products (recurrent dropout).
        """
        hidden = state[0]  # [rows, hidden]
        read = hidden if dropped is None else dropped
        if self.reset == "after":
            return (self.reset_after(projected, self.recurrent(read), hidden),)
        input_r, input_z, input_n = projected.chunk(3, dim=-1)  # each [rows, hidden]
        u_r, u_z, u_n = self.recurrent.weight.chunk(3)  # each [hidden, hidden]
        r, z = torch.sigmoid(input_r + read @ u_r.t()), torch.sigmoid(input_z + read @ u_z.t())
        n = torch.tanh(input_n + (r * read) @ u_n.t())
        return (n + z * (hidden - n),)

    @staticmethod
    def reset_after(projected: Tensor, recurrent: Tensor, hidden: Tensor) -> Tensor:
        """Return the next state [rows, hidden] from W x + b and U h, [rows, 3 * hidden] each."""
        input_r, input_z, input_n = projected.chunk(3, dim=-1)  # each [rows, hidden]
        hidden_r, hidden_z, hidden_n = recurrent.chunk(3, dim=-1)
        r, z = torch.sigmoid(input_r + hidden_r), torch.sigmoid(input_z + hidden_z)
        n = torch.tanh(input_n + r * hidden_n)
        return n + z * (hidden - n)


class LstmCell(nn.Module):
    """Long short-term memory with a forget gate (Gers et al., 2000), or without one.

        i, f, o = sigma(W x + U h + b),  g = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g,  h' = o * tanh(c')

    Without a forget gate, f = 1: a cell state then only ever adds up what is written into it
    (Hochreiter and Schmidhuber, 1997).

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
        forget_bias: initial bias of the forget gate.
        forget_gate: False for f = 1; the blocks of weights are then i, g and o.
    """

    states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        forget_gate: bool = True,
    ) -> None:
        super().__init__()
        self.hidden_size, self.forget_gate = hidden_size, forget_gate
        self.slopes = (0.25, 0.25, 1.0, 0.25) if forget_gate else (0.25, 1.0, 0.25)
        self.input = Linear(input_size, len(self.slopes) * hidden_size)
        self.recurrent = Linear(hidden_size, len(self.slopes) * hidden_size, bias=False)
        if forget_gate:
            with torch.no_grad():
                self.input.bias[hidden_size : 2 * hidden_size].fill_(forget_bias)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x + b of inputs x [..., input], [..., gates * hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next (h, c) from `project`'s output [rows, gates * hidden] and the state.

        `dropped` replaces h inside the recurrent product (recurrent dropout).
        """
        hidden, memory = state  # h and c, each [rows, hidden]
        gates = projected + self.recurrent(hidden if dropped is None else dropped)
        if self.forget_gate:
            i, f, g, o = gates.chunk(4, dim=-1)  # each [rows, hidden]
            memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        else:
            i, g, o = gates.chunk(3, dim=-1)
            memory = memory + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(memory), memory


class GateNorm(nn.LayerNorm):
    """Layer normalisation of each of four gates by itself, [..., 4 * hidden]."""

    def forward(self, gates: Tensor) -> Tensor:
        """Return LN of `gates` [..., 4 * hidden]: mean 0 and variance 1, then gain and shift."""
        each = gates.reshape(*gates.shape[:-1], 4, -1)  # [..., 4, hidden]
        normalized = F.layer_norm(each, each.shape[-1:], eps=self.eps).flatten(-2)
        return normalized * self.weight + self.bias


class LayerNormLstmCell(nn.Module):
    """LSTM with layer normalisation (Ba et al., 2016, eq. 20 to 22).

        a = LN(W x) + LN(U h),  (i, f, g, o) = a
        c' = sigma(f) * c + sigma(i) * tanh(g),  h' = sigma(o) * tanh(LN(c'))

    Each LN subtracts the mean over its vector, divides by the standard deviation, and has a gain
    and a shift of its own; the shift of the first one is the bias b of the paper. W x and U h are
    one vector each for all four gates, or a vector for each gate (as in RNMT+, Chen et al., 2018,
    where LN is of their sum).

    Args:
        input_size: size of the input.
        hidden_size: size of the state.
        forget_bias: initial shift of the forget gate.
        per_gate: whether each gate is normalised by itself.
    """

    states = 2
    slopes = (0.25, 0.25, 1.0, 0.25)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        forget_bias: float = 1.0,
        per_gate: bool = False,
    ) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.input = Linear(input_size, 4 * hidden_size, bias=False)
        self.recurrent = Linear(hidden_size, 4 * hidden_size, bias=False)
        norm = GateNorm if per_gate else nn.LayerNorm
        self.normalize_input = norm(4 * hidden_size)
        self.normalize_recurrent = norm(4 * hidden_size)
        self.normalize_memory = nn.LayerNorm(hidden_size)
        with torch.no_grad():
            self.normalize_input.bias[hidden_size : 2 * hidden_size].fill_(forget_bias)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x of inputs x [..., input], [..., 4 * hidden]."""
        projected: Tensor = self.input(inputs)
        return projected

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next (h, c) from `project`'s output [rows, 4 * hidden] and the state.

        `dropped` replaces h inside the recurrent product (recurrent dropout).
        """
        hidden, memory = state  # h and c, each [rows, hidden]
        recurrent = self.recurrent(hidden if dropped is None else dropped)  # [rows, 4 * hidden]
        gates = self.normalize_input(projected) + self.normalize_recurrent(recurrent)
        i, f, g, o = gates.chunk(4, dim=-1)  # each [rows, hidden]
        memory = torch.sigmoid(f) * memory + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.normalize_memory(memory)), memory


PlainCell = (
    RnnCell
    | GruCell
    | LstmCell
    | LayerNormLstmCell
    | DelaysCell
    | ClockworkCell
    | SsruCell
    | MinGruCell
)


class InputGatedCell(nn.Module):
    """A cell that reads z = g * x, its input through a gate (see `InputAttention`).

    The gate of each step depends on the input of that step and on the state before it. As it sums
    to 1, z is about n times smaller than x, unless it is rescaled.

    Args:
        cell: reads z.
        gate: computes g.
        rescale: z = n * g * x, with n the number of values of x: if the gate is even, the cell
            reads x itself.
    """

    def __init__(self, cell: PlainCell, gate: InputAttention, *, rescale: bool = False) -> None:
        super().__init__()
        self.cell, self.gate, self.rescale = cell, gate, rescale
        self.hidden_size, self.states, self.slopes = cell.hidden_size, cell.states, cell.slopes

    @property
    def input(self) -> Linear:
        """The product with z."""
        return self.cell.input

    @property
    def recurrent(self) -> Linear | None:
        """The product with h, if there is one."""
        return self.cell.recurrent

    def project(self, inputs: Tensor) -> Tensor:
        """Return inputs x [..., input] and their share of the gate's scores, [..., 2 * input]."""
        return torch.cat([inputs, self.gate.project(inputs)], dim=-1)

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """Return the next state from `project`'s output [rows, 2 * input] and the state."""
        inputs, share = projected.chunk(2, dim=-1)  # each [rows, input]
        read = inputs * self.gate(share, state[0])
        if self.rescale:
            read = read * inputs.shape[-1]
        next_state: State = self.cell(self.cell.project(read), state, dropped)
        return next_state


Cell = PlainCell | InputGatedCell


def first_state(cell: Cell, parts: State) -> State:
    """Return the state before the first step, from `parts` [rows, hidden], `cell.states` of them.

    They are h and, in an LSTM, c.
    """
    if isinstance(cell, InputGatedCell):
        return first_state(cell.cell, parts)
    return cell.first_state(parts[0]) if isinstance(cell, DelaysCell | ClockworkCell) else parts


def zero_state(cell: Cell, rows: int) -> State:
    """Return the all-zero state of `rows` rows."""
    weight = next(cell.parameters())
    return first_state(
        cell, tuple(weight.new_zeros(rows, cell.hidden_size) for _ in range(cell.states))
    )
