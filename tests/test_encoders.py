"""Encoders of all kinds are trained, shared and run by the commands of translation."""

from pathlib import Path

import pytest
import torch
from tiny import CONFIG, tiny, write_corpus

from nmt.config.experiment import Experiment
from nmt.errors import UsageError
from nmt.models.folder import load_model
from nmt.models.weights import weights_of
from nmt.training.assembly import assemble
from nmt.training.distributed import World
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

CONVOLUTIONAL = "encoder.kind = 'convolutional'\nencoder.hidden_size = 16\nencoder.layers = 2"
NORMALISED = f"{CONVOLUTIONAL}\nencoder.batch_norm = true"
BAG = "encoder.kind = 'bag'\nencoder.pool = 'sum'"


def translation(folder: Path, encoder: str, *overrides: str) -> Experiment:
    write_corpus(folder)
    path = folder / "tiny.toml"
    path.write_text(CONFIG.replace("encoder.hidden_size = 8", encoder))
    return tiny(folder, "training.max_updates=4", "training.save_every=2", *overrides)


@pytest.mark.parametrize("encoder", [CONVOLUTIONAL, BAG], ids=["convolutional", "bag"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_is_trained_and_translates_alike_with_and_without_fast_modules(
    tmp_path, encoder, precision
):
    experiment = translation(tmp_path, encoder, f"training.precision={precision}")
    run_training(experiment, tmp_path / "run", RunOptions())
    lines = (tmp_path / "valid.xx").read_text().splitlines()
    fast, plain = (
        [each.text for each in Translator.load(tmp_path / "run", fast=is_fast).translate(lines)]
        for is_fast in (True, False)
    )
    assert fast == plain
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    kind = "bag of words, sum" if encoder == BAG else "2 × convolution of 3, 16 units"
    assert f"| Encoder | {kind} |" in card


@pytest.mark.parametrize(
    "encoder", [CONVOLUTIONAL, NORMALISED, BAG], ids=["convolutional", "normalised", "bag"]
)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, encoder):
    run_training(translation(tmp_path, encoder), tmp_path / "whole", RunOptions())
    half = translation(tmp_path, encoder, "training.max_updates=2")
    run_training(half, tmp_path / "parts", RunOptions())
    run_training(translation(tmp_path, encoder), tmp_path / "parts", RunOptions())
    whole, parts = (
        weights_of(load_model(tmp_path / name, "last").model) for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    means = [name for name in whole if name.endswith(".mean")]
    assert len(means) == (4 if encoder == NORMALISED else 0)
    assert all(whole[name].abs().sum() > 0 for name in means)


def test_several_processes_cannot_share_the_means_of_a_batch(tmp_path):
    experiment = translation(tmp_path, NORMALISED, "training.max_updates=1")
    run_training(experiment, tmp_path / "run", RunOptions())
    with pytest.raises(UsageError) as error:
        assemble(experiment, tmp_path / "run", None, World(size=2), None)
    assert str(error.value) == (
        "model.encoder.batch_norm: a batch is shared by several processes, and each knows the "
        "means of its part alone; train in one process, or set it to false."
    )


def test_a_new_run_can_begin_with_a_convolutional_encoder(tmp_path):
    run_training(translation(tmp_path, CONVOLUTIONAL), tmp_path / "first", RunOptions())
    options = RunOptions(start_from=tmp_path / "first")
    assert run_training(tiny(tmp_path), tmp_path / "second", options) == 0
