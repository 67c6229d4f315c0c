"""The learning curves of a run, as a text table or a plot."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nmt.errors import UsageError
from nmt.storage.files import write_bytes
from nmt.training.journal import (
    UpdateReport,
    ValidationReport,
    format_perplexity,
    read_metrics,
)
from nmt.training.run_folder import METRICS

Entry = dict[str, Any]

_FORMATS = ("svg", "png", "pdf")
_TEXTS = ("tokenizer", "collapse")  # no curves are drawn of these fields


@dataclass(frozen=True)
class Curves:
    """The entries of `metrics.jsonl`, oldest first."""

    updates: list[Entry]
    """Entries with the fields of `UpdateReport`."""
    validations: list[Entry]
    """Entries with the fields of `ValidationReport`."""

    @classmethod
    def of(cls, run: Path) -> "Curves":
        """Read the metrics of a run folder; a run that has not started has none."""
        entries = read_metrics(run / METRICS)
        return cls(
            updates=_of_kind("update", UpdateReport, entries),
            validations=_of_kind("valid", ValidationReport, entries),
        )

    @property
    def best(self) -> Entry | None:
        """The last validation that was a new best."""
        return next((entry for entry in reversed(self.validations) if entry["is_best"]), None)


def _of_kind(
    kind: str, report: type[UpdateReport | ValidationReport], entries: Sequence[Entry]
) -> list[Entry]:
    """Return the entries of one kind, without damaged ones; missing values are None."""
    names = [field.name for field in fields(report) if field.name not in _TEXTS]
    found = [
        {name: entry.get(name) for name in names} for entry in entries if entry.get("kind") == kind
    ]
    known = (int, float, type(None))
    return [entry for entry in found if all(isinstance(v, known) for v in entry.values())]


_COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("epoch", "epoch", lambda value: f"{value:.1f}"),
    ("train ppl", "loss", format_perplexity),
    ("norm", "gradient_norm", lambda value: f"{value:.2f}"),
    ("rate", "learning_rate", lambda value: f"{value:.1e}"),
    ("tok/s", "tokens_per_second", lambda value: f"{value:,.0f}"),
    ("valid ppl", "valid_loss", format_perplexity),
    ("per word", "loss_per_word", format_perplexity),
    ("BLEU", "bleu", lambda value: f"{value:.1f}"),
    ("chrF", "chrf", lambda value: f"{value:.1f}"),
)


def table(curves: Curves, *, rows: int = 0) -> str:
    """Return one line per validation, with the last training figures; `*` marks the best.

    Args:
        curves: curves of a run.
        rows: maximum number of rows, evenly spaced and including the first, last and best; 0 = all.
    """
    entries = _joined(curves)
    best = curves.best["update"] if curves.best else None
    chosen = _thinned(entries, rows, best)
    left_out = _left_out(entries)
    columns = [column for column in _COLUMNS if column[1] not in left_out]
    cells = [["update", *(title for title, _, _ in columns), ""]]
    for entry in chosen:
        figures = ["-" if entry.get(key) is None else show(entry[key]) for _, key, show in columns]
        cells.append([f"{entry['update']:,}", *figures, "*" if entry["update"] == best else ""])
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _left_out(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the columns without interest: scores where nothing was translated, or else the loss
    per word."""
    is_scored = any(entry.get("bleu") is not None for entry in entries)
    has_words = any(entry.get("loss_per_word") is not None for entry in entries)
    return ("loss_per_word",) if is_scored or not has_words else ("bleu", "chrf")


def _joined(curves: Curves) -> list[Entry]:
    """Return the validations, each with the last update report before it, then later reports."""
    reports = {entry["update"]: entry for entry in curves.updates}
    numbers = sorted(reports)
    joined, position = [], 0
    for validation in curves.validations:
        while position < len(numbers) and numbers[position] <= validation["update"]:
            position += 1
        report = reports[numbers[position - 1]] if position else {}
        scores = {key: validation.get(key) for key in ("update", "bleu", "chrf", "loss_per_word")}
        joined.append({**report, **scores, "valid_loss": validation.get("loss")})
    if position < len(numbers):
        joined.append(reports[numbers[-1]])
    return joined


def _thinned(entries: Sequence[Entry], rows: int, best: int | None) -> list[Entry]:
    if rows <= 0 or len(entries) <= rows:
        return list(entries)
    last = len(entries) - 1
    kept = {round(last * number / max(1, rows - 1)) for number in range(rows)} | {last}
    return [entry for n, entry in enumerate(entries) if n in kept or entry["update"] == best]


def plot(curves: Curves, path: Path) -> None:
    """Plot loss, scores and learning rate over the updates to `path` (.svg, .png or .pdf).

    Raises:
        UsageError: matplotlib is missing, or the file name has another extension.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        endings = ", ".join(f".{name}" for name in _FORMATS)
        raise UsageError(
            f"{path}: cannot draw this kind of file; end its name in one of {endings}."
        )
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(
            "drawing needs matplotlib, which is not installed; run: pip install matplotlib"
        ) from error

    figure = Figure(figsize=(8, 8), layout="constrained")
    losses, scores, rates = figure.subplots(3, 1, sharex=True)
    losses.set_ylabel("loss per token (nats)")
    losses.plot(*_points(curves.updates, "loss"), label="training")
    losses.plot(*_points(curves.validations, "loss"), marker=".", label="validation")
    losses.legend()
    scores.set_ylabel("score")
    scores.plot(*_points(curves.validations, "bleu"), marker=".", label="BLEU")
    scores.plot(*_points(curves.validations, "chrf"), marker=".", label="chrF")
    if curves.best is not None:
        scores.axvline(curves.best["update"], color="grey", linestyle=":", label="best")
    scores.legend()
    rates.set_ylabel("learning rate")
    rates.plot(*_points(curves.updates, "learning_rate"))
    rates.set_xlabel("update")

    picture = io.BytesIO()
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.hashsalt": "nmt"}):  # makes the output reproducible
        figure.savefig(picture, format=kind, metadata=metadata[kind])
    write_bytes(path, picture.getvalue())


def _points(entries: Sequence[Entry], key: str) -> tuple[list[int], list[float]]:
    """Return the updates at which a value is known, and the values."""
    known = [entry for entry in entries if entry.get(key) is not None]
    return [entry["update"] for entry in known], [entry[key] for entry in known]
