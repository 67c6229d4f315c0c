"""Atomic replacement of single files; JSON.

A file is written under a temporary name beside its final one, forced to the disk, and renamed.
After a crash or power cut, either the old or the new file exists, never a partial one.
"""

import contextlib
import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any

from nmt.errors import ModelError, UsageError
from nmt.paths import require_folder_of, require_regular_file
from nmt.storage.os_errors import explain_read_errors, explain_write_errors, format_size

TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.partial")
"""Names that `temporary_beside` returns."""

O_BINARY: int = getattr(os, "O_BINARY", 0)
"""Flag of `os.open` for files in which Windows must not change line ends."""

_MOST_BYTES = 32 << 20  # of a JSON file or a list of checksums; larger ones are attacks


def temporary_beside(final: Path) -> Path:
    """Return an unused name beside `final` that `sweep_strays` removes after a crash."""
    return final.with_name(f".{final.name}.{secrets.token_hex(6)}.partial")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically; the folder must exist.

    Args:
        path: becomes a regular file of mode 0644, less the umask.
        data: the whole content.

    Raises:
        UsageError: `path` is a folder, device or pipe, or its folder does not exist.
        ResourceError: the disk is full, read-only, over quota or failing, or permission is denied.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path}: is not a regular file and is left alone; choose another name.")
    require_folder_of(path)
    temporary = temporary_beside(path)
    try:
        with explain_write_errors(path, need=len(data)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_BINARY
            with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            force_to_disk(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename:
            error.filename = str(path)  # the temporary name says nothing to users
        raise


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8 atomically; see `write_bytes`.

    File names in `text` that could not be decoded are written as their original bytes.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as readable JSON atomically; see `write_bytes`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ModelError: it is missing or damaged, or cannot be read.
    """
    try:
        return json.loads(read_small_file(path))
    except (ValueError, RecursionError) as error:  # RecursionError: deeply nested brackets
        raise ModelError(f"{path}: is damaged, not JSON ({error}); restore it.") from error


def read_small_file(path: Path) -> bytes:
    """Return the content of a regular file of at most 32 MiB.

    Raises:
        ModelError: it is missing, too large, not a regular file, or unreadable.
    """
    with explain_read_errors(path):
        require_regular_file(path)
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise ModelError(
                f"{path}: is damaged, {format_size(size)} are too much for its content; restore it."
            )
        return path.read_bytes()


def force_to_disk(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk, so that they survive a power cut.

    Windows flushes only what is open for writing; there, this does nothing.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
