"""A bag of words: the embeddings of a sentence, whose order does not matter."""

from typing import Literal

from torch import Tensor, nn

from nmt.layers.dropout import drop
from nmt.layers.embedding import Embedding
from nmt.layers.numbers import NumbersInput
from nmt.layers.recurrent import Unrolled


class BagEncoder(nn.Module):
    """Read a sentence as its embeddings e_t, summarised by their mean or sum over all t.

    With an attention, a decoder chooses among the e_t, still without regard to their order.

    Args:
        embedding: embeddings of the source pieces, or numbers.
        pool: "mean" or "sum".
        dropout: dropout rate of the outputs.
        variational: True if all positions of a sentence share one dropout mask.
    """

    reads_source = True

    def __init__(
        self,
        embedding: Embedding | NumbersInput,
        *,
        pool: Literal["mean", "sum"] = "mean",
        dropout: float = 0.0,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.embedding, self.pool = embedding, pool
        self.dropout, self.variational = dropout, variational

    @property
    def output_size(self) -> int:
        """Size of an embedding."""
        return self.embedding.size

    def forward(self, source: Tensor, mask: Tensor) -> Unrolled:
        """Encode `source` [batch, src_len]; `mask` [batch, src_len] is True at real tokens."""
        embedded = self.embedding(source, self.embedding.draw_mask(source))
        outputs = embedded * mask.unsqueeze(-1)  # [batch, src_len, embedding]
        outputs = drop(outputs, self.dropout, training=self.training, variational=self.variational)
        total = outputs.sum(dim=1)
        if self.pool == "mean":
            total = total / mask.sum(dim=1, keepdim=True)
        return Unrolled(outputs, total, embedded=embedded)
