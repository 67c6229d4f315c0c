"""Products with one matrix at every step of a loop; its gradient is computed once for all steps.

In a decoder with feedback, the same weights, keys and source states are multiplied at every target
position. Autograd computes a gradient of the size of the matrix at each of them and adds them up.
Here the gradient is deferred until the backward pass of the loop is over, and is then a single
product over all positions:

    y_t = x_t M,  t = 1..T        dM = [x_1; ..; x_T]^T [dy_1; ..; dy_T]

Results are equal up to the order of additions.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nmt.fast.kernels import sum_rows
from nmt.fast.linear import FastLinear, multiply
from nmt.fast.shapes import multiply_batch, multiply_transposed


@dataclass
class Record:
    """Factors of the gradient of one matrix, recorded by the backward pass of each step."""

    inputs: list[Tensor] = field(default_factory=list)
    """x_t, [..., rows, size]."""
    gradients: list[Tensor] = field(default_factory=list)
    """dy_t, [..., rows, outputs]."""
    backward: int | None = None
    """Id of the backward pass that is recorded."""

    def note(self, inputs: Tensor, gradient: Tensor) -> None:
        """Record the factors of one step.

        Those of an earlier backward pass, which was not asked for this matrix, are dropped.
        """
        backward = torch._C._current_graph_task_id()
        if backward != self.backward:
            self.inputs, self.gradients, self.backward = [], [], backward
        self.inputs.append(inputs)
        self.gradients.append(gradient)


class SharedMatrix:
    """A matrix M that is multiplied at every step of one loop.

    Args:
        original: M, [..., size, outputs]; its gradient is computed once.
        bias: added to every product, [outputs]; likewise.
    """

    def __init__(self, original: Tensor, bias: Tensor | None = None) -> None:
        device, precision = original.device.type, original.dtype
        if torch.is_autocast_enabled(device):
            precision = torch.get_autocast_dtype(device)
        matrix = original.detach().to(precision)
        self.matrix = matrix if matrix.mT.is_contiguous() else matrix.contiguous()
        """M in the precision of the products, detached."""
        self.bias = None if bias is None else bias.detach().to(precision)
        self.record = Record()
        self.tap: Tensor = _Tap.apply(original, bias, self.record)  # type: ignore[no-untyped-call]
        """Input of every product, so that its own backward pass runs last."""

    def multiply(self, inputs: Tensor) -> Tensor:
        """Return `inputs` [..., rows, size] times M, plus the bias."""
        product: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            inputs, self.tap, self.matrix, self.bias, self.record
        )
        return product


class SharedLinear(FastLinear):
    """A linear layer whose weight gradient is computed once inside `share_gradients`."""

    is_sharing = False
    _shared: SharedMatrix | None = None

    def share(self, is_sharing: bool) -> None:
        """Begin or end a loop whose steps share one weight gradient."""
        self.is_sharing, self._shared = is_sharing, None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return W x + b [rows, outputs] of `inputs` x [rows, size]."""
        if not self.is_sharing or inputs.dim() != 2:
            return super().forward(inputs)
        if self._shared is None:
            self._shared = SharedMatrix(self.weight.t(), self.bias)
        return self._shared.multiply(inputs)


@contextlib.contextmanager
def share_gradients(module: nn.Module) -> Iterator[None]:
    """Compute the weight gradient of each `SharedLinear` in `module` once for the block."""
    layers = [layer for layer in module.modules() if isinstance(layer, SharedLinear)]
    for layer in layers:
        layer.share(torch.is_grad_enabled())
    try:
        yield
    finally:
        for layer in layers:
            layer.share(False)


class _Tap(torch.autograd.Function):
    """See `SharedMatrix.tap`."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, bias: Tensor | None, record: Record) -> Tensor:
        ctx.record, ctx.dtype, ctx.has_bias = record, matrix.dtype, bias is not None
        return matrix.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *_: Any) -> Any:
        inputs = torch.cat(ctx.record.inputs, dim=-2)  # [..., steps * rows, size]
        gradients = torch.cat(ctx.record.gradients, dim=-2)  # [..., steps * rows, outputs]
        ctx.record.inputs.clear()
        ctx.record.gradients.clear()
        if inputs.dim() == 2:
            grad_matrix = multiply_transposed(inputs, gradients).to(ctx.dtype)
        else:
            grad_matrix = multiply_batch(inputs.mT, gradients).to(ctx.dtype)
        grad_bias = sum_rows(gradients, ctx.dtype) if ctx.has_bias else None
        return grad_matrix, grad_bias, None


class _Product(torch.autograd.Function):
    """y = x M + b; its backward pass returns dx, and records x and dy."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, tap: Tensor, matrix: Tensor, bias: Tensor | None, record: Record
    ) -> Tensor:
        ctx.record, ctx.dtype = record, inputs.dtype
        inputs = inputs.to(matrix.dtype)
        ctx.save_for_backward(inputs, matrix)
        return inputs @ matrix if matrix.dim() > 2 else multiply(inputs, matrix.t(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        inputs, matrix = ctx.saved_tensors
        gradient = grad_outputs[0].to(matrix.dtype)
        ctx.record.note(inputs, gradient)
        grad_inputs = (gradient @ matrix.transpose(-1, -2)).to(ctx.dtype)
        return grad_inputs, gradient.new_zeros(()), None, None, None
