"""The encoder: from source ids to source states."""

import torch
from torch import Tensor, nn

from nmt.layers.dropout import drop
from nmt.layers.embedding import Embedding
from nmt.layers.numbers import NumbersInput
from nmt.layers.recurrent import RecurrentStack, Unrolled


class RecurrentEncoder(nn.Module):
    """Embed a sentence and encode it with stacked recurrent layers.

    Args:
        embedding: embeddings of the source pieces, or numbers.
        stack: the recurrent layers.
        dropout: dropout rate of the outputs.
        variational: True if all positions of a sentence share one dropout mask.
    """

    reads_source = True

    def __init__(
        self,
        embedding: Embedding | NumbersInput,
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
        """Size of the encoder state at each source position."""
        return self.stack.output_size

    def forward(self, source: Tensor, mask: Tensor) -> Unrolled:
        """Encode `source` [batch, src_len]; `mask` [batch, src_len] is True at real tokens."""
        embedded = self.embedding(source, self.embedding.draw_mask(source))
        with self.stack.dropped_weights():
            read: Unrolled = self.stack(embedded, mask)
        outputs = drop(
            read.outputs, self.dropout, training=self.training, variational=self.variational
        )
        return Unrolled(outputs, read.last, read.states, embedded)


class NoEncoder(nn.Module):
    """Reads nothing, so that the decoder is a language model (Mikolov et al., 2010)."""

    reads_source = False
    output_size = 0

    def forward(self, source: Tensor, mask: Tensor) -> Unrolled:
        """Return states of size 0 for `source` [batch, src_len]."""
        states = torch.zeros(*source.shape, 0, device=source.device)
        return Unrolled(states, states[:, 0])


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Average `states` [batch, src_len, enc] where `mask` is True -> [batch, enc]."""
    weights = mask.to(states.dtype) / mask.sum(dim=1, keepdim=True)
    return torch.bmm(weights.unsqueeze(1), states).squeeze(1)
