"""SIGTERM, Ctrl-C or a closed terminal end a command in order, and soon."""

import os
import select
import signal
import threading
import time
from types import FrameType

from nmt.training.signals import SAME

PATIENCE = 3.0
"""Seconds that a command may take to end in order."""

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Terminated(BaseException):
    """SIGTERM or SIGHUP came; unfinished files are cleaned up on the way out, as after Ctrl-C."""


def handle_signals() -> None:
    """Let SIGTERM and SIGHUP raise `Terminated`, and a thread make sure that the process ends.

    Python runs signal handlers in the main thread, and only after a call into a library has
    returned: learning pieces takes minutes. Ending in the middle of it loses nothing, since files
    get their names when they are complete. Training handles signals itself, see
    `nmt.training.signals`.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader,), daemon=True).start()
    for number in _HANDLED:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        if signal.getsignal(number) == default:  # under nohup, SIGHUP is ignored
            signal.signal(number, _end)


def exit_code() -> int | None:
    """Return 128 + the signal that came, or None.

    The exception of a signal may arrive as another one, for example as a failed import.
    """
    return None if _came is None else 128 + _came


_came: int | None = None


def _end(number: int, frame: FrameType | None) -> None:
    global _came
    if _came is None:  # `_watch` handles a second one
        _came = number
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _watch(reader: int) -> None:
    """End the process when its time is over, or at a second signal."""
    number = _next_signal(reader, None)
    time.sleep(SAME)
    while _next_signal(reader, 0):
        pass  # signals of the same moment are one request
    _next_signal(reader, PATIENCE)
    os._exit(128 + number)


def _next_signal(reader: int, patience: float | None) -> int:
    """Return the next signal that ends a command, or 0 if none comes within `patience`."""
    while select.select([reader], [], [], patience)[0]:
        if (number := os.read(reader, 1)[0]) in _HANDLED:
            return number
    return 0
