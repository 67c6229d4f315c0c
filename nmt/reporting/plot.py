"""The learning curves of runs as a picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import UsageError
from nmt.reporting.curves import Curves, Entry
from nmt.reporting.picture import require_plottable, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BEST = "best update"
_FEW = 60  # points of a curve that are marked one by one


@dataclass(frozen=True)
class _Curve:
    """One curve of a panel; it is drawn if a value of it is known."""

    name: str
    entries: Sequence[Entry]
    key: str
    style: str = "-"

    @property
    def known(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.get(self.key) is not None]

    @property
    def has_values(self) -> bool:
        return any(math.isfinite(entry[self.key]) for entry in self.known)

    def draw(self, axes: "Axes", run: str, color: str | None) -> None:
        """Draw the curve of a run, which is named if it is one of several; NaN leaves a gap."""
        updates = [entry["update"] for entry in self.known]
        values = [entry[self.key] for entry in self.known]
        marker = "." if len(values) <= _FEW and self.style != ":" else ""
        label = f"{run}: {self.name}" if run else self.name
        axes.plot(updates, values, self.style, marker=marker, label=label, color=color)


def plot(runs: Mapping[str, Curves], path: Path) -> None:
    """Plot loss, scores, learning rate, gradient norm and scheduled sampling over the updates.

    Several runs are laid over one another, each with a colour of its own. A panel without values is
    left out. What is not finite, and where training diverged, is marked.

    Args:
        runs: curves of each run, by name.
        path: file to write, .svg, .png or .pdf.

    Raises:
        UsageError: the file cannot be drawn, or there is nothing to draw.
    """
    require_plottable(path)
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = _panels(runs)
    if not panels:
        raise UsageError(f"{path}: there is nothing to draw yet; train until the first log line.")
    figure = Figure(figsize=(8, 1 + 2.3 * len(panels)), layout="constrained")
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    colors = {name: f"C{number}" for number, name in enumerate(runs)} if len(runs) > 1 else {}
    for axes, (title, drawn) in zip(rows, panels.items(), strict=True):
        axes.set_ylabel(title)
        for name, curves in drawn.items():
            for curve in curves:
                curve.draw(axes, name if colors else "", colors.get(name))
            is_of_validations = curves[-1].entries is runs[name].validations
            _mark(axes, runs[name], colors.get(name), is_of_validations=is_of_validations)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.legend()
    rows[-1].set_xlabel("update")
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save_figure(figure, path)


def _panels(runs: Mapping[str, Curves]) -> dict[str, dict[str, list[_Curve]]]:
    """Return the curves that have values, by the label of their axis and the name of their run."""
    panels: dict[str, dict[str, list[_Curve]]] = {}
    for name, curves in runs.items():
        for title, every in _curves_of(curves).items():
            if drawn := [curve for curve in every if curve.has_values]:
                panels.setdefault(title, {})[name] = drawn
    return {title: panels[title] for title in _curves_of(Curves([], [])) if title in panels}


def _curves_of(curves: Curves) -> dict[str, list[_Curve]]:
    """Return the curves of each panel, by the label of its axis."""
    updates, validations = curves.updates, curves.validations
    loss = "loss per token (nats)" if curves.loss_name == "nll" else f"mean {curves.loss_name}"
    return {
        loss: [
            _Curve("training", updates, "loss"),
            _Curve("validation", validations, "loss", style="--"),
        ],
        "score": [
            _Curve("BLEU", validations, "bleu"),
            _Curve("chrF", validations, "chrf", style="--"),
        ],
        "learning rate": [_Curve("rate", updates, "learning_rate")],
        "gradient norm": [
            _Curve("before clipping", updates, "gradient_norm"),
            _Curve("clipped to", updates, "clip_norm", style=":"),
        ],
        "reference probability": [_Curve("epsilon", updates, "reference_probability")],
    }


def _mark(axes: "Axes", curves: Curves, color: str | None, *, is_of_validations: bool) -> None:
    """Mark the best validation, and where training diverged or its loss was not finite."""
    if is_of_validations and curves.best is not None:
        known = axes.get_legend_handles_labels()[1]
        label = None if _BEST in known else _BEST  # of several runs, the colour says whose
        axes.axvline(curves.best["update"], color=color or "grey", linestyle=":", label=label)
    broken = [entry["update"] for entry in curves.updates if _is_not_finite(entry)]
    if curves.diverged is not None:
        axes.axvline(curves.diverged, color=color or "red", linestyle="--", label="diverged")
    elif broken:
        axes.axvline(broken[0], color=color or "red", linestyle="-.", label="loss not finite")


def _is_not_finite(entry: Entry) -> bool:
    return entry["loss"] is not None and not math.isfinite(entry["loss"])
