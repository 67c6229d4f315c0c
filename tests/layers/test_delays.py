"""A cell with delays reads states of several earlier steps."""

import math

import pytest
import torch
from torch import nn

from nmt.layers.cells import RnnCell, zero_state
from nmt.layers.delays import DelaysCell
from nmt.layers.initialization import initialize_uniform, recurrent_blocks
from nmt.layers.recurrent import RecurrentLayer, unroll_cell


def random_inputs(length: int) -> torch.Tensor:
    return torch.randn(2, length, 3, dtype=torch.float64)


def test_each_step_follows_the_equation():
    """h_t = tanh(U x_t + W_1 h_{t-1} + W_3 h_{t-3} + b), from zeros."""
    cell = DelaysCell(3, 4, delays=[1, 3]).double()
    initialize_uniform(cell, 0.5)
    nn.init.uniform_(cell.input.bias)
    inputs, states = random_inputs(6), [torch.zeros(2, 4, dtype=torch.float64)] * 3
    w_1, w_3 = cell.recurrent.weight.chunk(2, dim=1)
    for position in range(6):
        x = inputs[:, position] @ cell.input.weight.T + cell.input.bias
        states.append(torch.tanh(x + states[-1] @ w_1.T + states[-3] @ w_3.T))

    found = unroll_cell(cell, inputs, zero_state(cell, 2))
    torch.testing.assert_close(found, torch.stack(states[3:], dim=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_single_delay_of_1_is_an_elman_network(activation):
    delays = DelaysCell(3, 4, delays=[1], activation=activation).double()
    elman = RnnCell(3, 4, activation=activation).double()
    initialize_uniform(delays, 0.5)
    elman.load_state_dict(delays.state_dict())
    inputs = random_inputs(6)
    state = (torch.randn(2, 4, dtype=torch.float64),)
    assert torch.equal(unroll_cell(delays, inputs, state), unroll_cell(elman, inputs, state))


@pytest.mark.parametrize(
    ("delays", "steps", "shortest"),
    [([1], 6, 6), ([1, 4], 8, 2), ([1, 2, 3, 4], 10, 3), ([2, 5], 15, 3), ([1, 7], 7, 1)],
)
def test_the_shortest_path_of_a_gradient_has_t_over_the_longest_delay_steps(
    delays, steps, shortest
):
    """In a linear network whose weights are all w, that path is the lowest power of w."""
    cell = DelaysCell(1, 1, delays=delays, activation="identity").double()
    nn.init.ones_(cell.input.weight)
    gradients = []
    for w in (1e-4, 1e-6):
        nn.init.constant_(cell.recurrent.weight, w)
        inputs = torch.zeros(1, steps + 1, 1, dtype=torch.float64, requires_grad=True)
        last = unroll_cell(cell, inputs, zero_state(cell, 1))[:, -1]
        gradients.append(torch.autograd.grad(last.sum(), inputs)[0][0, 0, 0].item())
    power = math.log(gradients[0] / gradients[1]) / math.log(1e-4 / 1e-6)
    assert shortest == math.ceil(steps / max(delays))
    assert power == pytest.approx(shortest, abs=0.01)


def test_before_the_first_step_all_former_states_are_the_first_one():
    layer = RecurrentLayer(lambda: DelaysCell(3, 4, delays=[1, 3]), learned_state=True).double()
    nn.init.uniform_(layer.initial_state)
    first = layer.initial_state[0, 0].expand(2, -1)
    assert all(torch.equal(part, first) for part in layer.start(2))
    assert len(layer.start(2)) == 3


def test_each_delay_has_a_block_of_weights_of_its_own():
    cell = DelaysCell(3, 4, delays=[1, 2, 5])
    nn.init.uniform_(cell.recurrent.weight)
    blocks = [block for block, _ in recurrent_blocks(cell)]
    assert [block.shape for block in blocks] == [(4, 4)] * 3
    assert torch.equal(torch.cat(blocks, dim=1), cell.recurrent.weight)
