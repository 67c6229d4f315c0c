"""A small recurrent network with one answer per sequence, every step of which can be examined."""

import torch
from torch import Tensor, nn

from nmt.layers.cells import Cell, State, zero_state
from nmt.layers.initialization import initialize_sparse


def unroll_states(cell: Cell, inputs: Tensor, state: State | None = None) -> list[State]:
    """Return the state after each position of `inputs` [batch, length, input].

    They are separate tensors of the graph, so that a gradient with respect to each can be had:
    it then includes the way through all later states.

    Args:
        cell: the cell, applied position by position.
        inputs: what it reads, [batch, length, input].
        state: the state before the first position; zeros by default.
    """
    state = zero_state(cell, inputs.shape[0]) if state is None else state
    states = []
    for projected in cell.project(inputs).unbind(dim=1):
        state = cell(projected, state)
        states.append(state)
    return states


class ManyToOne(nn.Module):
    """y = V h_T + c: one output vector for a whole sequence.

    Args:
        cell: the recurrent cell.
        outputs: size of the output: classes, or 1 for a number.
    """

    def __init__(self, cell: Cell, outputs: int) -> None:
        super().__init__()
        self.cell = cell
        self.output = nn.Linear(cell.hidden_size, outputs)
        nn.init.zeros_(self.output.bias)
        nn.init.xavier_uniform_(self.output.weight)

    def states(self, inputs: Tensor) -> list[Tensor]:
        """Return h_1 to h_T, each [batch, hidden], for `inputs` [batch, length, input]."""
        return [state[0] for state in unroll_states(self.cell, inputs)]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the output [batch, outputs] for `inputs` [batch, length, input]."""
        output: Tensor = self.output(self.states(inputs)[-1])
        return output

    def with_states(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output [batch, outputs] and all states [batch, length, hidden]."""
        states = self.states(inputs)
        return self.output(states[-1]), torch.stack(states, dim=1)


def initialize_smart_tanh(network: ManyToOne) -> None:
    """Initialise a network as "smart tanh" of Pascanu et al. (2013).

    Each unit has 15 recurrent inputs, the recurrent weights a spectral radius of 0.95; all other
    weights are normally distributed with a standard deviation of 0.01, and biases are 0.
    """
    initialize_sparse(network, nonzeros=15, radius=0.95)
    for weights in (network.cell.input.weight, network.output.weight):
        nn.init.normal_(weights, std=0.01)
