"""Convolutions in place of recurrence: an encoder."""

import torch
from torch import Tensor, nn

from nmt.layers.convolution import ConvolutionalStack
from nmt.layers.embedding import Embedding
from nmt.layers.numbers import NumbersInput
from nmt.layers.recurrent import Unrolled


class ConvolutionalEncoder(nn.Module):
    """Embed a sentence and encode it with levels of dilated convolutions.

    Its last state is that of the last token, which sees all of a sentence only if that is shorter
    than the receptive field.

    Args:
        embedding: embeddings of the source pieces, or numbers.
        stack: the levels.
    """

    reads_source = True

    def __init__(self, embedding: Embedding | NumbersInput, stack: ConvolutionalStack) -> None:
        super().__init__()
        self.embedding, self.stack = embedding, stack

    @property
    def output_size(self) -> int:
        """Size of the encoder state at each source position."""
        return self.stack.output_size

    def forward(self, source: Tensor, mask: Tensor) -> Unrolled:
        """Encode `source` [batch, src_len]; `mask` [batch, src_len] is True at real tokens."""
        embedded = self.embedding(source, self.embedding.draw_mask(source))
        outputs: Tensor = self.stack(embedded, mask)
        rows = torch.arange(len(outputs), device=outputs.device)
        return Unrolled(outputs, outputs[rows, mask.sum(dim=1) - 1])
