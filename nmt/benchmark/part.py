"""One part of the benchmark, in a process of its own: `python -m nmt.benchmark TASK`.

So the peak of memory is that of the part, and no part inherits warm caches or a heap in pieces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from nmt.benchmark.figure import Figure, Name
from nmt.benchmark.memory import peak_memory
from nmt.benchmark.setup import CONFIG
from nmt.benchmark.startup import measure_startup
from nmt.benchmark.translation import BATCHES, BEAMS, measure_translation
from nmt.benchmark.work import Sample
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN
from nmt.text.lines import read_lines
from nmt.text.subword import load_subwords
from nmt.translator import DTYPES, Precision, Translator

Part = Literal["matrix", "train", "translate", "startup"]
_STARTS = 3  # of `nmt translate`, at most
_REPETITIONS = 40  # of products and other things that the floor consists of, about
_SEARCHES = len(BEAMS) * len(BATCHES)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one process measures."""

    part: Part
    """Which part of the benchmark."""
    folder: str
    """What `set_up` made."""
    config: str
    """What the figures call the model."""
    precision: Precision
    """Of the matrix products."""
    threads: int = 0
    """CPU threads; 0 = all cores."""
    windows: int = 5
    """Of each speed, at most; the median counts."""
    seconds: float = 1.5
    """Least length of a window of training; all searches together get as much, the floor about
    half of it."""


def run_part(task: Task) -> Iterator[Figure]:
    """Measure, and yield each figure as soon as it is known."""
    if task.threads:
        torch.set_num_threads(task.threads)
    match task.part:
        case "matrix":
            yield from _matrix(task)
        case "train":
            yield from _train(task)
        case "translate":
            yield from _translate(task)
        case "startup":
            yield from _startup(task)


def _matrix(task: Task) -> Iterator[Figure]:
    from nmt.benchmark.floor import measure_floor  # memory that the others do not need

    experiment, prepared = _experiment(task), Path(task.folder) / "data"
    source, target = load_subwords(prepared)
    corpus = Corpus(prepared, TRAIN)
    sample = Sample(
        source_length=float(corpus.source_lengths.mean()),
        target_length=float(corpus.target_lengths.mean()),
        target_tokens=experiment.training.batch_tokens,
    )
    floor = measure_floor(
        experiment.model,
        source_vocab=source.vocab_size,
        target_vocab=target.vocab_size,
        sample=sample,
        dtype=DTYPES[task.precision],
        seconds=task.seconds / _REPETITIONS,
    )
    for name, value in floor.items():
        yield _figure(task, name, [value])


def _train(task: Task) -> Iterator[Figure]:
    from nmt.benchmark.training import measure_training  # memory that the others do not need

    speeds = measure_training(
        _experiment(task), Path(task.folder), windows=task.windows, seconds=task.seconds
    )
    yield _figure(task, "train_tokens_per_second", speeds)
    yield _peak(task)


def _translate(task: Task) -> Iterator[Figure]:
    translator = Translator.load(task.folder, device="cpu", precision=task.precision)
    lines = list(read_lines(Path(_experiment(task).data.valid[0])))
    for batch in BATCHES:
        for beam in BEAMS:
            speeds = measure_translation(
                translator,
                lines,
                beam=beam,
                batch=batch,
                windows=task.windows,
                seconds=task.seconds / _SEARCHES,
            )
            figure = _figure(task, "translate_tokens_per_second", speeds)
            yield replace(figure, beam=beam, batch=batch)
    yield _peak(task)


def _startup(task: Task) -> Iterator[Figure]:
    line = next(iter(read_lines(Path(_experiment(task).data.valid[0]))))
    seconds = measure_startup(
        Path(task.folder),
        line,
        precision=task.precision,
        threads=task.threads,
        times=min(task.windows, _STARTS),
    )
    yield _figure(task, "startup_seconds", seconds)


def _peak(task: Task) -> Figure:
    return replace(_figure(task, "peak_rss_mb", [peak_memory()]), task=task.part)


def _figure(task: Task, name: Name, values: Sequence[float]) -> Figure:
    return Figure(
        figure=name,
        config=task.config,
        precision=task.precision,
        threads=torch.get_num_threads(),
        values=values,
    )


def _experiment(task: Task) -> Experiment:
    experiment = load(Path(task.folder) / CONFIG)
    training = experiment.training.model_copy(update={"precision": task.precision})
    return experiment.model_copy(update={"training": training})
