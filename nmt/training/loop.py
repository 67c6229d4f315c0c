"""The training loop: one update after another, until something says stop."""

import math
from typing import Literal

from nmt.data.loader import Update
from nmt.models.translation import ScheduledSampling
from nmt.training.clipping import clip_gradients
from nmt.training.distributed import agree
from nmt.training.divergence import diverged
from nmt.training.gradients import accumulate_gradients
from nmt.training.meter import Meter
from nmt.training.optimizer import set_learning_rate
from nmt.training.schedule import learning_rate
from nmt.training.scheduled_sampling import reference_probability
from nmt.training.signals import GracefulStop
from nmt.training.timing import Deadline, Every
from nmt.training.trainer import Trainer, reload_best, save, validate

Ending = Literal["max_updates", "max_epochs", "patience", "max_time", "signal"]
"""Why training stopped."""


def train(trainer: Trainer, stop: GracefulStop, deadline: Deadline) -> Ending:
    """Make updates until a limit, early stopping, a deadline or a signal; leave a checkpoint."""
    config, state = trainer.experiment.training, trainer.state
    validation, saving = Every(trainer.experiment.validation.every), Every(config.save_every)
    meter = Meter(state, Every(config.log_every), config)
    updates = iter(trainer.loader)
    if state.is_validation_due and not validate(trainer, stop):
        save(trainer)
    ending = "signal" if state.is_validation_due else limit_reached(trainer)
    while ending is None:
        if state.is_reload_due:
            reload_best(trainer)
        update = next(updates)
        nll, norm = make_update(trainer, update)
        nll, is_asked_to_stop, must_validate, must_save, is_out_of_time = agree(
            [nll, stop.requested is not None],
            [validation.is_due(state.update), saving.is_due(state.update), deadline.has_passed],
            trainer.world,
        )
        if (report := meter.count(update, nll=nll, norm=norm)) is not None:
            trainer.report(report)
        is_saved = False
        if must_validate or limit_reached(trainer):
            with meter.paused():
                is_saved = validate(trainer, stop)
        ending = limit_reached(trainer)
        if state.is_validation_due or (ending is None and is_asked_to_stop):
            ending = "signal"
        if ending is None and is_out_of_time:
            ending = "max_time"
        if (must_save or ending is not None) and not is_saved:
            save(trainer)
    return ending


def make_update(trainer: Trainer, update: Update) -> tuple[float, float]:
    """Move the weights once.

    A loss or gradient that is not finite is skipped and counted: one step with it would ruin every
    weight.

    Returns:
        This rank's summed negative log-likelihood, and the gradient's norm before clipping.

    Raises:
        DivergenceError: too many updates in a row had to be skipped.
    """
    config, state = trainer.experiment.training, trainer.state
    probability = reference_probability(config.scheduled_sampling, state.update)
    pick = "sample" if config.scheduled_sampling.kind == "none" else config.scheduled_sampling.pick
    state.update += 1
    rate = learning_rate(config.schedule, config.learning_rate, state.update, state.plateau)
    set_learning_rate(trainer.trainee.optimizer, rate)
    nll = accumulate_gradients(
        trainer.model,
        update.micro_batches,
        trainer.objective,
        tokens=update.tokens,
        sampling=ScheduledSampling(probability, pick),
        world=trainer.world,
    )
    norm = clip_gradients(trainer.model.parameters(), config.clip_norm)
    state.position = update.position_after
    state.tokens += update.tokens
    if math.isfinite(norm):
        trainer.trainee.optimizer.step()
        if trainer.trainee.average is not None:
            trainer.trainee.average.update(trainer.model, state.update)
        state.skipped_in_a_row = 0
    else:
        state.skipped += 1
        state.skipped_in_a_row += 1
        if state.skipped_in_a_row >= config.max_skipped:
            times = f"{config.max_skipped} times in a row"
            raise diverged(state.update, f"the gradient was not finite {times}", config)
    return nll, norm


def limit_reached(trainer: Trainer) -> Ending | None:
    """Say which limit of the configuration has been reached, if any."""
    config, state = trainer.experiment.training, trainer.state
    if state.update >= config.max_updates:
        return "max_updates"
    if 0 < config.max_epochs <= state.position.epoch:
        return "max_epochs"
    if state.stopping.should_stop(trainer.experiment.validation.patience):
        return "patience"
    return None
