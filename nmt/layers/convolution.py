"""Dilated convolutions over the positions of a sentence (TCN; Bai et al., 2018, section 3).

Level l = 0, ..., L - 1 applies two convolutions whose K inputs are d = 2^l positions apart, and
adds its own input:

    conv(x)_t = b + sum_k W_k x_{t - (K - 1 - k) d}            causal: nothing after t
    level(x)  = relu(x' + drop(relu(conv(drop(relu(conv(x)))))))

where x' is x, or a linear map of it if the sizes differ. Batch normalisation, an option, stands
between conv and relu. An output sees 1 + 2 (K - 1) (2^L - 1)
positions. Unlike in the paper's code, weights are not normalised. Causal levels can also be run
position by position, from the last (K - 1) d inputs of each convolution, with equal results; all
positions at once is what makes them fast in training.
"""

from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.layers.batch_norm import BatchNorm
from nmt.layers.dropout import drop
from nmt.layers.linear import Linear

Past: TypeAlias = tuple[Tensor, Tensor]
"""Last inputs of both convolutions of a level, [rows, (K - 1) d, input] and [rows, (K - 1) d,
hidden]."""


class Convolution(nn.Module):
    """One dilated convolution; zeros stand before and after a sentence.

    Its weights are one matrix [W_0 ... W_{K-1}], so that it is one product of it with the K inputs
    side by side.

    Args:
        input_size: size of an input.
        output_size: size of an output.
        kernel_size: K, the number of inputs that an output sees.
        dilation: d, the distance between two of them.
        causal: see nothing after a position; otherwise as much as before it, K being odd.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        kernel_size: int,
        dilation: int = 1,
        causal: bool = True,
    ) -> None:
        super().__init__()
        if not causal and kernel_size % 2 == 0:
            raise ValueError(f"an even kernel has no centre, got size {kernel_size}")
        self.input_size, self.dilation = input_size, dilation
        self.reach = (kernel_size - 1) * dilation
        """Distance from the first to the last input that an output sees."""
        self.after = 0 if causal else self.reach // 2
        self.project = Linear(kernel_size * input_size, output_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs [batch, length, output] of `inputs` [batch, length, input]."""
        length = inputs.shape[1]
        padded = F.pad(inputs, (0, 0, self.reach - self.after, self.after))
        starts = range(0, self.reach + 1, self.dilation)
        seen = torch.cat([padded[:, start : start + length] for start in starts], dim=-1)
        outputs: Tensor = self.project(seen)
        return outputs

    def start(self, rows: int, device: torch.device) -> Tensor:
        """Return the inputs before the first position: zeros, [rows, (K - 1) d, input]."""
        return torch.zeros(rows, self.reach, self.input_size, device=device)

    def step(self, inputs: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output [rows, output] of one more position, and the inputs to keep.

        Args:
            inputs: [rows, input].
            past: the inputs before, [rows, (K - 1) d, input].
        """
        window = torch.cat(
            [past.to(inputs), inputs.unsqueeze(1)], dim=1
        )  # [rows, reach + 1, input]
        return self.project(window[:, :: self.dilation].flatten(1)), window[:, 1:]


class ConvolutionalLevel(nn.Module):
    """Two convolutions and a residual connection (Bai et al., 2018, fig. 1b).

    Args:
        input_size: size of an input.
        hidden_size: size of an output.
        kernel_size: inputs of a convolution.
        dilation: distance between them.
        causal: see nothing after a position.
        dropout: dropout rate after each convolution.
        variational: drop a channel at all positions of a sentence, as in the paper.
        batch_norm: normalise channels before each ReLU of the convolutions; not step by step.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        kernel_size: int,
        dilation: int,
        causal: bool,
        dropout: float,
        variational: bool,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()

        def convolution(size: int) -> Convolution:
            return Convolution(
                size, hidden_size, kernel_size=kernel_size, dilation=dilation, causal=causal
            )

        self.first, self.second = convolution(input_size), convolution(hidden_size)
        is_same = input_size == hidden_size
        self.residual = nn.Identity() if is_same else Linear(input_size, hidden_size)
        self.dropout, self.variational = dropout, variational
        self.norms = nn.ModuleList(BatchNorm(hidden_size) for _ in range(2 * batch_norm))

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Return outputs [batch, length, hidden] of `inputs` [batch, length, input].

        Both are zeros at padding, where `mask` [batch, length, 1] is False, so that a sentence sees
        the same around it whatever its batch.
        """
        hidden = self.first(inputs)
        hidden = self.drop(torch.relu(self.normalize(0, hidden, mask))) * mask
        hidden = self.second(hidden)
        hidden = self.drop(torch.relu(self.normalize(1, hidden, mask)))
        return torch.relu(self.residual(inputs) + hidden) * mask

    def normalize(self, number: int, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the outputs of a convolution, 0 or 1, normalised if this level does that."""
        if not self.norms:
            return hidden
        normalized: Tensor = self.norms[number](hidden, mask)
        return normalized

    def drop(self, hidden: Tensor) -> Tensor:
        """Apply dropout to [batch, length, hidden]."""
        return drop(hidden, self.dropout, training=self.training, variational=self.variational)

    def start(self, rows: int, device: torch.device) -> Past:
        """Return the state before the first position."""
        return self.first.start(rows, device), self.second.start(rows, device)

    def step(self, inputs: Tensor, past: Past) -> tuple[Tensor, Past]:
        """Return the output [rows, hidden] for one more input [rows, input], and the new state."""
        hidden, first = self.first.step(inputs, past[0])
        hidden, second = self.second.step(torch.relu(hidden), past[1])
        return torch.relu(self.residual(inputs) + torch.relu(hidden)), (first, second)


class ConvolutionalStack(nn.Module):
    """Levels on top of each other, each looking twice as far as the one below.

    Args:
        input_size: size of an input.
        hidden_size: size of an output.
        levels: L, the number of levels.
        kernel_size: K, the inputs of a convolution.
        causal: see nothing after a position; otherwise as much as before it.
        dropout: dropout rate after each convolution.
        variational: drop a channel at all positions of a sentence.
        batch_norm: normalise channels after each convolution; not step by step.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        levels: int,
        kernel_size: int,
        causal: bool = True,
        dropout: float = 0.0,
        variational: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = hidden_size
        self.levels = nn.ModuleList(
            ConvolutionalLevel(
                hidden_size if level else input_size,
                hidden_size,
                kernel_size=kernel_size,
                dilation=2**level,
                causal=causal,
                dropout=dropout,
                variational=variational,
                batch_norm=batch_norm,
            )
            for level in range(levels)
        )

    @property
    def receptive_field(self) -> int:
        """Number of positions that an output sees: 1 + 2 (K - 1) (2^L - 1)."""
        return 1 + sum(2 * level.first.reach for level in self.each_level())

    def forward(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Return outputs [batch, length, hidden] of `inputs` [batch, length, input], zeros at
        padding; `mask` [batch, length] is True at real positions."""
        real = mask.unsqueeze(-1)
        hidden = inputs * real
        for level in self.each_level():
            hidden = level(hidden, real)
        return hidden

    def each_level(self) -> list[ConvolutionalLevel]:
        """Return the levels, lowest first."""
        return [cast(ConvolutionalLevel, level) for level in self.levels]

    def start(self, rows: int, device: torch.device) -> tuple[Past, ...]:
        """Return the state before the first position; only of causal levels."""
        return tuple(level.start(rows, device) for level in self.each_level())

    def step(self, inputs: Tensor, state: tuple[Past, ...]) -> tuple[Tensor, tuple[Past, ...]]:
        """Return the output [rows, hidden] for one more input [rows, input], and the new state."""
        hidden, new = inputs, []
        for level, past in zip(self.each_level(), state, strict=True):
            hidden, kept = level.step(hidden, past)
            new.append(kept)
        return hidden, tuple(new)
