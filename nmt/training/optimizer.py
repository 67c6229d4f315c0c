"""The optimizer, its state by parameter name, and a moving average of the weights."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

from nmt.config.training import OptimizerConfig, SgdConfig
from nmt.errors import ConfigError, ModelError
from nmt.models.weights import weights_of

logger = logging.getLogger("nmt.training")

_KEPT_BY_ADAM = {"exp_avg", "exp_avg_sq", "step"}
_KEPT_BY_SGD = {"momentum_buffer"}
_FACTOR = "factor"


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[Parameter], learning_rate: float
) -> Optimizer:
    """Return the optimizer, with torch's fused update where the device supports it.

    All parameters form one group, which `divide_by_rate` may divide. Weight decay applies to each
    of them, biases and embeddings included, so that SGD's decay is exactly the `l2` penalty.

    Args:
        config: kind and options.
        parameters: parameters to optimize; frozen ones (`requires_grad=False`) are left out.
        learning_rate: initial learning rate; `set_learning_rate` changes it at each update.
    """
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        return _build(config, learned, learning_rate, fused=True)
    except RuntimeError:  # a device or an older torch without a fused kernel
        return _build(config, learned, learning_rate, fused=None)


def _build(
    config: OptimizerConfig, parameters: list[Parameter], rate: float, *, fused: bool | None
) -> Optimizer:
    decay = config.weight_decay
    if isinstance(config, SgdConfig):
        return SGD(parameters, rate, momentum=config.momentum, weight_decay=decay, fused=fused)
    kind: type[Adam] | type[AdamW] = {"adam": Adam, "adamw": AdamW}[config.kind]
    betas = (config.beta1, config.beta2)
    return kind(parameters, rate, betas=betas, eps=config.epsilon, weight_decay=decay, fused=fused)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step, for weights without a factor of their own."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(_FACTOR, 1.0)


def divide_by_rate(
    optimizer: Optimizer, model: nn.Module, factors: Mapping[str, float]
) -> dict[float, list[str]]:
    """Give weights learning rates of their own: `factor` times that of `set_learning_rate`.

    State is kept by name, so factors may change when a run resumes.

    Args:
        optimizer: of one group, as `build_optimizer` returns it.
        model: names the weights.
        factors: by pattern of shell wildcards; the first that matches a name counts.

    Returns:
        The names of the weights that each factor is for, 1 included.

    Raises:
        ConfigError: a pattern matches no name.
    """
    names = _names(optimizer, model)
    for pattern in factors:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f'training.learning_rates: "{pattern}" matches no weights; they are:\n  '
                + "\n  ".join(names)
            )
    (group,) = optimizer.param_groups
    weights = dict(zip(names, group["params"], strict=True))
    divided: dict[float, list[str]] = {}
    for name in names:
        matching = (factor for pattern, factor in factors.items() if fnmatchcase(name, pattern))
        divided.setdefault(next(matching, 1.0), []).append(name)
    optimizer.param_groups[:] = [
        {**group, "params": [weights[name] for name in members], _FACTOR: factor}
        for factor, members in divided.items()
    ]
    set_learning_rate(optimizer, group["lr"])
    return divided


# --- state by name: torch numbers the parameters, but only names survive a change of order ---


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
    """Restore the state that `optimizer_tensors` returned, bit for bit.

    Options such as the learning rate are unchanged. The state of another kind of optimizer means
    nothing to this one, which then starts afresh.

    Raises:
        ModelError: a tensor belongs to no parameter of this optimizer or has another shape, or
            some of the state is missing.
    """
    names = _names(optimizer, model)
    indices = {name: index for index, name in enumerate(names)}
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
    needed, other = _KEPT_BY_ADAM, _KEPT_BY_SGD
    if isinstance(optimizer, SGD):
        needed, other = other, needed
    if state and all(values.keys() == other for values in state.values()):
        logger.info("%s starts afresh: the checkpoint is of another one", type(optimizer).__name__)
        state = {}
    for index, values in state.items():
        if values.keys() != needed:
            raise ModelError(
                f"the saved optimizer state does not fit {type(optimizer).__name__}: of "
                f"`{names[index]}` it has {', '.join(sorted(values))}, "
                f"should have {', '.join(sorted(needed))}; "
                "go back to another checkpoint."
            )
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _names(optimizer: Optimizer, model: nn.Module) -> list[str]:
    """Return the name of each parameter, in the order in which torch numbers them."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(p)] for group in optimizer.param_groups for p in group["params"]]


# --- moving average ------------------------------------------------------------------------


class MovingAverage:
    """average <- d average + (1 - d) weights (Polyak and Juditsky, 1992).

    After update number n, d = min(decay, (1 + n) / (10 + n)), so that the random initial weights
    soon fade out of it. `torch.optim.swa_utils.AveragedModel` would copy the weights at its
    first update, count skipped updates differently and copy the whole module.

    Args:
        model: its parameters are averaged; the average starts as their copy.
        decay: weight of the old average, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: weight.clone() for name, weight in weights_of(model).items()}

    @torch.no_grad()
    def update(self, model: nn.Module, update: int) -> None:
        """Include the weights of `model` after update number `update`, from 1."""
        decay = min(self.decay, (1 + update) / (10 + update))
        for name, weight in model.named_parameters():
            self.weights[name].lerp_(weight, 1.0 - decay)

    @contextlib.contextmanager
    def swapped_into(self, model: nn.Module) -> Iterator[None]:
        """Use the average as the weights of `model` inside the block, then restore its own."""
        own = {name: weight.clone() for name, weight in weights_of(model).items()}
        _copy_into(model, self.weights)
        try:
            yield
        finally:
            _copy_into(model, own)

    @torch.no_grad()
    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Restore a saved average.

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
    for name, weight in weights_of(model).items():
        weight.copy_(weights[name])
