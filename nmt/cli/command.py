"""A command whose help and whose errors are in the words of nmt, not in those of its libraries."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

_WORDS = (
    (r"Invalid value for '(.*?)': ", r"\1: "),
    (r"' / '", "/"),
    (r"Got unexpected extra argument(?:\(s\)|s|) \((.*)\)", r"unexpected: \1"),
    (r"Input should be a valid integer.*", "must be a whole number"),
    (r"Input should be a valid number.*", "must be a number"),
    (r"Input should be greater than or equal to", "must be at least"),
    (r"Input should be less than or equal to", "must be at most"),
    (r"Input should be", "must be"),
    (r"Value error, ", ""),
    (r"\. Did you mean", "; did you mean"),
)


class Command(TyperCommand):
    """A command whose arguments are listed without the types that Python gives them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options of the help."""
        records = [(each, each.get_help_record(ctx)) for each in self.get_params(ctx)]
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            rows = [
                (re.sub(r" <.*>$", "", row[0]) if kind == "argument" else row[0], row[1])
                for each, row in records
                if row is not None and each.param_type_name == kind
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def explain(error: Any) -> str:
    """Return what is wrong with a command line that typer refused, and where to look it up."""
    message = error.format_message().rstrip(".")
    for theirs, ours in _WORDS:
        message = re.sub(theirs, ours, message)
    message = message[:1].lower() + message[1:]
    if error.ctx and message.startswith("unexpected: "):
        message += _meant(message.removeprefix("unexpected: "), error.ctx.command.params)
    if not error.ctx:
        return f"{message}."
    option, above = getattr(error, "option_name", ""), error.ctx.parent
    if above and any(option in each.opts for each in above.command.params):
        return f"{message} here; give it before the command: {above.command_path} {option} ..."
    see = " See" if message.endswith("?") else "; see"
    return f"{message}{see} {error.ctx.command_path} --help."


def name_options(message: str, arguments: Sequence[str]) -> str:
    """Return an error with options for keys, as far as they were given: `--n-best: ...`.

    A key that is also one of the arguments, such as the name of a run, stays.
    """
    given = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
    others = {os.path.normpath(argument) for argument in arguments}

    def name(key: re.Match[str]) -> str:
        option = f"--{key[1].replace('_', '-')}"
        return f"{option}: " if option in given and key[1] not in others else key[0]

    return re.sub(r"^([a-z_]+): ", name, message, flags=re.MULTILINE)


def _meant(words: str, parameters: Iterable[Any]) -> str:
    """Return how to name a file or run by an option, of a command that takes no arguments."""
    first = words.partition(" ")[0]
    wanted = "RUN" if Path(first).is_dir() else "FILE"
    options = [each.opts[-1] for each in parameters if each.metavar == wanted]
    if not options or any(each.param_type_name == "argument" for each in parameters):
        return ""
    return f"; name it by an option, such as {options[0]} {first}"
