"""Truncated backpropagation through time: the loss stays, and the gradient is cut where it says."""

import pytest
import torch
from test_language_model import language_model
from tiny import entries, write_corpus

from nmt.config.load import load
from nmt.config.model import ModelConfig
from nmt.data.batch import make_batch
from nmt.errors import ConfigError
from nmt.fast.accelerate import accelerate
from nmt.models.build import build_model
from nmt.objectives.likelihood import Likelihood
from nmt.training.run import RunOptions, run_training

LENGTH = 7
LINE = [4, 5, 6, 7, 4, 6, 2]
LANGUAGE_MODEL = {
    "embedding": {"size": 6},
    "encoder": "none",
    "decoder": {"hidden_size": 5, "attention": "none", "bridge": "zero", "layers": 2},
}


def build(cell="lstm", **decoder):
    torch.manual_seed(1)
    table = {**LANGUAGE_MODEL, "decoder": {**LANGUAGE_MODEL["decoder"], "cell": cell, **decoder}}
    return build_model(ModelConfig.model_validate(table), source_vocab=9, target_vocab=9).double()


def gradients(model, truncation):
    model.zero_grad()
    batch = make_batch([([2], LINE), ([2], [*LINE[:4], 2])], [0, 1])
    loss = Likelihood(truncation=truncation).loss(model, batch, updates=0)
    loss.total.backward()
    grads = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    return loss.total.item(), grads


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("steps", [LENGTH, LENGTH + 3])
def test_no_less_than_the_length_is_the_full_gradient(cell, steps):
    model = build(cell)
    loss, full = gradients(model, 0)
    same_loss, found = gradients(model, steps)
    assert same_loss == pytest.approx(loss, abs=1e-12)
    for name, grad in full.items():
        torch.testing.assert_close(found[name], grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_gradient_is_the_sum_over_chunks_that_begin_with_a_constant_state(cell, steps):
    model = build(cell)
    loss, found = gradients(model, steps)

    model.zero_grad()
    batch = make_batch([([2], LINE), ([2], [*LINE[:4], 2])], [0, 1])
    memory = model.encode(batch.source, batch.source_mask)
    state, total = model.start(memory), 0.0
    for begin in range(0, LENGTH, steps):
        chunk = torch.zeros((), dtype=torch.float64)
        for place in range(begin, min(begin + steps, LENGTH)):
            step = model.step(batch.target_in[:, place], state, memory)
            state, real = step.state, batch.target_mask[:, place]
            log_probs = model.output.log_probs(step.features)
            chosen = log_probs.gather(1, batch.target_out[:, place].unsqueeze(1)).squeeze(1)
            chunk = chunk - chosen[real].sum()
        chunk.backward()
        total += chunk.item()
        state = state.detach()
    assert loss == pytest.approx(total, abs=1e-12)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, rtol=0, atol=1e-12)


def test_a_shorter_reach_changes_the_gradient_of_recurrent_weights_but_not_of_the_output():
    model = build("rnn", layers=1)
    _, full = gradients(model, 0)
    _, cut = gradients(model, 1)
    torch.testing.assert_close(
        cut["output.project.weight"], full["output.project.weight"], rtol=0, atol=1e-12
    )
    recurrent = "decoder.stack.layers.0.cells.0.recurrent.weight"
    assert not torch.allclose(cut[recurrent], full[recurrent])


def test_fast_modules_cut_at_the_same_places():
    plain, fast = build("lstm", hidden_size=16).float(), build("lstm", hidden_size=16).float()
    accelerate(fast, "training")
    for steps in (1, 3):
        _, expected = gradients(plain, steps)
        _, found = gradients(fast, steps)
        for name, grad in expected.items():
            torch.testing.assert_close(found[name], grad, rtol=1e-4, atol=1e-6)


def test_a_text_is_learnt_as_a_stream_and_validated_line_by_line(tmp_path):
    write_corpus(tmp_path)
    options = ("data.join_lines=40", "training.truncation=8", "training.max_updates=20")
    run_training(language_model(tmp_path, *options), tmp_path / "run", RunOptions())
    first, *_, last = entries(tmp_path / "run", "valid")
    assert last["loss"] < first["loss"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["tokenizer.sampling=0.1"],
            "data.join_lines: joins the pieces of lines, which tokenizer.sampling would draw "
            "again; set one of them to 0",
        ),
        (["data.source=xx"], "data.join_lines: is for language models"),
    ],
)
def test_joined_lines_need_a_language_model_with_fixed_pieces(tmp_path, overrides, message):
    (tmp_path / "c.toml").write_text('[data]\ntarget = "yy"\ntrain = "a"\nvalid = "b"\n')
    base = ["model.encoder=none", "model.decoder.attention=none", "model.decoder.bridge=zero"]
    if "data.source=xx" in overrides:
        overrides = ['data.source="xx"', 'data.train=["a", "b"]', 'data.valid=["c", "d"]']
        base = []
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path / "c.toml", [*base, "validation.metric=loss", "data.join_lines=9", *overrides]
        )
    assert message in str(caught.value)
