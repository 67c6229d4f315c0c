"""Linear layers whose weights are initialised elsewhere."""

from torch import Tensor, nn


class Linear(nn.Linear):
    """y = W x + b, where `nmt.layers.initialization` initializes W, and b starts at 0.

    Arguments as for `torch.nn.Linear`, which would draw initial values that are never used.
    """

    def reset_parameters(self) -> None:
        """Set the bias to zero and leave W uninitialized."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)


def select_outputs(linear: nn.Linear, outputs: Tensor) -> Linear:
    """Return the layer restricted to `outputs` [kept], with weights of its own, for search."""
    selected = Linear(linear.in_features, len(outputs), bias=linear.bias is not None)
    selected.weight = nn.Parameter(linear.weight[outputs], requires_grad=False)
    if linear.bias is not None:
        selected.bias = nn.Parameter(linear.bias[outputs], requires_grad=False)
    return selected
