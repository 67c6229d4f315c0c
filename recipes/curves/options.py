"""Command-line options of `python -m curves`."""

import argparse
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curves.points import RANGES, Quantity
from nmt.machine import MOST_THREADS

PICTURE = Path(__file__).parent / "curves.svg"
ALONE = "attention"
"""What can be measured beside the quantities: attention alone, over both lengths."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """See `parse`."""

    varied: list[Quantity | Literal["attention"]]
    precision: Literal["fp32", "bf16"]
    sentences: int
    windows: int
    seconds: float
    threads: int
    svg: Path


def parse(arguments: Sequence[str]) -> Options:
    """Parse the command line; impossible requests end the program before anything is measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(
        prog="curves",
        description="Measure and plot how training and decoding time grow.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--varied",
        nargs="+",
        choices=(*RANGES, ALONE),
        default=[*RANGES, ALONE],
        help="Quantities to vary; attention is timed alone.",
    )
    parser.add_argument(
        "--precision", choices=("fp32", "bf16"), default="fp32", help="Precision of products."
    )
    parser.add_argument(
        "--sentences", type=int, default=64, help="Per update, or translated together."
    )
    parser.add_argument("--windows", type=int, default=5, help="Per point; the median counts.")
    parser.add_argument("--seconds", type=float, default=1.0, help="Minimum length of a window.")
    parser.add_argument("--threads", type=int, default=cores, help="CPU threads.")
    parser.add_argument("--svg", type=Path, default=PICTURE, help="File for the plot.")
    given = parser.parse_args(arguments)
    for name in ("sentences", "windows", "threads"):
        if getattr(given, name) < 1:
            parser.error(f"--{name}: {getattr(given, name)} is too small; at least 1")
    if given.threads > MOST_THREADS:
        parser.error(f"--threads: {given.threads} is too large; at most {MOST_THREADS:,}")
    if not given.seconds > 0.0:
        parser.error(f"--seconds: {given.seconds} must be above 0; try 1.0")
    if given.svg.suffix != ".svg":
        parser.error(f"--svg: {given.svg} is not an SVG file; choose a name that ends in .svg")
    if not given.svg.parent.is_dir():
        parser.error(f"--svg: there is no folder {given.svg.parent}; create it first")
    if importlib.util.find_spec("matplotlib") is None:
        parser.error(
            "plotting needs matplotlib, which is not installed; run: pip install matplotlib"
        )
    return Options(**vars(given))
