"""Products with one matrix at every step of a loop, whose gradient is formed once for all steps.

In a decoder that feeds back, the same weights, keys and source states enter a product at every
target position. Autograd forms a gradient of the size of the matrix at each of them and adds them
up. Inside `shared_products()` that gradient waits until the backward pass of the loop is over,
and is then a single product over all positions:

    y_t = x_t M,  t = 1..T        dM = [x_1; ..; x_T]^T [dy_1; ..; dy_T]

What stands in the block is written as always: `F.linear`, `torch.bmm`, `@` and `attend` are
recognised, and everything else is left alone. Results are the same up to the order of additions.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from nmt.layers.attention import attend, attend_plainly, attention_kernels
from nmt.layers.products import multiply_forward
from nmt.native.kernels import Kernels, kernels, knows

_MATRIX_PRODUCTS = (torch.bmm, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__)


def shared_products() -> contextlib.AbstractContextManager[object]:
    """Return the block in which products share the work for their matrices' gradients."""
    return _SharedProducts() if torch.is_grad_enabled() else contextlib.nullcontext()


@dataclass(frozen=True)
class _Record:
    """What the steps' backward passes leave for the gradient of one matrix."""

    inputs: list[Tensor] = field(default_factory=list)
    """x_t, [..., rows, size]."""
    gradients: list[Tensor] = field(default_factory=list)
    """dy_t, [..., rows, outputs]."""

    def note(self, inputs: Tensor, gradient: Tensor) -> None:
        """Keep what one step leaves."""
        self.inputs.append(inputs)
        self.gradients.append(gradient)


class _Tap(torch.autograd.Function):
    """Stands before every product with a matrix, so that its own backward pass comes last."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, bias: Tensor | None, record: _Record) -> Tensor:
        ctx.record, ctx.dtype, ctx.has_bias = record, matrix.dtype, bias is not None
        return matrix.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *_: Any) -> Any:
        inputs = torch.cat(ctx.record.inputs, dim=-2)  # [..., steps * rows, size]
        gradients = torch.cat(ctx.record.gradients, dim=-2)  # [..., steps * rows, outputs]
        ctx.record.inputs.clear()
        ctx.record.gradients.clear()
        of_matrix = (inputs.transpose(-1, -2) @ gradients).to(ctx.dtype)
        of_bias = _sum_rows(gradients, ctx.dtype) if ctx.has_bias else None
        return of_matrix, of_bias, None


def _sum_rows(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the sum over the rows of `values` [rows, columns] in a wider type, [columns]."""
    if dtype == torch.float32 and knows(values) and (native := kernels()) is not None:
        return native.sum_rows(values)
    return values.sum(dim=0, dtype=dtype)  # torch makes a copy of that type first


class _Product(torch.autograd.Function):
    """y = x M + b; its backward pass returns dx, and notes x and dy."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, tap: Tensor, matrix: Tensor, bias: Tensor | None, record: _Record
    ) -> Tensor:
        ctx.record, ctx.dtype = record, inputs.dtype
        inputs = inputs.to(matrix.dtype)
        ctx.save_for_backward(inputs, matrix)
        return inputs @ matrix if matrix.dim() > 2 else multiply_forward(inputs, matrix.t(), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        inputs, matrix = ctx.saved_tensors
        gradient = grad_outputs[0].to(matrix.dtype)
        ctx.record.note(inputs, gradient)
        of_inputs = (gradient @ matrix.transpose(-1, -2)).to(ctx.dtype)
        return of_inputs, gradient.new_zeros(()), None, None, None


class _Attend(torch.autograd.Function):
    """Attention by a compiled kernel; its backward pass notes what is left to multiply.

    With scores e = q K^T / temperature and contexts c = softmax(e) S: dK = de^T q, dS = w^T dc.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        tap_of_keys: Tensor,
        tap_of_states: Tensor,
        keys: "_Factor",
        states: "_Factor",
        mask: Tensor,
        temperature: float,
        native: Kernels,
    ) -> tuple[Tensor, Tensor]:
        query = query.contiguous()
        contexts, weights = native.attend(query, keys.matrix.mT, states.matrix, mask, temperature)
        ctx.save_for_backward(query, weights)
        ctx.keys, ctx.states, ctx.native, ctx.temperature = keys, states, native, temperature
        ctx.set_materialize_grads(False)
        return contexts, weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        query, weights = ctx.saved_tensors
        of_contexts, of_weights = grad_outputs
        if of_contexts is None:
            of_contexts = query.new_zeros(*query.shape[:2], ctx.states.matrix.shape[2])
        of_contexts = of_contexts.contiguous()
        of_scores, of_query = ctx.native.attend_backward(
            *(ctx.keys.matrix.mT, ctx.states.matrix, weights, ctx.temperature, of_contexts),
            None if of_weights is None else of_weights.contiguous(),
        )
        ctx.keys.record.note(query, of_scores.to(query.dtype))
        ctx.states.record.note(weights.to(query.dtype), of_contexts)
        tap = of_contexts.new_zeros(())
        return of_query, tap, tap, None, None, None, None, None


