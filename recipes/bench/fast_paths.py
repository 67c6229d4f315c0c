"""What each fast path gains on this machine: the same work with it and without it, in turn.

    .venv/bin/python recipes/bench/fast_paths.py [--size small] [--precision fp32] [--windows 15]

A path is switched off by replacing the function that chooses it. Prints a row for each path and
kind of work: speed with the path divided by speed without it, from the mean time of the fastest
fifth of the windows, and from the medians. Needs an idle machine; on a busy one the two differ.

A window repeats the same work, except for few shapes, where each is a new update: after 50 updates,
by which time the shapes of the list have been compiled.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, get_args
from unittest import mock

from nmt.machine import keep_memory, wait_briefly

if __name__ == "__main__":  # before torch is imported
    keep_memory()
    wait_briefly()

import torch

from nmt.benchmark.setup import CorpusSize, set_up
from nmt.benchmark.sizes import Size, experiment_of
from nmt.config.experiment import Experiment
from nmt.config.search import change_search
from nmt.fast import accelerate, attention, cells, decoder, linear, output, packing, ranking, shapes
from nmt.fast.attention import FastProductAttention
from nmt.fast.decoder import FastDecoder
from nmt.fast.recurrent import FastRecurrentLayer
from nmt.layers.recurrent import RecurrentLayer
from nmt.models.decoder import RecurrentDecoder
from nmt.text.lines import read_lines
from nmt.training.assembly import assemble
from nmt.training.distributed import World
from nmt.training.step import make_update
from nmt.translator import Translator

Work = Callable[[], None]
Replacement = tuple[Any, str, Any]
"""An object, the name of its attribute, and what takes the attribute's place."""


def never(*_: Any) -> bool:
    return False


def nothing(*_: Any, **__: Any) -> None:
    return None


def no_sharing(*_: Any) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


CELL_KERNELS = [(cells, "kernels_of", nothing)]
ATTENTION_KERNEL = [(attention, "attention_kernels", nothing)]
IN_TRAINING: dict[str, list[Replacement]] = {
    "cell kernels": CELL_KERNELS,
    "a sequence in one call": [
        (FastRecurrentLayer, "unroll", RecurrentLayer.unroll),
        (FastRecurrentLayer, "read", RecurrentLayer.read),
    ],
    "packing": [(FastRecurrentLayer, "read", RecurrentLayer.read)],
    "attention kernel": ATTENTION_KERNEL,
    "one product with all previous pieces": [
        (FastDecoder, "decode_stepwise", RecurrentDecoder.decode_stepwise)
    ],
    "one gradient for all steps": [
        (decoder, "share_gradients", no_sharing),
        (FastProductAttention, "loop", no_sharing),
    ],
    "loss kernel": [(output, "supports", never)],
}

FEW_SHAPES: list[Replacement] = [
    (accelerate, "row_rounding", nothing),
    (packing, "rounded", int),
    (shapes, "rounded", int),
    (shapes, "compiles_shapes", never),
]
UPDATES_BEFORE = 50  # until most shapes have been compiled


def in_search(table_of: FastDecoder) -> dict[str, list[Replacement]]:
    first, size = table_of.stack.first.cell.input, table_of.pieces_size
    pieces = decoder._part(first.weight[:, :size], first.bias)
    return {
        "cell kernels": CELL_KERNELS,
        "attention kernel": ATTENTION_KERNEL,
        "table of the first layer": [(table_of, "table", None), (table_of, "pieces", pieces)],
        "normalising sums": [(output, "supports", never)],
        "ranking": [(ranking, "supports", never)],
        "oneDNN": [(linear, "prefers_onednn", never)],
    }


@dataclass(frozen=True)
class Gain:
    """How many times as fast some work is with a path as without it."""

    fastest: float
    """By the mean time of the fastest fifth of the windows."""
    middle: float
    """By the median times."""


