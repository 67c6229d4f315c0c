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
    """True if a path is valid UTF-8, so that configurations, logs and checksums can contain it."""
    try:
        os.fsencode(path).decode("utf-8")  # whatever the locale
    except UnicodeError:
        return False
    return True


def is_stream(path: Path) -> bool:
    """True for a pipe, socket or device, which can be read only once and never be replaced."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def require_regular_file(path: Path) -> None:
    """Refuse anything but a regular file: reading a pipe could block forever.

    Raises:
        ModelError: the path exists and is not a regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ModelError(f"{path}: is not a regular file; copy the file itself there.")


def similar(wrong: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Return the known names most similar to `wrong`, best first."""
    return difflib.get_close_matches(wrong, list(known), n=most)


def similar_files(path: Path) -> str:
    """Return similar file names in the same folder, as `a.txt or b.txt`; "" if there are none."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # the folder may be missing or unreadable
        names = os.listdir(path.parent)
    return " or ".join(str(path.parent / name) for name in similar(path.name, names, most=3))
