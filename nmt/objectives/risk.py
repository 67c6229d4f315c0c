"""Minimum risk training: whole translations are scored, not pieces (Shen et al., 2016)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from sacrebleu.metrics.chrf import CHRF
from torch import Tensor, nn

from nmt.config.search import SearchConfig
from nmt.config.training import MinimumRiskConfig
from nmt.data.batch import Batch, make_batch
from nmt.objectives.likelihood import Likelihood, LossSum, Model
from nmt.search.scorers import ModelScorer
from nmt.search.search import search
from nmt.text.subword import Subword
from nmt.text.vocabulary import EOS

Tokens: TypeAlias = tuple[int, ...]
"""Pieces of a translation, without the end symbol."""


@dataclass(frozen=True, kw_only=True)
class MinimumRisk:
    """(1 - w) times the loss of the likelihood, plus w times the risk R of each sentence.

        R = sum_{y in S} Q(y) (1 - chrF(y)),    Q(y) = p(y)^a / sum_{y' in S} p(y')^a

    S are the reference and samples of the model, each once (Shen et al., 2016, eq. 8 to 11). R
    counts as often as the reference has tokens, so that both terms are means over the tokens of an
    update. Samples depend on the update and on the number of the pair, not on its batch.
    """

    likelihood: Likelihood
    config: MinimumRiskConfig
    target: Subword
    """Turns pieces into text."""
    seed: int
    """Seed of the samples."""

    def loss(self, model: Model, batch: Batch, *, updates: int | None = None) -> LossSum:
        """Return the summed loss of a batch; see `Likelihood.loss`."""
        weight = self.config.weight
        loss = self.likelihood.loss(model, batch, updates=updates)
        risks = self.risks(model, batch, self.candidates(model, batch, updates or 0))
        tokens = batch.target_mask[: len(batch)].sum(dim=1)
        return replace(loss, total=(1.0 - weight) * loss.total + weight * (risks * tokens).sum())

    def candidates(self, model: Model, batch: Batch, updates: int) -> list[list[Tokens]]:
        """Return S of each pair, the reference first.

        Args:
            model: translates as in validation, without dropout.
            batch: the pairs.
            updates: seeds the samples.
        """
        count, was_training = len(batch), model.training
        seed = 1_000_003 * self.seed + updates
        config = SearchConfig(sample=True, n_best=self.config.samples, seed=seed)
        model.eval()
        # In bf16, autocast would keep narrow weights that have no gradient for the passes to come.
        with torch.autocast(batch.source.device.type, enabled=False):
            found = search(
                ModelScorer(model),
                batch.source[:count],
                batch.source_mask[:count],
                config,
                streams=batch.indices,
            )
        model.train(was_training)
        references = (
            tuple(ids[real][:-1].tolist())
            for ids, real in zip(batch.target_out, batch.target_mask, strict=True)
        )
        return [
            list(dict.fromkeys([reference, *(tuple(sample.tokens) for sample in samples)]))
            for reference, samples in zip(references, found, strict=False)
        ]

    def risks(self, model: Model, batch: Batch, candidates: Sequence[Sequence[Tokens]]) -> Tensor:
        """Return R of each pair, differentiable, [batch].

        Args:
            model: gives p.
            batch: the pairs.
            candidates: S of each pair, the reference first.
        """
        device = batch.source.device
        cells = [(pair, rank) for pair, each in enumerate(candidates) for rank in range(len(each))]
        pairs, ranks = torch.tensor(cells, device=device).unbind(dim=1)  # [candidates]
        ids = [
            (np.array([EOS]), np.array([*tokens, EOS])) for each in candidates for tokens in each
        ]
        spread = replace(
            make_batch(ids, range(len(ids))).to(device),
            source=batch.source[pairs],
            source_mask=batch.source_mask[pairs],
        )
        log_p = -Likelihood().losses_per_pair(model, spread)  # [candidates]
        shape = len(candidates), max(map(len, candidates))
        scores = log_p.new_full(shape, -torch.inf)
        scores = scores.index_put((pairs, ranks), self.config.sharpness * log_p)
        losses = log_p.new_zeros(shape)
        losses[pairs, ranks] = log_p.new_tensor([*self._losses(candidates)])
        return (scores.softmax(dim=1) * losses).sum(dim=1)

    def _losses(self, candidates: Sequence[Sequence[Tokens]]) -> Iterator[float]:
        """Yield 1 - chrF of each candidate, from 0 to 1."""
        chrf = CHRF()
        for each in candidates:
            texts = [self.target.decode(tokens) for tokens in each]
            for text in texts:
                yield 1.0 - chrf.sentence_score(text, [texts[0]]).score / 100.0

    def reference_probability(self, updates: int) -> float | None:
        """See `Likelihood`."""
        return self.likelihood.reference_probability(updates)

    def penalty(self, model: nn.Module) -> Tensor | None:
        """See `Likelihood`."""
        return self.likelihood.penalty(model)
