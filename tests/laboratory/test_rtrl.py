"""Gradients carried forward equal backpropagated ones, exactly or in the mean over all signs."""

import itertools

import pytest
import torch
from torch import Tensor

from nmt.laboratory.estimators import RankOne, Split, nobacktrack, uoro
from nmt.laboratory.network import unroll_states
from nmt.laboratory.parameters import flatten, parameter_vector, set_parameters
from nmt.laboratory.rtrl import Rtrl, Truncated, differentiate_step
from nmt.layers.cells import Cell, GruCell, LayerNormLstmCell, LstmCell, RnnCell, zero_state
from nmt.layers.clockwork import ClockworkCell
from nmt.layers.delays import DelaysCell
from nmt.layers.initialization import initialize_uniform


def make(cell: Cell) -> Cell:
    cell = cell.double()
    initialize_uniform(cell, 0.8)
    return cell


def make_sequence(rows: int, length: int) -> tuple[Tensor, Tensor]:
    """Return inputs [rows, length, 3] and target outputs [rows, length, 2]."""
    inputs, targets = torch.randn(rows, length, 3), torch.randn(rows, length, 2)
    return inputs.double(), targets.double()


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum() / 2


def backpropagated(cell: Cell, inputs: Tensor, targets: Tensor, *, each: bool = True) -> Tensor:
    """Return the gradient of the loss of all steps, or of the last one alone."""
    states = unroll_states(cell, inputs)
    kept = range(len(states)) if each else [len(states) - 1]
    total = torch.stack([losses(states[t][0][:, :2], targets[:, t]) for t in kept]).sum()
    return flatten(torch.autograd.grad(total, list(cell.parameters())))


def forward_gradient(cell, rule, inputs, targets, *, signs=None, each=True) -> Tensor:
    """Return each row's gradient [rows, parameters], summed up while a rule follows it."""
    state = torch.cat(zero_state(cell, inputs.shape[0]), dim=-1)
    total = torch.zeros(len(inputs), len(parameter_vector(cell)), dtype=torch.float64)
    for t in range(inputs.shape[1]):
        step = differentiate_step(cell, inputs[:, t], state)
        state = step.state
        rule.advance(step) if signs is None else rule.advance(step, signs[:, t])
        if each or t == inputs.shape[1] - 1:
            grad_state = torch.zeros_like(state)
            grad_state[:, :2] = state[:, :2] - targets[:, t]
            total += rule.gradient(grad_state)
    return total


CELLS = [
    RnnCell(3, 4),
    RnnCell(3, 4, activation="sigmoid"),
    GruCell(3, 4),
    LstmCell(3, 4),
    LayerNormLstmCell(3, 4),
    LayerNormLstmCell(3, 4, per_gate=True),
    DelaysCell(3, 4, delays=(1, 3)),
    ClockworkCell(3, 4, periods=(1, 2)),
]
IDS = ["tanh", "sigmoid", "gru", "lstm", "lnlstm", "lnlstm by gate", "delays", "clockwork"]


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_real_time_recurrent_learning_equals_backpropagation(cell):
    make(cell)
    inputs, targets = make_sequence(2, 6)
    forward = forward_gradient(cell, Rtrl(), inputs, targets).sum(dim=0)

    torch.testing.assert_close(forward, backpropagated(cell, inputs, targets), rtol=0, atol=1e-12)


