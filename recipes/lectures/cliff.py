"""Gradient and curvature over the two parameters of a single recurrent unit."""

import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from lectures.shelf import Report
from nmt.laboratory.surface import Surface, final_error, measure_surface

CLAIM = "Where the gradient explodes, the curvature explodes with it, along the same direction."
RATE, THRESHOLD, STEEPEST = 0.1, 0.5, 20
"""Learning rate, largest norm of a clipped gradient, and how many points are at the cliff."""
WEIGHT = 5.0
"""w of the line across the cliff."""


def show(report: Report) -> None:
    surface = measure_surface(points=(21, 37)) if report.quick else measure_surface()
    cut = measure_surface((WEIGHT, WEIGHT), (-2.62, -2.60), (1, 400))
    report.say(
        "One unit, x <- w sigma(x) + b, 50 times; its error is E = (sigma(x_50) - 0.7)^2 (Pascanu "
        f'et al., 2013, figure 6). "At the cliff" are the {STEEPEST} points of steepest slope.'
    )
    rows = [
        ("rank correlation of |gradient| and |curvature|", surface.rank_correlation(), 0.964),
        ("|cosine| of gradient and curvature, at the cliff", surface.alignment(STEEPEST), 0.994),
        ("largest |gradient|", float(surface.slope.max()), 26.0),
        ("median |gradient|", float(surface.slope.median()), 0.06),
    ]
    report.table("figures", ("figure", "measured", "expected"), rows)
    report.say(f"A step of gradient descent from these points, at a rate of {RATE:g}:")
    columns = ("gradient", "mean E before", "mean E after", "largest rise of E", "longest step")
    report.table("steps", columns, step_from_the_cliff(surface))
    report.draw("surface", draw(surface, cut))
    report.say(
        "How to read it: the darker, the higher. Error jumps along a line, where the unit falls "
        "from one fixed point to the other. On the way across it (right, at w = 5) gradient and "
        "curvature rise together by orders of magnitude: a step that is right on the plain leads "
        "far away at the cliff. Clipping keeps its direction, but not its length."
    )


def step_from_the_cliff(surface: Surface) -> list[tuple[str, float, float, float, float]]:
    """Return what a step with and without clipping does to the error."""
    steepest = surface.slope.flatten().topk(STEEPEST).indices
    points = torch.cartesian_prod(surface.w, surface.b)[steepest]
    gradients = surface.gradient.reshape(-1, 2)[steepest]
    clipped = gradients * (THRESHOLD / gradients.norm(dim=-1, keepdim=True)).clamp(max=1)

    def errors(points: Tensor) -> Tensor:
        return torch.stack([final_error(point) for point in points])

    before, rows = errors(points), []
    for name, g in (("as it is", gradients), (f"clipped to {THRESHOLD:g}", clipped)):
        after = errors(points - RATE * g)
        values = (before.mean(), after.mean(), (after - before).max(), RATE * g.norm(dim=-1).max())
        rows.append((name, *map(float, values)))
    return rows


def draw(surface: Surface, cut: Surface) -> Figure:
    """Return the error and the gradient over (w, b), and both derivatives across the cliff."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    error, gradient, across = figure.subplots(1, 3)
    _fill(error, surface, surface.error, "error E")
    _fill(gradient, surface, surface.slope, "norm of the gradient", logarithmic=True)
    across.semilogy(cut.b, cut.curvature[0], "-", color="black", label="largest |eigenvalue|")
    across.semilogy(cut.b, cut.slope[0], "--", color="black", label="norm of the gradient")
    across.semilogy(cut.b, cut.error[0], ":", color="black", label="error E")
    across.set(title=f"across the cliff, w = {WEIGHT:g}", xlabel="bias b")
    across.legend(loc="upper right")
    return figure


def _fill(
    panel: Axes, surface: Surface, values: Tensor, title: str, *, logarithmic: bool = False
) -> None:
    ends = values.quantile(0.01), values.max()
    norm = LogNorm(*map(float, ends)) if logarithmic else None
    filled = panel.pcolormesh(
        surface.b.numpy(),
        surface.w.numpy(),
        values.numpy(),
        norm=norm,
        cmap="cividis_r",
        rasterized=True,
    )
    panel.figure.colorbar(filled, ax=panel, location="bottom", shrink=0.9)
    panel.axhline(WEIGHT, color="white", linestyle="--", linewidth=1)
    panel.set(title=title, xlabel="bias b", ylabel="weight w")
