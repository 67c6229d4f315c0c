"""What a process sets on its machine, and what it finds out about it."""

import os
import subprocess
import sys

import pytest
import torch

from nmt import machine
from nmt.config.training import TrainingConfig
from nmt.machine import has_fast_bf16, has_fast_int8, keep_memory, wait_briefly
from nmt.training.assembly import LEAST_BF16_TOKENS, choose_precision

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


def printed_by(program: str, *arguments: str, without: tuple[str, ...], **environment: str) -> str:
    """Return what a program prints with some environment variables removed and others added."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**plain, "PYTHONPATH": os.getcwd(), **environment},
    )
    return done.stdout.strip()


def page_faults(*arguments: str) -> int:
    """Return the page faults of a process that allocates 64 MiB twenty times."""
    return int(printed_by(FREED, *arguments, without=("MALLOC_",)))


@pytest.mark.skipif(sys.platform != "linux", reason="mallopt is glibc's")
def test_large_blocks_are_reused():
    """The 16,384 pages are mapped once, not twenty times."""
    assert page_faults("keep") < page_faults() / 4


def test_environment_variables_of_the_user_are_kept(monkeypatch):
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    keep_memory()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "512"
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    keep_memory()
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


WAITING = """
import os, sys
class Torch:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT", "as it is"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Torch())
from nmt.cli.main import main
main()
"""


def waiting_of(*arguments: str, **environment: str) -> str:
    """Return the setting of how long OpenMP threads spin when a command imports torch."""
    unset = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    return printed_by(WAITING, *arguments, without=unset, **environment)


def test_threads_spin_briefly_only_in_training(tmp_path):
    """Search, whose steps are short, is faster if they keep spinning."""
    train = ("train", "recipes/toy/config.toml", "--run", str(tmp_path / "run"))
    assert waiting_of(*train) == "10000"
    assert waiting_of(*train, GOMP_SPINCOUNT="7") == "7"
    assert waiting_of("translate", str(tmp_path)) == "as it is"


def test_the_users_wait_policy_is_kept(monkeypatch):
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    wait_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.parametrize(
    ("avx", "amd", "amx", "is_fast"),
    [
        (False, True, False, False),
        (True, True, False, True),
        (True, False, False, False),
        (True, False, True, True),
    ],
)
def test_auto_is_bf16_where_the_cpu_is_fast_at_it(monkeypatch, avx, amd, amx, is_fast):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx, raising=False)
    monkeypatch.setattr(machine, "has_amx", lambda: amx)
    monkeypatch.setattr(machine, "_is_amd", lambda: amd)
    assert has_fast_bf16() is is_fast
    assert choose_precision(TrainingConfig(), CPU) == (torch.bfloat16 if is_fast else torch.float32)
    assert choose_precision(TrainingConfig(precision="fp32"), CPU) == torch.float32
    assert choose_precision(TrainingConfig(precision="bf16"), CPU) == torch.bfloat16
    least = 4 * LEAST_BF16_TOKENS
    for enough, tokens in ((is_fast, least), (False, least - 4)):
        expected = torch.bfloat16 if enough else torch.float32
        parts = TrainingConfig(batch_tokens=tokens, accumulate=4)
        assert choose_precision(parts, CPU) == expected
        assert choose_precision(TrainingConfig(batch_tokens=tokens), CPU, ranks=4) == expected
    assert choose_precision(TrainingConfig(fast=False), CPU) == torch.float32


@pytest.mark.parametrize(
    ("capability", "is_fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)]
)
def test_auto_is_bf16_on_gpus_that_do_not_emulate_it(monkeypatch, capability, is_fast):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    expected = torch.bfloat16 if is_fast else torch.float32
    assert choose_precision(TrainingConfig(), torch.device("cuda")) == expected


def test_a_torch_that_cannot_tell_has_no_fast_int8(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    assert has_fast_int8()
    monkeypatch.delattr(torch.cpu, "_is_vnni_supported")
    assert not has_fast_int8()
