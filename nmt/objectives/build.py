"""From configuration to an objective."""

from typing import Protocol

from torch import Tensor, nn

from nmt.config.training import NoConsistencyConfig, TrainingConfig
from nmt.data.batch import Batch
from nmt.objectives.consistency import Consistency
from nmt.objectives.guide import Guide
from nmt.objectives.likelihood import Likelihood, LossSum, Model
from nmt.objectives.risk import MinimumRisk
from nmt.text.subword import Subword


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

    Raises:
        ValueError: minimum risk training, but no pieces of the target.
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
    if config.minimum_risk.weight > 0.0:
        if target is None:
            raise ValueError("minimum risk training needs the pieces of the target")
        return MinimumRisk(
            likelihood=likelihood, config=config.minimum_risk, target=target, seed=config.seed
        )
    consistency = config.consistency
    if isinstance(consistency, NoConsistencyConfig) or consistency.weight == 0.0:
        return likelihood
    return Consistency(likelihood=likelihood, config=consistency)
