"""Stopping on request: the first signal asks, the second one does not."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType

SAME = 0.25
"""Seconds within which signals are one request: `timeout` sends two, and so does a system that ends
a login session; a terminal that is closed may come with three."""
_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(Exception):
    """A signal came inside `GracefulStop.at_once`."""


class GracefulStop:
    """Within this block, SIGTERM and Ctrl-C ask to save and leave; a second one leaves at once.

    SIGHUP asks as well, when the terminal goes away, but never ends at once: a shell sends it once
    more than the kernel. Who had it ignored, by `nohup`, is not disturbed.

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
        self._since = 0.0
        self._is_urgent = False
        self._former: dict[int, signal._HANDLER] = {}

    @property
    def exit_code(self) -> int:
        """128 + signal: 143 after SIGTERM, 130 after Ctrl-C, 129 after SIGHUP.

        If none came, that of SIGTERM: another process of the same run was asked to stop.
        """
        return 128 + (self.requested or signal.SIGTERM)

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
            if _is_another(number, self._since):
                os._exit(128 + number)
            return
        self.requested, self._since = number, time.monotonic()
        if self._is_urgent:
            raise Interrupted


def _is_another(number: int, since: float) -> bool:
    """Tell whether a signal is a second request, after one that came at `since`."""
    return number != signal.SIGHUP and time.monotonic() - since > SAME


def _listen(ear: int) -> None:
    """Answer the first signal, end the process at the second; return when no more can come."""
    since = None
    with os.fdopen(ear, "rb", buffering=0) as stream:
        while data := stream.read(1):
            if data[0] not in _HANDLED:
                continue
            if since is not None:
                if _is_another(data[0], since):
                    os._exit(128 + data[0])
                continue
            since = time.monotonic()
            name = signal.Signals(data[0]).name
            # Not print(): the signal may have come in the middle of another write to stderr.
            with contextlib.suppress(OSError):
                os.write(2, f"\n{name}: saving before the end; once more ends at once\n".encode())
