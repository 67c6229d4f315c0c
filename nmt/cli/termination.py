"""SIGTERM, Ctrl-C or a closed terminal while a command runs: it ends in order, and soon."""

import os
import select
import signal
import threading
import time
from types import FrameType

from nmt.training.signals import SAME

PATIENCE = 3.0
"""Seconds that a command may take to end in order."""

_HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Terminated(BaseException):
    """SIGTERM or SIGHUP came. What is half done is put in order on the way out, as after Ctrl-C."""


def heed_signals() -> None:
    """Let SIGTERM and SIGHUP raise `Terminated`, and a thread see to it that the process does end.

    Python runs its handlers in the main thread, and not before a call into a library has come back:
    learning pieces takes minutes. Nothing is lost if it is cut short, since files get their names
    when they are complete. Training listens by itself, see `nmt.training.signals`.
    """
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ear,), daemon=True).start()
    for number, usual in (
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),  # ignored under nohup
        (signal.SIGINT, signal.default_int_handler),
    ):
        if signal.getsignal(number) == usual:
            signal.signal(number, _end)


def exit_code() -> int | None:
    """Return 128 + the signal that came, or None.

    What is raised then may arrive as something else: as the failed import of a library, for one.
    """
    return None if _came is None else 128 + _came


_came: int | None = None


def _end(number: int, frame: FrameType | None) -> None:
    global _came
    if _came is None:  # a second one is for `_watch`
        _came = number
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _watch(ear: int) -> None:
    """End the process when its time is over, or at a second signal."""
    number = _hear(ear, None)
    time.sleep(SAME)
    while _hear(ear, 0):
        pass  # what came at the same moment is no second signal
    _hear(ear, PATIENCE)
    os._exit(128 + number)


def _hear(ear: int, patience: float | None) -> int:
    """Return the next signal that ends a command, or 0 if none comes within `patience`."""
    while select.select([ear], [], [], patience)[0]:
        if (number := os.read(ear, 1)[0]) in _HEEDED:
            return number
    return 0
