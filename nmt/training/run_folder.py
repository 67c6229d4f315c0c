"""The run folder as a whole: who may write there, and what must not be overwritten."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import UsageError
from nmt.storage.checksums import CHECKSUMS
from nmt.storage.folders import make_folder, require_replaceable, sweep_strays
from nmt.storage.lock import LOCK, lock_folder

CONFIG = "config.toml"
"""What a run was started with, every default written out."""
STARTS = "manifest.json"
"""Where a run comes from, see `nmt.training.provenance`."""
METRICS = "metrics.jsonl"
LOG = "train.log"
"""See `nmt.training.journal`."""
DATA, MODEL = "data", "model"
"""Folders that are replaced as a whole: see `nmt.data.prepare` and `nmt.models.folder`."""
CHECKPOINTS = "checkpoints"
VALIDATIONS = "valid"
"""Folder of translations, a file for each validation."""

_FILES = (CONFIG, STARTS, METRICS, LOG)
_SIGNS = (LOCK, CHECKPOINTS, f"{DATA}/{CHECKSUMS}", f"{MODEL}/{CHECKSUMS}")


@contextlib.contextmanager
def open_run_folder(run: Path) -> Iterator[None]:
    """Make the folder if it is missing and hold it for this process until the end of the block.

    Raises:
        UsageError: it holds what no run wrote and a run would overwrite, or another process has it.
        ResourceError: the disk refuses.
    """
    make_folder(run)
    _refuse_to_overwrite(run)
    with lock_folder(run):
        for folder in (run, run / VALIDATIONS):
            if folder.is_dir():
                sweep_strays(folder)
        yield


def has_trained(run: Path) -> bool:
    """Say whether a run has made a checkpoint, even if none is there any more.

    They may be a link to another disk that is not mounted.
    """
    checkpoints = run / CHECKPOINTS
    return (run / "last").exists() or (checkpoints.is_symlink() and not checkpoints.exists())


def _refuse_to_overwrite(run: Path) -> None:
    for name in (DATA, MODEL):
        require_replaceable(run / name)
    if any((run / sign).exists() for sign in _SIGNS):
        return
    taken = [name for name in _FILES if (run / name).exists()]
    if taken:
        raise UsageError(
            f"{run}: is no run folder, and a run would overwrite {' and '.join(taken)} in it; "
            "choose another --run, by habit a new folder below runs/."
        )
