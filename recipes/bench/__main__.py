"""`make bench`: install the peers, let all do the same work in turn, print figures and ratios.

JSON lines go to standard output, what is going on and the table of ratios to standard error.
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
from nmt.machine import MOST_THREADS

SIZES: tuple[Size, ...] = get_args(Size)
TASKS = ("startup", "train", "translate")
PRECISIONS = ("fp32", "bf16", "int8")
LEAST = {
    **dict.fromkeys(("windows", "warmup", "updates", "model_updates", "threads"), 1),
    **dict.fromkeys(("sentences", "sentences_alone"), 1),
    "shortlist": 0,
}
"""What may be asked for, at least."""


def words(text: str) -> list[str]:
    """Return the words of an option, which may be separated by spaces or commas."""
    return text.replace(",", " ").split()


def parse() -> Options:
    """Read the command line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--systems", type=words, default=list(SYSTEMS), help="Of: all.")
    parser.add_argument("--configs", type=words, default=list(SIZES), help="small, big.")
    parser.add_argument("--tasks", type=words, default=list(TASKS), help="Of: all.")
    parser.add_argument("--precisions", type=words, default=[*PRECISIONS], help="Of: all.")
    parser.add_argument("--windows", type=int, default=5, help="Of which the median is taken.")
    parser.add_argument("--warmup", type=int, default=6, help="Updates before a window.")
    parser.add_argument("--updates", type=int, default=12, help="Updates of a window.")
    parser.add_argument("--model-updates", type=int, default=200, help="Before translating.")
    parser.add_argument("--sentences", type=int, default=1000, help="Translated in batches.")
    parser.add_argument("--sentences-alone", type=int, default=100, help="Translated one by one.")
    parser.add_argument("--shortlist", type=int, default=2000, help="Of those who can; 0 = none.")
    parser.add_argument("--threads", type=int, default=cores, help="Of each system.")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench", help="What is kept.")
    given = parser.parse_args()
    known: dict[str, Iterable[str]] = {
        "systems": SYSTEMS, "configs": SIZES, "tasks": TASKS, "precisions": PRECISIONS,
    }  # fmt: skip
    for name, names in known.items():
        if wrong := [word for word in getattr(given, name) if word not in names]:
            parser.error(f"--{name}: unknown {wrong[0]}; known: {', '.join(names)}")
    given.cache = given.cache.resolve()
    for name, least in LEAST.items():
        if getattr(given, name) < least:
            option = name.replace("_", "-")
            parser.error(f"--{option}: {getattr(given, name)} is too small; at least {least}")
    if given.threads > MOST_THREADS:
        parser.error(f"--threads: {given.threads} is too large; at most {MOST_THREADS:,}")
    return Options(**vars(given))


if __name__ == "__main__":
    sys.exit(Bench(parse()).run())
