"""Write a task as text for `nmt train`: `python -m nmt.laboratory recall 10 --out data`."""

import argparse
from collections.abc import Callable
from pathlib import Path

from nmt.laboratory.tasks import Adding, Copy, Recall, Task, TemporalOrder, write_pairs

TASKS: dict[str, Callable[[int], Task]] = {
    "temporal-order": TemporalOrder,
    "adding": Adding,
    "recall": Recall,
    "copy": Copy,
    "reverse": lambda length: Copy(length, is_reversed=True),
}


def main() -> None:
    """Read the arguments and write train, valid and test."""
    parser = argparse.ArgumentParser(prog="python -m nmt.laboratory", description=__doc__)
    parser.add_argument("task", choices=TASKS, help="kind of task")
    parser.add_argument("length", type=int, help="length of a sequence; for recall, the lag")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    parser.add_argument("--pairs", type=int, default=20_000, help="training pairs; default 20000")
    parser.add_argument("--seed", type=int, default=1, help="seed of the examples; default 1")
    options = parser.parse_args()
    parts = (("train", options.pairs), ("valid", 500), ("test", 1000))
    write_pairs(TASKS[options.task](options.length), options.out, parts, options.seed)


if __name__ == "__main__":
    main()
