"""Number of kernels that oneDNN compiles per update, counted in its log."""

import ctypes
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

WARM_UP, COUNTED = 50, 20
"""Updates before counting, enough to see the usual shapes, and updates counted."""
_SIGN = b"create:cache_miss"


def log_compilations() -> None:
    """Make oneDNN log each kernel to standard output; call this before torch is first used."""
    os.environ["ONEDNN_VERBOSE"] = "profile_create"


def count_compilations(update: Callable[[], object]) -> float:
    """Return the mean number of kernels compiled per update after the warm-up.

    Args:
        update: performs one update.
    """
    with _standard_output() as log:
        for _ in range(WARM_UP):
            update()
        before = _count(log)
        for _ in range(COUNTED):
            update()
        return (_count(log) - before) / COUNTED


def _count(log: IO[bytes]) -> int:
    """Return the number of compiled kernels in the log so far."""
    ctypes.CDLL(None).fflush(None)
    log.seek(0)
    return log.read().count(_SIGN)


@contextmanager
def _standard_output() -> Iterator[IO[bytes]]:
    """Redirect what C libraries write to standard output into a file within the block."""
    with tempfile.TemporaryFile() as log:
        previous = os.dup(1)
        os.dup2(log.fileno(), 1)
        try:
            yield log
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(previous, 1)
            os.close(previous)
