"""A signal in any phase of a run: at most one save, exit code 128 + its number, no torn file."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from launcher import Launcher, Process, settings
from tiny import write_corpus

from nmt.signals import SAME
from nmt.storage.checksums import sha256_of, verify_checksums

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
LIMIT = 10.0
"""Seconds to exit, on a machine that does other work."""
WAIT = """
import time, {module}
plain = {module}.{name}
def held(*arguments, **options):
    with open({path!r}, "a") as file:
        file.write("x")
        call = file.tell()
    end = time.monotonic() + {seconds} * ({which} in (0, call))
    while time.monotonic() < end:
        time.sleep(0.01)  # not at once: a signal right before a sleep does not cut it short
    return plain(*arguments, **options)
{module}.{name} = held
"""
"""Note in a file that a phase has begun, and stay in it; in one of its calls, or in all (0)."""
NOTE_SAVES = """
import nmt.signals as signals, nmt.training.in_progress as in_progress
save, handle = in_progress.save_checkpoint, signals.GracefulStop._handle
def note(letter):
    with open({path!r}, "a") as file:
        file.write(letter)
def saving(*arguments, **options):
    note("(")
    made = save(*arguments, **options)
    note(")")
    return made
def handling(*arguments):
    note("!")
    handle(*arguments)
in_progress.save_checkpoint, signals.GracefulStop._handle = saving, handling
"""
"""Note in a file when a save begins and ends, and when the signal comes."""

# Each phase: the function it calls, and the seconds it is made to last (0: as long as it takes).
PHASES = {
    "reading text": ("nmt.data.prepare", "Preparation.run", 0.0),
    "cutting text": ("nmt.data.pieces", "Subword.train", 0.0),
    "start-up": ("nmt.training.run", "assemble", 0.0),
    "update": ("nmt.training.loop", "make_update", 0.0),
    "validation": ("nmt.training.validation", "_score", 0.0),
    "loss of a validation": ("nmt.training.validator", "mean_loss", 0.2),
    "translating a validation": ("nmt.training.validator", "score", 0.2),
    "save": ("nmt.training.in_progress", "save_checkpoint", 0.0),
    "publishing a save": ("nmt.training.checkpoint", "point_to", 0.1),
}
QUICK = ("cutting text", "update", "translating a validation", "publishing a save")
UNSAVED = ("reading text", "cutting text", "start-up")


def shell_code(process: Process) -> int:
    """Return the exit code that a shell would report: 128 + n if a process dies of signal n."""
    code = process.wait()
    return 128 - code if code < 0 else code


def begin(launcher: Launcher, folder: Path, run: str, phase: str) -> tuple[Process, Path]:
    """Start a run in which `phase` leaves a mark when it begins."""
    if not (folder / "tiny.toml").exists():
        write_corpus(folder, pairs=200)
    module, name, seconds = PHASES[phase]
    mark, saves = folder / f"{run}.mark", folder / f"{run}.saves"
    process = launcher.start(
        *("train", folder / "tiny.toml", "--run", folder / run),
        *settings(("training.max_updates=1000000", "training.save_every=7", "validation.every=5")),
        before=NOTE_SAVES.format(path=str(saves))
        + WAIT.format(module=module, name=name, path=str(mark), seconds=seconds, which=0),
    )
    return process, mark


def assert_resumable(launcher: Launcher, folder: Path, run: Path) -> int:
    """Check that the files of the run are whole, and that it resumes from them."""
    last = run / "last"
    updates = int(last.read_text()[-7:]) if last.exists() else 0
    for checkpoint in (run / "checkpoints").glob("update-*"):
        verify_checksums(checkpoint)
    process = launcher.start(
        *("train", folder / "tiny.toml", "--run", run),
        *settings((f"training.max_updates={updates + 2}", "validation.every=5")),
    )
    assert process.wait() == 0, process.errors
    assert not updates or f"resume: from update-{updates:06d}" in process.errors
    assert not list(run.rglob(".*.partial"))
    return updates


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_in_any_phase_ends_the_run_cleanly(tmp_path, launcher, programme, phase):
    if phase not in QUICK:
        programme.require_full()
    chance, tries = random.Random(phase), programme.count(quick=1, full=8)
    seconds = []
    for number in range(tries):
        kind = list(CODES)[(number + len(phase)) % len(CODES)]
        process, mark = begin(launcher, tmp_path, f"run{number}", phase)
        passes = 1 if phase in UNSAVED else 1 + chance.randrange(3)
        process.wait_until(
            lambda mark=mark, passes=passes: mark.exists() and mark.stat().st_size >= passes, phase
        )
        time.sleep(chance.random() * 0.05)  # anywhere in the phase: any moment must work
        sent = time.monotonic()
        process.send(kind)
        code = shell_code(process)
        seconds.append(time.monotonic() - sent)
        assert code == CODES[kind], process.errors
        assert "Traceback" not in process.errors
        run = tmp_path / f"run{number}"
        saved = (run / "last").exists()
        if phase not in UNSAVED:
            assert ": by a signal; the same command resumes from here" in process.errors
            assert process.errors.count(f"{kind.name}: saving before exit") == 1
            assert saved
            # One that was due before the signal, and the one that the signal causes.
            saves = (tmp_path / f"run{number}.saves").read_text()
            assert re.fullmatch(r"(\(\))*(\(!\)|!(\(\))?)(\(\))?", saves), saves
        if number % 5 == 0:
            assert_resumable(launcher, tmp_path, run)
    seconds.sort()
    assert seconds[-1] < LIMIT
    p99 = seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))]
    programme.record(
        15, f"signal during {phase}: p99 {p99:.2f} s", tries=tries, worst_seconds=seconds[-1]
    )


def test_a_validation_interrupted_by_a_signal_is_repeated_after_resuming(
    tmp_path, launcher, programme
):
    """The rest of the run is bit for bit that of an uninterrupted one."""
    write_corpus(tmp_path, pairs=200)
    options = ("training.max_updates=10", "validation.every=5", "training.save_every=100")
    arguments = ["train", tmp_path / "tiny.toml", *settings(options), "--run"]
    assert launcher.start(*arguments, tmp_path / "whole").wait() == 0
    for name, passes in (("first", 1), ("last", 2)):  # at update 5, and at the last of all
        mark, run = tmp_path / f"{name}.mark", tmp_path / name
        module = "nmt.training.validator"
        held = WAIT.format(module=module, name="score", path=str(mark), seconds=30, which=passes)
        process = launcher.start(*arguments, run, before=held)
        process.wait_until(
            lambda mark=mark, passes=passes: mark.exists() and mark.stat().st_size >= passes
        )
        sent = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait() == 143, process.errors
        assert time.monotonic() - sent < LIMIT
        assert (run / "last").read_text() == f"checkpoints/update-{5 * passes:06d}\n"
        resumed = launcher.start(*arguments, run)
        assert resumed.wait() == 0, resumed.errors
        states, weights = [], []
        for folder in (tmp_path / "whole", run):
            checkpoint = folder / "checkpoints" / "update-000010"
            states.append(json.loads((checkpoint / "state.json").read_text()))
            del states[-1]["seconds"], states[-1]["validation_seconds"]
            weights.append(sha256_of(checkpoint / "optimizer.safetensors"))
            lines = (folder / "metrics.jsonl").read_text().splitlines()
            entries = [json.loads(line) for line in lines]
            assert [e["update"] for e in entries if e["kind"] == "valid"] == [5, 10]
        assert states[0] == states[1]
        assert weights[0] == weights[1]
    programme.record(16, "validation cut short by a signal: made up for, equal by hash", tries=2)


HANG = """
import ctypes
def hang(*_, **__):
    open({path!r}, "w").close()
    mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""
