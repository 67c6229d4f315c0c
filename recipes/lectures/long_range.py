"""How far back a network can learn to look: temporal order, adding, recall, and copying."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from lectures.shelf import Report
from nmt.laboratory.network import ManyToOne, initialize_smart_tanh, unroll_states
from nmt.laboratory.tasks import Adding, Copy, Recall, Task, TemporalOrder
from nmt.laboratory.training import Measured, Settings, train
from nmt.layers.cells import Cell, GruCell, LstmCell, RnnCell
from nmt.layers.convolution import ConvolutionalStack
from nmt.layers.initialization import initialize_orthogonal

CLAIM = "Clipping is for exploding gradients; Omega, gates or convolutions are for vanishing ones."
ERRORS = {"adding": "mean squared error", "recall": "wrong symbols", "copy": "wrong symbols"}
SYMBOLS, UNITS = 8, 32
KEEP = slice(UNITS, 2 * UNITS)
"""Biases of the gate that keeps: z of a GRU and f of an LSTM are their second gates."""
OPEN = 3.0
"""Bias of a gate that begins about 0.95 open."""
MEAN_ANSWER = 1 / 6
"""Mean squared error of always answering 1 to adding."""


@dataclass(frozen=True)
class Scale:
    """How large the experiments are."""

    order_length: int
    order_updates: int
    seeds: Sequence[int]
    length: int
    """Numbers to add two of, and distractors after the symbol to recall."""
    copied: int
    """Symbols to copy."""
    updates: int
    """For each network and task, at most."""


FULL = Scale(30, 8000, range(1, 4), 50, 10, 1000)
QUICK = Scale(10, 80, range(1, 2), 10, 3, 30)

Runs = dict[str, list[list[Measured]]]
"""Measurements by method or network, and seed."""
Tasks = dict[str, Runs]
"""Measurements of the other tasks, by task, network, and seed."""

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
        f"Networks of {UNITS} units, by Adam with a rate of 0.005, clipped at 1; where it says "
        f"open, the gate that keeps begins with a bias of {OPEN:g}. Adding: the sum of the two "
        f"marked numbers out of {scale.length}; always answering 1 has an error of "
        f"{MEAN_ANSWER:.3f}. Recall: the first symbol, one of {SYMBOLS}, after {scale.length} "
        f"others. Copy: {scale.copied} symbols, as soon as the last of them is read. A guess is "
        f"wrong in {1 - 1 / SYMBOLS:.0%} of the cases:"
    )
    found = {title: learn_all(task, scale) for title, task in tasks(scale).items()}
    for title, networks in found.items():
        columns = ("network", "solved", "of", "median updates", f"median {ERRORS[title]}")
        report.table(title, columns, [outcome(name, run) for name, run in networks.items()])
    report.draw("long-range", draw(runs, found))
    report.explain(
        "at the top left, how wrong each of the runs still is; a line that ends at the bottom is "
        "solved, one that ends above it ran out of updates. In the other panels, lines at the grey "
        "line have learned nothing: it is the error of the mean, or of a guess.",
        conclusion(found),
        shown=is_shown(runs, found),
    )


def is_shown(runs: Runs, found: Tasks) -> bool:
    """Whether Omega solves temporal order most often, and of all networks only tanh cannot add."""
    solved = [count_solved(each) for each in runs.values()]
    plain, *others = ([run[-1].error for run in each] for each in found["adding"].values())
    adds = max(max(each) for each in others) < MEAN_ANSWER / 2
    return 0 < solved[-1] == max(solved) and adds and min(plain) > MEAN_ANSWER / 2


def count_solved(runs: Sequence[Sequence[Measured]]) -> int:
    """Return how many runs solved their task."""
    return sum(run[-1].is_solved for run in runs)


def conclusion(found: Tasks) -> str:
    """Return what follows if a tanh network alone cannot add."""
    recalled, copied = (
        [f'"{name}"' for name, each in found[title].items() if count_solved(each) == len(each)]
        for title in ("recall", "copy")
    )
    return (
        "A plain tanh network does not find numbers to add so far back; gates and convolutions "
        "do. That depends on the task: recall is solved in each run by "
        f"{', '.join(recalled) or 'none'}, copying by {', '.join(copied) or 'none'}."
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
    largest = max(measured.norm for run in runs for measured in run)
    return *outcome(name, runs)[:-1], largest


def outcome(name: str, runs: Sequence[Sequence[Measured]]) -> tuple[object, ...]:
    """Return the number of solved runs, the updates they took, and the error of all at the end."""
    solved = [run[-1].update for run in runs if run[-1].is_solved]
    updates = median(solved) if solved else "-"
    return name, len(solved), len(runs), updates, median(run[-1].error for run in runs)


class Recurrent(nn.Module):
    """An answer at each of the last positions.

    Args:
        cell: the recurrent cell.
        outputs: size of an answer.
        answers: number of answers; one is returned without a dimension of its own.
    """

    def __init__(self, cell: Cell, outputs: int, answers: int) -> None:
        super().__init__()
        self.cell, self.answers = cell, answers
        self.output = nn.Linear(cell.hidden_size, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [batch, outputs] or [batch, answers, outputs] of [batch, length, features]."""
        states = [state[0] for state in unroll_states(self.cell, inputs)]
        output: Tensor = self.output(torch.stack(states[-self.answers :], dim=1))
        return output.squeeze(1)


