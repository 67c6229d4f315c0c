"""Errors of the operating system, with advice."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import ModelError, ResourceError

MACHINE = {
    errno.ENOSPC: "the disk is full; free some space or choose a folder on another disk",
    errno.EDQUOT: "the disk quota is used up; free some space or choose a folder elsewhere",
    errno.EFBIG: "the file would exceed the largest size allowed here; see `ulimit -f`",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EIO: "the disk reports an input/output error; check the system log, then retry",
    errno.ENOLCK: "the file system does not support locks; choose a folder on a local disk",
    errno.ENOMEM: "no memory is left; end other programs, then retry",
    errno.EMFILE: "too many files are open at once; raise the limit by `ulimit -n`, then retry",
    errno.ENFILE: "too many files are open at once; end other programs, then retry",
}
"""Exhausted or broken resources, with advice: exit code 5."""

REQUEST = {
    errno.EACCES: "permission denied; change the owner or mode, or choose another place",
    errno.EPERM: "permission denied; change the owner or mode, or choose another place",
    errno.ENOENT: "does not exist; check the name, and whether the current folder still exists",
    errno.ENOTDIR: "a file is where a folder should be; check the name",
    errno.EISDIR: "is a folder; name a file",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "is a link that leads in a circle; name the file itself",
}
"""Impossible requests, with advice: exit code 2, unless a disk is being written."""

_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_CALLER = {
    *(REQUEST.keys() - {errno.EACCES, errno.EPERM}),
    *(None, errno.EEXIST, errno.EPIPE, errno.EBADF, errno.EAGAIN, errno.EINTR),
}


@contextlib.contextmanager
def explain_write_errors(path: Path, *, need: int = 0) -> Iterator[None]:
    """Turn a write error inside the block into a `ResourceError` that says what to do.

    Errors of the process (too many open files) or of the caller (a wrong name) pass through.

    Args:
        path: the file or folder being written.
        need: number of bytes that the block writes.

    Raises:
        ResourceError: `need 44 MB in runs/de-en, 3.1 MB free; the disk is full; ...`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _PROCESS or error.errno in _CALLER:
            raise
        number = error.errno or 0
        unknown = f"the system says: {error.strerror}; check its log, or choose another disk"
        reason = MACHINE.get(number) or REQUEST.get(number, unknown)
        folder = path if os.path.isdir(path) else path.parent
        needed = f"need {format_size(need)} in {folder}" if need else f"cannot write {path}"
        raise ResourceError(f"{needed}{_free_space(folder)}; {reason}.") from error


def _free_space(folder: Path) -> str:
    try:
        return f", {format_size(shutil.disk_usage(folder).free)} free"
    except OSError:
        return ""


@contextlib.contextmanager
def explain_read_errors(path: Path) -> Iterator[None]:
    """Turn a read error inside the block into a `ModelError`: the file counts as damaged.

    Raises:
        ModelError: the file is missing or cannot be read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; restore it from a copy.") from error
    except OSError as error:
        if error.errno in _PROCESS:
            raise
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); fix its mode, or restore it from a copy."
        ) from error


def format_size(size: int) -> str:
    """Return a number of bytes for people: `44 MB`, `3 kB`, `12 B`."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}" if size < 10 * limit else f"{size // limit} {unit}"
    return f"{size} B"
