"""What a process asks of its machine before it computes."""

import contextlib
import ctypes
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEPT = 1 << 30  # bytes
_PRIMITIVES = "64"
_SPINS = "10000"  # by default 300,000

MOST_THREADS = 1024
"""More CPU threads than this are a mistake; torch would end without a word when it starts them. It
is no fewer on a small machine, where a configuration of a large one has to work, too."""


def keep_memory() -> None:
    """Let the process reuse its memory; call it before torch is imported.

    Training asks for the same large blocks at each update. By default glibc gives them back to
    the kernel each time, and the kernel fills them with zeros anew. And oneDNN, which torch
    computes with on CPUs, keeps 1,024 prepared kernels, one for each shape it has met; with
    batches of all shapes these are gigabytes, and hardly one is used again.

    What the user has set in the environment stands. Does nothing where there is no glibc.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _PRIMITIVES)
    with contextlib.suppress(OSError, AttributeError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
            set_option(_M_MMAP_THRESHOLD, _KEPT)
        if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
            set_option(_M_TRIM_THRESHOLD, _KEPT)


def wait_briefly() -> None:
    """Let threads that wait for each other soon give up their cores; call it as `keep_memory`.

    By default a thread of GNU OpenMP that waits keeps its core busy for long, also while the
    thread it waits for has no core to run on, which slows training beside another program. To
    wait for less costs training nothing, but a search, whose steps are short, some of its rate.

    What the user has set in the environment stands. Other OpenMP libraries do not read it.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def has_fast_bf16(device: "torch.device | None" = None) -> bool:
    """Say whether a device, by itself the CPU, multiplies faster in bfloat16 than in float32.

    A CPU with AMX does. With AVX-512-bf16 alone AMD's do, and Intel's do not; figures of both stand
    in recipes/bench/README.md. GPUs do from compute capability 8 on; older ones only imitate it.
    """
    import torch

    if device is not None and device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    has_instructions = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return has_amx() or (_is_amd() and bool(has_instructions()))


def has_fast_int8() -> bool:
    """Say whether the CPU adds up products of 8-bit integers, by AVX-512-VNNI or the like.

    Elsewhere this is slower, and sums of two products may not fit.
    """
    import torch

    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


@cache
def has_amx() -> bool:
    """Say whether the CPU multiplies whole tiles of a matrix at once."""
    import torch

    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


@cache
def prefers_onednn() -> bool:
    """Say whether oneDNN multiplies in fp32 faster than what torch takes by itself.

    That is MKL, which leaves AVX-512 unused on other processors than Intel's.
    """
    import torch

    return _is_amd() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


@cache
def _is_amd() -> bool:
    try:
        return b"AuthenticAMD" in Path("/proc/cpuinfo").read_bytes()
    except OSError:
        return False
