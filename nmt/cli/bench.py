"""`nmt bench`: measure the speed of training and translation on this machine."""

import logging
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.options import Threads

if TYPE_CHECKING:  # the translator imports torch
    from nmt.translator import Precision

log = logging.getLogger(__name__)


def bench(
    config: Annotated[
        Literal["small", "big"],
        typer.Option(help="Model: LSTMs of 512 units with one or two layers per side."),
    ] = "small",
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "int8"],
        typer.Option(help="auto = fp32; bf16 if the CPU is fast at it; int8 for translation."),
    ] = "auto",
    threads: Threads = 0,
    windows: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Maximum number of measurements per speed; the median counts."
        ),
    ] = 5,
    only: Annotated[
        Literal["matrix", "train", "kernels", "translate", "startup"] | None,
        typer.Option(help="Measure one part only; train includes matrix, its reference."),
    ] = None,
) -> None:
    """Measure how fast this machine trains and translates on its CPU, in under two minutes.

    The corpus is synthetic, with the lengths and frequencies of real text, and the weights are
    random; all files are removed at the end. Run nothing else meanwhile, and regard differences
    under 10 % as noise.

    Each figure is a line of JSON on standard output:

    \b
    matrix_gflops                  speed of the matrix products of the model alone
    train_floor_tokens_per_second  speed of training if it consisted of those alone
    train_floor_with_optimizer_tokens_per_second
                                   the same with softmax, loss and Adam, each timed separately
    train_tokens_per_second        speed of training
    train_fraction_of_floor        speed of training relative to the first floor
    train_fraction_of_floor_with_optimizer
                                   and relative to the second
    kernels_compiled_per_update    by oneDNN, one for each new shape of a product, after 50 updates;
                                   only with --only kernels, since that takes minutes
    translate_tokens_per_second    speed of translation, by beam and batch
    peak_rss_mb                    peak memory, in 10^6 bytes, by task
    startup_seconds                from the start of `nmt translate` to its first line

    Tokens are target pieces with end symbols and without padding. The floors count the
    actual output layer, which has only the pieces used on the target side.
    """
    from nmt.benchmark.run import BenchmarkOptions, run_benchmark

    options = BenchmarkOptions(
        config=config,
        precisions=_precisions(precision),
        threads=threads,
        windows=windows,
        only=only,
    )
    with closing(run_benchmark(options)) as figures:
        for figure in figures:
            log.info(figure.describe())
            typer.echo(figure.as_json())


def _precisions(wanted: "Precision | Literal['auto']") -> "list[Precision]":
    from nmt.machine import has_fast_bf16, has_int8

    if wanted != "auto":
        return [wanted]
    can: dict[Precision, bool] = {"fp32": True, "bf16": has_fast_bf16(), "int8": has_int8()}
    return [precision for precision, here in can.items() if here]
