"""Lines in groups, for work that is faster on many lines at once."""

import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

FIRST_WINDOW = 16
"""Lines of the first window that does not wait; each full one allows four times as many."""


def full_windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield `size` lines at a time, and what is left at the end."""
    rest = iter(lines)
    while window := list(islice(rest, size)):
        yield window


def prompt_windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield whatever lines have arrived, at least one and at most `size`, without waiting for more.

    The lines are drawn in a thread of their own, so that somebody who types a line is answered at
    once, while a fast pipe is read in large windows. An error in `lines` is raised here, after
    the lines before it.
    """
    arrived: queue.Queue[str | _End] = queue.Queue(maxsize=2 * size)
    # A daemon: it may be waiting for a line that never comes when the program wants to end.
    threading.Thread(target=_draw, args=(lines, arrived), name="read-lines", daemon=True).start()
    limit = min(FIRST_WINDOW, size)
    end: _End | None = None
    while end is None:
        window: list[str] = []
        item = arrived.get()
        while True:
            if isinstance(item, _End):
                end = item
                break
            window.append(item)
            if len(window) == limit:
                limit = min(4 * limit, size)
                break
            try:
                item = arrived.get_nowait()
            except queue.Empty:
                break
        if window:
            yield window
    if end.error is not None:
        raise end.error


@dataclass(frozen=True)
class _End:
    """Comes after the last line."""

    error: BaseException | None


def _draw(lines: Iterable[str], arrived: "queue.Queue[str | _End]") -> None:
    # At exit, Python drops standard input, and with the last reference it is closed, which dies
    # of the lock that a thread waiting in it holds. This reference is never dropped.
    _held = sys.stdin
    try:
        for line in lines:
            arrived.put(line)
    except BaseException as error:  # handed over to the thread that waits for the lines
        arrived.put(_End(error))
    else:
        arrived.put(_End(None))
