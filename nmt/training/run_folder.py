"""The run folder: names of its files, its lock, and the record of every start."""

import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import nmt
from nmt.errors import ModelError, UsageError
from nmt.models.checkpoints import CHECKPOINTS
from nmt.storage.checksums import CHECKSUMS
from nmt.storage.files import read_json, write_json
from nmt.storage.folders import make_folder, require_replaceable, sweep_strays
from nmt.storage.lock import LOCK, lock_folder

CONFIG = "config.toml"
"""The configuration of the run, every default written out."""
STARTS = "manifest.json"
"""Provenance: an entry for each start, see `record_start`."""
METRICS = "metrics.jsonl"
LOG = "train.log"
"""See `nmt.training.journal`."""
DATA, MODEL = "data", "model"
"""Folders that are replaced as a whole; see `nmt.data.prepare` and `nmt.models.folder`."""
VALIDATIONS = "valid"
"""Folder of translations, one file per validation."""
FROZEN = "frozen.safetensors"
"""Which rows of the embeddings stay as they are; see `nmt.training.vectors`."""

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


# --- provenance ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Origin:
    """The model whose weights a run began with."""

    folder: str
    """Its model folder."""
    weights: str
    """SHA-256 of its weights."""


def record_start(
    run: Path,
    *,
    seed: int,
    checkpoint: Path | None,
    files: Mapping[str, str],
    changes: Sequence[str] = (),
    origin: Origin | None = None,
) -> None:
    """Add an entry to the run's manifest: versions, commit, seed, command, machine, text files.

    Args:
        run: the run folder.
        seed: random seed of this start.
        checkpoint: checkpoint to resume from; None = none.
        files: SHA-256 of each text file.
        changes: keys that changed since the last start, such as
            `training.learning_rate: 0.001 -> 0.0005`.
        origin: model whose weights the run begins with; None = none.
    """
    import torch  # imported here, since `nmt prepare` and `nmt show` do not need it

    path = run / STARTS
    start = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "resumed_from": None if checkpoint is None else checkpoint.name,
        "started_from": None if origin is None else asdict(origin),
        "changes": list(changes),
        "command": sys.argv,
        "seed": seed,
        "nmt": nmt.__version__,
        "commit": source_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sacrebleu": metadata.version("sacrebleu"),
        "sentencepiece": metadata.version("sentencepiece"),
        "host": platform.node(),
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "files": dict(files),
    }
    write_json(path, {"starts": [*_earlier_starts(path), start]})


def origin_of(run: Path) -> str | None:
    """Return the model folder whose weights a run began with; None if there is none."""
    starts = [start for start in _earlier_starts(run / STARTS) if isinstance(start, dict)]
    begun = [start.get("started_from") for start in starts if start.get("resumed_from") is None]
    return str(begun[-1].get("folder")) if begun and isinstance(begun[-1], dict) else None


def _earlier_starts(path: Path) -> list[Any]:
    """Return the existing entries; none if the manifest is unreadable, which must not end a run."""
    try:
        starts = read_json(path)["starts"]
    except (ModelError, KeyError, TypeError):
        return []
    return starts if isinstance(starts, list) else []


def source_commit() -> str | None:
    """Return the commit of this code, ending in `-dirty` if it was changed since; None if unknown.

    Known in a git checkout, and for a package that pip installed from a repository.
    """
    checkout = Path(nmt.__file__).resolve().parents[1]
    if (checkout / ".git").exists():
        command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
        try:
            done = subprocess.run(
                [*command, "--exclude=*"], capture_output=True, text=True, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()
    try:
        origin = json.loads(metadata.distribution("nmt").read_text("direct_url.json") or "{}")
        commit = origin["vcs_info"]["commit_id"]
    except (metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return None
    return str(commit)
