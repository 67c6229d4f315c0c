"""Faults at the n-th system call of a process: by strace, or by functions of `os` without it."""

import errno
import functools
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import PATIENCE, Command, Ended, Process

CALLS = (
    *("write", "pwrite64", "ftruncate", "fsync", "mkdir", "mkdirat"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir"),
)
"""System calls that change what is on a disk; each machine has a part of them."""

_FUNCTIONS = {
    "ftruncate": "ftruncate",
    "fsync": "fsync",
    "mkdir": "mkdir",
    "rename": "rename",
    "replace": "rename",
    "unlink": "unlink",
    "remove": "unlink",
    "rmdir": "rmdir",
}
"""Functions of `os` that stand for these calls where there is no strace. What a file object
writes is out of reach there."""


@dataclass(frozen=True)
class Fault:
    """What happens at one call."""

    call: str
    number: int
    """Which of these calls, from 1."""
    error: str | None = None
    """Name of the error that it returns; None = the process is killed before it."""

    def __str__(self) -> str:
        return f"{self.error or 'SIGKILL'} at {self.call} {self.number}"


@dataclass(frozen=True)
class Provoked(Ended):
    """How a process ended after a fault was injected."""

    at: str | None
    """The call, with its arguments, at which the fault came; None if the process made fewer."""

    def is_within(self, folder: Path) -> bool:
        """Whether the call concerned something in a folder, rather than for example a message."""
        return self.at is not None and str(folder) in re.sub(r"^(\w+\(\d+<.*?>).*", r"\1", self.at)


def calls_of(folder: Path, command: Command) -> list[Fault]:
    """Run a command of nmt, and return a way to kill it at each of its calls."""
    trace = folder / "trace"
    _run_traced(folder, command, None, trace)
    names = re.findall(r"^(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE)
    counts = {name: names.count(name) for name in CALLS}
    return [Fault(name, number + 1) for name in CALLS for number in range(counts[name])]


def provoke(folder: Path, command: Command, fault: Fault) -> Provoked:
    """Run a command of nmt with a fault injected."""
    trace = folder / "trace"
    ended = _run_traced(folder, command, fault, trace)
    mark = "(INJECTED)" if fault.error else "= ?"  # left by a process that dies
    lines = [line for line in trace.read_text(errors="replace").split("\n") if "(" in line]
    at = next((line for line in lines if line.endswith(mark)), None)
    return Provoked(ended.code, ended.output, ended.errors, at)


def _run_traced(folder: Path, command: Command, fault: Fault | None, trace: Path) -> Ended:
    folder.mkdir(parents=True, exist_ok=True)
    trace.unlink(missing_ok=True)
    if not can_trace():
        trace.touch()
        return Process(_Stepwise(command, fault, trace), folder).go().end()
    process = Process(command, folder)
    strace_command = _strace(process.pid, fault, trace)
    with subprocess.Popen(strace_command, stderr=subprocess.PIPE) as strace:
        assert strace.stderr is not None
        strace.stderr.readline()  # "Process 123 attached"
        ended = process.go().end()
        strace.wait(PATIENCE)
    return ended


def _strace(pid: int, fault: Fault | None, trace: Path) -> list[str]:
    names = [fault.call] if fault else [f"?{name}" for name in CALLS]
    command = ["strace", "-y", "-s", "256", "-o", str(trace), "-p", str(pid)]
    command += ["-e", f"trace={','.join(names)}"]
    if fault is not None:
        what = f"error={fault.error}" if fault.error else "signal=SIGKILL"
        command += ["-e", f"inject={fault.call}:{what}:when={fault.number}"]
    return command


@functools.cache
def can_trace() -> bool:
    """Whether strace is installed, may trace other processes, and supports injection."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "60"]) as process:
        command = _strace(process.pid, Fault("fsync", 1), Path(os.devnull))
        with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
            assert strace.stderr is not None
            is_attached = b"attached" in strace.stderr.readline()
            process.kill()
    return is_attached


@dataclass(frozen=True)
class _Stepwise:
    """A command whose calls of functions of `os` are counted, and fail at the n-th."""

    command: Command
    fault: Fault | None
    trace: Path

    def __call__(self) -> object:
        descriptor = os.open(self.trace, os.O_WRONLY | os.O_APPEND)
        counts: Counter[str] = Counter()
        for name, call in _FUNCTIONS.items():
            function = self._counted(getattr(os, name), call, counts, descriptor)
            setattr(os, name, function)
        return self.command()

    def _counted(
        self, function: Callable[..., Any], name: str, counts: Counter[str], descriptor: int
    ) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            place = arguments[0]
            if isinstance(place, int):
                place = os.readlink(f"/proc/self/fd/{place}")
            os.write(descriptor, f"{name}({place}) = ".encode())
            counts[name] += 1
            if self.fault is None or (name, counts[name]) != (self.fault.call, self.fault.number):
                os.write(descriptor, b"0\n")
                return function(*arguments, **options)
            if self.fault.error is None:
                os.write(descriptor, b"?\n")
                os.kill(os.getpid(), signal.SIGKILL)
            os.write(descriptor, b"-1 (INJECTED)\n")
            number = getattr(errno, self.fault.error or "")
            raise OSError(number, os.strerror(number), str(place))

        return call
