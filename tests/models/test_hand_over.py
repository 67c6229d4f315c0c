"""How the decoder gets to know the source: by its first state, and by a summary at each step."""

import copy
from typing import Any

import pytest
import torch
from stepping import features_by_steps
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.fast.accelerate import accelerate
from nmt.layers.cells import zero_state
from nmt.layers.recurrent import unroll_states
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder

VOCAB = 11
SOURCE = torch.tensor([[4, 5, 6, 7, 8], [9, 10, 5, 0, 0]])
MASK = SOURCE != 0
TARGET_IN = torch.tensor([[2, 4, 5, 6], [2, 9, 4, 10]])


def make(
    *, units: int = 4, encoder: dict[str, Any] | None = None, **decoder: Any
) -> EncoderDecoder:
    """Return a small float64 model of two layers, whose decoder is twice as large."""
    config = {
        "embedding": {"size": 6},
        "encoder": {"hidden_size": units, "layers": 2, **(encoder or {})},
        "decoder": {"hidden_size": 2 * units, "layers": 2, **decoder},
        "initialization": {"kind": "uniform", "scale": 0.5},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=VOCAB, target_vocab=VOCAB)
    return model.double().eval()


def read_by_steps(model: EncoderDecoder, *, copies: int = 1) -> Tensor:
    return features_by_steps(model, model.encode(SOURCE, MASK), TARGET_IN, copies=copies)


def read_at_once(model: EncoderDecoder) -> Tensor:
    return model.decode(model.encode(SOURCE, MASK), TARGET_IN).features


HAND_OVERS: dict[str, dict[str, Any]] = {
    "copy": {"bridge": "copy"},
    "copy and each step": {"bridge": "copy", "attention": "none", "summary": "each_step"},
    "learned": {"bridge": "learned"},
    "each step": {"summary": "each_step"},
    "mean at each step": {"summary": "each_step", "bridge": "mean", "readout": "deep"},
    "each step alone": {"summary": "each_step", "bridge": "zero", "input": "none"},
    "each step before": {"summary": "each_step", "attend": "before", "residual": True},
    "each step and feeding": {"summary": "each_step", "input_feeding": True},
}


@torch.no_grad()
@pytest.mark.parametrize("purpose", [None, "training", "search"])
@pytest.mark.parametrize("name", HAND_OVERS)
def test_steps_equal_the_whole_sequence_with_and_without_fast_modules(name, purpose):
    model = make(**HAND_OVERS[name])
    expected = read_at_once(model)
    if purpose is not None:
        accelerate(model, purpose)
    for found in (read_at_once(model), read_by_steps(model), read_by_steps(model, copies=2)[::2]):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "lnlstm"])
def test_a_copied_state_is_the_last_one_of_each_encoder_layer(cell, bidirectional, fast):
    """h, and of an LSTM c, of each sentence at its own length; both directions side by side."""
    units = 4 if bidirectional else 8
    encoder = {"cell": cell, "hidden_size": units, "bidirectional": bidirectional}
    model = make(encoder=encoder, cell=cell, bridge="copy")
    plain = copy.deepcopy(model)
    if fast:
        accelerate(model, "training")
    started = model.start(model.encode(SOURCE, MASK)).layers
    for row, length in enumerate((5, 3)):
        inputs = plain.encoder.embedding(SOURCE[row : row + 1, :length], None)
        for layer, found in zip(plain.encoder.stack.each_layer(), started, strict=True):
            ends, outputs = [], []
            for each, order in zip(layer.cells, (1, -1), strict=False):
                read = inputs if order == 1 else inputs.flip(1)
                states = unroll_states(each, read, zero_state(each, 1))
                ends.append(states[-1])
                outputs.append(torch.stack([state[0] for state in states[::order]], dim=1))
            for part, expected in zip(found, zip(*ends, strict=True), strict=True):
                torch.testing.assert_close(part[row : row + 1], torch.cat(expected, dim=1))
            inputs = torch.cat(outputs, dim=2)


def test_gradients_reach_the_encoder_through_a_copied_cell_state():
    model = make(bridge="copy", attention="none")
    memory = model.encode(SOURCE, MASK)
    c = model.start(memory).layers[0][1]
    weight = model.encoder.stack.first.cell.input.weight
    (gradient,) = torch.autograd.grad(c.square().sum(), weight)
    assert (gradient != 0).any(dim=1).all()


@torch.no_grad()
def test_a_copied_state_follows_its_sentence_when_rows_move():
    model = make(bridge="copy")
    memory = model.encode(SOURCE, MASK)
    order = torch.tensor([1, 0, 1])
    moved = model.start(memory.select(order)).layers
    for found, first in zip(moved, model.start(memory).layers, strict=True):
        assert all(torch.equal(a, b[order]) for a, b in zip(found, first, strict=True))
    joined = model.start(memory.concat(memory.select(order))).layers
    assert torch.equal(joined[1][1][2:], moved[1][1])


@torch.no_grad()
def test_the_summary_is_read_by_cell_and_readout_at_each_step():
    """h_t = f(y_{t-1}, m, h_{t-1}) and f_t = tanh(W [h_t; m]) (Cho et al., 2014)."""
    model = make(summary="each_step", attention="none", layers=1, cell="gru")
    decoder, memory = model.decoder, model.encode(SOURCE, MASK)
    cell, m = decoder.stack.first.cell, memory.summary
    (h,) = model.start(memory).layers[0]
    found = model.decode(memory, TARGET_IN).features
    for position, tokens in enumerate(TARGET_IN.unbind(dim=1)):
        y = decoder.embedding.step(tokens)
        (h,) = cell(cell.project(torch.cat([y, m], dim=1)), (h,))
        expected = torch.tanh(decoder.readout(torch.cat([h, m], dim=1)))
        torch.testing.assert_close(found[:, position], expected, rtol=0, atol=1e-12)


def test_a_learned_state_starts_every_sentence_and_collects_their_gradients():
    model = make(bridge="learned", attention="none")
    assert (model.decoder.initial_state == 0).all()
    torch.nn.init.normal_(model.decoder.initial_state)
    first = model.start(model.encode(SOURCE, MASK)).layers
    flat = torch.cat([part for state in first for part in state], dim=1)
    assert torch.equal(flat, model.decoder.initial_state.expand(2, -1))
    (gradient,) = torch.autograd.grad(flat.sum(), model.decoder.initial_state)
    assert (gradient == 2).all()


@torch.no_grad()
def test_under_autocast_a_copied_state_is_in_the_precision_of_the_weights():
    model = make(bridge="copy").float()
    with torch.autocast("cpu", torch.bfloat16):
        state = model.start(model.encode(SOURCE, MASK))
    assert {part.dtype for layer in state.layers for part in layer} == {torch.float32}


@torch.no_grad()
def test_a_state_is_copied_from_a_reader_of_numbers_too():
    reader = {"hidden_size": 4, "bidirectional": False}
    config = {
        "encoder": {"kind": "numbers", "features": 3, "reader": reader},
        "decoder": {"hidden_size": 4, "bridge": "copy"},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=1, target_vocab=VOCAB)
    numbers = torch.randn(2, 5, 3)
    memory = model.encode(numbers, MASK)
    h, c = model.start(memory).layers[0]
    assert torch.equal(h, memory.summary)
    assert (c != h).all()
