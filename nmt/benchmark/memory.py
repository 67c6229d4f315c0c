"""Peak memory of a process."""

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> float:
    """Return the peak resident memory of this process, in MB (10^6 bytes).

    On Linux, `getrusage` would also include what the parent process used before it started this
    one.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    if sys.platform == "win32":
        return float("nan")
    import resource

    return resident_mb(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def resident_mb(peak: int) -> float:
    """Convert the peak memory that `getrusage` returns, `ru_maxrss`, to MB (10^6 bytes)."""
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e6
