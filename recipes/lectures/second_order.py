"""Steps that know the curvature: at the cliff, and over long lags."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Generator
from torch.nn.functional import cross_entropy

from lectures.shelf import Report
from nmt.laboratory.hessian_free import Examples, HessianFree
from nmt.laboratory.network import ManyToOne
from nmt.laboratory.parameters import as_function, parameter_vector, set_parameters
from nmt.laboratory.surface import measure_surface
from nmt.laboratory.tasks import TemporalOrder
from nmt.laboratory.training import Settings, error_of, train
from nmt.layers.cells import RnnCell
from nmt.layers.initialization import initialize_sparse

CLAIM = "Second-order methods take small steps where curvature explodes, and learn long lags."
SOLVED = 0.01


@dataclass(frozen=True)
class Scale:
    """How large the experiments are."""

    length: int
    seeds: Sequence[int]
    steps: int
    rows: int
    """Sequences for loss and gradient of a step."""
    curvature_rows: int
    """Those of them that products with the curvature are computed of."""
    updates: int
    """Of gradient descent, for comparison."""


FULL = Scale(30, (1, 2, 3), 30, 1000, 300, 4000)
QUICK = Scale(10, (1,), 6, 200, 100, 100)


@dataclass(frozen=True)
class Point:
    """What is known after some sequences."""

    sequences: int
    """Sequences of all passes so far; a product with the curvature is two passes."""
    error: float
    """Share of wrong answers."""


def show(report: Report) -> None:
    scale = QUICK if report.quick else FULL
    report.say(
        "A step of Newton's method is the gradient divided by the curvature. On the surface of the "
        "lecture `cliff`, the longer the gradient, the shorter is that step:"
    )
    columns = ("points", "median |gradient|", "median |curvature|", "|gradient| / |curvature|")
    report.table("steps", columns, newton_steps())
    report.say(
        f"Temporal order of {scale.length} symbols with 50 tanh units. Hessian-free optimisation "
        "(Martens, 2010; structural damping: Martens and Sutskever, 2011) solves J^T H_L J p = -g "
        "by products with the matrix, 30 or so a step. Beside it, gradient descent at 0.01, "
        "clipped at 1:"
    )
    free = {seed: hessian_free(scale, seed) for seed in scale.seeds}
    plain = {seed: gradient_descent(scale, seed) for seed in scale.seeds}
    rows = [
        (name, seed, points[-1].error, points[-1].error < SOLVED, points[-1].sequences)
        for name, runs in (("Hessian-free", free), ("gradient descent", plain))
        for seed, points in runs.items()
    ]
    columns = ("method", "seed", "error", "solved", "sequences")
    report.table("order", columns, rows)
    report.draw("second-order", draw(free, plain))
    report.explain(
        "both methods by what they cost, the number of sequences passed through the network "
        "forwards or backwards.",
        "Hessian-free steps (circles) are dear and few, and every run arrives. Gradient descent is "
        "cheaper where it works, and stays where it is elsewhere: the success depends on the seed.",
        shown=all(points[-1].error < SOLVED for points in free.values())
        and len({points[-1].error < SOLVED for points in plain.values()}) > 1,
    )


def newton_steps() -> list[tuple[str, float, float, float]]:
    """Return how long gradients and Newton's steps are on the plain and at the cliff."""
    surface = measure_surface()
    slope, curvature = surface.slope.flatten(), surface.curvature.flatten()
    steepest = slope.topk(20).indices
    flat = slope.topk(slope.numel() // 2, largest=False).indices
    return [
        (
            name,
            float(slope[points].median()),
            float(curvature[points].median()),
            float((slope[points] / curvature[points]).median()),
        )
        for name, points in (("flatter half", flat), ("20 steepest", steepest))
    ]


def make_network(seed: int) -> ManyToOne:
    torch.manual_seed(seed)
    network = ManyToOne(RnnCell(6, 50), 4)
    initialize_sparse(network, nonzeros=15, radius=0.95)
    return network


def hessian_free(scale: Scale, seed: int) -> list[Point]:
    """Return a measurement after each step."""
    network, task = make_network(seed), TemporalOrder(scale.length)
    generator = Generator().manual_seed(seed)
    run = as_function(network, ManyToOne.with_states)
    optimizer = HessianFree(run, cross_entropy, damping=1.0, structural=0.1, steps=40)
    theta, sequences, points = parameter_vector(network), 0, []
    for _ in range(scale.steps):
        examples = task.draw(scale.rows, generator)
        some = slice(scale.curvature_rows)
        curvature = Examples(examples.inputs[some], examples.targets[some])
        theta, outcome = optimizer.step(
            theta, Examples(examples.inputs, examples.targets), curvature
        )
        set_parameters(network, theta)
        sequences += 4 * scale.rows + 2 * outcome.products * scale.curvature_rows
        points.append(Point(sequences, error_of(network, task, generator)))
        if points[-1].error < SOLVED:
            break
    return points


def gradient_descent(scale: Scale, seed: int) -> list[Point]:
    """Return a measurement after every twentieth of all updates."""
    settings = Settings(scale.updates, clip=1.0, check_every=scale.updates // 20, solved=SOLVED)
    task, generator = TemporalOrder(scale.length), Generator().manual_seed(seed)
    measured = train(make_network(seed), task, settings, generator)
    return [Point(2 * m.update * settings.batch, m.error) for m in measured]


def draw(free: dict[int, list[Point]], plain: dict[int, list[Point]]) -> Figure:
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    panel = figure.subplots()
    for name, runs, style, colour in (
        ("Hessian-free", free, "o-", "C0"),
        ("gradient descent, clipped", plain, ".:", "C1"),
    ):
        for number, points in enumerate(runs.values()):
            panel.plot(
                [point.sequences / 1000 for point in points],
                [100 * point.error for point in points],
                style,
                color=colour,
                fillstyle="none",
                label=None if number else name,
            )
    panel.set(xlabel="sequences passed, forwards or backwards (thousands)")
    panel.set(ylabel="wrong answers (%)", ylim=(-3, 100))
    panel.legend()
    return figure
