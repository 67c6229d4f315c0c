"""The names of the files in a run folder, and its lock.

runs/toy/
  config.toml         resolved, every default written out
  manifest.json       versions, commit, seed, command, machine, text files, changes of every start,
                      see `nmt.run_folder.starts`
  data/               see `nmt.data.prepare`
  checkpoints/        see `nmt.training.checkpoint`; `best` and `last` point into it
  model/              the folder to share: see `nmt.models.folder`
  metrics.jsonl       see `nmt.run_folder.journal`, which also writes train.log
  valid/              translations of each validation, see `nmt.run_folder.samples`
  frozen.safetensors  with frozen embeddings, see `nmt.models.pretrained`
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from nmt.errors import UsageError
from nmt.models.checkpoints import CHECKPOINTS
from nmt.storage.checksums import CHECKSUMS
from nmt.storage.folders import make_folder, require_replaceable, sweep_strays
from nmt.storage.lock import LOCK, lock_folder

CONFIG, STARTS, METRICS, LOG = "config.toml", "manifest.json", "metrics.jsonl", "train.log"
DATA, MODEL = "data", "model"
"""Folders that are replaced as a whole."""
VALIDATIONS = "valid"
FROZEN = "frozen.safetensors"

_FILES = (CONFIG, STARTS, METRICS, LOG, FROZEN)
_SIGNS = (LOCK, CHECKPOINTS, f"{DATA}/{CHECKSUMS}", f"{MODEL}/{CHECKSUMS}")


@contextlib.contextmanager
def open_run_folder(run: Path) -> Iterator[None]:
    """Create the folder if it is missing and lock it for this process until the end of the block.

    A new folder is removed if the block fails before it writes anything.

    Raises:
        UsageError: it holds foreign files that a run would overwrite, or another process has locked
            it.
        ResourceError: it cannot be written.
    """
    is_new = not run.exists()
    make_folder(run)
    _refuse_to_overwrite(run)
    with lock_folder(run):
        for folder in (run, run / VALIDATIONS):
            if folder.is_dir():
                sweep_strays(folder)
        try:
            yield
        except BaseException:
            if is_new and os.listdir(run) == [LOCK]:  # nothing came of it
                (run / LOCK).unlink()
                run.rmdir()
            raise


def has_trained(run: Path) -> bool:
    """Whether a run has ever saved a checkpoint, even if none can be found now.

    The folder of checkpoints may be a link to another disk that is not mounted.
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
            f"{run}: is not a run folder, and a run would overwrite {' and '.join(taken)} in it; "
            "choose another --run, such as a new folder below runs/."
        )
