"""`nmt train` behind the command line: bring a run folder to life, or back to it.

runs/toy/
  config.toml     resolved, every default written out
  manifest.json   versions, commit, seed, command, machine, text files of every start
  data/           see nmt.data.prepare
  checkpoints/    see nmt.training.checkpoint; `best` and `last` point into it
  model/          what is shipped: see nmt.models.folder
  metrics.jsonl  train.log  valid/update-002000.hyp
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from nmt.config.dump import differences, dump
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN, VALID, PreparationRecord, PreparedSummary
from nmt.data.loader import Loader
from nmt.data.prepare import prepare
from nmt.data.sampler import BatchSampler
from nmt.errors import DivergenceError, UsageError
from nmt.models.build import build_model
from nmt.storage.files import write_text
from nmt.text.subword import load_subwords
from nmt.training.checkpoint import (
    Trainee,
    data_key_of,
    find_resumable,
    load_checkpoint,
    naming,
    update_of,
)
from nmt.training.distributed import World, await_main, broadcast_object, start_world
from nmt.training.ema import MovingAverage
from nmt.training.gradients import Objective
from nmt.training.journal import Journal
from nmt.training.loop import Ending, train
from nmt.training.optimizer import build_optimizer
from nmt.training.provenance import record_start
from nmt.training.randomness import restore_random_states
from nmt.training.run_folder import CONFIG, DATA, open_run_folder
from nmt.training.signals import GracefulStop
from nmt.training.state import TrainingState
from nmt.training.timing import Deadline
from nmt.training.trainer import Trainer, go_back, ship_average
from nmt.training.validation import Validator

logger = logging.getLogger("nmt.training")

CHANGEABLE = (
    "data.train",  # paths; what the files hold is checked when they are prepared
    "data.valid",
    "data.test",
    "training.max_updates",
    "training.max_epochs",
    "training.device",
    "training.threads",
    "training.log_every",
    "training.save_every",
    "training.keep_last",
    "training.max_skipped",
    "training.rank_timeout",
    "validation.patience",
    "validation.average",
    "search.",
)
"""Keys that may differ when a run is resumed: they change when it stops, not what it computes."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line adds to the configuration."""

    resume: Literal["auto", "never", "must"] = "auto"
    max_time: str | None = None
    """Save and leave after a time such as "55m"."""


def run_training(experiment: Experiment, run: Path, options: RunOptions) -> int:
    """Prepare, train, validate and ship; resume if the run folder holds a checkpoint.

    Args:
        experiment: with absolute data paths.
        run: the run folder; made if it is missing.
        options: resuming and time limit.

    Returns:
        0 when done or out of time, 130 or 143 after a signal; everything is saved then.
    """
    if options.resume == "must" and not run.is_dir():
        raise nothing_to_resume(run)
    deadline = Deadline(options.max_time)
    if experiment.training.threads:
        torch.set_num_threads(experiment.training.threads)
    with (
        start_world(experiment.training.device, timeout=experiment.training.rank_timeout) as world,
        owned(run, world),
        contextlib.ExitStack() as resources,
    ):
        checkpoint = find_checkpoint(run, world, options)
        journal = None
        if world.is_main:
            summary = settle(experiment, run, checkpoint)
            resumed_at = 0 if checkpoint is None else update_of(checkpoint)
            journal = resources.enter_context(Journal(run, resumed_at=resumed_at))
            for line in summary.describe():
                logger.info(line)
        await_main(world)
        trainer = assemble(experiment, run, checkpoint, world, journal)
        resources.enter_context(trainer.loader)
        with GracefulStop() as stop:
            try:
                ending = train(trainer, stop, deadline)
            except DivergenceError as error:
                go_back(trainer, error)
                ending = train(trainer, stop, deadline)
        if stop.requested is not None:  # during the last save
            ending = "signal"
        if world.is_main:
            conclude(trainer, ending)
        return stop.exit_code if ending == "signal" else 0


@contextlib.contextmanager
def owned(run: Path, world: World) -> Iterator[None]:
    """Keep other runs out of the folder; the main rank holds the lock for all."""
    if not world.is_main:
        yield
        return
    with open_run_folder(run):
        yield


def find_checkpoint(run: Path, world: World, options: RunOptions) -> Path | None:
    """Return the checkpoint to resume from, the same on every rank; None to start anew."""
    found = None
    if world.is_main:
        checkpoint = find_resumable(run)
        found = None if checkpoint is None else str(checkpoint)
    found = broadcast_object(found, world)
    if found is not None and options.resume == "never":
        raise UsageError(
            f"{run}: holds a run already ({Path(found).name}) and --resume is never; "
            "choose another --run, or delete the folder."
        )
    if found is None and options.resume == "must":
        raise nothing_to_resume(run)
    return None if found is None else Path(found)


def nothing_to_resume(run: Path) -> UsageError:
    """Return the error of a run that is to be resumed and has not begun."""
    return UsageError(
        f"{run}: holds no checkpoint to resume from, and --resume is must; "
        "check the name of the folder, or leave --resume out."
    )


