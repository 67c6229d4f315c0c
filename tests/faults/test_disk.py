"""Row 14: every error of the disk is reported with exit code 5, and earlier files stay whole."""

import contextlib
import functools
import os
import random
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from calls import Fault, calls_of, provoke
from processes import Command, Ended, become_nobody, folder_of_all, nmt
from tiny import write_corpus
from trial_runs import AHEAD, Run, is_whole, resumed_from

from nmt.storage.checksums import verify_checksums

REASONS = {
    "ENOSPC": "the disk is full; free some space or choose a folder on another disk.",
    "EIO": "the disk reports an input/output error; check the system log, then retry.",
    "EDQUOT": "the disk quota is used up; free some space or choose a folder elsewhere.",
    "EROFS": "the file system is read-only; choose a folder that can be written.",
    "EFBIG": "the file would exceed the largest size allowed here; see `ulimit -f`.",
    "EACCES": "permission denied; change the owner or mode, or choose another place.",
}
REMOVALS = ("unlink", "unlinkat", "rmdir")
OPTIONAL = (*REMOVALS, "mkdir", "mkdirat")
"""Calls that a command may do without: cleaning up, making a folder that is there already."""
TINY_DISK = 4 << 20  # bytes


def some(faults: list[Fault], count: int | None) -> list[Fault]:
    """Let calls fail by a full disk and a broken one in turn: all calls, or `count` of them."""
    if count is not None:
        faults = random.Random(2).sample(faults, min(count, len(faults)))
    return [
        replace(fault, error="EIO" if fault.number % 2 or fault.call in REMOVALS else "ENOSPC")
        for fault in faults
    ]


def refused(ended: Ended, error: str, *places: Path) -> None:
    """Check that a command says what the disk refused, where, and what to do."""
    assert "Traceback" not in ended.errors, ended.errors
    assert ended.code == 5, ended.errors
    message = ended.errors.rstrip("\n").split("\n")[-1]
    place = "|".join(re.escape(str(place)) for place in places)
    wanted = (
        rf"error: (need [\d.]+ (B|kB|MB) in|cannot write) ({place})\S*"
        rf"(, [\d.]+ (B|kB|MB|GB) free)?; {re.escape(REASONS[error])}"
    )
    assert re.fullmatch(wanted, message), ended.errors


def test_each_call_of_training_fails_once_and_the_previous_checkpoint_stays(tmp_path, programme):
    run = Run(tmp_path)
    assert run.train(AHEAD).code == 0
    faults = calls_of(run.log, run.command(2 * AHEAD))
    saved, tries, lost, worst = run.survivor(), 0, 0, 0.0
    for fault in some(faults, programme.count(quick=8, full=0) or None):
        begun, stored = time.monotonic(), run.stored(saved)
        ended = provoke(run.log, run.command(saved + AHEAD), fault)
        worst = max(worst, time.monotonic() - begun)
        assert resumed_from(ended.errors) in (saved, None), ended.errors
        is_ours = ended.is_within(run.folder)
        if is_ours and (ended.code or fault.call not in OPTIONAL):
            refused(ended, fault.error or "", run.folder)
            assert fault.call in REMOVALS or not any(
                name.endswith(".partial") for name in run.strays()
            )
        else:
            assert "Traceback" not in ended.errors, f"{ended.at}\n{ended.errors}"
            assert ended.code in (0, 5), f"{ended.at}\n{ended.errors}"
        survivor = run.survivor()
        lost += run.bytes_lost(stored, saved, survivor)
        saved = survivor
        tries += is_ours
    assert lost == 0

    ended = run.train(saved + AHEAD)
    assert ended.code == 0, ended.errors
    assert resumed_from(ended.errors) == saved
    assert run.strays() == []
    verify_checksums(run.folder / "model")
    programme.record(
        14,
        "each write, fsync, rename, mkdir and unlink of training fails once (full disk, I/O "
        "error): code 5 with the reason, the previous checkpoint whole",
        tries=tries,
        bytes_lost=lost,
        worst_seconds=worst,
    )


@pytest.mark.parametrize("error", ["EDQUOT", "EROFS", "EFBIG"])
def test_a_quota_a_read_only_disk_and_a_limit_are_named(tmp_path, error):
    run = Run(tmp_path)
    assert run.train(AHEAD).code == 0
    fault = Fault("fsync", 12, error)
    refused(provoke(run.log, run.command(2 * AHEAD), fault), error, run.folder)
    assert run.survivor() == AHEAD


