"""Validation of a run: score the weights, keep and ship the best, and decide what follows."""

import contextlib
import logging
from dataclasses import asdict, replace

from nmt.models.checkpoints import shipped_weights, update_of
from nmt.models.weights import set_weights, weights_of
from nmt.storage.tensors import load_tensors
from nmt.training.distributed import await_main, broadcast_object
from nmt.training.in_progress import (
    TrainingRun,
    divergence_error,
    require_finite,
    save,
    undamaged_best,
)
from nmt.training.journal import ValidationReport
from nmt.training.schedule import after_validation, should_reload_best
from nmt.training.shipping import name_scores, ship
from nmt.training.signals import GracefulStop, Interrupted
from nmt.training.state import Stopping
from nmt.training.validator import Scores, measure_of

logger = logging.getLogger("nmt.training")


def validate(run: TrainingRun, stop: GracefulStop, *, is_extra: bool = False) -> bool:
    """Score the weights; save them if they are among the best, and ship them if they are the best.

    A signal interrupts the validation; nothing is then changed, except that it is marked as due.

    Args:
        run: the run.
        stop: signals.
        is_extra: True if no validation is due, but the run ends here for now. Without an
            improvement, it then counts neither for early stopping nor for the plateau schedule.

    Returns:
        Whether a checkpoint was saved.

    Raises:
        DivergenceError: the weights or their loss are not finite.
    """
    state, config = run.state, run.experiment.validation
    training = run.experiment.training
    require_finite(run)
    with run.averaged_weights():
        scores = _score(run, stop)
        state.is_validation_due = scores is None
        if scores is None:
            return False
        if scores.is_hopeless:
            what = f"the loss on the validation files is {scores.loss:.4g}"
            raise divergence_error(state.update, what, training)
        state.validation_seconds = scores.seconds
        before = state.stopping
        state.stopping = state.stopping.observe(
            config.metric,
            scores.as_best(config.metric, state.update),
            keep=training.keep_best,
            least_improvement=config.least_improvement,
        )
        is_best = state.stopping.is_new_best
        if is_best and run.world.is_main:
            ship(run, name_scores(scores, config))
    if is_extra and not state.stopping.has_improved:
        state.stopping = replace(state.stopping, waited=before.waited)
    else:
        state.plateau = after_validation(
            training.schedule, state.plateau, improved=state.stopping.has_improved
        )
        state.is_reload_due = should_reload_best(training.schedule, state.plateau)
    # Reported before saving: a validation that a checkpoint counts as done is in the metrics.
    run.report(ValidationReport(state.update, **asdict(scores), is_best=is_best))
    if before == Stopping() and run.world.is_main:
        run.validator.tell_baseline()
    if run.world.is_main:
        run.validator.tell_samples()
    is_kept = any(best.update == state.update for best in state.stopping.best)
    if is_kept:
        save(run)
    return is_kept


def expected_seconds(run: TrainingRun) -> float:
    """Return about how many seconds a validation will take: a little longer than the last one.

    Before the first, it is assumed to be like training on the validation pairs, once for the loss
    and once for each hypothesis of the beam.
    """
    state, validator = run.state, run.validator
    if state.validation_seconds or not state.tokens:
        return 1.2 * state.validation_seconds
    share = len(validator.texts) / len(validator.corpus)
    tokens = int(validator.corpus.target_lengths.sum()) * (1 + share * validator.search.beam)
    return tokens * state.seconds / state.tokens


def rescore_best(run: TrainingRun, stop: GracefulStop) -> None:
    """Score the best checkpoints anew if their values are those of another metric or other lines.

    The best of them is shipped. A signal interrupts this; the run then begins with it again when it
    resumes.
    """
    state, measure = run.state, measure_of(run.experiment)
    if state.measured_by == measure:
        return
    found = state.stopping if not state.stopping.best else None
    if run.world.is_main and found is None:
        logger.info("validation measures something else now: scoring the best checkpoints anew")
        own = {name: weight.clone() for name, weight in weights_of(run.model).items()}
        with contextlib.suppress(Interrupted), stop.at_once():
            found = _rescored(run)
        set_weights(run.model, own, run.folder)
    await_main(run.world)
    found = broadcast_object(found, run.world)
    if found is not None:
        state.stopping, state.measured_by = found, measure


def _rescored(run: TrainingRun) -> Stopping:
    """Return the best list with new values; the model then has the weights of one of them."""
    config, found = run.experiment.validation, Stopping()
    former = run.state.stopping.best[0].update
    for checkpoint in undamaged_best(run):
        set_weights(run.model, load_tensors(shipped_weights(checkpoint)), checkpoint)
        update = update_of(checkpoint)
        scores = run.validator.score(run.model, update)
        found = found.observe(
            config.metric,
            scores.as_best(config.metric, update),
            keep=run.experiment.training.keep_best,
        )
        if found.best and found.best[0].update == update != former:
            ship(run, name_scores(scores, config), update=update)
        logger.info("%s: %s %.4g", checkpoint.name, config.metric, scores.value(config.metric))
    return replace(found, waited=0)


def _score(run: TrainingRun, stop: GracefulStop) -> Scores | None:
    """Return the main rank's scores on every rank; None if a signal interrupted it."""
    scores = None
    if run.world.is_main:
        with contextlib.suppress(Interrupted), stop.at_once():
            scores = run.validator.score(run.model, run.state.update)
    await_main(run.world)
    return broadcast_object(scores, run.world)
