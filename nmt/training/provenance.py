"""Where a run comes from: `manifest.json`, with an entry for each time it was started."""

import json
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import sacrebleu
import sentencepiece
import torch

import nmt
from nmt.config.experiment import Experiment
from nmt.data.folder import PreparationRecord
from nmt.errors import ModelError
from nmt.storage.files import read_json, write_json
from nmt.training.run_folder import DATA, STARTS


def record_start(run: Path, experiment: Experiment, checkpoint: Path | None) -> None:
    """Add an entry to the run's manifest: versions, commit, seed, command, machine, text files.

    Args:
        run: the run folder; its data are prepared.
        experiment: of this start.
        checkpoint: what it resumes from.
    """
    path = run / STARTS
    inputs = PreparationRecord.load(run / DATA).inputs
    start = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "resumed_from": None if checkpoint is None else checkpoint.name,
        "command": sys.argv,
        "seed": experiment.training.seed,
        "nmt": nmt.__version__,
        "commit": source_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sacrebleu": sacrebleu.__version__,
        "sentencepiece": sentencepiece.__version__,
        "host": platform.node(),
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "files": inputs,
    }
    write_json(path, {"starts": [*_earlier_starts(path), start]})


def _earlier_starts(path: Path) -> list[Any]:
    """Return the entries so far; a manifest that cannot be read keeps nobody from training."""
    try:
        starts = read_json(path)["starts"]
    except (ModelError, KeyError, TypeError):
        return []
    return starts if isinstance(starts, list) else []


def source_commit() -> str | None:
    """Return the commit of the code that runs, `-dirty` if it was changed since; None if unknown.

    It is known in a git checkout, and of a package that pip installed from a repository.
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
