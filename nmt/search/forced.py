"""Forced decoding: how likely given translations are.

Nothing is chosen, so nothing but the state of the scorer is kept, and no rule applies.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.errors import ModelError
from nmt.search.scorers import Scorer
from nmt.text.vocabulary import BOS


@dataclass(frozen=True)
class ForcedScores:
    """What a scorer says of given translations."""

    log_probs: Tensor
    """log p(piece | source, pieces before it), 0 at padding, [batch, tgt_len]."""
    attention: Tensor | None
    """Attention of each piece, on the CPU, [batch, tgt_len, src_len]; None if it is not kept."""


@torch.inference_mode()
def score_targets(
    scorer: Scorer,
    source: Tensor,
    source_mask: Tensor,
    target: Tensor,
    target_mask: Tensor,
    *,
    keep_attention: bool = False,
) -> ForcedScores:
    """Return the log-probability of each piece of given translations.

    Args:
        scorer: gives the probabilities.
        source: ids ending in EOS, [batch, src_len].
        source_mask: [batch, src_len].
        target: ids ending in EOS, [batch, tgt_len].
        target_mask: [batch, tgt_len].
        keep_attention: return attention as well, if the scorer has any.

    Raises:
        ModelError: a value is NaN.
    """
    state = scorer.start(source, source_mask, copies=1)
    previous = torch.full_like(target[:, 0], BOS)
    gained, attention = [], []
    for pieces in target.unbind(dim=1):
        scored = scorer.step(previous, state)
        gained.append(scored.log_probs.gather(1, pieces.unsqueeze(1)).squeeze(1))
        if keep_attention and scored.attention is not None:
            attention.append(scored.attention.float().cpu())
        state, previous = scored.state, pieces
    log_probs = torch.stack(gained, dim=1).masked_fill(~target_mask, 0.0)
    if log_probs.isnan().any():
        raise ModelError(
            "the model gives NaN log-probabilities: its weights are damaged or overflow; "
            "use an earlier checkpoint, or try --precision fp32."
        )
    return ForcedScores(log_probs, torch.stack(attention, dim=1) if attention else None)
