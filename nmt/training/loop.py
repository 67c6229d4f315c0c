"""The training loop: one update after another until a limit, early stopping or a signal."""

from typing import Literal

from nmt.signals import GracefulStop
from nmt.training.distributed import Agreement, agree
from nmt.training.in_progress import TrainingRun, reload_best, save
from nmt.training.meter import Meter
from nmt.training.schedule import Deadline, Every
from nmt.training.step import make_update
from nmt.training.validation import expected_seconds, rescore_best, validate

StopReason = Literal["max_updates", "max_epochs", "patience", "max_time", "signal"]
"""Why training stopped."""


def train(run: TrainingRun, stop: GracefulStop, deadline: Deadline) -> StopReason:
    """Train until the run ends, save everything, and return the reason."""
    state, config = run.state, run.experiment.training
    validation, saving = Every(run.experiment.validation.every), Every(config.save_every)
    rescore_best(run, stop)
    if state.is_validation_due and not validate(run, stop):
        save(run)
    meter = Meter(state, config, deadline, loss_name=run.model.output.loss_name)
    ending = why_to_stop(run, limit_reached(run))
    while ending is None:
        if state.is_reload_due:
            reload_best(run)
        update = next(run.loader)
        result = make_update(run, update)
        agreed = agree(
            Agreement(
                nll=result.nll,
                stop=stop.requested is not None,
                validate=validation.is_due(state.update),
                save=saving.is_due(state.update),
                is_out_of_time=deadline.is_over(reserve=expected_seconds(run)),
            ),
            run.world,
        )
        limit, is_saved = limit_reached(run), False
        must_report = agreed.validate or agreed.stop or agreed.is_out_of_time or bool(limit)
        run.report(meter.count(update, result, nll=agreed.nll, at_once=must_report))
        if agreed.validate or limit or agreed.is_out_of_time:
            with meter.paused():
                is_saved = validate(run, stop, is_extra=not (agreed.validate or limit))
        ending = why_to_stop(run, limit, agreed)
        if (agreed.save or ending) and not is_saved:
            save(run)
    return ending


def limit_reached(run: TrainingRun) -> StopReason | None:
    """Return the configured limit that ends training now; None if there is none."""
    config, state = run.experiment.training, run.state
    if state.update >= config.max_updates:
        return "max_updates"
    if 0 < config.max_epochs <= state.position.epoch:
        return "max_epochs"
    return None


def why_to_stop(
    run: TrainingRun, limit: StopReason | None, agreed: Agreement | None = None
) -> StopReason | None:
    """Return why training ends now; None if it does not.

    Args:
        run: after the validation of this update, if there was one.
        limit: what `limit_reached` returned.
        agreed: what the ranks agreed on after the update.
    """
    if run.state.is_validation_due:  # a signal cut the validation short
        return "signal"
    if limit is not None:
        return limit
    if run.state.stopping.should_stop(run.experiment.validation.patience):
        return "patience"
    if agreed is not None and agreed.stop:
        return "signal"
    if agreed is not None and agreed.is_out_of_time:
        return "max_time"
    return None
