"""An optimizer's state as named tensors, and back, bit by bit.

torch numbers the parameters; names are what survives a change of their order.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from nmt.errors import ModelError

_KEPT_BY_ADAM = {"exp_avg", "exp_avg_sq", "step"}
_KEPT_BY_SGD = {"momentum_buffer"}


def optimizer_tensors(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Return the state as {"exp_avg/encoder.weight": tensor, ...}; empty before the first step."""
    names = _names(optimizer, model)
    return {
        f"{key}/{names[index]}": value
        for index, values in optimizer.state_dict()["state"].items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Replace the optimizer's state by what `optimizer_tensors` returned.

    Options such as the learning rate stay as they are.

    Raises:
        ModelError: a tensor belongs to no parameter of this optimizer, or does not fit it; or the
            tensors are those of another kind of optimizer.
    """
    indices = {name: index for index, name in enumerate(_names(optimizer, model))}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for full_name, tensor in tensors.items():
        key, _, name = full_name.partition("/")
        index = indices.get(name)
        if index is None or tensor.shape != (() if key == "step" else parameters[index].shape):
            raise ModelError(
                f"the saved optimizer state does not fit the model: `{name}` is unknown or has "
                "another shape; resume with the configuration the run was started with."
            )
        state.setdefault(index, {})[key] = tensor
    needed = _KEPT_BY_SGD if isinstance(optimizer, SGD) else _KEPT_BY_ADAM
    for index, values in state.items():
        if values.keys() != needed:
            raise ModelError(
                f"the saved optimizer state does not fit {type(optimizer).__name__}: of "
                f"`{_names(optimizer, model)[index]}` it has {', '.join(sorted(values))}, "
                f"should have {', '.join(sorted(needed))}; "
                "resume with the training.optimizer the run was started with."
            )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _names(optimizer: Optimizer, model: nn.Module) -> list[str]:
    """Return the name of each parameter, in the order in which torch numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
