"""Stopping on request: the first signal asks, the second one does not."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(Exception):
    """A signal came inside `GracefulStop.at_once`."""


class GracefulStop:
    """Within this block, SIGTERM and Ctrl-C ask to save and leave; a second one leaves at once.

    So does SIGHUP, which comes when the terminal goes away, as often as it may come: a shell sends
    it once more than the kernel. Who had it ignored, by `nohup`, is not disturbed.

    The loop looks at `requested` between two steps, and ends the process with `exit_code` after
    saving. Only the main thread may enter; the former handlers return at the end.

    Python runs its handlers in the main thread, and not before a call into a library has come
    back; one that waits for a dead rank takes minutes. So a thread of its own listens as well.

    ```python
    with GracefulStop() as stop:
        while not stop.requested:
            ...
    ```
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        """Number of the signal that arrived, or None."""
        self._is_urgent = False
        self._former: dict[int, signal._HANDLER] = {}

    @property
    def exit_code(self) -> int:
        """128 + signal: 143 after SIGTERM, 130 after Ctrl-C, 129 after SIGHUP; 0 if none came."""
        return 0 if self.requested is None else 128 + self.requested

    def __enter__(self) -> "GracefulStop":
        ear, self._mouth = os.pipe()
        os.set_blocking(self._mouth, False)
        self._former_mouth = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        self._listener = threading.Thread(target=_listen, args=(ear,), daemon=True)
        self._listener.start()
        for number in _HANDLED:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
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
        signal.set_wakeup_fd(self._former_mouth)
        os.close(self._mouth)
        self._listener.join()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `Interrupted` inside the block at the first signal, or if one came before."""
        self._is_urgent = True
        try:
            if self.requested is not None:
                raise Interrupted
            yield
        finally:
            self._is_urgent = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            if number != signal.SIGHUP:
                os._exit(128 + number)
            return
        self.requested = number
        if self._is_urgent:
            raise Interrupted


def _listen(ear: int) -> None:
    """Answer the first signal, end the process at the second; return when no more can come."""
    is_second = False
    with os.fdopen(ear, "rb", buffering=0) as stream:
        while data := stream.read(1):
            if data[0] not in _HANDLED:
                continue
            if is_second:
                if data[0] != signal.SIGHUP:
                    os._exit(128 + data[0])
                continue
            is_second = True
            name = signal.Signals(data[0]).name
            # Not print(): the signal may have come in the middle of another write to stderr.
            with contextlib.suppress(OSError):
                os.write(2, f"\n{name}: saving before the end; once more ends at once\n".encode())
