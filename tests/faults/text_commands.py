"""Commands run inside this process, one after another: bytes in, bytes and exit code out."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import typer

from nmt.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: bytes
    log: str

    @property
    def lines(self) -> list[str]:
        """Standard output, cut at line feeds alone."""
        assert self.out == b"" or self.out.endswith(b"\n")
        return self.out.decode().split("\n")[:-1]


def nmt(*arguments: object, stdin: bytes = b"") -> Outcome:
    """Run a command; a traceback is a failure of the test."""
    out, log = io.BytesIO(), io.BytesIO()
    streams = io.TextIOWrapper(out, "utf-8"), io.TextIOWrapper(log, "utf-8", "backslashreplace")
    former = sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    try:
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            code = main.run([str(argument) for argument in arguments])
    finally:
        sys.stdin = former
    for stream in streams:
        stream.flush()
    found = Outcome(code, out.getvalue(), log.getvalue().decode())
    assert code != 1, found.log[-2000:]
    assert "Traceback" not in found.log
    return found


@contextlib.contextmanager
def built_once() -> Iterator[None]:
    """Keep the commands' parsers, which are otherwise rebuilt at each run."""
    app, logger = main.app, logging.getLogger("nmt")
    former = logger.handlers, logger.level, logger.propagate
    main.app = typer.main.get_command(app)  # type: ignore[assignment]
    try:
        yield
    finally:
        main.app = app
        logger.handlers, logger.level, logger.propagate = former