def size_of(folder: Path) -> int:
    """Return how many bytes its files have."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_each_call_of_preparation_fails_once_and_the_previous_data_stay(tmp_path, programme):
    write_corpus(tmp_path)
    out = tmp_path / "run"

    def command(length: int) -> Command:
        limit = ("--set", f"data.max_length={length}")
        return Command(("prepare", str(tmp_path / "tiny.toml"), "--run", str(out), *limit))

    faults = calls_of(tmp_path / "log", command(100))
    tries = lost = 0
    for number, fault in enumerate(some(faults, programme.count(quick=8, full=0) or None)):
        stored = size_of(out / "data")
        ended = provoke(tmp_path / "log", command(101 + number), fault)
        is_ours = ended.is_within(out)
        if is_ours and (ended.code or fault.call not in OPTIONAL):
            refused(ended, fault.error or "", out)
            assert fault.call in REMOVALS or not any(
                name.endswith(".partial") for name in os.listdir(out)
            )
        else:
            assert "Traceback" not in ended.errors, f"{ended.at}\n{ended.errors}"
            assert ended.code in (0, 5), f"{ended.at}\n{ended.errors}"
        lost += 0 if is_whole(out / "data") else stored
        tries += is_ours
    assert lost == 0
    programme.record(
        14,
        "each call of `nmt prepare` that changes the disk fails once: code 5 with the reason, the "
        "former data whole",
        tries=tries,
        bytes_lost=lost,
    )


WRITERS = {
    "translate": ("translate", "{model}", "-i", "{text}", "-o", "{out}", "--beam", "1"),
    "score": ("score", "{model}", "--source", "{text}", "--target", "{text}.copy", "-o", "{out}"),
    "evaluate": ("evaluate", "--run", "{model}", "--test", "{text}", "{text}.copy", "-o", "{out}"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_each_call_of_writing_lines_fails_once_and_finished_lines_stay(
    model_folder, tmp_path, programme, name
):
    text, out, partial = (tmp_path / name for name in ("in", "out", "out.partial"))
    for path in (text, tmp_path / "in.copy"):
        path.write_text("a cat\n" * 12)
    out.write_text("former\n")
    arguments = (part.format(model=model_folder, text=text, out=out) for part in WRITERS[name])
    command = Command(tuple(arguments))
    faults = calls_of(tmp_path / "log", command)
    whole = out.read_text()
    assert whole.count("\n") == 12
    tries = lost = 0
    for fault in some(faults, programme.count(quick=3, full=0) or None):
        out.write_text("former\n")
        ended = provoke(tmp_path / "log", command, fault)
        if not ended.is_within(out):
            continue
        refused(ended, fault.error or "", out, tmp_path)
        assert fault.call == "ftruncate" or "lines written before the error" in ended.errors
        assert whole.startswith(partial.read_text())
        lost += 0 if out.read_text() == "former\n" else len("former\n")
        tries += 1
    assert tries
    assert lost == 0
    what = f"each call of `nmt {name} -o` fails once: code 5, the former file whole"
    programme.record(14, what, tries=tries, bytes_lost=lost)


@pytest.mark.parametrize("name", ["average", "init"])
def test_each_call_of_writing_new_files_fails_once_and_writes_all_or_nothing(
    tmp_path, programme, name
):
    run, out = Run(tmp_path / "corpus"), tmp_path / "here" / "out"
    out.parent.mkdir()
    if name == "average":
        assert run.train(2 * AHEAD).code == 0
        command = Command(("average", str(run.folder), "-o", str(out)))
    else:
        train, valid = (
            [str(run.config.parent / f"{part}.{side}") for side in ("xx", "yy")]
            for part in ("train", "valid")
        )
        texts = ("--languages", "xx-yy", "--train", *train, "--valid", *valid)
        command = Command(("init", str(out), *texts))
    faults, tries, content = calls_of(run.log, command), 0, ""
    if out.is_file():
        content = out.read_text()
    for fault in some(faults, programme.count(quick=3, full=0) or None):
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        ended = provoke(run.log, command, fault)
        if not ended.is_within(out.parent) or (not ended.code and fault.call in OPTIONAL):
            continue
        refused(ended, fault.error or "", out.parent)
        assert [path.name for path in out.parent.iterdir()] in ([], ["out"])
        if out.exists():  # only the sync of its name failed
            assert is_whole(out) if out.is_dir() else out.read_text() == content
        tries += 1
    assert tries
    what = f"each call of `nmt {name}` that changes the disk fails once: code 5, all or nothing"
    programme.record(14, what, tries=tries)


# --- disks that are small, full, or read-only --------------------------------------------------


def limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_no_file_may_grow_beyond_a_limit(tmp_path, programme):
    """RLIMIT_FSIZE limits files to different sizes; the kernel itself cuts their writes short."""
    run = Run(tmp_path)
    assert run.train(AHEAD).code == 0
    largest = max(file.stat().st_size for file in run.folder.rglob("*") if file.is_file())
    tries, lost, stored = programme.count(quick=3, full=20), 0, run.stored(AHEAD)
    for size in random.Random(3).sample(range(100, largest), tries):
        ended = run.train(2 * AHEAD, setup=functools.partial(limit_files, size))
        refused(ended, "EFBIG", run.folder)
        lost += run.bytes_lost(stored, AHEAD, run.survivor())
        assert run.strays() == []
    assert lost == 0
    assert run.train(2 * AHEAD).code == 0
    text = "RLIMIT_FSIZE at random sizes while training: code 5"
    programme.record(14, text, tries=tries, bytes_lost=lost)


@contextlib.contextmanager
def tiny_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of 4 MiB."""
    folder.mkdir()
    options = ("-t", "tmpfs", "-o", f"size={TINY_DISK}", "none", str(folder))
    if os.geteuid() or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("only root can mount a tmpfs; RLIMIT_FSIZE and strace provoke the same")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path, leave: int) -> None:
    """Fill a disk with one file, except for some bytes."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(path.parent).free - leave)


def test_a_nearly_full_disk_ends_training_which_resumes_once_space_is_freed(tmp_path, programme):
    tries, lost = programme.count(quick=2, full=12), 0
    with tiny_disk(tmp_path / "disk") as disk:
        run = Run(disk, log=tmp_path / "log")
        assert run.train(AHEAD).code == 0
        for leave in random.Random(4).sample(range(30), tries):
            fill(disk / "ballast", leave * 4096)
            saved = run.survivor()
            stored = run.stored(saved)
            ended = run.train(saved + AHEAD)
            if ended.code:
                refused(ended, "ENOSPC", run.folder)
            lost += run.bytes_lost(stored, saved, run.survivor())
        (disk / "ballast").unlink()
        assert run.train(run.survivor() + AHEAD).code == 0
        assert run.strays() == []
    assert lost == 0
    text = "a tmpfs of 4 MiB, nearly full, while training: code 5"
    programme.record(14, text, tries=tries, bytes_lost=lost)


def test_a_disk_that_is_read_only_is_named(tmp_path):
    with tiny_disk(tmp_path / "disk") as disk:
        run = Run(disk, log=tmp_path / "log")
        assert run.train(AHEAD).code == 0
        remount = ["mount", "-o", "remount,ro", str(disk)]
        subprocess.run(remount, check=True)
        refused(run.train(2 * AHEAD), "EROFS", run.folder)


def test_a_folder_that_must_not_be_written_is_named():
    with folder_of_all() as folder:
        run = Run(folder)
        assert run.train(AHEAD).code == 0
        run.folder.chmod(0o555)
        (run.folder / ".lock").chmod(0o666)
        ended = run.train(2 * AHEAD, setup=become_nobody)
        run.folder.chmod(0o755)
        refused(ended, "EACCES", run.folder)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_log_on_a_full_disk_ends_training_with_the_reason(tmp_path):
    run = Run(tmp_path)
    assert run.train(AHEAD).code == 0
    (run.folder / "train.log").unlink()
    (run.folder / "train.log").symlink_to("/dev/full")
    refused(run.train(2 * AHEAD), "ENOSPC", run.folder)
    (run.folder / "train.log").unlink()
    assert run.train(2 * AHEAD).code == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_translations_to_a_full_disk_end_with_the_reason(model_folder, tmp_path):
    (tmp_path / "in").write_text("a cat\n")
    ended = nmt(tmp_path, "translate", model_folder, "-i", tmp_path / "in", "-o", "/dev/full")
    refused(ended, "ENOSPC", Path("/dev/full"))
