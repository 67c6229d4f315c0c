"""What every recurrent kind must do, whatever its equations: a new kind is one more line of KINDS.

Kinds are written as in a configuration, and are tested inside encoder and decoder.
"""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from stepping import features_by_steps
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import functional_call

from nmt.config.model import ModelConfig
from nmt.fast.accelerate import Purpose, accelerate
from nmt.layers.recurrent import RecurrentLayer
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.weights import set_weights, weights_of
from nmt.storage.tensors import load_tensors, save_tensors

KINDS: dict[str, dict[str, Any]] = {
    "tanh": {"cell": "rnn"},
    "relu": {"cell": {"kind": "rnn", "activation": "relu"}},
    "sigmoid": {"cell": {"kind": "rnn", "activation": "sigmoid"}},
    "identity": {"cell": {"kind": "rnn", "activation": "identity"}},
    "gru": {"cell": "gru"},
    "gru, reset before": {"cell": {"kind": "gru", "reset": "before"}},
    "lstm": {"cell": "lstm"},
    "lstm without forget gate": {"cell": {"kind": "lstm", "forget_gate": False}},
    "lnlstm": {"cell": "lnlstm"},
    "lnlstm by gate": {"cell": {"kind": "lnlstm", "per_gate": True}},
    "delays": {"cell": {"kind": "delays", "delays": [1, 3]}},
    "delay of 2": {"cell": {"kind": "delays", "delays": [2]}},
    "clockwork": {"cell": {"kind": "clockwork", "periods": [1, 2, 3]}},
    "ssru": {"cell": "ssru"},
    "mingru": {"cell": "mingru"},
    "zoneout of an ssru": {"cell": "ssru", "dropout": {"zoneout_cell": 0.3}},
    "residual": {"cell": "gru", "residual": True},
    "linear output": {"cell": "lstm", "layer_output": "linear"},
    "input attention": {"cell": "lstm", "input_attention": "softmax"},
    "zoneout": {"cell": "gru", "dropout": {"zoneout_hidden": 0.3}},
    "zoneout of both states": {
        "cell": "lstm",
        "dropout": {"zoneout_hidden": 0.1, "zoneout_cell": 0.5},
    },
    "zoneout with delays": {"cell": "delays", "dropout": {"zoneout_hidden": 0.3}},
    "zoneout by the clock": {
        "cell": "clockwork",
        "dropout": {"zoneout_hidden": 0.3},
        "input_attention": {"kind": "softmax", "rescale": False},
    },
}
EACH_KIND = pytest.mark.parametrize("kind", KINDS)
VOCAB = 11
SOURCE = torch.tensor([[4, 5, 6, 7, 8], [9, 10, 0, 0, 0], [5, 4, 9, 6, 0]])
MASK = SOURCE != 0
TARGET_IN = torch.tensor([[2, 4, 5, 6, 7, 8], [2, 9, 9, 4, 10, 3], [2, 5, 8, 5, 7, 4]])


def make(kind: str, *, units: int = 4, **decoder: Any) -> EncoderDecoder:
    """Return a model of float64 of this kind in evaluation mode; all its weights are random."""
    options = dict(KINDS[kind])
    dropout = options.pop("dropout", {})
    config = {
        "embedding": {"size": units},
        "encoder": {"hidden_size": units, "layers": 2, "init_state": "learned", **options},
        "decoder": {"hidden_size": 2 * units, "layers": 2, **options, **decoder},
        "dropout": dropout,
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=VOCAB, target_vocab=VOCAB)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -(units**-0.5), units**-0.5)
    return model.double().eval()


def first_layer(kind: str) -> RecurrentLayer:
    """Return the encoder's first layer, which reads in both directions."""
    return make(kind).encoder.stack.first


def read_by_steps(model: EncoderDecoder) -> Tensor:
    """Return the features of the target, one step after the other."""
    return features_by_steps(model, model.encode(SOURCE, MASK), TARGET_IN)


def read_at_once(model: EncoderDecoder) -> Tensor:
    """Return the features of the target, all positions in one call."""
    return model.decode(model.encode(SOURCE, MASK), TARGET_IN).features


@torch.no_grad()
@EACH_KIND
def test_a_loop_of_steps_equals_the_whole_sequence(kind):
    model = make(kind)
    torch.testing.assert_close(read_by_steps(model), read_at_once(model), rtol=0, atol=1e-12)


