"""Many to one: one label for a whole source line.

    f = c                        or, with a hidden layer, f = tanh(V c + d)
    p(label | source) = softmax(W f + b)

c being the encoder's summary: its last states or their mean. To the rest of nmt a label is a target
of one piece followed by the end symbol. Which of the two comes next is seen from the piece before,
BOS or a label: there is no state. The end symbol is certain (`KnownEndOutput`) and adds nothing to
the loss, but counts as a token: the mean loss per token is half of that per label, and the
perplexity that a log shows is the square root of that per label.

With `NumbersOutput`, the same features predict numbers instead, y = W f + b.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from nmt.layers.dropout import drop
from nmt.models.state import TEACHER_FORCING, Decoded, DecodeOptions, DecoderState, Memory, Step
from nmt.text.vocabulary import BOS


def with_end(features: Tensor, is_end: Tensor) -> Tensor:
    """Append to `features` [..., size] whether the target is at its end, [...], as 0 or 1."""
    return torch.cat([features, is_end.unsqueeze(-1).to(features)], dim=-1)


class LabelDecoder(nn.Module):
    """Features of the label from the summary of the source.

    Args:
        memory_size: size of the summary.
        summary: what it is: the encoder's last states, or the mean of all.
        hidden_size: units of the hidden layer; 0 = none.
        dropout: dropout rate of the features.
    """

    target_lines = "label"
    attention = None
    copies_states = False

    def __init__(
        self,
        memory_size: int,
        *,
        summary: Literal["last", "mean"] = "last",
        hidden_size: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.summary, self.dropout = summary, dropout
        self.hidden = nn.Linear(memory_size, hidden_size) if hidden_size else None
        self.readout_size = hidden_size or memory_size
        """Size of the features, without the end."""

    @property
    def reads_mean(self) -> bool:
        """Whether the summary is the mean of the source states."""
        return self.summary == "mean"

    def read_out(self, summary: Tensor) -> Tensor:
        """Return f [batch, readout] of `summary` c [batch, memory]."""
        return summary if self.hidden is None else torch.tanh(self.hidden(summary))

    def forward(
        self, memory: Memory, target_in: Tensor, options: DecodeOptions = TEACHER_FORCING
    ) -> Decoded:
        """Return the features of `target_in` [batch, tgt_len]: BOS and a label."""
        features = self.read_out(memory.summary).unsqueeze(1)  # [batch, 1, readout]
        features = drop(features, self.dropout, training=self.training)
        features = features.expand(-1, target_in.shape[1], -1)
        return Decoded(with_end(features, target_in != BOS), None)

    def start(self, memory: Memory, *, copies: int = 1) -> DecoderState:
        """Return the state before the label, which is none."""
        return DecoderState((), None)

    def step(self, tokens: Tensor, state: DecoderState, memory: Memory) -> Step:
        """Return the features [rows, readout + 1] after `tokens` [rows], BOS or labels."""
        features = self.read_out(memory.summary)
        features = features.repeat_interleave(len(tokens) // memory.batch, dim=0)
        return Step(with_end(features, tokens != BOS), None, state)
