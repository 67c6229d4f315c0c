"""A non-finite loss or gradient is first skipped, then rolled back, and finally ends the run."""

import json
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tiny import entries, write_corpus

from nmt.cli.main import run
from nmt.storage.checksums import sha256_of
from nmt.storage.tensors import load_tensors
from nmt.training import step

KINDS = ("NaN loss", "infinite loss", "NaN gradient", "infinite gradient")


@dataclass
class Fault:
    """What goes wrong at the updates numbered `calls`, counted from 1 within the process."""

    kind: str
    calls: set[int]
    made: int = 0

    def accumulate(self, model, micro_batches, objective, **options):
        """Compute gradients with the fault, by hooks on the real model."""
        self.made += 1
        if self.made not in self.calls:
            return self.plain(model, micro_batches, objective, **options)
        wrong = math.nan if self.kind.startswith("NaN") else math.inf
        undo = (
            self.hook_gradient(model, wrong)
            if "grad" in self.kind
            else self.hook_loss(model, wrong)
        )
        try:
            return self.plain(model, micro_batches, objective, **options)
        finally:
            undo()

    def hook_loss(self, model, wrong: float):
        plain = model.output.losses

        def losses(*arguments, **options):
            loss, nll = plain(*arguments, **options)
            return loss + wrong, nll + wrong

        model.output.losses = losses
        return lambda: model.output.__delattr__("losses")

    def hook_gradient(self, model, wrong: float):
        parameter = next(model.parameters())

        def spoil(gradient):
            gradient = gradient.clone()
            gradient.view(-1)[-1] = wrong
            return gradient

        return parameter.register_hook(spoil).remove


@pytest.fixture
def inject(monkeypatch):
    """Return a function that makes updates of this process go wrong."""
    plain = step.accumulate_gradients

    def begin(kind: str, calls: set[int]) -> Fault:
        fault = Fault(kind, calls)
        fault.plain = plain
        monkeypatch.setattr(step, "accumulate_gradients", fault.accumulate)
        return fault

    return begin


def train(folder: Path, *overrides: str, name: str = "run") -> int:
    if not (folder / "tiny.toml").exists():
        write_corpus(folder)
    settings = [part for override in overrides for part in ("--set", override)]
    return run(["train", str(folder / "tiny.toml"), "--run", str(folder / name), *settings])


def checkpoints(run: Path) -> dict[int, Path]:
    return {int(path.name[-6:]): path for path in sorted((run / "checkpoints").iterdir())}


def assert_all_finite(run: Path) -> None:
    files = list(run.rglob("*.safetensors"))
    assert len(files) > 2
    for file in files:
        for name, tensor in load_tensors(file).items():
            assert tensor.isfinite().all(), f"{name} of {file}"


