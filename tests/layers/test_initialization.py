"""Row T18 and the other first values."""

import pytest
import torch

from nmt.layers.cells import SLOPES, GruCell, LstmCell, RnnCell
from nmt.layers.embedding import Embedding
from nmt.layers.initialization import (
    initialize_orthogonal,
    initialize_spectral,
    initialize_uniform,
    initialize_xavier,
    spectral_radius,
)


@pytest.mark.parametrize(
    "cell",
    [RnnCell(5, 8), RnnCell(5, 8, activation="sigmoid"), GruCell(5, 8), LstmCell(5, 8)],
    ids=["tanh", "sigmoid", "gru", "lstm"],
)
def test_spectral_radius_of_every_gate_is_c_over_gamma(cell):
    initialize_spectral(cell.double(), 1.1)

    blocks = cell.weight_hidden.chunk(len(cell.slopes))
    for block, slope in zip(blocks, cell.slopes, strict=True):
        assert spectral_radius(block) == pytest.approx(1.1 / slope, abs=1e-10)


def test_slopes_are_the_largest_derivatives():
    x = torch.linspace(-3, 3, 6001, dtype=torch.float64, requires_grad=True)
    for name, function in [("tanh", torch.tanh), ("relu", torch.relu), ("sigmoid", torch.sigmoid)]:
        (slopes,) = torch.autograd.grad(function(x).sum(), x)
        assert float(slopes.max()) == pytest.approx(SLOPES[name], abs=1e-6)


def test_orthogonal_recurrent_weights_keep_lengths_gate_by_gate():
    cell = LstmCell(5, 8).double()
    initialize_orthogonal(cell)

    for block in cell.weight_hidden.chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(8, dtype=torch.float64))


def test_xavier_bounds_follow_the_size_of_a_gate_not_of_the_stack():
    cell = GruCell(50, 100)
    initialize_xavier(cell)

    bound = (6 / (50 + 100)) ** 0.5
    assert 0.9 * bound < cell.weight_input.detach().abs().max() <= bound


def test_xavier_leaves_embeddings_alone():
    embedding = Embedding(30, 8)
    before = embedding.weight.detach().clone()
    initialize_xavier(embedding)

    assert torch.equal(embedding.weight, before)


def test_uniform_stays_within_its_scale_and_keeps_the_forget_bias():
    cell = LstmCell(5, 8, forget_bias=1.0)
    initialize_uniform(cell, 0.01)

    assert cell.weight_hidden.detach().abs().max() <= 0.01
    assert cell.bias.detach().sum() == 8.0
