"""The regulariser of back-propagated gradients has its published value and gradient."""

import pytest
import torch
from torch import Tensor

from nmt.laboratory.network import unroll_states
from nmt.laboratory.omega import SLOPE_AT_OUTPUT, omega
from nmt.layers.cells import ACTIVATIONS, RnnCell


def worked_example() -> tuple[RnnCell, list[Tensor], tuple[Tensor, ...]]:
    """Two steps of two units that can be followed by hand: L = |h_2 - (1, 1)|^2 / 2."""
    cell = RnnCell(2, 2).double()
    with torch.no_grad():
        cell.recurrent.weight.copy_(torch.tensor([[0.5, -0.2], [0.1, 0.4]], dtype=torch.float64))
        cell.input.weight.copy_(torch.eye(2))
    start = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    inputs = torch.eye(2, dtype=torch.float64).unsqueeze(0)
    states = [state[0] for state in unroll_states(cell, inputs, (start,))]
    loss = (states[-1] - 1).square().sum() / 2
    return cell, states, torch.autograd.grad(loss, states)


PINNED = {
    "ratio": (0.968356961998, [[-1.176465, 0.609660], [0.103555, -0.281151]]),
    "squared": (1.594604864316, [[-1.203617, 0.463361], [-0.050457, -0.111399]]),
}


@pytest.mark.parametrize("form", ["ratio", "squared"])
def test_omega_and_its_gradient_are_those_of_the_worked_example(form):
    cell, states, grads = worked_example()
    value = omega(cell, states, grads, form=form)
    (gradient,) = torch.autograd.grad(value, cell.recurrent.weight)

    expected, expected_gradient = PINNED[form]
    assert value.item() == pytest.approx(expected, abs=1e-12)
    expected_gradient = torch.tensor(expected_gradient, dtype=torch.float64)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=5e-7)


@pytest.mark.parametrize("form", ["ratio", "squared"])
def test_the_gradient_of_omega_is_its_closed_form(form):
    """With u = d * phi'(z), n = |u W| and m = |d|, it is a sum of (...) u^T u W over the steps."""
    cell, states, grads = worked_example()
    weight = cell.recurrent.weight.detach()
    expected = torch.zeros_like(weight)
    for state, d in zip(states, grads, strict=True):
        u = d.detach() * (1 - state.detach().square())  # [1, hidden]
        n, m = (u @ weight).norm(), d.norm()
        ratio = 2 * (n / m - 1) / (m * n) if form == "ratio" else 4 * ((n / m) ** 2 - 1) / m**2
        expected += ratio * u.T @ u @ weight
    value = omega(cell, states, grads, form=form)

    (gradient,) = torch.autograd.grad(value, cell.recurrent.weight)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


def test_omega_is_differentiated_by_the_recurrent_weights_alone():
    """Were the slopes phi' to move with W, the first entry of the gradient would be -0.740308."""
    cell, states, grads = worked_example()
    value = omega(cell, states, grads)

    assert torch.autograd.grad(value, cell.input.weight, allow_unused=True) == (None,)


def test_omega_averaged_over_steps_is_its_sum_over_their_number():
    cell, states, grads = worked_example()
    total = omega(cell, states, grads, form="squared")
    mean = omega(cell, states, grads, form="squared", average=True)

    torch.testing.assert_close(mean, total / 2, rtol=0, atol=1e-12)


def test_omega_of_a_batch_is_the_mean_over_its_sequences():
    cell, states, grads = worked_example()
    doubled = omega(cell, [h.repeat(2, 1) for h in states], [3 * d.repeat(2, 1) for d in grads])

    torch.testing.assert_close(doubled, omega(cell, states, grads), rtol=0, atol=1e-12)


def test_steps_that_no_gradient_reaches_are_left_out():
    cell, states, grads = worked_example()
    last = omega(cell, states[1:], grads[1:], average=True)
    with_dead = omega(cell, states, [torch.zeros_like(grads[0]), grads[1]], average=True)

    torch.testing.assert_close(with_dead, last, rtol=0, atol=1e-12)
    assert omega(cell, states, [torch.zeros_like(d) for d in grads]).item() == 0.0


def test_omega_vanishes_where_gradients_keep_their_length():
    """An orthogonal matrix and an identity activation turn gradients, but do not shorten them."""
    cell = RnnCell(3, 4, activation="identity").double()
    torch.nn.init.orthogonal_(cell.recurrent.weight)
    torch.nn.init.normal_(cell.input.weight)
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    states = [state[0] for state in unroll_states(cell, inputs)]
    grads = torch.autograd.grad(states[-1].square().sum(), states)

    assert omega(cell, states, grads).item() == pytest.approx(0.0, abs=1e-24)


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "identity"])
def test_slopes_are_computed_from_the_output(name):
    z = torch.linspace(-2, 2, 8, dtype=torch.float64, requires_grad=True)
    h = ACTIVATIONS[name](z)
    (slopes,) = torch.autograd.grad(h.sum(), z)

    torch.testing.assert_close(SLOPE_AT_OUTPUT[name](h.detach()), slopes, rtol=0, atol=1e-12)
