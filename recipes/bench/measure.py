"""Compute speed from log lines, with one definition for all systems."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class UnavailableError(Exception):
    """A system cannot be installed or run here; the message gives the reason in one line."""


@dataclass(frozen=True)
class Progress:
    """The report on one update in a line of a system's log."""

    update: int
    tokens: float | None = None
    """Target tokens of the update with end symbols, without padding, if reported."""
    rate: float | None = None
    """Target tokens per second, if reported instead."""


@dataclass(frozen=True)
class Moment:
    """A log line and the time at which it arrived."""

    seconds: float
    progress: Progress


@dataclass(frozen=True)
class Window:
    """The result of one measurement."""

    speed: float
    """Target tokens per second; seconds in start-up tasks."""
    peak_mb: float
    """Largest resident memory of the process, in MB (10^6 bytes)."""
    update_tokens: float = 0.0
    """Mean target tokens per update; 0 except in training."""


def training_speed(moments: Sequence[Moment], *, warmup: int) -> tuple[float, float]:
    """Return target tokens per second, and per update, after the first `warmup` updates.

    Seconds are measured between log lines by this program's clock.

    Raises:
        UnavailableError: too few updates were reported.
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
    """Return the number of pieces in the translations, plus one end symbol each."""
    return sum(len(line.split()) + 1 for line in translations)


def last_error(output: str) -> str:
    """Return the most informative line of a failed command's output: the last with an error."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() and not line.startswith("note:")]
    return (telling or lines or ["it failed without any output"])[-1][:300]
