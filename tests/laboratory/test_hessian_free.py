"""Conjugate gradients solve, the quadratic is minimised at once, and long lags are learned."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nmt.laboratory.conjugate_gradients import conjugate_gradients
from nmt.laboratory.curvature import gauss_newton_matrix
from nmt.laboratory.hessian_free import Examples, HessianFree, adapted_damping
from nmt.laboratory.network import ManyToOne
from nmt.laboratory.parameters import as_function, parameter_vector, set_parameters
from nmt.laboratory.tasks import TemporalOrder
from nmt.laboratory.training import error_of
from nmt.layers.cells import RnnCell
from nmt.layers.initialization import initialize_sparse, initialize_uniform


def positive_definite(size: int) -> Tensor:
    root = torch.randn(size, size, dtype=torch.float64)
    return root @ root.T + torch.eye(size, dtype=torch.float64)


def test_conjugate_gradients_equal_the_direct_solution():
    matrix, right = positive_definite(12), torch.randn(12, dtype=torch.float64)
    solution = conjugate_gradients(lambda p: matrix @ p, right, progress=0.0)

    expected = torch.linalg.solve(matrix, right)
    torch.testing.assert_close(solution.point, expected, rtol=0, atol=1e-12)
    assert solution.products < 30
    assert solution.value == pytest.approx(float(-right @ expected / 2), abs=1e-12)


def test_conjugate_gradients_from_the_solution_need_no_step():
    matrix, expected = positive_definite(6), torch.randn(6, dtype=torch.float64)
    solution = conjugate_gradients(lambda p: matrix @ p, matrix @ expected, start=expected)

    assert torch.equal(solution.point, expected)
    assert solution.products == 1  # its residual


def test_conjugate_gradients_end_where_they_hardly_make_progress():
    matrix = torch.diag(torch.logspace(0, 6, 200, dtype=torch.float64))
    right = torch.ones(200, dtype=torch.float64)
    early = conjugate_gradients(lambda p: matrix @ p, right, progress=1e-2)

    full = conjugate_gradients(lambda p: matrix @ p, right, steps=2000, progress=0.0)
    assert early.products < full.products / 2
    assert full.value < early.value < 0.3 * full.value


def linear(theta: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """A linear model: its squared error is a quadratic, and its Gauss-Newton matrix the Hessian."""
    outputs = inputs @ theta
    return outputs, outputs


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


def test_a_quadratic_is_minimised_in_one_step():
    inputs, targets = torch.randn(30, 5).double(), torch.randn(30).double()
    optimizer = HessianFree(linear, squared, damping=0.0)
    theta, outcome = optimizer.step(torch.randn(5).double(), Examples(inputs, targets))

    expected = torch.linalg.lstsq(inputs, targets.unsqueeze(1)).solution.squeeze(1)
    torch.testing.assert_close(theta, expected, rtol=0, atol=1e-8)
    assert outcome.ratio == pytest.approx(1.0, abs=1e-8)


def test_a_minimum_is_left_alone():
    inputs = torch.eye(3).double()
    theta = torch.ones(3).double()
    after, outcome = HessianFree(linear, squared).step(theta, Examples(inputs, inputs @ theta))

    assert torch.equal(after, theta)
    assert outcome.after == outcome.before == 0.0


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.9, 2.0),
        (0.75, 3.0),
        (0.5, 3.0),
        (0.25, 3.0),
        (0.2, 4.5),
        (-1.0, 4.5),
        (float("nan"), 4.5),
    ],
)
def test_damping_follows_how_far_the_quadratic_could_be_trusted(ratio, expected):
    assert adapted_damping(3.0, ratio) == pytest.approx(expected)


def recurrent_problem() -> tuple[HessianFree, Tensor, Examples]:
    network = ManyToOne(RnnCell(2, 4), 3).double()
    initialize_uniform(network, 0.5)
    run = as_function(network, ManyToOne.with_states)
    optimizer = HessianFree(run, cross_entropy, damping=0.7, structural=0.3)
    batch = Examples(torch.randn(6, 5, 2).double(), torch.tensor([0, 1, 2, 0, 1, 2]))
    return optimizer, parameter_vector(network), batch


def test_structural_damping_adds_the_gauss_newton_matrix_of_the_states():
    """G + lambda I + lambda mu S, with S the mean over rows of what moves their states."""
    optimizer, theta, batch = recurrent_problem()
    vector = torch.randn_like(theta)
    outputs = gauss_newton_matrix(
        lambda point: optimizer.network(point, batch.inputs)[0],
        lambda y: cross_entropy(y, batch.targets),
        theta,
    )
    states = gauss_newton_matrix(
        lambda point: optimizer.network(point, batch.inputs)[1],
        lambda h: h.square().sum() / 2 / 6,
        theta,
    )
    expected = (outputs + 0.7 * torch.eye(len(theta)).double() + 0.7 * 0.3 * states) @ vector

    product = optimizer.curvature_product(theta, batch)(vector)
    torch.testing.assert_close(product, expected, rtol=0, atol=1e-12)


def test_no_step_raises_the_loss():
    optimizer, theta, batch = recurrent_problem()
    for _ in range(5):
        theta, outcome = optimizer.step(theta, batch)
        assert outcome.after < outcome.before
        assert float(optimizer.value(theta, batch)) == pytest.approx(outcome.after)


def solved_after(length: int, rows: int, steps: int, seed: int) -> int | None:
    """Return the number of steps after which temporal order has less than 1 % errors."""
    task, generator = TemporalOrder(length), torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network = ManyToOne(RnnCell(6, 50), 4)
    initialize_sparse(network, nonzeros=15, radius=0.95)
    run = as_function(network, ManyToOne.with_states)
    optimizer = HessianFree(run, cross_entropy, structural=0.1, steps=40)
    theta = parameter_vector(network)
    for step in range(1, steps + 1):
        examples = task.draw(rows, generator)
        few = Examples(examples.inputs[: rows // 3], examples.targets[: rows // 3])
        theta, _ = optimizer.step(theta, Examples(examples.inputs, examples.targets), few)
        set_parameters(network, theta)
        if error_of(network, task, generator) < 0.01:
            return step
    return None


def test_temporal_order_is_learned_in_a_few_steps():
    assert solved_after(10, rows=200, steps=8, seed=1) is not None


@pytest.mark.slow
def test_temporal_order_of_thirty_symbols_is_learned_with_every_seed():
    assert all(solved_after(30, rows=1000, steps=40, seed=seed) for seed in (1, 2, 3))
