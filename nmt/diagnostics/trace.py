"""The states h_t of a model's recurrent layers on a batch, and the gradients dL/dh_t.

A model computes its loss by the plain steps while hooks note what goes into each cell and what
comes out, so the equations in `nmt.layers` need not know of it. Each direction of each layer then
is a `Walk`: a state after every step, in the order in which the cell read. The state s is all that
a cell hands to its next step: h, and c in an LSTM.

The gradient that reaches a state has two parts: what the state does to the loss at once, and what
it does through the next state (backpropagation through time; Werbos, 1990):

    dL/ds_t = d+L/ds_t + dL/ds_{t+1} ds_{t+1}/ds_t

Unrolled, the contribution of step t to the gradient of an earlier state s_i is
d+L/ds_t ds_t/ds_i, and these contributions add up to dL/ds_i (Pascanu et al., 2013, eq. 3 to 5).
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from nmt.data.batch import Batch
from nmt.layers.cells import Cell, State
from nmt.models.encoder_decoder import EncoderDecoder

Measure = Callable[[EncoderDecoder, Batch], Tensor]
"""Returns the loss of a model on a batch, summed over its tokens."""


@dataclass(frozen=True)
class Call:
    """One step of a cell: what went in and what came out."""

    projected: Tensor
    """W x + b of the input, [batch, gates * hidden]."""
    before: State
    """The state before the step."""
    after: State
    """What the cell returned."""


@dataclass(frozen=True)
class Walk:
    """One direction of one layer over a batch, step by step, in the order of its reading.

    All sentences begin at step 0; those that are shorter than the longest end in steps over
    padding, which no figure counts.
    """

    path: str
    """Name of the cell in the model, such as "encoder.stack.layers.0.cells.1"."""
    cell: Cell
    calls: tuple[Call, ...]
    """One per step."""
    states: tuple[State, ...]
    """The state after each step, as the next step and the outputs see it."""
    gradients: tuple[State, ...]
    """dL/ds of each of them, zeros where the loss does not depend on it."""
    weight_gradient: Tensor
    """dL/dU of the cell's recurrent weights U, of the same shape; [0] if it has none."""
    lengths: Tensor
    """Steps over real tokens, [batch]."""

    @property
    def side(self) -> str:
        """The part of the model, such as "encoder"."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """A name for people, such as "encoder 1 backward": layers are counted from 1."""
        layer, direction = (re.search(rf"{part}\.(\d+)", self.path) for part in ("layers", "cells"))
        number = f" {int(layer[1]) + 1}" if layer else ""
        is_encoder = self.side == "encoder" and direction is not None
        way = ("forward", "backward")[int(direction[1])] if is_encoder and direction else ""
        return f"{self.side}{number} {way}".strip()

    def back(self, step: int, vector: State) -> State:
        """Return `vector` ds_step/ds_{step-1}: a gradient at one state, carried to the one before.

        The Jacobian has all that leads from a state of this layer to its next one, so also what a
        decoder with input feeding hands on besides its states.
        """
        outputs = [
            (state, part)
            for state, part in zip(self.states[step], vector, strict=True)
            if state.requires_grad
        ]
        return _gradients(
            [state for state, _ in outputs], self.states[step - 1], [part for _, part in outputs]
        )

    def carry(self, starts: Sequence[State], at: Tensor) -> list[State]:
        """Carry a gradient back from one step of each sentence to all steps before it.

        Args:
            starts: gradients to choose from, one state per step.
            at: the step of each sentence from which its gradient is taken, [batch].

        Returns:
            The gradient at each step: that of `starts` at step `at`, `starts[at]` ds_at/ds_i at
            each step i before it, and zeros after it.
        """
        carried: list[State] = []
        vector = tuple(torch.zeros_like(part) for part in starts[-1])
        for step in range(len(self.states) - 1, -1, -1):
            if step + 1 < len(self.states):
                vector = self.back(step + 1, vector)
            begins = (at == step).unsqueeze(1)  # [batch, 1]
            vector = tuple(
                torch.where(begins, start, part)
                for start, part in zip(starts[step], vector, strict=True)
            )
            carried.append(vector)
        return carried[::-1]

    @cached_property
    def immediate(self) -> list[State]:
        """d+L/ds of each state: its gradient without what comes back from the next state."""
        later = [self.back(step, self.gradients[step]) for step in range(1, len(self.states))]
        later.append(tuple(torch.zeros_like(part) for part in self.gradients[-1]))
        return [
            tuple(whole - part for whole, part in zip(*both, strict=True))
            for both in zip(self.gradients, later, strict=True)
        ]

    def real(self, step: int) -> Tensor:
        """True for each sentence in which a step reads a real token, [batch]."""
        return self.lengths > step


@dataclass(frozen=True)
class Trace:
    """All recurrent layers of a model on one batch."""

    walks: tuple[Walk, ...]
    """Encoder first, then decoder; the lowest layer first, the forward direction first."""
    loss: Tensor
    """The loss, summed over the tokens of the batch."""


def _recurrent_weight(cell: Cell) -> Tensor:
    """Return the recurrent weights of a cell, or an empty tensor if it has none."""
    if cell.recurrent is not None:
        return cell.recurrent.weight
    return cell.input.weight.new_empty(0, requires_grad=True)


def trace(model: EncoderDecoder, batch: Batch, measure: Measure) -> Trace:
    """Return the states and their gradients of a batch, computed without dropout.

    The parameters' own gradients are left alone.

    Args:
        model: of plain modules, as `nmt.models` builds it.
        batch: on the model's device.
        measure: what is differentiated.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad(), _recording(model) as calls:
            loss = measure(model, batch)
    finally:
        model.train(was_training)
    modules = dict(model.named_modules())
    states = {path: _states(found) for path, found in calls.items()}
    cells = {path: cast(Cell, modules[path]) for path in states}
    weights = tuple(_recurrent_weight(cell) for cell in cells.values())
    flat = tuple(part for each in states.values() for state in each for part in state)
    found = _gradients([loss], (*weights, *flat), [torch.ones_like(loss)])
    by_cell = dict(zip(cells, found, strict=False))
    gradients = iter(found[len(cells) :])
    walks = [
        Walk(
            path=path,
            cell=cells[path],
            calls=tuple(calls[path]),
            states=each,
            gradients=tuple(tuple(next(gradients) for _ in state) for state in each),
            weight_gradient=by_cell[path],
            lengths=_lengths(path, len(each), batch),
        )
        for path, each in states.items()
    ]
    return Trace(tuple(walks), loss.detach())


