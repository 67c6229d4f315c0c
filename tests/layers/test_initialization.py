"""Initial values of weights: spectral, sparse, orthogonal, xavier and uniform."""

import pytest
import torch
from torch import nn

from nmt.layers import initialization
from nmt.layers.cells import SLOPES, Cell, GruCell, LstmCell, RnnCell
from nmt.layers.embedding import Embedding
from nmt.layers.initialization import (
    initialize_orthogonal,
    initialize_sparse,
    initialize_spectral,
    initialize_uniform,
    initialize_xavier,
    recurrent_blocks,
    spectral_radius,
)


@pytest.mark.parametrize(
    "cell",
    [RnnCell(5, 8), RnnCell(5, 8, activation="sigmoid"), GruCell(5, 8), LstmCell(5, 8)],
    ids=["tanh", "sigmoid", "gru", "lstm"],
)
def test_spectral_radius_of_every_gate_is_c_over_gamma(cell):
    initialize_spectral(cell.double(), 1.1)

    blocks = cell.recurrent.weight.chunk(len(cell.slopes))
    for block, slope in zip(blocks, cell.slopes, strict=True):
        assert spectral_radius(block) == pytest.approx(1.1 / slope, abs=1e-10)


@pytest.mark.parametrize(
    "cell",
    [RnnCell(5, 40), RnnCell(5, 40, activation="sigmoid"), GruCell(5, 40), LstmCell(5, 40)],
    ids=["tanh", "sigmoid", "gru", "lstm"],
)
def test_sparse_units_have_15_recurrent_inputs_and_every_gate_the_same_radius(cell):
    # In float32, one draw in 2 ** 24 is an exact zero: rare, but possible.
    initialize_sparse(cell.double(), nonzeros=15, radius=0.95)

    assert ((cell.recurrent.weight != 0).sum(dim=1) == 15).all()
    for block in cell.recurrent.weight.chunk(len(cell.slopes)):
        assert spectral_radius(block) == pytest.approx(0.95, abs=1e-4)


@pytest.mark.parametrize("hidden_size", [1, 8, 15])
def test_sparse_rows_no_longer_than_their_nonzeros_are_full(hidden_size):
    cell = GruCell(5, hidden_size).double()
    initialize_sparse(cell, nonzeros=15, radius=0.95)

    assert (cell.recurrent.weight != 0).all()
    for block, _ in recurrent_blocks(cell):
        assert spectral_radius(block) == pytest.approx(0.95, abs=1e-4)


def test_one_recurrent_input_per_unit_is_enough_for_a_radius():
    # Following each unit's only input must end in a cycle, so some eigenvalue is not 0.
    cell = RnnCell(5, 8)
    for _ in range(20):
        initialize_sparse(cell, nonzeros=1, radius=0.95)
        assert spectral_radius(cell.recurrent.weight) == pytest.approx(0.95, abs=1e-4)


def test_sparse_weights_depend_on_the_seed_alone():
    cells = [LstmCell(5, 40) for _ in range(3)]
    for cell, seed in zip(cells, [1, 1, 2], strict=True):
        torch.manual_seed(seed)
        initialize_sparse(cell, nonzeros=15, radius=0.95)

    assert torch.equal(cells[0].recurrent.weight, cells[1].recurrent.weight)
    assert not torch.equal(cells[0].recurrent.weight != 0, cells[2].recurrent.weight != 0)


def test_sparse_keeps_the_forget_bias():
    cell = LstmCell(5, 40, forget_bias=1.0)
    before = cell.input.bias.detach().clone()
    initialize_sparse(cell, nonzeros=15, radius=0.95)

    assert torch.equal(cell.input.bias, before)


def test_slopes_are_the_largest_derivatives():
    x = torch.linspace(-3, 3, 6001, dtype=torch.float64, requires_grad=True)
    for name, function in [("tanh", torch.tanh), ("relu", torch.relu), ("sigmoid", torch.sigmoid)]:
        (slopes,) = torch.autograd.grad(function(x).sum(), x)
        assert float(slopes.max()) == pytest.approx(SLOPES[name], abs=1e-6)


def test_orthogonal_recurrent_weights_keep_lengths_gate_by_gate():
    cell = LstmCell(5, 8).double()
    initialize_orthogonal(cell)

    for block in cell.recurrent.weight.chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(8, dtype=torch.float64))


class MguCell(nn.Module):
    """The attributes of a new kind of cell that initialization reads."""

    slopes = (0.25, 1.0)

    def __init__(self) -> None:
        super().__init__()
        self.input, self.recurrent = nn.Linear(5, 2 * 8), nn.Linear(8, 2 * 8, bias=False)


def test_a_new_kind_of_cell_is_initialized_once_it_is_in_the_union(monkeypatch):
    monkeypatch.setattr(initialization, "Cell", Cell | MguCell)
    cell = MguCell().double()
    initialize_orthogonal(cell)

    for block in cell.recurrent.weight.chunk(2):
        torch.testing.assert_close(block @ block.T, torch.eye(8, dtype=torch.float64))


def test_xavier_bounds_follow_the_size_of_a_gate_not_of_the_stack():
    cell = GruCell(50, 100)
    initialize_xavier(cell)

    bound = (6 / (50 + 100)) ** 0.5
    assert 0.9 * bound < cell.input.weight.detach().abs().max() <= bound


def test_xavier_leaves_embeddings_alone():
    embedding = Embedding(30, 8)
    embedding.reset_parameters()
    before = embedding.weight.detach().clone()
    initialize_xavier(embedding)

    assert torch.equal(embedding.weight, before)


def test_uniform_stays_within_its_scale_and_keeps_the_forget_bias():
    cell = LstmCell(5, 8, forget_bias=1.0)
    initialize_uniform(cell, 0.01)

    assert cell.recurrent.weight.detach().abs().max() <= 0.01
    assert cell.input.bias.detach().sum() == 8.0
