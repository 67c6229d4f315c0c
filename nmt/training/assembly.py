"""Everything a run needs in memory, from its folder: new, resumed, or with the weights of another.

Before the first update, the log says what will run and warns of schedules that will do nothing.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from nmt.config.experiment import Experiment
from nmt.config.model import ModelConfig
from nmt.config.training import (
    ConstantScheduleConfig,
    CosineScheduleConfig,
    ExponentialScheduleConfig,
    PlateauScheduleConfig,
    TrainingConfig,
)
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN, PreparationRecord
from nmt.data.loader import Loader
from nmt.data.sampler import BatchSampler
from nmt.data.shape import Shape
from nmt.errors import UsageError
from nmt.layers.batch_norm import BatchNorm
from nmt.layers.lexical import LexicalOutput
from nmt.machine import has_fast_bf16
from nmt.models.build import build_model
from nmt.models.checkpoints import STATE, WEIGHTS
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.pretrained import freeze, load_frozen, read_pretrained, save_frozen
from nmt.models.shortlist import load_dictionary
from nmt.models.weights import set_weights
from nmt.objectives.build import build_objective
from nmt.objectives.guide import Guide
from nmt.objectives.scheduled_sampling import reference_probability
from nmt.run_folder.journal import Journal
from nmt.run_folder.layout import DATA, FROZEN
from nmt.storage.tensors import load_tensors
from nmt.text.copied import CopyIds
from nmt.text.subword import Subword, load_subwords
from nmt.training.checkpoint import load_checkpoint, naming
from nmt.training.distributed import World
from nmt.training.in_progress import TrainingRun
from nmt.training.optimizer import MovingAverage, build_optimizer, divide_by_rate
from nmt.training.schedule import learning_rate
from nmt.training.state import TrainingState, restore_random_states
from nmt.training.validator import Validator, measure_of

logger = logging.getLogger("nmt.training")


def assemble(
    experiment: Experiment,
    run: Path,
    checkpoint: Path | None,
    world: World,
    journal: Journal | None,
    *,
    previous: Experiment | None = None,
    start_from: Path | None = None,
) -> TrainingRun:
    """Build everything needed for training, and restore `checkpoint` if there is one.

    Args:
        experiment: the configuration.
        run: the run folder, with prepared data.
        checkpoint: where to resume; None = at the beginning.
        world: the processes that train together.
        journal: None except on the main rank.
        previous: configuration up to the checkpoint, if there is one.
        start_from: model folder whose weights the run begins with; None = new ones.
    """
    config = experiment.training
    shape = Shape.of(experiment.model)
    corpus = Corpus(run / DATA, TRAIN, features=shape.features, values=shape.values)
    subwords = load_subwords(run / DATA)
    torch.manual_seed(config.seed)
    model, frozen = _initial_model(experiment.model, run, subwords, world, checkpoint, start_from)
    precision, round_rows = choose_precision(config, world.device, ranks=world.size), None
    if config.fast:
        from nmt.fast.accelerate import accelerate, row_rounding

        accelerate(model, "training")
        round_rows = row_rounding(world.device, bf16=precision == torch.bfloat16)
    guide = None
    if config.guided_alignment.weight:
        guide = Guide.load(run / DATA, config.guided_alignment, world.device)
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
        state=TrainingState(
            data_key=PreparationRecord.load(run / DATA).key,
            measured_by=measure_of(experiment),
            is_validation_due=start_from is not None,  # shows what the weights are worth here
        ),
        loader=Loader(
            corpus,
            sampler,
            rank=world.rank,
            world_size=world.size,
            accumulate=config.accumulate,
            subwords=subwords,
            alpha=experiment.tokenizer.sampling,
            sampled=experiment.tokenizer.sampled,
            seed=config.seed,
            round_rows=round_rows,
            copy_ids=CopyIds(*subwords) if experiment.model.writes_source else None,
            reverse=model.right_to_left,
        ),
        objective=build_objective(config, guide=guide, target=subwords[1]),
        precision=precision,
        validator=Validator(experiment, run, subwords, world.device, trained_on=corpus),
        train_pairs=len(corpus),
        world=world,
        journal=journal,
    )
    freeze(model, assembled.optimizer, frozen)
    if config.learning_rates:
        divided = divide_by_rate(assembled.optimizer, model, config.learning_rates)
        for factor, names in divided.items():
            logger.info("learning rate x %g: %d of the weights, %s", factor, len(names), names[0])
    if checkpoint is None:
        torch.manual_seed(config.seed + 1_000_003 * world.rank)  # dropout differs between ranks
    else:
        _restore(assembled, checkpoint, sampler, previous or experiment)
    if world.is_main:
        _log_summary(assembled, checkpoint)
        for warning in schedule_warnings(
            config, assembled.state, last=_last_update(config, assembled.state, sampler)
        ):
            logger.warning(warning)
    return assembled


def _initial_model(
    config: ModelConfig,
    run: Path,
    subwords: tuple[Subword, Subword],
    world: World,
    checkpoint: Path | None,
    start_from: Path | None,
) -> tuple[EncoderDecoder, dict[str, Tensor]]:
    """Return the model on its device, and the frozen embeddings.

    Its weights are new, with pretrained vectors if any, or those of `start_from`; those of
    `checkpoint` are restored later, with the rest of it.
    """
    source, target = subwords
    model = build_model(config, source_vocab=source.vocab_size, target_vocab=target.vocab_size)
    model.to(world.device)
    if world.size > 1 and any(isinstance(part, BatchNorm) for part in model.modules()):
        raise UsageError(
            "model.encoder.batch_norm: a batch is shared by several processes, and each knows the "
            "means of its part alone; train in one process, or set it to false."
        )
    if checkpoint is not None:
        return model, load_frozen(run / FROZEN, config.embedding)
    if start_from is not None:
        set_weights(model, load_tensors(start_from / WEIGHTS), start_from / WEIGHTS)
        return model, {}
    if isinstance(model.output, LexicalOutput) and model.output.dictionary is not None:
        likely, probability = load_dictionary(run / DATA, used_by="model.output.dictionary")
        model.output.dictionary.likely.copy_(likely)
        model.output.dictionary.probability.copy_(probability)
    frozen = read_pretrained(model, config.embedding, subwords)
    if world.is_main:
        save_frozen(run / FROZEN, frozen)
    return model, frozen


def _restore(
    run: TrainingRun, checkpoint: Path, sampler: BatchSampler, previous: Experiment
) -> None:
    """Restore the checkpoint; `previous` completes what those of earlier versions do not say."""
    restored = load_checkpoint(checkpoint, run.trainee)
    run.state = state = restored.state
    run.validator.is_collapse_explained = bool(state.stopping.best)
    state.measured_by = state.measured_by or measure_of(previous)
    record = PreparationRecord.load(run.folder / DATA)
    if state.data_key != record.key:  # other validation or test files
        if record.replaced.get(state.data_key) != record.valid:
            state.measured_by = "other files"
        state.data_key = record.key
    position = state.position
    if not position.batch_tokens:
        position = replace(position, batch_tokens=previous.training.batch_tokens)
    sampler.restore(position)
    state.position = sampler.position
    if run.world.is_main:
        if sampler.position != position:
            logger.info("the rest of this epoch is divided again; it still uses every pair once")
        rates = [
            f"{learning_rate(config, state.update + 1, state.plateau):.3g}"
            for config in (previous.training, run.experiment.training)
        ]
        if rates[0] != rates[1]:
            logger.info("learning rate of update %d: %s", state.update + 1, " -> ".join(rates))
    with naming(checkpoint / STATE):
        restore_random_states(restored.random_states, run.world)


LEAST_BF16_TOKENS = 512
"""Fewest target tokens in a batch for which "auto" trains in bf16 on a CPU. With 512 tokens, an AMD
EPYC with AVX-512-bf16 trains LSTMs of 512 units (`nmt bench`) 1.6 times as fast as in fp32, and
those of 256 units (recipes/toy) as fast. One core of an Intel Xeon with AMX makes
1.35 times as many updates in the first 75 seconds with 512 units (recipes/loresmt21-en-ga, `--set
training.batch_tokens=512 --set training.threads=1`), and 1.3 times as many in 45 with 256
(recipes/toy), start-up and compiling for new shapes included."""


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


def _log_summary(run: TrainingRun, checkpoint: Path | None) -> None:
    """Log a one-line summary of the run before it starts."""
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    precision = "bf16" if run.precision == torch.bfloat16 else "fp32"
    if run.experiment.training.fast:
        from nmt.fast.accelerate import has_kernels

        if run.world.device.type == "cpu" and has_kernels():
            precision += ", compiled kernels"
    threads = torch.get_num_threads()
    ranks = f"{run.world.size} processes, " if run.world.size > 1 else ""
    resume = "no checkpoint, starting" if checkpoint is None else f"from {checkpoint.name}"
    logger.info(
        "run %s  params %.1f M  device %s (%s%s, %s)  seed %d  resume: %s",
        run.folder,
        parameters / 1e6,
        run.world.device.type,
        ranks,
        "1 thread" if threads == 1 else f"{threads} threads",
        precision,
        run.experiment.training.seed,
        resume,
    )
    run.validator.tell_tokenizer()


# --- schedules that will do nothing --------------------------------------------------------

_NEGLIGIBLE_CHANGE = 0.1
"""Change of a rate relative to its peak, or of a probability, that is not worth a schedule."""
_NEGLIGIBLE_RATE = 1e-3
"""Fraction of the peak below which a learning rate changes next to nothing."""


def _last_update(config: TrainingConfig, state: TrainingState, sampler: BatchSampler) -> int:
    """Return the number of the update at which training ends at the latest."""
    if not config.max_epochs:
        return config.max_updates
    left = (config.max_epochs - sampler.progress) * sampler.updates_in_epoch
    return min(config.max_updates, state.update + max(0, round(left)))


def schedule_warnings(config: TrainingConfig, state: TrainingState, *, last: int) -> Iterator[str]:
    """Yield a warning for each schedule that ends too early, or hardly changes anything.

    Args:
        config: the learning rate and scheduled sampling.
        state: at the start; nothing is said if training is over.
        last: number of the last update.
    """
    if state.update >= last:
        return
    yield from _rate_warnings(config, state, last)
    sampling = config.scheduled_sampling
    if sampling.kind in ("none", "constant"):
        return
    first, final = (reference_probability(sampling, updates) for updates in (0, last - 1))
    if first - final < _NEGLIGIBLE_CHANGE:
        remedy = {
            "linear": "raise training.scheduled_sampling.c",
            "exponential": "lower training.scheduled_sampling.k",
        }.get(sampling.kind, "lower training.scheduled_sampling.k (one half is reached at k ln k)")
        yield (
            f"training.scheduled_sampling hardly changes anything: at the last update, {last:,}, "
            f"the decoder still reads the reference with probability {final:.3g}; {remedy}"
        )


def _rate_warnings(config: TrainingConfig, state: TrainingState, last: int) -> Iterator[str]:
    schedule, peak = config.schedule, config.learning_rate
    if schedule.warmup >= last:
        yield (
            f"training.schedule.warmup = {schedule.warmup:,}, but training ends at update "
            f"{last:,}, at the rate {learning_rate(config, last, state.plateau):.3g}; "
            "shorten the warm-up"
        )
        return
    if isinstance(schedule, ConstantScheduleConfig | PlateauScheduleConfig):
        return
    final = learning_rate(config, last, state.plateau)
    if isinstance(schedule, CosineScheduleConfig) and 0 < schedule.updates < last:
        begin = max(schedule.updates, state.update) + 1
        effect = "" if final else " and change nothing"
        which = f"updates {begin:,} to {last:,} have" if begin < last else f"update {last:,} has"
        yield (
            f"training.schedule ends at update {schedule.updates:,}, but training at {last:,}: "
            f"{which} the learning rate {final:.3g}{effect}; "
            f"to move its end: --set training.schedule.updates={last}"
        )
    elif isinstance(schedule, ExponentialScheduleConfig) and final < _NEGLIGIBLE_RATE * peak:
        falls = math.ceil(math.log(_NEGLIGIBLE_RATE) / math.log(schedule.factor))
        spent = schedule.start + (falls - 1) * schedule.every
        yield (
            f"training.schedule lowers the learning rate to less than a thousandth of {peak:.3g} "
            f"at update {spent:,} already, but training ends at {last:,}; raise "
            "training.schedule.every or training.schedule.factor"
        )
    elif final > (1.0 - _NEGLIGIBLE_CHANGE) * peak:
        yield (
            f"training.schedule hardly lowers the learning rate: it is still {final:.3g} of "
            f"{peak:.3g} at the last update, {last:,}; let it fall earlier"
        )