@dataclass(frozen=True)
class _Factor:
    """A matrix as the products take it."""

    originals: tuple[Tensor, Tensor | None]
    """Matrix and bias, kept alive so that no other tensor can come to lie at their addresses."""
    matrix: Tensor
    """Detached, in the precision of the products."""
    bias: Tensor | None
    """Likewise."""
    tap: Tensor
    record: _Record

    @classmethod
    def of(cls, original: Tensor, bias: Tensor | None) -> "_Factor":
        device, precision, record = original.device.type, original.dtype, _Record()
        if torch.is_autocast_enabled(device):
            precision = torch.get_autocast_dtype(device)
        tap: Tensor = _Tap.apply(original, bias, record)  # type: ignore[no-untyped-call]
        low = None if bias is None else bias.detach().to(precision)
        matrix = original.detach().to(precision)
        if not matrix.mT.is_contiguous():  # a part of a larger one
            matrix = matrix.contiguous()
        return cls((original, bias), matrix, low, tap, record)


class _SharedProducts(TorchFunctionMode):
    """Sends each product with a matrix that learns through `_Product`."""

    def __init__(self) -> None:
        super().__init__()
        self._factors: dict[tuple[object, ...], _Factor] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is attend:
            return self._attend(*args)
        if torch.is_grad_enabled() and not kwargs:
            if func is F.linear and args[1].requires_grad and args[0].dim() == 2:
                return self._multiply(args[0], args[1].t(), *args[2:])
            if (
                func in _MATRIX_PRODUCTS
                and args[1].requires_grad
                and args[0].dim() == args[1].dim()
            ):
                return self._multiply(*args)
        return func(*args, **kwargs)

    def _multiply(self, inputs: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return `inputs` [..., rows, size] times `matrix` [..., size, outputs], plus `bias`."""
        factor = self._factor(matrix, bias)
        product: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
            inputs, factor.tap, factor.matrix, factor.bias, factor.record
        )
        return product

    def _attend(
        self, query: Tensor, keys: Tensor, states: Tensor, mask: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """See `attend`; where no kernel fits, its products share their work."""
        if keys.requires_grad and states.requires_grad:
            of_keys, of_states = self._factor(keys.mT), self._factor(states)
            low = query.to(of_keys.matrix.dtype)
            native = attention_kernels(low, of_keys.matrix.mT, of_states.matrix)
            if native is not None:
                both: tuple[Tensor, Tensor] = _Attend.apply(  # type: ignore[no-untyped-call]
                    *(low, of_keys.tap, of_states.tap, of_keys, of_states),
                    *(mask.contiguous(), temperature, native),
                )
                return both
        with self:
            return attend_plainly(query, keys, states, mask, temperature)

    def _factor(self, matrix: Tensor, bias: Tensor | None = None) -> _Factor:
        own_bias = None if bias is None else bias.data_ptr()
        place = (matrix.data_ptr(), matrix.shape, matrix.stride(), own_bias)
        if place not in self._factors:
            self._factors[place] = _Factor.of(matrix, bias)
        return self._factors[place]
