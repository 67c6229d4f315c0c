"""How fast a model is trained, by the very updates that `nmt train` makes."""

from pathlib import Path

from nmt.benchmark.windows import measure
from nmt.config.experiment import Experiment
from nmt.training.distributed import World
from nmt.training.run import assemble
from nmt.training.step import make_update

_WARM_UP = 2  # updates; kernels are prepared, and the optimizer gets its memory


def measure_training(
    experiment: Experiment, run: Path, *, windows: int, seconds: float
) -> list[float]:
    """Return target tokens per second in each window, end symbols included, padding left out.

    Args:
        experiment: what is trained.
        run: the folder that `set_up` made.
        windows: how many; `seconds` long at least, of whole updates.
        seconds: see `windows`.
    """
    training_run = assemble(experiment, run, None, World(), None)
    with training_run.loader as updates:

        def work() -> int:
            update = next(updates)
            make_update(training_run, update)
            return update.tokens

        for _ in range(_WARM_UP):
            work()
        return measure(work, windows=windows, seconds=seconds)
