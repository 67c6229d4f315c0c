"""Options that name the two sides of a corpus: two files, or one of tab-separated pairs."""

import logging
from pathlib import Path
from typing import Any

from nmt.cli.command import Command
from nmt.errors import UsageError
from nmt.paths import holds_pairs, is_same_file

log = logging.getLogger(__name__)


class PairCommand(Command):
    """A command whose options for two files also take one .tsv, which stands for both."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, where each of these options has got its two files."""
        pairs = {name for option in self.params if option.nargs == 2 for name in option.opts}
        return super().parse_args(ctx, _with_two_files(args, pairs))


def _with_two_files(args: list[str], pairs: set[str]) -> list[str]:
    """Return the command line with a .tsv that is the only file of its option named twice.

    Raises:
        UsageError: an option has no file, or only one that is no .tsv; or it is given twice.
    """
    done: list[str] = []
    given: set[str] = set()
    rest = [*args]
    while rest and rest[0] != "--":
        option, equals, value = rest.pop(0).partition("=")
        if option not in pairs:
            done.append(option + equals + value)
            continue
        if option in given:  # of which typer would take the last in silence
            raise UsageError(f"{option}: give it once; run the command again for other files.")
        given.add(option)
        if equals:
            rest.insert(0, value)
        files = [name for name in rest[:2] if name == "-" or not name.startswith("-")]
        if not files or rest[0] != files[0]:
            raise UsageError(f"{option}: needs {_TWO_OR_ONE}.")
        if holds_pairs(files[0]) and not holds_pairs(files[-1]):
            del files[1]  # another argument of the command
        if len(files) == 1 and not holds_pairs(files[0]):
            raise UsageError(f"{option} {files[0]}: needs {_TWO_OR_ONE}.")
        done += [option, files[0], files[-1]]
        del rest[: len(files)]
    return done + rest


_TWO_OR_ONE = "two files that are translations of each other, or one .tsv of tab-separated pairs"


def both_sides(source: Path, target: Path | None) -> Path:
    """Return the file of the target side: `source` itself if it is a .tsv and the only one.

    Raises:
        UsageError: it is the only one and no .tsv.
    """
    if target is not None:
        if holds_pairs(source) and is_same_file(source, target):
            log.info("%s: holds both sides; named twice, it is read as if named once", source)
        return target
    if not holds_pairs(source):
        raise UsageError(f"{source}: is only one side; name {_TWO_OR_ONE}.")
    return source
