"""A run under way, and what is done to it between updates: validate, save, ship."""

import contextlib
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from nmt.config.experiment import Experiment
from nmt.data.loader import Loader
from nmt.errors import DivergenceError, ModelError
from nmt.models.folder import ModelCard, save_model_folder
from nmt.models.translation import TranslationModel
from nmt.models.weights import set_weights, weights_of
from nmt.training.averaging import average_weights, shipped_weights
from nmt.training.checkpoint import (
    Trainee,
    checkpoint_path,
    find_resumable,
    load_checkpoint,
    point_to,
    prune_checkpoints,
    save_checkpoint,
    update_of,
    verify_checkpoint,
)
from nmt.training.distributed import World, await_main, broadcast_object
from nmt.training.divergence import diverged, is_hopeless, require_finite
from nmt.training.gradients import Objective
from nmt.training.journal import Journal, UpdateReport, ValidationReport
from nmt.training.randomness import gather_random_states
from nmt.training.run_folder import DATA, MODEL
from nmt.training.schedule import after_validation, should_reload_best
from nmt.training.signals import GracefulStop, Interrupted
from nmt.training.state import TrainingState
from nmt.training.validation import Scores, Validator

logger = logging.getLogger("nmt.training")


@dataclass
class Trainer:
    """What learns, from what, and where it is kept."""

    run: Path
    experiment: Experiment
    model: TranslationModel
    trainee: Trainee
    state: TrainingState
    train_pairs: int
    loader: Loader
    objective: Objective
    validator: Validator
    world: World
    journal: Journal | None
    """On the main rank only."""

    def report(self, report: UpdateReport | ValidationReport) -> None:
        """Write a report into the journal, on the main rank."""
        if self.journal is not None:
            self.journal.report(report)

    @contextlib.contextmanager
    def shipped_weights(self) -> Iterator[None]:
        """Inside the block the model has the weights that are validated and shipped."""
        average = self.trainee.average
        with average.swapped_into(self.model) if average else contextlib.nullcontext():
            yield


def validate(trainer: Trainer, stop: GracefulStop) -> bool:
    """Score the weights; save them if they are among the best, ship them if they are the best.

    A signal cuts it short, and nothing has changed then.

    Returns:
        Whether it saved.

    Raises:
        DivergenceError: the weights, or their loss, are not finite.
    """
    state, config = trainer.state, trainer.experiment.validation
    require_finite(trainer.trainee, state.update, trainer.experiment.training)
    with trainer.shipped_weights():
        scores = _score(trainer, stop)
        state.is_validation_due = scores is None
        if scores is None:
            return False
        if is_hopeless(scores.loss):
            what = f"the loss on the validation files is {scores.loss:.4g}"
            raise diverged(state.update, what, trainer.experiment.training)
        state.stopping = state.stopping.observe(
            config.metric,
            scores.value(config.metric),
            loss=scores.loss,
            update=state.update,
            keep=trainer.experiment.training.keep_best,
        )
        is_best = state.stopping.is_new_best
        report = ValidationReport(state.update, **asdict(scores), is_best=is_best)
        if is_best and trainer.world.is_main:
            ship(trainer, name_scores(trainer.validator, scores))
    schedule = trainer.experiment.training.schedule
    state.plateau = after_validation(schedule, state.plateau, improved=is_best)
    state.is_reload_due = should_reload_best(schedule, state.plateau)
    trainer.report(report)  # first: what a checkpoint says is done is also in the metrics
    is_kept = any(best.update == state.update for best in state.stopping.best)
    if is_kept:
        save(trainer)
    return is_kept


def _score(trainer: Trainer, stop: GracefulStop) -> Scores | None:
    """Return what the main rank finds, on every rank; None if a signal came meanwhile."""
    found = None
    if trainer.world.is_main:
        with contextlib.suppress(Interrupted), stop.at_once():
            found = asdict(trainer.validator.score(trainer.model, trainer.state.update))
    await_main(trainer.world)
    found = broadcast_object(found, trainer.world)
    return None if found is None else Scores(**found)


def reload_best(trainer: Trainer) -> None:
    """Go back to the weights and moments of the best checkpoint, since the rate falls."""
    trainer.state.is_reload_due = False
    found = None
    if trainer.world.is_main:
        found = next((str(checkpoint) for checkpoint in best_that_are_whole(trainer)), None)
    found = broadcast_object(found, trainer.world)
    if found is not None:
        logger.info("rate falls: going back to the weights of %s", Path(found).name)
        load_checkpoint(Path(found), trainer.trainee)


