"""Do the benchmark's work in turns: `python turns.py FOLDER SIZE PRECISION train|BEAM BATCH`.

Runs the code that PYTHONPATH names, of any commit that has `nmt.benchmark`. Says "ready", then
answers each line of standard input, a number of seconds, with the tokens per second in that time.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from nmt.machine import keep_memory, wait_briefly

if __name__ == "__main__":  # before torch is imported
    keep_memory()
    if "train" in sys.argv:
        wait_briefly()

from nmt.benchmark import setup, sizes


def take_turns(work: Callable[[], int], **_: float) -> list[float]:
    """Stand in for `nmt.benchmark.windows.measure`, each window at its own time."""
    work()
    print("ready", flush=True)
    for line in sys.stdin:
        tokens, started = 0, time.perf_counter()
        while (passed := time.perf_counter() - started) < float(line):
            tokens += work()
        print(tokens / passed, flush=True)
    return []


def _train(folder: Path, precision: str) -> None:
    from nmt.benchmark import training
    from nmt.config.load import load

    setattr(training, "measure", take_turns)  # noqa: B010
    experiment = load(folder / setup.CONFIG, [f"training.precision={precision}"])
    training.measure_training(experiment, folder, windows=1, seconds=0.0)


def _translate(folder: Path, precision: str, beam: int, batch: int) -> None:
    from nmt.benchmark import translation

    setattr(translation, "measure", take_turns)  # noqa: B010
    translator = translation.Translator.load(folder, device="cpu", precision=precision)
    lines = (folder / "valid.source").read_text(encoding="utf-8").splitlines()
    translation.measure_translation(
        translator, lines, beam=beam, batch=batch, windows=1, seconds=0.0
    )


if __name__ == "__main__":
    folder, size, precision, *search = Path(sys.argv[1]), *sys.argv[2:]
    if not (folder / setup.CONFIG).exists():
        folder.mkdir(parents=True)
        setup.set_up(folder, sizes.experiment_of(size, folder))
    if search == ["train"]:
        _train(folder, precision)
    else:
        _translate(folder, precision, *map(int, search))
