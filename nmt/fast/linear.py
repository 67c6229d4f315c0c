"""Products with weight matrices, computed by the fastest library."""

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.fast import shapes
from nmt.layers.linear import Linear
from nmt.machine import prefers_onednn


def multiply(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `inputs` [..., size] times `weight` [outputs, size], transposed, plus `bias`.

    Without a gradient. torch multiplies fp32 with MKL, which does not use AVX-512 on AMD
    processors; oneDNN does.
    """
    if not _is_faster_with_onednn(inputs, weight):
        return F.linear(inputs, weight, bias)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product


def _is_faster_with_onednn(inputs: Tensor, weight: Tensor) -> bool:
    return (
        inputs.dtype == weight.dtype == torch.float32
        and inputs.is_cpu
        and prefers_onednn()
        and not torch.is_autocast_enabled("cpu")
        and inputs.shape[-1] > 0
        # oneDNN is slow for slices of a larger matrix.
        and (weight.is_contiguous() or weight.t().is_contiguous())
    )


def linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `inputs` [..., size] times `weight` [outputs, size], transposed, plus `bias`."""
    if not torch.is_grad_enabled():
        return multiply(inputs, weight, bias)
    if shapes.compiles_shapes(inputs):
        return shapes.linear(inputs, weight, bias)
    return F.linear(inputs, weight, bias)


class FastLinear(Linear):
    """A linear layer whose product is computed by the fastest library."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return W x + b [..., outputs] of `inputs` x [..., size]."""
        return linear(inputs, self.weight, self.bias)
