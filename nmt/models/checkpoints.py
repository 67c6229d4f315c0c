"""The folder of checkpoints of a run: names, and what is needed to translate with one of them.

RUN/checkpoints/update-002000/  see `nmt.training.checkpoint`, which writes and restores them
RUN/last, RUN/best              one line each: the path of a checkpoint within the run folder
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

from nmt.errors import ModelError, UsageError
from nmt.storage.checksums import verify_checksums
from nmt.storage.files import read_json

FORMAT = 3
"""Version of the files in a checkpoint and of the parameter names; all others are refused."""
CHECKPOINTS = "checkpoints"
"""Name of the folder in a run folder."""
WEIGHTS, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
AVERAGE, STATE = "ema.safetensors", "state.json"
"""Files of a checkpoint; a model folder also has `WEIGHTS`.

`AVERAGE` is there if the run keeps a moving average.
"""

Pointer = Literal["last", "best"]
"""Name of a file in the run folder that points to a checkpoint."""
POINTERS: tuple[Pointer, ...] = ("last", "best")

_NAME = re.compile(r"update-(\d{6,})")


def checkpoint_path(run: Path, update: int) -> Path:
    """Return the path of the checkpoint after `update` updates."""
    return run / CHECKPOINTS / f"update-{update:06d}"


def list_checkpoints(run: Path) -> list[Path]:
    """Return the run's checkpoints, oldest first; none of them is verified."""
    folder = run / CHECKPOINTS
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if _NAME.fullmatch(p.name)), key=update_of)


def update_of(checkpoint: Path) -> int:
    """Return the number of updates in the name of a checkpoint."""
    return int(checkpoint.name.removeprefix("update-"))


def find_checkpoint(run: Path, name: str) -> Path:
    """Return the checkpoint called `2000`, `update-002000`, `last`, `best` or a path.

    Raises:
        UsageError: there is none of that name; existing ones are listed.
        ModelError: `last` or `best` names no checkpoint of this run.
    """
    candidates = [run / CHECKPOINTS / name, Path(name)]
    if name.isascii() and name.isdecimal():
        candidates.insert(0, checkpoint_path(run, int(name)))
    for pointer in POINTERS:
        if name == pointer and (found := pointed_to(run, pointer)) is not None:
            candidates.insert(0, found)
    for candidate in candidates:
        if _NAME.fullmatch(candidate.name) and candidate.is_dir():
            return candidate
    known = ", ".join(path.name for path in list_checkpoints(run)) or "none"
    raise UsageError(f"{run}: has no checkpoint `{name}`; it has: {known}.")


def pointed_to(run: Path, pointer: Pointer) -> Path | None:
    """Return the checkpoint that `last` or `best` names, or None if there is no such file.

    Raises:
        ModelError: the file names no checkpoint of this run.
    """
    path = run / pointer
    if not path.is_file():
        return None
    checkpoint = run / path.read_text(encoding="utf-8", errors="replace").strip()
    if checkpoint.parent != run / CHECKPOINTS or not _NAME.fullmatch(checkpoint.name):
        raise ModelError(f"{path}: names no checkpoint of this run; write its path into the file.")
    return checkpoint


def run_of(checkpoint: Path) -> Path | None:
    """Return the run folder around a checkpoint; None if `checkpoint` is not the path of one."""
    path = Path(os.path.abspath(checkpoint))
    is_checkpoint = _NAME.fullmatch(path.name) and (path / STATE).is_file()
    return path.parent.parent if is_checkpoint else None


def shipped_weights(checkpoint: Path) -> Path:
    """Return the file of the weights that are validated and shipped: the moving average, if any."""
    moving = checkpoint / AVERAGE
    return moving if moving.is_file() else checkpoint / WEIGHTS


def verify_checkpoint(folder: Path) -> None:
    """Check that all files of a checkpoint are there and unchanged.

    Raises:
        ModelError: one is missing, damaged or not in its manifest.
    """
    average = [AVERAGE] if (folder / AVERAGE).exists() else []
    verify_checksums(folder, needed=(WEIGHTS, OPTIMIZER, STATE, *average))


def read_state(folder: Path) -> dict[str, Any]:
    """Return the content of a checkpoint's `state.json`.

    Raises:
        ModelError: it is missing or damaged, or has another format.
    """
    table = read_json(folder / STATE)
    found = table.get("format") if isinstance(table, dict) else None
    if found != FORMAT:
        raise ModelError(
            f"{folder}: has checkpoint format {found}, this version of nmt reads {FORMAT} alone; "
            "resume with the version that wrote it, or start a new run in another folder."
        )
    return dict(table)
