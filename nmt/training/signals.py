"""Stopping on request: the first signal asks, the second one does not."""

import contextlib
import os
import signal
from types import FrameType, TracebackType

_HANDLED = (signal.SIGTERM, signal.SIGINT)


class GracefulStop:
    """Within this block, SIGTERM and Ctrl-C ask to save and leave; a second one leaves at once.

    The loop looks at `requested` between two steps, and ends the process with `exit_code` after
    saving. Only the main thread may enter; the former handlers return at the end.

    ```python
    with GracefulStop() as stop:
        while not stop.requested:
            ...
    ```
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        """Number of the signal that arrived, or None."""
        self._former: dict[int, signal._HANDLER] = {}

    @property
    def exit_code(self) -> int:
        """128 + signal: 143 after SIGTERM, 130 after Ctrl-C; 0 if none came."""
        return 0 if self.requested is None else 128 + self.requested

    def __enter__(self) -> "GracefulStop":
        for number in _HANDLED:
            self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            os._exit(128 + number)
        self.requested = number
        name = signal.Signals(number).name
        # Not print(): the signal may have come in the middle of another write to stderr.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{name}: saving before the end; once more ends at once\n".encode())
