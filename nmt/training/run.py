"""`nmt train` behind the command line: start a run in a run folder, or resume it.

runs/toy/
  config.toml     resolved, every default written out
  manifest.json   versions, commit, seed, command, machine, text files of every start
  data/           see nmt.data.prepare
  checkpoints/    see nmt.training.checkpoint; `best` and `last` point into it
  model/          the folder to share: see nmt.models.folder
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
from nmt.config.training import TrainingConfig
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN, PreparationRecord, PreparedSummary
from nmt.data.loader import Loader
from nmt.data.prepare import prepare
from nmt.data.sampler import BatchSampler
from nmt.errors import DivergenceError, UsageError
from nmt.machine import has_fast_bf16
from nmt.models.build import build_model
from nmt.models.checkpoints import update_of
from nmt.storage.files import write_text
from nmt.text.subword import load_subwords
from nmt.training.checkpoint import data_key_of, find_resumable, load_checkpoint, naming
from nmt.training.distributed import World, await_main, broadcast_object, start_world
from nmt.training.journal import Journal, name_tokenizer
from nmt.training.loop import Ending, train
from nmt.training.objectives import build_objective
from nmt.training.optimizer import MovingAverage, build_optimizer
from nmt.training.run_folder import CONFIG, DATA, open_run_folder, record_start
from nmt.training.schedule import Deadline
from nmt.training.shipping import ship_average
from nmt.training.signals import GracefulStop
from nmt.training.state import TrainingState, restore_random_states
from nmt.training.training_run import TrainingRun, go_back
from nmt.training.validation import Validator

logger = logging.getLogger("nmt.training")

CHANGEABLE = (
    "data.train",  # paths; what the files hold is checked when they are prepared
    "data.valid",
    "data.test",
    "training.max_updates",
    "training.max_epochs",
    "training.fast",
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
"""Keys that may change when a run resumes. They decide when it stops and what it keeps. With
another device, number of threads or `training.fast`, it goes on with other rounding, and warns."""


@dataclass(frozen=True)
class RunOptions:
    """Command-line options besides the configuration."""

    resume: Literal["auto", "never", "must"] = "auto"
    max_time: str | None = None
    """Save and stop after a time such as "55m"."""


def run_training(experiment: Experiment, run: Path, options: RunOptions) -> int:
    """Prepare, train, validate and ship; resume if the run folder has a checkpoint.

    Args:
        experiment: with absolute data paths.
        run: the run folder; created if it is missing.
        options: resuming and time limit.

    Returns:
        0 when done or out of time, 128 + the signal number after a signal; everything is saved.
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
        training_run = assemble(experiment, run, checkpoint, world, journal)
        resources.enter_context(training_run.loader)
        with GracefulStop() as stop:
            try:
                ending = train(training_run, stop, deadline)
            except DivergenceError as error:
                go_back(training_run, error)
                ending = train(training_run, stop, deadline)
        if stop.requested is not None:  # arrived during the last save
            ending = "signal"
        if world.is_main:
            conclude(training_run, ending)
        return stop.exit_code if ending == "signal" else 0


@contextlib.contextmanager
def owned(run: Path, world: World) -> Iterator[None]:
    """Lock the run folder against other processes; the main rank holds the lock for all ranks."""
    if not world.is_main:
        yield
        return
    with open_run_folder(run):
        yield


def find_checkpoint(run: Path, world: World, options: RunOptions) -> Path | None:
    """Return the checkpoint to resume from, the same on every rank; None to start from scratch."""
    found = broadcast_object(find_resumable(run) if world.is_main else None, world)
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


