"""Train a many-to-one network on an artificial task: plain, clipped, or with Pascanu's regulariser.

One loop for all lectures, so that what they compare differs in nothing else.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam, Optimizer

from nmt.laboratory.network import ManyToOne
from nmt.laboratory.omega import omega
from nmt.laboratory.tasks import Task
from nmt.layers.cells import RnnCell


class Answering(Protocol):
    """A network with one answer per sequence, or one for each of its last positions."""

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the output [batch, outputs] or [batch, answers, outputs] for `inputs`
        [batch, length, features]."""


@dataclass(frozen=True)
class Settings:
    """How a network is trained.

    Args:
        updates: largest number of updates.
        rate: learning rate.
        clip: largest norm of the gradient; 0 leaves it as it is.
        omega: weight of the regulariser, in the form of its authors' program.
        batch: sequences of an update.
        adaptive: use Adam instead of plain gradient descent.
        check_every: updates between two measurements.
        solved: end as soon as the error is below this.
    """

    updates: int
    rate: float = 0.01
    clip: float = 0.0
    omega: float = 0.0
    batch: int = 20
    adaptive: bool = False
    check_every: int = 200
    solved: float = 0.01


@dataclass(frozen=True)
class Measured:
    """What was measured after some updates."""

    update: int
    error: float
    """Share of wrong answers among 1,000, or mean squared error of numbers."""
    norm: float
    """Largest norm of the gradient since the last measurement, before clipping."""
    is_solved: bool


def loss_of(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of classes, or the mean squared error of numbers.

    Args:
        outputs: [batch, outputs], or [batch, length, outputs] for a class per position.
        targets: classes [batch] or [batch, length], or numbers [batch].
    """
    if targets.is_floating_point():
        return (outputs.squeeze(-1) - targets).square().mean()
    return cross_entropy(outputs.flatten(0, -2), targets.flatten())


@torch.no_grad()
def error_of(network: Answering, task: Task, generator: Generator, count: int = 1000) -> float:
    """Return the share of wrong answers, or the mean squared error, on new examples."""
    examples = task.draw(count, generator)
    outputs = network(examples.inputs)
    if examples.targets.is_floating_point():
        return float(loss_of(outputs, examples.targets))
    if not outputs.isfinite().all():
        return math.nan
    return float((outputs.argmax(dim=-1) != examples.targets).double().mean())


def train(
    network: nn.Module, task: Task, settings: Settings, generator: Generator
) -> Iterator[Measured]:
    """Train a network, and yield a measurement now and then.

    It ends when the task is solved, or the network consists of numbers no longer.

    Args:
        network: maps [batch, length, features] to what `loss_of` compares with the targets;
            `ManyToOne` with an `RnnCell` if there is a regulariser.
        task: what examples are drawn from.
        settings: how it is trained.
        generator: draws the examples.
    """
    kind: type[Optimizer] = Adam if settings.adaptive else SGD
    optimizer = kind(network.parameters(), lr=settings.rate)  # type: ignore[call-arg]
    largest = 0.0
    for update in range(1, settings.updates + 1):
        examples = task.draw(settings.batch, generator)
        norm = set_gradients(network, examples.inputs, examples.targets, settings)
        largest = max(largest, norm) if math.isfinite(norm) else norm
        optimizer.step()
        if update % settings.check_every == 0 or not math.isfinite(norm):
            error = error_of(cast(Answering, network), task, generator)
            yield Measured(update, error, largest, error < settings.solved)
            if error < settings.solved or not math.isfinite(error):
                return
            largest = 0.0


def set_gradients(network: nn.Module, inputs: Tensor, targets: Tensor, settings: Settings) -> float:
    """Set the gradient of each parameter for one batch; return its norm before clipping.

    The regulariser's gradient is added first, so that clipping applies to the sum.
    """
    parameters = list(network.parameters())
    if settings.omega:
        gradients = _regularised(cast(ManyToOne, network), inputs, targets, settings.omega)
    else:
        gradients = list(torch.autograd.grad(loss_of(network(inputs), targets), parameters))
    norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
    scale = settings.clip / norm if settings.clip and norm > settings.clip else 1.0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient * scale
    return norm


def _regularised(
    network: ManyToOne, inputs: Tensor, targets: Tensor, weight: float
) -> list[Tensor]:
    """Return the gradients of loss + weight * Omega, with Omega's immediate derivative only."""
    cell, parameters = cast(RnnCell, network.cell), list(network.parameters())
    states = network.states(inputs)
    loss = loss_of(network.output(states[-1]), targets)
    gradients = list(torch.autograd.grad(loss, [*parameters, *states]))
    grad_states = gradients[len(parameters) :]
    penalty = weight * omega(cell, states, grad_states, form="squared", average=True)
    recurrent = cell.recurrent.weight
    (added,) = torch.autograd.grad(penalty, recurrent)
    return [
        gradient + added if parameter is recurrent else gradient
        for parameter, gradient in zip(parameters, gradients, strict=False)
    ]
