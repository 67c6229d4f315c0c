"""A whole training run: resuming, limits, refusals, and what it ships."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filled_folder import contents
from tiny import entries, tiny, train_tiny, write_corpus

from nmt.data.prepare import prepare
from nmt.errors import DataError, DivergenceError, ResourceError, UsageError
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.storage.checksums import sha256_of
from nmt.storage.tensors import load_tensors
from nmt.training import checkpoint, in_progress, meter, step, validator
from nmt.training.run import RunOptions, run_training
from nmt.translator import Translator


def fingerprint(run: Path, update: int) -> dict[str, str]:
    """Return the sha256 of every tensor file of a checkpoint."""
    folder = run / "checkpoints" / f"update-{update:06d}"
    return {file.name: sha256_of(file) for file in folder.glob("*.safetensors")}


def train(folder: Path, run: str, *overrides: str) -> Path:
    return train_tiny(folder, *overrides, run=run)


EVERYTHING = (
    "training.ema=0.9",
    "training.accumulate=2",
    "training.schedule.kind=inverse_sqrt",
    'training.scheduled_sampling={kind = "constant", probability = 0.5}',
    "model.dropout.recurrent=0.1",
)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_resumed_run_equals_an_uninterrupted_run_bit_for_bit(tmp_path, cell):
    """7 + 6 + 7 updates, interrupted in the middle of an epoch, against 20 at once."""
    options = (*EVERYTHING, f"model.encoder.cell={cell}", f"model.decoder.cell={cell}")
    whole = train(tmp_path, "whole", *options)
    for updates in (7, 13, 20):
        pieces = train(tmp_path, "pieces", *options, f"training.max_updates={updates}")

    assert fingerprint(whole, 20) == fingerprint(pieces, 20)
    assert set(fingerprint(whole, 20)) == {
        "model.safetensors",
        "optimizer.safetensors",
        "ema.safetensors",
    }


def test_sampled_segmentations_resume_bit_for_bit(tmp_path):
    options = (
        'tokenizer={kind = "unigram", vocab_size = 40, sampling = 0.5, byte_fallback = false}',
    )
    whole = train(tmp_path, "whole", *options)
    for updates in (9, 20):
        pieces = train(tmp_path, "pieces", *options, f"training.max_updates={updates}")

    assert fingerprint(whole, 20) == fingerprint(pieces, 20)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path):
    runs = [
        train(tmp_path, f"run{index}", f"training.seed={seed}", "training.max_updates=3")
        for index, seed in enumerate((1, 1, 2))
    ]
    first, again, other = (fingerprint(run, 3)["model.safetensors"] for run in runs)

    assert first == again != other


def test_splitting_an_update_does_not_change_what_is_learned(tmp_path):
    """1 part or 4, without dropout: the same gradient, up to rounding."""
    weights = []
    for parts in (1, 4):
        run = train(
            tmp_path,
            f"parts{parts}",
            f"training.accumulate={parts}",
            "model.dropout=0.0",
            "training.max_updates=5",
            "training.optimizer=sgd",
        )
        weights.append(load_tensors(run / "checkpoints/update-000005/model.safetensors"))
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=0, atol=1e-6)


def test_a_finished_run_is_left_alone(tmp_path):
    run = train(tmp_path, "run", "training.max_updates=3")
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    train(tmp_path, "run", "training.max_updates=3")

    assert {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")} == before


def test_the_metrics_hold_each_update_once_after_resuming(tmp_path):
    for updates in (4, 9):
        run = train(tmp_path, "run", f"training.max_updates={updates}", "validation.every=3")

    assert [entry["update"] for entry in entries(run, "update")] == list(range(1, 10))
    assert [entry["update"] for entry in entries(run, "valid")] == [3, 4, 6, 9]


@pytest.mark.parametrize("letters", ["abcdefghij", "abcdefghijklmnop"], ids=["same", "larger"])
def test_a_run_is_not_resumed_on_other_text(tmp_path, letters):
    """Whether or not the vocabulary still has the same size; and nothing is touched."""
    run = train(tmp_path, "run", "training.max_updates=2")
    before = contents(run)
    write_corpus(tmp_path, seed=2, letters=letters)
    with pytest.raises(DataError, match=r"train\.xx.* changed since the run was started; restore"):
        train(tmp_path, "run", "training.max_updates=4")
    assert contents(run) == before

    write_corpus(tmp_path)
    train(tmp_path, "run", "training.max_updates=4")


def test_the_manifest_records_every_start(tmp_path):
    for updates in (2, 4):
        run = train(tmp_path, "run", f"training.max_updates={updates}")
    starts = json.loads((run / "manifest.json").read_text())["starts"]

    assert [start["resumed_from"] for start in starts] == [None, "update-000002"]
    assert [start["seed"] for start in starts] == [1, 1]
    for start in starts:
        names = ("train.xx", "train.yy", "valid.xx", "valid.yy")
        assert start["files"] == {
            str(tmp_path / name): sha256_of(tmp_path / name) for name in names
        }
        assert start["torch"] == torch.__version__


def test_the_log_file_tells_what_was_prepared(tmp_path):
    run = train(tmp_path, "run", "training.max_updates=1")
    log = (run / "train.log").read_text()
    assert "train  60 pairs   60 kept" in log
    assert log.index("train  60 pairs") < log.index("update     1")


def test_resuming_can_be_required_and_forbidden(tmp_path):
    with pytest.raises(
        UsageError,
        match=r"holds no checkpoint to resume from, and --resume is must; check the name of "
        r"the folder, or leave --resume out\.$",
    ):
        run_training(tiny(tmp_path), tmp_path / "run", RunOptions(resume="must"))
    assert not (tmp_path / "run").exists()
    train(tmp_path, "run", "training.max_updates=2")
    with pytest.raises(
        UsageError,
        match=r"holds a run already \(update-000002\) and --resume is never; choose another "
        r"--run, or delete the folder\.$",
    ):
        run_training(tiny(tmp_path), tmp_path / "run", RunOptions(resume="never"))


def test_a_run_out_of_time_saves_and_ends(tmp_path):
    options = RunOptions(max_time="0.01s")
    assert (
        run_training(tiny(tmp_path, "training.max_updates=100000"), tmp_path / "run", options) == 0
    )
    assert (tmp_path / "run" / "last").read_text() == "checkpoints/update-000001\n"


def test_a_non_finite_gradient_is_skipped_and_then_ends_the_run(tmp_path):
    options = ("training.learning_rate=1e38", "training.clip_norm=0", "training.max_skipped=3")
    with pytest.raises(
        DivergenceError,
        match=r"not finite 3 times in a row.*lower training\.learning_rate \(now 1e\+38\) or turn "
        r"clipping on, e\.g\. training\.clip_norm = 1, and start again in another folder\.$",
    ):
        train(tmp_path, "run", *options)


@pytest.mark.parametrize(
    ("rate", "interval", "what"),
    [
        (1e300, "training.save_every=2", "is no longer finite"),
        (1e300, "validation.every=4", "is no longer finite"),
        (1e37, "validation.every=4", "the loss on the validation files is inf"),
        (1e20, "validation.every=4", "the loss on the validation files is 1"),
    ],
    ids=["save", "validation", "no loss", "a loss beyond measure"],
)
def test_diverged_weights_are_never_saved(tmp_path, monkeypatch, rate, interval, what):
    """One huge step after a good checkpoint ends the run; nothing is overwritten."""
    train(tmp_path, "run", "training.optimizer=sgd", "training.max_updates=2", interval)
    monkeypatch.setattr(step, "learning_rate", lambda *_: rate)
    with pytest.raises(DivergenceError, match=rf"update 4: .*{what}.*learning_rate \(now 0\.01\)"):
        train(tmp_path, "run", "training.optimizer=sgd", "training.max_updates=9", interval)

    assert (tmp_path / "run" / "last").read_text() == "checkpoints/update-000002\n"
    weights = load_tensors(tmp_path / "run/checkpoints/update-000002/model.safetensors")
    assert all(weight.isfinite().all() for weight in weights.values())


def test_validation_translates_what_was_prepared_and_reads_it_once(tmp_path, monkeypatch):
    """Neither a line that preparation skipped, nor a later change of the files, ends a run."""
    experiment = tiny(tmp_path, "validation.metric=bleu", "validation.every=10")
    with (tmp_path / "valid.xx").open("ab") as source, (tmp_path / "valid.yy").open("ab") as target:
        source.write(b"a \xe9\n")
        target.write(b"a b\n")
    prepare(experiment, tmp_path, tmp_path / "run" / "data", bad_lines="skip")
    os.truncate(tmp_path / "run" / "data" / "train" / "ids.bin", 5)  # prepared again by train

    def lose_the_files(*_: object, **named: object) -> None:
        (tmp_path / "valid.xx").unlink(missing_ok=True)

    monkeypatch.setattr(meter.Meter, "count", lose_the_files)
    run = train(tmp_path, "run", "validation.metric=bleu", "validation.every=10")
    written = (run / "valid" / "update-000020.hyp").read_text().split("\n")
    assert len(written) == 10 + 1


@pytest.mark.parametrize(
    "complaint",
    [
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: out of memory",
    ],
)
def test_running_out_of_memory_names_the_batch_and_what_to_lower(complaint, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(complaint)

    monkeypatch.setattr(EncoderDecoder, "decode", refuse)
    text = (
        r"memory is too small for \d+ pairs with [\d,]+ target pieces, the longest of them with "
        r"\d+ and \d+; lower training\.batch_tokens"
    )
    with pytest.raises(ResourceError, match=text):
        train(tmp_path, "run")


def test_early_stopping_ends_a_run_and_the_best_is_shipped(tmp_path):
    run = train(
        tmp_path,
        "run",
        "training.learning_rate=1e-12",
        "training.max_updates=1000",
        "validation.every=2",
        "validation.patience=2",
        "validation.metric=chrf",
        "training.keep_best=2",
        "validation.average=2",
    )
    assert (run / "last").read_text() == "checkpoints/update-000006\n"
    assert (run / "best").read_text() == "checkpoints/update-000002\n"
    assert (run / "model" / "README.md").exists()


def test_a_plateau_lowers_the_rate_and_returns_to_the_best_weights(tmp_path, caplog, monkeypatch):
    """Each validation is worse than the first; after two of them training returns to it."""
    losses = iter([1.0, 2.0, 3.0])
    monkeypatch.setattr(validator, "mean_loss", lambda *_, **__: next(losses))
    run = train(
        tmp_path,
        "run",
        "training.schedule={kind = 'plateau', factor = 1e-9, patience = 1}",
        "training.optimizer=sgd",
        "training.learning_rate=1.0",
        "training.max_updates=6",
        "validation.every=2",
        "validation.metric=loss",
        "training.keep_last=3",
    )
    rates = [entry["learning_rate"] for entry in entries(run, "update")]
    assert rates == pytest.approx([1, 1, 1, 1, 1e-9, 1e-9])
    assert "going back to the weights of update-000002" in caplog.text
    best = load_tensors(run / "checkpoints/update-000002/model.safetensors")
    last = load_tensors(run / "checkpoints/update-000006/model.safetensors")
    for name, weight in last.items():  # two updates at full rate lay between, and were undone
        torch.testing.assert_close(weight, best[name], rtol=0, atol=1e-6)


def test_a_run_interrupted_where_the_rate_falls_returns_to_the_best_weights(tmp_path, monkeypatch):
    """The second of two validations is worse, and still among the two best."""
    options = (
        "training.schedule={kind = 'plateau', factor = 0.5, patience = 1}",
        *("validation.every=2", "validation.metric=loss"),
        *("training.save_every=2", "training.keep_best=2"),
    )
    runs = []
    for name, limits in (("whole", [8]), ("pieces", [4, 8])):
        losses = iter([1.0, 2.0, 3.0, 4.0])
        monkeypatch.setattr(validator, "mean_loss", lambda *_, losses=losses, **__: next(losses))
        for limit in limits:
            run = train(tmp_path, name, *options, f"training.max_updates={limit}")
        runs.append(run)
    assert fingerprint(runs[0], 8) == fingerprint(runs[1], 8)
    second = load_tensors(runs[0] / "checkpoints/update-000004/model.safetensors")
    best = load_tensors(runs[0] / "checkpoints/update-000002/model.safetensors")
    assert not torch.equal(
        second["output.project.weight"], best["output.project.weight"]
    )  # the two scored checkpoints


@pytest.mark.parametrize("whole", [0, 1])
def test_a_damaged_best_checkpoint_does_not_end_a_run(tmp_path, monkeypatch, caplog, whole):
    """The rate falls after the third validation, and what is best is averaged at the end."""
    losses = iter([1.0, 2.0, 3.0, 0.5])
    best = [tmp_path / f"run/checkpoints/update-{update:06d}" for update in (2, 4)]

    def mean_loss(*_, **__):
        loss = next(losses)
        if loss == 3.0:
            for damaged in best[: 2 - whole]:
                (damaged / "model.safetensors").write_bytes(b"")
        return loss

    monkeypatch.setattr(validator, "mean_loss", mean_loss)
    run = train(
        tmp_path,
        "run",
        "training.schedule={kind = 'plateau', patience = 2}",
        *("training.max_updates=6", "validation.every=2", "validation.metric=loss"),
        *("training.keep_best=2", "validation.average=2"),
    )
    assert (run / "last").read_text() == "checkpoints/update-000006\n"
    for damaged in best[: 2 - whole]:
        said = f"{damaged}/model.safetensors: is damaged or was changed, "
        assert any(
            line.startswith(said) and line.endswith("It is skipped.") for line in caplog.messages
        )
    assert f"average of {whole} checkpoints" in caplog.text or not whole


def test_an_update_is_saved_once_whatever_the_reasons(tmp_path, monkeypatch):
    """Update 4 is the end, due to be saved, and the best."""
    saved = []

    def save_checkpoint(*arguments):
        saved.append(arguments[2].update)
        return checkpoint.save_checkpoint(*arguments)

    monkeypatch.setattr(in_progress, "save_checkpoint", save_checkpoint)
    losses = iter([2.0, 1.0])
    monkeypatch.setattr(validator, "mean_loss", lambda *_, **__: next(losses))
    options = ("validation.every=2", "validation.metric=loss", "training.save_every=2")
    run = train(tmp_path, "run", *options, "training.max_updates=4")
    assert saved == [2, 4]
    assert (run / "best").read_text() == "checkpoints/update-000004\n"


def test_a_validation_is_in_the_metrics_before_a_checkpoint_says_it_is_done(tmp_path, monkeypatch):
    seen = []

    def save_checkpoint(*arguments):
        seen.append([entry["update"] for entry in entries(tmp_path / "run", "valid")])
        return checkpoint.save_checkpoint(*arguments)

    monkeypatch.setattr(in_progress, "save_checkpoint", save_checkpoint)
    losses = iter([2.0, 1.0])
    monkeypatch.setattr(validator, "mean_loss", lambda *_, **__: next(losses))
    options = ("validation.every=2", "validation.metric=loss", "training.max_updates=4")
    train(tmp_path, "run", *options)
    assert seen == [[2], [2, 4]]


def test_a_signal_during_the_last_save_ends_without_another_validation(tmp_path, monkeypatch):
    def save_checkpoint(*arguments):
        if arguments[2].update == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return checkpoint.save_checkpoint(*arguments)

    options = (
        *("validation.every=2", "training.keep_best=2", "validation.average=2"),
        "training.max_updates=4",
    )
    with monkeypatch.context() as patch:
        patch.setattr(in_progress, "save_checkpoint", save_checkpoint)
        patch.setattr("nmt.training.run.ship_average", lambda _: pytest.fail("validates again"))
        assert run_training(tiny(tmp_path, *options), tmp_path / "run", RunOptions()) == 143
    averaged = []
    monkeypatch.setattr("nmt.training.run.ship_average", averaged.append)
    train(tmp_path, "run", *options)
    assert averaged


def test_a_checkpoint_with_a_truncated_manifest_is_skipped(tmp_path, caplog):
    options = ("training.save_every=2", "validation.every=100")
    run = train(tmp_path, "run", *options, "training.max_updates=4")
    (run / "checkpoints/update-000004/SHA256SUMS").write_text("")
    train(tmp_path, "run", *options, "training.max_updates=6")
    assert "model.safetensors: is missing from SHA256SUMS" in caplog.text
    assert "Going back to update-000002" in caplog.text


def test_a_damaged_pointer_to_the_best_is_fixed_by_the_next_save(tmp_path):
    run = train(tmp_path, "run", "validation.every=2", "training.max_updates=2")
    (run / "best").write_bytes(b"\0damaged")
    train(tmp_path, "run", "validation.every=2", "training.max_updates=3")
    assert (run / "best").read_text().startswith("checkpoints/update-00000")


def test_the_shipped_model_translates_line_by_line(tmp_path):
    run = train(tmp_path, "run", "training.max_updates=3")
    lines = ["a b c", "", "j i h g"]
    translations = list(Translator.load(run).translate(lines))

    assert [t.source for t in translations] == lines
    assert translations[1].text == ""


def test_the_moving_average_is_validated_and_shipped(tmp_path):
    run = train(tmp_path, "run", "training.max_updates=5", "training.ema=0.9")
    average = load_tensors(run / "checkpoints/update-000005/ema.safetensors")
    shipped = load_tensors(run / "model/model.safetensors")

    for name, weight in shipped.items():
        assert torch.equal(weight, average[name])


def test_copying_is_learned(tmp_path):
    write_corpus(tmp_path, pairs=600)
    run = train(
        tmp_path,
        "run",
        "training.max_updates=400",
        "training.batch_tokens=200",
        "training.learning_rate=0.02",
        "training.schedule={kind = 'cosine', updates = 400}",
        "model.dropout=0.0",
        "training.log_every=100",
        "validation.every=400",
        "model.encoder.hidden_size=24",
        "model.decoder.hidden_size=48",
    )
    valid = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-1]

    assert valid["kind"] == "valid"
    assert valid["loss"] < 0.0488  # perplexity 1.05
    assert valid["bleu"] > 95


# --- other processes ---------------------------------------------------------------------------


def start(folder: Path, run: Path, *overrides: str, ranks: int = 1) -> subprocess.Popen[bytes]:
    """Start `nmt train` in a process of its own, or under torchrun."""
    if not (folder / "tiny.toml").exists():
        write_corpus(folder)
    launcher = [sys.executable, "-m", "nmt.cli"]
    if ranks > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        launcher = [*torchrun, "--nproc-per-node", str(ranks), "-m", "--", "nmt.cli"]
    settings = [part for override in overrides for part in ("--set", override)]
    command = [*launcher, "train", str(folder / "tiny.toml"), "--run", str(run), *settings]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a file exists; fail if the process ends before."""
    while not path.exists():
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read().decode())
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends_with_its_code(tmp_path, number, code):
    process = start(
        tmp_path, tmp_path / "run", "training.max_updates=1000000", "training.save_every=5"
    )
    wait_for(tmp_path / "run" / "last", process)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1].decode()

    assert process.returncode == code, errors
    assert ": by a signal; the same command resumes from here" in errors
    last = tmp_path / "run" / (tmp_path / "run" / "last").read_text().strip()
    assert (last / "SHA256SUMS").exists()


