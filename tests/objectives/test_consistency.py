"""SimCut and R-Drop: their equations, what they leave alone, and runs that resume."""

import itertools
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny, write_corpus
from torch.nn import functional as F

from nmt.config.model import ModelConfig
from nmt.config.training import RDropConfig, SimCutConfig, TrainingConfig
from nmt.data.batch import Batch, make_batch
from nmt.errors import ConfigError
from nmt.fast.accelerate import accelerate
from nmt.layers import embedding as embeddings
from nmt.layers.regularization import divergence
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.build import build_objective
from nmt.objectives.consistency import Consistency, cut_pieces
from nmt.objectives.likelihood import Likelihood
from nmt.storage.tensors import load_tensors
from nmt.text.vocabulary import EOS
from nmt.training.run import RunOptions, run_training

VOCAB, RATE, SMOOTHING = 11, 0.4, 0.1
PAIRS = [([4, 5, 6, EOS], [7, EOS]), ([9, EOS], [5, 8, 8, 10, EOS]), ([4, 4, EOS], [6, 7, EOS])]
LANGUAGE_MODEL = {
    "encoder": {"kind": "none"},
    "decoder": {"hidden_size": 32, "attention": "none", "bridge": "zero"},
}
MODELS: dict[str, dict[str, Any]] = {
    "at once": {},
    "by steps": {"decoder": {"hidden_size": 32, "input_feeding": True}},
    "before": {"decoder": {"hidden_size": 32, "attend": "before", "attention": "additive"}},
    "tied": {"embedding": {"size": 32, "tied": "all"}},
    "language model": LANGUAGE_MODEL,
}
SIMCUT, R_DROP = SimCutConfig(weight=3.0, rate=RATE), RDropConfig(weight=5.0)


def build(parts: dict[str, Any], **dropout: float) -> EncoderDecoder:
    torch.manual_seed(1)
    sizes = {"embedding": {"size": 6}, "encoder": {"hidden_size": 16}}
    sizes |= {"decoder": {"hidden_size": 32}}
    config = ModelConfig.model_validate(
        sizes | {"initialization": {"kind": "uniform", "scale": 0.5}} | {"dropout": dropout} | parts
    )
    return build_model(config, source_vocab=VOCAB, target_vocab=VOCAB).double().train()


def batch_of(*pairs: tuple[list[int], list[int]], **options: Any) -> Batch:
    ids = [(np.array(source), np.array(target)) for source, target in pairs]
    return make_batch(ids, range(len(ids)), **options)


BATCH = batch_of(*PAIRS)


def gradients(model: EncoderDecoder, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], **near: float):
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, **near, msg=name)


def predict(model: EncoderDecoder) -> torch.Tensor:
    """Return log p of each piece at each real target position, from the plain equations."""
    memory = model.encode(BATCH.source, BATCH.source_mask)
    features = model.decode(memory, BATCH.target_in).features[BATCH.target_mask]
    logits = features @ model.output.project.weight.t() + model.output.project.bias
    return logits - logits.exp().sum(dim=1, keepdim=True).log()


def smoothed_loss(log_p: torch.Tensor) -> torch.Tensor:
    q = torch.full_like(log_p, SMOOTHING / VOCAB)
    gold = BATCH.target_out[BATCH.target_mask]
    q[torch.arange(len(gold)), gold] += 1 - SMOOTHING
    return -(q * log_p).sum()


