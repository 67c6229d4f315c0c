"""Speed of the working tree against that of an older commit, in short alternating turns.

    cd recipes && python -m bench.commits 2476545 [--precisions bf16 int8] [--starts 5] [--turns 10]

Both are alive at once, so that changes in the machine's speed affect both, and are started anew
several times, since a process keeps the luck of where its memory lies. Prints, for each kind of
work, the mean over the starts of the median ratio of two neighbouring turns (above 1: the working
tree is faster), and the least and the most of the starts. Needs an idle machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import IO, get_args

from nmt.benchmark.sizes import Size
from nmt.translator import DTYPES

ROOT = Path(__file__).resolve().parents[2]
TURNS = Path(__file__).with_name("turns.py")
WORK = {
    "train": ("train",),
    "greedy, line by line": ("1", "1"),
    "beam 5, line by line": ("5", "1"),
    "greedy, batches of 64": ("1", "64"),
    "beam 5, batches of 64": ("5", "64"),
}
"""Arguments of `turns.py` for each kind of work."""


class Runner:
    """A process that works in turns."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._asks: IO[str] = process.stdin
        self._answers: IO[str] = process.stdout
        self._answer()

    def turn(self, seconds: float) -> float:
        """Work for some seconds; return the tokens per second."""
        self._asks.write(f"{seconds}\n")
        self._asks.flush()
        return float(self._answer())

    def _answer(self) -> str:
        if not (line := self._answers.readline()):
            sys.exit("error: a runner failed; what it said stands above.")
        return line


@contextmanager
def started(tree: Path, folder: Path, arguments: Sequence[str]) -> Iterator[Runner]:
    """Start the code of a tree and wait until it has warmed up."""
    process = subprocess.Popen(
        [sys.executable, str(TURNS), str(folder), *arguments],
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Runner(process)
        finally:
            process.kill()


def ratios(runners: Sequence[Runner], *, turns: int, seconds: float) -> Iterator[float]:
    """Yield how much faster the second of two runners is, turn by turn."""
    old, new = runners
    for turn in range(turns):
        order = (old, new) if turn % 2 else (new, old)
        speeds = {runner: runner.turn(seconds) for runner in order}
        yield speeds[new] / speeds[old]


def gains(trees: Sequence[Path], folder: Path, chosen: argparse.Namespace) -> Iterator[str]:
    """Yield a line of the table for each kind of work."""
    for size, precision, work in product(chosen.sizes, chosen.precisions, chosen.work):
        if precision == "int8" and work == "train":
            continue
        middles = []
        for _ in range(chosen.starts):
            with ExitStack() as stack:
                runners = [
                    stack.enter_context(
                        started(tree, folder / f"{size}-{n}", (size, precision, *WORK[work]))
                    )
                    for n, tree in enumerate(trees)
                ]
                found = ratios(runners, turns=chosen.turns, seconds=chosen.seconds)
                middles.append(median(found))
        spread = f"({min(middles):.3f} to {max(middles):.3f})"
        yield f"{size}  {precision}  {work:<22}  {mean(middles):.3f}  {spread}"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("commit", help="the older commit")
    parser.add_argument("--sizes", nargs="+", choices=get_args(Size), default=["small"])
    parser.add_argument("--precisions", nargs="+", choices=DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--work", nargs="+", choices=WORK, default=list(WORK), metavar="WORK")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn, at least")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        old = Path(name) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(old), chosen.commit], check=True)
        try:
            for line in gains((old, ROOT), Path(name), chosen):
                print(line, flush=True)
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)


if __name__ == "__main__":
    sys.exit(main())