@torch.no_grad()
@EACH_KIND
def test_a_sentence_is_read_alike_alone_and_beside_longer_ones(kind):
    encoder = make(kind).encoder
    together = encoder(SOURCE, MASK)
    for row, length in enumerate(MASK.sum(dim=1).tolist()):
        alone = encoder(SOURCE[row : row + 1, :length], MASK[row : row + 1, :length])
        read = together.outputs[row]
        torch.testing.assert_close(read[:length], alone.outputs[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(together.last[row], alone.last[0], rtol=0, atol=1e-12)
    read = first_layer(kind)(torch.randn(3, 5, 4, dtype=torch.float64), MASK).outputs
    assert (read[~MASK] == 0).all()


@torch.no_grad()
@EACH_KIND
def test_the_second_direction_reads_each_sentence_from_its_end(kind):
    """With the same weights, it sees of a sentence what the first one sees of its reversal."""
    layer = first_layer(kind)
    layer.cells[1].load_state_dict(layer.cells[0].state_dict())
    layer.initial_state[1] = layer.initial_state[0]
    inputs, lengths = torch.randn(3, 5, 4, dtype=torch.float64), MASK.sum(dim=1).tolist()
    backward = layer(inputs, MASK).outputs[..., 4:]
    for row, length in enumerate(lengths):
        turned = inputs[row : row + 1, :length].flip(1)
        forward = layer(turned, MASK[row : row + 1, :length]).outputs[0, :, :4]
        torch.testing.assert_close(backward[row, :length].flip(0), forward, rtol=0, atol=1e-12)


@EACH_KIND
def test_gradients_equal_finite_differences(kind):
    """Of inputs, weights and first states, over a sentence in both directions."""
    layer = first_layer(kind)
    names, weights = zip(*layer.named_parameters(), strict=True)
    inputs = torch.randn(1, 4, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, True, True, False]])

    def read(inputs: Tensor, *values: Tensor) -> Tensor:
        named = dict(zip(names, values, strict=True))
        outputs: Tensor = functional_call(layer, named, (inputs, mask)).outputs
        return outputs

    assert gradcheck(read, (inputs, *weights), fast_mode=True)


@torch.no_grad()
@EACH_KIND
def test_saved_weights_give_the_same_model(kind, tmp_path):
    model, again = make(kind), make(kind)
    path = Path(tmp_path, "model.safetensors")
    save_tensors(path, weights_of(model))
    assert not torch.equal(read_at_once(model), read_at_once(again))
    set_weights(again, load_tensors(path), path)
    assert torch.equal(read_at_once(model), read_at_once(again))


@torch.no_grad()
@EACH_KIND
def test_rows_of_a_beam_can_be_reordered_and_joined_at_any_step(kind):
    """As if they had always stood where they stand."""
    model = make(kind)
    memory = model.encode(SOURCE, MASK)
    rows = torch.tensor([2, 0, 0])
    state, moved = model.start(memory), model.start(memory.select(rows))
    for position in range(5):
        tokens = TARGET_IN[:, position]
        step = model.step(tokens, state, memory)
        other = model.step(tokens[rows], moved, memory.select(rows))
        torch.testing.assert_close(other.features, step.features[rows], rtol=0, atol=1e-12)
        state, moved = step.state, step.state.select(rows)
    both, joined = moved.concat(state), memory.select(rows).concat(memory)
    tokens = TARGET_IN[:, 5]
    found = model.step(torch.cat([tokens[rows], tokens]), both, joined).features
    expected = model.step(tokens, state, memory).features
    torch.testing.assert_close(found, torch.cat([expected[rows], expected]), rtol=0, atol=1e-12)


@EACH_KIND
def test_in_bfloat16_everything_is_finite(kind):
    """In training, with gradients, under autocast; in search, with weights of that type."""
    model = make(kind).float().train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = read_at_once(model).float().square().sum()
    loss.backward()
    for name, weight in model.named_parameters():
        is_used = not name.startswith("output.")
        assert is_used is (weight.grad is not None), name
        assert weight.grad is None or weight.grad.isfinite().all(), name
    with torch.no_grad():
        assert read_by_steps(model.to(torch.bfloat16).eval()).isfinite().all()


@torch.no_grad()
@pytest.mark.parametrize("purpose", ["training", "search"])
@EACH_KIND
def test_fast_modules_compute_the_same(kind, purpose: Purpose):
    """With our kernels where they support the kind, and step by step too."""
    plain = make(kind, units=16, input_feeding=True).float()
    fast = copy.deepcopy(plain)
    accelerate(fast, purpose)
    expected = read_at_once(plain)
    for read in (read_at_once, read_by_steps):
        torch.testing.assert_close(read(fast), expected, rtol=1e-4, atol=1e-5)
