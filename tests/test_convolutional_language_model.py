"""Convolutional language models are trained, scored and fused as recurrent ones are."""

import math
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, entries, tiny, write_corpus

from nmt.cli.main import run as nmt
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.errors import ConfigError
from nmt.models.folder import load_model
from nmt.models.weights import weights_of
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

LANGUAGE_MODEL = (
    'data.source=""',
    'data.train="train.yy"',
    'data.valid="valid.yy"',
    "model.encoder=none",
    'model.decoder={kind="convolutional", hidden_size=16, layers=2}',
    "validation.metric=loss",
)


def write(folder: Path) -> Path:
    path = write_corpus(folder)
    text = CONFIG.replace("encoder.hidden_size = 8\n", "").replace("decoder.hidden_size = 16\n", "")
    path.write_text(text)
    return path


def language_model(folder: Path, *overrides: str) -> Experiment:
    write(folder)
    return tiny(folder, *LANGUAGE_MODEL, *overrides)


def test_a_convolutional_language_model_learns_and_scores_a_line_by_the_probabilities_of_its_pieces(
    tmp_path, capsys
):
    experiment = language_model(tmp_path, "validation.every=10")
    run_training(experiment, tmp_path / "run", RunOptions())
    validations = entries(tmp_path / "run", "valid")
    assert validations[-1]["loss"] < validations[0]["loss"] < math.log(30)

    translator = Translator.load(tmp_path / "run", fast=False)
    (scored,) = translator.score([("", "a b c")])
    ids = [2, *translator.target.encode("a b c"), 3]
    model = translator.models[0]
    memory = model.encode(torch.tensor([[3]]), torch.tensor([[True]]))
    features = model.decode(memory, torch.tensor([ids[:-1]])).features[0]
    log_probs = model.output.log_probs(features).gather(1, torch.tensor(ids[1:]).unsqueeze(1))
    assert scored.log_probs == pytest.approx(log_probs.squeeze(1).tolist(), abs=1e-5)
    (fast,) = Translator.load(tmp_path / "run").score([("", "a b c")])
    assert fast.log_probs == pytest.approx(scored.log_probs, abs=1e-5)
    (tmp_path / "lines").write_text("a b c\n")
    assert nmt(["score", str(tmp_path / "run"), "--target", str(tmp_path / "lines")]) == 0
    assert capsys.readouterr().out.startswith(f"{scored.log_prob:.4f}\t4\t")


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    for run, updates in (("whole", 6), ("parts", 3), ("parts", 6)):
        experiment = language_model(tmp_path, f"training.max_updates={updates}")
        run_training(experiment, tmp_path / run, RunOptions())
    whole, parts = (
        weights_of(load_model(tmp_path / name, "last").model) for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_convolutional_language_model_is_fused_with_a_translation_model(tmp_path):
    write(tmp_path)
    quick = ("training.max_updates=4", "tokenizer.joint=false")
    run_training(
        tiny(tmp_path, *quick, "model.decoder.hidden_size=16"), tmp_path / "t", RunOptions()
    )
    settings = (*LANGUAGE_MODEL, "tokenizer.from=t", *quick)
    run_training(tiny(tmp_path, *settings), tmp_path / "lm", RunOptions())
    fused = Translator.load(tmp_path / "t", language_model=tmp_path / "lm")
    lines = (tmp_path / "valid.xx").read_text().splitlines()[:4]
    alone, together = (
        [each.log_prob for each in fused.translate(lines, search={"lm_weight": weight, "beam": 3})]
        for weight in (0.0, 0.5)
    )
    assert all(two < one for one, two in zip(alone, together, strict=True))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.encoder=bag", 'model.encoder.kind: must be "none" with model.decoder.kind "conv'),
        ("model.embedding.tied=target", 'model.embedding.tied: "target" needs model.decoder.hidd'),
        ("training.scheduled_sampling=linear", 'training.scheduled_sampling: must be "none" with'),
        ("model.output=numbers", 'model.output.kind: "numbers" needs model.decoder.kind "label"'),
    ],
)
def test_options_that_contradict_it_are_named(tmp_path, override, message):
    path = write(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(path, [*LANGUAGE_MODEL, override])
    assert message in str(caught.value)