def state_of(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "state.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_one_bad_update_is_skipped_before_the_step_and_counted(tmp_path, inject, programme, kind):
    worst, tries = 0.0, programme.count(quick=1, full=12)
    for update in range(3, 3 + tries):
        begin = time.monotonic()
        inject(kind, {update})
        name = f"run{update}"
        options = (f"training.max_updates={update + 1}", "training.save_every=1")
        code = train(tmp_path, *options, "training.keep_last=99", "training.ema=0.9", name=name)
        assert code == 0
        saved = checkpoints(tmp_path / name)
        for file in ("model", "optimizer", "ema"):
            before, skipped, after = (
                sha256_of(saved[number] / f"{file}.safetensors")
                for number in (update - 1, update, update + 1)
            )
            assert before == skipped != after
        assert [state_of(saved[n])["skipped"] for n in (update - 1, update, update + 1)] == [
            0,
            1,
            1,
        ]
        assert_all_finite(tmp_path / name)
        worst = max(worst, time.monotonic() - begin)
    programme.record(
        11, f"{kind} at one update: no step, and counted", tries=tries, worst_seconds=worst
    )


def test_after_several_bad_updates_a_run_rolls_back_once_and_takes_other_batches(
    tmp_path, inject, programme, capfd
):
    begin = time.monotonic()
    kinds = KINDS[: programme.count(quick=2, full=4)]
    for kind in kinds:
        fault = inject(kind, {8, 9, 10})
        options = ("training.max_skipped=3", "training.save_every=5", "validation.every=5")
        assert train(tmp_path, *options, "training.max_updates=12", name=kind) == 0
        log = capfd.readouterr().err
        assert (
            "warning: update 10: the gradient was not finite 3 times in a row; "
            "going back to update-000005, this once" in log
        )
        run = tmp_path / kind
        assert [entry["update"] for entry in entries(run, "update")] == list(range(1, 13))
        state = state_of(checkpoints(run)[12])
        assert (state["skipped"], state["times_back"]) == (3, 1)
        assert fault.made == 12 + 5  # five updates were undone, and their batches are not repeated
        per_epoch = 12 + 5 if not state["position"]["epoch"] else None
        assert per_epoch is None or state["position"]["update_in_epoch"] == per_epoch
        assert_all_finite(run)
    seconds = (time.monotonic() - begin) / len(kinds)
    programme.record(
        11, "bad updates in a row: back once, then on", tries=len(kinds), worst_seconds=seconds
    )


def test_a_run_that_diverges_again_exits_with_6_and_its_checkpoints_are_finite(
    tmp_path, inject, programme, capfd
):
    begin = time.monotonic()
    inject("NaN gradient", set(range(8, 1000)))
    options = ("training.max_skipped=3", "training.save_every=5", "training.max_updates=40")
    assert train(tmp_path, *options) == 6
    message = capfd.readouterr().err
    assert message.count("going back to update-000005, this once") == 1
    assert re.search(
        r"error: update 8: the gradient was not finite 3 times in a row\. What was saved before is "
        r"intact; lower training\.learning_rate \(now 0\.01\) or training\.clip_norm \(now 1\) "
        r"and start again in another folder\.",
        message,
    )
    assert list(checkpoints(tmp_path / "run")) == [5]
    assert_all_finite(tmp_path / "run")
    inject("NaN gradient", set())  # without the fault, the same command resumes
    assert train(tmp_path, *options) == 0
    programme.record(
        11, "diverged again: exit 6, resumable", tries=1, worst_seconds=time.monotonic() - begin
    )


def test_a_run_that_rolled_back_does_not_roll_back_again_after_resuming(tmp_path, inject, capfd):
    inject("NaN gradient", {8, 9, 10})
    options = ("training.max_skipped=3", "training.save_every=5")
    assert train(tmp_path, *options, "training.max_updates=10") == 0
    inject("NaN gradient", {3, 4, 5})
    assert train(tmp_path, *options, "training.max_updates=20") == 6
    assert capfd.readouterr().err.count("going back") == 1


def test_exploding_weights_roll_a_run_back(tmp_path, monkeypatch, capfd):
    """A finite gradient can still cause a step of any size; it is detected before a save."""
    plain, rates = step.learning_rate, iter([0.01] * 7 + [1e300])
    monkeypatch.setattr(step, "learning_rate", lambda *arguments: next(rates, plain(*arguments)))
    options = ("training.optimizer=sgd", "training.save_every=5", "training.max_updates=12")
    assert train(tmp_path, *options) == 0
    assert re.search(
        r"update 10: .* is no longer finite; going back to update-000005", capfd.readouterr().err
    )
    assert_all_finite(tmp_path / "run")


def test_a_huge_loss_rolls_a_run_back_before_its_weights_are_shipped(tmp_path, monkeypatch, capfd):
    plain, rates = step.learning_rate, iter([0.01] * 7 + [1e37])
    monkeypatch.setattr(step, "learning_rate", lambda *arguments: next(rates, plain(*arguments)))
    options = ("training.optimizer=sgd", "validation.every=5", "training.max_updates=12")
    assert train(tmp_path, *options) == 0
    log = capfd.readouterr().err
    assert re.search(r"update 10: the loss on the validation files is .*; going back", log), log
    assert_all_finite(tmp_path / "run")
    assert not torch.tensor(
        state_of(checkpoints(tmp_path / "run")[12])["stopping"]["best"][0]["loss"]
    ).isnan()
