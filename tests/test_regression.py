"""Numbers as the output: predicted, trained by their squared error, and reported as such."""

import logging
import math
import random
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, entries, tiny

from nmt.cli.main import run as nmt
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.config.model import ModelConfig
from nmt.data.batch import make_batch
from nmt.errors import ConfigError, DataError, UsageError
from nmt.models.build import build_model
from nmt.models.folder import load_model
from nmt.models.weights import weights_of
from nmt.objectives.likelihood import Likelihood
from nmt.text.vectors import read_vectors
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

ADDING = (
    'model.encoder={kind="numbers", features=2, '
    'reader={cell="gru", hidden_size=16, bidirectional=false}}',
    "model.decoder=label",
    "model.output=numbers",
    "model.dropout=0",
    "model.initialization=xavier",
    "validation.metric=loss",
    "training.max_updates=8",
)


def additions(count: int, *, length: int = 6, seed: int = 1) -> list[tuple[str, str]]:
    """Return lines of numbers from 0 to 1, two of them marked, and the sum of the two.

    The adding problem (Hochreiter and Schmidhuber, 1997); guessing 1 has a mean squared error of
    1/6.
    """
    chance, found = random.Random(seed), []
    for _ in range(count):
        values = [round(chance.random(), 3) for _ in range(length)]
        marked = {chance.randrange(length // 2), chance.randrange(length // 2, length)}
        line = " ".join(f"{value},{int(place in marked)}" for place, value in enumerate(values))
        found.append((line, f"{sum(values[place] for place in marked):.3f}"))
    return found


def adding(folder: Path, *overrides: str, pairs: int = 400) -> Experiment:
    for part, lines in (("train", additions(pairs)), ("valid", additions(50, seed=2))):
        for suffix, side in zip(("xx", "yy"), zip(*lines, strict=True), strict=True):
            (folder / f"{part}.{suffix}").write_text("".join(f"{line}\n" for line in side))
    (folder / "tiny.toml").write_text(CONFIG.replace("encoder.hidden_size = 8\n", ""))
    return tiny(folder, *ADDING, *overrides)


def test_the_loss_is_the_mean_squared_error_of_each_line():
    config = {
        "encoder": {"kind": "numbers", "features": 2, "reader": {"kind": "bag"}},
        "decoder": {"kind": "label"},
        "output": {"kind": "numbers", "values": 2},
    }
    model = build_model(ModelConfig.model_validate(config), source_vocab=5, target_vocab=5)
    with torch.no_grad():
        model.output.project.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        model.output.project.bias.copy_(torch.tensor([0.5, 0.0]))
    pairs = [
        (read_vectors("1,0 3,2", 2), read_vectors("1,1", 2)),  # mean 2,1 -> predicts 4.5,-1
        (read_vectors("0,1", 2), read_vectors("2.5,-2", 2)),  # predicts 2.5,-1
    ]
    batch = make_batch(pairs, [0, 1])
    assert batch.tokens == 2
    loss = Likelihood().loss(model, batch)
    assert loss.total.item() == pytest.approx(((3.5**2 + 2**2) + (0 + 1)) / 2)
    assert loss.nll.item() == loss.total.item()
    assert loss.tokens == 2
    loss.total.backward()
    assert model.output.project.bias.grad.tolist() == pytest.approx([3.5, -2 + 1])


def test_adding_is_learned_far_below_the_error_of_a_constant(tmp_path):
    experiment = adding(
        tmp_path,
        "training.max_updates=80",
        "training.batch_tokens=100",
        "training.learning_rate=0.03",
        pairs=600,
    )
    run_training(experiment, tmp_path / "run", RunOptions())
    lines = additions(200, seed=3)
    found = Translator.load(tmp_path / "run").translate([source for source, _ in lines])
    errors = [(float(t.text) - float(y)) ** 2 for t, (_, y) in zip(found, lines, strict=True)]
    assert sum(errors) / len(errors) < 0.02 < 1 / 6


def test_validation_reports_the_squared_error_of_the_predictions(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run_training(adding(tmp_path), tmp_path / "run", RunOptions())
    sources, references = (
        (tmp_path / f"valid.{side}").read_text().splitlines() for side in ("xx", "yy")
    )
    found = Translator.load(tmp_path / "run", fast=False).translate(sources)
    errors = [(float(t.text) - float(y)) ** 2 for t, y in zip(found, references, strict=True)]
    (report,) = entries(tmp_path / "run", "valid")
    assert report["loss"] == pytest.approx(sum(errors) / len(errors), rel=1e-4)
    assert report["loss_name"] == "squared error"
    assert f"valid      8  squared error {report['loss']:.4g}  best so far" in caplog.text
    assert "ppl" not in caplog.text
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert card.startswith("# Regression model xx → yy\n")
    assert f"Mean squared error on the validation files: {report['loss']:.4g}" in card
    assert "erplexity" not in card


def test_a_run_is_shown_without_perplexities(tmp_path, capsys):
    run_training(adding(tmp_path), tmp_path / "run", RunOptions())
    capsys.readouterr()
    assert nmt(["show", str(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "train error" in shown
    assert "valid error" in shown
    assert "ppl" not in shown
    assert "BLEU" not in shown


def test_lines_in_are_predictions_out(tmp_path, capsys):
    run_training(adding(tmp_path), tmp_path / "run", RunOptions())
    (tmp_path / "lines").write_text("0.5,1 0.25,1\n\n0.5,1\n")
    capsys.readouterr()
    assert nmt(["translate", str(tmp_path / "run"), "-i", str(tmp_path / "lines")]) == 0
    first, blank, last = capsys.readouterr().out.splitlines()
    assert blank == ""
    assert all(math.isfinite(float(number)) for number in (first, last))
    together = Translator.load([tmp_path / "run"] * 2).translate(["0.5,1 0.25,1"])
    assert [each.text for each in together] == [first]


def test_a_model_without_embeddings_may_have_any_size_of_them(tmp_path):
    run_training(adding(tmp_path, "model.embedding.size=512"), tmp_path / "run", RunOptions())
    weights = weights_of(load_model(tmp_path / "run", "last").model)
    assert not [name for name in weights if "embedding" in name]


def test_text_can_be_the_source_of_numbers(tmp_path):
    adding(tmp_path)
    for part in ("train", "valid"):
        (tmp_path / f"{part}.xx").write_text("a b\nc\n" * 5)
        (tmp_path / f"{part}.yy").write_text("1,0\n0,1\n" * 5)
    overrides = ('model.encoder={kind="bag"}', "model.output.values=2")
    run_training(tiny(tmp_path, *ADDING, *overrides), tmp_path / "run", RunOptions())
    (found,) = Translator.load(tmp_path / "run").translate(["a b"])
    assert read_vectors(found.text, 2).shape == (1, 2)


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    run_training(adding(tmp_path), tmp_path / "whole", RunOptions())
    run_training(adding(tmp_path, "training.max_updates=4"), tmp_path / "parts", RunOptions())
    run_training(adding(tmp_path), tmp_path / "parts", RunOptions())
    whole, parts = (
        weights_of(load_model(tmp_path / name, "last").model) for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("0.5 1", "has 2 words"),
        ("half", '"half" is not a finite number; write numbers such as 0.5 or -1e-3'),
        ("1,2", 'position 1, "1,2", has 2 numbers, not 1'),
    ],
)
def test_bad_references_are_refused_with_their_line(tmp_path, line, fault):
    experiment = adding(tmp_path)
    path = tmp_path / "train.yy"
    path.write_text(path.read_text().replace("\n", f"\n{line}\n", 1))
    with (tmp_path / "train.xx").open("a") as source:
        source.write("1,1\n")
    text = rf"{path}:2: {fault}; model.output.values is 1, between commas \(1 of 401 lines"
    with pytest.raises(DataError, match=text):
        run_training(experiment, tmp_path / "run", RunOptions())


def test_what_needs_probabilities_is_refused(tmp_path):
    run_training(adding(tmp_path), tmp_path / "run", RunOptions())
    translator = Translator.load(tmp_path / "run")
    text = (
        "this model predicts numbers, which have no probabilities; translate the source and "
        r"compare the numbers\.$"
    )
    with pytest.raises(UsageError, match=text):
        translator.score([("1,1", "1")])
    text = (
        "this model predicts numbers, one prediction a line; set n_best to 1, and leave samples "
        r"and prefixes out\.$"
    )
    for options in ({"search": {"n_best": 2, "beam": 2}}, {"prefixes": ["1"]}):
        with pytest.raises(UsageError, match=text):
            translator.translate(["1,1"], **options)
    with pytest.raises(UsageError, match="has no attention"):
        translator.translate(["1,1"], align=True)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.decoder=recurrent", 'model.output.kind: "numbers" needs model.decoder.kind "label'),
        ("validation.metric=chrf", 'validation.metric: must be "loss" with model.output.kind "num'),
        ("training.label_smoothing=0.1", "training.label_smoothing: must be 0 with model.output.k"),
    ],
)
def test_options_that_contradict_numbers_are_named(tmp_path, override, message):
    adding(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "tiny.toml", [*ADDING, override])
    assert message in str(caught.value)
