"""Validation of a run: score the weights, keep and ship the best, and decide what follows."""

import contextlib
import logging
import math
import time
from dataclasses import asdict, replace
from itertools import islice

from nmt.config.training import ValidationConfig
from nmt.models.checkpoints import shipped_weights, update_of
from nmt.models.folder import ModelCard, save_model_folder
from nmt.models.weights import set_weights, weights_of
from nmt.run_folder.averaging import average_weights
from nmt.run_folder.journal import ValidationReport
from nmt.run_folder.layout import DATA, MODEL
from nmt.signals import GracefulStop, Interrupted
from nmt.storage.tensors import load_tensors
from nmt.training.distributed import await_main, broadcast_object
from nmt.training.in_progress import (
    TrainingRun,
    divergence_error,
    require_finite,
    save,
    undamaged_best,
)
from nmt.training.schedule import after_validation, should_reload_best
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
        if scores.has_diverged:
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
        run.validator.tell_baselines()
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
    """Score the best checkpoints again if their values are those of another metric or other lines.

    The best of them is shipped. A signal interrupts this; the run then begins with it again when it
    resumes.
    """
    state, measure = run.state, measure_of(run.experiment)
    if state.measured_by == measure:
        return
    found = state.stopping if not state.stopping.best else None
    if run.world.is_main and found is None:
        logger.info("validation measures something else now: scoring the best checkpoints again")
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
    previous = run.state.stopping.best[0].update
    for checkpoint in undamaged_best(run):
        set_weights(run.model, load_tensors(shipped_weights(checkpoint)), checkpoint)
        update = update_of(checkpoint)
        scores = run.validator.score(run.model, update)
        found = found.observe(
            config.metric,
            scores.as_best(config.metric, update),
            keep=run.experiment.training.keep_best,
        )
        if found.best and found.best[0].update == update != previous:
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


# --- the model folder ----------------------------------------------------------------------


def ship(run: TrainingRun, scores: dict[str, str], *, update: int | None = None) -> None:
    """Write the shareable model folder from the current weights of the model.

    Args:
        run: the run.
        scores: scores of these weights, for the model card.
        update: number of updates that made them; None = all updates of the run.
    """
    save_model_folder(
        run.folder / MODEL,
        run.model,
        experiment=run.experiment,
        pieces=run.folder / DATA,
        card=ModelCard(
            date=time.strftime("%Y-%m-%d"),
            train_pairs=run.train_pairs,
            valid_pairs=len(run.validator.corpus),
            updates=run.state.update if update is None else update,
            scores=scores,
        ),
        training_text=run.validator.training_text,
    )


def name_scores(scores: Scores, config: ValidationConfig) -> dict[str, str]:
    """Return the scores as the model card shows them."""
    search = "greedy" if config.beam == 1 else f"beam {config.beam}"
    if scores.loss_name != "nll":
        return {f"Mean {scores.loss_name} on the validation files": f"{scores.loss:.4g}"}
    named = {"Perplexity on the validation files": f"{math.exp(min(scores.loss, 700.0)):.2f}"}
    if scores.bleu is None:
        per_word = math.exp(min(scores.loss_per_word, 700.0))
        named[f"The same per {scores.unit}"] = f"{per_word:.2f}"
    if scores.bleu is not None and scores.chrf is not None:
        split = "" if scores.tokenizer == "13a" else f", tok:{scores.tokenizer}"
        named[f"BLEU on the validation files ({search}{split})"] = f"{scores.bleu:.2f}"
        named[f"chrF on the validation files ({search})"] = f"{scores.chrf:.2f}"
    return named


def ship_average(run: TrainingRun) -> None:
    """Average the best checkpoints, and ship the average if it scores better than the best one."""
    config, state = run.experiment.validation, run.state
    chosen = list(islice(undamaged_best(run), config.average))
    if not chosen:
        return
    weights = average_weights([shipped_weights(checkpoint) for checkpoint in chosen])
    own = {name: tensor.clone() for name, tensor in weights_of(run.model).items()}
    set_weights(run.model, weights, run.folder)
    scores = run.validator.score(run.model, update=None)
    averaged, single = scores.as_best(config.metric, state.update), state.stopping.best[0]
    is_better = averaged.rank(config.metric) < single.rank(config.metric)
    logger.info(
        "average of %d checkpoints: %s %.4g, the best alone %.4g -> %s",
        len(chosen),
        config.metric,
        averaged.value,
        single.value,
        "shipped" if is_better else "not shipped",
    )
    if is_better:
        ship(run, name_scores(scores, config))
    set_weights(run.model, own, run.folder)
