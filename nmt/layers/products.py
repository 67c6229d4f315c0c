"""How inputs are multiplied with a matrix of weights: plainly, or in 8-bit integers.

Each layer keeps the function it multiplies with. `quantize` exchanges it for search on CPUs:
weights W become whole numbers from -127 to 127, with a scale for each output, once and for all;
inputs x become such numbers with a scale for each row,

    W = diag(s) Q,   x = r q,   W x = r diag(s) (Q q)

and the machine has instructions for four products of such numbers at a time. The sum Q q of whole
numbers is exact, so that a row's result does not depend on the rows beside it.
"""

from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.machine import has_amx, prefers_onednn
from nmt.native.kernels import Kernels, PackedWeights, kernels, knows

_LARGEST = 127.0
_ZERO = 128  # what stands for 0 in the unsigned inputs that the instructions want
_LEAST = 1e-12  # a row of zeros needs a scale, too
_FEW_ROWS = 16  # too few to fill the tiles of AMX


class Multiply(Protocol):
    """Multiplies inputs with a matrix of weights."""

    def __call__(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return `inputs` [..., size] times `weight` [outputs, size], transposed, plus `bias`.

        Args:
            inputs: real numbers.
            weight: of a layer, or some of its columns.
            bias: [outputs].
        """
        ...


def multiply_plainly(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply in the precision of the weights, see `Multiply`."""
    if torch.is_grad_enabled():
        return F.linear(inputs, weight, bias)
    return multiply_forward(inputs, weight, bias)


def multiply_forward(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Do the same without a gradient, by the library that is fastest at it on this machine."""
    is_fp32 = inputs.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    # oneDNN has no fast way for parts of a larger matrix.
    is_whole = inputs.shape[-1] > 0 and (weight.is_contiguous() or weight.t().is_contiguous())
    if is_fp32 and is_whole and inputs.device.type == "cpu" and prefers_onednn():
        product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
        return product
    return F.linear(inputs, weight, bias)


class MultiplyInt8:
    """Multiplies in 8-bit integers, see `Multiply`; each matrix is rounded when it is first met.

    Matrices are known by where they lie in memory, and must not change any more.
    """

    def __init__(self) -> None:
        self._rounded: dict[_Place, _Rounded] = {}

    def __call__(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """See `Multiply`."""
        rounded = self._round(weight)
        if inputs.dim() == 2:
            return rounded.multiply(inputs.contiguous(), bias)
        rows = inputs.flatten(0, -2).contiguous()  # [rows, size]
        return rounded.multiply(rows, bias).view(*inputs.shape[:-1], -1)

    def pack(self, weight: Tensor, inputs: Tensor) -> PackedWeights | None:
        """Return what our own kernel multiplies `inputs` [rows, size] with; None: it does not."""
        native = _kernels_for(inputs)
        if native is None or not _is_best(native, inputs):
            return None
        return self._round(weight).packed

    def narrow(self, weight: Tensor, outputs: Tensor, part: Tensor) -> "MultiplyInt8":
        """Return what multiplies with the `outputs` [kept] of `weight`, which are `part`."""
        narrow = MultiplyInt8()
        narrow._rounded[_place(part)] = self._round(weight).narrow(outputs)
        return narrow

    def _round(self, weight: Tensor) -> "_Rounded":
        place = _place(weight)
        rounded = self._rounded.get(place)
        if rounded is None:
            rounded = self._rounded[place] = _Rounded.of(weight)
        return rounded


_Place = tuple[int, torch.Size, tuple[int, ...]]


def _place(weight: Tensor) -> _Place:
    return weight.data_ptr(), weight.shape, weight.stride()


class _Rounded:
    """A matrix of weights in 8-bit integers.

    Args:
        whole: int8, [outputs, size].
        scales: of the outputs, [outputs].
    """

    def __init__(self, whole: Tensor, scales: Tensor) -> None:
        self._whole, self._scales = whole, scales

    @classmethod
    def of(cls, weight: Tensor) -> "_Rounded":
        """Round `weight` [outputs, size]."""
        weight = weight.detach().float()
        scales = (weight.abs().amax(dim=1) / _LARGEST).clamp_min(_LEAST)  # [outputs]
        return cls(torch.round(weight / scales.unsqueeze(1)).to(torch.int8), scales)

    def narrow(self, outputs: Tensor) -> "_Rounded":
        """Return the matrix of these outputs [kept] alone."""
        return _Rounded(self._whole[outputs], self._scales[outputs])

    def multiply(self, inputs: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply `inputs` [rows, size] with the matrix, transposed, and add `bias` [outputs]."""
        native = _kernels_for(inputs)
        if native is not None and _is_best(native, inputs):
            return native.multiply_int8(inputs, self.packed, bias)
        if native is not None:
            as_bytes, row_scales = native.to_bytes(inputs)
            product = self._multiply_onednn(as_bytes)
            native.scale_rows(product, row_scales, bias)
            return product
        row_scales = inputs.abs().amax(dim=1, keepdim=True).div_(_LARGEST).clamp_min_(_LEAST)
        as_bytes = (inputs / row_scales).add_(_ZERO + 0.5).to(torch.uint8)
        product = self._multiply_onednn(as_bytes).mul_(row_scales)
        return product if bias is None else product.add_(bias)

    @cached_property
    def packed(self) -> PackedWeights:
        """What our own kernel wants to have."""
        return PackedWeights.of(self._whole, self._scales)

    @cached_property
    def _prepared(self) -> tuple[Tensor, Tensor]:
        """What oneDNN wants to have: the weights in its layout, and what stands for their 0."""
        zeros = torch.zeros(len(self._scales), dtype=torch.int64)
        return torch.ops.onednn.qlinear_prepack(self._whole, None), zeros

    def _multiply_onednn(self, inputs: Tensor) -> Tensor:
        """Multiply `inputs` [rows, size], whole numbers around `_ZERO`."""
        weight, zeros = self._prepared
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            *(inputs, 1.0, _ZERO),
            *(weight, self._scales, zeros),
            None,
            *(1.0, 0, torch.float32),  # of the outputs: as they are
            *("none", [], ""),  # nothing is applied to them
        )
        return product


def _kernels_for(inputs: Tensor) -> Kernels | None:
    return kernels() if inputs.dtype == torch.float32 and knows(inputs) else None


def _is_best(native: Kernels, inputs: Tensor) -> bool:
    """Say whether our own kernel multiplies `inputs` [rows, size] faster than oneDNN."""
    return native.multiplies_int8 and (inputs.shape[0] <= _FEW_ROWS or not has_amx())


def quantize(model: nn.Module) -> None:
    """Let all layers of a model on a CPU multiply in 8-bit integers; its weights are then final."""
    multiply = MultiplyInt8()
    for module in model.modules():
        if hasattr(module, "multiply"):
            module.multiply = multiply  # type: ignore[assignment]


def can_quantize() -> bool:
    """Say whether this torch has products of 8-bit integers."""
    return hasattr(torch.ops.onednn, "qlinear_pointwise")
