"""`nmt` in processes of its own, which start in milliseconds and begin when told to.

They are forked from a server that has imported everything. `strace` can attach to a waiting
process before it does anything; see `calls`.
"""

import contextlib
import functools
import multiprocessing
import multiprocessing.forkserver
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 120.0
"""Seconds after which a process that should have ended is given up."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["warm", "processes"])

Setup = Callable[[], object]


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    """Exit code; minus the signal if one killed it."""
    output: bytes
    errors: str


class Process:
    """A function in a process of its own, which begins when `go` is called.

    Args:
        work: the function, which must be picklable and returns the exit code.
        folder: where its standard output and error are kept; made if it is missing.
    """

    def __init__(self, work: Callable[[], object], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _start_server()
        self._output, self._errors = folder / "stdout", folder / "stderr"
        self._gate, gate = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_run, args=(gate, work, self._output, self._errors), daemon=True
        )
        self._process.start()
        gate.close()
        self._gate.recv_bytes()  # its streams are in place
        self.pid: int = self._process.pid

    def go(self) -> "Process":
        """Let it begin."""
        self._gate.send_bytes(b"go")
        return self

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    @property
    def errors(self) -> str:
        """Its standard error so far."""
        return self._errors.read_text(errors="replace")

    def end(self) -> Ended:
        """Wait until it has ended."""
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
            raise AssertionError(f"did not end within {PATIENCE} s:\n{self.errors}")
        self._gate.close()
        code = self._process.exitcode
        self._process.close()
        return Ended(code, self._output.read_bytes(), self.errors)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        """Wait for something that the process does; fail if it ends before."""
        while not is_so():
            self._process.join(0.005)
            if not self._process.is_alive():
                raise AssertionError(f"ended early:\n{self.end().errors}")


@dataclass(frozen=True)
class Command:
    """A command line of nmt, as the work of a process."""

    arguments: tuple[str, ...]
    setup: Setup | None = None
    """Called before: limits, another user, another environment."""

    def __call__(self) -> int:
        from nmt.cli.main import run

        if self.setup is not None:
            self.setup()
        return run(list(self.arguments))


def start(folder: Path, *arguments: object, setup: Setup | None = None) -> Process:
    """Return a process that is about to run a command of nmt."""
    return Process(Command(tuple(map(str, arguments)), setup), folder)


def nmt(folder: Path, *arguments: object, setup: Setup | None = None) -> Ended:
    """Run a command of nmt to its end."""
    return start(folder, *arguments, setup=setup).go().end()


@functools.cache
def _start_server() -> None:
    """Start the server where it can import our modules: it does not inherit our `sys.path`."""
    former = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if former is not None:
            os.environ["PYTHONPATH"] = former


def _run(gate, work, output: Path, errors: Path) -> None:
    for stream, path in ((1, output), (2, errors)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    gate.send_bytes(b"ready")
    gate.recv_bytes()
    sys.exit(work())


@contextlib.contextmanager
def folder_of_all() -> Iterator[Path]:
    """Make a folder that every user may enter; those of pytest are private to one user."""
    folder = Path(tempfile.mkdtemp(prefix="nmt-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def become_nobody() -> None:
    """Give up the rights of root, if the process has them."""
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