def test_a_signal_to_torchrun_saves_as_well(tmp_path):
    """torchrun passes SIGTERM on to both ranks; one checkpoint results, and the run resumes."""
    options = ("training.max_updates=1000000", "training.save_every=1000000")
    process = start(tmp_path, tmp_path / "run", *options, ranks=2)
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    while not updates_made(tmp_path / "run") and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=60)[1].decode()

    assert ": by a signal; the same command resumes from here" in errors
    name = (tmp_path / "run" / "last").read_text().strip()
    updates = int(name.rsplit("-", 1)[1])
    process = start(tmp_path, tmp_path / "run", f"training.max_updates={updates + 2}", options[1])
    errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 0, errors
    assert f"resume: from update-{updates:06d}" in errors


def test_two_ranks_learn_what_one_learns(tmp_path):
    """The same global updates, split between two processes over gloo, give the same losses."""
    options = ("model.dropout=0.0", "training.max_updates=6", "validation.every=3")
    losses = []
    for ranks in (1, 2):
        run = tmp_path / f"ranks{ranks}"
        process = start(tmp_path, run, *options, ranks=ranks)
        errors = process.communicate(timeout=120)[1].decode()
        assert process.returncode == 0, errors
        losses.append(
            [entry["loss"] for kind in ("update", "valid") for entry in entries(run, kind)]
        )

    assert len(losses[0]) == 8
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def updates_made(run: Path) -> int:
    """Count the updates in a run's metrics."""
    metrics = run / "metrics.jsonl"
    return metrics.read_bytes().count(b'"kind": "update"') if metrics.exists() else 0
