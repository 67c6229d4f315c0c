"""What training minimises: the mean loss per target token of an update, plus penalties on weights.

Losses are kept as sums and divided once, by the tokens of all micro-batches and ranks. How an
update is split therefore does not change its gradient.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from torch import Tensor, nn

from nmt.config.training import (
    ConstantSamplingConfig,
    ExponentialSamplingConfig,
    InverseSigmoidSamplingConfig,
    LinearSamplingConfig,
    NoConsistencyConfig,
    NoSamplingConfig,
    RDropConfig,
    ScheduledSamplingConfig,
    SimCutConfig,
    TrainingConfig,
)
from nmt.data.batch import Batch
from nmt.errors import explain_lack_of_memory
from nmt.layers.copying import SourceOutput
from nmt.layers.embedding import Embedding
from nmt.layers.regularization import divergence, l1_penalty, l2_penalty
from nmt.models.encoder_decoder import EncoderDecoder, ScheduledSampling
from nmt.models.state import Decoded, Memory
from nmt.text.subword import Subword
from nmt.training.guide import Guide

Model: TypeAlias = EncoderDecoder
"""Any model that can be trained: it has `encode`, `decode` and `output`."""


@dataclass(frozen=True)
class LossSum:
    """Sums over the target tokens of a batch."""

    total: Tensor
    """The training loss, label smoothing included; carries the gradient."""
    nll: Tensor
    """Negative log-likelihood of the reference in nats, detached."""
    tokens: int
    """Target tokens in both sums, end symbols included."""


@dataclass(frozen=True)
class Read:
    """A batch after the encoder and the decoder."""

    memory: Memory
    decoded: Decoded


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Negative log-likelihood of the target, with label smoothing and penalties on the weights."""

    smoothing: float = 0.0
    """Probability mass spread evenly over the vocabulary (Szegedy et al., 2016)."""
    l1: float = 0.0
    """Weight of the sum of |w|."""
    l2: float = 0.0
    """Weight of half the sum of w^2."""
    activation_l1: float = 0.0
    """Weight of the sum of |h| over the encoder's outputs, per target token like the loss."""
    truncation: int = 0
    """Pieces after which the gradient of the decoder's states is cut; 0 = never."""
    sampling: ScheduledSamplingConfig | None = None
    """How often the decoder reads its own output in training; None = teacher forcing."""
    guide: Guide | None = None
    """Links that the attention should follow; None = it finds its own."""

    def loss(self, model: Model, batch: Batch, *, updates: int | None = None) -> LossSum:
        """Return the summed loss of a batch.

        Args:
            model: scores the targets.
            batch: on the model's device.
            updates: updates made so far, for scheduled sampling; None = teacher forcing.
        """
        read = self.read(model, batch, updates)
        losses, nll = self._token_losses(model, batch, read)
        total = self.penalised(losses.sum(), model, batch, read, updates)
        return LossSum(total, nll.sum(), len(nll))

    def losses_per_pair(self, model: Model, batch: Batch) -> Tensor:
        """Return the summed loss of each pair under teacher forcing, differentiable, [batch].

        Penalties are left out.
        """
        losses, _ = self._token_losses(model, batch, self.read(model, batch, None))
        padded = losses.new_zeros(batch.target_mask.shape)
        return padded.masked_scatter(batch.target_mask, losses).sum(dim=1)[: len(batch)]

    def read(self, model: Model, batch: Batch, updates: int | None) -> Read:
        """Encode and decode a batch; `updates` as in `loss`."""
        memory = model.encode(batch.source, batch.source_mask)
        decoded = model.decode(
            memory,
            batch.target_in,
            sampling=self._sampling_after(updates),
            keep_attention=self.guide is not None,
            truncation=0 if updates is None else self.truncation,
        )
        return Read(memory, decoded)

    def _token_losses(self, model: Model, batch: Batch, read: Read) -> tuple[Tensor, Tensor]:
        """Return the loss of each real target token, and its part without smoothing, [tokens]."""
        return model.losses(
            read.memory,
            read.decoded,
            batch.target_out,
            batch.target_mask,
            smoothing=self.smoothing,
        )

    def penalised(
        self, total: Tensor, model: Model, batch: Batch, read: Read, updates: int | None
    ) -> Tensor:
        """Return the summed loss `total` of a batch plus penalties on its states and attention."""
        if self.activation_l1:
            states = read.memory.states[: len(batch)]
            total = total + self.activation_l1 * states.abs().sum()
        if self.guide is not None and read.decoded.attention is not None:
            source = batch.source
            if isinstance(model.output, SourceOutput):
                source = model.output.read_ids(source)
            links = self.guide.penalty(read.decoded.attention, source, batch.target_out)
            total = total + self.guide.weight_after(updates) * links
        return total

    def reference_probability(self, updates: int) -> float | None:
        """Return the probability that the decoder reads the reference after `updates` updates;
        None under teacher forcing."""
        if self.sampling is None or self.sampling.kind == "none":
            return None
        return reference_probability(self.sampling, updates)

    def _sampling_after(self, updates: int | None) -> ScheduledSampling | None:
        if updates is None or self.sampling is None or self.sampling.kind == "none":
            return None
        return ScheduledSampling(
            reference_probability(self.sampling, updates), self.sampling.pick, self.sampling.form
        )

    def penalty(self, model: nn.Module) -> Tensor | None:
        """Return the penalty added to the mean loss per token of an update; None if unused."""
        if not (self.l1 or self.l2):
            return None
        parameters = list(model.parameters())
        return self.l1 * l1_penalty(parameters) + self.l2 * l2_penalty(parameters)


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