@contextlib.contextmanager
def replaced(replacements: list[Replacement]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for place, name, other in replacements:
            stack.enter_context(mock.patch.object(place, name, other))
        yield


def measure(work: Work, path: list[Replacement], windows: int, without: Work | None = None) -> Gain:
    """Do the work `windows` times with the path and without, in alternating order.

    Args:
        work: what is timed.
        path: replacements that switch the path off.
        windows: repetitions of each.
        without: what is timed without the path, if that needs objects of its own.
    """
    works = {True: work, False: without or work}
    times: dict[bool, list[float]] = {True: [], False: []}
    for window in range(windows):
        for with_path in (True, False) if window % 2 else (False, True):
            with replaced([] if with_path else path):
                begin = time.perf_counter()
                works[with_path]()
                times[with_path].append(time.perf_counter() - begin)
    few = -(-windows // 5)  # rounded up
    fastest = {key: mean(sorted(values)[:few]) for key, values in times.items()}
    middle = {key: median(values) for key, values in times.items()}
    return Gain(fastest[False] / fastest[True], middle[False] / middle[True])


def training_work(experiment: Experiment, folder: Path) -> Work:
    """Return a function that makes the same update again."""
    run = assemble(experiment, folder, None, World(), None)
    update = next(iter(run.loader))

    def work() -> None:
        make_update(run, update)

    return work


def next_updates(experiment: Experiment, folder: Path) -> Work:
    """Return a function that makes the next update, after `UPDATES_BEFORE` of them."""
    run = assemble(experiment, folder, None, World(), None)

    def work() -> None:
        make_update(run, next(run.loader))

    for _ in range(UPDATES_BEFORE):
        work()
    return work


def gain_of_few_shapes(experiment: Experiment, folder: Path, windows: int) -> Gain:
    with_path = next_updates(experiment, folder)
    with replaced(FEW_SHAPES):
        without = next_updates(experiment, folder)
    return measure(with_path, FEW_SHAPES, windows, without)


def search_work(translator: Translator, lines: list[str], beam: int, batch: int) -> Work:
    """Return a function that translates the same lines again."""
    options = change_search(translator.options, {"beam": beam})

    def work() -> None:
        for _ in translator.translate(lines, options=options, batch_size=batch):
            pass

    return work


def gains(experiment: Experiment, folder: Path, windows: int) -> Iterator[tuple[str, str, Gain]]:
    """Yield the kind of work, the path and its gain.

    Args:
        experiment: what to measure.
        folder: where `set_up` put it.
        windows: of each work with and without each path.
    """
    work = training_work(experiment, folder)
    work()
    for path, replacements in IN_TRAINING.items():
        yield "training", path, measure(work, replacements, windows)
    precision = "bf16" if experiment.training.precision == "bf16" else "fp32"
    if precision == "bf16":
        yield "training", "few shapes", gain_of_few_shapes(experiment, folder, windows)
    translator = Translator.load(folder, device="cpu", precision=precision)
    (model,) = translator.models
    assert isinstance(model.decoder, FastDecoder)
    lines = list(read_lines(Path(experiment.data.valid[0])))
    for kind, beam, batch, count in (
        ("beam 5, batches of 64", 5, 64, 64),
        ("greedy, batches of 64", 1, 64, 128),
        ("beam 5, line by line", 5, 1, 10),
    ):
        work = search_work(translator, lines[:count], beam, batch)
        work()
        for path, replacements in in_search(model.decoder).items():
            yield kind, path, measure(work, replacements, windows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", choices=get_args(Size), default="small")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--windows", type=int, default=15)
    parser.add_argument("--batch-tokens", type=int, default=2048, help="target tokens an update")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment = experiment_of(chosen.size, folder)
        changes = {"precision": chosen.precision, "batch_tokens": chosen.batch_tokens}
        training = experiment.training.model_copy(update=changes)
        experiment = experiment.model_copy(update={"training": training})
        set_up(folder, experiment, CorpusSize(train=3000, valid=200))
        print(f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
        for kind, path, gain in gains(experiment, folder, chosen.windows):
            print(f"{kind:<22}  {path:<36}  {gain.fastest:.2f}  ({gain.middle:.2f})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
