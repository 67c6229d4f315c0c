"""Lines in groups, for work that is faster on many lines at once."""

import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

FIRST_WINDOW = 16
"""Lines of the first window that does not wait; each full one allows four times as many."""
MOST_CHARACTERS = 1 << 21
"""Of a window, but for its last line: some texts have no line ends."""

_OF_LINE = 256  # what a line counts in a queue beside its characters

Item = TypeVar("Item", bound=str | tuple[str, ...])


def full_windows(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield `size` lines, or pairs of lines, at a time, fewer long ones, and what is left."""
    window: list[Item] = []
    characters = 0
    for item in items:
        window.append(item)
        characters += _characters(item)
        if len(window) == size or characters >= MOST_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _characters(item: str | tuple[str, ...]) -> int:
    return len(item) if isinstance(item, str) else sum(map(len, item))


def prompt_windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield whatever lines have arrived, at least one and at most `size`, without waiting for more.

    The lines are drawn in a thread of their own, so that somebody who types a line is answered at
    once, while a fast pipe is read in large windows. An error in `lines` is raised here, after
    the lines before it.
    """
    arrived = _Arrivals(maxsize=MOST_CHARACTERS)
    # A daemon: it may be waiting for a line that never comes when the program wants to end.
    threading.Thread(target=_draw, args=(lines, arrived), name="read-lines", daemon=True).start()
    limit = min(FIRST_WINDOW, size)
    end: _End | None = None
    while end is None:
        window: list[str] = []
        characters = 0
        item = arrived.get()
        while True:
            if isinstance(item, _End):
                end = item
                break
            window.append(item)
            characters += len(item)
            if characters >= MOST_CHARACTERS:
                break
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


class _Arrivals(queue.Queue[str | _End]):
    """Lines that nobody has taken yet; it is full when they have too many characters."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._held = 0

    def _qsize(self) -> int:
        return self._held

    def _put(self, item: str | _End) -> None:
        super()._put(item)
        self._held += _weight(item)

    def _get(self) -> str | _End:
        item = super()._get()
        self._held -= _weight(item)
        return item


def _weight(item: str | _End) -> int:
    return _OF_LINE + (len(item) if isinstance(item, str) else 0)


def _draw(lines: Iterable[str], arrived: _Arrivals) -> None:
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
