"""The learning curves of a run, and a text table of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nmt.run_folder.journal import UpdateReport, ValidationReport, format_perplexity, read_metrics
from nmt.run_folder.layout import METRICS

Entry = dict[str, Any]


@dataclass(frozen=True)
class Curves:
    """The entries of `metrics.jsonl`, oldest first."""

    updates: list[Entry]
    """Entries with the fields of `UpdateReport`."""
    validations: list[Entry]
    """Entries with the fields of `ValidationReport`."""
    diverged: int | None = None
    """Update at which training diverged, for the last time; None if it did not."""
    loss_name: str = "nll"
    """What the loss is: "nll" or "squared error"."""
    unit: str = "word"
    """What `loss_per_word` is per."""

    @classmethod
    def of(cls, run: Path) -> "Curves":
        """Read the metrics of a run folder; a run that has not started has none."""
        entries = read_metrics(run / METRICS)
        return cls(
            updates=_of_kind("update", UpdateReport, entries),
            validations=_of_kind("valid", ValidationReport, entries),
            diverged=_divergence(entries),
            loss_name=_first(entries, "loss_name", "nll"),
            unit=_first(entries, "unit", "word"),
        )

    @property
    def best(self) -> Entry | None:
        """The last validation that was a new best."""
        return next((entry for entry in reversed(self.validations) if entry["is_best"]), None)


def _first(entries: Sequence[Entry], key: str, default: str) -> str:
    """Return what the first entry with this key says."""
    return str(next((entry[key] for entry in entries if key in entry), default))


_NUMBERS = (int, float, bool, float | None)


def _of_kind(
    kind: str, report: type[UpdateReport | ValidationReport], entries: Sequence[Entry]
) -> list[Entry]:
    """Return the entries of one kind, without damaged ones.

    Values that older runs did not record are None, and so are those that were not measured. NaN
    and infinity were written as null; they are NaN here.
    """
    names = [field.name for field in fields(report) if field.type in _NUMBERS]
    finite = [field.name for field in fields(report) if field.type is float]
    found = [
        {name: entry.get(name) for name in names}
        | {name: math.nan for name in finite if name in entry and entry[name] is None}
        for entry in entries
        if entry.get("kind") == kind
    ]
    known = (int, float, type(None))
    return [entry for entry in found if all(isinstance(v, known) for v in entry.values())]


def _divergence(entries: Sequence[Entry]) -> int | None:
    updates = [entry.get("diverged_at") for entry in entries if entry.get("kind") == "diverged"]
    return next((update for update in reversed(updates) if isinstance(update, int)), None)


_COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("epoch", "epoch", lambda value: f"{value:.1f}"),
    ("train ppl", "loss", format_perplexity),
    ("norm", "gradient_norm", lambda value: f"{value:.2f}"),
    ("clipped", "clipped", lambda value: f"{value:.0%}"),
    ("eps", "reference_probability", lambda value: f"{value:.2f}"),
    ("rate", "learning_rate", lambda value: f"{value:.1e}"),
    ("tok/s", "tokens_per_second", lambda value: f"{value:,.0f}"),
    ("valid ppl", "valid_loss", format_perplexity),
    ("per word", "loss_per_word", format_perplexity),
    ("BLEU", "bleu", lambda value: f"{value:.1f}"),
    ("chrF", "chrf", lambda value: f"{value:.1f}"),
)


_COLUMNS_OF_NUMBERS = tuple(
    (title.replace("ppl", "error"), key, (lambda value: f"{value:.4g}") if "loss" in key else show)
    for title, key, show in _COLUMNS
    if key not in ("loss_per_word", "bleu", "chrf")
)
"""Columns of a model that predicts numbers, whose loss is the mean squared error."""


def table(curves: Curves, *, rows: int = 0) -> str:
    """Return one line per validation, with the training figures before it; `*` marks the best.

    Before the first validation, there is one line per report on training.

    Args:
        curves: curves of a run.
        rows: maximum number of rows, evenly spaced and including the first, last and best; 0 = all.
    """
    entries = _joined(curves)
    best = curves.best["update"] if curves.best else None
    chosen = thinned(entries, rows, best)
    left_out = _left_out(entries)
    known = _COLUMNS if curves.loss_name == "nll" else _COLUMNS_OF_NUMBERS
    columns = [column for column in known if column[1] not in left_out]
    titles = [title.replace("word", curves.unit) for title, _, _ in columns]
    cells = [["update", *titles, ""]]
    for entry in chosen:
        figures = ["-" if entry.get(key) is None else show(entry[key]) for _, key, show in columns]
        cells.append([f"{entry['update']:,}", *figures, "*" if entry["update"] == best else ""])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _left_out(entries: Sequence[Entry]) -> set[str]:
    """Return the columns without interest: what was never used or measured, and scores where
    nothing was translated, or else the loss per word."""
    known = {key for entry in entries for key, value in entry.items() if value is not None}
    unused = {"clipped", "reference_probability"} - known
    if not any("valid_loss" in entry for entry in entries):
        return unused | {"valid_loss", "loss_per_word", "bleu", "chrf"}
    is_scored = "bleu" in known or "loss_per_word" not in known
    return unused | ({"loss_per_word"} if is_scored else {"bleu", "chrf"})


def _joined(curves: Curves) -> list[Entry]:
    """Return the validations, each with the last report since the one before, and the last report.

    Without validations, all reports are returned.
    """
    if not curves.validations:
        return curves.updates
    reports = {entry["update"]: entry for entry in curves.updates}
    numbers = sorted(reports)
    joined, position = [], 0
    for validation in curves.validations:
        previous = position
        while position < len(numbers) and numbers[position] <= validation["update"]:
            position += 1
        report = reports[numbers[position - 1]] if position > previous else {}
        scores = {key: validation.get(key) for key in ("update", "bleu", "chrf", "loss_per_word")}
        joined.append({**report, **scores, "valid_loss": validation.get("loss")})
    if position < len(numbers):
        joined.append(reports[numbers[-1]])
    return joined


def thinned(entries: Sequence[Entry], rows: int, best: int | None) -> list[Entry]:
    """Return at most `rows` entries, evenly spaced, with the first, last and best; 0 = all."""
    if rows <= 0 or len(entries) <= rows:
        return list(entries)
    last = len(entries) - 1
    kept = {round(last * number / max(1, rows - 1)) for number in range(rows)} | {last}
    return [entry for n, entry in enumerate(entries) if n in kept or entry["update"] == best]
