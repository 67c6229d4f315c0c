"""Standard streams and the log of a command."""

import contextlib
import io
import json
import logging
import os
import sys
from typing import Literal, TextIO

LogFormat = Literal["text", "json"]


def prepare_streams() -> None:
    """Replace closed standard streams, make standard output UTF-8, and make all streams blocking.

    If a stream was closed before the program began, the next file to be opened would take its
    descriptor. The replacement cannot be read or written; messages to standard error are lost.
    A non-blocking stream, left behind by another program on the same pipe or terminal, would seem
    to end early, or drop lines.
    """
    modes = {"stdin": os.O_WRONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for number, (name, mode) in enumerate(modes.items()):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
        with contextlib.suppress(OSError, AttributeError):  # Windows got it with Python 3.12
            os.set_blocking(number, True)
    if isinstance(sys.stdout, io.TextIOWrapper):  # file names that are not UTF-8 pass unchanged
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def discard_output() -> None:
    """Discard buffered standard output, so that the interpreter does not try to write it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> None:
    """Print an error to standard error, in the format of the log.

    If that fails, the exit code still reports it.
    """
    is_json = logs_json()
    with contextlib.suppress(OSError):
        for line in message.split("\n"):
            record = logging.LogRecord("nmt", logging.ERROR, "", 0, line, None, None)
            shown = _JsonFormatter().format(record) if is_json else f"error: {line}"
            print(shown, file=sys.stderr)


def logs_json() -> bool:
    """Whether the log consists of JSON objects."""
    handlers = logging.getLogger("nmt").handlers
    return any(isinstance(handler.formatter, _JsonFormatter) for handler in handlers)


def configure_log(log_format: LogFormat, *, quiet: bool, verbose: bool) -> None:
    """Send the log of the package to standard error."""
    handler = _Console(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    handler.setLevel(logging.WARNING if quiet else logging.DEBUG)
    logger = logging.getLogger("nmt")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)  # train.log is never quiet


class _Console(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Continue silently: failing to write a log message is no reason to stop."""


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        is_notable = record.levelno >= logging.WARNING
        return f"{record.levelname.lower()}: " * is_notable + super().format(record)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(entry, ensure_ascii=False)
