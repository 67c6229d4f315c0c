"""Groups of units of a clockwork cell move at their own intervals."""

import pytest
import torch
from torch import nn

from nmt.layers.cells import RnnCell, zero_state
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.initialization import initialize_spectral, initialize_uniform, spectral_radius
from nmt.layers.recurrent import unroll_cell, unroll_states

LENGTH = 13
INPUTS = torch.randn(2, LENGTH, 3, dtype=torch.float64)


def make(periods: list[int], hidden_size: int = 6) -> ClockworkCell:
    cell = ClockworkCell(3, hidden_size, periods=periods).double()
    initialize_uniform(cell, 0.5)
    nn.init.uniform_(cell.input.bias, -0.5, 0.5)
    return cell


def test_units_move_at_their_period_and_are_bit_identical_in_between():
    periods = [1, 2, 4]
    cell = make(periods)
    start = torch.randn(2, 6, dtype=torch.float64)
    outputs = unroll_cell(cell, INPUTS, cell.first_state(start))
    before = torch.cat([start.unsqueeze(1), outputs[:, :-1]], dim=1)
    for group, period in zip(cell.groups, periods, strict=True):
        assert group.stop - group.start == 2
        for step in range(LENGTH):
            stays = outputs[:, step, group] == before[:, step, group]
            assert stays.all() if step % period else not stays.any()


def test_a_step_follows_the_equation():
    """Each group reads itself and the slower ones."""
    cell = make([1, 3], hidden_size=4)
    u = cell.recurrent.weight
    h = torch.randn(2, 4, dtype=torch.float64)
    x = INPUTS[:, 0] @ cell.input.weight.T + cell.input.bias
    fast = torch.tanh(x[:, :2] + h @ u[:2].T)
    slow = torch.tanh(x[:, 2:] + h[:, 2:] @ u[2:, 2:].T)
    for step, expected in ((3, slow), (4, h[:, 2:])):
        state = (h, torch.full((2, 1), step))
        found, after = cell(cell.project(INPUTS[:, 0]), state)
        torch.testing.assert_close(found, torch.cat([fast, expected], 1), rtol=0, atol=1e-12)
        assert after.tolist() == [[step + 1]] * 2


@pytest.mark.parametrize("periods", [[1], [1, 1]])
def test_with_periods_of_1_it_is_an_elman_network(periods):
    cell, elman = make(periods), RnnCell(3, 6).double()
    elman.load_state_dict(cell.state_dict())
    expected = unroll_cell(elman, INPUTS, zero_state(elman, 2))
    assert torch.equal(unroll_cell(cell, INPUTS, zero_state(cell, 2)), expected)


def test_with_periods_of_1_two_groups_are_two_layers_a_step_apart():
    """The second group is the lower layer; the first one is the upper one, and reads it alone."""
    cell = make([1, 1])
    nn.init.zeros_(cell.input.weight[:3])
    nn.init.zeros_(cell.recurrent.weight[3:, :3])  # equal periods would read one another
    u, b = cell.recurrent.weight, cell.input.bias
    lower, upper = RnnCell(3, 3).double(), RnnCell(3, 3).double()
    with torch.no_grad():
        for layer, (own, read) in ((lower, (3, cell.input.weight[3:])), (upper, (0, u[:3, 3:]))):
            layer.input.weight.copy_(read)
            layer.input.bias.copy_(b[own : own + 3])
            layer.recurrent.weight.copy_(u[own : own + 3, own : own + 3])
    below = unroll_cell(lower, INPUTS, zero_state(lower, 2))
    earlier = nn.functional.pad(below[:, :-1], (0, 0, 1, 0))
    above = unroll_cell(upper, earlier, zero_state(upper, 2))
    found = unroll_cell(cell, INPUTS, zero_state(cell, 2))
    torch.testing.assert_close(found, torch.cat([above, below], dim=2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("split", range(1, 8))
def test_a_sequence_can_be_continued_in_the_middle_of_a_period(split):
    """The clock is part of the state, so nothing depends on where a sequence is cut."""
    cell = make([1, 3, 4])
    whole = unroll_states(cell, INPUTS, zero_state(cell, 2))
    first = unroll_states(cell, INPUTS[:, :split], zero_state(cell, 2))
    rest = unroll_states(cell, INPUTS[:, split:], first[-1])
    for found, expected in zip([*first, *rest], whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_slow_units_never_read_fast_ones():
    cell = make([1, 2], hidden_size=4)
    start = torch.randn(1, 4, dtype=torch.float64, requires_grad=True)
    slow = unroll_cell(cell, INPUTS[:1], cell.first_state(start))[:, -1, 2:]
    (gradient,) = torch.autograd.grad(slow.sum(), [start], retain_graph=True)
    assert (gradient[:, :2] == 0).all()
    assert (gradient[:, 2:] != 0).all()
    (weights,) = torch.autograd.grad(slow.sum(), cell.recurrent.weight)
    assert (weights[2:, :2] == 0).all()


def test_the_gradient_of_a_slow_unit_passes_fewer_steps():
    """Over 12 steps, a unit with period 4 moves 3 times: in a linear network, w to the third."""
    cell = ClockworkCell(1, 2, periods=[1, 4], activation="identity").double()
    with torch.no_grad():
        cell.recurrent.weight.copy_(0.5 * torch.eye(2))
    start = torch.ones(1, 2, dtype=torch.float64)
    inputs = torch.zeros(1, 12, 1, dtype=torch.float64)
    last = unroll_cell(cell, inputs, cell.first_state(start))[0, -1]
    assert last.tolist() == [0.5**12, 0.5**3]


def test_units_that_do_not_divide_evenly_are_all_used():
    assert make([1, 2, 4], hidden_size=5).unit_periods.tolist() == [1, 2, 2, 4, 4]


def test_spectral_initialization_gives_the_matrix_that_is_used_its_radius():
    """It is block-triangular, so its eigenvalues are those of its groups."""
    cell = ClockworkCell(5, 12, periods=[1, 2, 4]).double()
    initialize_spectral(cell, 1.1)
    used = cell.recurrent.weight * cell.is_read
    assert spectral_radius(used) == pytest.approx(1.1, abs=1e-10)
    for group in cell.groups:
        assert spectral_radius(used[group, group]) == pytest.approx(1.1, abs=1e-10)
