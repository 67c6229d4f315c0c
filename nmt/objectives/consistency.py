"""Two predictions of the same targets should agree: SimCut and R-Drop."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from nmt.config.training import RDropConfig, SimCutConfig
from nmt.data.batch import Batch
from nmt.layers.embedding import Embedding
from nmt.layers.regularization import divergence
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
        likelihood = self.likelihood
        cut = self.config.rate if isinstance(self.config, SimCutConfig) else None
        first = likelihood.read(model, batch, updates)
        with contextlib.nullcontext() if cut is None else cut_pieces(model, cut):
            second = likelihood.read(model, batch, updates)
        real, smoothing = batch.target_mask, likelihood.smoothing
        target = batch.target_out[real]  # [tokens]
        log_p = model.distribution(first.memory, first.decoded, real)  # [tokens, vocab]
        log_q = model.distribution(second.memory, second.decoded, real)
        losses, nll = model.output.cross_entropy(log_p, target, smoothing=smoothing)
        if cut is None:
            others, _ = model.output.cross_entropy(log_q, target, smoothing=smoothing)
            losses = (losses + others) / 2
            apart = divergence(log_p, log_q, symmetric=True) / 4
        else:
            apart = divergence(log_p, log_q)
        total = (losses + self.weight_after(updates) * apart).sum()
        total = likelihood.penalised(total, model, batch, first, updates)
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
