"""Plot all curves in one figure, with a panel for each task that was measured."""

from collections.abc import Sequence
from dataclasses import asdict

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from curves.curve import Curve
from curves.options import Options
from curves.points import Point, Quantity, Side, Task
from nmt.reporting.picture import save_figure

PANELS: dict[Task, str] = {
    "train": "training: seconds of an update",
    "translate": "decoding: seconds of a sentence",
    "attention": "attention alone: seconds of a batch",
}
STYLES: dict[Quantity | Side, str] = {
    "length": "o-",
    "hidden_size": "s--",
    "layers": "^-.",
    "vocabulary": "D:",
    "beam": "x-",
    "source": "o-",
    "target": "s--",
    "both": "^-.",
}
"""Marker and line style of each curve, so curves can be distinguished without colour."""


def draw(curves: Sequence[Curve], base: Point, options: Options) -> None:
    """Write the plot to `options.svg`.

    Each quantity is plotted as a multiple of its value in `base`, where the curves of a panel meet;
    attention alone over the product of both lengths.
    """
    tasks = [task for task in PANELS if any(curve.task == task for curve in curves)]
    figure = Figure(figsize=(max(8.0, 5.5 * len(tasks)), 7), layout="constrained")
    about = f"nmt in {options.precision}, threads {options.threads}, sentences {options.sentences}"
    common = ", ".join(f"{name} {value:,}" for name, value in asdict(base).items())
    figure.suptitle(f"{about}\ncommon point: {common}")
    for panel, task in zip(figure.subplots(1, len(tasks), squeeze=False)[0], tasks, strict=True):
        panel.set_title(PANELS[task])
        panel.set_xlabel(
            "source length x target length (positions)"
            if task == "attention"
            else "value / value at the common point"
        )
        _draw_panel(panel, [curve for curve in curves if curve.task == task], base)
    save_figure(figure, options.svg)


def _draw_panel(panel: Axes, curves: Sequence[Curve], base: Point) -> None:
    panel.set(xscale="log", yscale="log")
    for curve in curves:
        common = 1 if curve.task == "attention" else getattr(base, curve.varied)
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
    panel.grid(color="0.9")
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12))  # below the curves


def _describe(curve: Curve) -> str:
    """Return the legend entry of a curve."""
    whole, last = curve.slopes
    values = f"{whole.smallest:,} to {whole.largest:,}"
    return f"{curve.varied} {values}: slope {whole.measured:.2f}, at the end {last.measured:.2f}"
