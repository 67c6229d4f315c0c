"""`nmt train` behind the command line: start a run in a run folder, or resume it."""

import contextlib
import logging
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nmt.config.changes import Change, changes
from nmt.config.dump import dump
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.data.folder import PreparationRecord, PreparedSummary
from nmt.data.prepare import prepare
from nmt.errors import DivergenceError, UsageError
from nmt.machine import using_threads
from nmt.models.checkpoints import WEIGHTS, update_of
from nmt.models.description import describe_model_folder
from nmt.models.pretrained import require_vectors
from nmt.models.warm_start import take_over
from nmt.run_folder.journal import Journal, name_tokenizer
from nmt.run_folder.layout import CONFIG, DATA, MODEL, open_run_folder
from nmt.run_folder.starts import Origin, origin_of, record_start
from nmt.signals import GracefulStop
from nmt.storage.checksums import read_checksums
from nmt.storage.files import write_text
from nmt.training.assembly import assemble
from nmt.training.checkpoint import data_key_of, find_resumable
from nmt.training.distributed import World, await_main, broadcast_object, start_world
from nmt.training.in_progress import TrainingRun, return_to_checkpoint
from nmt.training.loop import StopReason, train
from nmt.training.schedule import Deadline
from nmt.training.validation import ship_average

logger = logging.getLogger("nmt.training")


@dataclass(frozen=True)
class RunOptions:
    """Command-line options besides the configuration."""

    resume: Literal["auto", "never", "must"] = "auto"
    max_time: str | None = None
    """Validate, save and stop within a time such as "55m"."""
    start_from: Path | None = None
    """Run or model folder whose weights a new run begins with; None = new weights."""


@dataclass(frozen=True)
class _Start:
    """What a start of a run begins with."""

    experiment: Experiment
    checkpoint: Path | None = None
    """Where it resumes; None = at the beginning."""
    previous: Experiment | None = None
    """Its configuration up to the checkpoint."""
    origin: Origin | None = None
    """The model whose weights it begins with; None = new ones, or those of the checkpoint."""

    @property
    def changes(self) -> list[Change]:
        """What changed since the last start."""
        return [] if self.previous is None else changes(self.previous, self.experiment)


def run_training(experiment: Experiment, run: Path, options: RunOptions) -> int:
    """Prepare, train, validate and ship; resume if the run folder has a checkpoint.

    Args:
        experiment: with absolute data paths.
        run: the run folder; created if it is missing.
        options: resuming, time limit, and where the weights come from.

    Returns:
        0 when done or out of time, 128 + the signal number after a signal; everything is saved.
    """
    if options.resume == "must" and not run.is_dir():
        raise nothing_to_resume(run)
    if options.start_from is not None and options.start_from.resolve() == run.resolve():
        raise UsageError(f"--from {options.start_from}: is the --run itself; choose another --run.")
    deadline = Deadline(options.max_time)
    with (
        using_threads(experiment.training.threads),
        start_world(experiment.training.device, timeout=experiment.training.rank_timeout) as world,
        locked_folder(run, world),
        contextlib.ExitStack() as resources,
    ):
        start, journal = _Start(experiment), None
        if world.is_main:
            start = choose_start(experiment, run, options)
            summary = prepare_run(start, run)
            resumed_at = 0 if start.checkpoint is None else update_of(start.checkpoint)
            journal = resources.enter_context(Journal(run, resumed_at=resumed_at))
            log_start(start, summary)
        await_main(world)
        start = broadcast_object(start, world)
        training_run = assemble(
            start.experiment,
            run,
            start.checkpoint,
            world,
            journal,
            previous=start.previous,
            start_from=None if start.origin is None else Path(start.origin.folder),
        )
        resources.enter_context(training_run.loader)
        with GracefulStop() as stop:
            try:
                ending = train(training_run, stop, deadline)
            except DivergenceError as error:
                return_to_checkpoint(training_run, error)
                ending = train(training_run, stop, deadline)
        if stop.requested is not None:  # arrived during the last save
            ending = "signal"
        if world.is_main:
            finish(training_run, ending)
        return stop.exit_code if ending == "signal" else 0


@contextlib.contextmanager
def locked_folder(run: Path, world: World) -> Iterator[None]:
    """Lock the run folder against other processes; the main rank holds the lock for all ranks."""
    if not world.is_main:
        yield
        return
    with open_run_folder(run):
        yield


# --- how to start --------------------------------------------------------------------------


def choose_start(experiment: Experiment, run: Path, options: RunOptions) -> _Start:
    """Find out where the run starts: at a checkpoint, with the weights of a model, or new.

    Raises:
        UsageError: `options` forbids what is found, or a key changed that cannot.
        ModelError: no checkpoint is intact, or the model to start from is damaged.
    """
    checkpoint = find_checkpoint(run, options)
    if checkpoint is None:
        if options.start_from is None:
            return _Start(experiment)
        experiment, origin = start_from_model(experiment, options.start_from)
        return _Start(experiment, origin=origin)
    path = run / CONFIG
    previous = load(path) if path.exists() else experiment
    if options.start_from is not None:
        _require_same_origin(run, options.start_from)
    if origin_of(run) is not None:  # its configuration need not describe the model
        experiment = take_over(
            experiment, previous.model, previous.normalization, previous.tokenizer, start=run
        )
    start = _Start(experiment, checkpoint, previous)
    refused = [change for change in start.changes if change.fixed_by]
    if refused:
        raise _cannot_change(run, refused)
    return start


