"""Rows 18 and 20: a file that was changed after it was written is always detected."""

import logging
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import nmt
from tiny import write_corpus
from trial_runs import AHEAD, Run, resumed_from

from nmt.errors import ModelError, NmtError
from nmt.models.checkpoints import list_checkpoints
from nmt.models.folder import load_model_folder
from nmt.storage.checksums import CHECKSUMS, sha256_of, verify_checksums, write_checksums
from nmt.training.checkpoint import find_resumable

BLOCK = 4096
FOREVER = 1_000_000
LARGER = (
    *("model.embedding.size=64", "model.encoder.hidden_size=64", "model.decoder.hidden_size=128"),
    *("tokenizer.kind=bpe", "tokenizer.byte_fallback=true", "tokenizer.vocab_size=300"),
    *("data.train=['long.xx','long.yy']", "training.keep_last=2"),
)
"""Files of many blocks."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a finished run with two checkpoints. Tests leave it as they found it."""
    folder = tmp_path_factory.mktemp("trained")
    write_corpus(folder)
    for side in ("xx", "yy"):
        (folder / f"long.{side}").write_text((folder / f"train.{side}").read_text() * 40)
    run = Run(folder, *LARGER)
    ended = run.train(AHEAD)
    assert ended.code == 0, ended.errors
    return run


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def flips(folder: Path, count: int | None) -> Iterator[Path]:
    """Flip a bit in each block, or in `count` blocks, of each file; yield the file meanwhile."""
    chance = random.Random(5)
    for path in files_of(folder):
        good = path.read_bytes()
        blocks = range(0, len(good), BLOCK)
        for begin in blocks if count is None else chance.sample(blocks, min(count, len(blocks))):
            bad = bytearray(good)
            bad[chance.randrange(begin, min(begin + BLOCK, len(good)))] ^= 1 << chance.randrange(8)
            path.write_bytes(bad)
            yield path
        path.write_bytes(good)


def named(error: NmtError, path: Path, code: int = 4) -> None:
    """Check that an error names the file, or the checksums if they are what was changed."""
    assert error.exit_code == code
    assert str(path.parent) in str(error)
    assert path.name in str(error) or path.name == CHECKSUMS
    assert re.search(r"restore|missing|points outside|delete .* and run `nmt prepare`", str(error))


def test_each_flipped_bit_of_a_checkpoint_is_found_and_the_previous_one_used(
    trained, programme, caplog
):
    older, newest = list_checkpoints(trained.folder)
    tries, worst = 0, 0.0
    for path in flips(newest, programme.count(quick=4, full=0) or None):
        begun = time.monotonic()
        with pytest.raises(ModelError) as caught:
            verify_checksums(newest)
        named(caught.value, path)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert find_resumable(trained.folder) == older
        assert f"Going back to {older.name}." in caplog.text
        worst = max(worst, time.monotonic() - begun)
        tries += 1
    assert find_resumable(trained.folder) == newest
    text = "a bit flipped in each 4 kB of each file of a checkpoint: found, named, previous offered"
    programme.record(18, text, tries=tries, worst_seconds=worst)


def test_each_flipped_bit_of_a_model_folder_is_found(trained, programme):
    tries, worst = 0, 0.0
    for path in flips(trained.folder / "model", programme.count(quick=4, full=0) or None):
        begun = time.monotonic()
        with pytest.raises(ModelError) as caught:
            load_model_folder(trained.folder)
        named(caught.value, path)
        worst = max(worst, time.monotonic() - begun)
        tries += 1
    load_model_folder(trained.folder)
    text = "a bit flipped in each 4 kB of each file of a model folder: found and named"
    programme.record(18, text, tries=tries, worst_seconds=worst)


