"""Checkpoints: the complete state of a run, whole or absent, verified by checksum.

    checkpoints/update-002000/  model.safetensors      weights, tied ones once
                                optimizer.safetensors  moments by parameter name
                                ema.safetensors        moving average, where the run keeps one
                                state.json             counters, plateau, best list, random states
                                SHA256SUMS
    last, best                  one line each: the path of a checkpoint within the run folder

No file is ever unpickled.
"""

import logging
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from nmt.errors import ModelError
from nmt.models.checkpoints import (
    AVERAGE,
    CHECKPOINTS,
    FORMAT,
    OPTIMIZER,
    STATE,
    WEIGHTS,
    Pointer,
    checkpoint_path,
    list_checkpoints,
    pointed_to,
    read_state,
    update_of,
    verify_checkpoint,
)
from nmt.models.weights import set_weights, weights_of
from nmt.run_folder.layout import has_trained
from nmt.storage.files import temporary_beside, write_json, write_text
from nmt.storage.folders import make_folder, new_folder, sweep_strays
from nmt.storage.os_errors import explain_write_errors
from nmt.storage.tensors import load_tensors, save_tensors
from nmt.training.optimizer import MovingAverage, optimizer_tensors, restore_optimizer
from nmt.training.state import RandomState, TrainingState, require_random_states

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trainee:
    """The parts of a run that a checkpoint stores as tensors."""

    model: nn.Module
    optimizer: Optimizer
    average: MovingAverage | None = None


@dataclass(frozen=True)
class Restored:
    """The contents of a checkpoint besides tensors."""

    state: TrainingState
    random_states: list[RandomState]


# --- saving and loading --------------------------------------------------------------------


def save_checkpoint(
    run: Path, trainee: Trainee, state: TrainingState, random_states: Sequence[RandomState]
) -> Path:
    """Write a complete checkpoint, make `last` point to it, and return its folder.

    A checkpoint of the same update is replaced.

    Args:
        run: the run folder.
        trainee: model, optimizer and moving average.
        state: counters, after the update.
        random_states: random state of every rank, from `gather_random_states`.

    Raises:
        ResourceError: writing failed; earlier checkpoints are intact.
    """
    final = checkpoint_path(run, state.update)
    make_folder(final.parent)
    with new_folder(final) as folder:
        save_tensors(folder / WEIGHTS, weights_of(trainee.model))
        save_tensors(folder / OPTIMIZER, optimizer_tensors(trainee.optimizer, trainee.model))
        if trainee.average is not None:
            save_tensors(folder / AVERAGE, trainee.average.weights)
        table = {
            "format": FORMAT,
            "made_with": _conditions(trainee.model),
            **state.to_json(),
            "random_states": list(random_states),
        }
        write_json(folder / STATE, table)
    point_to(run, "last", final)
    return final


def load_checkpoint(folder: Path, trainee: Trainee) -> Restored:
    """Restore weights, optimizer and moving average in place, and return the rest.

    Raises:
        ModelError: the checkpoint is damaged, or has another format or another model.
    """
    verify_checkpoint(folder)
    restored = _restore_state(folder, _conditions(trainee.model))
    set_weights(trainee.model, load_tensors(folder / WEIGHTS), folder)
    moments = load_tensors(folder / OPTIMIZER)
    with naming(folder / OPTIMIZER):
        restore_optimizer(trainee.optimizer, trainee.model, moments)
    if trainee.average is not None:
        average = weights_of(trainee.model)  # where it begins if there was none before
        if (folder / AVERAGE).is_file():
            average = load_tensors(folder / AVERAGE)
        with naming(folder / AVERAGE):
            trainee.average.restore(average)
    return restored


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Prefix errors about the contents of a file with its path."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _restore_state(folder: Path, conditions: str) -> Restored:
    table = read_state(folder)
    del table["format"]
    made_with = table.pop("made_with", None)
    if made_with != conditions:
        logger.warning(
            "%s was made with %s, resumed with %s: expect equally good results, "
            "not bit-identical ones",
            folder,
            made_with,
            conditions,
        )
    try:
        random_states = table.pop("random_states")
        require_random_states(random_states)
        return Restored(TrainingState.from_json(table), random_states)
    except (KeyError, TypeError) as error:
        raise _not_ours(folder, error) from error


