"""Two predictions of the same targets should agree: SimCut and R-Drop."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from nmt.config.training import RDropConfig, SimCutConfig
from nmt.data.batch import Batch
from nmt.layers.embedding import Embedding
from nmt.layers.regularization import PairWeights
from nmt.objectives.likelihood import Likelihood, LossSum, Model


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Likelihood, and a penalty on the divergence of two predictions p and q of the same targets.

    SimCut (Gao et al., 2022, eq. 5 and 6): -log p(y) + w KL(p || q), where q is predicted after
    whole embeddings of source and target were cut (see `cut_pieces`).

    R-Drop (Liang et al., 2021, eq. 4), divided by two so that the likelihood counts once:
    (-log p(y) - log q(y)) / 2 + w (KL(p || q) + KL(q || p)) / 4, where p and q differ by their
    dropout masks.

    Gradients flow through p and q in both.
    """

    likelihood: Likelihood
    config: SimCutConfig | RDropConfig

    def loss(self, model: Model, batch: Batch, *, updates: int | None = None) -> LossSum:
        """Return the summed loss of a batch, with the likelihood of p; see `Likelihood.loss`."""
        w, likelihood = self.weight_after(updates), self.likelihood
        first = likelihood.read(model, batch, updates)
        if isinstance(self.config, SimCutConfig):
            weights = PairWeights(a=1.0, b=0.0, u=w, v=0.0)
            with cut_pieces(model, self.config.rate):
                second = likelihood.read(model, batch, updates)
        else:
            weights = PairWeights(a=0.5, b=0.5, u=w / 4, v=w / 4)
            second = likelihood.read(model, batch, updates)
        losses, nll = model.pair_losses(
            (first.memory, first.decoded),
            (second.memory, second.decoded),
            batch.target_out,
            batch.target_mask,
            weights,
            smoothing=likelihood.smoothing,
        )
        total = likelihood.penalised(losses.sum(), model, batch, first, updates)
        return LossSum(total, nll.sum(), len(nll))

    def weight_after(self, updates: int | None) -> float:
        """Return w after `updates` updates; None = at the end of its warm-up."""
        weight, warmup = self.config.weight, self.config.warmup
        return weight if updates is None or updates >= warmup else weight * updates / warmup

    def reference_probability(self, updates: int) -> float | None:
        """See `Likelihood`."""
        return self.likelihood.reference_probability(updates)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """See `Likelihood`."""
        return self.likelihood.penalty(model)


@contextlib.contextmanager
def cut_pieces(model: nn.Module, rate: float) -> Iterator[None]:
    """Set the embedding of each piece read inside the block to zero with probability `rate`.

    This is token cutoff (Shen et al., 2020), on both sides and in addition to word dropout.
    """
    embeddings = [module for module in model.modules() if isinstance(module, Embedding)]
    rates = [embedding.word_dropout for embedding in embeddings]
    for embedding, own in zip(embeddings, rates, strict=True):
        embedding.word_dropout = 1.0 - (1.0 - own) * (1.0 - rate)
    try:
        yield
    finally:
        for embedding, own in zip(embeddings, rates, strict=True):
            embedding.word_dropout = own
