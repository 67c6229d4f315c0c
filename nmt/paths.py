"""Checks of paths, and suggestions for misspelt names, that every package may use.

These functions ask `os.path` instead of `Path` whether a file exists: a `Path` raises an error
where entering a folder is not permitted.
"""

import contextlib
import difflib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from nmt.errors import ModelError


def is_utf8(path: str | Path) -> bool:
    """True if a path can be written into a configuration, log or list of checksums."""
    try:
        os.fsencode(path).decode("utf-8")  # the locale may be another one
    except UnicodeError:
        return False
    return True


def is_stream(path: Path) -> bool:
    """True for a pipe, socket or device: it can be read only once and never be replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def require_regular_file(path: Path) -> None:
    """Refuse what a stranger may put in place of a file: a pipe would block us forever.

    Raises:
        ModelError: the path exists and is not a regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ModelError(f"{path}: is not a regular file; copy the file itself there.")


def similar(wrong: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Return which of the known names were perhaps meant, best first."""
    return difflib.get_close_matches(wrong, list(known), n=most)


def similar_files(path: Path) -> str:
    """Return files of the same folder that were perhaps meant: `a.txt or b.txt`; or ""."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # the folder may be missing, or must not be listed
        names = os.listdir(path.parent)
    return " or ".join(str(path.parent / name) for name in similar(path.name, names, most=3))
