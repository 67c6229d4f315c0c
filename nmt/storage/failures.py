"""What a disk refuses, in the words of an error that says what to do."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import ModelError, ResourceError

_OF_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of no file that is named
_OF_CALLER = (  # of what was asked for, and of streams: not of the disk
    *(errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.EPIPE, errno.EBADF, errno.EAGAIN, errno.EINTR),
)

REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose a folder on another disk",
    errno.EDQUOT: "the disk quota is used up; free some space or choose a folder elsewhere",
    errno.EFBIG: "the file would exceed the largest size allowed here; see `ulimit -f`",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EACCES: "writing there is not permitted; mend its owner or mode, or choose another",
    errno.EPERM: "writing there is not permitted; mend its owner or mode, or choose another",
    errno.EIO: "the disk reports an input/output error; look at the system log, then retry",
    errno.ENOLCK: "the file system keeps no locks; choose a folder on a local disk",
}
"""What a system refuses to write for, and how to mend it."""


def format_size(size: int) -> str:
    """Return a number of bytes as people say it: `44 MB`, `3 kB`, `12 B`."""
    for limit, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= limit:
            return f"{size / limit:.1f} {unit}" if size < 10 * limit else f"{size // limit} {unit}"
    return f"{size} B"


@contextlib.contextmanager
def explain_failures(path: Path, *, need: int = 0) -> Iterator[None]:
    """Turn what a disk can refuse inside the block into a `ResourceError` that says what to do.

    Args:
        path: the file or folder being written.
        need: how many bytes the block writes.

    Raises:
        ResourceError: `need 44 MB in runs/de-en, 3.1 MB free; the disk is full; ...`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (None, *_OF_PROCESS, *_OF_CALLER):
            raise
        reason = REASONS.get(error.errno) or (
            f"{error.strerror}, says the system; look at its log, or choose another disk"
        )
        # Not of pathlib, whose questions fail where entering a folder is not permitted.
        folder = path if os.path.isdir(path) else path.parent
        needed = f"need {format_size(need)} in {folder}" if need else f"cannot write {path}"
        free = _free_space(folder)
        room = f", {format_size(free)} free" if free is not None else ""
        raise ResourceError(f"{needed}{room}; {reason}.") from error


def _free_space(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


@contextlib.contextmanager
def explain_refusal(path: Path) -> Iterator[None]:
    """Turn what a disk can refuse on reading into a `ModelError`; what is missing stays as it is.

    A checkpoint that a failing disk does not give back is passed over like any damaged one.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _OF_PROCESS:
            raise
        raise ModelError(
            f"{path}: cannot be read ({error.strerror}); mend its mode, or restore it from a copy."
        ) from error
