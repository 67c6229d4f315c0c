"""A run that is stopped again and again, and what must remain of it each time."""

import itertools
import json
import re
import shutil
from pathlib import Path

from processes import Command, Ended, Process, Setup
from tiny import write_corpus

from nmt.errors import ModelError
from nmt.models.checkpoints import checkpoint_path, update_of
from nmt.storage.checksums import sha256_of, verify_checksums
from nmt.storage.lock import LOCK
from nmt.training.checkpoint import find_resumable

INTERVAL = 2
"""Updates between two checkpoints."""
SETTINGS = (
    *(f"training.save_every={INTERVAL}", "training.keep_last=1", "training.learning_rate=1e-4"),
    *("validation.every=4", "validation.max_lines=3"),
)
"""Each validation finds better weights, so that all that a run ever writes is written again."""
AHEAD = 2 * INTERVAL
"""Updates after which a run has written two checkpoints, and a model after its validation."""

_NUMBERS = itertools.count()


class Run:
    """A run on the tiny corpus in a folder, where earlier processes may have left files.

    Args:
        folder: of the corpus and the run; made if it is missing.
        settings: of the configuration, in addition to `SETTINGS`.
        log: folder for the output of a process; beside the run by default.
    """

    def __init__(self, folder: Path, *settings: str, log: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.config = folder / "tiny.toml"
        if not self.config.exists():
            write_corpus(folder)
        self.folder = folder / "run"
        self._settings = (*SETTINGS, *settings)
        self.log = log or folder / "log"

    def command(self, updates: int, *, setup: Setup | None = None) -> Command:
        """Return the command that trains up to this update."""
        settings = (*self._settings, f"training.max_updates={updates}")
        options = [part for setting in settings for part in ("--set", setting)]
        arguments = ("train", str(self.config), "--run", str(self.folder), *options)
        return Command(arguments, setup)

    def train(self, updates: int, *, setup: Setup | None = None) -> Ended:
        """Train up to this update, in a process of its own."""
        return self.begin(updates, setup=setup).end()

    def begin(self, updates: int, *, setup: Setup | None = None) -> Process:
        """Begin to train, in a process of its own."""
        return Process(self.command(updates, setup=setup), self.log).go()

    def survivor(self) -> int:
        """Return the update from which the run would be resumed; 0 = none.

        Strays are swept in a copy, so that the next process still has them to sweep.
        """
        copy = self.log / f"copy{next(_NUMBERS)}"
        if not (self.folder / "checkpoints").exists():
            return 0
        shutil.copytree(self.folder / "checkpoints", copy / "checkpoints")
        checkpoint = find_resumable(copy)
        shutil.rmtree(copy)
        return 0 if checkpoint is None else update_of(checkpoint)

    def sums(self, update: int) -> dict[str, str]:
        """Return the SHA-256 of each file of a checkpoint, which must be whole."""
        return verify_checksums(checkpoint_path(self.folder, update))

    def weights(self, update: int) -> dict[str, str]:
        """Return the SHA-256 of each file of tensors of a checkpoint."""
        folder = checkpoint_path(self.folder, update)
        return {file.name: sha256_of(file) for file in folder.glob("*.safetensors")}

    def updates_made(self) -> list[int]:
        """Return the updates in the metrics, in their order."""
        metrics = self.folder / "metrics.jsonl"
        lines = metrics.read_bytes().split(b"\n")[:-1] if metrics.exists() else []
        entries = map(json.loads, lines)
        return [entry["update"] for entry in entries if entry["kind"] == "update"]

    def strays(self) -> list[str]:
        """Return all files and folders that a user would not expect in a run."""
        hidden = (path for path in self.folder.rglob(".*") if path.name != LOCK)
        return [str(path.relative_to(self.folder)) for path in hidden]

    def stored(self, update: int) -> dict[str, int]:
        """Return the size of each file that must survive a fault: of a checkpoint and the model."""
        folders = checkpoint_path(self.folder, update), self.folder / "model"
        return {
            str(folder.relative_to(self.folder) / name): (folder / name).stat().st_size
            for folder in folders
            for name in verify_checksums(folder)
        }

    def bytes_lost(self, stored: dict[str, int], saved: int, survivor: int) -> int:
        """Return how many of the stored bytes are gone without being replaced by newer files.

        Args:
            stored: before the fault, from `stored`.
            saved: the update from which the run would have been resumed before the fault.
            survivor: the update from which it is resumed now.
        """
        whole = {"checkpoints": survivor >= saved, "model": is_whole(self.folder / "model")}
        return sum(size for name, size in stored.items() if not whole[name.split("/")[0]])


def is_whole(folder: Path) -> bool:
    """Whether a folder matches its manifest."""
    try:
        verify_checksums(folder)
    except ModelError:
        return False
    return True


def resumed_from(errors: str) -> int | None:
    """Return the update a process says it has resumed from; 0 = none, None = it does not say."""
    found = re.search(r"resume: (?:from update-(\d+)|no checkpoint)", errors)
    return int(found[1] or 0) if found else None
