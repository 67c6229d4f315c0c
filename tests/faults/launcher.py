"""Real processes of `nmt`, forked from one that has imported torch: dozens of them in seconds.

A child has files of its own as standard streams, an environment, a folder and, if requested,
a limit on its memory; it then runs `nmt.cli.main.main` and ends with it.
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PRELOADED = (
    *("nmt.cli.main", "nmt.training.run", "nmt.evaluation.metrics", "safetensors.torch"),
    *("numpy.random", "sacrebleu.tokenizers.tokenizer_13a", "torch._dynamo"),  # at the first use
)
PATIENCE = 120.0  # seconds; generous, for a machine that does other work


class Process:
    """One run of a command."""

    def __init__(self, launcher: "Launcher", pid: int, errors: Path, output: Path) -> None:
        self.launcher, self.pid, self._errors, self._output = launcher, pid, errors, output
        self.returncode: int | None = None

    @property
    def errors(self) -> str:
        return self._errors.read_text() if self._errors.exists() else ""

    @property
    def output(self) -> str:
        return self._output.read_text()

    def poll(self) -> int | None:
        """Return the exit code, negative for the signal that killed it; None while it runs."""
        if self.returncode is None:
            status = self.launcher.ask({"poll": self.pid})
            self.returncode = None if status is None else os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float = PATIENCE) -> int:
        end = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < end, f"still runs after {seconds} s:\n{self.errors}"
            time.sleep(0.005)
        return self.returncode

    def wait_for(self, text: str) -> None:
        """Wait until the log contains this text."""
        self.wait_until(lambda: text in self.errors, text)

    def wait_until(self, happened, what: object = "") -> None:
        end = time.monotonic() + PATIENCE
        while not happened():
            assert self.poll() is None or happened(), f"ended before {what}:\n{self.errors}"
            assert time.monotonic() < end, f"timed out waiting for {what}:\n{self.errors}"
            time.sleep(0.002)

    def send(self, number: int) -> None:
        os.kill(self.pid, number)


class Launcher:
    """The process that forks the others; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, 0
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._processes: list[Process] = []

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def kill_all(self) -> None:
        """End whatever still runs, so that a failed test leaves nothing to disturb the next."""
        for process in self._processes:
            if process.poll() is None:
                process.send(signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def ask(self, job: dict) -> int | None:
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(
        self,
        *arguments: object,
        cwd: Path | None = None,
        stdin: Path | str = "/dev/null",
        stdout: Path | str | None = None,
        stderr: Path | str | None = None,
        environment: dict[str, str] | None = None,
        spare_memory: int = 0,
        before: str = "",
    ) -> Process:
        """Start a command.

        Args:
            arguments: of `nmt`.
            cwd: its folder.
            stdin: a file or pipe.
            stdout: likewise; None = a new file.
            stderr: likewise.
            environment: variables to add to it.
            spare_memory: address space in bytes above that of an idle process; 0 = no limit.
            before: Python code to run first, to inject a fault.
        """
        self.started += 1
        errors = self.folder / f"{self.started}.err"
        output = self.folder / f"{self.started}.out"
        pid = self.ask(
            {
                "arguments": [str(argument) for argument in arguments],
                "cwd": str(cwd or self.folder),
                "files": [str(stdin), str(stdout or output), str(stderr or errors)],
                "environment": environment or {},
                "spare_memory": spare_memory,
                "before": before,
            }
        )
        assert pid is not None
        process = Process(self, pid, errors, output)
        self._processes.append(process)
        return process


def settings(overrides: Sequence[str]) -> list[str]:
    """Return the arguments that set keys of a configuration."""
    return [part for override in overrides for part in ("--set", override)]


def become(job: dict) -> None:
    """Turn the forked process into the requested one."""
    flags = (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.chdir(job["cwd"])
    os.environ.update(job["environment"])
    for number in (2, 1, 0):  # stderr first: opening a pipe may block, and its errors then show
        descriptor = os.open(job["files"][number], flags[number], 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["nmt", *job["arguments"]]
    if job["spare_memory"]:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * os.sysconf("SC_PAGE_SIZE") + job["spare_memory"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    exec(job["before"], {})


def serve() -> None:
    """Fork a process for each job, and report how they ended; return in each child."""
    for module in PRELOADED:
        importlib.import_module(module)
    jobs = os.fdopen(os.dup(0), "rb", buffering=0)
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    while line := jobs.readline():
        job = json.loads(line)
        if "poll" in job:
            pid, status = os.waitpid(job["poll"], os.WNOHANG)
            answer = status if pid else None
        else:
            answer = os.fork()
            if not answer:
                jobs.close()
                replies.close()
                become(job)
                from nmt.cli.main import main

                main()
        replies.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    serve()