class Convolutional(nn.Module):
    """Four levels of causal convolutions with three taps: an output sees 61 inputs.

    Args:
        features: size of an input.
        outputs: size of an answer.
        answers: see `Recurrent`.
    """

    def __init__(self, features: int, outputs: int, answers: int) -> None:
        super().__init__()
        self.stack = ConvolutionalStack(features, UNITS, levels=4, kernel_size=3)
        self.output, self.answers = nn.Linear(UNITS, outputs), answers

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [batch, outputs] or [batch, answers, outputs] of [batch, length, features]."""
        everywhere = torch.ones(inputs.shape[:2], dtype=torch.bool)
        output: Tensor = self.output(self.stack(inputs, everywhere)[:, -self.answers :])
        return output.squeeze(1)


def tasks(scale: Scale) -> dict[str, Task]:
    """Return what the networks learn."""
    return {
        "adding": Adding(scale.length),
        "recall": Recall(scale.length, symbols=SYMBOLS),
        "copy": Copy(scale.copied, symbols=SYMBOLS),
    }


def learn_all(task: Task, scale: Scale) -> Runs:
    """Return the measurements of each network on a task."""
    found: Runs = {}
    for seed in scale.seeds:
        for name, network in readers(task, seed).items():
            found.setdefault(name, []).append(learn(network, task, scale, seed))
    return found


def readers(task: Task, seed: int) -> dict[str, nn.Module]:
    """Return the networks that learn a task."""
    torch.manual_seed(seed)
    answers = task.length if isinstance(task, Copy) else 1
    features, outputs = task.features, task.outputs
    cells: dict[str, Cell] = {
        "tanh": RnnCell(features, UNITS),
        "GRU": GruCell(features, UNITS),
        "LSTM": LstmCell(features, UNITS),
        "GRU, open": GruCell(features, UNITS),
        "LSTM, open": LstmCell(features, UNITS),
    }
    networks: dict[str, nn.Module] = {
        name: Recurrent(cell, outputs, answers) for name, cell in cells.items()
    }
    networks["TCN"] = Convolutional(features, outputs, answers)
    for name, network in networks.items():
        initialize_orthogonal(network)
        if name.endswith("open"):
            with torch.no_grad():
                cells[name].input.bias[KEEP] = OPEN
    return networks


def learn(network: nn.Module, task: Task, scale: Scale, seed: int) -> list[Measured]:
    """Return the measurements of a run."""
    every = max(scale.updates // 15, 1)
    solved = 0.002 if isinstance(task, Adding) else 0.01
    settings = Settings(
        scale.updates, rate=0.005, clip=1.0, adaptive=True, check_every=every, solved=solved
    )
    return list(train(network, task, settings, Generator().manual_seed(seed)))


# --- picture ----------------------------------------------------------------------------------

STYLES = ("-", "--", "--", ":", ":", "-.")


def draw(runs: Runs, found: Tasks) -> Figure:
    figure = Figure(figsize=(11, 8), layout="constrained")
    first, *others = figure.subplots(2, 2).flat
    for (name, seeds), style in zip(runs.items(), (":", "--", "-"), strict=True):
        for number, run in enumerate(seeds):
            updates, errors = [m.update for m in run], [100 * m.error for m in run]
            colour = f"C{list(runs).index(name)}"
            first.plot(updates, errors, style, color=colour, label=name if not number else None)
            first.plot(updates[-1:], errors[-1:], "o", color=colour, fillstyle="none")
    first.set(title="temporal order", xlabel="updates", ylabel="wrong answers (%)", ylim=(-3, 100))
    first.legend()
    for panel, (title, networks) in zip(others, found.items(), strict=True):
        is_sum = title == "adding"
        for number, ((name, seeds), style) in enumerate(zip(networks.items(), STYLES, strict=True)):
            for seed, run in enumerate(seeds):
                updates = [m.update for m in run]
                errors = [m.error if is_sum else 100 * m.error for m in run]
                label = None if seed else name
                panel.plot(updates, errors, style, color=f"C{number}", label=label)
                panel.plot(updates[-1:], errors[-1:], "o", color=f"C{number}", fillstyle="none")
        panel.axhline(MEAN_ANSWER if is_sum else 100 * (1 - 1 / SYMBOLS), color="0.6", linewidth=1)
        panel.set(title=title, xlabel="updates", ylabel=ERRORS[title] + ("" if is_sum else " (%)"))
        if is_sum:
            panel.set_yscale("log")
    names = others[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=6, title="adding, recall and copying")
    return figure
