"""The gate of an input: its equation, its limits, and what it learns to look at."""

import pytest
import torch
from torch import Tensor, nn

from nmt.config.model import ModelConfig
from nmt.layers.cells import GruCell, InputGatedCell, LstmCell, RnnCell, zero_state
from nmt.layers.initialization import (
    initialize_spectral,
    initialize_uniform,
    initialize_xavier,
    spectral_radius,
)
from nmt.layers.input_attention import InputAttention
from nmt.layers.recurrent import unroll_cell, unroll_states
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder

X = torch.randn(2, 3, dtype=torch.float64)
H = torch.randn(2, 4, dtype=torch.float64)
INPUTS = torch.randn(2, 6, 3, dtype=torch.float64)


def make_gate(sharpness: float = 1.0) -> InputAttention:
    gate = InputAttention(3, 4, sharpness=sharpness).double()
    initialize_uniform(gate, 1.0)
    nn.init.uniform_(gate.project_input.bias, -1.0, 1.0)
    return gate


def make_cell(sharpness: float, *, rescale: bool) -> InputGatedCell:
    cell = GruCell(3, 4).double()
    initialize_uniform(cell, 0.5)
    return InputGatedCell(cell, make_gate(sharpness), rescale=rescale)


def test_the_gate_follows_its_equation():
    gate = make_gate(2.5)
    w_x, b, w_h = gate.project_input.weight, gate.project_input.bias, gate.project_hidden.weight
    scores = torch.exp(2.5 * torch.tanh(H @ w_h.T + X @ w_x.T + b))
    found = gate(gate.project(X), H)
    torch.testing.assert_close(found, scores / scores.sum(dim=1, keepdim=True), rtol=0, atol=1e-12)


def test_a_sharpness_of_0_weighs_all_values_alike():
    gate = make_gate(0.0)
    assert torch.equal(gate(gate.project(X), H), torch.full_like(X, 1 / 3))


def test_a_large_sharpness_selects_the_value_of_the_highest_score():
    soft, hard = make_gate(), make_gate(1e4)
    hard.load_state_dict(soft.state_dict())
    best = soft(soft.project(X), H).argmax(dim=1)
    torch.testing.assert_close(
        hard(hard.project(X), H), nn.functional.one_hot(best, 3).double(), rtol=0, atol=1e-12
    )


def test_an_even_gate_is_the_plain_cell_if_rescaled_and_one_of_smaller_inputs_if_not():
    for rescale, factor in ((True, 1.0), (False, 1 / 3)):
        cell = make_cell(0.0, rescale=rescale)
        found = unroll_cell(cell, INPUTS, zero_state(cell, 2))
        plain = unroll_cell(cell.cell, INPUTS * factor, zero_state(cell, 2))
        torch.testing.assert_close(found, plain, rtol=0, atol=1e-12)


def test_each_step_reads_its_input_through_the_gate_of_the_state_before():
    cell = make_cell(3.0, rescale=False)
    states = unroll_states(cell, INPUTS, zero_state(cell, 2))
    hidden = torch.zeros(2, 4, dtype=torch.float64)
    for position, state in enumerate(states):
        x = INPUTS[:, position]
        z = x * cell.gate(cell.gate.project(x), hidden)
        (hidden,) = cell.cell(cell.cell.project(z), (hidden,))
        torch.testing.assert_close(state[0], hidden, rtol=0, atol=1e-12)


def test_initialization_treats_the_inner_cell_as_without_a_gate():
    cell = InputGatedCell(RnnCell(3, 8), InputAttention(3, 8)).double()
    initialize_spectral(cell, 1.1)
    assert spectral_radius(cell.recurrent.weight) == pytest.approx(1.1, abs=1e-10)
    assert cell.gate.project_hidden.weight.isfinite().all()


