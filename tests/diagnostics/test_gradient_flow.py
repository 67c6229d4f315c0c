"""How far gradients reach, as numbers and in words."""

import math

import pytest
import torch
from traced import PAIRS, batch_of, model_of, total_loss

from nmt.config.model import ModelConfig
from nmt.diagnostics.gradients import Flow, Lag, explain, gate_table, gradient_flow
from nmt.diagnostics.trace import trace
from nmt.models.build import build_model

LONG = ([4, 5, 6, 7, 8, 9, 10, 4, 5, 6, 7, 3], [7, 8, 9, 10, 4, 5, 6, 7, 8, 3])


def linear_model(scale, **decoder):
    """Return a model of linear recurrent layers whose recurrent weights are `scale` times I."""
    cell = {"kind": "rnn", "activation": "identity"}
    model = model_of(encoder={"cell": cell}, cell=cell, **decoder)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("recurrent.weight"):
                weight.copy_(scale * torch.eye(len(weight), dtype=weight.dtype))
    return model


@pytest.mark.parametrize(
    ("scale", "verdict"), [(0.7, "vanishes"), (1.0, "stays"), (1.25, "explodes")]
)
def test_a_linear_layer_multiplies_a_gradient_by_its_weight_at_each_step(scale, verdict):
    flows = gradient_flow(linear_model(scale), [batch_of(*PAIRS), batch_of(LONG)], total_loss)
    assert [flow.name for flow in flows] == [
        "encoder 1 forward",
        "encoder 1 backward",
        "decoder 1",
    ]
    for flow in flows:
        assert flow.verdict == verdict
        assert flow.factor == pytest.approx(scale)
        for lag in flow.lags:
            assert lag.carried == pytest.approx(scale**lag.steps, rel=1e-9)


def test_without_attention_a_source_position_gets_what_the_steps_carry():
    """With attention, it gets more."""
    (encoder, *_) = gradient_flow(linear_model(0.5, attention="none"), [batch_of(LONG)], total_loss)
    for lag in encoder.lags:
        assert lag.arriving / encoder.lags[0].arriving == pytest.approx(0.5**lag.steps)
    assert "without attention, all of it came through the steps" in explain(
        [encoder], attends=False
    )

    (encoder, *_) = gradient_flow(linear_model(0.5), [batch_of(LONG)], total_loss)
    far = encoder.far
    assert far.arriving / encoder.lags[0].arriving > 10 * far.carried
    assert "the rest comes through attention" in explain([encoder], attends=True)


def test_lags_count_from_the_last_state_that_the_loss_depends_on():
    """What reads the end symbol last has no part in the tags of an aligned model."""
    config = ModelConfig.model_validate(
        {"encoder": {"hidden_size": 4}, "decoder": {"kind": "aligned"}}
    )
    model = build_model(config, source_vocab=11, target_vocab=11).double()
    pairs = [([4, 5, 6, 8, 3], [7, 8, 9, 7, 3]), ([9, 3], [5, 3])]
    forward, backward = gradient_flow(model, [batch_of(*pairs)], total_loss)
    assert [lag.sentences for lag in forward.lags] == [2, 1, 1, 1]
    assert [lag.sentences for lag in backward.lags] == [2, 2, 1, 1, 1]
    for lag in (*forward.lags, *backward.lags):
        assert 0.0 < lag.carried <= 1.0 + 1e-9
        assert lag.arriving > 0.0


def test_a_layer_without_any_gradient_keeps_its_lags():
    model = model_of(attention="none", bridge="zero")
    encoder, _, _ = gradient_flow(model, [batch_of(LONG)], total_loss)
    assert len(encoder.lags) == len(LONG[0])
    assert encoder.verdict == "is zero"


