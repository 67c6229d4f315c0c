"""A decoder returns its attention weights, the same over whole targets as step by step."""

import copy

import pytest
import torch

from nmt.config.model import ModelConfig
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder

SOURCE = torch.tensor([[4, 5, 6, 7], [8, 9, 0, 0]])
TARGET_IN = torch.tensor([[2, 4, 5], [2, 6, 7]])
DECODERS = [
    {"attention": attention, "attend": attend, "input_feeding": feeding}
    for attention in ("general", "additive", "local")
    for attend, feeding in (("after", False), ("after", True), ("before", False))
]


def make(**decoder: object) -> EncoderDecoder:
    config = {
        "embedding": {"size": 16},
        "encoder": {"hidden_size": 16},
        "decoder": {"hidden_size": 32, **decoder},
        "initialization": {"kind": "uniform", "scale": 0.5},
    }
    return build_model(ModelConfig.model_validate(config), source_vocab=11, target_vocab=11).eval()


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: "-".join(map(str, d.values())))
def test_attention_over_a_whole_target_equals_that_of_its_steps(decoder, fast):
    model = make(**decoder)
    stepwise = copy.deepcopy(model)
    if fast:
        accelerate(model, "training")
    memory = model.encode(SOURCE, SOURCE != 0)
    decoded = model.decode(memory, TARGET_IN, keep_attention=True)
    assert torch.equal(decoded.features, model.decode(memory, TARGET_IN).features)

    memory = stepwise.encode(SOURCE, SOURCE != 0)
    state, weights = stepwise.start(memory), []
    for tokens in TARGET_IN.unbind(dim=1):
        step = stepwise.step(tokens, state, memory)
        state = step.state
        weights.append(step.attention)
    torch.testing.assert_close(decoded.attention, torch.stack(weights, dim=1))


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("feeding", [True, False])
def test_gradients_flow_through_the_attention(feeding, fast):
    model = make(input_feeding=feeding)
    reference = copy.deepcopy(model)
    if fast:
        accelerate(model, "training")
    for each in (model, reference):
        decoded = each.decode(each.encode(SOURCE, SOURCE != 0), TARGET_IN, keep_attention=True)
        (decoded.attention[:, :, 0].square().sum() + decoded.features.sum()).backward()
    gradients = [{n: p.grad for n, p in each.named_parameters()} for each in (model, reference)]
    assert gradients[0]["decoder.attention.project_memory.weight"].abs().sum() > 0
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-5)


def test_a_decoder_without_attention_returns_none():
    model = make(attention="none")
    decoded = model.decode(model.encode(SOURCE, SOURCE != 0), TARGET_IN, keep_attention=True)
    assert decoded.attention is None
