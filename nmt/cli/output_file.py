"""Where lines go: standard output, or a file that has its name when it is complete."""

import contextlib
import errno
import fcntl
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nmt.errors import UsageError
from nmt.storage.failures import explain_failures

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP)  # of file systems that keep none

_logger = logging.getLogger(__name__)


def refuse_to_replace(output: Path | None, *texts: Path | None) -> None:
    """Refuse to write in the place of a text that is read for it.

    Raises:
        UsageError: `output` is one of `texts`, or the name it has until it is complete is.
    """
    if output is None:
        return
    for path in (output, _partial(output)):
        for text in texts:
            if text is not None and _is_same_file(path, text):
                then = "" if path == output else f" is written as {path} first, which"
                raise UsageError(
                    f"{output}:{then} is a text that is read here; choose another name for what "
                    "is written."
                )


def _is_same_file(first: Path, second: Path) -> bool:
    # Not of pathlib, whose questions fail where entering a folder is not permitted.
    return os.path.isfile(first) and os.path.isfile(second) and os.path.samefile(first, second)


def _partial(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


@contextlib.contextmanager
def line_writer(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Yield a function that writes a line, in UTF-8 whatever the locale, and hands it on at once.

    A file is written as `PATH.partial` and gets its name at the end; after an error what is done
    so far stays there, and a message says so.

    Args:
        path: a file; None or "-" = standard output.

    Raises:
        UsageError: the file cannot be created there, or another process is writing it.
        ResourceError: the disk is full, read-only, over quota, not permitted or failing.
    """
    if path is None or str(path) == "-":
        stream = sys.stdout.buffer

        def write(line: str) -> None:
            stream.write(line.encode("utf-8", "replace") + b"\n")
            stream.flush()

        yield write
        return
    try:
        with explain_failures(path):
            is_device = path.exists() and not path.is_file()
            partial = path if is_device else _partial(path)
            file = partial.open("wb") if is_device else _open_alone(partial)
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}; choose another file."
        ) from error
    written = 0

    def write_to_file(line: str) -> None:
        nonlocal written
        with explain_failures(path):
            file.write(line.encode("utf-8", "replace") + b"\n")
        written += 1

    try:
        yield write_to_file
        with explain_failures(path):
            file.flush()
            if not is_device:
                os.fsync(file.fileno())
                os.replace(partial, path)
    except BaseException:
        if not is_device:
            _logger.warning("%s: what was done before the error, %s lines", partial, f"{written:,}")
        raise
    finally:
        with contextlib.suppress(OSError):  # of lines that a full disk has refused already
            file.close()


def _open_alone(partial: Path) -> BinaryIO:
    """Open a file to be written from its beginning, by this process alone until it is closed.

    Raises:
        UsageError: another process writes it.
    """
    while True:
        file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT, 0o666), "wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise UsageError(
                f"{partial}: another process is writing it; wait until it ends, or choose another "
                "file."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if _is_still(partial, file):  # and has not got its final name meanwhile
            file.truncate(0)
            return file
        file.close()


def _is_still(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
