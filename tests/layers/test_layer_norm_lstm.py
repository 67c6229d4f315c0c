"""The LSTM with layer normalisation follows its equations, and works wherever a cell does."""

import pytest
import torch
from stepping import features_by_steps
from torch import nn
from torch.autograd import gradcheck

from nmt.config.model import ModelConfig
from nmt.layers.cells import LayerNormLstmCell, zero_state
from nmt.layers.initialization import initialize_uniform
from nmt.models.build import build_model


def make(input_size: int = 3, hidden_size: int = 4, *, per_gate: bool = False) -> LayerNormLstmCell:
    """Return a cell with random weights, gains and shifts in float64."""
    cell = LayerNormLstmCell(input_size, hidden_size, per_gate=per_gate).double()
    initialize_uniform(cell, 0.5)
    for module in cell.children():
        if isinstance(module, nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return cell


def normalize(rows: torch.Tensor, norm: nn.LayerNorm, vectors: int = 1) -> torch.Tensor:
    """LN by hand: mean 0 and variance 1 over each of a row's vectors, then gain and shift."""
    normalized = []
    for vector in rows.chunk(vectors, dim=-1):
        centred = vector - vector.mean(dim=-1, keepdim=True)
        variance = centred.square().mean(dim=-1, keepdim=True)
        normalized.append(centred / (variance + norm.eps).sqrt())
    return torch.cat(normalized, dim=-1) * norm.weight + norm.bias


@pytest.mark.parametrize("per_gate", [False, True])
def test_a_step_follows_the_equations_of_the_paper(per_gate):
    cell, vectors = make(per_gate=per_gate), 4 if per_gate else 1
    x, h, c = (torch.randn(2, size, dtype=torch.float64) for size in (3, 4, 4))
    gates = normalize(x @ cell.input.weight.T, cell.normalize_input, vectors)
    gates = gates + normalize(h @ cell.recurrent.weight.T, cell.normalize_recurrent, vectors)
    i, f, g, o = gates.chunk(4, dim=-1)
    memory = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    hidden = torch.sigmoid(o) * torch.tanh(normalize(memory, cell.normalize_memory))

    found = cell(cell.project(x), (h, c))
    torch.testing.assert_close(found, (hidden, memory), rtol=0, atol=1e-12)


def test_scaling_the_weights_changes_nothing():
    """Invariance under a factor of either matrix (Ba et al., 2016, table 1), but for epsilon."""
    cell = make()
    for norm in (cell.normalize_input, cell.normalize_recurrent):
        norm.eps = 0.0
    x, state = torch.randn(2, 3, dtype=torch.float64), zero_state(cell, 2)
    state = tuple(torch.randn_like(part) for part in state)
    before = cell(cell.project(x), state)
    with torch.no_grad():
        cell.input.weight.mul_(3.0)
        cell.recurrent.weight.mul_(0.5)
    torch.testing.assert_close(cell(cell.project(x), state), before, rtol=0, atol=1e-10)


def test_by_gate_scaling_the_weights_of_one_gate_changes_nothing():
    """Together, the other gates would become smaller beside it."""
    changed = []
    for per_gate in (False, True):
        cell = make(per_gate=per_gate)
        cell.normalize_input.eps = 0.0
        x, state = torch.randn(2, 3, dtype=torch.float64), zero_state(cell, 2)
        before = cell(cell.project(x), state)[0]
        with torch.no_grad():
            cell.input.weight[:4].mul_(3.0)
        changed.append((cell(cell.project(x), state)[0] - before).abs().max().item())
    assert changed[0] > 1e-3
    assert changed[1] < 1e-10


@pytest.mark.parametrize("per_gate", [False, True])
def test_gradients_equal_finite_differences(per_gate):
    cell = make(per_gate=per_gate)
    state = tuple(torch.randn(2, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, *state: cell(cell.project(x), state), (x, *state))


def test_the_forget_gate_starts_open():
    cell = LayerNormLstmCell(3, 4, forget_bias=2.0)
    assert cell.normalize_input.bias.tolist() == [0.0] * 4 + [2.0] * 4 + [0.0] * 8


@pytest.mark.parametrize("feeding", [True, False])
def test_a_decoder_of_these_cells_gives_the_same_result_step_by_step(feeding):
    config = {
        "embedding": {"size": 6},
        "encoder": {"cell": "lnlstm", "hidden_size": 4},
        "decoder": {"cell": "lnlstm", "hidden_size": 8, "layers": 2, "input_feeding": feeding},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=9, target_vocab=9)
    model = model.double().eval()
    source = torch.tensor([[4, 5, 6], [7, 8, 0]])
    target_in = torch.tensor([[2, 4, 5], [2, 6, 7]])
    memory = model.encode(source, source != 0)
    torch.testing.assert_close(
        model.decode(memory, target_in).features,
        features_by_steps(model, memory, target_in),
        rtol=0,
        atol=1e-12,
    )
