"""One part of the benchmark, run in its own process: `python -m nmt.benchmark TASK`.

Peak memory is then that of the part alone, and no part inherits warm caches or a fragmented heap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from nmt.benchmark.figure import Figure, Name
from nmt.benchmark.kernels import log_compilations
from nmt.benchmark.memory import peak_memory
from nmt.benchmark.setup import CONFIG
from nmt.benchmark.startup import measure_startup
from nmt.benchmark.translation import BATCHES, BEAMS, measure_translation
from nmt.benchmark.work import Sample
from nmt.config.experiment import Experiment
from nmt.config.load import load
from nmt.data.corpus import Corpus
from nmt.data.folder import TRAIN, valid_files
from nmt.text.lines import read_lines
from nmt.text.subword import load_subwords
from nmt.translator import DTYPES, Precision, Translator

Part = Literal["matrix", "train", "kernels", "translate", "startup"]
_STARTS = 3  # starts of `nmt translate`, at most
_REPETITIONS = 40  # approximate number of operations timed for the floor
_SEARCHES = len(BEAMS) * len(BATCHES)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Instructions for one measuring process."""

    part: Part
    """Part of the benchmark to run."""
    folder: str
    """The folder prepared by `set_up`."""
    config: str
    """Name of the model size, as reported in figures."""
    precision: Precision
    """Precision of the matrix products."""
    threads: int = 0
    """CPU threads; 0 = all cores."""
    windows: int = 5
    """Maximum number of windows per speed; the median is reported."""
    seconds: float = 1.5
    """Minimum length of a training window; all searches together get the same, the floor about
    half."""


def run_part(task: Task) -> Iterator[Figure]:
    """Run the task and yield each figure as soon as it is measured."""
    if task.threads:
        torch.set_num_threads(task.threads)
    match task.part:
        case "matrix":
            yield from _matrix(task)
        case "train":
            yield from _train(task)
        case "kernels":
            yield from _kernels(task)
        case "translate":
            yield from _translate(task)
        case "startup":
            yield from _startup(task)


def _matrix(task: Task) -> Iterator[Figure]:
    from nmt.benchmark.floor import measure_floor  # here, so that other parts save the memory

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
    from nmt.benchmark import training  # here, so that other parts save the memory

    experiment, run = _experiment(task), Path(task.folder)
    windows, seconds = task.windows, task.seconds
    speeds = training.measure_training(experiment, run, windows=windows, seconds=seconds)
    yield _figure(task, "train_tokens_per_second", speeds)
    yield _peak(task)
    small = training.with_small_updates(experiment)
    speeds = training.measure_training(small, run, windows=windows, seconds=seconds)
    figure = _figure(task, "train_tokens_per_second", speeds)
    yield replace(figure, update_tokens=training.SMALL_UPDATE)


def _kernels(task: Task) -> Iterator[Figure]:
    log_compilations()
    from nmt.benchmark import training

    run = Path(task.folder)
    for experiment in (_experiment(task), training.with_small_updates(_experiment(task))):
        count = training.measure_compilations(experiment, run)
        figure = _figure(task, "kernels_compiled_per_update", [count])
        is_small = experiment.training.batch_tokens == training.SMALL_UPDATE
        yield replace(figure, update_tokens=training.SMALL_UPDATE if is_small else None)


def _translate(task: Task) -> Iterator[Figure]:
    translator = Translator.load(task.folder, device="cpu", precision=task.precision)
    lines = list(read_lines(_sources(task)))
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
    line = next(iter(read_lines(_sources(task))))
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


def _sources(task: Task) -> Path:
    """Return the text file that is translated."""
    return Path(valid_files(_experiment(task).data, Path(task.folder) / "data")[0])


def _experiment(task: Task) -> Experiment:
    experiment = load(Path(task.folder) / CONFIG)
    training = experiment.training.model_copy(update={"precision": task.precision})
    return experiment.model_copy(update={"training": training})