def test_derivatives_of_an_elman_step_are_those_of_its_equation():
    """J = D(phi') W and row i of B is phi'_i times (x, 1, h) at the weights of unit i."""
    cell = make(RnnCell(3, 4))
    x, h = torch.randn(1, 3, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64)
    step = differentiate_step(cell, x, h)
    slopes = 1 - step.state[0].square()
    weights = torch.einsum("i,ij,k->ijk", slopes, torch.eye(4, dtype=torch.float64), x[0])
    recurrent = torch.einsum("i,ij,k->ijk", slopes, torch.eye(4, dtype=torch.float64), h[0])
    parts = [weights.flatten(1), torch.diag(slopes), recurrent.flatten(1)]

    j = torch.diag(slopes) @ cell.recurrent.weight
    torch.testing.assert_close(step.by_state[0], j.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(step.by_parameters[0], torch.cat(parts, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3])
def test_truncation_leaves_out_what_lies_further_back(steps):
    """The loss of the last step, propagated through the latest steps only."""
    cell = make(LstmCell(3, 4))
    inputs, targets = make_sequence(2, 6)
    before = unroll_states(cell, inputs[:, :-steps])[-1]
    cut = tuple(part.detach() for part in before)
    last = unroll_states(cell, inputs[:, -steps:], cut)[-1][0]
    loss = losses(last[:, :2], targets[:, -1])
    expected = flatten(torch.autograd.grad(loss, list(cell.parameters())))

    truncated = forward_gradient(cell, Truncated(steps), inputs, targets, each=False)
    torch.testing.assert_close(truncated.sum(dim=0), expected, rtol=0, atol=1e-12)


def test_truncation_beyond_the_start_changes_nothing():
    cell = make(GruCell(3, 4))
    inputs, targets = make_sequence(2, 6)
    truncated = forward_gradient(cell, Truncated(6), inputs, targets).sum(dim=0)

    torch.testing.assert_close(truncated, backpropagated(cell, inputs, targets), rtol=0, atol=1e-12)


def every_path(units: int, length: int) -> Tensor:
    """Return all signs that can be drawn, [2^(units * length), length, units]."""
    paths = list(itertools.product((-1.0, 1.0), repeat=units * length))
    return torch.tensor(paths, dtype=torch.float64).reshape(-1, length, units)


def every_estimate(split: Split, seed: int) -> tuple[Tensor, Tensor]:
    """Return the estimates on all 256 paths of two units in four steps, and the exact gradient."""
    torch.manual_seed(seed)
    cell = make(RnnCell(3, 2))
    inputs, targets = make_sequence(1, 4)
    signs = every_path(2, 4)
    all_inputs, all_targets = inputs.expand(256, -1, -1), targets.expand(256, -1, -1)
    estimates = forward_gradient(cell, RankOne(split), all_inputs, all_targets, signs=signs)
    return estimates, backpropagated(cell, inputs, targets)


@pytest.mark.parametrize("split", [nobacktrack, uoro])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mean_over_all_signs_is_the_exact_gradient(split, seed):
    estimates, exact = every_estimate(split, seed)

    torch.testing.assert_close(estimates.mean(dim=0), exact, rtol=0, atol=1e-12)


def relative_spread(split: Split, seed: int) -> float:
    """Return the standard deviation of the estimate over all signs, relative to its mean."""
    estimates, exact = every_estimate(split, seed)
    return float((estimates - exact).square().sum(dim=1).mean().sqrt() / exact.norm())


def test_estimates_are_noisier_than_the_gradient_is_long_and_one_scale_is_noisier_than_many():
    """Over 20 random networks: about 1.4 for a scale of each unit, 1.65 for a single one."""
    several, single = (
        sum(relative_spread(split, seed) for seed in range(20)) / 20
        for split in (nobacktrack, uoro)
    )

    assert 1.2 < several < single < 1.9


@pytest.mark.parametrize("split", [nobacktrack, uoro])
def test_estimates_of_a_cell_that_nothing_moves_are_finite(split):
    """With x = 0, h = 0 and no bias all norms are 0, and their quotients would be 0 / 0."""
    step = differentiate_step(
        make(RnnCell(3, 4)), torch.zeros(1, 3).double(), torch.zeros(1, 4).double()
    )
    still = type(step)(step.state, 0 * step.by_state, 0 * step.by_parameters)
    rule = RankOne(split, torch.Generator().manual_seed(1))
    for _ in range(3):
        rule.advance(still)

    assert (rule.gradient(torch.ones(1, 4).double()) == 0).all()


@pytest.mark.parametrize("rule", [Rtrl(), Truncated(2), RankOne(uoro)])
def test_a_gradient_before_the_first_step_is_refused(rule):
    with pytest.raises(RuntimeError, match="call `advance` first"):
        rule.gradient(torch.ones(1, 4))


def test_parameters_survive_the_way_through_a_vector():
    cell, other = make(GruCell(3, 4)), make(GruCell(3, 4))
    set_parameters(other, parameter_vector(cell))

    for one, copy in zip(cell.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, copy)
