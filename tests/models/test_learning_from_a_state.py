"""What a decoder without attention learns from the state it is handed: words to reverse.

The slow form, with longer words and a held-out set, is in tests/training/test_learning.py.
"""

import itertools
from typing import Any

import pytest
import torch

from nmt.config.model import ModelConfig
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder

BOS, EOS = 2, 3
WORDS = torch.tensor([*itertools.product(range(4, 8), repeat=3)])  # all 64 of three letters
SOURCE = torch.cat([WORDS, torch.full((64, 1), EOS)], dim=1)
TARGET = torch.cat([WORDS.flip(1), torch.full((64, 1), EOS)], dim=1)
TARGET_IN = torch.cat([torch.full((64, 1), BOS), TARGET[:, :-1]], dim=1)

DECODERS: dict[str, dict[str, Any]] = {
    "copied state": {"bridge": "copy"},
    "no input": {"bridge": "last", "input": "none"},
    "summary at each step, no input": {"bridge": "zero", "input": "none", "summary": "each_step"},
}


def train(model: EncoderDecoder, updates: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(updates):
        features = model.decode(model.encode(SOURCE, SOURCE != 0), TARGET_IN).features
        losses, _ = model.output.losses(features.flatten(0, 1), TARGET.flatten(), smoothing=0.0)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()


@torch.no_grad()
def greedy(model: EncoderDecoder) -> torch.Tensor:
    """Return what the model says of each word, fed its own letters, [64, 4]."""
    memory = model.encode(SOURCE, SOURCE != 0)
    tokens, state, said = TARGET_IN[:, 0], model.start(memory), []
    for _ in range(TARGET.shape[1]):
        step = model.step(tokens, state, memory)
        tokens, state = model.output.log_probs(step.features).argmax(dim=1), step.state
        said.append(tokens)
    return torch.stack(said, dim=1)


@pytest.mark.parametrize("name", DECODERS)
def test_words_are_reversed_through_the_state_alone(name):
    config = {
        "embedding": {"size": 8},
        "encoder": {"cell": "gru", "hidden_size": 16},
        "decoder": {"cell": "gru", "hidden_size": 32, "attention": "none", **DECODERS[name]},
        "initialization": "orthogonal",
    }
    torch.manual_seed(1)
    model = build_model(ModelConfig.model_validate(config), source_vocab=8, target_vocab=8)
    assert (greedy(model) == TARGET).all(dim=1).double().mean() < 0.1
    accelerate(model, "training")
    train(model, 100)
    assert (greedy(model) == TARGET).all(dim=1).double().mean() > 0.95
