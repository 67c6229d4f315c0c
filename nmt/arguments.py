"""Checks of what a program hands to the Python interface."""

import reprlib
from collections.abc import Iterable, Iterator

from nmt.errors import UsageError


def refuse_text(lines: object, name: str) -> None:
    """Refuse a single string, whose characters would be taken as lines.

    Raises:
        UsageError: it is one.
    """
    if isinstance(lines, str | bytes):
        raise UsageError(f"{name}: is a single string; give a list of {name}.")


def require_lines(lines: Iterable[str], name: str = "lines") -> Iterator[str]:
    """Yield lines.

    Raises:
        UsageError: one is not a string.
    """
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise UsageError(f"{name}: number {number:,} is {reprlib.repr(line)}; give strings.")
        yield line


def require_texts(lines: Iterable[str], name: str) -> None:
    """Refuse what is no list of strings.

    Raises:
        UsageError: it is not.
    """
    refuse_text(lines, name)
    for _ in require_lines(lines, name):
        pass


def require_pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield pairs of lines.

    Raises:
        UsageError: one is something else.
    """
    for number, pair in enumerate(pairs, start=1):
        if not (
            isinstance(pair, tuple | list)
            and len(pair) == 2
            and all(isinstance(line, str) for line in pair)
        ):
            raise UsageError(
                f"pairs: number {number:,} is {reprlib.repr(pair)}; give pairs of lines, such as "
                "zip(sources, targets, strict=True)."
            )
        yield pair[0], pair[1]
