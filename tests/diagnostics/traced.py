"""Small float64 models and batches for tests of diagnostics."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.data.batch import Batch, make_batch
from nmt.models.build import build_model
from nmt.models.encoder_decoder import EncoderDecoder
from nmt.objectives.likelihood import Likelihood
from nmt.text.vocabulary import EOS

VOCAB = 11
PAIRS = [([4, 5, 6, 8, EOS], [7, EOS]), ([9, EOS], [5, 8, 8, EOS]), ([4, 4, EOS], [6, 7, EOS])]


def model_of(
    *,
    encoder: dict[str, Any] | None = None,
    dropout: dict[str, float] | None = None,
    seed: int = 1,
    **decoder: Any,
) -> EncoderDecoder:
    """Return a float64 model with random weights; without `encoder` settings, a default one."""
    torch.manual_seed(seed)
    config = {
        "embedding": {"size": 6},
        "encoder": {"hidden_size": 4, **(encoder or {})},
        "decoder": {"hidden_size": 8, **decoder},
        "dropout": dropout or {},
        "initialization": {"kind": "uniform", "scale": 0.5},
    }
    built = ModelConfig.model_validate(config)
    return build_model(built, source_vocab=VOCAB, target_vocab=VOCAB).double()


def batch_of(*pairs: tuple[list[int], list[int]]) -> Batch:
    ids = [(np.array(source), np.array(target)) for source, target in pairs]
    return make_batch(ids, range(len(ids)))


def total_loss(model: EncoderDecoder, batch: Batch) -> Tensor:
    """Return the loss summed over the tokens of a batch."""
    return Likelihood().loss(model, batch).total
