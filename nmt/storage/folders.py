"""Folders that appear whole, and what a killed process left of them."""

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
from nmt.storage.failures import explain_failures
from nmt.storage.files import (
    TEMPORARY,
    force_to_disk,
    read_description,
    require_utf8_name,
    temporary_beside,
)
from nmt.storage.manifest import MANIFEST, read_manifest, write_manifest

_logger = logging.getLogger(__name__)

_REPLACED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.replaced")
_OF_FINDER = ".DS_Store"  # macOS puts it into each folder that somebody has looked at
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def make_folder(path: Path) -> Path:
    """Create `path` and its parents where they are missing, and return it.

    Raises:
        UsageError: a file is in the way, or the name is not UTF-8.
        ResourceError: the disk refuses.
    """
    require_utf8_name(path)
    try:
        with explain_failures(path):
            path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path}: cannot be a folder, a file is in the way; move it.") from error
    return path


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that is not there to be replaced: `new_folder` did not make all of it.

    Where the manifest is damaged, nobody can tell; `publish_folder` then keeps the whole folder.

    Raises:
        UsageError: it is a file or a link, or holds files that its manifest does not list.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise UsageError(
            f"{folder}: is no folder of its own but a {'link' if folder.is_symlink() else 'file'}; "
            "it would be replaced as a whole, so move it away."
        )
    foreign = _foreign_files(folder)
    if foreign and not _has_damaged_manifest(folder):
        others = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        raise UsageError(
            f"{folder}: holds {foreign[0]}{others}, which nmt did not write, and would be replaced "
            "as a whole; move that away, or choose another folder."
        )


def _has_damaged_manifest(folder: Path) -> bool:
    """Say whether there is a manifest that cannot be the one `new_folder` has written."""
    if not (folder / MANIFEST).is_file():
        return False
    try:
        listed = read_manifest(folder)
    except ModelError:
        return True
    return not listed or not all((folder / name).is_file() for name in listed)


def _foreign_files(folder: Path) -> list[str]:
    """Return what lies in a folder and is not in its manifest, as far as that is legible."""
    try:
        lines = read_description(folder / MANIFEST).split(b"\n")
    except (OSError, ModelError):
        lines = []
    listed = {os.fsdecode(line[66:]) for line in lines} | {MANIFEST}
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = {path.relative_to(folder).as_posix() for path in found if path.name != _OF_FINDER}
    return sorted(names - listed)


def publish_folder(temporary: Path, final: Path) -> None:
    """Make the complete folder `temporary` appear as `final`, after all its files are on the disk.

    A folder that is already there changes places with it in one step where the system can do that
    (Linux, on most file systems), so that a reader finds one of the two at any moment. Elsewhere it
    is moved aside first; should the process die between the two renames, `sweep_strays` puts a
    whole folder there. What was replaced is deleted last. If somebody put files of his own into
    it, it stays, under a name that begins with `NAME.kept.`.

    Args:
        temporary: a folder from `temporary_beside(final)`.
        final: its name from now on.

    Raises:
        ResourceError: the disk refuses.
    """
    size = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
    with explain_failures(final, need=size):
        for path in temporary.rglob("*"):
            if path.is_file() or path.is_dir():
                force_to_disk(path)
        force_to_disk(temporary)
        if not os.path.lexists(final):
            os.rename(temporary, final)
            force_to_disk(final.parent)
            return
        aside = _name_aside(final)
        os.rename(temporary, aside)
        try:
            former = _put_in_place(aside, final)
        except OSError:
            os.rename(aside, temporary)
            raise
        force_to_disk(final.parent)
        _discard(former, final)


def _name_aside(final: Path) -> Path:
    """Return an unused name beside `final` for what it replaces; `sweep_strays` knows it."""
    return final.with_name(f".{final.name}.{secrets.token_hex(6)}.replaced")


def _put_in_place(new: Path, final: Path) -> Path:
    """Let the folder `new` have the name `final`, and return the name of what had it."""
    if _exchange(new, final):
        return new
    former = _name_aside(final)
    os.rename(final, former)
    try:
        os.rename(new, final)
    except OSError:
        os.rename(former, final)
        raise
    return former


def _exchange(first: Path, second: Path) -> bool:
    """Let two names change places in one step; False if the system cannot do that.

    Raises:
        OSError: it can, and refuses.
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    here = ctypes.c_int(_HERE)
    if rename(here, os.fsencode(first), here, os.fsencode(second), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS):  # of the file system; of the kernel
        return False
    raise OSError(number, os.strerror(number), str(second))


def _discard(aside: Path, final: Path) -> None:
    """Delete what `final` has replaced; what holds files of somebody else is kept beside it."""
    is_ours = aside.is_dir() and not aside.is_symlink() and not _foreign_files(aside)
    if is_ours:  # renamed first: what is half deleted looks like files of somebody else
        doomed = temporary_beside(final)
        os.rename(aside, doomed)
        shutil.rmtree(doomed)
    else:
        kept = final.with_name(f"{final.name}.kept.{secrets.token_hex(6)}")
        os.rename(aside, kept)
        _logger.warning("%s: held files that nmt did not write; it is kept as %s", final, kept.name)


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `final` at the end of the block, or vanishes.

    The manifest is written here, over whatever the block has put there.

    Raises:
        ResourceError: the disk refuses.
    """
    temporary = temporary_beside(final)
    try:
        with explain_failures(final):
            temporary.mkdir()
        yield temporary
        write_manifest(temporary)
        publish_folder(temporary, final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sweep_strays(folder: Path) -> list[str]:
    """Remove what a killed process left half-written in `folder`, and return the names.

    Call it while holding the folder's lock: another process's work in progress looks the same.

    Raises:
        ResourceError: the disk refuses.
    """
    swept = []
    with explain_failures(folder):
        for path in sorted(folder.iterdir()):
            replaced = _REPLACED.fullmatch(path.name)
            if replaced is not None and not (folder / replaced["name"]).exists():
                os.rename(path, folder / replaced["name"])
            elif replaced is not None:
                _discard(path, folder / replaced["name"])
                swept.append(path.name)
            elif TEMPORARY.fullmatch(path.name):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                swept.append(path.name)
    return swept
