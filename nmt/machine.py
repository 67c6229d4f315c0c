"""Process settings and CPU features that affect speed."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nmt.errors import UsageError

if TYPE_CHECKING:
    import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc
_KEPT = 1 << 30  # bytes
_PRIMITIVES = "512"
_SPINS = "10000"  # GNU OpenMP's default is 300,000

Precision = Literal["fp32", "bf16", "int8"]
"""Precision of matrix products."""
MOST_THREADS = 1024
"""Most CPU threads accepted; torch crashes silently above this. The limit does not depend on the
machine, so a configuration made for a large one also works on a small one."""


def keep_memory() -> None:
    """Make the process reuse its memory; call this before torch is imported.

    Training allocates the same large blocks in each update. By default, glibc returns them to the
    operating system each time, which zeroes the pages again. oneDNN, which torch uses on CPUs,
    caches 1,024 compiled kernels, one for each shape; half as many are enough for the shapes of
    `nmt.fast.shapes` and take less memory.

    Environment variables set by the user take precedence. The allocator settings need glibc and
    are skipped without it.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", _PRIMITIVES)
    with contextlib.suppress(OSError, AttributeError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
            set_option(_M_MMAP_THRESHOLD, _KEPT)
        if "MALLOC_TRIM_THRESHOLD_" not in os.environ:
            set_option(_M_TRIM_THRESHOLD, _KEPT)


def wait_briefly() -> None:
    """Make waiting threads release their cores soon; call this before torch is imported.

    By default, a waiting GNU OpenMP thread spins for a long time, even if the thread it waits for
    has no core to run on. This slows training down when other programs are running. A shorter spin
    costs training nothing, but slows search, whose steps are short.

    Environment variables set by the user take precedence. Other OpenMP libraries ignore this
    setting.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


@contextlib.contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Compute with `count` CPU threads inside the block; 0 = as many as torch uses already."""
    import torch

    previous = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count:
            torch.set_num_threads(previous)


def has_fast_bf16(device: "torch.device | None" = None) -> bool:
    """Whether a device (default: the CPU) multiplies faster in bfloat16 than in float32.

    CPUs with AMX do. With only AVX-512-bf16, AMD's do and Intel's do not; recipes/bench/README.md
    has figures for both. GPUs do from compute capability 8; older ones only emulate bfloat16.
    """
    import torch

    if device is not None and device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    has_instructions = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return has_amx() or (_is_amd() and bool(has_instructions()))


def has_int8() -> bool:
    """Whether torch supports products of 8-bit integers on this CPU."""
    import torch

    return hasattr(torch.ops.onednn, "qlinear_pointwise")


def has_fast_int8() -> bool:
    """Whether the CPU has instructions that accumulate 8-bit products, such as AVX-512-VNNI.

    Without them, int8 is slower, and the sum of two products may overflow.
    """
    import torch

    return bool(getattr(torch.cpu, "_is_vnni_supported", lambda: False)())


@cache
def has_amx() -> bool:
    """Whether the CPU has AMX, which multiplies whole tiles of a matrix at once."""
    import torch

    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())


@cache
def prefers_onednn() -> bool:
    """Whether oneDNN is faster in fp32 than MKL, torch's default.

    MKL uses AVX-512 on Intel processors only.
    """
    import torch

    return _is_amd() and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]


@cache
def _is_amd() -> bool:
    try:
        return b"AuthenticAMD" in Path("/proc/cpuinfo").read_bytes()
    except OSError:
        return False


def choose_device(device: str) -> "torch.device":
    """Return the device of that name; "auto" is CUDA if there is a GPU.

    Raises:
        UsageError: there is no such device.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if has_gpu else "cpu")
    if device not in ("cpu", "cuda") or (device == "cuda" and not has_gpu):
        raise UsageError(f'device: "{device}" is not available here; choose "cpu" or "auto".')
    return torch.device(device)


def choose_precision(device: "torch.device") -> Precision:
    """Return the fastest precision with nearly identical output."""
    return "int8" if device.type == "cpu" and has_int8() and has_fast_int8() else "fp32"


def require_int8(device: "torch.device", *, fast: bool) -> None:
    """Refuse 8-bit integer products where they are not supported.

    Raises:
        UsageError: on a GPU, with a torch that lacks them, or without fast modules.
    """
    if not fast:
        raise UsageError(
            'precision: "int8" exists in fast modules only; choose "fp32" or "bf16", or leave '
            "--plain out."
        )
    if device.type != "cpu" or not has_int8():
        import torch

        raise UsageError(
            f'precision: "int8" is not available on {device.type} with torch {torch.__version__}; '
            'choose "bf16" or "fp32".'
        )
