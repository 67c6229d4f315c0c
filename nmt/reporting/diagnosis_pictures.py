"""Pictures of what `nmt diagnose` measures."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from nmt.diagnostics.exposure import Exposure
from nmt.diagnostics.gradients import Flow
from nmt.diagnostics.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (
    ("-", "o"),
    ("--", "s"),
    ("-.", "^"),
    (":", "D"),
    ("-", "x"),
    ("--", "v"),
    ("-.", "P"),
    (":", "*"),
)
"""Line style and marker of each curve, so that they differ without colour."""
_MARKS = 12
"""About how many points of a curve are marked."""
_FEW_SENTENCES = 50
"""A position is drawn if at least one in so many sentences reaches it."""


def large_text() -> AbstractContextManager[None]:
    """Return a context in which text is still readable at half size."""
    import matplotlib

    return matplotlib.rc_context({"font.size": 11})


def draw_curve(
    axes: "Axes", number: int, x: Sequence[float], y: Sequence[float], label: str
) -> None:
    """Draw a curve in the style of its number; NaN leaves a gap."""
    line, marker = STYLES[number % len(STYLES)]
    every = max(1, len(x) // _MARKS)
    axes.plot(x, y, line, marker=marker, markevery=every, markersize=5, label=label)


def whole_decades(axes: "Axes") -> None:
    """Make the y axis logarithmic, from one power of ten to another."""
    axes.set_yscale("log")
    low, high = (math.log10(value) for value in axes.get_ylim())
    axes.set_ylim(10.0 ** math.floor(low), 10.0 ** math.ceil(high))


def draw_gradients(flows: Sequence[Flow]) -> "Figure":
    """Draw what steps carry and what arrives, by lag, on logarithmic axes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with large_text():
        figure = Figure(figsize=(10, 4.6), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, figure_name in zip(panels, ("carried", "arriving"), strict=True):
            for number, flow in enumerate(flows):
                known = [
                    (lag.steps, value)
                    for lag in flow.lags
                    if math.isfinite(value := getattr(lag, figure_name)) and value > 0.0
                ]
                if known:
                    steps, values = zip(*known, strict=True)
                    draw_curve(axes, number, steps, values, flow.name)
            whole_decades(axes)
            axes.grid(alpha=0.3)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        carried, arriving = panels
        carried.axhline(1.0, color="grey", linewidth=0.8)
        carried.set_title("carried back through the steps of a layer")
        carried.set_xlabel("lag (steps)")
        carried.set_ylabel("gradient norm / norm at lag 0")
        arriving.set_title("arriving from the loss")
        arriving.set_xlabel("distance from the last state (steps)")
        arriving.set_ylabel("mean gradient norm (nats per unit of state)")
        if carried.get_legend_handles_labels()[1]:
            carried.legend()
    return figure


def draw_spectra(found: Sequence[Spectrum]) -> "Figure":
    """Draw gamma*rho and gamma*sigma of each gate beside 1, and what a step does to a gradient."""
    from matplotlib.figure import Figure

    blocks = [(each, block) for each in found for block in each.blocks]
    names = [f"{each.name} {block.gate}" for each, block in blocks]
    places = range(len(blocks))
    with large_text():
        figure = Figure(figsize=(10, 1.8 + 0.34 * len(blocks)), layout="constrained")
        sizes, shares = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1.2))
        series = (
            ("o", "γρ", [block.gamma * block.radius for _, block in blocks]),
            ("s", "γσ", [block.bound for _, block in blocks]),
            ("|", "gradient per step", [each.factor for each, _ in blocks]),
        )
        for marker, label, values in series:
            size = 14 if marker == "|" else 7
            sizes.plot(values, places, marker, markersize=size, markeredgewidth=1.6, label=label)
        sizes.axvline(1.0, color="grey", linewidth=0.8)
        sizes.set_yticks(places, names)
        sizes.invert_yaxis()
        sizes.set_xlim(left=0.0)
        sizes.set_xlabel("factor (1 = neither grows nor shrinks)")
        sizes.grid(alpha=0.3)
        sizes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)
        saturated = [100.0 * block.saturated for _, block in blocks]
        slopes = [100.0 * block.slope for _, block in blocks]
        shares.barh(places, saturated, color="lightgrey", edgecolor="grey", label="saturated")
        shares.plot(slopes, places, "kx", markersize=7, label="slope / γ")
        shares.set_xlim(0.0, 105.0)
        shares.set_xlabel("units, mean over the text (%)")
        shares.grid(alpha=0.3)
        shares.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)
    return figure


def draw_exposure(found: Exposure) -> "Figure":
    """Draw accuracy and loss by position, with the reference's prefix and with the model's own."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    enough = max(1, found.sentences // _FEW_SENTENCES)
    shown = [position for position in found.positions if position.pieces >= enough]
    places = [position.first for position in shown]
    panels = (
        ("right pieces (%)", [[100.0 * share for share in p.accuracy] for p in shown]),
        ("loss per piece (nats)", [list(p.loss) for p in shown]),
    )
    with large_text():
        figure = Figure(figsize=(10, 4.4), layout="constrained")
        for axes, (name, values) in zip(figure.subplots(1, 2), panels, strict=True):
            for number, label in enumerate(("reference's prefix", "the model's own prefix")):
                draw_curve(axes, number, places, [each[number] for each in values], label)
            axes.set_xlabel("target position (pieces)")
            axes.set_ylabel(name)
            axes.set_ylim(bottom=0.0)
            axes.grid(alpha=0.3)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend()
    return figure


def draw_surface(
    axis_w: Sequence[float],
    axis_b: Sequence[float],
    slope: Sequence[Sequence[float]],
    curvature: Sequence[Sequence[float]],
) -> "Figure":
    """Draw the norm of the gradient and the curvature over two parameters, on a log scale.

    Args:
        axis_w: values of w.
        axis_b: values of b.
        slope: norm of the gradient, [w][b].
        curvature: largest absolute eigenvalue of the Hessian, [w][b].
    """
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    panels = (
        ("gradient norm |dE/d(w, b)|", slope),
        ("curvature (largest |eigenvalue|)", curvature),
    )
    with large_text():
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        for axes, (name, values) in zip(figure.subplots(1, 2), panels, strict=True):
            columns = list(zip(*values, strict=True))  # [b][w], as pictures have rows first
            shades = axes.pcolormesh(axis_w, axis_b, columns, norm=LogNorm(), cmap="Greys")
            figure.colorbar(shades, ax=axes, label=name)
            axes.set_xlabel("w (weight)")
            axes.set_ylabel("b (bias)")
    return figure