class Objective(Protocol):
    """What training minimises."""

    def loss(self, model: Model, batch: Batch, *, updates: int | None = None) -> LossSum:
        """See `Likelihood`."""
        ...

    def reference_probability(self, updates: int) -> float | None:
        """See `Likelihood`."""
        ...

    def penalty(self, model: nn.Module) -> Tensor | None:
        """See `Likelihood`."""
        ...


def build_objective(
    config: TrainingConfig, *, guide: Guide | None = None, target: Subword | None = None
) -> Objective:
    """Return the objective that a configuration asks for.

    Args:
        config: names it.
        guide: links, for guided alignment.
        target: pieces of the target, for minimum risk training.
    """
    likelihood = Likelihood(
        smoothing=config.label_smoothing,
        l1=config.l1,
        l2=config.l2,
        activation_l1=config.activation_l1,
        truncation=config.truncation,
        sampling=config.scheduled_sampling,
        guide=guide,
    )
    if config.minimum_risk.weight > 0.0 and target is not None:
        from nmt.training.risk import MinimumRisk  # here, since it imports this module

        return MinimumRisk(
            likelihood=likelihood, config=config.minimum_risk, target=target, seed=config.seed
        )
    consistency = config.consistency
    if isinstance(consistency, NoConsistencyConfig) or consistency.weight == 0.0:
        return likelihood
    return Consistency(likelihood=likelihood, config=consistency)


def reference_probability(config: ScheduledSamplingConfig, updates: int) -> float:
    """Return the probability that the decoder reads the reference piece after `updates` updates.

    It is drawn for each target position (Bengio et al., 2015, section 2.4), and never falls below
    the configured minimum.
    """
    match config:
        case NoSamplingConfig():
            return 1.0
        case ConstantSamplingConfig(probability=probability):
            return probability
        case LinearSamplingConfig(k=k, c=c, minimum=minimum):
            return max(minimum, k - c * updates)
        case ExponentialSamplingConfig(k=k, minimum=minimum):
            return max(minimum, k**updates)
        case InverseSigmoidSamplingConfig(k=k, minimum=minimum):
            # k / (k + exp(i / k)), rewritten because exp(i / k) would overflow at late updates.
            return max(minimum, _sigmoid(math.log(k) - updates / k))


def _sigmoid(x: float) -> float:
    if x >= 0:
        return 1.0 / (1.0 + math.exp(-x))
    return math.exp(x) / (1.0 + math.exp(x))


def explain_large_batch(batch: Batch) -> contextlib.AbstractContextManager[None]:
    """Turn an out-of-memory error inside the block into one that describes the batch."""
    return explain_lack_of_memory(partial(_describe, batch))


def _describe(batch: Batch) -> str:
    sources, targets = batch.source_mask.sum(dim=1), batch.target_mask.sum(dim=1)  # [batch]
    longest = int((sources + targets).argmax())
    return (
        f"{len(batch):,} pairs with {batch.tokens:,} target pieces, the longest of them with "
        f"{sources[longest]:,} and {targets[longest]:,}; lower training.batch_tokens and raise "
        "training.accumulate by as much, or lower data.max_length or the sizes of the model."
    )
