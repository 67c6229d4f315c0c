"""Products of 8-bit integers, for search on CPUs.

Weights W are quantized once, to integers from -127 to 127 with one scale per output; inputs x are
quantized with one scale per row,

    W = diag(s) Q,   x = r q,   W x = r diag(s) (Q q)

and the CPU has instructions for four products of such integers at a time. The integer sum Q q is
exact, so a row's result does not depend on the other rows.
"""

from functools import cached_property

import torch
from torch import Tensor, nn

from nmt.fast.kernels import Kernels, PackedWeights, kernels
from nmt.machine import has_amx

_LARGEST = 127.0
_ZERO = 128  # zero point: the instructions take unsigned inputs
_LEAST = 1e-12  # smallest scale, for rows of zeros
_FEW_ROWS = 16  # too few to fill the tiles of AMX


class Int8Linear(nn.Module):
    """y = W x + b with W and x rounded to 8-bit integers.

    Args:
        whole: Q, int8, [outputs, size].
        scales: s, [outputs].
        bias: b, [outputs], or None.
    """

    def __init__(self, whole: Tensor, scales: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self._whole, self._scales = whole, scales

    @classmethod
    def of(cls, linear: nn.Linear) -> "Int8Linear":
        """Quantize the weights of a linear layer."""
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(dim=1) / _LARGEST).clamp_min(_LEAST)  # [outputs]
        whole = torch.round(weight / scales.unsqueeze(1)).to(torch.int8)
        return cls(whole, scales, None if linear.bias is None else linear.bias.detach())

    @property
    def in_features(self) -> int:
        """Size of x."""
        return self._whole.shape[1]

    def narrow(self, outputs: Tensor) -> "Int8Linear":
        """Return the layer restricted to these outputs [kept]."""
        bias = None if self.bias is None else self.bias[outputs]
        return Int8Linear(self._whole[outputs], self._scales[outputs], bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return W x + b [..., outputs] of `inputs` x [..., size]."""
        if inputs.dim() == 2:
            return self._multiply(inputs.contiguous())
        rows = inputs.flatten(0, -2).contiguous()  # [rows, size]
        return self._multiply(rows).view(*inputs.shape[:-1], -1)

    __call__ = forward  # torch's hooks, of which there are none, cost as much as a small product

    def _multiply(self, inputs: Tensor) -> Tensor:
        """Multiply `inputs` [rows, size]."""
        native = kernels_for(inputs)
        if native is not None and is_best(native, inputs):
            return native.multiply_int8(inputs, self.packed, self.bias)
        if native is not None:
            as_bytes, row_scales = native.to_bytes(inputs)
            product = self._multiply_onednn(as_bytes)
            native.scale_rows(product, row_scales, self.bias)
            return product
        row_scales = inputs.abs().amax(dim=1, keepdim=True).div_(_LARGEST).clamp_min_(_LEAST)
        as_bytes = (inputs / row_scales).add_(_ZERO + 0.5).to(torch.uint8)
        product = self._multiply_onednn(as_bytes).mul_(row_scales)
        return product if self.bias is None else product.add_(self.bias)

    @cached_property
    def packed(self) -> PackedWeights:
        """The weights in the layout of our own kernel."""
        return PackedWeights.of(self._whole, self._scales)

    @cached_property
    def _prepared(self) -> tuple[Tensor, Tensor]:
        """The weights in the layout of oneDNN, and their zero points."""
        zeros = torch.zeros(len(self._scales), dtype=torch.int64)
        return torch.ops.onednn.qlinear_prepack(self._whole, None), zeros

    def _multiply_onednn(self, inputs: Tensor) -> Tensor:
        """Multiply quantized `inputs` [rows, size] with zero point `_ZERO`."""
        weight, zeros = self._prepared
        input_scale, output_scale, output_zero, no_bias = 1.0, 1.0, 0, None
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            inputs,
            input_scale,
            _ZERO,
            weight,
            self._scales,
            zeros,
            no_bias,
            output_scale,
            output_zero,
            torch.float32,
            "none",  # no fused operation
            [],
            "",
        )
        return product


def kernels_for(inputs: Tensor) -> Kernels | None:
    """Return the compiled kernels if they support `inputs`; else None."""
    return kernels() if inputs.dtype == torch.float32 and inputs.is_cpu else None


def is_best(native: Kernels, inputs: Tensor) -> bool:
    """Whether our own kernel multiplies `inputs` [rows, size] faster than oneDNN."""
    return native.multiplies_int8 and (inputs.shape[0] <= _FEW_ROWS or not has_amx())
