"""Cells unrolled over sequences: one layer, both directions, and stacks of layers."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from nmt.layers.cells import Cell, State, first_state, zero_state
from nmt.layers.dropout import drop, dropout_mask
from nmt.layers.weight_drop import dropped_weight
from nmt.layers.zoneout import Kept, Zoneout, at, zone_out


@dataclass(frozen=True)
class Unrolled:
    """Output of a layer or a stack for a sequence."""

    outputs: Tensor
    """One vector per position, zeros at padding, [batch, length, hidden]."""
    last: Tensor
    """Output after the last token, [batch, hidden]; those of both directions concatenated if the
    layer is bidirectional."""
    states: tuple[State, ...] = ()
    """State of each layer after the last token, likewise: tensors [batch, hidden], without the cell
    state of an LSTM unless the layer keeps it."""
    embedded: Tensor | None = None
    """What an encoder read, with its dropout, [batch, length, embedding]; None in a layer."""


NO_ZONEOUT = Zoneout()


def unroll_states(
    cell: Cell,
    inputs: Tensor,
    state: State,
    *,
    recurrent_dropout: float = 0.0,
    zoneout: Zoneout = NO_ZONEOUT,
) -> list[State]:
    """Apply a cell to `inputs` [batch, length, input] and return the state after each position.

    `recurrent_dropout` draws one mask per sentence and applies it to the hidden state inside each
    recurrent product (Gal and Ghahramani, 2016); `zoneout` draws a mask per position.
    """
    projected = cell.project(inputs)  # [batch, length, gates * hidden]
    mask, kept = None, zoneout.rates(cell.states)
    if recurrent_dropout > 0.0 and cell.training:
        mask = dropout_mask(state[0], tuple(state[0].shape), recurrent_dropout)
    if zoneout.acts_on(cell.states) and cell.training:
        kept = zoneout.draw(state[0], cell.states, (*inputs.shape[:2], cell.hidden_size))
    states = []
    for number, position in enumerate(projected.unbind(dim=1)):
        before, state = state, cell(position, state, None if mask is None else state[0] * mask)
        if zoneout.acts_on(cell.states):
            state = zone_out(before, state, at(kept, number))
        states.append(state)
    return states


def unroll_cell(cell: Cell, inputs: Tensor, state: State) -> Tensor:
    """Apply a cell position by position: [batch, length, input] -> [batch, length, hidden]."""
    return torch.stack([state[0] for state in unroll_states(cell, inputs, state)], dim=1)


def reversal(mask: Tensor) -> Tensor:
    """Return indices [batch, length] that reverse each sentence and leave its padding in place."""
    lengths = mask.sum(dim=1, keepdim=True)  # [batch, 1]
    positions = torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)  # [1, length]
    return torch.where(positions < lengths, lengths - 1 - positions, positions)


def take(sequence: Tensor, indices: Tensor) -> Tensor:
    """Reorder `sequence` [batch, length, size] along its length by `indices` [batch, length]."""
    return sequence.gather(1, indices.unsqueeze(-1).expand(-1, -1, sequence.shape[-1]))


class RecurrentLayer(nn.Module):
    """One layer over whole sentences, in one direction or both (Schuster and Paliwal, 1997).

    Args:
        make_cell: makes a cell; called once per direction.
        bidirectional: also read from the true end of each sentence to its start.
        learned_state: learn the initial state instead of starting from zeros.
        recurrent_dropout: dropout rate of the hidden state inside recurrent products.
        zoneout: rates of zoneout.
        weight_dropout: dropout rate of recurrent weights, inside `RecurrentStack.dropped_weights`.
        keeps_state: return the whole last state, with the cell state of an LSTM.
    """

    def __init__(
        self,
        make_cell: Callable[[], Cell],
        *,
        bidirectional: bool = False,
        learned_state: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: Zoneout = NO_ZONEOUT,
        weight_dropout: float = 0.0,
        keeps_state: bool = False,
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList([make_cell() for _ in range(2 if bidirectional else 1)])
        self.recurrent_dropout, self.zoneout = recurrent_dropout, zoneout
        self.weight_dropout, self.keeps_state = weight_dropout, keeps_state
        cell = self.cell
        self.output_size = len(self.cells) * cell.hidden_size
        self.initial_state = (
            nn.Parameter(torch.zeros(len(self.cells), cell.states, cell.hidden_size))
            if learned_state
            else None
        )

    @property
    def cell(self) -> Cell:
        """The cell that reads from left to right."""
        return cast(Cell, self.cells[0])

    def start(self, rows: int, direction: int = 0) -> State:
        """Return the state before the first position, each part [rows, hidden]."""
        if self.initial_state is None:
            return zero_state(self.cell, rows)
        parts = tuple(part.expand(rows, -1) for part in self.initial_state[direction])
        return first_state(self.cell, parts)

    def unroll(self, inputs: Tensor, state: State, direction: int = 0) -> Tensor:
        """Run one direction over [batch, length, input] -> [batch, length, hidden]."""
        return torch.stack([s[0] for s in self._unroll_states(inputs, state, direction)], dim=1)

    def _unroll_states(self, inputs: Tensor, state: State, direction: int) -> list[State]:
        """Return the state after each position of `inputs` [batch, length, input]; each part is
        [batch, hidden]."""
        return unroll_states(
            cast(Cell, self.cells[direction]),
            inputs,
            state,
            recurrent_dropout=self.recurrent_dropout,
            zoneout=self.zoneout,
        )

    def forward(self, inputs: Tensor, mask: Tensor) -> Unrolled:
        """Read `inputs` [batch, length, input], with `mask` [batch, length] True at real tokens.

        Padding is on the right, so the forward direction reaches it only after the sentence; the
        backward direction reads each sentence reversed within its own length.
        """
        final = mask.sum(dim=1).sub(1).clamp(min=0).unsqueeze(1)  # [batch, 1]
        forward, *backward = self.read_states(inputs, mask)
        ends = [
            tuple(take(part, final).squeeze(1) for part in forward),
            *(tuple(part[:, 0] for part in parts) for parts in backward),
        ]
        outputs = torch.cat([parts[0] for parts in (forward, *backward)], dim=-1)
        state = tuple(torch.cat(parts, dim=-1) for parts in zip(*ends, strict=True))
        return Unrolled(outputs, state[0], (state,))

    def read(self, inputs: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the outputs of each direction, zeros at padding, [batch, length, hidden] each."""
        batch, real = inputs.shape[0], mask.unsqueeze(-1)
        outputs = [self.unroll(inputs, self.start(batch, 0), 0) * real]
        if len(self.cells) == 2:
            order = reversal(mask)
            backward = self.unroll(take(inputs, order), self.start(batch, 1), 1)
            outputs.append(take(backward, order) * real)
        return outputs

    def read_states(self, inputs: Tensor, mask: Tensor) -> list[State]:
        """Return the states of each direction, zeros at padding, [batch, length, hidden] each.

        Outputs alone, unless the layer keeps whole states.
        """
        if not self.keeps_state or self.cell.states == 1:
            return [(outputs,) for outputs in self.read(inputs, mask)]
        batch, real, order = inputs.shape[0], mask.unsqueeze(-1), reversal(mask)
        directions = []
        for direction in range(len(self.cells)):
            read = inputs if direction == 0 else take(inputs, order)
            states = self._unroll_states(read, self.start(batch, direction), direction)
            parts = [torch.stack(part, dim=1) for part in zip(*states, strict=True)]
            if direction == 1:
                parts = [take(part, order) for part in parts]
            directions.append(tuple(part * real for part in parts))
        return directions


