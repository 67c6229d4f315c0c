"""`SHA256SUMS`: the files of a folder and their checksums, in the format of `sha256sum`."""

import hashlib
import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from nmt.errors import ModelError
from nmt.storage.files import read_small_file, write_text
from nmt.storage.os_errors import explain_read_errors

CHECKSUMS = "SHA256SUMS"
"""Name of the list of checksums in a folder."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *]([^\0]+)")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, without loading the file into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write `SHA256SUMS` for every file in `folder` except hidden ones."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != CHECKSUMS and not path.name.startswith(".")
    )
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
    write_text(folder / CHECKSUMS, "".join(lines))


def verify_checksums(
    folder: Path, needed: Iterable[str] = (), *, only: Collection[str] | None = None
) -> dict[str, str]:
    """Check every file that `SHA256SUMS` lists and return {name: sha256}.

    Files that it does not list are ignored.

    Args:
        folder: the folder with the list.
        needed: names that must be listed, so that a truncated list is detected.
        only: names of the files to check, those that are listed; None = all.

    Raises:
        ModelError: the list or a file is missing or cannot be read, a file differs from its
            checksum, or a link leads out of the folder.
    """
    sums = read_checksums(folder)
    if only is not None:
        sums = {name: expected for name, expected in sums.items() if name in only}
    for name, expected in sums.items():
        path = folder / name
        _refuse_way_out(path, folder)
        with explain_read_errors(path):
            found = sha256_of(path) if path.is_file() else None
        if found is None:
            raise ModelError(f"{path}: is missing, though {CHECKSUMS} lists it; restore it.")
        if found != expected:
            raise ModelError(
                f"{path}: is damaged or was changed, its SHA-256 is not the one in {CHECKSUMS}; "
                "restore the file from a copy."
            )
    for name in needed:
        if name not in sums:
            raise ModelError(
                f"{folder / name}: is missing from {CHECKSUMS}; restore that list from a copy."
            )
    return sums


def read_checksums(folder: Path) -> dict[str, str]:
    """Return {name: sha256} from `SHA256SUMS`; the files are not checked.

    Raises:
        ModelError: the list is missing, damaged or unreadable, or names a file outside the folder.
    """
    path = folder / CHECKSUMS
    _refuse_way_out(path, folder)
    if not os.path.lexists(path):
        raise ModelError(
            f"{folder}: has no {CHECKSUMS}, so it is incomplete; restore it from a copy."
        )
    try:
        lines = read_small_file(path).decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: is damaged, not UTF-8; restore it.") from error
    sums = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ModelError(f"{path}:{number}: is damaged, not `sha256  name`; restore it.")
        name = Path(match[2])
        if name.is_absolute() or ".." in name.parts:
            raise ModelError(
                f"{path}:{number}: `{name}` points outside the folder; do not trust its sender."
            )
        sums[match[2]] = match[1]
    return sums


def _refuse_way_out(path: Path, folder: Path) -> None:
    """Refuse a link out of the folder: its sender must not choose what is read."""
    # Unlike `Path.resolve`, this accepts links that lead in a circle; they count as missing.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise ModelError(
            f"{path}: is a link that leads out of the folder; put the file itself there."
        )
