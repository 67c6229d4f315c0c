"""Learned first states are kept by checkpoints and model folders."""

import torch
from tiny import tiny

from nmt.models.folder import load_model
from nmt.training.run import RunOptions, run_training


def test_learned_first_states_survive_a_checkpoint_and_a_model_folder(tmp_path):
    experiment = tiny(
        tmp_path,
        "model.encoder.init_state=learned",
        "model.decoder.bridge=learned",
        "training.max_updates=3",
        "training.save_every=3",
        "validation.every=3",
    )
    run = tmp_path / "run"
    assert run_training(experiment, run, RunOptions()) == 0
    shipped = dict(load_model(run).model.named_parameters())
    saved = dict(load_model(run, checkpoint=3).model.named_parameters())
    for name in ("encoder.stack.layers.0.initial_state", "decoder.initial_state"):
        assert (shipped[name] != 0).all()
        assert torch.equal(shipped[name], saved[name])
