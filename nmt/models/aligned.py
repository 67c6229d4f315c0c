"""Aligned many to many: one target word for each source word, such as a tag.

    f_t = h_t                    or, with a hidden layer, f_t = tanh(V h_t + d)
    p(y_t | source) = softmax(W f_t + b),     t = 1, ..., n

h_t being the encoder's state at source word t. Tags do not depend on each other; a bidirectional
encoder lets each see the whole source. The target ends where the source does: at the source's end
symbol the target's is certain (`KnownEndOutput`). It adds nothing to the loss, but counts as a
token. The state is the position.
"""

import torch
from torch import Tensor, nn

from nmt.layers.dropout import drop
from nmt.models.label import with_end
from nmt.models.state import TEACHER_FORCING, Decoded, DecodeOptions, DecoderState, Memory, Step


class AlignedDecoder(nn.Module):
    """Features of each target word from the source state at the same position.

    Args:
        memory_size: size of a source state.
        hidden_size: units of the hidden layer; 0 = none.
        dropout: dropout rate of the features.
    """

    target_lines = "aligned"
    attention = None
    copies_states = False
    reads_mean = False

    def __init__(self, memory_size: int, *, hidden_size: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = nn.Linear(memory_size, hidden_size) if hidden_size else None
        self.readout_size = hidden_size or memory_size
        """Size of the features, without the end."""

    def read_out(self, states: Tensor) -> Tensor:
        """Return f_t [..., readout] of source states h_t [..., memory]."""
        return states if self.hidden is None else torch.tanh(self.hidden(states))

    def forward(
        self, memory: Memory, target_in: Tensor, options: DecodeOptions = TEACHER_FORCING
    ) -> Decoded:
        """Return the features of all positions of `target_in` [batch, tgt_len]."""
        length = target_in.shape[1]
        positions = torch.arange(length, device=target_in.device).expand(memory.batch, -1)
        features = self.read_out(memory.states[:, :length])
        if features.shape[1] < length:  # a target that is too long has the probability 0
            features = features[:, positions[0].clamp(max=features.shape[1] - 1)]
        features = drop(features, self.dropout, training=self.training)
        return Decoded(with_end(features, _is_end(positions, memory.mask)), None)

    def start(self, memory: Memory, *, copies: int = 1) -> DecoderState:
        """Return the state before the first position, with `copies` rows per sentence."""
        positions = torch.zeros(memory.batch * copies, 1, dtype=torch.long)
        return DecoderState(((positions.to(memory.mask.device),),), None)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> Step:
        """Return the features [rows, readout + 1] of the next position of each row."""
        (position,) = state.layers[0]  # [rows, 1]
        places = position.view(memory.batch, -1)  # [batch, copies]
        sentences = torch.arange(memory.batch, device=places.device).unsqueeze(1)
        states = memory.states[sentences, places.clamp(max=memory.states.shape[1] - 1)]
        features = with_end(self.read_out(states), _is_end(places, memory.mask))
        return Step(features.flatten(0, 1), None, DecoderState(((position + 1,),), None))


def _is_end(positions: Tensor, mask: Tensor) -> Tensor:
    """Whether `positions` [batch, any] are those of the source's end symbol, or beyond it.

    `mask` [batch, src_len] is True at real tokens.
    """
    return positions >= mask.sum(dim=1, keepdim=True) - 1
