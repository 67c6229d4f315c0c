"""Time from starting the command to the first translated line."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nmt.errors import ResourceError


def measure_startup(
    folder: Path, line: str, *, precision: str, threads: int, times: int
) -> list[float]:
    """Return the seconds from starting `nmt translate` to its first line, for each start.

    Args:
        folder: a model folder, or a run folder that contains one.
        line: the sentence to translate.
        precision: precision of the matrix products.
        threads: CPU threads; 0 = all cores.
        times: number of starts.

    Raises:
        ResourceError: the command printed no line.
    """
    options = ["--precision", precision, "--threads", str(threads), "--device", "cpu"]
    command = [sys.executable, "-m", "nmt.cli", "translate", str(folder), *options]
    return [_first_line(command, line) for _ in range(times)]


def _first_line(command: list[str], line: str) -> float:
    with tempfile.TemporaryFile() as text:
        text.write(f"{line}\n".encode())
        text.seek(0)
        started = time.perf_counter()
        with subprocess.Popen(command, stdin=text, stdout=subprocess.PIPE) as process:
            answer = process.stdout.readline() if process.stdout else b""
            seconds = time.perf_counter() - started
    if process.returncode != 0 or not answer:
        raise ResourceError(
            f"`nmt translate` ended with code {process.returncode} instead of a translation; "
            "see its output above."
        )
    return seconds
