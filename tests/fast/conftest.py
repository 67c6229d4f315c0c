"""A machine without a compiler, one without exact 8-bit products, and one of another vendor."""

from collections.abc import Iterator

import pytest
import torch

from nmt.fast.compiler import SWITCH
from nmt.fast.int8 import Int8Linear
from nmt.fast.kernels import kernels
from nmt.machine import has_fast_int8, has_int8


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Turn the compiled kernels off for a test, as a user would."""
    monkeypatch.setenv(SWITCH, "off")
    kernels.cache_clear()
    assert kernels() is None
    yield
    kernels.cache_clear()


@pytest.fixture
def int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 8-bit products be exact; a CPU without VNNI clips sums of two of them to 16 bits."""
    if not has_int8():
        pytest.skip("this torch has no 8-bit products")

    def multiply(self: Int8Linear, inputs: torch.Tensor) -> torch.Tensor:
        whole = (inputs.double() - 128) @ self._whole.double().t()
        return (whole * self._scales).float()

    if not has_fast_int8():
        monkeypatch.setattr(Int8Linear, "_multiply_onednn", multiply)


@pytest.fixture(params=[False, True], ids=["torch", "oneDNN"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiply fp32 by what torch takes, and by oneDNN, which is faster on some processors."""
    for module in ("accelerate", "linear"):
        monkeypatch.setattr(f"nmt.fast.{module}.prefers_onednn", lambda: request.param)
