"""Plot all curves in one figure: one panel for training, one for decoding."""

from collections.abc import Sequence
from dataclasses import asdict

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from curves.curve import Curve
from curves.options import Options
from curves.points import Point, Quantity, Task
from nmt.reporting.picture import save_figure

PANELS: dict[Task, str] = {
    "train": "training: seconds of an update",
    "translate": "decoding: seconds of a sentence",
}
STYLES: dict[Quantity, str] = {
    "length": "o-",
    "hidden_size": "s--",
    "layers": "^-.",
    "vocabulary": "D:",
    "beam": "x-",
}
"""Marker and line style of each curve, so curves can be distinguished without colour."""


def draw(curves: Sequence[Curve], base: Point, options: Options) -> None:
    """Write the plot to `options.svg`.

    Each quantity is plotted as a multiple of its value in `base`, where the curves of a panel meet.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    about = f"nmt in {options.precision}, threads {options.threads}, sentences {options.sentences}"
    common = ", ".join(f"{name} {value:,}" for name, value in asdict(base).items())
    figure.suptitle(f"{about}\ncommon point: {common}")
    for panel, (task, title) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        panel.set_title(title)
        _draw_panel(panel, [curve for curve in curves if curve.task == task], base)
    save_figure(figure, options.svg)


def _draw_panel(panel: Axes, curves: Sequence[Curve], base: Point) -> None:
    panel.set(xscale="log", yscale="log")
    for curve in curves:
        common = getattr(base, curve.varied)
        multiples = [value / common for value in curve.at]
        style, label = STYLES[curve.varied], _describe(curve)
        panel.plot(multiples, curve.seconds, style, fillstyle="none", label=label)
    for axis, locator in (
        (panel.xaxis, LogLocator(base=2)),
        (panel.yaxis, LogLocator(subs=(1, 2, 5))),
    ):
        axis.set_major_locator(locator)
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    panel.set_xlabel("value / value at the common point")
    panel.grid(color="0.9")
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12))  # below the curves


def _describe(curve: Curve) -> str:
    """Return the legend entry of a curve."""
    whole, last = curve.slopes
    values = f"{whole.smallest:,} to {whole.largest:,}"
    return f"{curve.varied} {values}: slope {whole.measured:.2f}, at the end {last.measured:.2f}"
