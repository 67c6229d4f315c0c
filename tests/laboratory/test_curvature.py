"""Products with curvature equal the matrices, and Gauss-Newton is the Fisher matrix."""

import pytest
import torch
from torch import Tensor
from torch.func import grad, jacrev
from torch.nn.functional import cross_entropy

from nmt.laboratory.curvature import (
    Function,
    empirical_fisher_matrix,
    fisher_matrix,
    gauss_newton_matrix,
    gauss_newton_product,
    hessian_product,
)
from nmt.laboratory.network import ManyToOne
from nmt.laboratory.parameters import as_function, parameter_vector
from nmt.layers.cells import Cell, GruCell, RnnCell
from nmt.layers.initialization import initialize_uniform


class Example:
    """A network on four sequences of three classes, as functions of its parameters."""

    def __init__(self, cell: Cell) -> None:
        network = ManyToOne(cell, 3).double()
        initialize_uniform(network, 0.8)
        self.point = parameter_vector(network)
        self.inputs = torch.randn(4, 5, 2, dtype=torch.float64)
        self.labels = torch.tensor([0, 2, 1, 0])
        run = as_function(network, lambda network, inputs: network(inputs))
        self.outputs: Function = lambda theta: run(theta, self.inputs)
        self.vector = torch.randn_like(self.point)

    def loss(self, outputs: Tensor) -> Tensor:
        return cross_entropy(outputs, self.labels)

    def value(self, theta: Tensor) -> Tensor:
        return self.loss(self.outputs(theta))


@pytest.fixture(params=[RnnCell, GruCell])
def example(request) -> Example:
    return Example(request.param(2, 3))


def test_hessian_products_equal_central_differences_of_the_gradient(example):
    h = 1e-5
    forward, backward = (grad(example.value)(example.point + s * example.vector) for s in (h, -h))
    product = hessian_product(example.value, example.point, example.vector)

    torch.testing.assert_close(product, (forward - backward) / (2 * h), rtol=0, atol=1e-8)


def test_hessian_products_equal_the_hessian(example):
    expected = jacrev(jacrev(example.value))(example.point) @ example.vector
    product = hessian_product(example.value, example.point, example.vector)

    torch.testing.assert_close(product, expected, rtol=0, atol=1e-12)


def test_gauss_newton_products_equal_the_matrix(example):
    matrix = gauss_newton_matrix(example.outputs, example.loss, example.point)
    product = gauss_newton_product(example.outputs, example.loss, example.point, example.vector)

    torch.testing.assert_close(product, matrix @ example.vector, rtol=0, atol=1e-14)


def test_the_gauss_newton_matrix_is_positive_semidefinite_where_the_hessian_is_not(example):
    values = torch.linalg.eigvalsh(
        gauss_newton_matrix(example.outputs, example.loss, example.point)
    )
    hessians = torch.linalg.eigvalsh(jacrev(jacrev(example.value))(example.point))

    assert values.min() > -1e-15
    assert hessians.min() < -1e-3


def test_gauss_newton_is_the_fisher_matrix_of_labels_drawn_from_the_model(example):
    matrix = gauss_newton_matrix(example.outputs, example.loss, example.point)
    fisher = fisher_matrix(example.outputs, example.point)

    torch.testing.assert_close(matrix, fisher, rtol=0, atol=1e-15)


def test_outer_products_of_the_datas_gradients_are_another_matrix(example):
    matrix = gauss_newton_matrix(example.outputs, example.loss, example.point)
    empirical = empirical_fisher_matrix(example.outputs, example.labels, example.point)

    assert (empirical - matrix).norm() / matrix.norm() > 0.3
