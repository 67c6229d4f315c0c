"""What a tune has done so far: one JSON file, rewritten after every step.

runs/toy-tune/
  tune.json      see `Record`
  config.toml    the configuration to be tuned, every default written out
  run-00 ...     run folders of `nmt train`; run-00 is the configuration itself
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nmt.config.changes import changes
from nmt.config.dump import dump
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.errors import ModelError, UsageError
from nmt.storage.files import read_json, write_json, write_text
from nmt.storage.lock import LOCK
from nmt.tuning.space import Combination, label

RECORD, CONFIG = "tune.json", "config.toml"
BASELINE = 0
"""The run of the configuration itself."""
SEED = "seed"
"""What differs in the run that repeats the baseline, to show what chance does."""


class Rung(BaseModel):
    """Runs that train for the same time."""

    runs: list[int]
    seconds: float
    """For each run, all that it does included."""
    spent: dict[int, float] = {}
    """Seconds of it that each run has used."""
    losses: dict[int, float | None] = {}
    """Lowest loss so far of the runs that are done; None = it failed."""


class Finalist(BaseModel):
    """How a run of the last rung translates the validation files."""

    run: int
    bleu: float
    chrf: float
    p_value: float | None = None
    """Probability of such a difference in chrF from the baseline by chance (paired bootstrap,
    Koehn, 2004); None for the baseline."""


class Record(BaseModel):
    """Content of `tune.json`."""

    model_config = ConfigDict(extra="forbid")

    budget: str = ""
    """Time in all, such as "1h"."""
    over: list[str] = []
    """What the user wants to search."""
    runs: list[Combination] = []
    rungs: list[Rung] = []
    failures: dict[int, str] = {}
    """Why runs failed."""
    finalists: list[Finalist] = []
    unit: str = "word"
    """What the losses are per, see `nmt.training.validator.Scores`."""
    best: int | None = None
    """The run that was chosen; None until the end."""

    @property
    def repeat(self) -> int | None:
        """The run that repeats the baseline with another seed."""
        return next((run for run, found in enumerate(self.runs) if SEED in found), None)

    def seconds(self, run: int | None = None) -> float:
        """Return the time spent on a run, or on all."""
        every = (item for rung in self.rungs for item in rung.spent.items())
        return sum(seconds for number, seconds in every if run in (None, number))

    def name(self, run: int) -> str:
        """Return what differs in a run: `rate 0.002, pieces 1000`."""
        differences = (f"{name} {label(choice)}" for name, choice in self.runs[run].items())
        return ", ".join(differences) or "as configured"

    def save(self, folder: Path) -> None:
        """Write it into the folder of the tune."""
        write_json(folder / RECORD, self.model_dump(mode="json"))


def folder_of(folder: Path, run: int) -> Path:
    """Return the run folder of a run."""
    return folder / f"run-{run:02d}"


def open_record(folder: Path, base: Experiment, *, budget: str, over: Sequence[str]) -> Record:
    """Return the record of the tune in a locked folder; in an empty one, begin it.

    A tune that ended before its runs were planned, as with too small a budget, begins again.

    Raises:
        UsageError: the folder holds something else, or the tune of another configuration.
        ModelError: the record is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        foreign = sorted(each.name for each in folder.iterdir() if each.name not in (LOCK, CONFIG))
        if foreign:
            raise UsageError(
                f"{folder}: holds {foreign[0]}, and is no folder of `nmt tune`; choose another "
                "--run, such as a new folder below runs/."
            )
        return _begin(folder, base, budget, over)
    try:
        record = Record.model_validate(read_json(path))
    except ValidationError as error:
        raise ModelError(f"{path}: is damaged; delete its folder to start again.") from error
    found = [str(change) for change in changes(load(folder / CONFIG), base)]
    if record.over != list(over):
        found.append(f"--over: {' '.join(record.over) or 'none'} -> {' '.join(over) or 'none'}")
    if found and not record.rungs:
        shutil.rmtree(folder_of(folder, BASELINE), ignore_errors=True)
        return _begin(folder, base, budget, over)
    if found:
        differences = "".join(f"\n  {each}" for each in found)
        raise UsageError(
            f"{folder}: belongs to another tune, with other values of{differences}\n"
            "Choose another --run, or resume it as it was."
        )
    return record


def _begin(folder: Path, base: Experiment, budget: str, over: Sequence[str]) -> Record:
    write_text(folder / CONFIG, dump(base))
    record = Record(budget=budget, over=list(over))
    record.save(folder)
    return record
