"""Numbers as the input of a network, in place of embeddings."""

import torch
from torch import Tensor, nn


class NumbersInput(nn.Module):
    """Returns vectors of numbers as they are, with the methods of an embedding.

    Args:
        size: numbers in a vector.
    """

    precision: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        """Numbers in a vector."""
        self.register_buffer("precision", torch.zeros(()), persistent=False)

    def draw_mask(self, numbers: Tensor) -> None:
        """Return None: values that were measured are not dropped."""

    def forward(self, numbers: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return `numbers` [batch, length, size] in the precision of the model."""
        return numbers.to(self.precision)
