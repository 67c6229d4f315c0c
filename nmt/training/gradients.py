"""One update's gradient: of the mean loss per target token of the whole update.

Losses travel as sums and are divided once, by the tokens of all micro-batches and ranks. How an
update is cut into parts therefore does not change its gradient.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nmt.config.training import TrainingConfig
from nmt.data.batch import Batch
from nmt.errors import explain_lack_of_memory
from nmt.layers.regularization import l1_penalty, l2_penalty
from nmt.machine import has_fast_bf16
from nmt.models.translation import ScheduledSampling, TranslationModel
from nmt.training.distributed import World, all_reduce_gradients


@dataclass(frozen=True)
class Objective:
    """What is minimised, besides the model's own likelihood."""

    smoothing: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    bf16: bool = False
    """Matrix products in bfloat16; weights, sums and the optimizer stay in float32."""

    @classmethod
    def of(cls, config: TrainingConfig, device: torch.device) -> "Objective":
        """Take it from the configuration; "auto" precision is bf16 where that is fast."""
        auto = "bf16" if has_fast_bf16(device) else "fp32"
        precision = auto if config.precision == "auto" else config.precision
        return cls(config.label_smoothing, config.l1, config.l2, bf16=precision == "bf16")

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bf16)


def accumulate_gradients(
    model: TranslationModel,
    micro_batches: Sequence[Batch],
    objective: Objective,
    *,
    tokens: int,
    sampling: ScheduledSampling | None,
    world: World,
) -> float:
    """Leave the gradient of the mean loss in `.grad`, summed over micro-batches and ranks.

    Args:
        model: in training mode; its former gradients are dropped.
        micro_batches: this rank's share of the update.
        objective: smoothing, penalties and precision.
        tokens: target tokens of the whole update, over all ranks.
        sampling: how the decoder reads its own output; None = teacher forcing.
        world: the ranks; their gradients are added up.

    Returns:
        This rank's summed negative log-likelihood in nats, label smoothing not included.
    """
    for parameter in model.parameters():
        parameter.grad = None
    nll = torch.zeros((), device=world.device)
    for batch in micro_batches:
        with explain_lack_of_memory(partial(describe_batch, batch)):
            batch = batch.to(world.device)
            with objective.autocast(world.device):
                memory = model.encode(batch.source, batch.source_mask)
                features = model.decode(memory, batch.target_in, sampling=sampling)
                losses, nlls = model.output.losses(
                    features[batch.target_mask],
                    batch.target_out[batch.target_mask],
                    smoothing=objective.smoothing,
                )
            (losses.sum() / tokens).backward()  # type: ignore[no-untyped-call]
            nll += nlls.sum()
    if world.is_main and (objective.l1 or objective.l2):
        penalty(model, objective).backward()  # type: ignore[no-untyped-call]
    if not math.isfinite(nll):
        spoil_gradients(model)
    all_reduce_gradients(model.parameters(), world)
    return float(nll)


def spoil_gradients(model: TranslationModel) -> None:
    """Make gradients NaN, so that after their sum every rank knows to skip the update."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.fill_(torch.nan)


def describe_batch(batch: Batch) -> str:
    """Say what was too large for the memory, and what to make smaller."""
    sources, targets = batch.source_mask.sum(dim=1), batch.target_mask.sum(dim=1)  # [batch]
    longest = int((sources + targets).argmax())
    return (
        f"{len(batch):,} pairs with {batch.tokens:,} target pieces, the longest of them with "
        f"{sources[longest]:,} and {targets[longest]:,}; lower training.batch_tokens and raise "
        "training.accumulate by as much, or lower data.max_length or the sizes of the model."
    )


def penalty(model: TranslationModel, objective: Objective) -> Tensor:
    """Return the penalties on the weights that are added to the mean loss per token."""
    parameters = list(model.parameters())
    return objective.l1 * l1_penalty(parameters) + objective.l2 * l2_penalty(parameters)