def find_checkpoint(run: Path, options: RunOptions) -> Path | None:
    """Return the checkpoint to resume from; None to start at the beginning."""
    found = find_resumable(run)
    if found is not None and options.resume == "never":
        raise UsageError(
            f"{run}: holds a run already ({found.name}) and --resume is never; "
            "choose another --run, or delete the folder."
        )
    if found is None and options.resume == "must":
        raise nothing_to_resume(run)
    return found


def nothing_to_resume(run: Path) -> UsageError:
    """Return the error for a run that must resume but has no checkpoint."""
    return UsageError(
        f"{run}: holds no checkpoint to resume from, and --resume is must; "
        "check the name of the folder, or leave --resume out."
    )


def start_from_model(experiment: Experiment, path: Path) -> tuple[Experiment, Origin]:
    """Return the configuration with the model of a run or model folder, and what to record of it.

    Raises:
        UsageError: the configuration contradicts the model.
        ModelError: there is no model, or it is damaged.
    """
    described = describe_model_folder(path)
    folder, model = described.folder.resolve(), described.config
    for side, trained, named in (
        ("source", model.source_language, experiment.data.source),
        ("target", model.target_language, experiment.data.target),
    ):
        if trained != named:
            logger.warning(
                '--from %s: was trained with data.%s = "%s", now it is "%s"',
                path,
                side,
                trained,
                named,
            )
    tokenizer = model.tokenizer.model_copy(update={"pieces_from": str(folder)})
    taken = take_over(experiment, model.model, model.normalization, tokenizer, start=path)
    return taken, Origin(str(folder), read_checksums(folder)[WEIGHTS])


def _require_same_origin(run: Path, path: Path) -> None:
    """Refuse to resume a run that did not begin with the weights of `path`.

    Raises:
        UsageError: it began with others.
    """
    origin = origin_of(run)
    if origin is not None and Path(origin) in (path.resolve(), (path / MODEL).resolve()):
        return
    begun = f"began with {origin}" if origin else "did not begin with another model"
    raise UsageError(
        f"{run}: holds a run already, which {begun}; choose another --run, or resume it "
        "without --from."
    )


def _cannot_change(run: Path, refused: Sequence[Change]) -> UsageError:
    lines = "".join(f"\n  {change} ({change.fixed_by})" for change in refused)
    folder = shlex.quote(str(run))
    from_here = ""
    if all(change.key.startswith("data.") for change in refused):
        from_here = f", with --from {folder} to begin with the weights of this one"
    return UsageError(
        f"{run}: cannot resume with other values of{lines}\n"
        f"Resume it as it was: nmt train {shlex.quote(str(run / CONFIG))} --run {folder}\n"
        f"Or start a new run with them: choose another --run{from_here}."
    )


# --- before and after training -------------------------------------------------------------


def prepare_run(start: _Start, run: Path) -> PreparedSummary:
    """Prepare the data, and record configuration and start.

    Raises:
        DataError: the text files cannot be used, or are not those that the run was started with.
    """
    experiment, checkpoint = start.experiment, start.checkpoint
    if checkpoint is None:
        require_vectors(experiment.model.embedding)
    expected_key = None if checkpoint is None else data_key_of(checkpoint)
    summary = prepare(
        experiment, Path.cwd(), run / DATA, report=logger.info, expected_key=expected_key
    )
    write_text(run / CONFIG, dump(experiment))
    record_start(
        run,
        seed=experiment.training.seed,
        checkpoint=checkpoint,
        files=PreparationRecord.load(run / DATA).inputs,
        changes=[str(change) for change in start.changes],
        origin=start.origin,
    )
    return summary


def log_start(start: _Start, summary: PreparedSummary) -> None:
    """Log the data, and what changed since the last start."""
    for line in summary.describe():
        logger.info(line)
    for change in start.changes:
        logger.info("changed  %s", change)
    if start.origin is not None:
        logger.info("starting with the weights of %s, validated first", start.origin.folder)


def finish(run: TrainingRun, ending: StopReason) -> None:
    """Log why training ended and where the model is; ship the average of the best if configured."""
    config, state = run.experiment, run.state
    reasons = {
        "max_updates": f"training.max_updates = {config.training.max_updates} reached",
        "max_epochs": f"training.max_epochs = {config.training.max_epochs} reached",
        "patience": f"no improvement in {config.validation.patience} validations",
        "max_time": "--max-time is over; the same command resumes from here",
        "signal": "by a signal; the same command resumes from here",
    }
    how = "stopped" if ending in ("max_time", "signal") else "done"
    logger.info("%s at update %d: %s", how, state.update, reasons[ending])
    for key, limit, done in (
        ("max_updates", config.training.max_updates, state.update),
        ("max_epochs", config.training.max_epochs, state.position.epoch),
    ):
        if ending == key and done > limit:
            logger.warning(
                "training.%s = %d: lies below the %d that are done already, so nothing was "
                "trained; raise it to train further",
                key,
                limit,
                done,
            )
    if ending in ("max_updates", "max_epochs", "patience") and config.validation.average > 1:
        ship_average(run)
    folder = shlex.quote(str(run.folder))
    if not state.stopping.best:
        logger.warning(
            "there is no model yet, since no validation was completed; resume, or make one of the "
            "last weights: nmt average %s --last 1 -o MODEL",
            folder,
        )
        return
    best = state.stopping.best[0]
    if ending != "signal":
        run.validator.tell_end(best, config.validation)
    logger.info(
        "best %s%s %.4g at update %d, in %s; next: nmt %s",
        config.validation.metric,
        name_tokenizer(run.validator.tokenize) if config.validation.metric == "bleu" else "",
        best.value,
        best.update,
        run.folder / MODEL,
        f"translate {folder}" if config.data.has_source else f"score {folder} --target FILE",
    )
