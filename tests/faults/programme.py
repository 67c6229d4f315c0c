"""The fault programme: how often each fault is provoked, and the outcomes.

`make test` provokes each fault a few times; `make test-fault` (`pytest tests/faults --full`) as
often as README.md beside this file says, and rewrites its table. A test asks `Programme.count`
how often to try, and calls `Programme.record` when all its tries are over; a failed try
fails the test, so that everything in the table has passed.
"""

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path

import pytest
import torch
from calls import can_trace

BEGIN, END = "<!-- table -->", "<!-- end of table -->"
HEADINGS = ("row", "fault", "tries", "passed", "bytes lost", "worst time")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one fault."""

    row: int
    """Number of the fault, as in README.md."""
    fault: str
    """What was done, and what had to hold."""
    tries: int
    bytes_lost: int | None
    """None: nothing had been stored."""
    worst_seconds: float | None
    """None: no time was taken."""

    @property
    def key(self) -> tuple[int, str]:
        """Return what identifies the line of the table that an outcome belongs to."""
        return self.row, self.fault

    def cells(self) -> tuple[str, ...]:
        """Return the cells of a line of the table."""
        count = f"{self.tries:,}"
        return (
            *(str(self.row), self.fault.replace("|", r"\|")),
            *(count, count),
            "" if self.bytes_lost is None else f"{self.bytes_lost:,}",
            "" if self.worst_seconds is None else f"{self.worst_seconds:.2f} s",
        )


def merged(outcomes: list[Outcome]) -> Outcome:
    """Return outcomes of one fault, from several tests, as one."""
    seconds = [one.worst_seconds for one in outcomes if one.worst_seconds is not None]
    lost = [one.bytes_lost for one in outcomes if one.bytes_lost is not None]
    return Outcome(
        *outcomes[0].key,
        tries=sum(one.tries for one in outcomes),
        bytes_lost=sum(lost) if lost else None,
        worst_seconds=max(seconds, default=None),
    )


def conditions() -> str:
    """Describe the machine and the software on which faults are provoked."""
    how = "at system calls, by strace"
    if not can_trace():
        how = "at functions of `os`, since there is no strace: what files write did not fail"
    return (
        f"{platform.system()} on {os.cpu_count()} cores, Python {platform.python_version()}, torch "
        f"{torch.__version__}, {'as root' if os.geteuid() == 0 else 'not as root'}; faults {how}."
    )


class Programme:
    """One run of the programme.

    Args:
        full: whether every fault is provoked as often as promised, or a few times.
    """

    def __init__(self, *, full: bool) -> None:
        self.full = full
        self.outcomes: list[Outcome] = []
        self._skipped: dict[str, str] = {}
        self._begun = time.monotonic()

    def count(self, *, quick: int, full: int) -> int:
        """Return how often to try."""
        return full if self.full else quick

    def require_full(self) -> None:
        """Skip the test unless the full programme runs."""
        if not self.full:
            pytest.skip("left to `make test-fault`")

    def record(
        self,
        row: int,
        fault: str,
        *,
        tries: int,
        bytes_lost: int | None = None,
        worst_seconds: float | None = None,
    ) -> None:
        """Note that all `tries` have passed; those of several tests add up under one `fault`.

        Args:
            row: number of the fault.
            fault: what was done, and what had to hold.
            tries: how often.
            bytes_lost: measured, of what was complete before the fault.
            worst_seconds: the longest try, from the fault until all was as it must be.
        """
        self.outcomes.append(Outcome(row, fault, tries, bytes_lost, worst_seconds))

    def skip(self, test: str, reason: str) -> None:
        """Note that this machine lacks what a test needs."""
        self._skipped[test] = reason.removeprefix("Skipped: ")

    def pack(self) -> list[tuple[int | float | str | None, ...]]:
        """Return all outcomes in a form that can be sent to another process; see `unpack`."""
        return [astuple(outcome) for outcome in self.outcomes]

    def unpack(self, packed: Iterable[Iterable[int | float | str | None]]) -> None:
        """Add the outcomes that another process has packed."""
        self.outcomes += [Outcome(*values) for values in packed]

    def table(self) -> str:
        """Return all outcomes as a table in Markdown, by row."""
        ordered = sorted(self.outcomes, key=lambda outcome: outcome.key)
        rows = [merged(list(same)) for _, same in groupby(ordered, lambda outcome: outcome.key)]
        lines = [HEADINGS, ("---",) * len(HEADINGS), *(outcome.cells() for outcome in rows)]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def circumstances(self) -> str:
        """Return a text about the table: where it was made, and what was skipped."""
        minutes = (time.monotonic() - self._begun) / 60
        skipped = [f"- {test}: {reason}\n" for test, reason in sorted(self._skipped.items())]
        missing = (
            f"\nNot tried there:\n\n{''.join(skipped)}" if skipped else "\nNothing was skipped.\n"
        )
        return f"{conditions()} {minutes:.0f} minutes.\n{missing}"

    def write(self, path: Path) -> None:
        """Put the table and its circumstances between the markers of a Markdown file."""
        text = path.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN, maxsplit=1)
        after = rest.split(END, maxsplit=1)[1]
        path.write_text(
            f"{before}{BEGIN}\n{self.table()}\n{self.circumstances()}{END}{after}", encoding="utf-8"
        )
