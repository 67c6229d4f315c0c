"""`SHA256SUMS`: what a folder holds and what each file is, as coreutils' `sha256sum` reads it."""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from nmt.errors import ModelError
from nmt.storage.failures import explain_refusal
from nmt.storage.files import read_description, write_text

MANIFEST = "SHA256SUMS"
"""Name of the checksum file of a folder."""

_LONGEST_NAME = 255  # bytes, on every file system
_LONGEST_PATH = 4095  # bytes that a system call takes


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, without loading the file into memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Write `SHA256SUMS` over every file in `folder`, hidden ones and itself left out."""
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    )
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in names]
    write_text(folder / MANIFEST, "".join(lines))


def verify_manifest(folder: Path, needed: Iterable[str] = ()) -> dict[str, str]:
    """Check every file that `SHA256SUMS` lists and return {name: sha256}.

    Files that it does not list are ignored: nothing of them is promised.

    Args:
        folder: where the manifest lies.
        needed: names that it must list, so that one cut short is not taken for a whole one.

    Raises:
        ModelError: the manifest or a file is missing or cannot be read, or a file differs from its
            checksum, or is a link out of the folder.
    """
    sums = read_manifest(folder)
    for name, expected in sums.items():
        path = folder / name
        _refuse_way_out(path, folder)
        with explain_refusal(path):
            found = sha256_of(path) if path.is_file() else None
        if found is None:
            raise ModelError(f"{path}: is missing, though {MANIFEST} lists it; restore it.")
        if found != expected:
            raise ModelError(
                f"{path}: is damaged or was changed, its SHA-256 is not the one in {MANIFEST}; "
                "restore the file from a copy."
            )
    for name in needed:
        if name not in sums:
            raise ModelError(f"{folder / name}: is missing from {MANIFEST}; copy the folder again.")
    return sums


def read_manifest(folder: Path) -> dict[str, str]:
    """Return {name: sha256} of what `SHA256SUMS` lists; no file is looked at.

    Raises:
        ModelError: it is missing or damaged, cannot be read, or lists what no folder can hold.
    """
    path = folder / MANIFEST
    _refuse_way_out(path, folder)
    try:
        with explain_refusal(path):
            lines = read_description(path).decode("utf-8").split("\n")
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder}: has no {MANIFEST}; it is no checkpoint or model folder, or not complete."
        ) from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: is damaged, not UTF-8; restore it.") from error
    sums = {}
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if match is None:
            raise ModelError(f"{path}:{number}: is damaged, not `sha256  name`; restore it.")
        name = match.group(2)
        if not _is_possible(folder / name):
            raise ModelError(f"{path}:{number}: is damaged, no file has such a name; restore it.")
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(
                f"{path}:{number}: `{name}` points outside the folder; refused, trust no such file."
            )
        sums[name] = match.group(1)
    return sums


def _is_possible(path: Path) -> bool:
    """Tell whether a file could have this name."""
    is_short = len(os.fsencode(path)) <= _LONGEST_PATH
    return is_short and all(
        "\0" not in part and len(os.fsencode(part)) <= _LONGEST_NAME for part in path.parts
    )


def _refuse_way_out(path: Path, folder: Path) -> None:
    """Refuse a link that leads out of the folder: who sent it shall not say what we read."""
    # Unlike `resolve`, this bears links that lead in a circle; they then count as missing.
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise ModelError(
            f"{path}: is a link that leads out of the folder; refused, put the file itself there."
        )
