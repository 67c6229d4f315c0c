"""What a process asks of its machine."""

import os
import subprocess
import sys

import pytest
import torch

from nmt.config.training import TrainingConfig
from nmt.machine import has_fast_bf16, keep_memory
from nmt.training.gradients import Objective

CPU = torch.device("cpu")
FREED = """
import resource, sys
from nmt.machine import keep_memory
if "keep" in sys.argv:
    keep_memory()
for _ in range(20):
    block = bytearray(1 << 26)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def page_faults(*arguments: str) -> int:
    """Return how often the kernel gave a page to a process that takes 64 MiB twenty times."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FREED, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**plain, "PYTHONPATH": os.getcwd()},
    )
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_large_blocks_are_used_again():
    """The 16,384 pages are given once, not twenty times."""
    assert page_faults("keep") < page_faults() / 4


def test_the_environment_of_the_user_stands(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    keep_memory()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "64"
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    keep_memory()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


@pytest.mark.parametrize(("avx", "amx"), [(False, False), (True, False), (False, True)])
def test_auto_is_bf16_where_the_cpu_is_fast_at_it(monkeypatch, avx, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert has_fast_bf16() is (avx or amx)
    assert Objective.of(TrainingConfig(), CPU).bf16 is (avx or amx)
    assert not Objective.of(TrainingConfig(precision="fp32"), CPU).bf16
    assert Objective.of(TrainingConfig(precision="bf16"), CPU).bf16
