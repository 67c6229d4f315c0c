"""Backpropagation through chunks: the state goes on, the gradient stops.

Truncated backpropagation through time (Williams and Peng, 1990) cuts a sequence into chunks of k
steps. Each starts from the last state of the one before, taken as a constant.
"""

import torch
from torch import Tensor

from nmt.laboratory.network import unroll_states
from nmt.layers.cells import Cell, State, zero_state


def unroll_in_chunks(cell: Cell, inputs: Tensor, steps: int) -> list[State]:
    """Return the state after each position; gradients stop at the start of each chunk.

    The values equal those of `unroll_states`.

    Args:
        cell: the cell.
        inputs: what it reads, [batch, length, input].
        steps: k, the length of a chunk; 1 lets no gradient pass from step to step.
    """
    state = zero_state(cell, inputs.shape[0])
    states: list[State] = []
    for chunk in torch.split(inputs, steps, dim=1):
        states += unroll_states(cell, chunk, tuple(part.detach() for part in state))
        state = states[-1]
    return states
