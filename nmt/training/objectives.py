"""What training minimises: the mean loss per target token of an update, plus penalties on weights.

Losses are kept as sums and divided once, by the tokens of all micro-batches and ranks. How an
update is split therefore does not change its gradient.
"""

import contextlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from torch import Tensor, nn

from nmt.config.training import (
    ConstantSamplingConfig,
    ExponentialSamplingConfig,
    InverseSigmoidSamplingConfig,
    LinearSamplingConfig,
    NoSamplingConfig,
    ScheduledSamplingConfig,
    TrainingConfig,
)
from nmt.data.batch import Batch
from nmt.errors import explain_lack_of_memory
from nmt.layers.regularization import l1_penalty, l2_penalty
from nmt.models.encoder_decoder import EncoderDecoder, ScheduledSampling
from nmt.models.state import Memory

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

    def loss(self, model: Model, batch: Batch, *, updates: int | None = None) -> LossSum:
        """Return the summed loss of a batch.

        Args:
            model: scores the targets.
            batch: on the model's device.
            updates: updates made so far, for scheduled sampling; None = teacher forcing.
        """
        memory = model.encode(batch.source, batch.source_mask)
        losses, nll = self._token_losses(model, batch, memory, updates)
        total = losses.sum()
        if self.activation_l1:
            total = total + self.activation_l1 * memory.states[: len(batch)].abs().sum()
        return LossSum(total, nll.sum(), len(nll))

    def losses_per_pair(self, model: Model, batch: Batch) -> Tensor:
        """Return the summed loss of each pair under teacher forcing, differentiable, [batch].

        Penalties are left out.
        """
        memory = model.encode(batch.source, batch.source_mask)
        losses, _ = self._token_losses(model, batch, memory, None)
        padded = losses.new_zeros(batch.target_mask.shape)
        return padded.masked_scatter(batch.target_mask, losses).sum(dim=1)[: len(batch)]

    def _token_losses(
        self, model: Model, batch: Batch, memory: Memory, updates: int | None
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of each real target token, and its part without smoothing, [tokens]."""
        decoded = model.decode(
            memory,
            batch.target_in,
            sampling=self._sampling_after(updates),
            truncation=0 if updates is None else self.truncation,
        )
        real = batch.target_mask
        return model.losses(memory, decoded, batch.target_out, real, smoothing=self.smoothing)

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


Objective: TypeAlias = Likelihood
"""Any objective; a second one makes this a union."""


def build_objective(config: TrainingConfig) -> Objective:
    """Return the objective that a configuration asks for."""
    return Likelihood(
        smoothing=config.label_smoothing,
        l1=config.l1,
        l2=config.l2,
        activation_l1=config.activation_l1,
        truncation=config.truncation,
        sampling=config.scheduled_sampling,
    )


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
