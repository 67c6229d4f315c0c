"""What all cells have in common: the form of their state, and their activations."""

from collections.abc import Callable

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""State that a cell passes to the next step: tensors [rows, hidden]; the first is the output. Some
cells append more, such as a counter of steps."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
SLOPES = {"tanh": 1.0, "relu": 1.0, "sigmoid": 0.25, "identity": 1.0}
