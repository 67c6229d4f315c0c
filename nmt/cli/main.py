"""The command line: all commands, and the exit code of each kind of error.

Standard output carries data only; the log goes to standard error. Exit codes: 0 done, 1 a bug in
nmt, 2 usage or configuration, 3 input data, 4 model or checkpoint, 5 the machine, 6 diverged,
141 the reader of the output closed it; 129 SIGHUP, 130 Ctrl-C, 143 SIGTERM, after saving.
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from nmt import __version__, signals
from nmt.cli.attention import attention
from nmt.cli.average import average
from nmt.cli.bench import bench
from nmt.cli.check import check
from nmt.cli.command import explain as explain_command_line
from nmt.cli.command import name_options
from nmt.cli.console import (
    LogFormat,
    complain,
    configure_log,
    discard_output,
    logs_json,
    prepare_streams,
)
from nmt.cli.diagnose import diagnose
from nmt.cli.evaluate import evaluate
from nmt.cli.explain import explain
from nmt.cli.init import init
from nmt.cli.pairs import PairCommand
from nmt.cli.prepare import prepare
from nmt.cli.sample import sample
from nmt.cli.score import score
from nmt.cli.search_options import SearchCommand
from nmt.cli.show import show
from nmt.cli.tokenize import tokenize
from nmt.cli.train import train
from nmt.cli.translate import translate
from nmt.cli.tune import tune
from nmt.errors import NmtError, ResourceError, UsageError, is_out_of_memory
from nmt.machine import keep_memory
from nmt.storage.os_errors import MACHINE, REQUEST

READER_GONE = 141
"""128 + SIGPIPE, the exit code of a program that is ended by this signal."""

# Raised by typer for a wrong command line; it has no public name.
_WrongCommandLine: Any = typer.BadParameter.__base__

app = typer.Typer(
    help="Train, study and ship recurrent sequence-to-sequence translation models.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[Callable[..., Any], str] = {
    init: "Write a configuration that fits a corpus.",
    check: "Find what ruins models in a corpus.",
    prepare: "Filter a corpus and cut it into pieces.",
    tokenize: "Cut text into pieces, or join them again.",
    train: "Train a model; the same command resumes.",
    tune: "Find better settings by many short runs.",
    translate: "Translate text.",
    sample: "Text from a language model.",
    score: "Log-probabilities of given translations.",
    evaluate: "Score translations against references.",
    show: "Curves, sizes and samples of a run.",
    attention: "Draw what a translation attends to.",
    explain: "Show how a sentence is translated, as a page.",
    average: "Average checkpoints into one model.",
    bench: "Measure the speed of this machine.",
}
for command, short_help in COMMANDS.items():
    parser = SearchCommand if command is translate else PairCommand
    app.command(cls=parser, short_help=short_help)(command)
app.add_typer(diagnose, name="diagnose", short_help="Look inside a model.")


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
        LogFormat, typer.Option(help="Log for people, or one JSON object per line.")
    ] = "text",
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show versions."),
    ] = False,
) -> None:
    """Train, study and ship recurrent sequence-to-sequence translation models."""
    configure_log(log_format, quiet=quiet, verbose=verbose)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        prepare_streams()
        signals.handle_signals()
        keep_memory()
        code = run(sys.argv[1:])
    except (KeyboardInterrupt, signals.Terminated):
        code = 130
    if interrupted := signals.exit_code():
        _leave(interrupted)
    sys.exit(code)


def _leave(code: int) -> None:
    """End the process without the interpreter's shutdown, which a half-imported library can crash.

    Whoever wrote files has cleaned up by now; only the streams hold something.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command, print its errors, and return its exit code."""
    try:
        result = app(arguments, prog_name="nmt", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except _WrongCommandLine as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            complain(explain_command_line(error))
        return UsageError.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except NmtError as error:
        complain(name_options(str(error), arguments))
        return error.exit_code
    except SystemExit as error:  # raised by typer when the reader of the output is gone
        return READER_GONE if isinstance(error.__context__, BrokenPipeError) else 1
    except OSError as error:
        return _after_os_error(error)
    except Exception as error:
        return _after_exception(error)


def _after_os_error(error: OSError) -> int:
    """Explain an error of the operating system; return the exit code."""
    number = error.errno or 0
    if number in (errno.EPIPE, errno.EBADF):
        discard_output()
    if number == errno.EPIPE:
        return READER_GONE
    if number == errno.EBADF:
        complain("standard output is closed; redirect it to a file or to /dev/null.")
        return ResourceError.exit_code
    unknown = f"{error.strerror or error}; check whether the command accepts it"
    advice = MACHINE.get(number) or REQUEST.get(number, unknown)
    complain(f"{os.fsdecode(error.filename)}: {advice}." if error.filename else f"{advice}.")
    return ResourceError.exit_code if number in MACHINE else UsageError.exit_code


def _after_exception(error: Exception) -> int:
    if (code := signals.exit_code()) is not None:
        return code
    if is_out_of_memory(error):
        complain(
            "memory is too small for this; end other programs, or use a smaller file, batch or "
            "model."
        )
        return ResourceError.exit_code
    if logs_json():
        complain(traceback.format_exc().rstrip())
    else:
        traceback.print_exc()
    complain("this is a bug in nmt; please report it with the lines above.")
    return 1
