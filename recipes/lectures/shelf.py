"""What a lecture is: a claim, and a function that shows whether it holds.

Each module beside this one is a lecture. It has `CLAIM`, one sentence, and `show`, which measures
and reports through a `Report`: tables, pictures, and how to read them.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from nmt.reporting.picture import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_LEARNED = "This quick form is too small to show the claim: run it without --quick (QUICK)."
NOT_SHOWN = "The figures of this run do not show the claim."

_FRAME = ("__main__", "shelf")
_CLAIM = "CLAIM"


@dataclass(frozen=True)
class Report:
    """Where a lecture reports.

    Args:
        folder: for pictures and tables.
        quick: show the same on a smaller scale, within 30 seconds.
        text: text to learn from, for the lectures that learn from one; None = the toy corpus.
    """

    folder: Path
    quick: bool = False
    text: Path | None = None

    def say(self, text: str) -> None:
        """Print a paragraph."""
        print(f"{text}\n", flush=True)

    def explain(self, reading: str, claim: str, *, shown: bool) -> None:
        """Say how to read the tables and pictures, and what follows if the figures show it.

        Args:
            reading: what rows, lines and axes are; it holds for any figures.
            claim: what the figures of the full form show.
            shown: whether the figures of this run show it.
        """
        if not shown:
            claim = NOT_LEARNED if self.quick else NOT_SHOWN
        self.say(f"How to read it: {reading} {claim}")

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table, and write it to NAME.tsv. Numbers are given with four digits."""
        cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
        print(flush=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = ["\t".join(row) + "\n" for row in cells]
        (self.folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")

    def draw(self, name: str, figure: "Figure") -> None:
        """Write a picture to NAME.svg; its axes have names and units."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.svg"
        save_figure(figure, path)
        self.say(f"picture: {path}")


class Lecture(Protocol):
    """A module of this folder."""

    CLAIM: str
    """What the lecture says, in one sentence."""

    def show(self, report: Report) -> None:
        """Measure it, and report."""


def names() -> list[str]:
    """Return the names of all lectures, such as "vanishing" and "long-range"."""
    folder = Path(__file__).parent
    found = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return sorted(
        name.replace("_", "-") for name in found if name not in _FRAME and _is_lecture(folder, name)
    )


def _is_lecture(folder: Path, name: str) -> bool:
    """Whether a module has a claim; others are parts that lectures share."""
    path = folder / f"{name}.py"
    return path.is_file() and f"\n{_CLAIM} = " in path.read_text(encoding="utf-8")


def load(name: str) -> Lecture:
    """Return a lecture by its name."""
    return cast(Lecture, importlib.import_module(f"lectures.{name.replace('-', '_')}"))


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
