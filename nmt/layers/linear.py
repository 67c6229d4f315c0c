"""A product with a matrix of weights."""

from torch import nn


class Linear(nn.Linear):
    """y = W x + b, whose W gets its first values from `nmt.layers.initialization`, and b is 0.

    Args as for `torch.nn.Linear`, which would draw values here that are never used.
    """

    def reset_parameters(self) -> None:
        """Set the bias to zero and leave W uninitialized."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)
