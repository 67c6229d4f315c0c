"""Rounding of row counts, so that kernels compiled per shape are reused.

oneDNN, which multiplies bfloat16 on CPUs, and float32 on AMD CPUs if no gradient is needed,
compiles a kernel for each new shape of a product, in a few milliseconds. Batches differ in rows
and lengths, so nearly every product of an update would have a new shape. Here the number of rows is
rounded up to one of a short list of sizes, and the added rows are zero. Many rows are multiplied in
two blocks whose sizes are from the list, since padding them all would copy them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from nmt.fast.kernels import sum_rows
from nmt.machine import prefers_onednn

_STEP = 4  # smallest difference between two sizes
_PER_OCTAVE = 8  # sizes between a power of two and the next
_MOST_COPIED = 512  # rows; copying fewer takes less time than a second product


def rounded(rows: int) -> int:
    """Round `rows` up to the next size of the list.

    The sizes are multiples of 4 up to 64, and above that, eight per power of two.
    """
    step = _step(rows)
    return -(-rows // step) * step


def _step(rows: int) -> int:
    """Return the difference between the sizes of the list around `rows`."""
    return max(_STEP, (1 << (rows - 1).bit_length()) // (2 * _PER_OCTAVE)) if rows > 1 else _STEP


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


def blocks(values: Tensor) -> list[Tensor]:
    """Return the rows of `values` [rows, size] in one or two blocks of few sizes.

    The last block may end in rows of zeros.
    """
    rows, step = len(values), _step(len(values))
    if rows <= _MOST_COPIED:
        return [pad_rows(values)]
    whole = rows - rows % step
    if whole == rows:
        return [values]
    # A quarter of a step is few enough zeros, and few enough sizes.
    return [values[:whole], F.pad(values[whole:], (0, 0, 0, -(rows - whole) % (step // 4)))]


def multiply_transposed(left: Tensor, right: Tensor) -> Tensor:
    """Return `left` [rows, a] transposed times `right` [rows, b], [a, b]: a weight gradient."""
    if not compiles_shapes(left):
        return left.t() @ right
    return _sum_of_products(blocks(left), blocks(right))


def _sum_of_products(left: Sequence[Tensor], right: Sequence[Tensor]) -> Tensor:
    """Return the sum over the blocks of `left` [rows, a] transposed times `right` [rows, b]."""
    total = left[0].t() @ right[0]
    for more_left, more_right in zip(left[1:], right[1:], strict=True):
        total = torch.addmm(total, more_left.t(), more_right)
    return total


def _multiply_blocks(left: Sequence[Tensor], right: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the blocks of `left` [rows, a] times `right` [a, b], plus `bias`, [all rows, b]."""
    sizes = [len(block) for block in left]
    product = right.new_empty(sum(sizes), right.shape[1])
    for block, out in zip(left, torch.split(product, sizes), strict=True):
        if bias is None:
            torch.mm(block, right, out=out)
        else:
            torch.addmm(bias, block, right, out=out)
    return product


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
    """See `linear`: all three products have few shapes."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1]).to(torch.bfloat16)
        parts, low = blocks(rows), weight.to(torch.bfloat16)
        ctx.save_for_backward(low, *parts)
        ctx.shape, ctx.dtype, ctx.weight_dtype = inputs.shape, inputs.dtype, weight.dtype
        ctx.bias_dtype = None if bias is None else bias.dtype
        low_bias = None if bias is None else bias.to(torch.bfloat16)
        product = _multiply_blocks(parts, low.t(), low_bias)
        return product[: len(rows)].view(*inputs.shape[:-1], len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        low, *inputs = ctx.saved_tensors
        grad = grad_outputs[0].reshape(-1, len(low)).to(torch.bfloat16)
        parts = blocks(grad)
        grad_inputs = _multiply_blocks(parts, low)[: len(grad)].view(ctx.shape).to(ctx.dtype)
        grad_weight = _sum_of_products(parts, inputs).to(ctx.weight_dtype)
        grad_bias = None if ctx.bias_dtype is None else sum_rows(grad, ctx.bias_dtype)
        return grad_inputs, grad_weight, grad_bias
