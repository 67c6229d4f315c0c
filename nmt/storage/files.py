"""Single files, replaced all or nothing; JSON."""

import contextlib
import json
import os
import re
import secrets
import stat
from pathlib import Path
from typing import Any

from nmt.errors import ModelError, UsageError
from nmt.storage.failures import explain_failures, explain_refusal, format_size

TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.partial")
"""Names that `temporary_beside` gives."""

_MOST_DESCRIBED = 32 << 20  # bytes of a file of checksums or JSON; more of them is an attack


def require_utf8_name(path: Path) -> None:
    """Refuse a name that no configuration, log or manifest could write down.

    Raises:
        UsageError: its bytes are not UTF-8.
    """
    try:
        os.fsencode(path).decode("utf-8")
    except UnicodeError as error:
        raise UsageError(f"{str(path)!a}: is no name in UTF-8; rename it.") from error


def temporary_beside(final: Path) -> Path:
    """Return an unused name beside `final` that `sweep_strays` knows as left over from a crash."""
    return final.with_name(f".{final.name}.{secrets.token_hex(6)}.partial")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, all or nothing; the folder must exist.

    Args:
        path: becomes a plain file of mode 0644, less the process's umask.
        data: the whole content.

    Raises:
        UsageError: `path` is a folder, device or pipe.
        ResourceError: the disk is full, read-only, over quota, not permitted or failing.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path}: is not a plain file and is left alone; choose another name.")
    temporary = temporary_beside(path)
    try:
        with explain_failures(path, need=len(data)):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(temporary, flags, 0o644), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            force_to_disk(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, all or nothing; see `write_bytes`.

    What names of files hold that the locale cannot express is written as the bytes it stands for.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as readable JSON, all or nothing; see `write_bytes`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Return what a JSON file of ours holds.

    Raises:
        ModelError: it is missing or damaged, or cannot be read.
    """
    try:
        with explain_refusal(path):
            return json.loads(read_description(path))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; the folder is not complete.") from error
    except (ValueError, RecursionError) as error:  # the latter of endless brackets
        raise ModelError(f"{path}: is damaged, not JSON ({error}); restore it.") from error


def read_description(path: Path) -> bytes:
    """Return the content of a small plain file: no pipe that never ends, nothing huge."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{path}: is not a plain file; refused, copy the folder again.")
    if status.st_size > _MOST_DESCRIBED:
        raise ModelError(
            f"{path}: is damaged, {format_size(status.st_size)} are too much for what it says; "
            "restore it."
        )
    return path.read_bytes()


def force_to_disk(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk, so that it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
