"""The parameters of a module as one vector."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


def flatten(tensors: Iterable[Tensor]) -> Tensor:
    """Return all values of some tensors as one vector, [values]."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def parameter_vector(module: nn.Module) -> Tensor:
    """Return a copy of a module's parameters as one vector, in the order of their names."""
    return flatten(parameter.detach() for parameter in module.parameters())


def by_name(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's parameters, detached, by name."""
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parts of a vector [values] in the shapes of the tensors `like`, by name."""
    parts = vector.split([tensor.numel() for tensor in like.values()])
    return {
        name: part.reshape(tensor.shape)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }


@torch.no_grad()
def set_parameters(module: nn.Module, vector: Tensor) -> None:
    """Give a module the parameters that `parameter_vector` returned."""
    for name, value in unflatten(vector, by_name(module)).items():
        module.get_parameter(name).copy_(value)