@dataclass(frozen=True)
class StackMasks:
    """Dropout masks of a stack that is run step by step; empty outside training."""

    between: tuple[Tensor, ...] = ()
    """Masks between layers, [rows, length or 1, hidden]; for a single step [rows, hidden]."""
    recurrent: tuple[Tensor, ...] = ()
    """Mask of each layer's recurrent dropout, [rows, hidden]."""
    zoneout: tuple[Kept, ...] = ()
    """What each layer's zoneout keeps, [rows, length, hidden]; for a single step [rows, hidden]."""

    def at(self, position: int) -> "StackMasks":
        """Return the masks of one position."""
        between = tuple(mask[:, min(position, mask.shape[1] - 1)] for mask in self.between)
        return StackMasks(
            between, self.recurrent, tuple(at(kept, position) for kept in self.zoneout)
        )


NO_MASKS = StackMasks()
"""No dropout."""


def beside(inputs: Tensor, context: Tensor | None) -> Tensor:
    """Return `inputs` [..., hidden] with a context, if there is one, [..., hidden + context]."""
    return inputs if context is None else torch.cat([inputs, context], dim=-1)


FIRST, ABOVE = slice(0, 1), slice(1, None)
"""The first layer of a stack, and those above it."""


class RecurrentStack(nn.Module):
    """Layers on top of each other: layer l + 1 reads y^l = g(h^l), or [y^l; c] with a context c.

    Args:
        make_layer: makes a layer with a given input size.
        input_size: input size of the first layer.
        layers: number of layers.
        dropout: dropout rate between layers.
        variational: one dropout mask per sentence.
        residual: add a layer's input to its output, where the sizes agree.
        linear_output: g is a linear map instead of the identity.
        context_size: size of the context c that layers above the first read; 0 = none.
    """

    def __init__(
        self,
        make_layer: Callable[[int], RecurrentLayer],
        input_size: int,
        *,
        layers: int = 1,
        context_size: int = 0,
        dropout: float = 0.0,
        variational: bool = False,
        residual: bool = False,
        linear_output: bool = False,
    ) -> None:
        super().__init__()
        self.dropout, self.variational, self.residual = dropout, variational, residual
        self.linear_output = linear_output
        self.layers = nn.ModuleList()
        self.maps = nn.ModuleList()  # g of each layer; empty for the identity
        size = input_size
        for index in range(layers):
            layer = make_layer(size if index == 0 else size + context_size)
            self.layers.append(layer)
            size = layer.output_size
            if linear_output:
                self.maps.append(nn.Linear(size, size))
        self.output_size = size

    def output(self, index: int, inputs: Tensor, hidden: Tensor) -> Tensor:
        """Return the output of layer `index`, [..., output].

        Args:
            index: number of the layer, 0 = the first.
            inputs: what the layer read, [..., input].
            hidden: its states, [..., hidden].
        """
        output: Tensor = self.maps[index](hidden) if self.linear_output else hidden
        if self.residual and inputs.shape == output.shape:
            output = output + inputs
        return output

    def forward(self, inputs: Tensor, mask: Tensor) -> Unrolled:
        """Read `inputs` [batch, length, input] with all layers; `mask` [batch, length]."""
        last = inputs[:, 0]
        states: list[State] = []
        for index, layer in enumerate(self.each_layer()):
            if index > 0:
                inputs = self.drop(inputs)
            unrolled: Unrolled = layer(inputs, mask)
            last = unrolled.last
            states += unrolled.states
            inputs = self.output(index, inputs, unrolled.outputs)
        return Unrolled(inputs, last, tuple(states))

    def unroll(
        self,
        inputs: Tensor,
        states: tuple[State, ...],
        context: Tensor | None = None,
        *,
        layers: slice = slice(None),
    ) -> Tensor:
        """Run left to right from given states. Equal to a loop of `step`.

        Args:
            inputs: input of the lowest of these layers, [batch, length, input].
            states: one state per layer of the stack.
            context: what layers above the first read beside it, [batch, length, context].
            layers: which layers to run.

        Returns:
            The output of the highest of these layers, [batch, length, hidden].
        """
        for index, layer in list(enumerate(self.each_layer()))[layers]:
            if index > 0:
                inputs = self.drop(inputs)
            read = inputs if index == 0 else beside(inputs, context)
            outputs = layer.unroll(read, states[index])
            inputs = self.output(index, inputs, outputs)
        return inputs

    def each_layer(self) -> list[RecurrentLayer]:
        """Return the layers, lowest first."""
        return [cast(RecurrentLayer, layer) for layer in self.layers]

    @contextlib.contextmanager
    def dropped_weights(self) -> Iterator[None]:
        """Drop recurrent weights inside the block, in training: one mask for each cell."""
        with contextlib.ExitStack() as drops:
            for layer in self.each_layer() if self.training else []:
                for cell in layer.cells:
                    if (recurrent := cast(Cell, cell).recurrent) is not None:
                        drops.enter_context(dropped_weight(recurrent, layer.weight_dropout))
            yield

    @property
    def first(self) -> RecurrentLayer:
        """The layer that reads the input."""
        return self.each_layer()[0]

    def step(
        self,
        inputs: Tensor,
        projected: Tensor | None,
        states: tuple[State, ...],
        masks: StackMasks,
        context: Tensor | None = None,
        *,
        layers: slice = slice(None),
    ) -> tuple[Tensor, tuple[State, ...]]:
        """Advance layers by one position.

        Args:
            inputs: input of the lowest of these layers, [rows, input].
            projected: product of the first layer's cell with it, [rows, gates * hidden]; None =
                compute it.
            states: one state per layer of the stack.
            masks: dropout masks of this position.
            context: what layers above the first read beside the layer below, [rows, context].
            layers: which layers to advance.

        Returns:
            The output of the highest of these layers [rows, hidden] and their new states.
        """
        new_states = []
        for index, layer in list(enumerate(self.each_layer()))[layers]:
            cell, state = layer.cell, states[index]
            if index > 0:
                if masks.between:
                    inputs = inputs * masks.between[index - 1]
                projected = cell.project(beside(inputs, context))
            elif projected is None:
                projected = cell.project(inputs)
            dropped = state[0] * masks.recurrent[index] if masks.recurrent else None
            before, state = state, cell(projected, state, dropped)
            if layer.zoneout.acts_on(cell.states):
                mean = layer.zoneout.rates(cell.states)
                state = zone_out(before, state, masks.zoneout[index] if masks.zoneout else mean)
            new_states.append(state)
            inputs = self.output(index, inputs, state[0])
        return inputs, tuple(new_states)

    def drop(self, inputs: Tensor) -> Tensor:
        """Apply the dropout between layers to [batch, length, hidden]."""
        return drop(inputs, self.dropout, training=self.training, variational=self.variational)

    def draw_masks(self, like: Tensor, rows: int, length: int) -> StackMasks:
        """Draw dropout masks for `length` steps; empty outside training.

        Args:
            like: a tensor of the type and device of the masks.
            rows: of the batch.
            length: steps; a mask between layers is [rows, length, hidden], or [rows, 1, hidden] if
                variational, a recurrent one [rows, hidden], and zoneout [rows, length, hidden].
        """
        between: list[Tensor] = []
        recurrent: list[Tensor] = []
        zoneout: list[Kept] = []
        if self.training and self.dropout > 0.0:
            positions = 1 if self.variational else length
            for layer in self.each_layer()[:-1]:
                shape = (rows, positions, layer.output_size)
                between.append(dropout_mask(like, shape, self.dropout))
        if self.training and self.first.recurrent_dropout > 0.0:
            for layer in self.each_layer():
                recurrent.append(
                    dropout_mask(like, (rows, layer.output_size), self.first.recurrent_dropout)
                )
        if self.training and self.first.zoneout.acts_on(self.first.cell.states):
            for layer in self.each_layer():
                shape = (rows, length, layer.output_size)
                zoneout.append(layer.zoneout.draw(like, layer.cell.states, shape))
        return StackMasks(tuple(between), tuple(recurrent), tuple(zoneout))
