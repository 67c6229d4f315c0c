"""The likelihood of the target, with smoothing and penalties: what all objectives build on."""

from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from nmt.config.training import ScheduledSamplingConfig
from nmt.data.batch import Batch
from nmt.layers.copying import SourceOutput
from nmt.layers.regularization import l1_penalty, l2_penalty
from nmt.models.encoder_decoder import EncoderDecoder, ScheduledSampling
from nmt.models.state import Decoded, Memory
from nmt.objectives.guide import Guide
from nmt.objectives.scheduled_sampling import reference_probability

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