def best_that_are_whole(trainer: Trainer) -> Iterator[Path]:
    """Yield the checkpoints of the best list, the best first; damaged ones are named, and left out.

    The run can do without them, and `find_resumable` does so, too.
    """
    for best in trainer.state.stopping.best:
        checkpoint = checkpoint_path(trainer.run, best.update)
        try:
            verify_checkpoint(checkpoint)
        except ModelError as error:
            logger.warning("%s It is left out.", error)
        else:
            yield checkpoint


def go_back(trainer: Trainer, error: DivergenceError) -> None:
    """Return to the newest checkpoint, once in the life of a run, to go on with other batches.

    Weights, moments and counters are those of the checkpoint. The data and the random numbers go
    on from where they are: the same ones would only lead to the same end (Chowdhery et al., 2022,
    section 5.1).

    Raises:
        DivergenceError: `error`, if the run went back before or has no checkpoint.
    """
    former, found = trainer.state, None
    if trainer.world.is_main and not former.times_back:
        checkpoint = find_resumable(trainer.run)
        found = None if checkpoint is None else str(checkpoint)
    found = broadcast_object(found, trainer.world)
    if found is None:
        raise error
    state = load_checkpoint(Path(found), trainer.trainee).state
    state.position, state.tokens = former.position, former.tokens
    state.skipped, state.skipped_in_a_row = former.skipped, 0
    state.seconds, state.times_back = former.seconds, former.times_back + 1
    trainer.state = state
    if trainer.journal is not None:
        trainer.journal.rewind(state.update)
        logger.warning("%s; going back to %s, this once", error.what, Path(found).name)


def save(trainer: Trainer) -> None:
    """Write a checkpoint of everything, and delete those that are no longer needed.

    Raises:
        DivergenceError: the weights are not finite; nothing is written then.
    """
    require_finite(trainer.trainee, trainer.state.update, trainer.experiment.training)
    states = gather_random_states(trainer.world)
    if trainer.world.is_main:
        save_checkpoint(trainer.run, trainer.trainee, trainer.state, states)
        best = [checkpoint_path(trainer.run, best.update) for best in trainer.state.stopping.best]
        if best and best[0].is_dir():
            point_to(trainer.run, "best", best[0])
        prune_checkpoints(
            trainer.run,
            keep_last=trainer.experiment.training.keep_last,
            keep=[update_of(checkpoint) for checkpoint in best],
        )
    await_main(trainer.world)


def name_scores(validator: Validator, scores: Scores) -> dict[str, str]:
    """Return the scores as the model card shows them."""
    search = "greedy" if validator.config.beam == 1 else f"beam {validator.config.beam}"
    named = {"Perplexity on the validation files": f"{math.exp(min(scores.loss, 700.0)):.2f}"}
    if scores.bleu is not None and scores.chrf is not None:
        named[f"BLEU on the validation files ({search})"] = f"{scores.bleu:.2f}"
        named[f"chrF on the validation files ({search})"] = f"{scores.chrf:.2f}"
    return named


def ship(trainer: Trainer, scores: dict[str, str]) -> None:
    """Write the model folder, the one thing to share, from the weights the model has now."""
    save_model_folder(
        trainer.run / MODEL,
        trainer.model,
        experiment=trainer.experiment,
        pieces=trainer.run / DATA,
        card=ModelCard(
            date=time.strftime("%Y-%m-%d"),
            train_pairs=trainer.train_pairs,
            valid_pairs=len(trainer.validator.corpus),
            updates=trainer.state.update,
            scores=scores,
        ),
    )


def ship_average(trainer: Trainer) -> None:
    """Average the best checkpoints, and ship the average if it validates better than the best."""
    config, state = trainer.experiment.validation, trainer.state
    chosen = list(islice(best_that_are_whole(trainer), config.average))
    if not chosen:
        return
    weights = average_weights([shipped_weights(checkpoint) for checkpoint in chosen])
    own = {name: tensor.clone() for name, tensor in weights_of(trainer.model).items()}
    set_weights(trainer.model, weights, trainer.run)
    scores = trainer.validator.score(trainer.model, state.update)
    value, single = scores.value(config.metric), state.stopping.best[0].value
    is_better = value < single if config.metric == "loss" else value > single
    logger.info(
        "average of %d checkpoints: %s %.4g, the best alone %.4g -> %s",
        len(chosen),
        config.metric,
        value,
        single,
        "shipped" if is_better else "not shipped",
    )
    if is_better:
        ship(trainer, name_scores(trainer.validator, scores))
    set_weights(trainer.model, own, trainer.run)
