"""One module in the place of another, with the same parameters."""

from typing import TypeVar

from torch import nn

T = TypeVar("T", bound=nn.Module)


def adopt(kind: type[T], plain: nn.Module) -> T:
    """Return a module of `kind` with all that `plain`, of a class it derives from, consists of.

    Parameters and submodules are the same objects, under the same names.
    """
    fast = kind.__new__(kind)
    nn.Module.__init__(fast)
    fast.__dict__.update({name: _own(value) for name, value in plain.__dict__.items()})
    return fast


def _own(value: object) -> object:
    """Return a copy of a table of parameters, buffers, submodules or hooks; else the value."""
    return value.copy() if isinstance(value, dict) else value
