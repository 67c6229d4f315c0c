"""Batch normalisation over the real positions of a batch (Ioffe and Szegedy, 2015)."""

import torch
from torch import Tensor, nn

_EPSILON = 1e-5
_MOMENTUM = 0.1
"""Share of a batch in the running mean and variance."""


class BatchNorm(nn.Module):
    """y = gain (x - m) / sqrt(v + 1e-5) + shift, channel by channel (algorithm 1).

    In training, m and v are mean and variance over the real positions of a batch, so its sentences
    depend on each other. Otherwise they are running means over batches (algorithm 2), and no
    sentence depends on another. These are weights that are not learned, so that they are saved and
    restored with the others.

    Args:
        size: number of channels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.variance = nn.Parameter(torch.ones(size), requires_grad=False)

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Return outputs of the shape of `inputs` [batch, length, size].

        `mask` [batch, length, 1] is True at real positions; others count for nothing.
        """
        wide = inputs.to(self.gain.dtype)  # sums in bfloat16 would be too coarse
        if self.training:
            mean, variance = self._measure(wide[mask.squeeze(-1)])
        else:
            mean, variance = self.mean.detach(), self.variance.detach()
        outputs = self.gain * (wide - mean) * (variance + _EPSILON).rsqrt() + self.shift
        return outputs.to(inputs)

    def _measure(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of `real` [positions, size], and note them."""
        mean, variance = real.mean(dim=0), real.var(dim=0, unbiased=False)
        unbiased = variance.detach() * len(real) / max(1, len(real) - 1)
        with torch.no_grad():
            self.mean.lerp_(mean, _MOMENTUM)
            self.variance.lerp_(unbiased, _MOMENTUM)
        return mean, variance
