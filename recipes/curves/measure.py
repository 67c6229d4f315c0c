"""Time of an update or a translation, on ids that are drawn once."""

import statistics
from collections.abc import Callable

import numpy as np
import torch

from curves.options import Options
from curves.points import Point, Task
from nmt.benchmark.sizes import TRAINING
from nmt.benchmark.windows import measure
from nmt.config.search import SearchConfig
from nmt.data.batch import Batch, make_batch
from nmt.fast.accelerate import accelerate, ranking
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.build import build_objective
from nmt.search.ranking import rank_plainly
from nmt.search.scorers import ModelScorer
from nmt.search.search import search
from nmt.text.vocabulary import EOS, SPECIAL_PIECES
from nmt.training.assembly import choose_precision
from nmt.training.distributed import World
from nmt.training.optimizer import build_optimizer
from nmt.training.step import accumulate_gradients, clip_gradients
from nmt.translator import DTYPES

_SEED = 1
_WARM_UP = 2  # calls; kernels are compiled and optimizer state is allocated


def measure_seconds(task: Task, point: Point, options: Options) -> float:
    """Return the seconds per update, or per translated sentence: the median over windows."""
    model, batch = draw_model(point), draw_batch(point, options.sentences)
    if task == "train":
        return median_seconds(updating(model, batch, options.precision), options)
    return median_seconds(translating(model, batch, point, options.precision), options)


def draw_model(point: Point) -> EncoderDecoder:
    """Return an untrained model."""
    torch.manual_seed(_SEED)
    return build_model(point.model, source_vocab=point.vocabulary, target_vocab=point.vocabulary)


def draw_batch(point: Point, sentences: int) -> Batch:
    """Return random pairs, all of the length of `point`, so there is no padding."""
    shape = sentences, 2, point.length
    ids = np.random.default_rng(_SEED).integers(len(SPECIAL_PIECES), point.vocabulary, shape)
    ids[..., -1] = EOS
    return make_batch([(source, target) for source, target in ids], range(sentences))


def updating(model: EncoderDecoder, batch: Batch, precision: str) -> Callable[[], int]:
    """Return what makes one update, as `nmt.training.step.make_update` does, and counts it."""
    world = World()
    accelerate(model, "training")
    config = TRAINING.model_copy(update={"precision": precision})
    dtype = choose_precision(config, world.device)
    objective = build_objective(config)
    optimizer = build_optimizer(config.optimizer, model.parameters(), config.learning_rate)

    def update() -> int:
        accumulate_gradients(
            model,
            [batch],
            objective,
            tokens=batch.tokens,
            updates=0,
            precision=dtype,
            world=world,
        )
        clip_gradients(model.parameters(), config.clip_norm)
        optimizer.step()
        return 1

    return update


def translating(
    model: EncoderDecoder, batch: Batch, point: Point, precision: str
) -> Callable[[], int]:
    """Return a function that translates the sources and returns their number."""
    accelerate(model.to(DTYPES[precision]).eval(), "search")
    scorer = ModelScorer(model)
    options, rank = fixed_length(point), ranking(rank_plainly)

    @torch.inference_mode()
    def translate() -> int:
        return len(search(scorer, batch.source, batch.source_mask, options, rank=rank))

    return translate


def fixed_length(point: Point) -> SearchConfig:
    """Return options for exactly `length` pieces; an untrained model cannot tell where to stop."""
    return SearchConfig(
        beam=point.beam,
        min_length_offset=point.length,
        max_length_factor=0.0,
        max_length_offset=point.length,
    )


def median_seconds(work: Callable[[], int], options: Options) -> float:
    """Return the seconds per unit of `work`, which returns how many it did: the median over
    windows."""
    for _ in range(_WARM_UP):
        work()
    rates = measure(work, windows=options.windows, seconds=options.seconds)
    return statistics.median(1.0 / rate for rate in rates)
