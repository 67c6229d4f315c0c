"""Convolutions in place of recurrence: an encoder, and a decoder that is a language model."""

import torch
from torch import Tensor, nn

from nmt.layers.convolution import ConvolutionalStack
from nmt.layers.dropout import drop
from nmt.layers.embedding import Embedding
from nmt.layers.numbers import NumbersInput
from nmt.layers.recurrent import Unrolled
from nmt.models.state import TEACHER_FORCING, Decoded, DecodeOptions, DecoderState, Memory, Step


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
        last = outputs[rows, mask.sum(dim=1) - 1]
        return Unrolled(outputs, last, embedded=embedded)


class ConvolutionalDecoder(nn.Module):
    """A language model: f_t is the output of causal levels at the piece before.

    All positions of a text are computed at once. Step by step, the state is the last inputs of each
    convolution.

    Args:
        embedding: embeddings of the pieces.
        stack: causal levels.
        dropout: dropout rate of the features.
    """

    target_lines = "text"
    attention = None
    copies_states = False
    reads_mean = False

    def __init__(
        self, embedding: Embedding, stack: ConvolutionalStack, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.embedding, self.stack, self.dropout = embedding, stack, dropout
        self.readout_size = stack.output_size
        """Size of a feature vector."""

    def forward(
        self, memory: Memory, target_in: Tensor, options: DecodeOptions = TEACHER_FORCING
    ) -> Decoded:
        """Return the features of all positions of `target_in` [batch, tgt_len].

        Padding is on the right, where no real position sees it.
        """
        embedded = self.embedding(target_in, self.embedding.draw_mask(target_in))
        everywhere = torch.ones_like(target_in, dtype=torch.bool)
        features: Tensor = self.stack(embedded, everywhere)
        return Decoded(drop(features, self.dropout, training=self.training), None)

    def start(self, memory: Memory, *, copies: int = 1) -> DecoderState:
        """Return the state before the first piece, with `copies` rows per sentence."""
        return DecoderState(self.stack.start(memory.batch * copies, memory.mask.device), None)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> Step:
        """Read one more piece per row, `tokens` [rows]."""
        past = tuple((first, second) for first, second in state.layers)
        features, layers = self.stack.step(self.embedding.step(tokens), past)
        return Step(features, None, DecoderState(layers, None))