def test_each_flipped_bit_of_a_prepared_corpus_is_found(trained, programme):
    data = trained.folder / "data"
    tries = 0
    for path in flips(data, programme.count(quick=4, full=0) or None):
        with pytest.raises(ModelError) as caught:
            verify_checksums(data)
        named(caught.value, path)
        tries += 1
    verify_checksums(data)
    text = "a bit flipped in each 4 kB of each file of prepared data: found and named"
    programme.record(18, text, tries=tries)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "a flipped bit":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "cut off":
        path.write_bytes(content[: len(content) // 2])
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"")


@pytest.fixture
def copied(trained, tmp_path) -> Run:
    """Return a copy of the run that may be changed."""
    shutil.copytree(trained.config.parent, tmp_path, dirs_exist_ok=True)
    return Run(tmp_path, *LARGER)


@pytest.mark.parametrize("how", ["a flipped bit", "cut off", "gone", "empty"])
def test_training_resumes_from_the_previous_checkpoint(copied, how):
    older, newest = list_checkpoints(copied.folder)
    damage(newest / "model.safetensors", how)
    ended = copied.train(2 * AHEAD)
    assert ended.code == 0, ended.errors
    assert f"{newest}/model.safetensors: is " in ended.errors
    assert f"Going back to {older.name}." in ended.errors
    assert resumed_from(ended.errors) == int(older.name[-6:])


def test_training_refuses_to_start_over_damaged_checkpoints(copied):
    for checkpoint in list_checkpoints(copied.folder):
        damage(checkpoint / "state.json", "cut off")
    ended = copied.train(2 * AHEAD)
    assert ended.code == 4
    assert "none of its 2 checkpoints is intact; restore one from a copy" in ended.errors


@pytest.mark.parametrize("how", ["a flipped bit", "cut off", "gone", "empty"])
@pytest.mark.parametrize(
    "name",
    [
        *("train/ids.bin", "train/texts.txt", "train/index.safetensors"),
        *("source.model", "preparation.json"),
    ],
)
def test_damaged_data_are_prepared_again_before_training_resumes(copied, name, how):
    path = copied.folder / "data" / name
    before = sha256_of(path)
    damage(path, how)
    ended = copied.train(AHEAD + 1)
    assert ended.code == 0, ended.errors
    if (name, how) != ("preparation.json", "gone"):  # then there is nothing that could be damaged
        assert re.search(rf"warning: {path}: is .*; prepared again", ended.errors)
    if name != "preparation.json":  # which says how long it took
        assert sha256_of(path) == before
    assert resumed_from(ended.errors) == AHEAD


@pytest.mark.parametrize("how", ["another name", "cut off", "empty"])
@pytest.mark.parametrize("name", ["data", "model"])
def test_a_damaged_manifest_does_not_end_a_run_and_its_folder_is_kept(copied, name, how):
    path = copied.folder / name / "SHA256SUMS"
    learned = sha256_of(copied.folder / "data" / "train" / "ids.bin")
    if how == "another name":
        path.write_bytes(path.read_bytes().replace(b"source", b"sourcf"))
    else:
        damage(path, how)
    ended = copied.train(2 * AHEAD)
    assert ended.code == 0, ended.errors
    assert resumed_from(ended.errors) == AHEAD
    if name == "data":
        assert re.search(r"data: held files that .* kept as data\.kept\.", ended.errors)
        (kept,) = copied.folder.glob("data.kept.*")
        for folder in (kept, path.parent):
            assert sha256_of(folder / "train" / "ids.bin") == learned


@pytest.mark.parametrize("how", ["deleted", "not mounted"])
def test_a_run_whose_checkpoints_are_out_of_reach_is_left_alone(copied, how):
    checkpoints, elsewhere = copied.folder / "checkpoints", copied.folder.parent / "disk"
    checkpoints.rename(elsewhere)
    if how == "not mounted":
        checkpoints.symlink_to(elsewhere)
        elsewhere.rename(elsewhere.with_name("unmounted"))
    watched = [copied.folder / name for name in ("metrics.jsonl", "model/model.safetensors")]
    before = [sha256_of(path) for path in watched]
    refusal = (
        f"error: {checkpoints}: is empty or missing, although this run has trained; restore it "
        "(is its disk mounted?), or choose another --run.\n"
    )
    for command in ("train", "prepare"):
        ended = nmt(copied.log, command, copied.config, "--run", copied.folder)
        assert (ended.code, refusal in ended.errors) == (4, True)
    assert [sha256_of(path) for path in watched] == before


def test_two_swapped_files_are_found(copied):
    older, newest = list_checkpoints(copied.folder)
    shutil.copy(older / "optimizer.safetensors", newest / "optimizer.safetensors")
    ended = copied.train(2 * AHEAD)
    assert ended.code == 0
    assert f"{newest}/optimizer.safetensors: is damaged or was changed" in ended.errors
    newest = list_checkpoints(copied.folder)[-1]
    shutil.copy(newest / "optimizer.safetensors", copied.folder / "model" / "model.safetensors")
    ended = nmt(copied.log, "translate", copied.folder, "-i", copied.config)
    assert ended.code == 4
    assert "model.safetensors: is damaged or was changed" in ended.errors


def other_version_of_a_checkpoint(run: Run) -> str:
    newest = list_checkpoints(run.folder)[-1]
    state = (newest / "state.json").read_text().replace('"format": 3', '"format": 1')
    (newest / "state.json").write_text(state)
    write_checksums(newest)
    return (
        f"{newest}: has checkpoint format 1, this version of nmt reads 3 alone; "
        "resume with the version that wrote it, or start a new run in another folder."
    )


def other_version_of_a_model(run: Run) -> str:
    path = run.folder / "model" / "config.json"
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 1'))
    write_checksums(path.parent)
    return f"{path}: has format version 1, and nmt "


@pytest.mark.parametrize("change", [other_version_of_a_checkpoint, other_version_of_a_model])
def test_another_version_is_named_and_refused(copied, change: Callable[[Run], str]):
    message = change(copied)
    if change is other_version_of_a_model:
        ended = nmt(copied.log, "translate", copied.folder, "-i", copied.config)
    else:
        ended = copied.train(2 * AHEAD)
    assert ended.code == 4, ended.errors
    assert message in ended.errors


# --- data that change while they are read --------------------------------------------------------


@pytest.mark.parametrize("part", ["train", "valid"])
@pytest.mark.parametrize("left", [0, 3])
def test_a_file_cut_off_while_training_reads_it_ends_the_run_with_its_name(
    tmp_path, part, left, programme
):
    run = Run(tmp_path)
    process = run.begin(FOREVER)
    process.wait_for(lambda: run.updates_made())
    path = run.folder / "data" / part / "ids.bin"
    os.truncate(path, left)
    ended = process.end()

    assert ended.code == 3, ended.errors
    assert f"error: {path}: is damaged, it was truncated while in use; delete " in ended.errors
    saved = run.survivor()
    ended = run.train(saved + AHEAD)
    assert ended.code == 0, ended.errors
    assert resumed_from(ended.errors) in (saved, None)
    programme.record(20, f"ids.bin of {part} cut to {left} bytes while training: code 3", tries=1)


def test_text_changed_since_it_was_prepared_is_refused(copied):
    path = copied.config.parent / "long.xx"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"a", b"b", 1))
    os.utime(path, ns=(1, 1))
    ended = copied.train(2 * AHEAD)
    assert ended.code == 3
    assert f"{path} changed since the run was started; restore what it was" in ended.errors
