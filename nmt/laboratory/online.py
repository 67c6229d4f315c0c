"""A network that answers and learns at each step, and never goes back to what it read."""

from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from nmt.laboratory.network import ManyToOne
from nmt.laboratory.parameters import unflatten
from nmt.laboratory.rtrl import Step, differentiate_step
from nmt.laboratory.training import loss_of
from nmt.layers.cells import zero_state


class Rule(Protocol):
    """Gives the gradient of a loss with respect to a cell's parameters while the cell is run."""

    def advance(self, step: Step) -> None:
        """Follow the cell by one step."""

    def gradient(self, grad_state: Tensor) -> Tensor:
        """Return dL/dtheta [rows, parameters] from dL/ds of the latest state, [rows, state]."""


class OnlineLearner:
    """Reads a stream, answers, and changes its weights as soon as it is told the right answer.

    Args:
        network: cell and output layer; the output layer needs no past for its gradient.
        rule: the cell's gradient: exact (`Rtrl`), truncated or estimated.
        optimizer: changes all parameters of `network`.
        rows: streams that are read side by side.
    """

    def __init__(
        self, network: ManyToOne, rule: Rule, optimizer: Optimizer, *, rows: int = 1
    ) -> None:
        self.network, self.rule, self.optimizer = network, rule, optimizer
        self.state = torch.cat(zero_state(network.cell, rows), dim=-1)
        """All parts of the cell's state, [rows, state]."""

    def read(self, inputs: Tensor, targets: Tensor | None = None) -> Tensor:
        """Return the output [rows, outputs] for one more input [rows, features].

        The output is that of the weights before the update, so that its error is honest.

        Args:
            inputs: the input, [rows, features].
            targets: the right answers [rows]; by default nothing is learned at this step.
        """
        cell, layer = self.network.cell, self.network.output
        step = differentiate_step(cell, inputs, self.state)
        self.rule.advance(step)
        self.state = step.state.detach()
        read = self.state[:, : cell.hidden_size].requires_grad_()  # h
        outputs: Tensor = layer(read)
        if targets is not None:
            learned = [read, *layer.parameters()]
            loss = loss_of(outputs, targets)
            grad_hidden, *grads_output = torch.autograd.grad(loss, learned)
            grad_state = torch.zeros_like(self.state)
            grad_state[:, : cell.hidden_size] = grad_hidden
            self._update(self.rule.gradient(grad_state).sum(dim=0), grads_output)
        return outputs.detach()

    def _update(self, grad_cell: Tensor, grads_output: list[Tensor]) -> None:
        """Take one step with the gradients of the cell [parameters] and of the output layer."""
        shapes = dict(self.network.cell.named_parameters())
        for name, gradient in unflatten(grad_cell, shapes).items():
            shapes[name].grad = gradient
        for parameter, gradient in zip(self.network.output.parameters(), grads_output, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
