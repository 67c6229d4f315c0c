"""Learning rates by name of the weights, in a whole run."""

from pathlib import Path

import pytest
import torch
from tiny import tiny, train_tiny, weights_after

from nmt.errors import ConfigError
from nmt.training.run import RunOptions, run_training

OPTIONS = (
    "training.learning_rates={'encoder.*' = 0, '*.bias' = 2}",
    "training.schedule={kind = 'exponential', every = 2}",
    "training.save_every=1",
    "training.keep_last=9",
)


def train(folder: Path, run: str, *overrides: str) -> Path:
    return train_tiny(folder, *OPTIONS, *overrides, run=run)


def test_rates_by_name_follow_the_schedule_and_resume_bit_for_bit(tmp_path):
    whole = train(tmp_path, "whole", "training.max_updates=4")
    for updates in (2, 4):
        pieces = train(tmp_path, "pieces", f"training.max_updates={updates}")

    first, last = weights_after(whole, 1), weights_after(whole, 4)
    for name, weight in last.items():
        assert torch.equal(weight, first[name]) == name.startswith("encoder."), name
        assert torch.equal(weight, weights_after(pieces, 4)[name])


def test_a_pattern_that_matches_nothing_ends_the_run(tmp_path):
    experiment = tiny(tmp_path, "training.learning_rates={'coder.*' = 0.5}")

    with pytest.raises(ConfigError, match=r'learning_rates: "coder\.\*" matches no weights'):
        run_training(experiment, tmp_path / "run", RunOptions())
