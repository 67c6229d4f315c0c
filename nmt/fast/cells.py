"""LSTM and GRU by compiled kernels, with gradients: one step, or a whole sequence.

The kernels compute the gates; matrix products are those of the cell. Outputs and the values kept
for the backward pass have the type of the products. The state that accumulates over time, the cell
state of an LSTM or the hidden state of a GRU, is float32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.fast.int8 import Int8Linear, is_best, kernels_for
from nmt.fast.kernels import WIDTH, Kernels, Kind, kernels, supports
from nmt.fast.linear import multiply
from nmt.fast.shapes import multiply_transposed
from nmt.layers.cells import Cell, GruCell, LstmCell, State

Product = Callable[[Tensor], Tensor]
"""Multiplies the previous output [rows, hidden] by the recurrent weights."""


class FastLstmCell(LstmCell):
    """An LSTM whose gates are computed by a kernel, and whose cell state is float32."""

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """See `LstmCell`; the output has the type of the products."""
        hidden, memory = state
        recurrent = self.recurrent(hidden if dropped is None else dropped)  # [rows, 4 * hidden]
        if (native := kernels_of(self, projected, recurrent)) is not None:
            return step(Gates("lstm", native), projected, recurrent, memory)
        i, f, g, o = (projected + recurrent).chunk(4, dim=-1)
        wide = torch.promote_types(memory.dtype, torch.float32)
        memory = torch.sigmoid(f) * memory.to(wide) + torch.sigmoid(i) * torch.tanh(g)
        return (torch.sigmoid(o) * torch.tanh(memory)).to(projected.dtype), memory


class FastGruCell(GruCell):
    """A GRU whose gates are computed by a kernel; the reset gate acts after the product."""

    def forward(self, projected: Tensor, state: State, dropped: Tensor | None = None) -> State:
        """See `GruCell`; the state has the type of the weights."""
        hidden = state[0]
        recurrent = self.recurrent(hidden if dropped is None else dropped)  # [rows, 3 * hidden]
        if (native := kernels_of(self, projected, recurrent)) is None:
            return (self.reset_after(projected, recurrent, hidden),)
        _, after = step(Gates("gru", native), projected, recurrent, hidden)
        return (after.to(self.input.bias.dtype),)


FastCell = FastLstmCell | FastGruCell


def kernels_of(cell: Cell, *shares: Tensor) -> Kernels | None:
    """Return the kernels if they support `cell` and these pre-activations; else None."""
    if not isinstance(cell, FastCell) or cell.hidden_size % WIDTH or not supports(*shares):
        return None
    return kernels()


@dataclass(frozen=True)
class Gates:
    """A kind of cell and the kernels that compute its gates."""

    kind: Kind
    kernels: Kernels

    @classmethod
    def of(cls, cell: Cell, *shares: Tensor) -> "Gates | None":
        """Return the kernels for `cell` and these pre-activations; None if unsupported."""
        native = kernels_of(cell, *shares)
        kind: Kind = "lstm" if isinstance(cell, LstmCell) else "gru"
        return None if native is None else cls(kind, native)


def step(
    gates: Gates, projected: Tensor, recurrent: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """Return output and state, [rows, hidden] each, after one step.

    Args:
        gates: kernels of the cell.
        projected: input contribution to the pre-activations, [rows, gates * hidden].
        recurrent: recurrent contribution to the pre-activations, [rows, gates * hidden].
        state: cell state of an LSTM or hidden state of a GRU, [rows, hidden].
    """
    if not torch.is_grad_enabled():
        return _compute_step(gates, projected, recurrent, state, None)
    both: tuple[Tensor, Tensor] = _Step.apply(  # type: ignore[no-untyped-call]
        gates, projected, recurrent, state
    )
    return both


def unroll(gates: Gates, cell: Cell, projected: Tensor, state: State, counts: list[int]) -> Tensor:
    """Return the outputs of a whole sequence, [words, hidden].

    Args:
        gates: kernels of the cell.
        cell: provides the recurrent weights.
        projected: input contribution to the pre-activations, packed (see `packing`),
            [words, gates * hidden].
        state: initial state, tensors [batch, hidden].
        counts: rows at each position: the batch size at first, never increasing.
    """
    recurrent = cast(FastCell, cell).recurrent
    product = recurrent if isinstance(recurrent, Int8Linear) else None
    weight = projected.new_empty(0, 0) if product else recurrent.weight
    outputs: Tensor = _Unroll.apply(  # type: ignore[no-untyped-call]
        gates, product, projected, weight, state[0], state[-1], _positions(counts)
    )
    return outputs


def unroll_int8(gates: Gates, cell: Cell, projected: Tensor, state: State) -> Tensor | None:
    """Return the outputs [length, batch, hidden] of a cell whose products are 8-bit integers.

    A single kernel call, without gradients, for sentences of equal length; None if our own kernel
    does not support the cell.

    Args:
        gates: kernels of the cell.
        cell: provides the recurrent weights.
        projected: input contribution to the pre-activations, [length, batch, gates * hidden].
        state: initial state, tensors [batch, hidden].
    """
    recurrent = cell.recurrent
    if not isinstance(recurrent, Int8Linear):
        return None
    native = kernels_for(state[0])
    if native is None or not is_best(native, state[0]):
        return None
    outputs = projected.new_empty(1 + len(projected), *state[0].shape)
    states = torch.empty_like(outputs)
    outputs[0], states[0] = state[0], state[-1]
    native.unroll_int8(
        gates.kind, projected.contiguous(), recurrent.packed, outputs=outputs, states=states
    )
    return outputs[1:]


def _compute_step(
    gates: Gates, projected: Tensor, recurrent: Tensor, state: Tensor, kept: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Compute a step without autograd; `kept` receives the values that the backward pass needs."""
    projected = projected if projected.stride(-1) == 1 else projected.contiguous()
    recurrent, before = recurrent.contiguous(), state.float().contiguous()
    output, after = recurrent.new_empty(before.shape), torch.empty_like(before)
    gates.kernels.forward(
        gates.kind, projected, recurrent, before, output=output, after=after, kept=kept
    )
    return output, after