@dataclass(frozen=True)
class _Calls:
    by_path: dict[str, list[Call]] = field(default_factory=dict)

    def note(self, path: str, module: nn.Module, arguments: Any, output: State) -> State:
        """Note a call; return its output as tensors of their own.

        A cell with delays hands on an earlier state as it is: the same tensor would be part of two
        states.
        """
        projected, before, *_ = arguments
        after = tuple(part.view_as(part) for part in output)
        self.by_path.setdefault(path, []).append(Call(projected, before, after))
        return after


@contextlib.contextmanager
def _recording(model: nn.Module) -> Iterator[dict[str, list[Call]]]:
    """Yield the calls of each cell inside the block, by the name of the cell in the model."""
    calls = _Calls()
    cells = {path: module for path, module in model.named_modules() if isinstance(module, Cell)}
    outer = [path for path in cells if path.rpartition(".")[0] not in cells]
    hooks = [cells[path].register_forward_hook(partial(calls.note, path)) for path in outer]
    try:
        yield calls.by_path
    finally:
        for hook in hooks:
            hook.remove()


def _states(calls: Sequence[Call]) -> tuple[State, ...]:
    """Return the state after each step.

    It is what the next step reads, which a layer may have changed after the cell returned it.
    """
    return (*(call.before for call in calls[1:]), calls[-1].after)


def _gradients(outputs: Sequence[Tensor], inputs: State, vectors: Sequence[Tensor]) -> State:
    """Return the product of `vectors` with the derivatives of `outputs` by each of `inputs`."""
    places = [place for place, part in enumerate(inputs) if part.requires_grad]
    found: dict[int, Tensor | None] = {}
    if places and outputs:
        gradients = torch.autograd.grad(
            list(outputs),
            [inputs[place] for place in places],
            list(vectors),
            retain_graph=True,
            allow_unused=True,
        )
        found = dict(zip(places, gradients, strict=True))
    return tuple(
        torch.zeros_like(part) if (gradient := found.get(place)) is None else gradient
        for place, part in enumerate(inputs)
    )


def _lengths(path: str, steps: int, batch: Batch) -> Tensor:
    """Return how many of a cell's steps read real tokens, [batch]."""
    masks = [batch.source_mask, batch.target_mask]
    if not path.startswith("encoder"):
        masks.reverse()
    for mask in masks:
        if mask.shape[1] == steps:
            return mask.sum(dim=1)
    return torch.full_like(masks[0].sum(dim=1), steps)
