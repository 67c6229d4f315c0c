"""Errors that a user can cause or encounter, with their exit codes.

    NmtError                    base class, never raised
    ├── UsageError       2      the command or the configuration is wrong
    │   └── ConfigError  2      a key or a value of the configuration file
    ├── DataError        3      a text file or prepared corpus is wrong
    ├── ModelError       4      a model folder or checkpoint is damaged or does not fit
    ├── ResourceError    5      disk, memory, a port, a dead worker
    └── DivergenceError  6      training diverged

A message says what is wrong, where, with which value, and how to fix it. Any other exception is a
bug in nmt: exit code 1.
"""

import contextlib
from collections.abc import Callable, Iterator


class NmtError(Exception):
    """Base class of all errors of this package, with the exit code of the process."""

    exit_code: int = 1


class UsageError(NmtError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class ConfigError(UsageError):
    """The configuration has a wrong key or value."""


class DataError(NmtError):
    """A text file or prepared corpus is missing, damaged or inconsistent."""

    exit_code = 3


class ModelError(NmtError):
    """A model folder or checkpoint is missing, damaged or made by an incompatible version."""

    exit_code = 4


class ResourceError(NmtError):
    """The machine ran out of something: disk, memory, a port, a worker process."""

    exit_code = 5


class DivergenceError(NmtError):
    """Training diverged: weights, gradients or losses became too large.

    Args:
        what: what went wrong, and when.
        advice: how to fix it.
        update: number of updates made.
    """

    exit_code = 6

    def __init__(self, what: str, advice: str, *, update: int) -> None:
        super().__init__(f"{what}. {advice}")
        self.what, self.update = what, update


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means that no memory was left.

    torch has a class for this on GPUs, but not on CPUs nor in GPU libraries.
    """
    signs = (
        "DefaultCPUAllocator",
        "Storage size calculation overflowed",
        "STATUS_ALLOC_FAILED",
        "CUDA error: out of memory",
    )
    is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_named or (isinstance(error, RuntimeError) and any(s in str(error) for s in signs))


@contextlib.contextmanager
def explain_lack_of_memory(explain: Callable[[], str]) -> Iterator[None]:
    """Turn an out-of-memory error inside the block into a `ResourceError` with an explanation."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(f"memory is too small for {explain()}") from error
