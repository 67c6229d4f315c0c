"""How much memory a process has needed."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> float:
    """Return the most memory this process has had, in MB (10^6 bytes).

    On Linux `getrusage` would also count what the process that started this one had by then.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return resident_mb(resource.getrusage(resource.RUSAGE_SELF))


def resident_mb(usage: resource.struct_rusage) -> float:
    """Return the largest memory that a system's report tells of, in MB (10^6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * unit / 1e6
