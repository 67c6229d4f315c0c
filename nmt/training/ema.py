"""An exponential moving average of the weights (Polyak and Juditsky, 1992)."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from nmt.errors import ModelError


class MovingAverage:
    """Keep average <- d average + (1 - d) weights beside a model.

    After update number n, d = min(decay, (1 + n) / (10 + n)): the first weights, which are random,
    soon leave the average, however slow the decay.

    Args:
        model: its parameters are averaged; the average starts as their copy.
        decay: share of the old average that is kept, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, update: int) -> None:
        """Take in the weights of `model` after update number `update` (from 1)."""
        decay = min(self.decay, (1 + update) / (10 + update))
        for name, weight in model.named_parameters():
            self.weights[name].lerp_(weight, 1.0 - decay)

    @contextlib.contextmanager
    def swapped_into(self, model: nn.Module) -> Iterator[None]:
        """Let `model` have the average as its weights inside the block, and its own afterwards."""
        own = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        _copy_into(model, self.weights)
        try:
            yield
        finally:
            _copy_into(model, own)

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Go back to an average that was saved from `weights`.

        Raises:
            ModelError: the names or shapes are not those of the model.
        """
        for name, weight in self.weights.items():
            if name not in weights or weights[name].shape != weight.shape:
                raise ModelError(
                    f"the saved average does not fit the model, see `{name}`; "
                    "resume with the configuration the run was started with."
                )
            weight.copy_(weights[name])


@torch.no_grad()
def _copy_into(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])
