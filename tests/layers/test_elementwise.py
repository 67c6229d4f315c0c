"""Cells without a product with the previous state follow their equations."""

from typing import Any

import pytest
import torch

from nmt.layers.cells import Cell, zero_state
from nmt.layers.elementwise import MinGruCell, SsruCell
from nmt.layers.initialization import initialize_orthogonal, initialize_uniform, initialize_xavier
from nmt.layers.recurrent import unroll_states

CELLS = pytest.mark.parametrize("kind", [SsruCell, MinGruCell])


def make(kind: Any) -> Any:
    cell = kind(3, 4).double()
    initialize_uniform(cell, 0.8)
    torch.nn.init.uniform_(cell.input.bias, -0.5, 0.5)
    return cell


def test_a_step_of_an_ssru_follows_the_equations():
    cell = make(SsruCell)
    x, h, c = (torch.randn(2, size, dtype=torch.float64) for size in (3, 4, 4))
    weight, bias = cell.input.weight, cell.input.bias
    f = torch.sigmoid(x @ weight[:4].T + bias[:4])
    memory = f * c + (1 - f) * (x @ weight[4:].T + bias[4:])

    found = cell(cell.project(x), (h, c))
    torch.testing.assert_close(found, (memory.clamp(min=0), memory), rtol=0, atol=1e-12)


def test_a_step_of_a_min_gru_follows_the_equations():
    cell = make(MinGruCell)
    x, h = (torch.randn(2, size, dtype=torch.float64) for size in (3, 4))
    weight, bias = cell.input.weight, cell.input.bias
    z = torch.sigmoid(x @ weight[:4].T + bias[:4])
    hidden = (1 - z) * h + z * (x @ weight[4:].T + bias[4:])

    torch.testing.assert_close(cell(cell.project(x), (h,)), (hidden,), rtol=0, atol=1e-12)


@CELLS
def test_a_state_is_the_weighted_sum_of_all_candidates(kind):
    """s_T = prod(keep) s_0 + sum_t write_t candidate_t prod of what is kept after t."""
    cell, inputs = make(kind), torch.randn(2, 5, 3, dtype=torch.float64)
    start = tuple(torch.randn(2, 4, dtype=torch.float64) for _ in range(cell.states))
    gate, candidate = cell.project(inputs).chunk(2, dim=-1)  # [2, 5, 4]
    keep = torch.sigmoid(gate if kind is SsruCell else -gate)
    expected = start[-1] * keep.prod(dim=1)
    for step in range(5):
        kept = keep[:, step + 1 :].prod(dim=1)
        expected = expected + (1 - keep[:, step]) * candidate[:, step] * kept
    last = unroll_states(cell, inputs, start)[-1][-1]
    torch.testing.assert_close(last, expected, rtol=0, atol=1e-12)


@CELLS
def test_no_weight_is_multiplied_with_a_state(kind):
    """So all products of a sequence are made at once, and the Jacobian of a step is diagonal."""
    cell: Cell = make(kind)
    projected, state = cell.project(torch.randn(1, 3).double()), zero_state(cell, 1)
    assert sorted(name for name, _ in cell.named_parameters()) == ["input.bias", "input.weight"]
    jacobian = torch.func.jacrev(lambda s: cell(projected, (*state[:-1], s))[-1])(state[-1])
    own = jacobian[0, :, 0]
    torch.testing.assert_close(own, torch.diag(own.diagonal()))
    assert ((own.diagonal() > 0) & (own.diagonal() < 1)).all()


@CELLS
@pytest.mark.parametrize("initialize", [initialize_xavier, initialize_orthogonal])
def test_blocks_of_the_input_product_are_initialized_separately(kind, initialize):
    cell = kind(50, 60)
    initialize(cell)
    for block in cell.input.weight.chunk(2):
        bound = (6 / (50 + 60)) ** 0.5
        assert block.abs().max().item() == pytest.approx(bound, rel=0.02)
