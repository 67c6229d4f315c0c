"""From the lines of a log to a speed: one definition for all systems."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class UnavailableError(Exception):
    """A system cannot be installed or run here; the message is the reason, one line."""


@dataclass(frozen=True)
class Progress:
    """What a line of a system's log says of one update."""

    update: int
    tokens: float | None = None
    """Target tokens of it with end symbols, without padding, if the line says so."""
    rate: float | None = None
    """Target tokens a second, if it says that instead."""


@dataclass(frozen=True)
class Moment:
    """A line of the log, and when it came."""

    seconds: float
    progress: Progress


@dataclass(frozen=True)
class Window:
    """What was measured in one go."""

    speed: float
    """Target tokens a second."""
    peak_mb: float
    """Largest resident memory of the process, in MB (10^6 bytes)."""
    update_tokens: float = 0.0
    """Mean target tokens of an update; 0 in translation."""


def training_speed(moments: Sequence[Moment], *, warmup: int) -> tuple[float, float]:
    """Return target tokens a second, and an update, after the first `warmup` updates.

    The seconds are those between the lines, by our clock.

    Raises:
        UnavailableError: there are too few lines.
    """
    kept = [moment for moment in moments if moment.progress.update >= warmup]
    if len(kept) < 2:
        raise UnavailableError(f"{len(moments)} updates were reported, too few to measure")
    tokens = 0.0
    for before, now in itertools.pairwise(kept):
        seconds, progress = now.seconds - before.seconds, now.progress
        known = progress.tokens if progress.tokens is not None else (progress.rate or 0.0) * seconds
        tokens += known
    updates = kept[-1].progress.update - kept[0].progress.update
    return tokens / (kept[-1].seconds - kept[0].seconds), tokens / updates


def count_tokens(translations: Iterable[str]) -> int:
    """Return the pieces of translations and an end symbol each."""
    return sum(len(line.split()) + 1 for line in translations)


def last_error(output: str) -> str:
    """Return the line of a failed command's output that says most: the last that names an error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() and not line.startswith("note:")]
    return (telling or lines or ["it failed without a word"])[-1][:300]
