"""Source ids to source states."""

import torch
from torch import Tensor, nn

from nmt.layers.dropout import drop
from nmt.layers.embedding import Embedding
from nmt.layers.recurrent import RecurrentStack, Unrolled


class RecurrentEncoder(nn.Module):
    """Embed a sentence and read it with stacked recurrent layers.

    Args:
        embedding: vectors of the source pieces.
        stack: the layers.
        dropout: rate of the outputs dropped in training.
        variational: one dropout mask per sentence.
    """

    def __init__(
        self,
        embedding: Embedding,
        stack: RecurrentStack,
        *,
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.stack = stack
        self.dropout, self.variational = dropout, variational

    @property
    def output_size(self) -> int:
        """Values per source position."""
        return self.stack.output_size

    def forward(self, source: Tensor, mask: Tensor) -> Unrolled:
        """Read `source` [batch, src_len], of which `mask` [batch, src_len] is real."""
        embedded = self.embedding(source, self.embedding.draw_mask(source))
        read: Unrolled = self.stack(embedded, mask)
        outputs = drop(
            read.outputs, self.dropout, training=self.training, variational=self.variational
        )
        return Unrolled(outputs, read.last)


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Average `states` [batch, src_len, enc] over the real positions of `mask` -> [batch, enc]."""
    weights = mask.to(states.dtype) / mask.sum(dim=1, keepdim=True)
    return torch.bmm(weights.unsqueeze(1), states).squeeze(1)
