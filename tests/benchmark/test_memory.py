"""Peak memory is that of the process alone."""

import subprocess
import sys

import pytest

from nmt.benchmark.memory import peak_memory

PEAK = "from nmt.benchmark.memory import peak_memory; print(peak_memory())"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the parent may count")
def test_memory_of_the_parent_process_does_not_count():
    block = bytearray(b"x" * 200_000_000)
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    assert peak_memory() > len(block) / 1e6
    assert float(done.stdout) < 100
