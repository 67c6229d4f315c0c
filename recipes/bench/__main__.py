"""`make bench`: install other toolkits, run the same work in turn, print figures and ratios.

JSON lines go to standard output, progress and the tables of ratios and limits to standard error.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from bench.corpus import ROOT
from bench.run import Bench, Options
from bench.systems.all import SYSTEMS
from nmt.benchmark.sizes import Size
from nmt.errors import NmtError
from nmt.machine import MOST_THREADS

SIZES: tuple[Size, ...] = get_args(Size)
TASKS = ("startup", "train", "translate")
PRECISIONS = ("fp32", "bf16", "int8")
LEAST = {
    "windows": 1, "warmup": 1, "updates": 1, "model_updates": 1, "threads": 1,
    "sentences": 1, "sentences_alone": 1, "shortlist": 0,
}  # fmt: skip
"""Minimum value of each option."""


def parse() -> Options:
    """Parse the command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(
        prog="bench",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    chosen: dict[str, Iterable[str]] = {
        "systems": SYSTEMS, "configs": SIZES, "tasks": TASKS, "precisions": PRECISIONS,
    }  # fmt: skip
    for name, names in chosen.items():
        every = list(names)
        parser.add_argument(f"--{name}", nargs="+", choices=every, default=every, help="Selection.")
    parser.add_argument("--windows", type=int, default=5, help="Windows; the median counts.")
    parser.add_argument("--warmup", type=int, default=6, help="Updates before each window.")
    parser.add_argument("--updates", type=int, default=12, help="Updates per window.")
    parser.add_argument("--model-updates", type=int, default=200, help="Before translating.")
    parser.add_argument("--sentences", type=int, default=1000, help="Translated in batches.")
    parser.add_argument("--sentences-alone", type=int, default=100, help="Translated one by one.")
    parser.add_argument("--shortlist", type=int, default=2000, help="Where supported; 0 = none.")
    parser.add_argument("--threads", type=int, default=cores, help="CPU threads of each system.")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / ".bench", help="Environments, models and figures."
    )
    given = parser.parse_args()
    if "train" in given.tasks and given.precisions == ["int8"]:
        parser.error("--precisions: no system trains in int8; add fp32, or omit train in --tasks")
    given.cache = given.cache.resolve()
    for name, least in LEAST.items():
        if getattr(given, name) < least:
            option = name.replace("_", "-")
            parser.error(f"--{option}: {getattr(given, name)} is too small; at least {least}")
    if given.threads > MOST_THREADS:
        parser.error(f"--threads: {given.threads} is too large; at most {MOST_THREADS:,}")
    return Options(**vars(given))


if __name__ == "__main__":
    try:
        sys.exit(Bench(parse()).run())
    except NmtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
