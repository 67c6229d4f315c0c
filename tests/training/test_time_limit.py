"""`--max-time`, and ends of a run at which nothing has been validated."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import tiny
from typer.testing import CliRunner

from nmt.cli.main import app
from nmt.data.folder import PreparationRecord
from nmt.models.folder import load_model_folder
from nmt.signals import GracefulStop
from nmt.storage.tensors import load_tensors
from nmt.training import run as run_module
from nmt.training import validator
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator

ENDLESS = ("training.max_updates=1000000", "training.log_every=1000")


def state_of(run: Path) -> dict[str, object]:
    checkpoint = run / (run / "last").read_text().strip()
    return json.loads((checkpoint / "state.json").read_text())


def test_a_run_that_is_out_of_time_has_a_model_of_its_last_weights(tmp_path, caplog):
    """Although no validation was due."""
    run = tmp_path / "run"
    assert run_training(tiny(tmp_path, *ENDLESS), run, RunOptions(max_time="0.2s")) == 0
    last = load_tensors(run / (run / "last").read_text().strip() / "model.safetensors")
    shipped = load_tensors(run / "model" / "model.safetensors")
    assert all(torch.equal(last[name], shipped[name]) for name in last)
    assert f", in {run}/model; next: nmt translate {run}" in caplog.messages[-1]
    assert len(list(Translator.load(run).translate(["a b"]))) == 1


def test_time_for_the_validation_is_reserved(tmp_path, monkeypatch):
    """Each validation takes 0.5 of 2 seconds: the run ends in time, not half a second late."""
    score = validator.Validator.score

    def slow(self, model, update):
        time.sleep(0.5)
        return replace(score(self, model, update), seconds=0.5)

    monkeypatch.setattr(validator.Validator, "score", slow)
    run = tmp_path / "run"
    # Measures how long a validation takes.
    run_training(tiny(tmp_path, *ENDLESS, "training.max_updates=2"), run, RunOptions())
    begin = time.monotonic()
    assert run_training(tiny(tmp_path, *ENDLESS), run, RunOptions(max_time="2s")) == 0
    updates = state_of(run)["update"]
    assert updates > 2
    assert time.monotonic() - begin < 4  # with room for a busy machine
    assert "--max-time is over" in (run / "train.log").read_text()


def test_the_last_validation_of_a_start_costs_no_patience(tmp_path, monkeypatch):
    """Unless it is due anyway; and it lowers no rate, since resuming should change nothing."""
    losses = iter([1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(validator, "mean_loss", lambda *_, **__: next(losses))
    options = (
        *("validation.metric=loss", "validation.every=2", "training.keep_best=1"),
        "training.schedule={kind = 'plateau', patience = 1, factor = 0.5}",
    )
    run = tmp_path / "run"
    run_training(tiny(tmp_path, *options, "training.max_updates=2"), run, RunOptions())
    run_training(tiny(tmp_path, *options), run, RunOptions(max_time="0.001s"))
    state = state_of(run)
    assert state["update"] == 3
    assert state["stopping"]["waited"] == 0
    assert state["plateau"] == {"scale": 1.0, "waited": 0, "just_fell": False}
    run_training(tiny(tmp_path, *options), run, RunOptions(max_time="0.001s"))
    assert state_of(run)["stopping"]["waited"] == 1  # at update 4, one is due


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A run stopped by a signal in its first update, before any validation."""

    class Stopped(GracefulStop):
        def __enter__(self) -> "Stopped":
            super().__enter__()
            self.requested = 2
            return self

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "GracefulStop", Stopped)
        assert run_training(tiny(tmp_path), tmp_path / "run", RunOptions()) == 130
    return tmp_path / "run"


def test_a_run_stopped_before_its_first_validation_says_that_there_is_no_model(interrupted):
    assert not (interrupted / "model").exists()
    assert (
        (interrupted / "train.log")
        .read_text()
        .endswith(
            "there is no model yet, since no validation was completed; resume, or make one of the "
            f"last weights: nmt average {interrupted} --last 1 -o MODEL\n"
        )
    )


def test_the_weights_of_such_a_run_can_be_made_a_model(interrupted, tmp_path):
    invoked = CliRunner().invoke(app, ["average", str(interrupted), "-o", str(tmp_path / "none")])
    assert str(invoked.exception).endswith(
        "run: nothing has been validated yet, so no checkpoint is the best; "
        "average the newest ones, --last N."
    )
    output = tmp_path / "new" / "model"
    arguments = ["average", str(interrupted), "--last", "1", "-o", str(output)]
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    saved = load_tensors(interrupted / "checkpoints/update-000001/model.safetensors")
    made = load_tensors(output / "model.safetensors")
    assert all(torch.equal(saved[name], made[name]) for name in saved)
    card = (output / "README.md").read_text()
    assert "None were measured." in card
    assert "| Updates | 1 |" in card
    assert len(list(Translator.load(output).translate(["a b"]))) == 1
    prepared = PreparationRecord.load(interrupted / "data")
    assert prepared.training_text is not None
    assert load_model_folder(output).config.training_text == prepared.training_text
