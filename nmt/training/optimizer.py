"""From a configuration to a torch optimizer."""

from collections.abc import Iterable

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

from nmt.config.training import OptimizerConfig, SgdConfig


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[Parameter], learning_rate: float
) -> Optimizer:
    """Return the optimizer, with torch's fused update where the devices support it.

    All parameters form one group. Weight decay acts on each of them, biases and embeddings
    included: then SGD's decay is exactly the `l2` penalty, with one meaning for everyone.

    Args:
        config: kind and options.
        parameters: what to learn; frozen ones (`requires_grad` off) are left out.
        learning_rate: the first rate; `set_learning_rate` changes it at each update.
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
    """Make the next step use `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate
