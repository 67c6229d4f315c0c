"""How far back a network can learn to look: temporal order, and adding."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from lectures.shelf import Report
from nmt.laboratory.network import ManyToOne, initialize_smart_tanh
from nmt.laboratory.tasks import Adding, TemporalOrder
from nmt.laboratory.training import Measured, Settings, train
from nmt.layers.cells import GruCell, LstmCell, RnnCell
from nmt.layers.convolution import ConvolutionalStack
from nmt.layers.initialization import initialize_orthogonal

CLAIM = "Clipping is for exploding gradients; Omega, gates or convolutions are for vanishing ones."
MEAN_ANSWER = 1 / 6
"""Mean squared error of always answering 1 to adding."""


@dataclass(frozen=True)
class Scale:
    """How large the experiments are."""

    order_length: int
    order_updates: int
    seeds: Sequence[int]
    adding_length: int
    adding_updates: int


FULL = Scale(30, 4000, range(1, 4), 50, 1000)
QUICK = Scale(10, 80, range(1, 2), 10, 30)

METHODS = {
    "gradient descent": Settings(0),
    "clipped": Settings(0, clip=1.0),
    "clipped, with Omega": Settings(0, clip=1.0, omega=2.0),
}


def show(report: Report) -> None:
    scale = QUICK if report.quick else FULL
    length = scale.order_length
    report.say(
        f"Temporal order: which of A and B comes first and which second, in {length} symbols? 50 "
        "tanh units, 20 sequences an update, a rate of 0.01; solved is an error below 1 %. Omega "
        "is the regulariser of Pascanu et al. (2013). They report success up to 200 symbols, after "
        f"up to 5 million updates; here are {scale.order_updates:,}."
    )
    runs = {
        name: [order(method, scale, seed) for seed in scale.seeds]
        for name, method in METHODS.items()
    }
    columns = ("training", "solved", "of", "median updates", "largest |gradient|")
    report.table("order", columns, [summary(name, run) for name, run in runs.items()])
    report.say(
        f"Adding: the sum of the two marked numbers out of {scale.adding_length}. 32 units, Adam, "
        f"a rate of 0.005, clipped at 1. Always answering 1 has an error of {MEAN_ANSWER:.3f}."
    )
    added = {name: add(network, scale) for name, network in readers().items()}
    rows = [(name, run[-1].error, run[-1].update) for name, run in added.items()]
    report.table("adding", ("network", "mean squared error", "updates"), rows)
    report.draw("long-range", draw(runs, added))
    report.say(
        "How to read it: on the left, how wrong each of the runs still is; a line that ends at the "
        "bottom is solved, one that ends above it ran out of updates. On the right, lines at the "
        "grey line have learned nothing but the mean: a plain tanh network does not find numbers "
        "so far back; gates and convolutions do."
    )


def order(method: Settings, scale: Scale, seed: int) -> list[Measured]:
    """Return the measurements of a run on temporal order."""
    torch.manual_seed(seed)
    network = ManyToOne(RnnCell(6, 50), 4)
    initialize_smart_tanh(network)
    every = min(200, scale.order_updates // 4)
    settings = Settings(
        scale.order_updates, clip=method.clip, omega=method.omega, check_every=every
    )
    generator = Generator().manual_seed(seed)
    return list(train(network, TemporalOrder(scale.order_length), settings, generator))


def summary(name: str, runs: Sequence[Sequence[Measured]]) -> tuple[object, ...]:
    solved = [run[-1].update for run in runs if run[-1].is_solved]
    largest = max(measured.norm for run in runs for measured in run)
    return name, len(solved), len(runs), median(solved) if solved else "-", largest


class Convolutional(nn.Module):
    """Four levels of causal convolutions with three taps: the last output sees 61 inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ConvolutionalStack(2, 32, levels=4, kernel_size=3)
        self.output = nn.Linear(32, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [batch, 1] of `inputs` [batch, length, 2]."""
        everywhere = torch.ones(inputs.shape[:2], dtype=torch.bool)
        output: Tensor = self.output(self.stack(inputs, everywhere)[:, -1])
        return output


def readers() -> dict[str, nn.Module]:
    """Return the networks that add."""
    torch.manual_seed(1)
    networks: dict[str, nn.Module] = {
        "tanh": ManyToOne(RnnCell(2, 32), 1),
        "GRU": ManyToOne(GruCell(2, 32), 1),
        "LSTM": ManyToOne(LstmCell(2, 32), 1),
        "TCN": Convolutional(),
    }
    for network in networks.values():
        initialize_orthogonal(network)
    return networks


def add(network: nn.Module, scale: Scale) -> list[Measured]:
    """Return the measurements of a run on adding."""
    every = max(scale.adding_updates // 15, 1)
    settings = Settings(
        scale.adding_updates, rate=0.005, clip=1.0, adaptive=True, check_every=every, solved=0.002
    )
    return list(train(network, Adding(scale.adding_length), settings, Generator().manual_seed(1)))


# --- picture ----------------------------------------------------------------------------------

STYLES = ("-", "--", ":", "-.")


def draw(runs: dict[str, list[list[Measured]]], added: dict[str, list[Measured]]) -> Figure:
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (name, seeds), style in zip(runs.items(), (":", "--", "-"), strict=True):
        for number, run in enumerate(seeds):
            updates, errors = [m.update for m in run], [100 * m.error for m in run]
            colour = f"C{list(runs).index(name)}"
            left.plot(updates, errors, style, color=colour, label=name if not number else None)
            left.plot(updates[-1:], errors[-1:], "o", color=colour, fillstyle="none")
    left.set(title="temporal order", xlabel="updates", ylabel="wrong answers (%)", ylim=(-3, 100))
    for (name, run), style in zip(added.items(), STYLES, strict=False):
        right.semilogy([m.update for m in run], [m.error for m in run], style, label=name)
    right.axhline(MEAN_ANSWER, color="0.6", linewidth=1)
    right.set(title="adding", xlabel="updates", ylabel="mean squared error")
    for panel in (left, right):
        panel.legend()
    return figure
