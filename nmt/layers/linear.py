"""Linear layers whose weights are initialized elsewhere."""

from torch import nn


class Linear(nn.Linear):
    """y = W x + b, where `nmt.layers.initialization` initializes W, and b starts at 0.

    Arguments as for `torch.nn.Linear`, which would draw initial values that are never used.
    """

    def reset_parameters(self) -> None:
        """Set the bias to zero and leave W uninitialized."""
        if self.bias is not None:
            nn.init.zeros_(self.bias)
