"""`nmt train --from`: a new run that begins with the weights of a trained model."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny import CONFIG, tiny, write_corpus

from nmt.config.load import load, resolve_paths
from nmt.errors import ConfigError, DataError, ModelError, UsageError
from nmt.storage.checksums import sha256_of
from nmt.storage.tensors import load_tensors
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

DATA_ONLY = CONFIG[: CONFIG.index("[tokenizer]")] + CONFIG[CONFIG.index("[training]") :]


@pytest.fixture
def parent(tmp_path):
    """A finished run on letters a to j; the model folder alone lies in `shared`."""
    folder = tmp_path / "first"
    folder.mkdir()
    assert run_training(tiny(folder, "training.max_updates=2"), tmp_path / "a", RunOptions()) == 0
    shutil.copytree(tmp_path / "a" / "model", tmp_path / "shared")
    other = tmp_path / "second"
    other.mkdir()
    write_corpus(other, seed=7, letters="abcdefghijk")
    (other / "tiny.toml").write_text(DATA_ONLY)
    return tmp_path


def go_on(
    folder: Path, *overrides: str, start: str | None = "a", run: str = "b", resume: str = "auto"
) -> Path:
    config = folder / "second" / "tiny.toml"
    experiment = resolve_paths(load(config, overrides), config.parent)
    options = RunOptions(resume=resume, start_from=start and folder / start)
    assert run_training(experiment, folder / run, options) == 0
    return folder / run


@pytest.mark.parametrize("start", ["a", "a/model", "shared"])
def test_a_run_begins_with_the_weights_and_pieces_of_a_model(parent, start, caplog):
    """It is validated before the first update, so that there is a model from the beginning."""
    run = go_on(parent, "training.max_updates=3", start=start)
    shipped = load_tensors(parent / "shared" / "model.safetensors")
    began = load_tensors(run / "checkpoints/update-000000/model.safetensors")
    assert began.keys() == shipped.keys()
    assert all(torch.equal(began[name], shipped[name]) for name in began)
    for name in ("source.model", "target.model"):
        assert (run / "data" / name).read_bytes() == (parent / "shared" / name).read_bytes()
    entries = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["update"]) for entry in entries[:2]] == [
        ("valid", 0),
        ("update", 1),
    ]
    assert any("starting with the weights of" in line for line in caplog.messages)
    origin = json.loads((run / "manifest.json").read_text())["starts"][0]["started_from"]
    assert origin["weights"] == sha256_of(parent / "shared" / "model.safetensors")
    assert len(list(Translator.load(run).translate(["a b c"]))) == 1


def test_such_a_run_resumes_as_any_other_bit_for_bit(parent):
    """With the same command, without --from, or with its own configuration, also after the model
    was deleted."""
    whole = go_on(parent, "training.max_updates=6", run="whole")
    go_on(parent, "training.max_updates=2", start="shared", run="pieces")
    shutil.rmtree(parent / "shared")
    go_on(parent, "training.max_updates=3", start="shared", run="pieces")
    pieces = go_on(parent, "training.max_updates=4", start=None, run="pieces")
    own = load(pieces / "config.toml", ["training.max_updates=6"])
    assert run_training(own, pieces, RunOptions()) == 0
    weights = [
        load_tensors(run / "checkpoints/update-000006/model.safetensors") for run in (whole, pieces)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_dropout_is_that_of_the_configuration_if_it_names_one(parent):
    kept = load(go_on(parent, "training.max_updates=1", run="kept") / "config.toml")
    assert kept.model.dropout.embedding == 0.1
    named = go_on(parent, "training.max_updates=1", "model.dropout=0.3", run="named")
    assert load(named / "config.toml").model.dropout.embedding == 0.3


def test_a_contradiction_is_refused_with_both_values(parent):
    with pytest.raises(UsageError) as caught:
        go_on(parent, "model.encoder.hidden_size=12", "tokenizer.vocab_size=99")
    assert str(caught.value) == (
        f"{parent / 'a'}: its model has other values than the configuration "
        "(model -> configuration):\n"
        "  model.encoder.hidden_size: 8 -> 12\n"
        "  tokenizer.vocab_size: 30 -> 99\n"
        "Remove these keys, or all of [model], [normalization] and [tokenizer]: "
        "they come with the model."
    )
    assert not (parent / "b").exists()


def test_a_setting_that_does_not_suit_the_model_is_refused(parent):
    reads_nothing = CONFIG.replace("[model]", '[model]\ndecoder.input = "none"')
    (parent / "first" / "tiny.toml").write_text(reads_nothing)
    first = tiny(parent / "first", "training.max_updates=1")
    assert run_training(first, parent / "none", RunOptions()) == 0
    said = r'none: training\.scheduled_sampling: must be "none" when model\.decoder\.input'
    with pytest.raises(ConfigError, match=said):
        go_on(parent, "training.scheduled_sampling=linear", start="none")


def test_a_missing_or_unfinished_model_leaves_no_run_behind(parent):
    with pytest.raises(ModelError, match="nowhere: no such folder"):
        go_on(parent, start="nowhere")
    with pytest.raises(ModelError, match="is neither a run nor a model folder"):
        go_on(parent, start="second")
    assert not (parent / "b").exists()


def test_an_existing_run_is_not_taken_for_a_new_one(parent):
    with pytest.raises(UsageError, match=r"is the --run itself; choose another --run\.$"):
        go_on(parent, run="a")
    said = (
        "a: holds a run already, which did not begin with another model; choose another --run, or "
        r"resume it without --from\.$"
    )
    with pytest.raises(UsageError, match=said):
        go_on(parent, start="shared", run="a")
    go_on(parent, "training.max_updates=1")
    with pytest.raises(UsageError, match=rf"began with {parent / 'a' / 'model'}; choose another"):
        go_on(parent, start="shared")


def test_another_language_is_pointed_out(parent, caplog):
    go_on(parent, "training.max_updates=1", "data.target=zz")
    assert any('was trained with data.target = "yy", now it is "zz"' in m for m in caplog.messages)


def test_changed_text_names_the_way_to_go_on(parent):
    write_corpus(parent / "first", seed=2)
    said = f"on other text: nmt train CONFIG --run ANOTHER --from {parent / 'a'}"
    with pytest.raises(DataError, match=said):
        run_training(tiny(parent / "first", "training.max_updates=4"), parent / "a", RunOptions())
