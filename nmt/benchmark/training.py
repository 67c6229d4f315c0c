"""Training speed, measured on the same updates that `nmt train` performs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nmt.benchmark.kernels import count_compilations
from nmt.benchmark.windows import measure
from nmt.config.experiment import Experiment
from nmt.training.assembly import assemble
from nmt.training.distributed import World
from nmt.training.step import make_update

_WARM_UP = 2  # updates; kernels are compiled and optimizer state is allocated


SMALL_UPDATE = 512
"""Target tokens per small update, as suits a few thousand pairs."""


def measure_training(
    experiment: Experiment, run: Path, *, windows: int, seconds: float
) -> list[float]:
    """Return target tokens per second in each window, with end symbols, without padding.

    Args:
        experiment: what to train.
        run: the folder prepared by `set_up`.
        windows: number of windows.
        seconds: minimum length of a window, which consists of whole updates.
    """
    with _updates(experiment, run) as work:
        for _ in range(_WARM_UP):
            work()
        return measure(work, windows=windows, seconds=seconds)


def measure_compilations(experiment: Experiment, run: Path) -> float:
    """Return the number of kernels oneDNN compiles per update; see `count_compilations`."""
    with _updates(experiment, run) as work:
        return count_compilations(work)


def with_small_updates(experiment: Experiment) -> Experiment:
    """Return the experiment with updates of `SMALL_UPDATE` tokens."""
    training = experiment.training.model_copy(update={"batch_tokens": SMALL_UPDATE})
    return experiment.model_copy(update={"training": training})


@contextmanager
def _updates(experiment: Experiment, run: Path) -> Iterator[Callable[[], int]]:
    """Yield a function that performs one update and returns its number of target tokens."""
    training_run = assemble(experiment, run, None, World(), None)
    with training_run.loader as updates:

        def work() -> int:
            update = next(updates)
            make_update(training_run, update)
            return update.tokens

        yield work
