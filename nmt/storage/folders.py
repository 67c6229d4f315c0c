"""Folders that appear complete or not at all; removal of what killed processes left."""

import contextlib
import ctypes
import errno
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import ModelError, UsageError
from nmt.paths import is_utf8
from nmt.storage.checksums import CHECKSUMS, read_checksums, write_checksums
from nmt.storage.files import TEMPORARY, force_to_disk, read_small_file, temporary_beside
from nmt.storage.os_errors import explain_write_errors

_logger = logging.getLogger(__name__)

_REPLACED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.replaced")
_FINDER_FILE = ".DS_Store"  # written by macOS into each folder that was viewed
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of Linux


def make_folder(path: Path) -> Path:
    """Create `path` and missing parents, and return it.

    Raises:
        UsageError: a file is in the way, or the name is not UTF-8.
        ResourceError: the folder cannot be created.
    """
    if not is_utf8(path):
        raise UsageError(f"{str(path)!a}: the name is not UTF-8; rename it.")
    try:
        with explain_write_errors(path):
            path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path}: cannot be a folder, a file is in the way; move it.") from error
    return path


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that nmt did not create, or that holds foreign files.

    If its checksums are damaged, that is unknown; `new_folder` then keeps the folder.

    Raises:
        UsageError: it is a file or a link, or holds files that its checksums do not list.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        kind = "link" if folder.is_symlink() else "file"
        raise UsageError(f"{folder}: is a {kind}, where nmt writes a folder; move it away.")
    foreign = _foreign_files(folder)
    if foreign and not _has_damaged_checksums(folder):
        others = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        raise UsageError(
            f"{folder}: holds {foreign[0]}{others}, which nmt did not write, and the whole folder "
            "would be replaced; move that away, or choose another folder."
        )


def _has_damaged_checksums(folder: Path) -> bool:
    """True if there is a list of checksums that `new_folder` cannot have written."""
    if not (folder / CHECKSUMS).is_file():
        return False
    try:
        listed = read_checksums(folder)
    except ModelError:
        return True
    return not listed or not all((folder / name).is_file() for name in listed)


def _foreign_files(folder: Path) -> list[str]:
    """Return the files of a folder that its checksums, if readable, do not list."""
    lines: list[bytes] = []
    with contextlib.suppress(ModelError):
        lines = read_small_file(folder / CHECKSUMS).split(b"\n")
    listed = {os.fsdecode(line[66:]) for line in lines} | {CHECKSUMS}
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(folder).as_posix() for path in found if path.name != _FINDER_FILE}
    return sorted(names - listed)


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `final` at the end of the block, or is deleted.

    `SHA256SUMS` of all files in it is written at the end. An existing `final` is replaced in one
    step, so that a reader, or a process that resumes after a crash, finds either the old or the new
    folder. Foreign files in the old one are kept in `NAME.kept.*`.

    Raises:
        ResourceError: writing failed.
    """
    temporary = temporary_beside(final)
    try:
        with explain_write_errors(final):
            temporary.mkdir()
        yield temporary
        write_checksums(temporary)
        _publish(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _publish(temporary: Path, final: Path) -> None:
    """Flush a complete folder to disk, then rename it to `final`."""
    size = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
    with explain_write_errors(final, need=size):
        for path in temporary.rglob("*"):
            if path.is_file() or path.is_dir():
                force_to_disk(path)
        force_to_disk(temporary)
        if not os.path.lexists(final):
            os.rename(temporary, final)
            force_to_disk(final.parent)
            return
        aside = _name_aside(final)  # `sweep_strays` checks such a folder before deleting it
        os.rename(temporary, aside)
        try:
            previous = _replace(aside, final)
        except OSError:
            os.rename(aside, temporary)
            raise
        force_to_disk(final.parent)
        _discard(previous, final)


def _name_aside(final: Path) -> Path:
    """Return an unused name for a complete folder that replaces `final` or is replaced by it."""
    return final.with_name(f".{final.name}.{secrets.token_hex(6)}.replaced")


def _replace(new: Path, final: Path) -> Path:
    """Rename the folder `new` to `final`, and return the new name of the previous `final`."""
    if _exchange(new, final):
        return new
    previous = _name_aside(final)
    os.rename(final, previous)
    try:
        os.rename(new, final)
    except OSError:
        os.rename(previous, final)
        raise
    return previous


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names atomically; return False if the system does not support it.

    Thus a run that is killed at any system call still has its model.

    Raises:
        OSError: the exchange is supported but failed.
    """
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, TypeError):  # TypeError: Windows has no library of the process
        return False
    here = ctypes.c_int(_AT_FDCWD)
    if renameat2(here, os.fsencode(first), here, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):  # unsupported by the file system; by the kernel
        return False
    raise OSError(number, os.strerror(number), str(second))


def _discard(previous: Path, final: Path) -> None:
    """Delete the folder that was replaced, or keep it if it holds foreign files."""
    is_ours = previous.is_dir() and not previous.is_symlink() and not _foreign_files(previous)
    if is_ours:  # renamed first: when half deleted, its files would look foreign
        doomed = temporary_beside(final)
        os.rename(previous, doomed)
        shutil.rmtree(doomed)
    else:
        kept = final.with_name(f"{final.name}.kept.{secrets.token_hex(6)}")
        os.rename(previous, kept)
        _logger.warning("%s: held files that nmt did not write; kept as %s", final, kept.name)


def sweep_strays(folder: Path) -> list[str]:
    """Remove what killed processes left unfinished in `folder`, and return the names.

    Hold the folder's lock when calling this: the work of a running process looks the same.

    Raises:
        ResourceError: removing failed.
    """
    swept = []
    with explain_write_errors(folder):
        for path in sorted(folder.iterdir()):
            if replaced := _REPLACED.fullmatch(path.name):
                final = folder / replaced["name"]
                if not final.exists():
                    os.rename(path, final)
                    continue
                _discard(path, final)
            elif not TEMPORARY.fullmatch(path.name):
                continue
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            swept.append(path.name)
    return swept
