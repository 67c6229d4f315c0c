"""Targets decoded as search decodes them: one position after the other."""

import torch
from torch import Tensor

from nmt.models.encoder_decoder import EncoderDecoder
from nmt.models.state import Memory


@torch.no_grad()
def features_by_steps(
    model: EncoderDecoder, memory: Memory, target_in: Tensor, *, copies: int = 1
) -> Tensor:
    """Return the features of `target_in` [batch, tgt_len] -> [batch * copies, tgt_len, readout]."""
    state, features = model.start(memory, copies=copies), []
    for tokens in target_in.repeat_interleave(copies, dim=0).unbind(dim=1):
        step = model.step(tokens, state, memory)
        state = step.state
        features.append(step.features)
    return torch.stack(features, dim=1)
