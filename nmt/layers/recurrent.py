"""Unroll cells over a sequence: one layer, both directions, many layers.

Several paths give the same result. The compiled path does gates by kernels of our own, and leaves
padding out where gradients are wanted; the fused path hands a whole sequence to torch's kernel,
products included. They need a cell that they know and an undisturbed recurrence. The step path
calls the cell once per position and can do everything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from nmt.layers.cells import Cell, State, zero_state
from nmt.layers.compiled import CompiledCell
from nmt.layers.dropout import drop, dropout_mask
from nmt.layers.packing import Packing, pack, reversal, unpack
from nmt.layers.products import MultiplyInt8, multiply_plainly
from nmt.layers.shared_products import shared_products


@dataclass(frozen=True)
class Unrolled:
    """What a layer or a stack makes of a sequence."""

    outputs: Tensor
    """One vector per position, zeros at padding, [batch, length, hidden]."""
    last: Tensor
    """The output at the end of reading, [batch, hidden]; both ends side by side if the layer
    is bidirectional."""


def unroll_fused(cell: Cell, inputs: Tensor, state: State) -> Tensor:
    """Run torch's kernel over `inputs` [batch, length, input] -> [batch, length, hidden].

    On a GPU it computes in the precision of the weights: what autocast hands to cuDNN is float16,
    whatever precision was asked for, and in float16 small gradients become zero.

    Raises:
        ValueError: torch has no kernel for this cell.
    """
    if cell.kernel is None:
        raise ValueError(f"torch has no kernel for {cell}")
    device, own = inputs.device.type, cell.weight_hidden.dtype
    if device != "cpu" and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return unroll_fused(cell, inputs.to(own), tuple(part.to(own) for part in state))
    weights = [cell.weight_input, cell.weight_hidden, cell.bias, torch.zeros_like(cell.bias)]
    first = [part.unsqueeze(0).contiguous() for part in state]  # each [1, batch, hidden]
    layers, rate, both_ways, batch_first = 1, 0.0, False, True
    outputs: Tensor = cell.kernel(
        inputs,
        first if len(first) > 1 else first[0],
        weights,
        True,  # there are biases; torch's second one is zero
        layers,
        rate,
        cell.training,
        both_ways,
        batch_first,
    )[0]
    return outputs


def unroll_compiled(cell: Cell, inputs: Tensor, state: State) -> Tensor | None:
    """Run compiled kernels over `inputs` [batch, length, input] -> [batch, length, hidden].

    Returns None if there are none for this cell.
    """
    compiled = CompiledCell.of(cell.compiled, state[-1], inputs)
    if compiled is None:
        return None
    batch, length = inputs.shape[:2]
    projected = cell.project(inputs.transpose(0, 1))  # [length, batch, gates * hidden]
    if isinstance(cell.multiply, MultiplyInt8):
        weights = cell.multiply.pack(cell.weight_hidden, state[0])
        if weights is not None:
            outputs = compiled.unroll_int8(weights, projected, state[0], state[-1])
            return outputs.transpose(0, 1)
    words, counts = projected.flatten(0, 1), [batch] * length
    outputs = compiled.unroll(
        *(cell.multiply, words, cell.weight_hidden, state[0], state[-1], counts)
    )
    return outputs.view(length, batch, -1).transpose(0, 1)


def unroll_packed(
    compiled: CompiledCell,
    cell: Cell,
    inputs: Tensor,
    state: State,
    counts: list[int],
    places: Tensor,
) -> Tensor:
    """Do the same at some `places` alone, in steps of `counts` rows, both as `Packing` names them.

    The rows of `state` are in the order of the packed sentences.
    """
    projected = cell.project(pack(inputs, places))  # [words, gates * hidden]
    outputs = compiled.unroll(
        *(cell.multiply, projected, cell.weight_hidden, state[0], state[-1], counts)
    )
    return unpack(outputs, places, *inputs.shape[:2])


def unroll_steps(
    cell: Cell, inputs: Tensor, state: State, *, recurrent_dropout: float = 0.0
) -> Tensor:
    """Call the cell once per position: [batch, length, input] -> [batch, length, hidden].

    `recurrent_dropout` draws one mask per sentence and applies it to the state on its way into
    each recurrent product (Gal and Ghahramani, 2016).
    """
    projected = cell.project(inputs)  # [batch, length, gates * hidden]
    mask = None
    if recurrent_dropout > 0.0 and cell.training:
        mask = dropout_mask(state[0], tuple(state[0].shape), recurrent_dropout)
    outputs = []
    with shared_products():
        for position in projected.unbind(dim=1):
            state = cell(position, state, None if mask is None else state[0] * mask)
            outputs.append(state[0])
    return torch.stack(outputs, dim=1)


def take(sequence: Tensor, indices: Tensor) -> Tensor:
    """Reorder `sequence` [batch, length, size] along its length by `indices` [batch, length]."""
    return sequence.gather(1, indices.unsqueeze(-1).expand(-1, -1, sequence.shape[-1]))


class RecurrentLayer(nn.Module):
    """One layer over whole sentences, in one direction or both (Schuster and Paliwal, 1997).

    Args:
        make_cell: makes a cell; called once per direction.
        bidirectional: also read from the true end of each sentence to its start.
        learned_state: learn the state before the first word instead of starting from zeros.
        recurrent_dropout: rate of state values dropped on their way to the next step.
    """

    def __init__(
        self,
        make_cell: Callable[[], Cell],
        *,
        bidirectional: bool = False,
        learned_state: bool = False,
        recurrent_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cells = nn.ModuleList([make_cell() for _ in range(2 if bidirectional else 1)])
        self.recurrent_dropout = recurrent_dropout
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

    @property
    def _is_undisturbed(self) -> bool:
        """Whether a state gets to the next step as it is."""
        return self.recurrent_dropout == 0.0 or not self.training

    def start(self, rows: int, direction: int = 0) -> State:
        """Return the state before the first position, for `rows` rows."""
        if self.initial_state is None:
            return zero_state(self.cell, rows)
        return tuple(part.expand(rows, -1) for part in self.initial_state[direction])

    def unroll(self, inputs: Tensor, state: State, direction: int = 0) -> Tensor:
        """Run one direction over `inputs` [batch, length, input], by the fastest path that fits."""
        cell, is_undisturbed = cast(Cell, self.cells[direction]), self._is_undisturbed
        if is_undisturbed and (outputs := unroll_compiled(cell, inputs, state)) is not None:
            return outputs
        can_fuse = is_undisturbed and cell.multiply is multiply_plainly
        if can_fuse and cell.kernel is not None and inputs.shape[-1] > 0:
            return unroll_fused(cell, inputs, state)
        return unroll_steps(cell, inputs, state, recurrent_dropout=self.recurrent_dropout)

    def forward(self, inputs: Tensor, mask: Tensor) -> Unrolled:
        """Read `inputs` [batch, length, input], of which `mask` [batch, length] is real.

        Padding stands at the right, so a forward reader meets it only after the sentence; the
        backward reader gets each sentence reversed within its own length.
        """
        final = mask.sum(dim=1).sub(1).clamp(min=0).unsqueeze(1)  # [batch, 1]
        read = self._read_packed(inputs, mask) or self._read_padded(inputs, mask)
        forward, *backward = read  # each [batch, length, hidden]
        last = [take(forward, final).squeeze(1), *(outputs[:, 0] for outputs in backward)]
        return Unrolled(torch.cat(read, dim=-1), torch.cat(last, dim=-1))

    def _read_padded(self, inputs: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the outputs of each direction, padding computed and then set to zero."""
        batch, real = inputs.shape[0], mask.unsqueeze(-1)
        outputs = [self.unroll(inputs, self.start(batch, 0), 0) * real]
        if len(self.cells) == 2:
            order = reversal(mask)
            backward = self.unroll(take(inputs, order), self.start(batch, 1), 1)
            outputs.append(take(backward, order) * real)
        return outputs

    def _read_packed(self, inputs: Tensor, mask: Tensor) -> list[Tensor] | None:
        """Return the same without computing padding; None where that does not pay or work.

        Without gradients, as in search, the shapes of products shall not depend on how long the
        other sentences are: nor do their last bits then.
        """
        compiled = CompiledCell.of(self.cell.compiled, self.start(1)[-1], inputs)
        if compiled is None or not self._is_undisturbed or not torch.is_grad_enabled():
            return None
        if not mask[:, 0].all():
            return None
        packing, batch, real = Packing.of(mask), inputs.shape[0], mask.unsqueeze(-1)
        outputs = []
        for direction, places in enumerate((packing.forward, packing.backward)[: len(self.cells)]):
            cell = cast(Cell, self.cells[direction])
            state = self.start(batch, direction)  # the same for all sentences, in whatever order
            read = unroll_packed(compiled, cell, inputs, state, packing.counts, places)
            outputs.append(read * real)
        return outputs


