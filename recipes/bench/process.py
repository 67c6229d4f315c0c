"""Run and time a system's command with a given number of threads."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Moment, Progress, UnavailableError, last_error
from nmt.benchmark.memory import resident_mb

RECIPES = Path(__file__).resolve().parents[1]
"""Folder from which `python -m bench.…` can be run."""
TIMEOUT = 6 * 3600.0
"""Seconds after which a command is abandoned."""
SILENCE = 900.0
"""Seconds without a log line after which training is abandoned."""


@dataclass(frozen=True)
class Command:
    """A command of a system."""

    arguments: Sequence[str]
    folder: Path
    """Working folder; must exist."""
    environment: Mapping[str, str]
    """Environment variables, in addition to those of this process."""


@dataclass(frozen=True)
class Finished:
    """Result of a finished command."""

    output: str
    """Standard output and standard error, interleaved."""
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Watched:
    """Result of a training that was stopped after enough updates."""

    moments: list[Moment]
    peak_mb: float


def thread_settings(threads: int) -> dict[str, str]:
    """Return environment variables that set the number of threads and unbuffer the log."""
    count = str(threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        **dict.fromkeys(names, count),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore",
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",  # the peers' checkpoints hold more than tensors
        "CUDA_VISIBLE_DEVICES": "",
    }


def finish(command: Command) -> Finished:
    """Run a command to its end.

    Raises:
        UnavailableError: it failed or took too long.
    """
    started = time.monotonic()
    lines: list[str] = []
    process, arrived = _start(command)
    peak_mb = 0.0
    try:
        while (line := _next(arrived, TIMEOUT - (time.monotonic() - started))) is not None:
            lines.append(line)
    finally:
        seconds = time.monotonic() - started
        peak_mb = _end(process, kill=sys.exc_info()[0] is not None)
    if process.returncode != 0:
        raise UnavailableError(last_error("".join(lines)))
    return Finished("".join(lines), seconds, peak_mb)


def watch(command: Command, parse: Callable[[str], Progress | None], *, updates: int) -> Watched:
    """Run a training, record when each update is reported, and stop it after `updates` updates.

    Raises:
        UnavailableError: it ended too early, or stopped logging.
    """
    moments: list[Moment] = []
    lines: list[str] = []
    process, arrived = _start(command)
    peak_mb = 0.0
    try:
        while (line := _next(arrived, SILENCE)) is not None:
            lines.append(line)
            if (progress := parse(line)) is not None:
                moments.append(Moment(time.monotonic(), progress))
                if progress.update >= updates:
                    break
    finally:
        peak_mb = _end(process, kill=True)
    if not moments or moments[-1].progress.update < updates:
        raise UnavailableError(last_error("".join(lines)))
    return Watched(moments, peak_mb)


def _start(command: Command) -> "tuple[subprocess.Popen[str], queue.Queue[str | None]]":
    """Start a command in a new process group; its lines arrive in the queue, followed by None."""
    process = subprocess.Popen(
        list(command.arguments),
        cwd=command.folder,
        env={**os.environ, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    arrived: queue.Queue[str | None] = queue.Queue()

    def listen() -> None:
        with process.stdout as lines:  # type: ignore[union-attr]
            for line in lines:
                arrived.put(line)
        arrived.put(None)

    threading.Thread(target=listen, daemon=True).start()
    return process, arrived


def _next(arrived: "queue.Queue[str | None]", patience: float) -> str | None:
    try:
        return arrived.get(timeout=max(patience, 0.001))
    except queue.Empty:
        raise UnavailableError(f"error: no output for {patience:.0f} seconds") from None


def _end(process: "subprocess.Popen[str]", *, kill: bool) -> float:
    """Wait for a process, killing its group first if asked to; return its peak memory in MB."""
    if kill:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return resident_mb(usage.ru_maxrss)
