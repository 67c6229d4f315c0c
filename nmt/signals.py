"""Clean exit after SIGTERM, Ctrl-C or a closed terminal; training saves a checkpoint first.

Python runs signal handlers in the main thread, and only after a call into a library has returned,
which can take minutes while a vocabulary is learned or a rank waits for a dead one. So a thread
listens as well, on a socket to which the interpreter writes every signal. (Not on a pipe: Windows
cannot wait for one.)
"""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

SAME = 0.25
"""Seconds within which signals count as one request: `timeout` sends two, as does a system that
ends a login session; a closed terminal may cause three."""
PATIENCE = 3.0
"""Seconds that a command may take to clean up before it is ended."""

SIGHUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""A closed terminal; Windows has no such signal."""
_HANDLED = tuple(filter(None, (signal.SIGTERM, signal.SIGINT, SIGHUP)))


# --- commands ------------------------------------------------------------------------------


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; unfinished work is cleaned up on exit, as after Ctrl-C."""


_came: int | None = None


def handle_signals() -> None:
    """Make SIGTERM and SIGHUP raise `Terminated`, and make sure that the process then ends.

    Ending early loses nothing, since files get their names when they are complete. Training
    handles signals with a `GracefulStop` instead.
    """
    _Listener(_end_soon)
    for number in _HANDLED:
        default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        if signal.getsignal(number) == default:  # SIGHUP is ignored under nohup
            signal.signal(number, _raise)


def exit_code() -> int | None:
    """Return 128 + the signal that arrived; None if none did.

    An exception raised by a handler may surface as another error, such as a failed import.
    """
    return None if _came is None else 128 + _came


def _raise(number: int, frame: FrameType | None) -> None:
    global _came
    if _came is None:  # `_end_soon` handles a second one
        _came = number
        raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _end_soon(listener: "_Listener", number: int) -> None:
    """End the process after `PATIENCE` seconds, or at a second signal."""
    listener.ignore(SAME)
    listener.next(PATIENCE)
    os._exit(128 + number)


# --- training ------------------------------------------------------------------------------


class Interrupted(Exception):
    """A signal arrived inside `GracefulStop.at_once`."""


class GracefulStop:
    """Within this block, SIGTERM and Ctrl-C request to save and exit; a second one exits at once.

    SIGHUP, sent when the terminal is closed, requests the same, but never exits at once: the shell
    sends it in addition to the kernel. If SIGHUP was ignored (nohup), it stays ignored.

    The loop checks `requested` between two updates, and the process ends with `exit_code` after
    saving. The previous handlers are restored at the end. In a thread other than the main one,
    where Python handles no signals, this does nothing.

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
        self._listener: _Listener | None = None

    @property
    def exit_code(self) -> int:
        """128 + signal: 143 after SIGTERM, 130 after Ctrl-C, 129 after SIGHUP.

        That of SIGTERM if this process received none: another process of the run was asked to stop.
        """
        return 128 + (self.requested or signal.SIGTERM)

    def __enter__(self) -> "GracefulStop":
        if threading.current_thread() is not threading.main_thread():
            return self
        self._listener = _Listener(_announce)
        for number in _HANDLED:
            if number != SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
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
        if self._listener is not None:
            self._listener.close()

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `Interrupted` inside the block at the first signal, or if one arrived before."""
        self._is_urgent = True
        try:
            if self.requested is not None:
                raise Interrupted
            yield
        finally:
            self._is_urgent = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            if number != SIGHUP and time.monotonic() - self._since > SAME:
                os._exit(128 + number)
            return
        self.requested, self._since = number, time.monotonic()
        if self._is_urgent:
            raise Interrupted


def _announce(listener: "_Listener", number: int) -> None:
    """Answer the first signal, and end the process at a second one."""
    text = f"\n{signal.Signals(number).name}: saving before exit; a second signal exits at once\n"
    with contextlib.suppress(OSError):  # not print(): the signal may have interrupted a write
        os.write(2, text.encode())
    listener.ignore(SAME)
    while second := listener.next():
        if second != SIGHUP:
            os._exit(128 + second)


# --- the thread ----------------------------------------------------------------------------


class _Listener:
    """A thread that receives signals even while the main thread is inside a library.

    Args:
        answer: called in the thread with the listener and the first signal.
    """

    def __init__(self, answer: "Callable[[_Listener, int], None]") -> None:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._former = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, args=(answer,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; the previous listener continues."""
        signal.set_wakeup_fd(self._former)
        self._writer.close()
        self._thread.join()

    def _listen(self, answer: "Callable[[_Listener, int], None]") -> None:
        if number := self.next():
            answer(self, number)
        self._reader.close()

    def next(self, timeout: float | None = None) -> int:
        """Return the next handled signal; 0 after `timeout` seconds, or when `close` was called."""
        while select.select([self._reader], [], [], timeout)[0]:
            data = self._reader.recv(1)
            if not data or data[0] in _HANDLED:
                return data[0] if data else 0
        return 0

    def ignore(self, seconds: float) -> None:
        """Ignore signals during the next `seconds`: they belong to the first one."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and self.next(left):
            pass
