"""Lines in windows, for work that is faster on many lines at once."""

import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

FIRST_WINDOW = 16
"""Lines of the first window of a stream; each full window allows four times as many."""
MOST_CHARACTERS = 1 << 21
"""Maximum size of a window before its last line: some texts have no line ends."""

_OF_LINE = 256  # size attributed to each line besides its characters

Item = TypeVar("Item", bound=str | tuple[str, ...])


def full_windows(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield `size` lines or pairs of lines at a time; fewer if they are long, or at the end."""
    window: list[Item] = []
    characters = 0
    for item in items:
        window.append(item)
        characters += len(item) if isinstance(item, str) else sum(map(len, item))
        if len(window) == size or characters >= MOST_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window


def prompt_windows(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield the lines that have arrived, at least one and at most `size`, without waiting for more.

    A thread reads the lines ahead, so that a typed line is answered immediately, while a fast pipe
    is read in large windows. An error in `lines` is raised here, after the lines before it.
    """
    arrivals = _Arrivals()
    # A daemon: at exit, it may be waiting for a line that never arrives.
    threading.Thread(target=_read, args=(lines, arrivals), name="read-lines", daemon=True).start()
    limit = min(FIRST_WINDOW, size)
    while window := arrivals.take(limit):
        if len(window) == limit:
            limit = min(4 * limit, size)
        yield window
    if arrivals.error is not None:
        raise arrivals.error


class _Arrivals:
    """Lines that were read but not yet taken; reading waits while there are too many."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._held = 0
        self._has_ended = False
        self._changed = threading.Condition()
        self.error: BaseException | None = None
        """Error that ended the lines; None at their regular end."""

    def put(self, line: str) -> None:
        """Add a line as soon as there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < MOST_CHARACTERS)
            self._lines.append(line)
            self._held += len(line) + _OF_LINE
            self._changed.notify()

    def end(self, error: BaseException | None) -> None:
        """Signal that no more lines will arrive."""
        with self._changed:
            self._has_ended, self.error = True, error
            self._changed.notify()

    def take(self, most: int) -> list[str]:
        """Return the lines that have arrived, waiting for the first; none at the end."""
        window: list[str] = []
        characters = 0
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._has_ended)
            while self._lines and len(window) < most and characters < MOST_CHARACTERS:
                window.append(self._lines.popleft())
                characters += len(window[-1])
                self._held -= len(window[-1]) + _OF_LINE
            self._changed.notify()
        return window


def _read(lines: Iterable[str], arrivals: _Arrivals) -> None:
    # At exit, Python drops standard input, which closes it with the last reference, and crashes on
    # the lock that a thread waiting in it holds. This reference is never dropped.
    _held = sys.stdin
    try:
        for line in lines:
            arrivals.put(line)
    except BaseException as error:  # raised again in the thread that takes the lines
        arrivals.end(error)
    else:
        arrivals.end(None)
