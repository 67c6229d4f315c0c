"""Rounding of row counts, so that kernels compiled per shape are reused.

oneDNN, which multiplies bfloat16 on CPUs, and float32 on AMD CPUs if no gradient is needed,
compiles a kernel for each new shape of a product, in a few milliseconds. Batches differ in rows
and lengths, so nearly every product of an update would have a new shape. Here the number of rows is
rounded up to one of a short list of sizes, and the added rows are zero.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nmt.machine import prefers_onednn

_STEP = 4  # smallest difference between two sizes
_PER_OCTAVE = 8  # sizes between a power of two and the next


def rounded(rows: int) -> int:
    """Round `rows` up to the next size of the list.

    The sizes are multiples of 4 up to 64, and above that, eight per power of two.
    """
    step = max(_STEP, (1 << (rows - 1).bit_length()) // (2 * _PER_OCTAVE)) if rows > 1 else _STEP
    return -(-rows // step) * step


def compiles_shapes(inputs: Tensor) -> bool:
    """Whether a product with `inputs` is compiled for its shape, with or without gradients."""
    is_low = inputs.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    return inputs.is_cpu and is_low


def compiles_forward(inputs: Tensor) -> bool:
    """Whether `nmt.fast.linear.multiply` compiles a product with `inputs` for its shape."""
    return compiles_shapes(inputs) or (inputs.is_cpu and prefers_onednn())


def rounds_batches(device: torch.device, *, bf16: bool) -> bool:
    """Whether rounding the number of rows of training batches saves compilations."""
    return device.type == "cpu" and bf16


def pad_rows(values: Tensor) -> Tensor:
    """Append rows of zeros to `values` [rows, size], [rounded(rows), size]."""
    missing = rounded(len(values)) - len(values)
    return F.pad(values, (0, 0, 0, missing)) if missing else values


def multiply_transposed(left: Tensor, right: Tensor) -> Tensor:
    """Return `left` [rows, a] transposed times `right` [rows, b], [a, b]: a weight gradient."""
    if compiles_shapes(left):
        left, right = pad_rows(left), pad_rows(right)
    return left.t() @ right


def multiply_batch(left: Tensor, right: Tensor) -> Tensor:
    """Return `left` [batch, a, b] times `right` [batch, b, c], [batch, a, c].

    In float32 if kernels are compiled per shape: lengths vary too much, and the product is small.
    """
    if compiles_shapes(left):
        with torch.autocast("cpu", enabled=False):
            return (left.float() @ right.float()).to(right.dtype)
    return left @ right


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return W x + b [..., outputs] of `inputs` x [..., size], in bfloat16, with gradients."""
    product: Tensor = _Linear.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
    return product


class _Linear(torch.autograd.Function):
    """See `linear`: all three products have rounded row counts."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1]).to(torch.bfloat16)
        padded, low = pad_rows(rows), weight.to(torch.bfloat16)
        ctx.save_for_backward(padded, low)
        ctx.shape, ctx.dtype, ctx.weight_dtype = inputs.shape, inputs.dtype, weight.dtype
        ctx.bias_dtype = None if bias is None else bias.dtype
        product = F.linear(padded, low, None if bias is None else bias.to(torch.bfloat16))
        return product[: len(rows)].view(*inputs.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        padded, low = ctx.saved_tensors
        grad = grad_outputs[0].reshape(-1, len(low)).to(torch.bfloat16)
        rows, grad = len(grad), pad_rows(grad)
        grad_inputs = (grad @ low)[:rows].view(ctx.shape).to(ctx.dtype)
        grad_weight = (grad.t() @ padded).to(ctx.weight_dtype)
        is_wanted = ctx.bias_dtype is not None
        grad_bias = grad.sum(dim=0, dtype=ctx.bias_dtype) if is_wanted else None
        return grad_inputs, grad_weight, grad_bias
