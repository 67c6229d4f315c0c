"""Embeddings of subword pieces."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.layers.dropout import dropout_mask, word_mask


class Embedding(nn.Module):
    """Look up one vector per piece: sqrt(size) times E times a one-hot vector.

    `reset_parameters` gives E the variance 1 / size that an output layer needs to share it; the
    embeddings have variance 1 (Vaswani et al., 2017, sec. 3.4). Without the factor, inputs are so
    small at first that recurrent states hardly differ, and attention takes several epochs to learn
    where to look.

    Args:
        vocab_size: number of pieces.
        size: embedding size.
        dropout: dropout rate of single values.
        word_dropout: dropout rate of whole pieces.
        variational: True if all positions of a sentence share one dropout mask.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        *,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.empty(vocab_size, size))
        self.dropout, self.word_dropout, self.variational = dropout, word_dropout, variational

    def reset_parameters(self) -> None:
        """Draw E from a normal distribution of variance 1 / size."""
        nn.init.normal_(self.weight, std=self.size**-0.5)

    def draw_mask(self, ids: Tensor) -> Tensor | None:
        """Draw a dropout mask for `ids` [batch, length] -> [batch, length, size], or None."""
        if not self.training or self.dropout == self.word_dropout == 0.0:
            return None
        batch, length = ids.shape
        mask = self.weight.new_ones(1, 1, 1)
        if self.dropout > 0.0:
            positions = 1 if self.variational else length
            mask = dropout_mask(self.weight, (batch, positions, self.size), self.dropout)
        if self.word_dropout > 0.0:
            mask = mask * word_mask(self.weight, (batch, length, 1), self.word_dropout)
        return mask.expand(batch, length, self.size)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """Embed `ids` [batch, length] -> [batch, length, size], times `mask` if there is one."""
        embedded = F.embedding(ids, self.weight) * math.sqrt(self.size)
        return embedded if mask is None else embedded * mask

    def step(self, ids: Tensor) -> Tensor:
        """Embed `ids` [rows] -> [rows, size], without dropout."""
        return self.weight.index_select(0, ids) * math.sqrt(self.size)