def _not_ours(checkpoint: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{checkpoint}/state.json: is not what nmt writes ({error}); "
        "restore it, or delete this checkpoint and go on from an earlier one."
    )


def _conditions(model: nn.Module) -> str:
    """Return the conditions that must be equal for two runs to be bit-identical."""
    device = next(model.parameters()).device.type
    is_plain = all(
        type(module).__module__.split(".")[:2] != ["nmt", "fast"] for module in model.modules()
    )
    modules = ", plain equations" if is_plain else ""
    return f"torch {torch.__version__} on {device}, {torch.get_num_threads()} threads{modules}"


def data_key_of(checkpoint: Path) -> str:
    """Return the key of the prepared data that a checkpoint was trained on.

    Raises:
        ModelError: its state is missing or damaged, or has another format.
    """
    table = read_state(checkpoint)
    try:
        return str(table["data_key"])
    except KeyError as error:
        raise _not_ours(checkpoint, error) from error


# --- the folder of checkpoints -------------------------------------------------------------


def find_resumable(run: Path) -> Path | None:
    """Return the newest undamaged checkpoint, or None if the run has none at all.

    Remains of a killed process are removed first, so hold the run's lock when calling this.

    Raises:
        ModelError: all checkpoints are damaged, or the run has trained but none can be found: a run
            that started over would overwrite its results.
    """
    if (run / CHECKPOINTS).is_dir():
        sweep_strays(run / CHECKPOINTS)
    checkpoints = list_checkpoints(run)
    if not checkpoints and has_trained(run):
        raise ModelError(
            f"{run}/checkpoints: is empty or missing, although this run has trained; restore it "
            "(is its disk mounted?), or choose another --run."
        )
    for checkpoint, older in zip_longest(checkpoints[::-1], checkpoints[-2::-1]):
        try:
            verify_checkpoint(checkpoint)
        except ModelError as error:
            logger.warning("%s%s", error, f" Going back to {older.name}." if older else "")
        else:
            return checkpoint
    if checkpoints:
        raise ModelError(
            f"{run}/checkpoints: none of its {len(checkpoints)} checkpoints is intact; restore one "
            "from a copy, or start again in another folder."
        )
    return None


def best_checkpoints(run: Path) -> list[Path]:
    """Return the checkpoints of the run's best list that were kept, best first.

    Raises:
        ModelError: the checkpoint that `last` names is missing or damaged, or has another format.
    """
    last = pointed_to(run, "last")
    if last is None:
        return []
    table = read_state(last)
    try:
        table = {**TrainingState().to_json(), "stopping": table["stopping"]}
        best = TrainingState.from_json(table).stopping.best
    except (KeyError, TypeError) as error:
        raise _not_ours(last, error) from error
    paths = [checkpoint_path(run, entry.update) for entry in best]
    return [path for path in paths if path.is_dir()]


def point_to(run: Path, pointer: Pointer, checkpoint: Path) -> None:
    """Make `last` or `best` name `checkpoint`, atomically."""
    write_text(run / pointer, f"{checkpoint.relative_to(run).as_posix()}\n")


def prune_checkpoints(run: Path, *, keep_last: int, keep: Collection[int] = ()) -> None:
    """Delete the checkpoints that are no longer needed; those that `last` and `best` name stay.

    Args:
        run: the run folder.
        keep_last: number of newest checkpoints to keep.
        keep: update numbers of others to keep: the best list.
    """
    checkpoints = list_checkpoints(run)
    needed = {pointed_to(run, "last"), pointed_to(run, "best"), *checkpoints[-keep_last:]}
    for checkpoint in checkpoints:
        if checkpoint not in needed and update_of(checkpoint) not in keep:
            # Renamed first: a half-deleted folder must not look like a damaged checkpoint.
            with explain_write_errors(checkpoint):
                doomed = temporary_beside(checkpoint)
                checkpoint.rename(doomed)
                shutil.rmtree(doomed)
