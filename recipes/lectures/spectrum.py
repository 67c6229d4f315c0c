"""Spectral radius and largest singular value against what the steps of a layer do to a gradient."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lectures.decay import ROWS, Curve, back_through, directions, run
from lectures.shelf import Report
from nmt.diagnostics.spectrum import largest_singular_value
from nmt.layers.cells import RnnCell
from nmt.layers.initialization import scale_to_radius, spectral_radius
from nmt.reporting.diagnosis_pictures import draw_curve, large_text, whole_decades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIM = "The largest absolute eigenvalue decides whether gradients vanish or explode."


@dataclass(frozen=True)
class Point:
    """One network: its recurrent weights, its inputs, and what a step does to a gradient."""

    inputs: float
    """Standard deviation of the pre-activations' inputs."""
    radius: float
    sigma: float
    factor: float


def show(report: Report) -> None:
    torch.manual_seed(1)
    units, steps = (20, 30) if report.quick else (50, 100)
    radii = (0.6, 1.1, 1.6) if report.quick else tuple(0.5 + 0.1 * step for step in range(16))
    points = [
        _measure(units, steps, radius, inputs) for inputs in (0.0, 0.3, 1.0) for radius in radii
    ]
    shown = [point for point in points if math.isclose(point.radius, 1.1)] or points
    report.table(
        "radius",
        ["inputs", "rho", "sigma", "factor per step", f"after {steps} steps"],
        [[p.inputs, p.radius, p.sigma, p.factor, p.factor**steps] for p in shown],
    )
    exploding = explode_with_radius_zero(20)
    report.table(
        "zero",
        ["W = 1.8 [[1, -1], [1, -1]]", "value"],
        [
            ["spectral radius of W", spectral_radius(ZERO)],
            ["largest singular value of W", largest_singular_value(ZERO)],
            ["spectral radius of diag(1, 0.1) W", spectral_radius(SLOPES @ ZERO)],
            ["gradient's factor per step", exploding.factor],
            ["gradient's norm after 20 steps", exploding.norms[-1]],
        ],
    )
    report.draw("spectrum", _draw(points, exploding))
    quiet, loud = shown[0], shown[-1]
    report.say(
        "How to read it: the lecture says that a radius rho > 1 / gamma keeps gradients from "
        f"vanishing. With rho = 1.1, tanh and no inputs, a step makes them x {quiet.factor:.3f}; "
        f"with inputs of standard deviation 1 and the same rho, x {loud.factor:.3f}: they vanish, "
        "since inputs push tanh to where its slope is far below gamma = 1 (left). And it says that "
        "rho < 1 / gamma suffices for them to vanish. The matrix in the second table has rho = 0, "
        "and a tanh network of two units with it, kept by a constant input where the slopes are 1 "
        f"and 0.1, multiplies gradients by {exploding.factor:.2f} at every step: "
        f"{exploding.norms[-1]:.2g} after 20 (right). What holds is the bound by the largest "
        "singular value: no point of the middle panel is above its line, factor = gamma * sigma. "
        "So sigma < 1 / gamma suffices for vanishing, and sigma > 1 / gamma is necessary for "
        "exploding; `nmt diagnose spectrum RUN` prints both for your model."
    )


def _measure(units: int, steps: int, radius: float, inputs: float) -> Point:
    cell = RnnCell(units, units).double()
    nn.init.normal_(cell.recurrent.weight)
    scale_to_radius(cell.recurrent.weight.data, radius)
    states = run(cell, inputs * torch.randn(ROWS, steps, units).double())
    factor = Curve("", back_through(states, directions(units))).factor
    sigma = largest_singular_value(cell.recurrent.weight)
    return Point(inputs, radius, sigma, factor)


ZERO = 1.8 * torch.tensor([[1.0, -1.0], [1.0, -1.0]], dtype=torch.float64)
"""A matrix whose eigenvalues are both 0."""
SLOPES = torch.diag(torch.tensor([1.0, 0.1], dtype=torch.float64))


def explode_with_radius_zero(steps: int) -> Curve:
    """Carry gradients through a tanh network with the weights `ZERO`.

    Its input is such that the state does not move, with tanh' = 1 in one unit and 0.1 in the other.
    """
    cell = RnnCell(2, 2).double()
    cell.recurrent.weight.data.copy_(ZERO)
    state = torch.tensor([0.0, math.sqrt(0.9)]).double()  # tanh' = 1 - h^2
    inputs = torch.atanh(state) - ZERO @ state
    states: list[Tensor] = [state.expand(ROWS, 2).clone().requires_grad_()]
    for _ in range(steps):
        states.append(cell(inputs.expand(ROWS, 2), (states[-1],))[0])
    return Curve("rho = 0", back_through(states, directions(2)))


def _draw(points: list[Point], exploding: Curve) -> "Figure":
    from matplotlib.figure import Figure

    with large_text():
        figure = Figure(figsize=(13, 4.4), layout="constrained")
        by_radius, by_sigma, zero = figure.subplots(1, 3)
        for axes, name in ((by_radius, "radius"), (by_sigma, "sigma")):
            for marker, inputs in zip("osx", (0.0, 0.3, 1.0), strict=True):
                group = [point for point in points if point.inputs == inputs]
                values = [getattr(point, name) for point in group]
                factors = [point.factor for point in group]
                axes.plot(values, factors, marker, label=f"inputs x {inputs:g}")
            ends = [0.0, max(getattr(point, name) for point in points)]
            axes.plot(ends, ends, color="grey", linewidth=0.8)
            axes.axhline(1.0, color="grey", linewidth=0.8, linestyle=":")
            axes.axvline(1.0, color="grey", linewidth=0.8, linestyle=":")
            axes.set_ylabel("gradient per step (factor)")
            axes.grid(alpha=0.3)
            axes.legend()
        by_radius.set_xlabel("gamma * rho (largest absolute eigenvalue)")
        by_sigma.set_xlabel("gamma * sigma (largest singular value)")
        draw_curve(zero, 0, range(len(exploding.norms)), exploding.norms, "tanh, rho = 0")
        bound = [largest_singular_value(ZERO) ** lag for lag in range(len(exploding.norms))]
        draw_curve(zero, 1, range(len(bound)), bound, "bound, sigma^lag")
        whole_decades(zero)
        zero.set_xlabel("lag (steps)")
        zero.set_ylabel("mean norm of v dh(t)/dh(t - lag)")
        zero.grid(alpha=0.3)
        zero.legend()
    return figure
