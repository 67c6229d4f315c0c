"""Provenance: the manifest of a run, with an entry for each of its starts."""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import nmt
from nmt.errors import ModelError
from nmt.run_folder.layout import STARTS
from nmt.storage.files import read_json, write_json


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
