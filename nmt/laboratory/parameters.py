"""The parameters of a module as one vector, and the module as a function of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call


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
    parts = torch.split(vector, [tensor.numel() for tensor in like.values()])
    return {
        name: part.reshape(tensor.shape)
        for (name, tensor), part in zip(like.items(), parts, strict=True)
    }


@torch.no_grad()
def set_parameters(module: nn.Module, vector: Tensor) -> None:
    """Give a module the parameters that `parameter_vector` returned."""
    for name, value in unflatten(vector, by_name(module)).items():
        module.get_parameter(name).copy_(value)


class _Call(nn.Module):
    """Calls anything of a module by the only name that `functional_call` calls."""

    def __init__(self, module: nn.Module, apply: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self.apply_to = module, apply

    def forward(self, *inputs: Tensor) -> Any:
        return self.apply_to(self.module, *inputs)


def as_function(module: nn.Module, apply: Callable[..., Any]) -> Callable[..., Any]:
    """Return f(theta, *inputs), which is apply(module, *inputs) with the parameters theta.

    Args:
        module: the module; its own parameters are unchanged.
        apply: what is computed with it; tensors in, tensors out.
    """
    shapes = by_name(module)
    call = _Call(module, apply)

    def function(theta: Tensor, *inputs: Tensor) -> Any:
        named = {f"module.{name}": part for name, part in unflatten(theta, shapes).items()}
        return functional_call(call, named, inputs)

    return function
