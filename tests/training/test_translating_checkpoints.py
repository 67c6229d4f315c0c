"""A checkpoint of a run translates, with the weights that would be shipped."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from tiny import train_tiny

from nmt.config.load import load
from nmt.errors import ModelError, UsageError
from nmt.models.checkpoints import list_checkpoints
from nmt.models.folder import load_model
from nmt.models.weights import weights_of
from nmt.storage.checksums import write_checksums
from nmt.storage.tensors import load_tensors
from nmt.translator import Translator

LINES = ["a b c", "d d e", "", "j i"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with checkpoints 4, 8 and 10 (the best), with moving averages."""
    folder = tmp_path_factory.mktemp("trained")
    keys = ("training.max_updates=10", "training.save_every=4", "training.keep_last=3")
    keys += ("training.ema=0.5", "validation.every=8", "validation.metric='loss'")
    return train_tiny(folder, *keys)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return shutil.copytree(trained, tmp_path / "run")


def texts(path: Path, checkpoint: str | int | None = None) -> list[str]:
    return [found.text for found in Translator.load(path, checkpoint=checkpoint).translate(LINES)]


def test_the_best_checkpoint_is_the_shipped_model(trained):
    for checkpoint in (10, "10", "update-000010", "best"):
        assert texts(trained, checkpoint) == texts(trained)
    shipped = Translator.load(trained)
    for name in ("model", "checkpoints/update-000010"):
        found = Translator.load(trained / name)
        pairs = [("a b c", "a b c"), ("d", "e")]
        assert list(found.score(pairs)) == list(shipped.score(pairs))


def test_a_checkpoint_gives_its_moving_average(trained):
    for path in list_checkpoints(trained):
        found = weights_of(load_model(path).model)
        expected = load_tensors(path / "ema.safetensors")
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_without_a_moving_average_a_checkpoint_gives_its_weights(run):
    (path,) = (path for path in list_checkpoints(run) if path.name == "update-000004")
    (path / "ema.safetensors").unlink()
    write_checksums(path)
    found = weights_of(load_model(run, 4).model)
    expected = load_tensors(path / "model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_search_options_are_those_of_the_run(run):
    config = run / "config.toml"
    config.write_text(config.read_text().replace("beam = 5", "beam = 2"))
    assert load(config).search.beam == 2
    assert load_model(run, "last").config.search.beam == 2


def test_a_checkpoint_is_named_from_inside_its_folder(trained, monkeypatch):
    expected = texts(trained, 4)
    monkeypatch.chdir(trained / "checkpoints")
    assert texts(Path("update-000004")) == expected
    monkeypatch.chdir("update-000004")
    assert texts(Path()) == expected


def test_checkpoints_form_an_ensemble(trained):
    folder = trained / "checkpoints"
    copies = Translator.load([folder / "update-000004"] * 2)
    assert [found.text for found in copies.translate(LINES)] == texts(trained, 4)
    with pytest.raises(
        UsageError,
        match="--checkpoint 4: is for a single run; for an ensemble, name the paths of checkpoints,"
        f" such as {trained}/checkpoints/NAME.$",
    ):
        Translator.load([trained, trained], checkpoint=4)


def test_the_folder_of_all_checkpoints_is_refused_with_the_name_of_one(trained):
    with pytest.raises(
        ModelError,
        match=r"run/checkpoints: holds all checkpoints of a run; name one, such as "
        r"[^ ]+/run/checkpoints/update-000010, or the run, [^ ]+/run.$",
    ):
        Translator.load(trained / "checkpoints")


def test_a_run_without_a_model_names_its_checkpoints_and_translates_with_one(run):
    shutil.rmtree(run / "model")
    with pytest.raises(
        ModelError,
        match="run: holds no model yet, its first validation will write one; use a checkpoint by "
        r"--checkpoint update-000010 \(it has 3, from update-000004\)\.$",
    ):
        Translator.load(run)
    assert len(texts(run, "last")) == len(LINES)
    for path in list_checkpoints(run)[1:]:
        shutil.rmtree(path)
    with pytest.raises(ModelError, match=r"--checkpoint update-000004 \(the only one\)"):
        Translator.load(run)


def test_a_checkpoint_that_does_not_exist_is_refused_with_those_that_do(trained):
    known = "it has: update-000004, update-000008, update-000010"
    for name in ("7", "update-7", "../model", "newest"):
        with pytest.raises(UsageError, match=f"has no checkpoint `{name}`; {known}"):
            Translator.load(trained, checkpoint=name)
    with pytest.raises(UsageError, match="model: has no checkpoint `4`; it has: none"):
        Translator.load(trained / "model", checkpoint=4)
    with pytest.raises(
        UsageError, match="update-000004: is a checkpoint itself; leave --checkpoint 8 out"
    ):
        Translator.load(trained / "checkpoints" / "update-000004", checkpoint=8)
    with pytest.raises(ModelError, match="last: is a file; name a run folder or a model folder"):
        Translator.load(trained / "last")


@pytest.mark.parametrize("name", ["ema.safetensors", "model.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_refused(run, name):
    file = run / "checkpoints" / "update-000004" / name
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    with pytest.raises(ModelError, match=f"{name}: is damaged or was changed"):
        Translator.load(run, checkpoint=4)


def test_damaged_pieces_are_refused_and_other_prepared_data_are_not_read(run):
    (run / "data" / "train" / "ids.bin").unlink()  # as large as the corpus
    Translator.load(run, checkpoint=4)
    file = run / "data" / "target.model"
    file = file if file.exists() else run / "data" / "subword.model"
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(ModelError, match=r"\.model: is damaged or was changed"):
        Translator.load(run, checkpoint=4)


def test_a_checkpoint_needs_its_run(run, tmp_path):
    moved = shutil.move(run / "checkpoints" / "update-000004", tmp_path / "update-000004")
    with pytest.raises(
        ModelError,
        match="update-000004: holds weights only, and .*config.toml is missing; "
        r"keep a checkpoint in its run folder\.$",
    ):
        Translator.load(moved)
    (run / "config.toml").write_text("[data]\n")
    with pytest.raises(ModelError, match=r"config.toml.*; restore the file that the run wrote\.$"):
        Translator.load(run, checkpoint="last")


def test_data_prepared_anew_are_refused(run):
    record = run / "data" / "preparation.json"
    record.write_text(record.read_text().replace('"key": "', '"key": "0'))
    with pytest.raises(
        ModelError,
        match="data: was prepared again after update-000010 was trained, so its pieces may be "
        r"others; restore it, or prepare it as before\.$",
    ):
        Translator.load(run, checkpoint=10)


def test_a_link_to_a_run_translates(trained, tmp_path):
    os.symlink(trained, tmp_path / "link")
    assert texts(tmp_path / "link", 4) == texts(tmp_path / "link/checkpoints/update-000004")