class _Step(torch.autograd.Function):
    """See `step`."""

    @staticmethod
    def forward(
        ctx: Any, gates: Gates, projected: Tensor, recurrent: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        before, kept = state.float().contiguous(), None
        if any(ctx.needs_input_grad):
            kept = recurrent.new_empty(before.shape[0], 4 * before.shape[1])
        output, after = _compute_step(gates, projected, recurrent, before, kept)
        if kept is not None:
            ctx.save_for_backward(before, after, kept)
        ctx.gates, ctx.dtype, ctx.shape = gates, state.dtype, recurrent.shape
        ctx.set_materialize_grads(False)
        return output, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        before, after, kept = ctx.saved_tensors
        grad_output, grad_after = grad_outputs
        if grad_output is None:
            grad_output = kept.new_zeros(before.shape)
        grad_before = torch.empty_like(before)
        grad_recurrent = kept.new_empty(ctx.shape)
        is_lstm = ctx.gates.kind == "lstm"
        grad_projected = grad_recurrent if is_lstm else torch.empty_like(grad_recurrent)
        ctx.gates.kernels.backward(
            ctx.gates.kind,
            kept,
            before,
            after,
            grad_output.contiguous(),
            None if grad_after is None else grad_after.contiguous(),
            grad_projected=grad_projected,
            grad_recurrent=grad_recurrent,
            grad_before=grad_before,
        )
        return None, grad_projected, grad_recurrent, grad_before.to(ctx.dtype)


@dataclass(frozen=True)
class _Position:
    """The rows at one position."""

    words: slice
    """Rows of the packed tensors at this position."""
    before: slice
    """Rows at the previous position, in tensors that begin with the initial state."""


def _positions(counts: list[int]) -> list[_Position]:
    positions, begin, before = [], 0, 0
    for count in counts:
        positions.append(_Position(slice(begin, begin + count), slice(before, before + count)))
        before = counts[0] + begin
        begin += count
    return positions


class _Unroll(torch.autograd.Function):
    """See `unroll`; the weight gradient is one product over all positions."""

    @staticmethod
    def forward(
        ctx: Any,
        gates: Gates,
        product: Product | None,
        projected: Tensor,
        weight: Tensor,
        output: Tensor,
        state: Tensor,
        positions: list[_Position],
    ) -> Tensor:
        words, batch, hidden = len(projected), *state.shape
        low = weight.to(projected.dtype)
        outputs = projected.new_empty(batch + words, hidden)
        states = state.new_empty(batch + words, hidden, dtype=torch.float32)
        outputs[:batch], states[:batch] = output, state
        outputs_after, states_after = outputs[batch:], states[batch:]
        wanted = any(ctx.needs_input_grad)
        kept = projected.new_empty(words if wanted else 0, 4 * hidden)
        for position in positions:
            before = outputs[position.before]
            gates.kernels.forward(
                gates.kind,
                projected[position.words],
                multiply(before, low) if product is None else product(before),
                states[position.before],
                output=outputs_after[position.words],
                after=states_after[position.words],
                kept=kept[position.words] if wanted else None,
            )
        if wanted:
            ctx.save_for_backward(low, outputs, states, kept)
        ctx.gates, ctx.positions = gates, positions
        ctx.dtypes = weight.dtype, output.dtype, state.dtype
        return outputs_after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        low, outputs, states, kept = ctx.saved_tensors
        grad_outputs_all = grad_outputs[0].contiguous()  # [words, hidden]
        words, batch = len(grad_outputs_all), len(outputs) - len(grad_outputs_all)
        grad_recurrent = low.new_empty(words, low.shape[0])
        is_lstm = ctx.gates.kind == "lstm"
        grad_projected = grad_recurrent if is_lstm else torch.empty_like(grad_recurrent)
        grad_state, states_after = torch.zeros_like(states[:batch]), states[batch:]
        later = grad_outputs_all[:0]  # gradient of the outputs from the next position
        for position in reversed(ctx.positions):
            grad_output = grad_outputs_all[position.words].clone()
            grad_output[: len(later)] += later
            rows = grad_state[: len(grad_output)]
            ctx.gates.kernels.backward(
                ctx.gates.kind,
                kept[position.words],
                states[position.before],
                states_after[position.words],
                grad_output,
                rows,
                grad_projected=grad_projected[position.words],
                grad_recurrent=grad_recurrent[position.words],
                grad_before=rows,
            )
            later = grad_recurrent[position.words] @ low
        before = torch.cat([outputs[position.before] for position in ctx.positions])
        grad_weight = multiply_transposed(grad_recurrent, before)  # [gates * hidden, hidden]
        weight, output, state = ctx.dtypes
        grad_start = later.to(output), grad_state.to(state)
        return None, None, grad_projected, grad_weight.to(weight), *grad_start, None
