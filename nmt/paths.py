"""Checks of paths, and suggestions for misspelt names, that every package may use.

These functions ask `os.path` instead of `Path` whether a file exists: a `Path` raises an error
where entering a folder is not permitted.
"""

import contextlib
import difflib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from nmt.errors import ModelError, UsageError


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


def is_same_file(first: Path, second: Path) -> bool:
    """True if two names, or a name and a link, are those of one regular file."""
    return os.path.isfile(first) and os.path.isfile(second) and os.path.samefile(first, second)


def holds_pairs(path: str | Path) -> bool:
    """Whether a name is that of tab-separated pairs, which are both sides of a corpus: `a.tsv`.

    The file may be packed: `a.tsv.gz`.
    """
    return re.search(r"\.tsv(\.(gz|bz2|xz|zst))?$", str(path), re.IGNORECASE) is not None


def why_not_sides(source: str | Path, target: str | Path) -> str | None:
    """Return why two names cannot be the two sides of a corpus; None if they can.

    They can be the same only for a file of pairs, see `holds_pairs`.
    """
    is_one = os.path.normpath(source) == os.path.normpath(target)
    if is_one and not holds_pairs(source):
        return (
            f"{target}: is named for both sides; name two files that are translations of each "
            "other, or one .tsv of tab-separated pairs"
        )
    for name in (source, target):
        if not is_one and holds_pairs(name):
            return (
                f"{name}: is called .tsv, so it holds both sides of a corpus; name it alone, or "
                "give it another ending if it holds one side"
            )
    return None


def require_regular_file(path: Path) -> None:
    """Refuse anything but a regular file: reading a pipe could block forever.

    Raises:
        ModelError: the path exists and is not a regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ModelError(f"{path}: is not a regular file; copy the file itself there.")


def require_folder_of(file: Path) -> None:
    """Refuse a file to be written whose folder does not exist.

    Raises:
        UsageError: it does not.
    """
    try:
        os.stat(file.parent)
    except FileNotFoundError:
        raise UsageError(
            f"{file.parent}: no such folder; create it, or choose another place for {file.name}."
        ) from None
    except OSError:
        return  # opening the file explains it


def similar(wrong: str, known: Iterable[str], *, most: int = 1) -> list[str]:
    """Return the known names most similar to `wrong`, best first."""
    return difflib.get_close_matches(wrong, list(known), n=most)


def similar_files(path: Path) -> str:
    """Return similar file names in the same folder, as `a.txt or b.txt`; "" if there are none."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # the folder may be missing or unreadable
        names = os.listdir(path.parent)
    return " or ".join(str(path.parent / name) for name in similar(path.name, names, most=3))
