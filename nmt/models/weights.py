"""Read and set a model's weights by name."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from nmt.errors import ModelError


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return the weights by name, and what is saved with them; tied weights appear once, under
    their first name."""
    saved = model.state_dict(keep_vars=True)
    tables = {name: table for name, table in model.named_buffers() if name in saved}
    return {name: weight.detach() for name, weight in [*model.named_parameters(), *tables.items()]}


@torch.no_grad()
def set_weights(model: nn.Module, weights: Mapping[str, Tensor], origin: Path) -> None:
    """Copy `weights`, named as by `weights_of`, into a model of the same configuration.

    Args:
        model: changed in place, or left unchanged if an error is raised.
        weights: exactly one tensor for each weight of the model.
        origin: file the weights come from, for the error message.

    Raises:
        ModelError: names or shapes differ.
    """
    require_same_shapes(model, weights, origin)
    for name, weight in weights_of(model).items():
        weight.copy_(weights[name])


def require_same_shapes(model: nn.Module, weights: Mapping[str, Tensor], origin: Path) -> None:
    """Check that `weights` match those of `model` in name and shape; see `set_weights`.

    Raises:
        ModelError: names or shapes differ.
    """
    own = weights_of(model)
    for name in sorted(own.keys() | weights.keys()):
        if name not in weights or name not in own or own[name].shape != weights[name].shape:
            saved = tuple(weights[name].shape) if name in weights else "absent"
            needed = tuple(own[name].shape) if name in own else "absent"
            raise ModelError(
                f"{origin}: does not fit the configured model: weight `{name}` is {saved}, should "
                f"be {needed}; the configuration has changed, or files of two models are mixed."
            )
