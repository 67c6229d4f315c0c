"""Files and folders that are either whole or absent; every write of a run goes through here.

A file is written under a temporary name beside its final one, forced to the disk, and renamed;
after a crash or power cut there is the old file or the new one, never half of one. Folders are
built the same way. Weights are safetensors, which runs no code on loading but notices neither
flipped bits nor a swapped file: `SHA256SUMS` in each folder does.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.errors import ModelError, ResourceError, UsageError, explain_lack_of_memory

if TYPE_CHECKING:  # torch takes a second to import, and `nmt --help` needs this module's floor
    from torch import Tensor

MANIFEST = "SHA256SUMS"
"""Name of the checksum file of a folder, in the format of coreutils' `sha256sum`."""
LOCK = ".lock"
"""Name of the lock file of a folder in use."""

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.partial")
_REPLACED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.replaced")
_METADATA_KEY = "nmt"
_OF_FINDER = ".DS_Store"  # macOS puts it into each folder that somebody has looked at
_MOST_DESCRIBED = 32 << 20  # bytes of a file of checksums or JSON; more of them is an attack
_LONGEST_NAME = 255  # bytes, on every file system
_LONGEST_PATH = 4095  # bytes that a system call takes
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_COPIES = 3  # that safetensors makes of tensors before they are on the disk, at most

_OF_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of no file that is named

REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose a folder on another disk",
    errno.EDQUOT: "the disk quota is used up; free some space or choose a folder elsewhere",
    errno.EFBIG: "the file would exceed the largest size allowed here; see `ulimit -f`",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.EACCES: "writing there is not permitted; mend its owner or mode, or choose another",
    errno.EPERM: "writing there is not permitted; mend its owner or mode, or choose another",
    errno.EIO: "the disk reports an input/output error; look at the system log, then retry",
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
        reason = REASONS.get(error.errno or 0)
        if reason is None:
            raise
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
            _sync(path.parent)
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
        with _explain_refusal(path):
            return json.loads(_read_description(path))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; the folder is not complete.") from error
    except (ValueError, RecursionError) as error:  # the latter of endless brackets
        raise ModelError(f"{path}: is damaged, not JSON ({error}); restore it.") from error


@contextlib.contextmanager
def _explain_refusal(path: Path) -> Iterator[None]:
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


def _read_description(path: Path) -> bytes:
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


def _sync(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk, so that it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- checksums -----------------------------------------------------------------------------


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
    sums = _read_manifest(folder)
    for name, expected in sums.items():
        path = folder / name
        _refuse_way_out(path, folder)
        with _explain_refusal(path):
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


def _read_manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    _refuse_way_out(path, folder)
    try:
        with _explain_refusal(path):
            lines = _read_description(path).decode("utf-8").split("\n")
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


# --- folders -------------------------------------------------------------------------------


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that is not there to be replaced: `new_folder` did not make all of it.

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
    if foreign:
        others = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
        raise UsageError(
            f"{folder}: holds {foreign[0]}{others}, which nmt did not write, and would be replaced "
            "as a whole; move that away, or choose another folder."
        )


def _foreign_files(folder: Path) -> list[str]:
    """Return what lies in a folder and is not in its manifest, as far as that is legible."""
    try:
        lines = _read_description(folder / MANIFEST).split(b"\n")
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
                _sync(path)
        _sync(temporary)
        if not final.exists():
            os.rename(temporary, final)
            _sync(final.parent)
            return
        aside = _name_aside(final)
        os.rename(temporary, aside)
        try:
            former = _put_in_place(aside, final)
        except OSError:
            os.rename(aside, temporary)
            raise
        _sync(final.parent)
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
        os.rename(aside, final.with_name(f"{final.name}.kept.{secrets.token_hex(6)}"))


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
            elif _TEMPORARY.fullmatch(path.name):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                swept.append(path.name)
    return swept


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone until the block ends or the process dies.

    Raises:
        UsageError: another process holds it; its id and host are named.
        ResourceError: the lock file cannot be written.
    """
    path = folder / LOCK
    with explain_failures(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, 256, 0).decode("utf-8", "replace").strip()
            raise UsageError(
                f"{folder}: is in use by {owner or 'another process'}; "
                "wait until it ends, stop it, or choose another folder."
            ) from error
        with explain_failures(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        # Closing gives the lock back. The file stays: to unlink it would let a third process
        # lock a new file of the same name while a second one waits for this one.
        os.close(descriptor)


# --- tensors -------------------------------------------------------------------------------


def save_tensors(
    path: Path, tensors: Mapping[str, "Tensor"], metadata: Mapping[str, Any] | None = None
) -> None:
    """Write tensors as safetensors, all or nothing; equal tensors give equal bytes.

    Args:
        path: the file, by habit `*.safetensors`.
        tensors: by name, on any device; each storage once (of tied weights pass one).
        metadata: anything JSON can hold. It is stored as one string: with several keys,
            safetensors would order them differently on each write.

    Raises:
        ResourceError: the disk refuses.
    """
    import safetensors.torch
    import torch

    def explain() -> str:
        return f"writing {path}, which takes {format_size(need)}; end other programs, then retry."

    need = _COPIES * sum(tensor.nbytes for tensor in tensors.values())
    with explain_lack_of_memory(explain):  # where safetensors finds none, it ends the process
        torch.empty(need, dtype=torch.uint8)
    text = None if metadata is None else {_METADATA_KEY: json.dumps(metadata, sort_keys=True)}
    # Views and slices are copied, since the format holds contiguous tensors only.
    ready = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    write_bytes(path, safetensors.torch.save(ready, text))


def load_tensors(path: Path) -> dict[str, "Tensor"]:
    """Return the tensors of a safetensors file, on the CPU.

    The file is read, not mapped: a mapped file that shrinks later kills the process.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors.torch

    with _explain_damage(path):
        return safetensors.torch.load(path.read_bytes())


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a safetensors file, without reading what they hold.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors

    with _explain_damage(path), safetensors.safe_open(str(path), framework="numpy") as file:
        names = file.keys()
        return {name: tuple(file.get_slice(name).get_shape()) for name in names}


def load_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata that `save_tensors` was given; empty if none was.

    Raises:
        ModelError: the file is missing or damaged.
    """
    import safetensors

    with _explain_damage(path), safetensors.safe_open(str(path), framework="numpy") as file:
        metadata = json.loads((file.metadata() or {}).get(_METADATA_KEY, "{}"))
    if not isinstance(metadata, dict):
        raise ModelError(f"{path}: holds no table of metadata; restore the file from a copy.")
    return metadata


@contextlib.contextmanager
def _explain_damage(path: Path) -> Iterator[None]:
    import safetensors

    try:
        with _explain_refusal(path):
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise ModelError(f"{path}: is not a plain file; point to a file of weights.")
            yield
    except FileNotFoundError as error:
        raise ModelError(f"{path}: is missing; the folder is not complete.") from error
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelError(
            f"{path}: is not a readable safetensors file ({error}); restore it from a copy."
        ) from error
