"""One update of the weights: forward, backward, clip, step, average."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nmt.data.batch import Batch, explain_large_batch
from nmt.data.loader import Update
from nmt.objectives.build import Objective
from nmt.objectives.likelihood import Model
from nmt.training.distributed import World, all_reduce_gradients
from nmt.training.in_progress import TrainingRun, divergence_error
from nmt.training.optimizer import set_learning_rate
from nmt.training.schedule import learning_rate


@dataclass(frozen=True)
class UpdateResult:
    """Loss, gradient norm, learning rate and scheduled sampling of an update."""

    nll: float
    """Summed negative log-likelihood of this rank's share, in nats."""
    gradient_norm: float
    """Gradient norm before clipping."""
    learning_rate: float
    reference_probability: float | None
    """See `Likelihood.reference_probability`."""


def make_update(run: TrainingRun, update: Update) -> UpdateResult:
    """Update the weights once.

    An update whose loss or gradient is not finite is skipped and counted, since a single step with
    it would make every weight NaN.

    Raises:
        DivergenceError: too many updates in a row had to be skipped.
    """
    config, state, model = run.experiment.training, run.state, run.model
    rate = learning_rate(config, state.update + 1, state.plateau)
    set_learning_rate(run.optimizer, rate)
    probability = run.objective.reference_probability(state.update)
    nll = accumulate_gradients(
        model,
        update.micro_batches,
        run.objective,
        tokens=update.tokens,
        updates=state.update,
        precision=run.precision,
        world=run.world,
    )
    norm = clip_gradients(model.parameters(), config.clip_norm)
    state.update += 1
    state.tokens += update.tokens
    state.position = update.position_after
    if math.isfinite(norm):
        run.optimizer.step()
        if run.average is not None:
            run.average.update(model, state.update)
        state.skipped_in_a_row = 0
    else:
        state.skipped += 1
        state.skipped_in_a_row += 1
        if state.skipped_in_a_row >= config.max_skipped:
            times = f"{config.max_skipped} times in a row"
            raise divergence_error(state.update, f"the gradient was not finite {times}", config)
    return UpdateResult(nll, norm, rate, probability)


def accumulate_gradients(
    model: Model,
    micro_batches: Sequence[Batch],
    objective: Objective,
    *,
    tokens: int,
    updates: int,
    precision: torch.dtype,
    world: World,
) -> float:
    """Compute the gradient of the mean loss in `.grad`, summed over micro-batches and ranks.

    Args:
        model: in training mode; earlier gradients are dropped.
        micro_batches: this rank's share of the update.
        objective: what is minimised.
        tokens: target tokens of the whole update, over all ranks.
        updates: updates made so far.
        precision: precision of matrix products; weights, sums and the optimizer stay in float32.
        world: the ranks over which gradients are summed.

    Returns:
        This rank's summed negative log-likelihood in nats, without label smoothing.
    """
    model.zero_grad(set_to_none=True)
    nll = torch.zeros((), device=world.device)
    for batch in micro_batches:
        with explain_large_batch(batch):
            with autocast(precision, world.device):
                loss = objective.loss(model, batch.to(world.device), updates=updates)
            (loss.total / tokens).backward()  # type: ignore[no-untyped-call]
            nll += loss.nll
    penalty = objective.penalty(model)
    if penalty is not None and world.is_main:  # once, as gradients are summed over ranks
        penalty.backward()  # type: ignore[no-untyped-call]
    if not math.isfinite(nll):
        _fill_gradients_with_nan(model)
    all_reduce_gradients(model.parameters(), world)
    return float(nll)


def autocast(precision: torch.dtype, device: torch.device) -> torch.autocast:
    """Return the context in which forward passes run in `precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16)


def _fill_gradients_with_nan(model: nn.Module) -> None:
    """Set gradients to NaN, so that their sum makes every rank skip the update."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.fill_(torch.nan)


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients so that their global norm is at most `max_norm`; return the norm before.

    Smaller gradients are unchanged, as are those whose norm is not finite (Pascanu et al., 2013,
    algorithm 1). `torch.nn.utils.clip_grad_norm_` always multiplies, which costs another pass over
    all gradients.

    Args:
        parameters: parameters whose `.grad` is scaled; a missing gradient counts as zero.
        max_norm: maximum norm; 0 = measure only.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return 0.0
    total = torch.linalg.vector_norm(torch.stack([*map(torch.linalg.vector_norm, gradients)]))
    norm = float(total)
    if 0 < max_norm < norm < math.inf:
        for gradient in gradients:
            gradient.mul_(max_norm / total)
    return norm
