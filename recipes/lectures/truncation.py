"""Truncated backpropagation through time: how wrong its gradient is, and what it cannot learn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor
from torch.optim import Adam

from lectures.shelf import Report
from nmt.laboratory.network import ManyToOne, unroll_states
from nmt.laboratory.parameters import flatten
from nmt.laboratory.tasks import Recall
from nmt.laboratory.training import loss_of
from nmt.laboratory.truncation import unroll_in_chunks
from nmt.layers.cells import RnnCell
from nmt.layers.initialization import initialize_orthogonal, initialize_spectral

CLAIM = "Backpropagation that is cut after k steps is cheaper, biased, and blind to longer lags."
LENGTH = 40
CHANCE, RECALLED = 0.5, 0.95
"""Share of right answers of a guess, and from which on a symbol counts as recalled."""


@dataclass(frozen=True)
class Scale:
    """How large the experiments are."""

    chunks: tuple[int, ...]
    lag: int
    updates: int
    cuts: tuple[int, ...]


FULL = Scale((1, 2, 4, 5, 8, 10, 20, 40), 10, 300, (1, 3, 5, 8, 11))
QUICK = Scale((1, 4, 10, 40), 3, 100, (2, 4))


def show(report: Report) -> None:
    scale = QUICK if report.quick else FULL
    report.say(
        f"A tanh network of 20 units with an error at each of {LENGTH} steps. Sequences are cut "
        "into chunks of k steps; the state goes on, the gradient stops. How the truncated "
        "gradient differs from the full one, for weights of different spectral radius:"
    )
    biases = {radius: [bias(radius, chunk) for chunk in scale.chunks] for radius in (0.5, 0.9, 1.2)}
    rows = [
        (radius, chunk, difference.output, difference.recurrent, difference.cosine)
        for radius, differences in biases.items()
        for chunk, difference in zip(scale.chunks, differences, strict=True)
    ]
    columns = ("radius", "k", "error of dL/dV", "error of dL/dW", "cosine of dL/dW")
    report.table("bias", columns, rows)
    report.say(
        f"Recalling the first of {scale.lag + 1} equal symbols, from the last k steps; right "
        f"answers in the last tenth of {scale.updates} updates (chance: {CHANCE:g}):"
    )
    learned = [recall(scale, cut) for cut in scale.cuts]
    report.table("recall", ("k", "right"), list(zip(scale.cuts, learned, strict=True)))
    report.draw("truncation", draw(scale, biases, learned))
    report.explain(
        "the gradient of the output weights V needs no past, so its error is 0 at k = 1, too. That "
        "of the recurrent weights W is wrong, and the more so the longer the network remembers (a "
        "larger radius).",
        "A lag longer than k is learned only by luck: if the untrained network happens to carry "
        "the symbol to where the gradient starts.",
        shown=sees_only_what_it_reaches(scale, learned),
    )


def sees_only_what_it_reaches(scale: Scale, learned: Sequence[float]) -> bool:
    """Whether the first symbol is recalled if the gradient reaches it, and not otherwise."""
    found = list(zip(scale.cuts, learned, strict=True))
    reaching = [right for cut, right in found if cut > scale.lag]
    short = [right for cut, right in found if cut <= scale.lag]
    return min(reaching) > RECALLED and max(short) < (RECALLED + CHANCE) / 2


# --- bias of the gradient ---------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How a truncated gradient differs from the full one."""

    output: float
    """Of the output weights: length of the difference, as a share of the full one's."""
    recurrent: float
    """Of the recurrent weights."""
    cosine: float
    """Between both gradients of the recurrent weights."""


def bias(radius: float, chunk: int) -> Difference:
    """Return the difference that chunks make, for random weights and targets."""
    torch.manual_seed(1)
    cell = RnnCell(4, 20).double()
    initialize_spectral(cell, radius)
    output = torch.randn(3, 20).double().requires_grad_()
    inputs, targets = torch.randn(10, LENGTH, 4).double(), torch.randn(10, LENGTH, 3).double()

    def gradients(states: list[tuple[Tensor, ...]]) -> list[Tensor]:
        outputs = torch.stack([state[0] for state in states], dim=1) @ output.T
        loss = (outputs - targets).square().mean()
        return list(torch.autograd.grad(loss, [output, cell.recurrent.weight]))

    full = gradients(unroll_states(cell, inputs))
    cut = gradients(unroll_in_chunks(cell, inputs, chunk))
    errors = [float((a - b).norm() / b.norm()) for a, b in zip(cut, full, strict=True)]
    one, other = flatten([cut[1]]), flatten([full[1]])
    return Difference(errors[0], errors[1], float(one @ other / one.norm() / other.norm()))


# --- what is learned --------------------------------------------------------------------------


def recall(scale: Scale, cut: int) -> float:
    """Return the share of right answers at the end of training with the last `cut` steps."""
    torch.manual_seed(1)
    task, generator = Recall(scale.lag, alike=True), Generator().manual_seed(1)
    network = ManyToOne(RnnCell(task.features, 16), task.outputs)
    initialize_orthogonal(network)
    with torch.no_grad():
        network.cell.recurrent.weight.mul_(0.5)
    optimizer = Adam(network.parameters(), lr=0.01)
    right = []
    for _ in range(scale.updates):
        examples = task.draw(20, generator)
        before, seen = examples.inputs[:, :-cut], examples.inputs[:, -cut:]
        with torch.no_grad():
            start = unroll_states(network.cell, before)[-1] if before.shape[1] else None
        outputs = network.output(unroll_states(network.cell, seen, start)[-1][0])
        optimizer.zero_grad()
        loss_of(outputs, examples.targets).backward()
        optimizer.step()
        right.append(float((outputs.argmax(dim=-1) == examples.targets).double().mean()))
    last = scale.updates // 10
    return sum(right[-last:]) / last


def draw(scale: Scale, biases: dict[float, list[Difference]], learned: list[float]) -> Figure:
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for (radius, differences), style in zip(biases.items(), ("o:", "s--", "D-"), strict=True):
        errors = [100 * difference.recurrent for difference in differences]
        left.plot(scale.chunks, errors, style, fillstyle="none", label=f"radius {radius:g}")
    left.set(
        title="error of the truncated gradient", xlabel="k (steps)", ylabel="error of dL/dW (%)"
    )
    left.set_xscale("log", base=2)
    left.xaxis.set_major_formatter("{x:g}")
    left.legend()
    right.plot(scale.cuts, learned, "o-", color="black")
    right.axhline(CHANCE, color="0.6", linewidth=1)
    right.axvline(scale.lag + 1, color="0.6", linestyle="--")
    right.set(title=f"recall after {scale.lag} symbols", xlabel="k (steps)", ylabel="right answers")
    right.set_ylim(0.4, 1.03)
    return figure
