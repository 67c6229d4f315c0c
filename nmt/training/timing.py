"""When something is due: every so many updates, every so many seconds, or at a deadline.

Times are measured on the monotonic clock, which no change of the wall clock moves.
"""

import time

from nmt.config.interval import parse_interval
from nmt.errors import ConfigError, UsageError


class Every:
    """Tell when an interval of the configuration (`500`, "10m") has passed.

    By updates it is due at multiples, whatever happened before, so a resumed run keeps the
    rhythm; by time it is due so long after it was last due, or after the start.
    """

    def __init__(self, interval: int | str) -> None:
        self.interval = parse_interval(interval)
        self._since = time.monotonic()

    def is_due(self, update: int) -> bool:
        """Say whether it is due after update number `update`; ask once per update."""
        if self.interval.updates is not None:
            return update % self.interval.updates == 0
        now = time.monotonic()
        if self.interval.seconds is None or now - self._since < self.interval.seconds:
            return False
        self._since = now
        return True


class Deadline:
    """The end of the time that `--max-time` allows.

    Args:
        limit: a time such as "55m", counted from now; None = no end.

    Raises:
        UsageError: `limit` is no time.
    """

    def __init__(self, limit: str | None) -> None:
        self._end = None if limit is None else time.monotonic() + _seconds(limit)

    @property
    def has_passed(self) -> bool:
        """The allowed time is used up."""
        return self._end is not None and time.monotonic() >= self._end


def _seconds(limit: str) -> float:
    try:
        seconds = parse_interval(limit).seconds
    except ConfigError:
        seconds = None
    if seconds is None:
        raise UsageError(f'--max-time must be a time such as "90s", "55m" or "2h", got "{limit}".')
    return seconds
