"""Writing lines to standard output, or to a file that gets its name when it is complete."""

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from nmt.errors import UsageError
from nmt.paths import is_same_file, require_folder_of
from nmt.storage.exclusive import lock_at_once
from nmt.storage.files import O_BINARY
from nmt.storage.os_errors import explain_write_errors

_PACKERS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP)  # from file systems without locks

_logger = logging.getLogger(__name__)


def require_output(output: Path | None, *texts: Path | None) -> None:
    """Refuse an output that would overwrite an input of the command, or is to be packed.

    Raises:
        UsageError: `output`, or its temporary name, is one of `texts`; its name is that of a
            packed file; or its folder does not exist.
    """
    if output is None:
        return
    require_folder_of(output)
    if packer := _PACKERS.get(output.suffix.lower()):
        raise UsageError(
            f"{output}: what this command writes is plain text; name it {output.with_suffix('')}, "
            f"or leave the output out and add `| {packer} > {output}`."
        )
    for path in (output, _partial(output)):
        for text in texts:
            if text is not None and is_same_file(path, text):
                via = "" if path == output else f" is written as {path} first, which"
                raise UsageError(
                    f"{output}:{via} is an input of this command; choose another output."
                )


def _partial(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


@contextlib.contextmanager
def line_writer(path: Path | None) -> Iterator[Callable[[str], None]]:
    """Yield a function that writes a line at once, in UTF-8 whatever the locale.

    A file is written as `PATH.partial` and renamed at the end; after an error or an interruption,
    the lines written so far remain there, and a message says so.

    Args:
        path: a file; None or "-" = standard output.

    Raises:
        UsageError: the file cannot be created, or another process is writing it.
        ResourceError: the disk is full, read-only, over quota or failing, or permission is denied.
    """
    if path is None or str(path) == "-":
        stream = sys.stdout.buffer

        def write(line: str) -> None:
            stream.write(_encode(line))
            stream.flush()

        yield write
        return
    is_regular = os.path.isfile(path) or not os.path.exists(path)
    partial = _partial(path) if is_regular else path
    try:
        with explain_write_errors(path):
            file = _open_alone(partial) if is_regular else path.open("wb")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written: {error.strerror}; choose another file."
        ) from error
    written = 0

    def write_to_file(line: str) -> None:
        nonlocal written
        with explain_write_errors(path):
            file.write(_encode(line))
        written += 1

    try:
        yield write_to_file
        with explain_write_errors(path):
            file.flush()
            if is_regular:
                os.fsync(file.fileno())
                if sys.platform == "win32":  # which does not rename open files
                    file.close()
                os.replace(partial, path)
    except BaseException as error:
        if is_regular and not written:
            with contextlib.suppress(OSError):
                partial.unlink()
        elif is_regular:
            _logger.warning(
                "%s: holds the %s written before the %s",
                partial,
                "1 line" if written == 1 else f"{written:,} lines",
                "error" if isinstance(error, Exception) else "interruption",
            )
        raise
    finally:
        with contextlib.suppress(OSError):  # already reported when writing failed
            file.close()


def _encode(line: str) -> bytes:
    return line.encode("utf-8", "replace") + b"\n"


def _open_alone(partial: Path) -> BinaryIO:
    """Open a file for overwriting, locked by this process until it is closed.

    Raises:
        UsageError: another process is writing it.
    """
    while True:
        file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | O_BINARY, 0o666), "wb")
        try:
            lock_at_once(file.fileno())
        except BlockingIOError:
            file.close()
            raise UsageError(
                f"{partial}: another process is writing it; wait until it ends, or choose another "
                "file."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(partial.stat(), os.fstat(file.fileno())):
                file.truncate(0)
                return file
        file.close()  # another process has completed and renamed it meanwhile
