"""The whole benchmark: set up, measure each part, compute ratios."""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from nmt.benchmark.figure import FRACTIONS, Figure, Name
from nmt.benchmark.part import Part, Task
from nmt.benchmark.setup import set_up
from nmt.benchmark.sizes import Size, experiment_of
from nmt.errors import ResourceError, UsageError
from nmt.translator import Precision

logger = logging.getLogger(__name__)

PARTS: tuple[Part, ...] = tuple(part for part in get_args(Part) if part != "kernels")
"""Parts that are measured unless one is chosen; counting kernels takes minutes."""
SEARCHING: tuple[Part, ...] = ("translate", "startup")
_KILLED = -9  # SIGKILL, which Windows does not have
_NEEDED: dict[Part, tuple[Part, ...]] = {"train": ("matrix", "train")}


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What to measure, and how thoroughly."""

    config: Size = "small"
    """Model size."""
    precisions: Sequence[Precision] = ("fp32",)
    """Precisions to measure; startup only in the first, and int8 only in translation."""
    threads: int = 0
    """CPU threads; 0 = all cores."""
    windows: int = 5
    """Maximum number of windows per speed; the median is reported."""
    only: Part | None = None
    """Measure only this part and what it is compared with; None = all of `PARTS`."""


def run_benchmark(options: BenchmarkOptions) -> Generator[Figure, None, None]:
    """Set up in a temporary folder, measure, and yield each figure as soon as it is available.

    Raises:
        ResourceError: a part could not be measured.
        UsageError: there is nothing to measure.
    """
    with tempfile.TemporaryDirectory(prefix="nmt-bench-") as name:
        folder = Path(name)
        tasks = plan(options, folder)
        logger.info("%s: setting up a corpus and a model", options.config)
        set_up(folder, experiment_of(options.config, folder))
        yield from relate(run_tasks(tasks))


def plan(options: BenchmarkOptions, folder: Path) -> list[Task]:
    """Return the tasks in order, those to be compared next to each other.

    Raises:
        UsageError: there is nothing to measure.
    """
    only, first = options.only, options.precisions[0]
    parts = PARTS if only is None else _NEEDED.get(only, (only,))
    tasks = [
        Task(
            part=part,
            folder=str(folder),
            config=options.config,
            precision=precision,
            threads=options.threads,
            windows=options.windows,
        )
        for precision in options.precisions
        for part in parts
        if (part != "startup" or precision == first) and (part in SEARCHING or precision != "int8")
    ]
    if not tasks:
        raise UsageError(
            f"only: int8 is a precision of translation, not of {only}; choose bf16 or fp32."
        )
    return tasks


def run_tasks(tasks: Iterable[Task]) -> Iterator[Figure]:
    """Run each task in its own process and yield its figures as they arrive.

    Raises:
        ResourceError: a process ended before it was done.
    """
    for task in tasks:
        logger.info("%s: measuring %s in %s", task.config, task.part, task.precision)
        command = [sys.executable, "-m", "nmt.benchmark", json.dumps(asdict(task))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                for line in process.stdout or ():
                    yield Figure(**json.loads(line))
            except BaseException:  # the remaining figures are not needed
                process.kill()
                raise
        if process.returncode != 0:
            end = _describe_end(process.returncode)
            raise ResourceError(
                f"{task.part} in {task.precision}: the process {end}; "
                "see the lines above, or try --config small."
            )


def _describe_end(code: int) -> str:
    """Describe how a process ended, given its return code."""
    if code >= 0:
        return f"ended with code {code}"
    often = "; often for lack of memory" if code == _KILLED else ""
    return f"was killed (signal {-code}{often})"


def relate(figures: Iterable[Figure]) -> Iterator[Figure]:
    """Pass figures on and add the ratio of each training speed to each floor."""
    floors: dict[tuple[str, Name], float] = {}
    for figure in figures:
        yield figure
        if figure.figure in FRACTIONS:
            floors[figure.precision, FRACTIONS[figure.figure]] = figure.value
        if figure.figure == "train_tokens_per_second" and figure.update_tokens is None:
            for (precision, share), floor in floors.items():
                if precision == figure.precision:
                    yield replace(figure, figure=share, values=[figure.value / floor])
