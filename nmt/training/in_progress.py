"""A run in progress: saving it, returning to a checkpoint, reloading the best weights."""

import contextlib
import logging
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.optim import Optimizer

from nmt.config.experiment import Experiment
from nmt.config.training import TrainingConfig
from nmt.data.loader import Loader
from nmt.errors import DivergenceError, ModelError
from nmt.models.checkpoints import checkpoint_path, update_of, verify_checkpoint
from nmt.models.weights import weights_of
from nmt.objectives.build import Objective
from nmt.objectives.likelihood import Model
from nmt.run_folder.journal import Journal, UpdateReport, ValidationReport
from nmt.training.checkpoint import (
    Trainee,
    find_resumable,
    load_checkpoint,
    point_to,
    prune_checkpoints,
    save_checkpoint,
)
from nmt.training.distributed import World, await_main, broadcast_object
from nmt.training.optimizer import MovingAverage, optimizer_tensors
from nmt.training.state import TrainingState, gather_random_states

if TYPE_CHECKING:
    from nmt.training.validator import Validator

logger = logging.getLogger("nmt.training")

_LARGEST_NLL = math.log(sys.float_info.max)
"""Nats per token whose perplexity overflows."""


@dataclass(kw_only=True)
class TrainingRun:
    """Everything a run consists of: model, optimizer, data, objective, state and folder."""

    folder: Path
    """The run folder."""
    experiment: Experiment
    model: Model
    optimizer: Optimizer
    average: MovingAverage | None
    state: TrainingState
    loader: Loader
    objective: Objective
    precision: torch.dtype
    """Precision of matrix products."""
    validator: "Validator"
    train_pairs: int
    world: World
    journal: Journal | None
    """None except on the main rank."""

    @property
    def trainee(self) -> Trainee:
        """The parts that a checkpoint stores as tensors."""
        return Trainee(self.model, self.optimizer, self.average)

    def report(self, report: UpdateReport | ValidationReport | None) -> None:
        """Write a report, if there is one, to the journal of the main rank."""
        if self.journal is not None and report is not None:
            self.journal.report(report)

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Inside the block, the model has the weights to validate and ship: the average, if any."""
        with self.average.swapped_into(self.model) if self.average else contextlib.nullcontext():
            yield


# --- divergence ----------------------------------------------------------------------------


def divergence_error(update: int, what: str, config: TrainingConfig) -> DivergenceError:
    """Return the error for a run that diverged after `update` updates, with advice."""
    clipping = (
        f"training.clip_norm (now {config.clip_norm:g})"
        if config.clip_norm
        else "turn clipping on, e.g. training.clip_norm = 1,"
    )
    return DivergenceError(
        f"update {update}: {what}",
        "What was saved before is intact; lower training.learning_rate "
        f"(now {config.learning_rate:g}) or {clipping} and start again in another folder.",
        update=update,
    )


def require_finite(run: TrainingRun) -> None:
    """Refuse weights or optimizer state with NaN or infinity: they never recover.

    Raises:
        DivergenceError: a value is not finite; the message names the first tensor.
    """
    moments = optimizer_tensors(run.optimizer, run.model)
    average = {} if run.average is None else run.average.weights
    averaged = ((f"the average of {name}", tensor) for name, tensor in average.items())
    for name, tensor in chain(weights_of(run.model).items(), moments.items(), averaged):
        if not bool(tensor.isfinite().all()):
            what = f"{name} is no longer finite"
            raise divergence_error(run.state.update, what, run.experiment.training)


def has_diverged(loss: float, loss_name: str) -> bool:
    """Whether a loss is not finite, or the perplexity of a negative log-likelihood."""
    return not loss < (_LARGEST_NLL if loss_name == "nll" else math.inf)


def return_to_checkpoint(run: TrainingRun, error: DivergenceError) -> None:
    """Return to the newest checkpoint, once per run, and continue with other batches.

    Weights, optimizer state and counters are those of the checkpoint. Data and random numbers
    are not rewound, since the same ones would diverge again (Chowdhery et al., 2022,
    section 5.1).

    Raises:
        DivergenceError: `error`, if the run went back before or has no checkpoint.
    """
    before, found = run.state, None
    if run.world.is_main and not before.times_back:
        found = find_resumable(run.folder)
    found = broadcast_object(found, run.world)
    if found is None:
        raise error
    state = load_checkpoint(found, run.trainee).state
    state.position, state.tokens = before.position, before.tokens
    state.skipped, state.skipped_in_a_row = before.skipped, 0
    state.seconds, state.times_back = before.seconds, before.times_back + 1
    run.state = state
    if run.journal is not None:
        run.journal.rewind(state.update)
        run.journal.record_divergence(error, update=state.update)
        logger.warning("%s; going back to %s, this once", error.what, found.name)


# --- checkpoints ---------------------------------------------------------------------------


def save(run: TrainingRun) -> None:
    """Write a complete checkpoint, and delete those that are no longer needed.

    Raises:
        DivergenceError: the weights are not finite; nothing is written.
    """
    require_finite(run)
    random_states = gather_random_states(run.world)
    if run.world.is_main:
        save_checkpoint(run.folder, run.trainee, run.state, random_states)
        best = [checkpoint_path(run.folder, best.update) for best in run.state.stopping.best]
        if best and best[0].is_dir():
            point_to(run.folder, "best", best[0])
        prune_checkpoints(
            run.folder,
            keep_last=run.experiment.training.keep_last,
            keep=[update_of(checkpoint) for checkpoint in best],
        )
    await_main(run.world)


def reload_best(run: TrainingRun) -> None:
    """Restore weights and optimizer state of the best checkpoint after the rate was reduced."""
    run.state.is_reload_due = False
    best = next(undamaged_best(run), None) if run.world.is_main else None
    best = broadcast_object(best, run.world)
    if best is not None:
        logger.info("learning rate reduced: going back to the weights of %s", best.name)
        load_checkpoint(best, run.trainee)


def undamaged_best(run: TrainingRun) -> Iterator[Path]:
    """Yield the checkpoints of the best list, best first; damaged ones are skipped and reported."""
    for best in run.state.stopping.best:
        checkpoint = checkpoint_path(run.folder, best.update)
        try:
            verify_checkpoint(checkpoint)
        except ModelError as error:
            logger.warning("%s It is skipped.", error)
        else:
            yield checkpoint
