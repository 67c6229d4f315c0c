"""Minimum risk training: its equations, its samples, and that it raises the score."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sacrebleu.metrics.chrf import CHRF
from tiny import tiny, write_corpus

from nmt.config.model import ModelConfig
from nmt.config.training import MinimumRiskConfig
from nmt.data.batch import Batch, make_batch
from nmt.errors import ConfigError
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.likelihood import Likelihood
from nmt.objectives.risk import MinimumRisk
from nmt.storage.tensors import load_tensors
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS
from nmt.training.run import RunOptions, run_training

LINES = ["anna legge il libro", "il cane dorme", "la casa è rossa", "il gatto dorme"]
SHARPNESS = 0.4


@pytest.fixture(scope="module")
def subword(tmp_path_factory) -> Subword:
    folder = tmp_path_factory.mktemp("pieces")
    return Subword.train(LINES * 3, folder / "m", kind="word", vocab_size=30, byte_fallback=False)


@pytest.fixture
def model(subword) -> EncoderDecoder:
    torch.manual_seed(1)
    config = ModelConfig.model_validate(
        {
            "embedding": {"size": 8},
            "encoder": {"hidden_size": 8},
            "decoder": {"hidden_size": 16},
            "initialization": {"kind": "uniform", "scale": 0.5},
        }
    )
    vocab = subword.vocab_size
    return build_model(config, source_vocab=vocab, target_vocab=vocab).double().train()


def batch_of(subword: Subword, *numbers: int, **options) -> Batch:
    ids = [np.array([*subword.encode(LINES[n]), EOS]) for n in numbers]
    return make_batch([([*each[::-1][1:].tolist(), EOS], each) for each in ids], numbers, **options)


def risk_of(subword: Subword, **options) -> MinimumRisk:
    config = MinimumRiskConfig(**{"weight": 0.6, "samples": 5, "sharpness": SHARPNESS} | options)
    return MinimumRisk(likelihood=Likelihood(smoothing=0.1), config=config, target=subword, seed=1)


def gradients(model: EncoderDecoder, loss: torch.Tensor) -> list[torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return [w.grad.clone() for w in model.parameters() if w.grad is not None]


def log_p(model: EncoderDecoder, batch: Batch, row: int, tokens: tuple[int, ...]) -> torch.Tensor:
    """Return log p of one translation, step by step."""
    real = batch.source_mask[row : row + 1]
    memory = model.encode(batch.source[row : row + 1, : real.sum()], real[:, : real.sum()])
    state, previous, total = model.start(memory), 2, torch.zeros((), dtype=torch.float64)
    for token in (*tokens, EOS):
        step = model.step(torch.tensor([previous]), state, memory)
        total = total + model.output.log_probs(step.features)[0, token]
        state, previous = step.state, token
    return total


def test_the_loss_and_its_gradient_are_those_of_the_paper(model, subword):
    batch, objective = batch_of(subword, 0, 1), risk_of(subword)
    found = objective.loss(model, batch, updates=3)
    candidates = objective.candidates(model, batch, 3)

    expected = 0.4 * Likelihood(smoothing=0.1).loss(model, batch).total
    for row, each in enumerate(candidates):
        assert len(each) > 1
        weights = [torch.exp(SHARPNESS * log_p(model, batch, row, tokens)) for tokens in each]
        reference = subword.decode(each[0])
        assert reference == LINES[row]
        for tokens, weight in zip(each, weights, strict=True):
            chrf = CHRF().sentence_score(subword.decode(tokens), [reference]).score / 100
            length = len(each[0]) + 1
            expected = expected + 0.6 * length * weight / sum(weights) * (1 - chrf)
    torch.testing.assert_close(found.total, expected, rtol=1e-6, atol=0)
    near = {"rtol": 1e-5, "atol": 1e-7}
    torch.testing.assert_close(gradients(model, found.total), gradients(model, expected), **near)
    assert model.training


def test_samples_depend_on_pair_and_update_alone(model, subword):
    objective = risk_of(subword)
    together = objective.candidates(model, batch_of(subword, 0, 1, 2), 4)
    apart = [objective.candidates(model, batch_of(subword, n), 4)[0] for n in range(3)]
    assert together == apart
    assert together != objective.candidates(model, batch_of(subword, 0, 1, 2), 5)
    for each in together:
        assert len(set(each)) == len(each) <= 6


def test_neither_the_split_of_an_update_nor_empty_rows_change_its_gradient(model, subword):
    objective, found = risk_of(subword), []
    whole = batch_of(subword, 0, 1, 2)
    parts = [batch_of(subword, 0), batch_of(subword, 1, 2)]
    padded = batch_of(subword, 0, 1, 2, round_rows=lambda rows: rows + 2)
    for batches in ([whole], parts, [padded]):
        losses = [objective.loss(model, batch, updates=4).total for batch in batches]
        found.append(gradients(model, torch.stack(losses).sum()))
    torch.testing.assert_close(found[1], found[0])
    torch.testing.assert_close(found[2], found[0])


def test_the_risk_falls(model, subword):
    objective = risk_of(subword, weight=1.0, sharpness=1.0, samples=8)
    batch = batch_of(subword, 0, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    risks = []
    for update in range(25):
        optimizer.zero_grad()
        loss = objective.loss(model, batch, updates=update)
        loss.total.backward()
        optimizer.step()
        risks.append(loss.total.item() / loss.tokens)
    assert math.fsum(risks[-5:]) < 0.5 * math.fsum(risks[:5])


def test_a_run_begins_with_a_model_and_resumes_bit_for_bit(tmp_path: Path):
    write_corpus(tmp_path, pairs=20)
    options = ("validation.metric=loss", "training.batch_tokens=20")
    run_training(tiny(tmp_path, *options, "training.max_updates=2"), tmp_path / "m", RunOptions())
    options = (*options, "training.minimum_risk={weight = 0.5, samples = 2}")
    kept = []
    for run, stops in (("whole", (4,)), ("pieces", (1, 4))):
        for updates in stops:
            experiment = tiny(tmp_path, *options, f"training.max_updates={updates}")
            start = RunOptions(start_from=tmp_path / "m")
            assert run_training(experiment, tmp_path / run, start) == 0
        kept.append(load_tensors(tmp_path / run / "checkpoints/update-000004/model.safetensors"))
    assert all(torch.equal(weight, kept[1][name]) for name, weight in kept[0].items())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.decoder=label",
            "training.minimum_risk.weight: must be 0 unless the model translates into text",
        ),
        (
            "model.output=copy",
            'training.minimum_risk.weight: must be 0 with model.output "copy": what is copied from '
            "the source has no pieces of the target; use another output",
        ),
        (
            "training.consistency=simcut",
            'training.minimum_risk.weight: must be 0 with training.consistency "simcut"; use one '
            "of them",
        ),
    ],
)
def test_what_cannot_be_drawn_and_scored_is_refused(tmp_path, override, message):
    with pytest.raises(ConfigError) as caught:
        tiny(tmp_path, "training.minimum_risk.weight=0.5", override, "validation.metric=loss")
    assert message in str(caught.value)