def kl(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    return F.kl_div(log_q, log_p, reduction="sum", log_target=True)


def simcut(model: EncoderDecoder) -> torch.Tensor:
    log_p = predict(model)
    readers = [module for module in model.modules() if isinstance(module, embeddings.Embedding)]
    for reader in readers:
        reader.word_dropout = RATE
    log_q = predict(model)
    for reader in readers:
        reader.word_dropout = 0.0
    return smoothed_loss(log_p) + SIMCUT.weight * kl(log_p, log_q)


def r_drop(model: EncoderDecoder) -> torch.Tensor:
    log_p, log_q = predict(model), predict(model)
    both = kl(log_p, log_q) + kl(log_q, log_p)
    paper = smoothed_loss(log_p) + smoothed_loss(log_q) + R_DROP.weight * both / 2
    return paper / 2


@pytest.mark.parametrize("fast", [False, True], ids=["plain", "fast"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("config", [SIMCUT, R_DROP], ids=["simcut", "r_drop"])
def test_the_loss_and_its_gradient_are_those_of_the_paper(config, name, fast):
    dropout = {"embedding": 0.2, "layers": 0.2, "readout": 0.3}
    model = build(MODELS[name], **dropout)
    if fast:
        accelerate(model, "training")
    objective = Consistency(likelihood=Likelihood(smoothing=SMOOTHING), config=config)

    torch.manual_seed(5)
    found = objective.loss(model, BATCH, updates=0)
    torch.manual_seed(5)
    expected = (simcut if config is SIMCUT else r_drop)(model)
    torch.manual_seed(5)
    likelihood = Likelihood().loss(model, BATCH)

    torch.testing.assert_close(found.total, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.nll, likelihood.nll, rtol=1e-12, atol=0)
    assert found.tokens == likelihood.tokens
    near = {"rtol": 1e-9, "atol": 1e-12}
    assert_equal(gradients(model, found.total), gradients(model, expected), **near)


@pytest.mark.parametrize("config", [SIMCUT, R_DROP], ids=["simcut", "r_drop"])
def test_fast_modules_in_single_precision_stay_close(config):
    found = []
    for fast in (False, True):
        model = build({}, embedding=0.2, readout=0.2).float()
        if fast:
            accelerate(model, "training")
        torch.manual_seed(5)
        objective = Consistency(likelihood=Likelihood(smoothing=SMOOTHING), config=config)
        found.append(gradients(model, objective.loss(model, BATCH, updates=0).total))
    assert_equal(*found, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["simcut", "r_drop"])
def test_a_weight_of_zero_is_the_likelihood_alone(kind):
    config = {"label_smoothing": 0.1, "consistency": {"kind": kind, "weight": 0.0}}
    objective = build_objective(TrainingConfig.model_validate(config))
    assert objective == build_objective(TrainingConfig(label_smoothing=0.1))


def test_the_weight_rises_linearly_while_it_warms_up():
    objective = Consistency(likelihood=Likelihood(), config=SimCutConfig(weight=3.0, warmup=4))
    assert [objective.weight_after(n) for n in (0, 1, 2, 4, 5)] == [0.0, 0.75, 1.5, 3.0, 3.0]
    model = build({})
    torch.manual_seed(5)
    first = objective.loss(model, BATCH, updates=0)
    torch.testing.assert_close(first.total.detach(), first.nll)


def test_pieces_are_cut_on_top_of_word_dropout_and_only_inside_the_block():
    model = build({}, source_words=0.5)

    def rates() -> list[float]:
        return [model.encoder.embedding.word_dropout, model.decoder.embedding.word_dropout]

    with cut_pieces(model, 0.2):
        assert rates() == pytest.approx([0.6, 0.2])
    assert rates() == [0.5, 0.0]
    with pytest.raises(ZeroDivisionError), cut_pieces(model, 0.2):
        1 / 0  # noqa: B018
    assert rates() == [0.5, 0.0]


# --- parts of an update ------------------------------------------------------------------------


@contextmanager
def the_same_draws(monkeypatch: pytest.MonkeyPatch):
    """Cut the second piece of each sentence; drop other values in the second pass."""
    calls = itertools.count()

    def dropped(like: torch.Tensor, shape: tuple[int, ...], rate: float) -> torch.Tensor:
        mask = torch.ones(shape, dtype=like.dtype) / (1 - rate)
        mask[..., next(calls) // 2] = 0.0
        return mask

    def cut(like: torch.Tensor, shape: tuple[int, ...], rate: float) -> torch.Tensor:
        mask = torch.ones(shape, dtype=like.dtype)
        mask[:, 1:2] = 0.0
        return mask

    with monkeypatch.context() as patch:
        patch.setattr(embeddings, "dropout_mask", dropped)
        patch.setattr(embeddings, "word_mask", cut)
        yield


@pytest.mark.parametrize("parts", [{}, {"output": "copy"}], ids=["softmax", "copy"])
@pytest.mark.parametrize("config", [SIMCUT, R_DROP], ids=["simcut", "r_drop"])
def test_how_an_update_is_split_cannot_change_its_gradient(config, parts, monkeypatch):
    model = build(parts, embedding=0.2)
    objective = Consistency(likelihood=Likelihood(smoothing=SMOOTHING), config=config)
    found = []
    for batches in ([BATCH], [batch_of(*PAIRS[:2]), batch_of(PAIRS[2])]):
        total = torch.zeros((), dtype=torch.float64)
        for batch in batches:
            with the_same_draws(monkeypatch):
                total = total + objective.loss(model, batch, updates=0).total
        found.append(gradients(model, total))
    assert_equal(*found, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("config", [SIMCUT, R_DROP], ids=["simcut", "r_drop"])
def test_rows_without_a_pair_add_nothing(config, monkeypatch):
    model = build({}, embedding=0.2)
    objective = Consistency(likelihood=Likelihood(), config=config)
    found = []
    for batch in (BATCH, batch_of(*PAIRS, round_rows=lambda rows: rows + 2)):
        with the_same_draws(monkeypatch):
            found.append(gradients(model, objective.loss(model, batch, updates=0).total))
    assert_equal(*found, rtol=1e-9, atol=1e-12)


# --- what is impossible ------------------------------------------------------------------------


def test_what_is_impossible_in_both_adds_neither_value_nor_gradient():
    scores = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    wide = F.pad(scores, (0, 2), value=-torch.inf).log_softmax(dim=1)
    narrow = scores.log_softmax(dim=1)
    found = []
    for log_p in (narrow, wide):
        loss = divergence(log_p, log_p.flip(0)).sum()
        found.append((loss, torch.autograd.grad(loss, scores)[0]))
    torch.testing.assert_close(found[0], found[1])
    assert found[0][0] > 0


@pytest.mark.parametrize(
    "parts",
    [
        {"output": "copy"},
        {"output": {"kind": "pointer", "hidden_size": 5}},
        {"decoder": {"kind": "label"}},
        {"encoder": {"kind": "numbers", "features": 2, "reader": {"hidden_size": 8}}},
    ],
    ids=["copy", "pointer", "label", "numbers"],
)
@pytest.mark.parametrize("config", [SIMCUT, R_DROP], ids=["simcut", "r_drop"])
def test_models_of_other_kinds_get_finite_gradients(config, parts):
    model = build(parts, embedding=0.2, readout=0.2)
    batch = batch_of(([4, 5, EOS], [5, EOS]), ([6, EOS], [6, EOS]))
    if model.features:
        numbers = np.ones((2, 2), np.float32)
        batch = make_batch([(numbers, np.array([5, EOS])), (numbers, np.array([6, EOS]))], [0, 1])
    loss = Consistency(likelihood=Likelihood(), config=config).loss(model, batch, updates=0)
    assert loss.total.item() != loss.nll.item()
    assert all(gradient.isfinite().all() for gradient in gradients(model, loss.total).values())


# --- training ----------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [SIMCUT, R_DROP], ids=["simcut", "r_drop"])
def test_predictions_become_consistent(config):
    apart = []
    for objective in (Likelihood(), Consistency(likelihood=Likelihood(), config=config)):
        model = build({}, embedding=0.3)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for update in range(15):
            optimizer.zero_grad()
            objective.loss(model, BATCH, updates=update).total.backward()
            optimizer.step()
        with torch.no_grad(), cut_pieces(model, RATE):
            pairs = [kl(predict(model), predict(model)).item() for _ in range(20)]
        apart.append(sum(pairs))
    assert apart[1] < 0.7 * apart[0]


def train(folder: Path, run: str, *overrides: str) -> dict[str, torch.Tensor]:
    """Return the weights and the optimizer's state at the end of a run."""
    assert run_training(tiny(folder, *overrides), folder / run, RunOptions()) == 0
    (last,) = (folder / run / "checkpoints").glob("update-000008")
    return load_tensors(last / "model.safetensors") | load_tensors(last / "optimizer.safetensors")


@pytest.mark.parametrize("kind", ["simcut", "r_drop"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, kind):
    write_corpus(tmp_path)
    options = (
        f'training.consistency={{kind = "{kind}", warmup = 6}}',
        "training.accumulate=2",
        "validation.metric=loss",
    )
    whole = train(tmp_path, "whole", *options, "training.max_updates=8")
    run_training(
        tiny(tmp_path, *options, "training.max_updates=3"), tmp_path / "pieces", RunOptions()
    )
    pieces = train(tmp_path, "pieces", *options, "training.max_updates=8")
    assert whole.keys() == pieces.keys()
    assert all(torch.equal(tensor, pieces[name]) for name, tensor in whole.items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["training.consistency=r_drop", "model.dropout=0.0"],
            'training.consistency: "r_drop" compares two predictions with different dropout masks, '
            "but every rate in model.dropout is 0; set one, such as model.dropout = 0.3",
        ),
        (
            [
                "training.consistency=simcut",
                "model.decoder=label",
                'model.output={kind = "numbers"}',
                "validation.metric=loss",
            ],
            'training.consistency: must be "none" with model.output.kind "numbers", which has no '
            "probabilities to compare",
        ),
        (
            [
                "training.consistency=simcut",
                "model.decoder=label",
                'model.encoder={kind = "numbers", features = 2}',
                "validation.metric=loss",
            ],
            'training.consistency: "simcut" cuts pieces, but model.encoder.kind is "numbers" and '
            'model.decoder.kind "label"; use "r_drop"',
        ),
        (
            ["training.consistency=simcut", "training.scheduled_sampling=constant"],
            'training.consistency: must be "none" with training.scheduled_sampling: two '
            "predictions of a pair would follow different prefixes; use one of them",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, overrides, message):
    with pytest.raises(ConfigError) as caught:
        tiny(tmp_path, *overrides)
    assert message in str(caught.value)
