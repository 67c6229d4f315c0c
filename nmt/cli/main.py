"""The command line: every command, the log, and what each kind of error ends with.

Standard output carries data only; the log goes to standard error. Exit codes: 0 done, 1 a bug in
nmt, 2 usage or configuration, 3 input data, 4 model or checkpoint, 5 the machine, 6 diverged,
141 the reader went away; after saving, 129 the terminal went away, 130 Ctrl-C, 143 SIGTERM.
"""

import contextlib
import errno
import io
import json
import logging
import os
import sys
import traceback
from typing import Annotated, Any, Literal, TextIO

import typer

from nmt import __version__
from nmt.cli import termination
from nmt.cli.average import average
from nmt.cli.bench import bench
from nmt.cli.check import check
from nmt.cli.evaluate import evaluate
from nmt.cli.init import init
from nmt.cli.prepare import prepare
from nmt.cli.score import score
from nmt.cli.search_options import SearchCommand
from nmt.cli.show import show
from nmt.cli.termination import Terminated, heed_signals
from nmt.cli.tokenize import tokenize
from nmt.cli.train import train
from nmt.cli.translate import translate
from nmt.errors import NmtError, ResourceError, UsageError, is_out_of_memory
from nmt.machine import keep_memory
from nmt.storage.failures import REASONS

READER_GONE = 141
"""128 + SIGPIPE: what a shell says of a program that ended by it."""

# What typer raises for a wrong command line; it has no public name of its own.
_WrongCommandLine: Any = typer.BadParameter.__base__

app = typer.Typer(
    help="Train, study and ship recurrent sequence-to-sequence translation models.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    init,
    check,
    prepare,
    tokenize,
    train,
    translate,
    score,
    evaluate,
    show,
    average,
    bench,
):
    app.command(cls=SearchCommand if command is translate else None)(command)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    typer.echo(f"nmt {__version__}  torch {torch.__version__}  device {device}")
    raise typer.Exit


@app.callback()
def configure(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log warnings only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log details too.")] = False,
    log_format: Annotated[
        Literal["text", "json"], typer.Option(help="Log for people, or one JSON object a line.")
    ] = "text",
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show versions."),
    ] = False,
) -> None:
    """Train, study and ship recurrent sequence-to-sequence translation models."""
    handler = _Console(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    handler.setLevel(logging.WARNING if quiet else logging.DEBUG)
    logger = logging.getLogger("nmt")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)  # train.log is never quiet


class _Console(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Go on in silence: what standard error refuses cannot be told, and is no reason to end."""


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


def main() -> None:
    """Run the command line and end the process with the exit code of what happened."""
    try:
        open_closed_streams()
        heed_signals()
        keep_memory()
        prepare_streams()
        code = run(sys.argv[1:])
    except (KeyboardInterrupt, Terminated):
        code = 130
    sys.exit(termination.exit_code() or code)


def open_closed_streams() -> None:
    """Put something in the place of standard streams that were closed before the program began.

    Otherwise the next files to be opened would take their numbers. Standard output and input then
    refuse to be written and read; what goes to standard error is lost.
    """
    modes = {"stdin": os.O_WRONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
    for number, (name, mode) in enumerate(modes.items()):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def prepare_streams() -> None:
    """Make standard output UTF-8 in any locale, and let all streams wait for the other end.

    Names that are not UTF-8 come out as they are. A stream that does not wait, as another program
    on the same pipe or terminal may have left it, would seem to end early, or drop lines.
    """
    for number in range(3):
        with contextlib.suppress(OSError):
            os.set_blocking(number, True)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; everything it has to say is already printed."""
    try:
        result = app(arguments, prog_name="nmt", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except _WrongCommandLine as error:
        error.show()
        return UsageError.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except NmtError as error:
        _complain(str(error))
        return error.exit_code
    except SystemExit as error:  # typer's own answer to a reader that went away
        return READER_GONE if isinstance(error.__context__, BrokenPipeError) else 1
    except BrokenPipeError:
        _forget_output()
        return READER_GONE
    except OSError as error:
        if error.errno == errno.EBADF:
            _forget_output()
        return _after_os_error(error)
    except Exception as error:
        if (code := termination.exit_code()) is not None:
            return code
        if is_out_of_memory(error):
            _complain(
                "memory is too small for this; end other programs, or give it less: "
                "a smaller file, batch or model."
            )
            return ResourceError.exit_code
        traceback.print_exc()
        _complain("this is a bug in nmt; please report it with the lines above.")
        return 1


def _forget_output() -> None:
    """What is still buffered cannot be written: keep the interpreter from trying at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> None:
    with contextlib.suppress(OSError):  # the exit code still says it
        for line in message.split("\n"):
            print(f"error: {line}", file=sys.stderr)


_OF_MACHINE = {
    **{n: REASONS[n] for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)},
    errno.EBADF: "standard output is closed; redirect it to a file or to /dev/null",
    errno.ENOMEM: "no memory is left; end other programs, then retry",
    errno.EMFILE: "too many files are open at once; raise the limit by `ulimit -n`, then retry",
    errno.ENFILE: "too many files are open at once; end other programs, then retry",
}
_OF_USE = {
    errno.EACCES: "access is not permitted; mend its owner or mode",
    errno.EPERM: "access is not permitted; mend its owner or mode",
    errno.ENOENT: "is not there; check the name, and whether the current folder still exists",
    errno.ENOTDIR: "a file is where a folder should be; check the name",
    errno.EISDIR: "is a folder; name a file",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "is a link that leads in a circle; name the file itself",
}


def _after_os_error(error: OSError) -> int:
    """Explain what the system refused."""
    number = error.errno or 0
    reason = f"{error.strerror or error}; look whether it is what the command takes"
    what = _OF_MACHINE.get(number) or _OF_USE.get(number, reason)
    _complain(f"{os.fsdecode(error.filename)}: {what}." if error.filename else f"{what}.")
    return ResourceError.exit_code if number in _OF_MACHINE else UsageError.exit_code
