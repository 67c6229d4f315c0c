"""Peak memory of a process."""

import resource
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
    return resident_mb(resource.getrusage(resource.RUSAGE_SELF))


def resident_mb(usage: resource.struct_rusage) -> float:
    """Convert the peak memory in `usage` to MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6
