"""Linear layers whose weights are initialised elsewhere."""

from typing import Self

from torch import Tensor, nn


class Linear(nn.Linear):
    """y = W x + b, where `nmt.layers.initialization` initializes W, and b starts at 0.

    Arguments as for `torch.nn.Linear`, which would draw initial values that are never used.
    """

    def reset_parameters(self) -> None:
        """Set the bias to zero and leave W uninitialized."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def narrow(self, outputs: Tensor) -> Self:
        """Return the layer restricted to `outputs` [kept], with weights of its own, for search."""
        selected = type(self)(self.in_features, len(outputs), bias=self.bias is not None)
        selected.weight = nn.Parameter(self.weight[outputs], requires_grad=False)
        if self.bias is not None:
            selected.bias = nn.Parameter(self.bias[outputs], requires_grad=False)
        return selected
