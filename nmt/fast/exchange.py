"""Replacing a module by one of a subclass, with the same parameters."""

from typing import TypeVar

from torch import nn

T = TypeVar("T", bound=nn.Module)


def adopt(kind: type[T], plain: nn.Module) -> T:
    """Return a module of class `kind` with the attributes of `plain`, whose class it extends.

    Parameters and submodules are the same objects, under the same names.
    """
    fast = kind.__new__(kind)
    nn.Module.__init__(fast)
    fast.__dict__.update({name: _own(value) for name, value in plain.__dict__.items()})
    return fast


def _own(value: object) -> object:
    """Copy a dict of parameters, buffers, submodules or hooks; return other values unchanged."""
    return value.copy() if isinstance(value, dict) else value