class RecurrentStack(nn.Module):
    """Layers on top of each other: layer l + 1 reads y^l = g(h^l).

    Args:
        make_layer: makes a layer that reads so many values.
        input_size: values that the first layer reads.
        layers: how many.
        dropout: rate between layers.
        variational: one dropout mask per sentence.
        residual: add a layer's input to what it hands on, where the sizes agree.
        linear_output: g is a linear map instead of the identity.
    """

    def __init__(
        self,
        make_layer: Callable[[int], RecurrentLayer],
        input_size: int,
        *,
        layers: int = 1,
        dropout: float = 0.0,
        variational: bool = False,
        residual: bool = False,
        linear_output: bool = False,
    ) -> None:
        super().__init__()
        self.dropout, self.variational, self.residual = dropout, variational, residual
        self.layers = nn.ModuleList()
        self.maps = nn.ModuleList()
        size = input_size
        for _ in range(layers):
            layer = make_layer(size)
            self.layers.append(layer)
            size = layer.output_size
            self.maps.append(nn.Linear(size, size) if linear_output else nn.Identity())
        self.output_size = size

    def hand_on(self, index: int, inputs: Tensor, hidden: Tensor) -> Tensor:
        """Return what layer `index` shows to the next, from what it read and its states."""
        output: Tensor = self.maps[index](hidden)
        if self.residual and inputs.shape == output.shape:
            output = output + inputs
        return output

    def forward(self, inputs: Tensor, mask: Tensor) -> Unrolled:
        """Read `inputs` [batch, length, input] with all layers; `mask` [batch, length]."""
        last = inputs[:, 0]
        for index, layer in enumerate(self.each_layer()):
            if index > 0:
                inputs = self.drop(inputs)
            unrolled: Unrolled = layer(inputs, mask)
            last = unrolled.last
            inputs = self.hand_on(index, inputs, unrolled.outputs)
        return Unrolled(inputs, last)

    def unroll(self, inputs: Tensor, states: tuple[State, ...]) -> Tensor:
        """Run left to right from given states over `inputs` [batch, length, input].

        Equal to a loop of `step`. Returns [batch, length, hidden].
        """
        for index, (layer, state) in enumerate(zip(self.each_layer(), states, strict=True)):
            if index > 0:
                inputs = self.drop(inputs)
            outputs = layer.unroll(inputs, state)
            inputs = self.hand_on(index, inputs, outputs)
        return inputs

    def project(self, inputs: Tensor) -> Tensor:
        """Return the first layer's product with `inputs` [..., input], for `step`."""
        return self.first.cell.project(inputs)

    def each_layer(self) -> list[RecurrentLayer]:
        """Return the layers, lowest first."""
        return [cast(RecurrentLayer, layer) for layer in self.layers]

    @property
    def first(self) -> RecurrentLayer:
        """The layer that reads the input."""
        return self.each_layer()[0]

    def step(
        self, inputs: Tensor, projected: Tensor, states: tuple[State, ...], masks: "StepMasks"
    ) -> tuple[Tensor, tuple[State, ...]]:
        """Move all layers one position on.

        Args:
            inputs: what the first layer reads, [rows, input]; used by the residual only.
            projected: `project(inputs)`, [rows, gates * hidden].
            states: one state per layer.
            masks: this step's dropout.

        Returns:
            The top layer's output [rows, hidden] and the new states.
        """
        new_states = []
        for index, (layer, state) in enumerate(zip(self.each_layer(), states, strict=True)):
            if index > 0:
                if masks.between:
                    inputs = inputs * masks.between[index - 1]
                projected = layer.cell.project(inputs)
            dropped = state[0] * masks.recurrent[index] if masks.recurrent else None
            state = layer.cell(projected, state, dropped)
            new_states.append(state)
            inputs = self.hand_on(index, inputs, state[0])
        return inputs, tuple(new_states)

    def drop(self, inputs: Tensor) -> Tensor:
        """Apply the dropout between layers to [batch, length, hidden]."""
        return drop(inputs, self.dropout, training=self.training, variational=self.variational)

    def draw_masks(self, like: Tensor, rows: int, length: int) -> "SequenceMasks":
        """Draw what a loop of `step` over `length` positions drops; empty outside training."""
        between: list[Tensor] = []
        recurrent: list[Tensor] = []
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
        return SequenceMasks(tuple(between), tuple(recurrent))


@dataclass(frozen=True)
class StepMasks:
    """Dropout of one step: masks between layers [rows, hidden] and on states [rows, hidden]."""

    between: tuple[Tensor, ...] = ()
    recurrent: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class SequenceMasks:
    """Dropout of a whole sequence: between layers [rows, length or 1, hidden], and on states."""

    between: tuple[Tensor, ...] = ()
    recurrent: tuple[Tensor, ...] = ()

    def at(self, position: int) -> StepMasks:
        """Return the masks of one position."""
        if not self.between:
            return StepMasks((), self.recurrent)
        between = tuple(m[:, min(position, m.shape[1] - 1)] for m in self.between)
        return StepMasks(between, self.recurrent)