def test_input_attention_finds_the_one_useful_channel_of_ten():
    """Trained to add up one of ten channels, the gate puts nearly all its mass on that one."""
    torch.manual_seed(1)
    useful, channels, rows = 6, 10, 64
    cell = InputGatedCell(RnnCell(channels, 8), InputAttention(channels, 8, sharpness=4.0))
    initialize_xavier(cell)
    read_out = nn.Linear(8, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *read_out.parameters()], lr=0.05)
    for _ in range(250):
        inputs = torch.randn(rows, 3, channels)
        target = torch.tanh(inputs[:, :, useful].cumsum(dim=1))
        outputs = unroll_cell(cell, inputs, zero_state(cell, rows))
        loss = (read_out(outputs).squeeze(-1) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    inputs = torch.randn(rows, 3, channels)
    states = unroll_states(cell, inputs, zero_state(cell, rows))
    before = [zero_state(cell, rows)[0], *(state[0] for state in states[:-1])]
    steps = zip(inputs.unbind(dim=1), before, strict=True)
    gates = torch.stack([cell.gate(cell.gate.project(x), h) for x, h in steps])
    assert gates[..., useful].mean().item() > 0.9


# --- the attention network of the lecture: one vector, looked at again at each step -------------


def look_again(kind: str = "softmax", sharpness: float = 2.0) -> EncoderDecoder:
    """Return a one-to-many model whose decoder reads a vector x alone, gated at each step."""
    gate = {"kind": kind, "sharpness": sharpness} if kind == "softmax" else kind
    config = {
        "embedding": {"size": 5},
        "encoder": {"kind": "numbers", "features": 3, "reader": "bag"},
        "decoder": {
            "cell": "rnn",
            "hidden_size": 4,
            "input": "none",
            "summary": "each_step",
            "attention": "none",
            "bridge": "zero",
            "input_attention": gate,
        },
        "initialization": {"kind": "uniform", "scale": 0.8},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=9, target_vocab=9)
    return model.double().eval()


VECTORS, HERE = torch.randn(2, 1, 3, dtype=torch.float64), torch.ones(2, 1, dtype=torch.bool)
TARGET_IN = torch.tensor([[2, 4, 5, 6], [2, 7, 8, 4]])


def states_by_hand(model: EncoderDecoder, x: Tensor) -> list[Tensor]:
    """h_t = tanh(W_hh h + W_xh z + b),  z = n x * softmax(alpha tanh(W_ha h + W_xa x + b_a))."""
    cell = model.decoder.stack.first.cell
    gate, (w, u) = cell.gate, (cell.input, cell.recurrent)
    hidden, states = torch.zeros(len(x), 4, dtype=torch.float64), []
    for _ in range(TARGET_IN.shape[1]):
        a = torch.tanh(hidden @ gate.project_hidden.weight.T + gate.project_input(x))
        z = x.shape[1] * x * (gate.sharpness * a).softmax(dim=1)
        hidden = torch.tanh(hidden @ u.weight.T + z @ w.weight.T + w.bias)
        states.append(hidden)
    return states


@torch.no_grad()
def test_a_decoder_can_look_at_one_vector_again_at_each_step():
    model = look_again()
    memory, x = model.encode(VECTORS, HERE), VECTORS[:, 0]
    found = model.decode(memory, TARGET_IN).features
    for position, hidden in enumerate(states_by_hand(model, x)):
        seen = torch.cat([hidden, x], dim=1)
        expected = torch.tanh(model.decoder.readout(seen))
        torch.testing.assert_close(found[:, position], expected, rtol=0, atol=1e-12)
    assert torch.equal(found, model.decode(memory, TARGET_IN.flip(1)).features)  # reads no pieces


@torch.no_grad()
def test_such_a_decoder_with_an_even_gate_is_the_plain_one_to_many_network():
    even, plain = look_again(sharpness=0.0), look_again("none")
    renamed = {
        name.replace("cells.0.cell.", "cells.0."): w for name, w in even.state_dict().items()
    }
    plain.load_state_dict({name: w for name, w in renamed.items() if ".gate." not in name})
    features = [m.decode(m.encode(VECTORS, HERE), TARGET_IN).features for m in (even, plain)]
    torch.testing.assert_close(*features, rtol=0, atol=1e-12)


def test_a_gate_can_stand_before_any_cell():
    cell = InputGatedCell(LstmCell(3, 4), InputAttention(3, 4))
    assert [part.shape for part in zero_state(cell, 2)] == [(2, 4)] * 2
