"""A process that runs out of memory says what was too large, and what to lower."""

import re
import time

from launcher import Process, settings
from programme import Programme
from tiny import write_corpus

SPARE = 500_000_000  # bytes; what is asked for below is several times that
LARGE = ("model.encoder.hidden_size=64", "model.decoder.hidden_size=256")
BATCH = (
    r"error: memory is too small for [\d,]+ pairs with [\d,]+ target pieces, the longest of them "
    r"with [\d,]+ and [\d,]+; lower training\.batch_tokens and raise training\.accumulate by as "
    r"much, or lower data\.max_length or the sizes of the model\."
)


def ends_naming(process: Process, message: str, programme: Programme, phase: str) -> None:
    """Wait for the end with code 5 and this message, and record it."""
    begin = time.monotonic()
    assert process.wait() == 5, process.errors
    assert re.search(message, process.errors), process.errors
    assert "Traceback" not in process.errors
    seconds = time.monotonic() - begin
    programme.record(12, f"{phase} within RLIMIT_AS: named", tries=1, worst_seconds=seconds)


def test_a_batch_of_training_that_does_not_fit_is_named(tmp_path, launcher, programme):
    config = write_corpus(tmp_path, pairs=3000, shortest=50, longest=60)
    prepared = launcher.start("prepare", config, "--run", tmp_path / "run")
    assert prepared.wait() == 0
    process = launcher.start(
        *("train", tmp_path / "tiny.toml", "--run", tmp_path / "run"),
        *settings((*LARGE, "training.batch_tokens=1000000")),
        spare_memory=SPARE,
    )
    process.wait_for("resume: no checkpoint, starting")
    ends_naming(process, BATCH, programme, "training")


def test_a_batch_of_validation_that_does_not_fit_is_named_and_nothing_is_lost(
    tmp_path, launcher, programme
):
    """The training pairs are short, the validation pairs are not."""
    write_corpus(tmp_path, pairs=60)
    line = " ".join("abcdefghij" * 60)
    for suffix in ("xx", "yy"):
        (tmp_path / f"valid.{suffix}").write_text(f"{line}\n" * 400)
    process = launcher.start(
        *("train", tmp_path / "tiny.toml", "--run", tmp_path / "run"),
        *settings((*LARGE, "training.batch_tokens=300000", "training.max_updates=8")),
        *settings(("training.save_every=2", "validation.every=5", "data.max_length=700")),
        spare_memory=SPARE,
    )
    process.wait_for("update     5")
    ends_naming(process, BATCH, programme, "validation")
    assert (tmp_path / "run" / "last").read_text() == "checkpoints/update-000004\n"


def test_a_batch_of_translation_that_does_not_fit_is_named(
    tmp_path, launcher, programme, model_folder
):
    lines = tmp_path / "lines"
    lines.write_text("the small dog sleeps and two birds sing\n" * 400)
    process = launcher.start(
        *("translate", model_folder, "-i", lines, "-o", tmp_path / "out", "--beam", 5000),
        *("--batch-size", 400, "--batch-tokens", 1_000_000),
        spare_memory=SPARE,
    )
    ends_naming(
        process,
        r"error: memory is too small for 400 sentences with [\d,]+ pieces, padding included, the "
        r"longest of them with [\d,]+; lower --batch-tokens, --batch-size, --max-source or "
        r"--beam\.",
        programme,
        "translation",
    )