def settle(experiment: Experiment, run: Path, checkpoint: Path | None) -> PreparedSummary:
    """Prepare the data and write down what this run is; change nothing of another one.

    Raises:
        UsageError: the run was started with other values.
        DataError: the text files are bad, or not those that the run was started with.
    """
    path = run / CONFIG
    expected_key = None
    if checkpoint is not None:
        expected_key = data_key_of(checkpoint)
        changed = differences(load(path), experiment) if path.exists() else []
        refused = [key for key in changed if not key.startswith(CHANGEABLE)]
        if refused:
            raise UsageError(
                f"{run}: was started with other values of {', '.join(refused)} (see {path}); "
                "give it the same, or choose another --run."
            )
    summary = prepare(
        experiment, Path.cwd(), run / DATA, report=logger.info, expected_key=expected_key
    )
    write_text(path, dump(experiment))
    record_start(run, experiment, checkpoint)
    return summary


def assemble(
    experiment: Experiment,
    run: Path,
    checkpoint: Path | None,
    world: World,
    journal: Journal | None,
) -> Trainer:
    """Build everything that training needs, in the state of `checkpoint` if there is one."""
    config = experiment.training
    prepared = PreparationRecord.load(run / DATA)
    source, target = load_subwords(run / DATA)
    corpus = Corpus(run / DATA, TRAIN)
    torch.manual_seed(config.seed)
    model = build_model(
        experiment.model, source_vocab=source.vocab_size, target_vocab=target.vocab_size
    ).to(world.device)
    if config.fast:
        from nmt.fast.accelerate import accelerate

        accelerate(model, "training")
    optimizer = build_optimizer(config.optimizer, model.parameters(), config.learning_rate)
    average = MovingAverage(model, config.ema) if config.ema else None
    trainee = Trainee(model, optimizer, average)
    sampler = BatchSampler(
        corpus.source_lengths,
        corpus.target_lengths,
        batch_tokens=config.batch_tokens,
        seed=config.seed,
    )
    if checkpoint is None:
        state = TrainingState(data_key=prepared.key)
        torch.manual_seed(config.seed + 1_000_003 * world.rank)  # each rank drops other values
    else:
        restored = load_checkpoint(checkpoint, trainee)
        state = restored.state
        sampler.restore(state.position)
        with naming(checkpoint / "state.json"):
            restore_random_states(restored.random_states, world)
    loader = Loader(
        corpus,
        sampler,
        rank=world.rank,
        world_size=world.size,
        accumulate=config.accumulate,
        subwords=(source, target),
        alpha=experiment.tokenizer.sampling,
        seed=config.seed,
    )
    objective = Objective.of(config, world.device)
    validator = Validator(
        Corpus(run / DATA, VALID),
        (source, target),
        experiment,
        run,
        world.device,
        bad_lines=prepared.bad_lines,
    )
    if world.is_main:
        describe(run, trainee, objective, world, experiment, checkpoint)
    return Trainer(
        run=run,
        experiment=experiment,
        model=model,
        trainee=trainee,
        state=state,
        train_pairs=len(corpus),
        loader=loader,
        objective=objective,
        validator=validator,
        world=world,
        journal=journal,
    )


def describe(
    run: Path,
    trainee: Trainee,
    objective: Objective,
    world: World,
    experiment: Experiment,
    checkpoint: Path | None,
) -> None:
    """Log what is about to happen, in one line."""
    parameters = sum(parameter.numel() for parameter in trainee.model.parameters())
    precision = "bf16" if objective.bf16 else "fp32"
    if experiment.training.fast:
        from nmt.fast.kernels import kernels

        if world.device.type == "cpu" and kernels() is not None:
            precision += ", compiled kernels"
    ranks = f"{world.size} processes, " if world.size > 1 else ""
    resume = "no checkpoint, starting" if checkpoint is None else f"from {checkpoint.name}"
    logger.info(
        "run %s  params %.1f M  device %s (%s%d threads, %s)  seed %d  resume: %s",
        run,
        parameters / 1e6,
        world.device.type,
        ranks,
        torch.get_num_threads(),
        precision,
        experiment.training.seed,
        resume,
    )


def conclude(trainer: Trainer, ending: Ending) -> None:
    """Say why training ended, and ship the average of the best checkpoints if that is wanted."""
    config, state = trainer.experiment, trainer.state
    reasons = {
        "max_updates": f"training.max_updates = {config.training.max_updates} reached",
        "max_epochs": f"training.max_epochs = {config.training.max_epochs} reached",
        "patience": f"no better validation in {config.validation.patience}, patience is over",
        "max_time": "--max-time is over; the same command goes on from here",
        "signal": "stopped by a signal; the same command goes on from here",
    }
    logger.info("done at update %d: %s", state.update, reasons[ending])
    if ending in ("max_updates", "max_epochs", "patience") and config.validation.average > 1:
        ship_average(trainer)
    if state.stopping.best:
        best = state.stopping.best[0]
        logger.info(
            "best %s %.4g at update %d; next: nmt translate %s",
            config.validation.metric,
            best.value,
            best.update,
            trainer.run,
        )