def settle(experiment: Experiment, run: Path, checkpoint: Path | None) -> PreparedSummary:
    """Prepare the data, and record configuration and start; another run is left untouched.

    Raises:
        UsageError: the run was started with another configuration.
        DataError: the text files cannot be used, or are not those that the run was started with.
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
    record_start(
        run,
        seed=experiment.training.seed,
        checkpoint=checkpoint,
        files=PreparationRecord.load(run / DATA).inputs,
    )
    return summary


def assemble(
    experiment: Experiment,
    run: Path,
    checkpoint: Path | None,
    world: World,
    journal: Journal | None,
) -> TrainingRun:
    """Build everything needed for training, and restore `checkpoint` if there is one."""
    config = experiment.training
    corpus = Corpus(run / DATA, TRAIN)
    source, target = subwords = load_subwords(run / DATA)
    torch.manual_seed(config.seed)
    model = build_model(
        experiment.model, source_vocab=source.vocab_size, target_vocab=target.vocab_size
    ).to(world.device)
    precision, round_rows = choose_precision(config, world.device, ranks=world.size), None
    if config.fast:
        from nmt.fast.accelerate import accelerate, row_rounding

        accelerate(model, "training")
        round_rows = row_rounding(world.device, bf16=precision == torch.bfloat16)
    sampler = BatchSampler(
        corpus.source_lengths,
        corpus.target_lengths,
        batch_tokens=config.batch_tokens,
        seed=config.seed,
    )
    assembled = TrainingRun(
        folder=run,
        experiment=experiment,
        model=model,
        optimizer=build_optimizer(config.optimizer, model.parameters(), config.learning_rate),
        average=MovingAverage(model, config.ema) if config.ema else None,
        state=TrainingState(data_key=PreparationRecord.load(run / DATA).key),
        loader=Loader(
            corpus,
            sampler,
            rank=world.rank,
            world_size=world.size,
            accumulate=config.accumulate,
            subwords=subwords,
            alpha=experiment.tokenizer.sampling,
            seed=config.seed,
            round_rows=round_rows,
        ),
        objective=build_objective(config),
        precision=precision,
        validator=Validator(experiment, run, subwords, world.device),
        train_pairs=len(corpus),
        world=world,
        journal=journal,
    )
    if checkpoint is None:
        torch.manual_seed(config.seed + 1_000_003 * world.rank)  # dropout differs between ranks
    else:
        restored = load_checkpoint(checkpoint, assembled.trainee)
        assembled.state = restored.state
        sampler.restore(restored.state.position)
        with naming(checkpoint / "state.json"):
            restore_random_states(restored.random_states, world)
    if world.is_main:
        describe(assembled, checkpoint)
    return assembled


LEAST_BF16_TOKENS = 2048
"""Fewest target tokens in a batch for which "auto" trains in bf16 on a CPU: in small batches, most
product shapes were new to oneDNN, and compiling them took longer than bf16 saved. Measured with
AMX before `nmt.fast.shapes` was written: batches of 512 tokens 0.45 times as fast as in fp32."""


def choose_precision(
    config: TrainingConfig, device: torch.device, *, ranks: int = 1
) -> torch.dtype:
    """Return the precision of matrix products; "auto" is bf16 where that is faster, else fp32.

    Args:
        config: the precision, and the batch size for "auto".
        device: device of the products.
        ranks: number of processes that share the tokens of an update.
    """
    wanted = config.precision
    if wanted == "auto":
        batch = config.batch_tokens // (config.accumulate * ranks)
        is_worth_it = device.type != "cpu" or (config.fast and batch >= LEAST_BF16_TOKENS)
        wanted = "bf16" if is_worth_it and has_fast_bf16(device) else "fp32"
    return torch.bfloat16 if wanted == "bf16" else torch.float32


def describe(run: TrainingRun, checkpoint: Path | None) -> None:
    """Log a one-line summary of the run before it starts."""
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    precision = "bf16" if run.precision == torch.bfloat16 else "fp32"
    if run.experiment.training.fast:
        from nmt.fast.accelerate import has_kernels

        if run.world.device.type == "cpu" and has_kernels():
            precision += ", compiled kernels"
    ranks = f"{run.world.size} processes, " if run.world.size > 1 else ""
    resume = "no checkpoint, starting" if checkpoint is None else f"from {checkpoint.name}"
    logger.info(
        "run %s  params %.1f M  device %s (%s%d threads, %s)  seed %d  resume: %s",
        run.folder,
        parameters / 1e6,
        run.world.device.type,
        ranks,
        torch.get_num_threads(),
        precision,
        run.experiment.training.seed,
        resume,
    )
    run.validator.tell_tokenizer()


def conclude(run: TrainingRun, ending: Ending) -> None:
    """Log why training ended, and ship the average of the best checkpoints if configured."""
    config, state = run.experiment, run.state
    reasons = {
        "max_updates": f"training.max_updates = {config.training.max_updates} reached",
        "max_epochs": f"training.max_epochs = {config.training.max_epochs} reached",
        "patience": f"no improvement in {config.validation.patience} validations",
        "max_time": "--max-time is over; the same command resumes from here",
        "signal": "stopped by a signal; the same command resumes from here",
    }
    logger.info("done at update %d: %s", state.update, reasons[ending])
    if ending in ("max_updates", "max_epochs", "patience") and config.validation.average > 1:
        ship_average(run)
    if state.stopping.best:
        best = state.stopping.best[0]
        logger.info(
            "best %s%s %.4g at update %d; next: nmt %s",
            config.validation.metric,
            name_tokenizer(run.validator.tokenize) if config.validation.metric == "bleu" else "",
            best.value,
            best.update,
            f"translate {run.folder}"
            if config.data.has_source
            else f"score {run.folder} --target FILE",
        )
        if ending != "signal":
            run.validator.tell_end(best, config.validation)