"""Wait in C for what never comes."""


def is_asleep(process: Process) -> bool:
    """Whether its main thread waits rather than computes."""
    status = Path(f"/proc/{process.pid}/status")
    return not status.exists() or "State:\tS" in status.read_text()


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_long_native_call_before_training_begins(
    tmp_path, launcher, programme, kind
):
    """For example while pieces are learned: minutes in a library that ignores signals."""
    write_corpus(tmp_path)
    stuck = tmp_path / "stuck"
    process = launcher.start(
        *("train", tmp_path / "tiny.toml", "--run", tmp_path / "run"),
        before=HANG.format(path=str(stuck))
        + "import nmt.data.prepare\nnmt.data.prepare.Preparation.run = hang\n",
    )
    process.wait_until(lambda: stuck.exists() and is_asleep(process), "the preparation")
    sent = time.monotonic()
    process.send(kind)
    assert process.wait() == CODES[kind]
    seconds = time.monotonic() - sent
    assert seconds < LIMIT
    text = f"{kind.name} in a call that does not return, before training begins"
    programme.record(15, text, tries=1, worst_seconds=seconds)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once_even_inside_a_call_that_does_not_return(
    tmp_path, launcher, programme, second
):
    """Python runs no signal handlers there."""
    write_corpus(tmp_path)
    stuck = tmp_path / "stuck"
    before = HANG.format(path=str(stuck)) + (
        "import nmt.training.in_progress\nnmt.training.in_progress.save_checkpoint = hang\n"
    )
    process = launcher.start(
        *("train", tmp_path / "tiny.toml", "--run", tmp_path / "run"),
        *settings(("training.save_every=3", "training.max_updates=1000000")),
        before=before,
    )
    process.wait_until(stuck.exists, "the save")
    process.send(signal.SIGTERM)
    process.wait_for("SIGTERM: saving before exit; a second signal exits at once")
    time.sleep(2 * SAME)  # a signal within that time does not count as a second one
    sent = time.monotonic()
    process.send(second)
    assert process.wait() == CODES[second]
    seconds = time.monotonic() - sent
    assert seconds < LIMIT
    programme.record(15, f"second signal, {second.name}: at once", tries=1, worst_seconds=seconds)


