"""Dropout of recurrent weights."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.layers.dropout import dropout_mask
from nmt.layers.initialization import cells_of
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder

SOURCE = torch.tensor([[4, 5, 6, 7, 8], [9, 10, 4, 0, 0]])
MASK = SOURCE != 0
TARGET_IN = torch.tensor([[2, 4, 5, 6], [2, 9, 9, 4]])
CELLS = ["lstm", {"kind": "gru", "reset": "before"}, "delays", "clockwork"]


def make(cell: Any, rate: float = 0.4, **decoder: Any) -> EncoderDecoder:
    config = {
        "embedding": {"size": 4},
        "encoder": {"cell": cell, "hidden_size": 4, "layers": 2},
        "decoder": {"cell": cell, "hidden_size": 8, "layers": 2, **decoder},
        "dropout": {"weights": rate},
        "initialization": {"kind": "uniform", "scale": 0.5},
    }
    return build_model(
        ModelConfig.model_validate(config), source_vocab=11, target_vocab=11
    ).double()


def read(model: EncoderDecoder) -> Tensor:
    return model.decode(model.encode(SOURCE, MASK), TARGET_IN).features


@pytest.mark.parametrize("decoder", [{}, {"input_feeding": True}, {"attend": "between"}], ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_each_matrix_has_one_mask_for_all_sentences_and_steps(cell, decoder):
    """The model is one whose weights are M U / (1 - rate), and dL/dU = M / (1 - rate) dL/dU'."""
    model = make(cell, **decoder).train()
    torch.manual_seed(4)
    found = read(model)
    found.square().sum().backward()

    masked = copy.deepcopy(model).eval()
    torch.manual_seed(4)
    masks = []
    for each in cells_of(masked):
        weight = each.recurrent.weight
        masks.append(dropout_mask(weight, tuple(weight.shape), 0.4))
        weight.data.mul_(masks[-1])
    assert all((mask == 0).any() and (mask > 1).any() for mask in masks)
    masked.zero_grad()
    expected = read(masked)
    expected.square().sum().backward()

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for own, other, mask in zip(cells_of(model), cells_of(masked), masks, strict=True):
        gradient = mask * other.recurrent.weight.grad
        torch.testing.assert_close(own.recurrent.weight.grad, gradient, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            own.input.weight.grad, other.input.weight.grad, rtol=0, atol=1e-12
        )


def test_evaluation_drops_nothing_and_draws_nothing():
    model = make("lstm").eval()
    plain = make("lstm", 0.0).eval()
    plain.load_state_dict(model.state_dict())
    generator = torch.get_rng_state()
    assert torch.equal(read(model), read(plain))
    assert torch.equal(torch.get_rng_state(), generator)


def test_weights_stay_the_same_parameters_even_after_an_error():
    model = make("lstm").train()
    before = dict(model.named_parameters())
    assert not torch.equal(read(model), read(model))  # a new mask each time
    with pytest.raises(IndexError):
        model.encode(SOURCE + 100, MASK)
    with pytest.raises(IndexError):
        model.decode(model.encode(SOURCE, MASK), TARGET_IN + 100)
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is weight for name, weight in before.items())
