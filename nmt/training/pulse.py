"""Signs of life among the processes that train together, beside what they compute together."""

import contextlib
import os
import threading
import time
from typing import Any

_BEAT = 0.5
"""Seconds between two signs of life."""
_MOST_GRACE = 5.0
"""Seconds without one after which a rank counts as lost, once something has gone wrong."""
_END = 5.0
"""Seconds that a process may take to leave the others and end, on a machine that is busy."""


class Pulse:
    """Tells the other ranks that this one is alive, and finds out which of them are not.

    Collectives only say that somebody is gone, and to some ranks that is the one who noticed first.

    Args:
        store: of all ranks; rank 0 or torchrun keeps it.
        rank: of this process.
        size: how many there are.
        timeout: seconds that a rank may be silent while it does what the others wait for. A library
            may hold up the signs of life of a process as well.
    """

    def __init__(self, store: Any, rank: int, size: int, *, timeout: float) -> None:
        self._store, self._rank, self._size, self._timeout = store, rank, size, timeout
        self._grace = min(_MOST_GRACE, timeout / 4)
        self._turns, self._heard = 0, 0.0
        self._lost = ""
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    @property
    def patience(self) -> float:
        """Seconds to wait for a rank, so that all is over at the timeout."""
        return max(self._timeout - self._longest_search - _END, self._timeout / 4)

    @property
    def _longest_search(self) -> float:
        """Seconds that `name_lost` takes at most: over a cut link, a store never answers."""
        return self._grace + 4 * _BEAT

    def end(self) -> None:
        """Be silent from now on."""
        self._over.set()

    def await_main(self) -> None:
        """Wait until rank 0 has come here as often as this one.

        Raises:
            RuntimeError: it is gone, or silent for too long.
        """
        self._turns += 1
        here = f"turns/{self._turns}"
        if self._rank == 0:
            self._store.set(here, "")
            return
        self._heard = time.monotonic()
        waiting = threading.Thread(target=self._wait_for, args=(here,), daemon=True)
        waiting.start()  # apart, since over a link that is cut a store never answers
        while waiting.is_alive():
            waiting.join(_BEAT / 10)
            if time.monotonic() - self._heard > self.patience:
                raise RuntimeError("no sign of life")

    def _wait_for(self, turn: str) -> None:
        """Wait until rank 0 has set this, and note when it was heard of."""
        beats = -1
        with contextlib.suppress(RuntimeError):  # the store is gone, as the next collective says
            while not self._store.check([turn]):
                found = self._store.add("beats/0", 0)
                if found != beats:
                    beats, self._heard = found, time.monotonic()
                time.sleep(_BEAT / 10)

    def name_lost(self) -> str:
        """Return the ranks that are lost, in words."""
        found = threading.Thread(target=self._look, daemon=True)
        found.start()
        found.join(self._longest_search)
        if self._lost:
            return self._lost
        if self._rank == 0:
            return "the others"
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        return f"rank 0 or the way to it, {address}"

    def _beat(self) -> None:
        with contextlib.suppress(RuntimeError):  # the store is gone
            while not self._over.wait(_BEAT):
                self._store.add(f"beats/{self._rank}", 1)
                if not self._lost and self._store.check(["lost"]):
                    self._lost = self._store.get("lost").decode()

    def _look(self) -> None:
        with contextlib.suppress(RuntimeError):
            before = self._count_beats()
            time.sleep(self._grace)
            now = self._count_beats()
            silent = [r for r in range(self._size) if r != self._rank and now[r] == before[r]]
            if silent and not self._lost:
                self._lost = f"rank{'s' * (len(silent) > 1)} {', '.join(map(str, silent))}"
                self._store.set("lost", self._lost)
            time.sleep(2 * _BEAT)  # the others hear of it before a store of rank 0 ends

    def _count_beats(self) -> list[int]:
        return [self._store.add(f"beats/{rank}", 0) for rank in range(self._size)]
