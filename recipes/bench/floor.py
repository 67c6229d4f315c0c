"""The training floor, measured like the systems: in a new process, with the same threads.

    python -m bench.floor TASK

takes the task as JSON (see `Floors`) and prints the figures as JSON.
"""

import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict

from bench.corpus import TextCounts
from bench.process import RECIPES, Command, finish, thread_settings
from bench.report import Journal, Value
from nmt.benchmark.figure import FRACTIONS, rounded
from nmt.benchmark.sizes import Size, model_of
from nmt.benchmark.work import Sample, work_of
from nmt.machine import keep_memory


class Floors:
    """Upper bounds on training speed for the peers' work, with all joint pieces in the output.

    Args:
        size: model size.
        text: counts of the training text.
        precisions: precisions of the matrix products; int8 is skipped, as it is not for training.
        journal: receives the figures.
    """

    def __init__(
        self, size: Size, text: TextCounts, precisions: Iterable[str], journal: Journal
    ) -> None:
        self.size, self.text, self.journal = size, text, journal
        self.rounds: dict[str, list[dict[str, float]]] = {
            precision: [] for precision in precisions if precision != "int8"
        }

    def measure(self) -> None:
        """Measure once in each precision."""
        for precision, measured in self.rounds.items():
            about = {"system": "machine", "precision": precision, "task": "matrix"}
            with self.journal.watching(about):
                measured.append(self._measure(precision))

    def report(self) -> dict[tuple[str, str], float]:
        """Report rates and floors; return the floors by precision and name of their fraction."""
        work = work_of(
            model_of(self.size), target_vocab=self.text.vocabulary, sample=self.text.sample
        )
        floors = {}
        for precision, measured in self.rounds.items():
            about: dict[str, Value] = {
                "system": "machine", "config": self.size, "precision": precision,
                "mflop_per_token": rounded(work.training),
            }  # fmt: skip
            for name in measured[0] if measured else ():
                values = [figures[name] for figures in measured]
                self.journal.report(name, about, values)
                if name in FRACTIONS:
                    floors[precision, FRACTIONS[name]] = statistics.median(values)
        return floors

    def _measure(self, precision: str) -> dict[str, float]:
        task = {
            "size": self.size,
            "vocabulary": self.text.vocabulary,
            "sample": asdict(self.text.sample),
            "precision": precision,
            "threads": self.journal.threads,
        }
        program = [sys.executable, "-m", "bench.floor", json.dumps(task)]
        done = finish(Command(program, RECIPES, thread_settings(self.journal.threads)))
        figures: dict[str, float] = json.loads(done.output.strip().split("\n")[-1])
        return figures


def main() -> None:
    keep_memory()  # before torch is imported, like the nmt command
    import torch

    from nmt.benchmark.floor import measure_floor
    from nmt.translator import DTYPES

    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    figures = measure_floor(
        model_of(task["size"]),
        source_vocab=task["vocabulary"],
        target_vocab=task["vocabulary"],
        sample=Sample(**task["sample"]),
        dtype=DTYPES[task["precision"]],
    )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
