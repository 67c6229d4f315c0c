"""Windows of all systems in turn, so that a machine whose speed changes is the same for all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.measure import Window
from bench.report import Journal, Value


@dataclass
class Entry:
    """A system with one job, and what was measured of it."""

    about: dict[str, Value]
    measure: Callable[[int], Window]
    """Takes the number of the window."""
    windows: list[Window] = field(default_factory=list)
    is_out: bool = False

    @property
    def speeds(self) -> list[float]:
        """Of all windows."""
        return [window.speed for window in self.windows]

    def report_memory(self, task: str, journal: Journal) -> None:
        """Report what a task has needed."""
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
    """Measure a window of each entry, then the next of each; `between` comes before each round.

    A system that fails is reported and left out from then on.

    Returns:
        The entries that have all their windows.
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