def test_arriving_gradients_are_mean_norms_over_sentences_that_are_long_enough():
    model = model_of()
    (flow, *_) = gradient_flow(model, [batch_of(pair) for pair in PAIRS], total_loss)
    assert [lag.sentences for lag in flow.lags] == [3, 3, 2, 1, 1]
    norms = []
    for pair in PAIRS:
        walk = trace(model, batch_of(pair), total_loss).walks[0]
        if len(walk.states) > 2:
            norms.append(torch.cat(walk.gradients[-3], dim=1).norm().item())
    assert flow.lags[2].arriving == pytest.approx(sum(norms) / 2)


def test_a_batch_does_not_change_the_figures():
    model = model_of(cell="gru", encoder={"cell": "lstm"}, input_feeding=True)
    together = gradient_flow(model, [batch_of(*PAIRS, PAIRS[0])], total_loss)
    apart = gradient_flow(
        model, [batch_of(PAIRS[0])] * 2 + [batch_of(p) for p in PAIRS[1:]], total_loss
    )
    for one, other in zip(together, apart, strict=True):
        assert [lag.arriving for lag in one.lags] == pytest.approx(
            [lag.arriving for lag in other.lags]
        )


def test_the_gradient_by_a_gate_is_that_of_its_block_of_weights():
    model = model_of(encoder={"cell": "lstm"}, cell="gru")
    flows = gradient_flow(model, [batch_of(*PAIRS), batch_of(LONG)], total_loss)
    (total_loss(model, batch_of(*PAIRS)) + total_loss(model, batch_of(LONG))).backward()
    cells = [*model.encoder.stack.first.cells, model.decoder.stack.first.cell]
    for found, cell in zip(flows, cells, strict=True):
        blocks = cell.recurrent.weight.grad.chunk(len(found.gates))
        assert list(found.gates.values()) == pytest.approx([float(part.norm()) for part in blocks])
    assert list(flows[-1].gates) == ["reset", "update", "candidate"]
    header, *rows = gate_table(flows).splitlines()
    assert header.split() == ["input", "forget", "candidate", "output", "reset", "update"]
    assert rows[-1].split()[:4] == ["decoder", "1", "-", "-"]


def flow(*carried: float, arriving: tuple[float, ...] = (), side: str = "decoder") -> Flow:
    given = arriving or (1.0,) * len(carried)
    lags = [
        Lag(i, left, arrived, 4)
        for i, (left, arrived) in enumerate(zip(carried, given, strict=True))
    ]
    return Flow(f"{side} 1", side, tuple(lags))


def test_the_factor_is_that_of_an_exponential():
    assert flow(1.0, 0.5, 0.25, 0.125).factor == pytest.approx(0.5)
    assert flow(1.0, 0.0, 0.0).factor == 0.0
    assert math.isnan(flow(math.nan, math.nan).factor)


def test_the_words_follow_the_figures():
    vanishing = explain([flow(1.0, 0.5, 0.25)], attends=True)
    assert vanishing == (
        "How to read it: decoder 1: a gradient vanishes, x 0.500 per step (it halves every 1.0 "
        "steps); after 2 steps 0.25 of it is left."
    )
    assert "explodes, x 2.000 per step (it doubles every 1.0" in explain(
        [flow(1.0, 2.0)], attends=True
    )
    assert "stays, x 1.010 per step" in explain([flow(1.0, 1.01)], attends=True)
    assert "no gradient comes back through its steps" in explain([flow(1.0, 0.0)], attends=True)
    never = flow(math.nan, math.nan, arriving=(0.0, 0.0), side="encoder")
    assert "No gradient of the loss arrives at encoder 1." in explain([never], attends=False)
    late = flow(1.0, 0.5, arriving=(0.0, 1.0), side="encoder")
    assert "the last gets no gradient of the loss" in explain([late], attends=True)
    both = flow(1.0, 0.5, arriving=(1.0, 0.5), side="encoder")
    assert "attention adds little there" in explain([both], attends=True)


def test_a_lag_that_hardly_any_sentence_has_is_not_named():
    lags = (Lag(0, 1.0, 1.0, 100), Lag(1, 0.9, 1.0, 30), Lag(2, 0.8, 1.0, 2))
    assert Flow("decoder 1", "decoder", lags).far.steps == 1
