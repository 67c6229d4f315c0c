"""A distribution over words where the length of the target is known."""

import torch
from torch import Tensor

from nmt.layers.output import OutputLayer
from nmt.text.vocabulary import BOS, EOS, PAD


class KnownEndOutput(OutputLayer):
    """p = softmax(W f + b) over words until the known end of the target, then EOS for certain.

    The last value of the features is 0 before the end and 1 from there on, where EOS has the
    probability 1 and all else 0. Before the end, PAD, BOS and EOS have the probability 0; UNK
    stands for all words that were not seen in training.

    Args:
        project: the linear map f -> W f + b.
    """

    def scores(self, features: Tensor) -> Tensor:
        """Return logits [rows, vocab] of `features` [rows, size + 1], -inf for what cannot be."""
        scores: Tensor = self.project(features[..., :-1])
        pieces = torch.arange(scores.shape[-1], device=scores.device)
        never = (pieces == PAD) | (pieces == BOS) | (pieces == EOS)
        words = scores.masked_fill(never, -torch.inf)
        end = torch.zeros_like(scores).masked_fill(pieces != EOS, -torch.inf)
        return torch.where(features[..., -1:] > 0, end, words)

    def spread(self, log_probs: Tensor) -> Tensor:
        """See `OutputLayer`: over the words, not over EOS."""
        possible = log_probs.isfinite()
        return log_probs.where(possible, 0.0).sum(dim=-1) / possible.sum(dim=-1)
