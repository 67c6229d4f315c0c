"""Training with and without clipping, where gradients explode."""

import math

import torch
from matplotlib.figure import Figure
from torch import Generator

from lectures.shelf import Report
from nmt.laboratory.network import ManyToOne
from nmt.laboratory.tasks import Adding
from nmt.laboratory.training import Measured, Settings, train
from nmt.layers.cells import RnnCell
from nmt.layers.initialization import initialize_spectral

CLAIM = "Exploding gradients are easy to notice, they end in NaN, and clipping prevents it."
THRESHOLDS = (0.0, 100.0, 10.0, 1.0)
"""Largest norms of the gradient; 0 leaves it as it is."""
LENGTH, RADIUS = 20, 2.0
MEAN_ANSWER = 1 / 6
"""Mean squared error of always answering 1."""


def show(report: Report) -> None:
    updates = 30 if report.quick else 1000
    report.say(
        f"Adding two of {LENGTH} numbers by a ReLU network of 32 units, whose recurrent weights "
        f"have a spectral radius of {RADIUS:g}: about half of the units are on, and everything "
        "grows from step to step, forwards and backwards. Gradient descent with a rate of 0.01; "
        f"always answering 1 has an error of {MEAN_ANSWER:.3f}."
    )
    runs = {threshold: run(threshold, updates) for threshold in THRESHOLDS}
    columns = ("clipped at", "updates", "largest |gradient|", "last error", "numbers are")
    report.table("clipping", columns, [row(*item) for item in runs.items()])
    report.draw("clipping", draw(runs))
    report.explain(
        "norms of the gradient before clipping, the largest of each ten updates.",
        conclusion(runs),
        shown=is_shown(runs),
    )


def is_shown(runs: dict[float, list[Measured]]) -> bool:
    """Whether the unclipped run ends in NaN, and every clipped one answers better than 1 does."""
    ends = {threshold: run[-1].error for threshold, run in runs.items()}
    return not math.isfinite(ends.pop(0.0)) and max(ends.values()) < MEAN_ANSWER


def conclusion(runs: dict[float, list[Measured]]) -> str:
    """Return what follows if training without clipping ends in NaN and with it does not."""
    ends = {threshold: run[-1].error for threshold, run in runs.items() if threshold}
    best = min(ends, key=ends.__getitem__)
    return (
        "Without clipping the first gradient throws the weights away, and the second is not a "
        "number (the cross). nmt notices such an update, skips and counts it, and gives up if "
        "there are many. With clipping the same gradient is a step of a known length, from which "
        f"training finds back; of these thresholds, {best:g} ends with the lowest error."
    )


def run(threshold: float, updates: int) -> list[Measured]:
    """Return the measurements of a run with one threshold."""
    torch.manual_seed(1)
    network = ManyToOne(RnnCell(2, 32, activation="relu"), 1)
    initialize_spectral(network, RADIUS)
    settings = Settings(updates, clip=threshold, check_every=10, solved=0.0)
    return list(train(network, Adding(LENGTH), settings, Generator().manual_seed(1)))


def row(threshold: float, measured: list[Measured]) -> tuple[object, ...]:
    last = measured[-1]
    norms = [m.norm for m in measured if math.isfinite(m.norm)]
    state = "finite" if math.isfinite(last.error) else "NaN or infinite"
    return threshold or "never", last.update, max(norms, default=math.nan), last.error, state


def draw(runs: dict[float, list[Measured]]) -> Figure:
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    highest = max(m.norm for measured in runs.values() for m in measured if math.isfinite(m.norm))
    for (threshold, measured), style in zip(runs.items(), ("-", "--", "-.", ":"), strict=True):
        label = f"clipped at {threshold:g}" if threshold else "not clipped"
        finite = [m for m in measured if math.isfinite(m.norm) and math.isfinite(m.error)]
        updates = [m.update for m in finite]
        (line,) = left.semilogy(updates, [m.norm for m in finite], style, label=label)
        right.semilogy(updates, [m.error for m in finite], style, label=label)
        if len(finite) < len(measured):
            style = {"color": line.get_color(), "markersize": 12}
            left.plot(measured[-1].update, highest, "x", label="not a number", **style)
    left.set(title="norm of the gradient", xlabel="updates", ylabel="norm before clipping")
    right.set(title="error", xlabel="updates", ylabel="mean squared error")
    left.legend()
    return figure