@pytest.mark.parametrize("kind", CODES)
def test_a_signal_while_the_program_starts_ends_it(tmp_path, programme, kind):
    """From the interpreter's first line to the first update, at any time."""
    chance, tries, worst = random.Random(kind), programme.count(quick=1, full=8), 0.0
    config = write_corpus(tmp_path)
    for number in range(tries):
        run = tmp_path / f"run{number}"
        command = [sys.executable, "-m", "nmt.cli", "train", str(config), "--run", str(run)]
        with subprocess.Popen(
            [*command, "--set", "training.max_updates=1000000"],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            time.sleep(0.3 + 4 * chance.random())  # any moment must work: nothing is waited for
            sent = time.monotonic()
            process.send_signal(kind)
            process.stderr.read()
            code = process.wait(timeout=60)
            worst = max(worst, time.monotonic() - sent)
        assert (128 - code if code < 0 else code) == CODES[kind]
    assert worst < LIMIT
    programme.record(15, f"{kind.name} while the program starts", tries=tries, worst_seconds=worst)


IMPORT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from nmt.cli.start import main
sys.argv[1:] = ["--version"]
main()
"""
"""Press Ctrl-C when a module is about to be imported."""


@pytest.mark.parametrize("name", ["nmt.cli.main", "typer", "nmt.storage.os_errors"])
def test_ctrl_c_while_the_command_line_is_imported_ends_it_silently(name, programme):
    ended = subprocess.run(
        [sys.executable, "-c", IMPORT.format(name=name)],
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"")
    programme.record(15, "SIGINT while the command line is imported: quiet", tries=1)


COMPILER = """#!/bin/sh
echo $$ >{mark}.new
mv {mark}.new {mark}
exec sleep 600
"""
"""Note the number of the process, and compile for ten minutes."""


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that must soon hold."""
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.01)


@pytest.mark.parametrize("kind", CODES)
def test_a_signal_while_kernels_are_compiled_ends_it(tmp_path, programme, kind):
    config, mark, compiler = write_corpus(tmp_path), tmp_path / "mark", tmp_path / "compiler"
    compiler.write_text(COMPILER.format(mark=mark))
    compiler.chmod(0o755)
    run, cache = tmp_path / "run", tmp_path / "cache"
    with subprocess.Popen(
        [sys.executable, "-m", "nmt.cli", "train", str(config), "--run", str(run)],
        env={**os.environ, "CXX": str(compiler), "XDG_CACHE_HOME": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(mark.exists)
        sent = time.monotonic()
        process.send_signal(kind)
        errors = process.communicate()[1]
        seconds = time.monotonic() - sent
    assert process.returncode == CODES[kind]
    assert "Traceback" not in errors
    assert seconds < LIMIT
    assert list(cache.rglob("*")) == [cache / "nmt"]
    until(lambda: not Path(f"/proc/{mark.read_text().strip()}").exists())
    programme.record(15, f"{kind.name} in compile", tries=1, worst_seconds=seconds)
