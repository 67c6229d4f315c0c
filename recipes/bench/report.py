"""Figures as JSON lines, and the table of ratios."""

import contextlib
import json
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from bench.measure import UnavailableError
from nmt.benchmark.figure import rounded

Value = str | int | float | list[float]
Figure = Mapping[str, Value]

COMPARED = ("train_tokens_per_second", "translate_tokens_per_second", "peak_rss_mb",
            "help_seconds", "startup_seconds")  # fmt: skip
LIMITS = ("matrix_gflops", "train_fraction_of_floor", "train_fraction_of_floor_with_optimizer")
WORK = ("config", "task", "beam", "batch")
"""Keys that must be equal for two systems to be compared."""


class Journal:
    """Writes figures to standard output and to a file, and progress to standard error.

    Args:
        file: file to which every figure is appended.
        threads: number of threads of every measurement.
    """

    def __init__(self, file: Path, *, threads: int) -> None:
        self.file, self.threads = file, threads
        self.figures: list[Figure] = []

    def report(self, name: str, about: Mapping[str, Value], values: Sequence[float]) -> None:
        """Write a figure: the median of the measured values, and the values."""
        self.write({
            "figure": name,
            **about,
            "threads": self.threads,
            "value": rounded(statistics.median(values)),
            "windows": [rounded(value) for value in values],
        })  # fmt: skip

    @contextlib.contextmanager
    def watching(self, about: Mapping[str, Value]) -> Iterator[None]:
        """Report a system that fails within the block, and continue with the others."""
        try:
            yield
        except UnavailableError as error:
            self.write({"figure": "unavailable", **about, "reason": str(error)})
        except Exception as error:  # a bug must not waste hours of measurements of other systems
            reason = f"{type(error).__name__}: {error}"
            self.write({"figure": "unavailable", **about, "reason": reason})

    def write(self, figure: Figure) -> None:
        """Write a figure as it is."""
        self.figures.append(figure)
        with self.file.open("a", encoding="utf-8") as file:
            write_figure(figure, sys.stdout, file)

    def tell(self, line: str) -> None:
        """Print a progress message."""
        print(line, file=sys.stderr, flush=True)


def write_figure(figure: Figure, *files: TextIO) -> None:
    """Write one JSON line to each file."""
    for file in files:
        file.write(json.dumps(figure, ensure_ascii=False) + "\n")
        file.flush()


def ratio_table(figures: Iterable[Figure], *, ours: str = "nmt") -> list[str]:
    """Return the lines of a table: our value of each figure divided by that of each other system.

    Systems are compared in our precision if they support it, otherwise in fp32, their only one on
    CPUs. A missing value is shown as a dash.
    """
    listed = [figure for figure in figures if figure["figure"] in COMPARED]
    peers = list(dict.fromkeys(str(f["system"]) for f in listed if f["system"] != ours))
    rows = [["figure", "work", ours, *(f"/ {peer}" for peer in peers)]]
    for figure in listed:
        if figure["system"] == ours:
            rows.append([str(figure["figure"]), _work(figure), f"{float(figure['value']):,.4g}"])  # type: ignore[arg-type]
            rows[-1] += [_ratio(figure, _match(listed, figure, peer)) for peer in peers]
    return _aligned(rows)


def limits_table(figures: Iterable[Figure]) -> list[str]:
    """Return the lines of a table: the machine's rate, and how close each system comes to it."""
    listed = [figure for figure in figures if figure["figure"] in LIMITS]
    systems = list(dict.fromkeys(str(figure["system"]) for figure in listed))
    if not listed:
        return []
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for figure in listed:
        row = rows.setdefault((str(figure["figure"]), _work(figure)), {})
        row[str(figure["system"])] = f"{float(figure['value']):,.4g}"  # type: ignore[arg-type]
    return _aligned(
        [["limit", "work", *systems]]
        + [[*what, *(row.get(system, "-") for system in systems)] for what, row in rows.items()]
    )


def _work(figure: Figure) -> str:
    names = {"beam": "beam ", "batch": "batch ", "shortlist": "shortlist "}
    keys = (*WORK, "precision", "shortlist")
    return ", ".join(f"{names.get(key, '')}{figure[key]}" for key in keys if key in figure)


def _match(figures: Sequence[Figure], ours: Figure, peer: str) -> Figure | None:
    found = {
        figure.get("precision"): figure
        for figure in figures
        if (figure["figure"], figure["system"]) == (ours["figure"], peer)
        and all(figure.get(key) == ours.get(key) for key in WORK)
    }
    return found.get(ours.get("precision")) or found.get("fp32")


def _ratio(ours: Figure, theirs: Figure | None) -> str:
    if theirs is None:
        return "-"
    return f"{float(ours['value']) / float(theirs['value']):.2f}"  # type: ignore[arg-type]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        words = [word.ljust(width) for word, width in zip(row[:2], widths, strict=False)]
        words += [word.rjust(width) for word, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join(words).rstrip())
    return lines
