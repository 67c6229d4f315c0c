"""Links between target and source pieces that guide the attention (Chen et al., 2016).

Preparation learns p(target piece | source piece) by IBM model 1 (Brown et al., 1993). By the same
model, the target piece y_t translates source position j with the probability

    A_tj = p(y_t | x_j) / sum_k p(y_t | x_k)

and the penalty on an attention a is the cross-entropy -sum_tj A_tj log a_tj.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nmt.config.training import GuidedAlignmentConfig
from nmt.models.shortlist import load_dictionary

_LEAST = 1e-9
"""Smallest attention that has a finite logarithm and gradient here."""


@dataclass(frozen=True)
class Guide:
    """Likely translations of the source pieces, with their probabilities."""

    likely: Tensor
    """Target pieces, PAD where there are no more, [source_vocab, likely]."""
    probability: Tensor
    """p(target piece | source piece) of each, 0 where there are no more, [source_vocab, likely]."""
    config: GuidedAlignmentConfig

    @classmethod
    def load(cls, folder: Path, config: GuidedAlignmentConfig, device: torch.device) -> "Guide":
        """Load the lexicon of prepared data.

        Raises:
            DataError: it was prepared before the lexicon had probabilities.
        """
        likely, probability = load_dictionary(folder, used_by="training.guided_alignment")
        return cls(likely.to(device), probability.to(device), config)

    def links(self, source: Tensor, target: Tensor) -> Tensor:
        """Return A [batch, tgt_len, src_len]; a row is 0 where no translation is known.

        Args:
            source: ids, padded, [batch, src_len].
            target: ids, padded, [batch, tgt_len].
        """
        joint = self.probability.new_zeros(*target.shape, source.shape[1])
        for pieces, probability in zip(self.likely.t(), self.probability.t(), strict=True):
            same = pieces[source].unsqueeze(1) == target.unsqueeze(2)  # [batch, tgt_len, src_len]
            joint += same * probability[source].unsqueeze(1)
        return joint / joint.sum(dim=2, keepdim=True).clamp_min(torch.finfo(joint.dtype).tiny)

    def penalty(self, attention: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy with `attention` [batch, tgt_len, src_len], summed."""
        links = self.links(source, target).to(attention.dtype)
        return -(links * attention.clamp_min(_LEAST).log()).sum()

    def weight_after(self, updates: int | None) -> float:
        """Return the weight of the penalty after `updates` updates; None = at the start."""
        weight, until = self.config.weight, self.config.until
        return weight * max(0.0, 1.0 - updates / until) if updates and until else weight
