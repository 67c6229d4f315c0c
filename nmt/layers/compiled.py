"""LSTM and GRU by compiled kernels, with gradients: one step, or a whole sequence.

The kernels do the gates; products are done as the cell does them. Outputs, and what is kept for the
way back, have the type of the products; what a cell sums up over time is float32.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nmt.layers.products import Multiply
from nmt.native.kernels import WIDTH, Kernels, Kind, PackedWeights, kernels, knows


@dataclass(frozen=True)
class CompiledCell:
    """A kind of cell and the kernels that compute its gates."""

    kind: Kind
    kernels: Kernels

    @classmethod
    def of(cls, kind: Kind | None, state: Tensor, *shares: Tensor) -> "CompiledCell | None":
        """Return what computes these gates, None if there is no compiled kernel for them.

        Args:
            kind: of the cell, None = another.
            state: what the cell sums up over time, [rows, hidden].
            shares: of the gates, [..., gates * hidden].
        """
        if kind is None or state.shape[-1] % WIDTH or not knows(*shares):
            return None
        compiled = kernels()
        return None if compiled is None else cls(kind, compiled)

    def step(self, projected: Tensor, recurrent: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return output and state, [rows, hidden] each, after one step.

        Args:
            projected: the input's share of the gates, [rows, gates * hidden].
            recurrent: the last output's share, [rows, gates * hidden].
            state: the cell of an LSTM, the state of a GRU, [rows, hidden].
        """
        if not torch.is_grad_enabled():
            return self.make_step(projected, recurrent, state, None)
        both: tuple[Tensor, Tensor] = _Step.apply(  # type: ignore[no-untyped-call]
            self, projected, recurrent, state
        )
        return both

    def make_step(
        self, projected: Tensor, recurrent: Tensor, state: Tensor, kept: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Do the same without a gradient; `kept` is filled with what the way back needs."""
        projected = projected if projected.stride(-1) == 1 else projected.contiguous()
        recurrent, before = recurrent.contiguous(), state.float().contiguous()
        output, after = recurrent.new_empty(before.shape), torch.empty_like(before)
        self.kernels.forward(
            self.kind, projected, recurrent, before, output=output, after=after, kept=kept
        )
        return output, after

    def unroll(
        self,
        multiply: Multiply,
        projected: Tensor,
        weight: Tensor,
        output: Tensor,
        state: Tensor,
        counts: list[int],
    ) -> Tensor:
        """Return the outputs of a whole sequence, [words, hidden].

        Args:
            multiply: the last output with `weight`; plainly, if gradients are wanted.
            projected: the input's share of the gates, packed (see `packing`), [words, gates *
                hidden].
            weight: of the last output, [gates * hidden, hidden].
            output: before the first position, [batch, hidden].
            state: the cell of an LSTM, the state of a GRU, [batch, hidden].
            counts: rows at each position, never more than at the one before; batch at the first.
        """
        outputs: Tensor = _Unroll.apply(  # type: ignore[no-untyped-call]
            self, multiply, projected, weight, output, state, _steps(counts)
        )
        return outputs

    def unroll_int8(
        self, weights: PackedWeights, projected: Tensor, output: Tensor, state: Tensor
    ) -> Tensor:
        """Do the same in 8-bit integers, without gradients, for sentences of one length.

        Args:
            weights: of the last output.
            projected: the input's share of the gates, [length, batch, gates * hidden].
            output: before the first position, [batch, hidden].
            state: the cell of an LSTM, the state of a GRU, [batch, hidden].

        Returns:
            [length, batch, hidden].
        """
        outputs = projected.new_empty(1 + len(projected), *output.shape)
        states = torch.empty_like(outputs)
        outputs[0], states[0] = output, state
        self.kernels.unroll_int8(
            self.kind, projected.contiguous(), weights, outputs=outputs, states=states
        )
        return outputs[1:]


class _Step(torch.autograd.Function):
    """See `CompiledCell.step`."""

    @staticmethod
    def forward(
        ctx: Any, cell: CompiledCell, projected: Tensor, recurrent: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        before, kept = state.float().contiguous(), None
        if any(ctx.needs_input_grad):
            kept = recurrent.new_empty(before.shape[0], 4 * before.shape[1])
        output, after = cell.make_step(projected, recurrent, before, kept)
        if kept is not None:
            ctx.save_for_backward(before, after, kept)
        ctx.cell, ctx.dtype, ctx.shape = cell, state.dtype, recurrent.shape
        ctx.set_materialize_grads(False)
        return output, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        before, after, kept = ctx.saved_tensors
        of_output, of_after = grad_outputs
        if of_output is None:
            of_output = kept.new_zeros(before.shape)
        of_before = torch.empty_like(before)
        of_recurrent = kept.new_empty(ctx.shape)
        of_projected = of_recurrent if ctx.cell.kind == "lstm" else torch.empty_like(of_recurrent)
        ctx.cell.kernels.backward(
            *(ctx.cell.kind, kept, before, after, of_output.contiguous()),
            None if of_after is None else of_after.contiguous(),
            of_projected=of_projected,
            of_recurrent=of_recurrent,
            of_before=of_before,
        )
        return None, of_projected, of_recurrent, of_before.to(ctx.dtype)


@dataclass(frozen=True)
class _Position:
    """Which rows one position takes."""

    words: slice
    """Of what is packed."""
    before: slice
    """Of the same with the rows before the first position on top: those it comes from."""


def _steps(counts: list[int]) -> list[_Position]:
    steps, begin, before = [], 0, 0
    for count in counts:
        steps.append(_Position(slice(begin, begin + count), slice(before, before + count)))
        before = counts[0] + begin
        begin += count
    return steps


class _Unroll(torch.autograd.Function):
    """See `CompiledCell.unroll`; the gradient of the weight is one product for all positions."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: CompiledCell,
        multiply: Multiply,
        projected: Tensor,
        weight: Tensor,
        output: Tensor,
        state: Tensor,
        steps: list[_Position],
    ) -> Tensor:
        words, batch, hidden = len(projected), *state.shape
        low = weight.to(projected.dtype)
        outputs = projected.new_empty(batch + words, hidden)
        states = state.new_empty(batch + words, hidden, dtype=torch.float32)
        outputs[:batch], states[:batch] = output, state
        outputs_after, states_after = outputs[batch:], states[batch:]
        wanted = any(ctx.needs_input_grad)
        kept = projected.new_empty(words if wanted else 0, 4 * hidden)
        for step in steps:
            recurrent = multiply(outputs[step.before], low)
            cell.kernels.forward(
                *(cell.kind, projected[step.words], recurrent, states[step.before]),
                output=outputs_after[step.words],
                after=states_after[step.words],
                kept=kept[step.words] if wanted else None,
            )
        if wanted:
            ctx.save_for_backward(low, outputs, states, kept)
        ctx.cell, ctx.steps, ctx.dtypes = cell, steps, (weight.dtype, output.dtype, state.dtype)
        return outputs_after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        low, outputs, states, kept = ctx.saved_tensors
        of_outputs = grad_outputs[0].contiguous()  # [words, hidden]
        words, batch = len(of_outputs), len(outputs) - len(of_outputs)
        of_recurrent = low.new_empty(words, low.shape[0])
        of_projected = of_recurrent if ctx.cell.kind == "lstm" else torch.empty_like(of_recurrent)
        of_state, states_after = torch.zeros_like(states[:batch]), states[batch:]
        later = of_outputs[:0]  # what the outputs of a position get from the one after
        for step in reversed(ctx.steps):
            of_output = of_outputs[step.words].clone()
            of_output[: len(later)] += later
            rows = of_state[: len(of_output)]
            ctx.cell.kernels.backward(
                *(ctx.cell.kind, kept[step.words], states[step.before], states_after[step.words]),
                *(of_output, rows),
                of_projected=of_projected[step.words],
                of_recurrent=of_recurrent[step.words],
                of_before=rows,
            )
            later = of_recurrent[step.words] @ low
        before = torch.cat([outputs[step.before] for step in ctx.steps])  # [words, hidden]
        of_weight = of_recurrent.t() @ before
        weight, output, state = ctx.dtypes
        of_outside = later.to(output), of_state.to(state)
        return None, None, of_projected, of_weight.to(weight), *of_outside, None
