"""Norms of dh_t/dh_0 by lag: by activation, initialisation, inputs, depth and L2 penalty."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from lectures.decay import ROWS, Curve, back_through, directions, run
from lectures.shelf import Report
from nmt.layers.cells import RnnCell
from nmt.layers.initialization import scale_to_radius, spectral_radius
from nmt.layers.recurrent import unroll_cell
from nmt.layers.regularization import l2_penalty
from nmt.reporting.diagnosis_pictures import draw_curve, large_text, whole_decades

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIM = "Gradients through time decay exponentially, and neither layers nor weight decay help."

SLOPES = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
INITIALIZATIONS = ("uniform 0.1", "spectral 0.9", "spectral 1.1", "spectral 1.5", "orthogonal")


def show(report: Report) -> None:
    torch.manual_seed(1)
    units, steps = (24, 40) if report.quick else (100, 100)
    activations = _by_activation(report, units, steps)
    inputs = _by_inputs(report, units, steps)
    depths = _by_depth(report, units, steps // 2)
    decays = _by_decay(report, updates=60 if report.quick else 300)
    report.draw("vanishing", _draw(activations, inputs, depths, decays))
    report.say(_explain(activations, inputs, depths, decays))


def _explain(
    activations: dict[str, list[Curve]],
    inputs: list[Curve],
    depths: list[Curve],
    decays: list[Curve],
) -> str:
    """Return what the figures say."""
    tanh = {curve.name: curve for curve in activations["tanh"]}
    lag, depth_lag = len(tanh["spectral 1.1"].norms) - 1, len(depths[0].norms) - 1
    orthogonal = [activations[name][-1].factor for name in SLOPES]
    return (
        "How to read it: a straight line on these axes is an exponential, norm = factor^lag. With "
        "orthogonal weights, which neither shrink nor stretch, what remains is the activation: "
        f"x {orthogonal[0]:.2f} per step for the sigmoid, whose slope is at most 1/4, x "
        f"{orthogonal[1]:.2f} for tanh and x {orthogonal[2]:.2f} for ReLU: better, not cured. An "
        "initialisation chooses how steep a line is: even spectral 1.1, whose radius is above 1, "
        f"leaves {tanh['spectral 1.1'].norms[-1]:.1g} after {lag} steps. Without inputs, the same "
        f"weights make a gradient {inputs[0].norms[-1]:.1g} times as large (fourth panel): inputs "
        "push tanh off 0, where its slope is 1, so a radius above 1 is no guarantee. A stack has "
        f"many paths through time, so {depths[-1].name} lose less per step (x "
        f"{depths[-1].factor:.2f}) than {depths[0].name} (x {depths[0].factor:.2f}), and yet "
        f"exponentially: {depths[-1].norms[-1]:.1g} is left after {depth_lag} steps, and at lag 0 "
        f"only {depths[-1].norms[0]:.1g} reaches the first layer. Layers slow the decay, and do "
        "not end it. Weight decay makes it worse, since it shrinks the recurrent weights: from "
        f"{decays[0].norms[-1]:.1g} to {decays[-1].norms[-1]:.1g} at lag 20."
    )


# --- measuring -----------------------------------------------------------------------------


def cell_of(units: int, activation: str, initialization: str) -> RnnCell:
    """Return a cell whose recurrent weights are initialised by a name of `INITIALIZATIONS`."""
    cell = RnnCell(units, units, activation=activation).double()
    weight = cell.recurrent.weight
    kind, _, value = initialization.partition(" ")
    if kind == "orthogonal":
        nn.init.orthogonal_(weight)
    elif kind == "uniform":
        nn.init.uniform_(weight, -float(value), float(value))
    else:
        nn.init.normal_(weight)
        scale_to_radius(weight.data, float(value) / SLOPES[activation])
    return cell


def _by_activation(report: Report, units: int, steps: int) -> dict[str, list[Curve]]:
    found: dict[str, list[Curve]] = {}
    for activation in SLOPES:
        for initialization in INITIALIZATIONS:
            cell = cell_of(units, activation, initialization)
            states = run(cell, torch.randn(ROWS, steps, units).double())
            norms = back_through(states, directions(units))
            found.setdefault(activation, []).append(Curve(initialization, norms))
    rows = [
        [activation, curve.name, *(curve.norms[lag] for lag in (1, 10, steps)), curve.factor]
        for activation, curves in found.items()
        for curve in curves
    ]
    columns = ["activation", "initialization", "lag 1", "lag 10", f"lag {steps}", "per step"]
    report.table("activation", columns, rows)
    return found


def _by_inputs(report: Report, units: int, steps: int) -> list[Curve]:
    """Carry gradients through tanh units of spectral radius 1.1, with ever larger inputs."""
    curves = []
    for scale in (0.0, 0.1, 0.3, 1.0):
        cell = cell_of(units, "tanh", "spectral 1.1")
        states = run(cell, scale * torch.randn(ROWS, steps, units).double())
        curves.append(Curve(f"inputs x {scale:g}", back_through(states, directions(units))))
    report.table(
        "inputs",
        ["tanh, spectral 1.1", f"lag {steps}", "per step"],
        [[curve.name, curve.norms[-1], curve.factor] for curve in curves],
    )
    return curves


def _by_depth(report: Report, units: int, steps: int) -> list[Curve]:
    """Carry gradients from the last state of the top layer to all states of the first."""
    curves = []
    for layers in (1, 2, 4, 8):
        first, sequence = [], torch.randn(ROWS, steps, units).double()
        for layer in range(layers):
            cell = cell_of(units, "tanh", "orthogonal")
            nn.init.xavier_uniform_(cell.input.weight)
            states = run(cell, sequence if layer == 0 else cell.project(sequence))
            first = first or states
            sequence = torch.stack(states[1:], dim=1)
        gradients = torch.autograd.grad(sequence[:, -1], first, directions(units))
        norms = [float(gradient.norm(dim=1).mean()) for gradient in gradients[::-1]]
        curves.append(Curve(f"{layers} layers" if layers > 1 else "1 layer", tuple(norms)))
    report.table(
        "depth",
        ["tanh, orthogonal", "lag 0", "lag 10", f"lag {steps}", "per step"],
        [
            [curve.name, curve.norms[0], curve.norms[10], curve.norms[-1], curve.factor]
            for curve in curves
        ],
    )
    return curves


def _by_decay(report: Report, updates: int) -> list[Curve]:
    """Train tanh units to repeat an input of 10 steps before, with ever more weight decay."""
    curves, rows, units, lags = [], [], 16, 20
    for strength in (0.0, 0.02, 0.2):
        torch.manual_seed(1)
        cell = RnnCell(4, units).double()
        nn.init.normal_(cell.recurrent.weight)
        scale_to_radius(cell.recurrent.weight.data, 1.1)
        for _ in range(updates):
            inputs = torch.randn(8, 10, 4).double()
            states = unroll_cell(cell, inputs, (torch.zeros(8, units).double(),))
            loss = (states[:, -1, :4] - inputs[:, 0]).square().mean()
            cell.zero_grad()
            (loss + strength * l2_penalty(cell.parameters())).backward()
            with torch.no_grad():
                for weight in cell.parameters():
                    weight -= 0.1 * weight.grad
        states = run(cell, cell.project(torch.randn(ROWS, lags, 4).double()))
        curves.append(Curve(f"l2 = {strength:g}", back_through(states, directions(units))))
        rows.append([strength, spectral_radius(cell.recurrent.weight), curves[-1].norms[-1]])
    report.table("decay", ["l2", "spectral radius", f"lag {lags}"], rows)
    return curves


# --- drawing -------------------------------------------------------------------------------


def _draw(
    activations: dict[str, list[Curve]],
    inputs: list[Curve],
    depths: list[Curve],
    decays: list[Curve],
) -> "Figure":
    from matplotlib.figure import Figure

    panels = [
        *((f"{name}, inputs x 1", curves) for name, curves in activations.items()),
        ("tanh, spectral 1.1", inputs),
        ("tanh, orthogonal, by depth", depths),
        ("tanh, trained with weight decay", decays),
    ]
    with large_text():
        figure = Figure(figsize=(13, 8), layout="constrained")
        for axes, (title, curves) in zip(figure.subplots(2, 3).flat, panels, strict=True):
            for number, curve in enumerate(curves):
                known = [(lag, norm) for lag, norm in enumerate(curve.norms) if norm > 1e-40]
                lags, norms = zip(*known, strict=True)
                draw_curve(axes, number, lags, norms, curve.name)
            whole_decades(axes)
            axes.set_title(title)
            axes.set_xlabel("lag (steps)")
            axes.set_ylabel("mean norm of v dh(t)/dh(t - lag)")
            axes.grid(alpha=0.3)
            axes.legend(fontsize=9)
    return figure
