"""Measure windows of all systems in turn, so changes in machine speed affect all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.measure import Window
from bench.report import Journal, Value


@dataclass
class Entry:
    """A system with one job, and its measurements."""

    about: dict[str, Value]
    measure: Callable[[int], Window]
    """Measures one window, given its number."""
    windows: list[Window] = field(default_factory=list)
    is_out: bool = False

    @property
    def speeds(self) -> list[float]:
        """Speed in each window."""
        return [window.speed for window in self.windows]

    def report_memory(self, task: str, journal: Journal) -> None:
        """Report the peak memory of a task."""
        peaks = [window.peak_mb for window in self.windows]
        journal.report("peak_rss_mb", {**self.about, "task": task}, peaks)


def alternate(
    entries: Sequence[Entry],
    what: str,
    *,
    windows: int,
    journal: Journal,
    between: Callable[[], None] = lambda: None,
) -> list[Entry]:
    """Measure one window of each entry, then the next of each; call `between` before each round.

    A system that fails is reported and skipped from then on.

    Returns:
        The entries with all windows.
    """
    for number in range(windows):
        between()
        for entry in entries:
            if not entry.is_out:
                entry.is_out = True
                with journal.watching({**entry.about, "task": what.split()[0]}):
                    entry.windows.append(entry.measure(number))
                    entry.is_out = False
                    who = " ".join(str(entry.about.get(key, "")) for key in ("system", "precision"))
                    speed = f"{entry.windows[-1].speed:,.4g}"
                    journal.tell(f"{what}  window {number + 1}  {who}  {speed}")
    return [entry for entry in entries if not entry.is_out]
