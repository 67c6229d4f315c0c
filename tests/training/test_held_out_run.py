"""A run without validation files: trained, resumed, scored and shown like any other."""

from pathlib import Path

import pytest
from tiny import write_corpus

from nmt.cli.main import run as nmt
from nmt.config.load import load
from nmt.storage.checksums import sha256_of
from nmt.storage.files import read_json

LANGUAGE_MODEL = """
[data]
target = "yy"
train = "train.yy"

[model]
encoder = "none"

[model.decoder]
attention = "none"
bridge = "zero"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write_corpus(tmp_path)
    text = path.read_text().replace('valid = ["valid.xx", "valid.yy"]\n', "")
    for side in ("xx", "yy"):
        (tmp_path / f"valid.{side}").unlink()
    path.write_text(text)
    return path


def train(config: Path, name: str, *settings: str) -> Path:
    run = config.parent / name
    overrides = [part for setting in settings for part in ("--set", setting)]
    assert nmt(["train", str(config), "--run", str(run), *overrides]) == 0
    return run


def test_a_run_without_validation_files_is_validated_on_held_out_sentences_and_says_so(
    config, capsys
):
    run = train(config, "run", "validation.every=10")
    references = (run / "data" / "valid-target.txt").read_text().splitlines()
    assert len(references) == 2
    assert len((run / "valid" / "update-000010.hyp").read_text().splitlines()) == 2
    log = (run / "train.log").read_text()
    assert "held out from the training files: valid-source.txt and valid-target.txt in" in log
    record = read_json(run / "data" / "preparation.json")
    assert record["summary"]["is_valid_held_out"] is True

    capsys.readouterr()
    assert nmt(["show", str(run)]) == 0
    assert f"pieces, held out from the training files in {run}" in capsys.readouterr().out


def test_a_run_without_validation_files_resumes_bit_for_bit(config):
    options = ("validation.every=5",)
    whole = train(config, "whole", *options, "training.max_updates=10")
    for updates in (4, 10):
        parts = train(config, "parts", *options, f"training.max_updates={updates}")
    last = "checkpoints/update-000010/model.safetensors"
    assert sha256_of(whole / last) == sha256_of(parts / last)


def test_its_own_configuration_resumes_it(config):
    run = train(config, "run", "training.max_updates=2")
    assert load(run / "config.toml").data.valid is None
    assert nmt(["train", str(run / "config.toml"), "--run", str(run)]) == 0
    assert "up to date in" in (run / "train.log").read_text()


def test_files_named_later_are_other_data(config, capsys):
    run = train(config, "run", "training.max_updates=2")
    write_corpus(run)
    setting = f'data.valid=["{run}/valid.xx", "{run}/valid.yy"]'
    assert nmt(["train", str(config), "--run", str(run), "--set", setting]) == 3
    assert "changed since the run was started" in capsys.readouterr().err


def test_a_language_model_holds_lines_out_too(config):
    path = config.with_name("lm.toml")
    tokenizer, _, rest = config.read_text().partition("[tokenizer]")[2].partition("[model]")
    training = rest.partition("[training]")[2]
    path.write_text(
        f"{LANGUAGE_MODEL}\n[tokenizer]{tokenizer}[training]{training}".replace(
            "[validation]", '[validation]\nmetric = "loss"'
        )
    )
    run = train(path, "lm", "training.max_updates=2")
    held_out = (run / "data" / "valid-target.txt").read_text().splitlines()
    assert held_out
    assert not (run / "data" / "valid-source.txt").exists()
    assert set(held_out) <= set((config.parent / "train.yy").read_text().splitlines())
