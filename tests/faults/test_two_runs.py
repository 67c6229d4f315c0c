"""Row 24: a folder belongs to one process at a time, and to none once that has ended."""

import os
import re
import signal
import socket

from processes import nmt
from trial_runs import AHEAD, INTERVAL, Run, resumed_from

from nmt.storage.lock import LOCK

FOREVER = 1_000_000


def busy(run: Run, pid: int) -> str:
    return (
        f"error: {run.folder}: is in use by process {pid} on {socket.gethostname()}; "
        "wait until it ends, stop it, or choose another folder.\n"
    )


def test_a_second_process_is_refused_and_the_first_continues(tmp_path, programme):
    run, other = Run(tmp_path), Run(tmp_path, log=tmp_path / "other")
    first = run.begin(FOREVER)
    first.wait_for(lambda: run.updates_made())
    tries = programme.count(quick=2, full=20)
    for _ in range(tries):
        second = other.train(FOREVER)
        assert (second.code, second.errors) == (2, busy(run, first.pid))
    prepared = nmt(tmp_path / "other", "prepare", run.config, "--run", run.folder)
    assert (prepared.code, prepared.errors) == (2, busy(run, first.pid))
    made = len(run.updates_made())
    first.wait_for(lambda: len(run.updates_made()) > made)
    os.kill(first.pid, signal.SIGTERM)

    assert first.end().code == 143
    made = run.updates_made()
    assert made == list(range(1, len(made) + 1))
    programme.record(24, "a second run in one folder: refused, the first unharmed", tries=tries)


def test_of_many_processes_started_at_once_one_wins(tmp_path, programme):
    run = Run(tmp_path)
    assert run.train(AHEAD).code == 0
    rivals = programme.count(quick=4, full=12)
    others = [Run(tmp_path, log=tmp_path / str(number)) for number in range(rivals)]
    processes = [other.begin(FOREVER) for other in others]
    lost = [process for process in processes if not run_or_lose(process, run)]
    (winner,) = (process for process in processes if process not in lost)
    winner.wait_for(lambda: len(run.updates_made()) > AHEAD)
    os.kill(winner.pid, signal.SIGTERM)

    assert winner.end().code == 143
    for process in lost:
        ended = process.end()
        assert ended.code == 2
        assert re.search(
            rf"{run.folder}: is in use by (process \d+ on|another process)", ended.errors
        )
    made = run.updates_made()
    assert made == list(range(1, len(made) + 1))
    programme.record(24, "several runs start in one folder at once: one wins", tries=rivals)


def run_or_lose(process, run: Run) -> bool:
    """Wait until a process has the folder, or was refused."""
    while process.is_alive:
        if resumed_from(process.errors) is not None:
            return True
    return False


def test_the_lock_of_a_dead_process_blocks_nobody(tmp_path, programme):
    run = Run(tmp_path)
    tries = programme.count(quick=1, full=10)
    for _ in range(tries):
        process = run.begin(FOREVER)
        made = len(run.updates_made())
        process.wait_for(lambda made=made: len(run.updates_made()) > made + INTERVAL)
        process.kill()
        assert process.end().code == -signal.SIGKILL
        assert f"process {process.pid} on" in (run.folder / LOCK).read_text()
        saved = run.survivor()
        (run.folder / LOCK).write_text(f"process {os.getpid()} on {socket.gethostname()}\n")

        ended = run.train(saved + 1)
        assert ended.code == 0, ended.errors
        assert resumed_from(ended.errors) == saved
    programme.record(24, "the lock of a process killed by SIGKILL: taken over", tries=tries)
