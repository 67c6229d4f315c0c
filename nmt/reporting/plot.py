"""The learning curves of a run as a picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import UsageError
from nmt.reporting.curves import Curves, Entry
from nmt.reporting.picture import require_plottable, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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

    def draw(self, axes: "Axes") -> None:
        """Draw the curve; NaN leaves a gap."""
        updates = [entry["update"] for entry in self.known]
        values = [entry[self.key] for entry in self.known]
        marker = "." if len(values) <= _FEW and self.style == "-" else ""
        axes.plot(updates, values, self.style, marker=marker, label=self.name)


def plot(curves: Curves, path: Path) -> None:
    """Plot loss, scores, learning rate, gradient norm and scheduled sampling over the updates.

    A panel without values is left out. What is not finite, and where training diverged, is marked.

    Args:
        curves: curves of a run.
        path: file to write, .svg, .png or .pdf.

    Raises:
        UsageError: the file cannot be drawn, or there is nothing to draw.
    """
    require_plottable(path)
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    panels = [
        (name, drawn)
        for name, every in _panels(curves).items()
        if (drawn := [curve for curve in every if curve.has_values])
    ]
    if not panels:
        raise UsageError(f"{path}: there is nothing to draw yet; train until the first log line.")
    figure = Figure(figsize=(8, 1 + 2.3 * len(panels)), layout="constrained")
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, drawn) in zip(rows, panels, strict=True):
        axes.set_ylabel(name)
        for curve in drawn:
            curve.draw(axes)
        _mark(axes, curves, is_of_validations=drawn[-1].entries is curves.validations)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.legend()
    rows[-1].set_xlabel("update")
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    save_figure(figure, path)


def _panels(curves: Curves) -> dict[str, list[_Curve]]:
    """Return the curves of each panel, by the label of its axis."""
    updates, validations = curves.updates, curves.validations
    loss = "loss per token (nats)" if curves.loss_name == "nll" else f"mean {curves.loss_name}"
    return {
        loss: [
            _Curve("training", updates, "loss"),
            _Curve("validation", validations, "loss"),
        ],
        "score": [_Curve("BLEU", validations, "bleu"), _Curve("chrF", validations, "chrf")],
        "learning rate": [_Curve("rate", updates, "learning_rate")],
        "gradient norm": [
            _Curve("before clipping", updates, "gradient_norm"),
            _Curve("clipped to", updates, "clip_norm", style="--"),
        ],
        "reference probability": [_Curve("epsilon", updates, "reference_probability")],
    }


def _mark(axes: "Axes", curves: Curves, *, is_of_validations: bool) -> None:
    """Mark the best validation, and where training diverged or its loss was not finite."""
    if is_of_validations and curves.best is not None:
        axes.axvline(curves.best["update"], color="grey", linestyle=":", label="best")
    broken = [entry["update"] for entry in curves.updates if _is_not_finite(entry)]
    if curves.diverged is not None:
        axes.axvline(curves.diverged, color="red", linestyle="--", label="diverged")
    elif broken:
        axes.axvline(broken[0], color="red", linestyle=":", label="loss not finite")


def _is_not_finite(entry: Entry) -> bool:
    return entry["loss"] is not None and not math.isfinite(entry["loss"])
